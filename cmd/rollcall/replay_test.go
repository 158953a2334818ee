package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/api"
)

func TestAPolicyIsReplayedOverWhatIsOnRecord(t *testing.T) {
	central, sample := sim()
	env, key := setUp(t, redisServer(t), central)
	r := start(t, env, "serve")
	addr := r.address(t)
	for _, label := range []string{"eligible", "grace", "server"} {
		post(t, addr, key, "/v1/actions/evaluate", map[string]any{"event": sample[label].Event})
	}
	if code, a := post(t, addr, key, "/v1/policy/replay", map[string]any{"policy": "a: 1"}); code != 403 {
		t.Errorf("a playbook's key replays: %d %v", code, a)
	}
	if code := r.end(t); code != exitDone {
		t.Fatalf("serve: %d %s", code, r.stderr)
	}
	file := filepath.Join(t.TempDir(), "candidate.yaml")
	if err := os.WriteFile(file, []byte("disabledOUs: [\"OU=Disabled,DC=corp,DC=example,DC=test\"]\ndomains: {CORPEX: corp.example.test}\nmanual: {servers: false}\nexclusions: [{id: x, hostnames: [WS-FIN-0427], reason: r, owner: o}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := ran(t, env[1:2], "policy", "replay", file, "--since", "30d")
	if code != exitDone {
		t.Fatalf("replay: %d %s", code, errs)
	}
	for _, want := range []string{
		"asked about 3 decisions since 20", "3 under policy ", "What changes:", "Would be deleted under the candidate only:",
		"Would no longer be deleted:", "WS-FIN-0427", sample["server"].ID, "SERVER", "EXCLUDED",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("not told: %s\n%s", want, out)
		}
	}
	code, out, errs = ran(t, env[1:2], "policy", "replay", "--json", file)
	var report api.Replay
	if err := json.Unmarshal([]byte(out), &report); code != exitDone || err != nil {
		t.Fatalf("replay --json: %d %s %v", code, errs, err)
	}
	if report.Replayed != 3 || report.Unreadable != 0 || len(report.FromDelete) != 1 || report.FromDelete[0].EndpointID != sample["eligible"].ID ||
		len(report.ToDelete) != 1 || report.ToDelete[0].EndpointID != sample["server"].ID {
		t.Errorf("%+v", report)
	}
	if code, _, errs := ran(t, env[1:2], "policy", "replay", file, "--since", "30"); code != exitUsage || !strings.Contains(errs, "--since") {
		t.Errorf("a number without a unit: %d %s", code, errs)
	}
	if code, out, errs := ran(t, []string{"ROLLCALL_REDIS_URL=unix:///nowhere"}, "policy", "replay", file); code != exitFailed || out != "" || errs == "" {
		t.Errorf("without Redis: %d %s %s", code, out, errs)
	}
}

func TestTheReplayOfNothingSaysSo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.yaml")
	if err := os.WriteFile(file, []byte("disabledOUs: [\"OU=x,DC=y\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := ran(t, []string{"ROLLCALL_REDIS_URL=" + redisServer(t)}, "policy", "replay", file)
	if code != exitDone || !strings.Contains(out, "asked about 0 decisions on record") || !strings.Contains(out, "No decision changes.") {
		t.Errorf("%d %s %s", code, out, errs)
	}
}

func TestAReportCannotSteerATerminal(t *testing.T) {
	name := "WS\x1b[2J\n1"
	var out strings.Builder
	err := table{w: &out}.write(api.Replay{
		PolicyVersion: "x\x07", Changes: []api.ReplayChange{{Count: 1}}, ToDelete: []api.ReplayFlip{{Hostname: &name}}, Unreadable: 2,
	})
	if err != nil || strings.ContainsAny(out.String(), "\x1b\x07") || !strings.Contains(out.String(), "WS[2J1") || !strings.Contains(out.String(), "2 more could not be read") {
		t.Errorf("%v %q", err, out.String())
	}
}
