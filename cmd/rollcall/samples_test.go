package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/internal/centralsim"
)

// promised is what verify-live says of a sample device whose case it can't see, or sees
// by another reason than evaluate. The reason of all others is the case's own, or
// INACTIVE where that is no reason of verify-live's.
func promised(d centralsim.SampleDevice) string {
	switch d.Want {
	case "VERIFY_FAILED", "GONE_ELSEWHERE", "TENANT_MISMATCH", "HOSTNAME_MISMATCH", "ACTIVE_SINCE_EVENT", "ACTIVE_IN_CENTRAL", "LAST_SEEN_MISSING",
		"LAST_SEEN_INVALID", "CLOCK_SKEW":
		return d.Want
	case "NOT_INACTIVE_LONG_ENOUGH":
		return "ACTIVE_IN_CENTRAL"
	}
	return "INACTIVE"
}

// The samples of `rollcall dev` give the reasons that their names promise however often
// they are posted: alone and in batches, before the inventory is read and from its
// snapshot.
func TestTheSamplesOfDevKeepTheirPromiseEveryTime(t *testing.T) {
	dir := t.TempDir()
	r := start(t, nil, "dev", "--listen", "127.0.0.1:0", "--dir", dir)
	until(t, "the lines are printed", func() bool { return strings.Contains(r.stdout.String(), "^C here ends") })
	addr := regexp.MustCompile(`A=http://([^/]+)/v1`).FindStringSubmatch(r.stdout.String())[1]
	sample := centralsim.Sample(time.Now())
	var bodies []map[string]any
	for _, d := range sample {
		text, err := os.ReadFile(filepath.Join(dir, d.Case+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var body map[string]any
		if err := json.Unmarshal(text, &body); err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, body)
	}
	if len(sample) < 40 {
		t.Fatalf("%d samples", len(sample))
	}
	is := func(round int, how string, d centralsim.SampleDevice, want string, a map[string]any) {
		t.Helper()
		if a["reasonCode"] != want {
			t.Errorf("round %d, %s of %s: %v %v, want %s: %v", round, how, d.Case, a["outcome"], a["reasonCode"], want, a["reasonsText"])
		}
	}
	for round := range 5 {
		for i, d := range sample {
			_, a := post(t, addr, "dev", "/v1/actions/evaluate", bodies[i])
			is(round, "evaluate", d, d.Want, a)
			code, a := post(t, addr, "dev", "/v1/actions/verify-live", bodies[i])
			if code == http.StatusOK {
				is(round, "verify-live", d, promised(d), a)
			}
		}
		for action, want := range map[string]func(centralsim.SampleDevice) string{
			"evaluate": func(d centralsim.SampleDevice) string { return d.Want }, "verify-live": promised,
		} {
			_, a := post(t, addr, "dev", "/v1/actions/"+action+"/batch", map[string]any{"items": bodies})
			items, _ := a["items"].([]any)
			if len(items) != len(sample) {
				t.Fatalf("%s/batch: %v", action, a)
			}
			for i, d := range sample {
				if item, _ := items[i].(map[string]any); item["outcome"] != "error" {
					is(round, action+"/batch", d, want(d), item)
				}
			}
		}
	}
}

// So they do in a file that is retired, again and again.
func TestTheSamplesOfDevKeepTheirPromiseThroughRetire(t *testing.T) {
	central, _ := sim()
	env, _ := setUp(t, redisServer(t), central, "ROLLCALL_CENTRAL_LIMITS=10/s,10000/m", "ROLLCALL_ACTION_TIMEOUT=20s") // a busy machine takes its time
	for _, v := range env {
		if path, is := strings.CutPrefix(v, "ROLLCALL_POLICY_FILE="); is {
			if err := os.WriteFile(path, devPolicy, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir, sample := t.TempDir(), centralsim.Sample(time.Now())
	var lines []string
	for _, d := range sample {
		lines = append(lines, asLine(t, map[string]any{"event": d.Event}))
	}
	file, report := filepath.Join(dir, "devices.ndjson"), filepath.Join(dir, "report.json")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for round := range 4 {
		if code, _, errs := ran(t, env, "retire", "--file", file, "--report", report, "--wait", "1s"); code != exitDone {
			t.Fatalf("round %d: %d %s", round, code, errs)
		}
		text, err := os.ReadFile(report)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Devices []struct{ ReasonCode, ReasonsText string }
		}
		if err := json.Unmarshal(text, &got); err != nil || len(got.Devices) != len(sample) {
			t.Fatalf("round %d: %v %s", round, err, text)
		}
		for i, d := range sample {
			if got.Devices[i].ReasonCode != d.Want {
				t.Errorf("round %d, %s: %s, want %s: %s", round, d.Case, got.Devices[i].ReasonCode, d.Want, got.Devices[i].ReasonsText)
			}
		}
	}
}
