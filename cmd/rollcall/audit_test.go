package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// worked lets a live service delete one device and ask a person about another,
// and returns what it wrote to standard output, in a file.
func worked(t *testing.T, env []string, key string, events map[string]any) (file string) {
	t.Helper()
	if code, _, errs := ran(t, env, "state", "init"); code != exitDone {
		t.Fatal(errs)
	}
	r := start(t, env, "serve")
	addr := r.address(t)
	_, verdict := post(t, addr, key, "/v1/actions/evaluate", map[string]any{"event": events["eligible"]})
	if _, a := post(t, addr, key, "/v1/actions/delete", map[string]any{"token": verdict["token"]}); a["outcome"] != "deleted" {
		t.Fatalf("delete: %v", a)
	}
	_, verdict = post(t, addr, key, "/v1/actions/evaluate", map[string]any{"event": events["vip"]})
	if _, a := post(t, addr, key, "/v1/actions/ticket-open", map[string]any{"token": verdict["token"], "ticketId": "INC-1"}); a["outcome"] != "opened" {
		t.Fatalf("ticket-open: %v", a)
	}
	if code := r.end(t); code != exitDone {
		t.Fatalf("serve: %d %s", code, r.stderr)
	}
	file = filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(file, []byte(r.stdout.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTheAuditTrailIsWrittenVerifiedAndRebuildsALostStore(t *testing.T) {
	central, sample := sim()
	url := redisServer(t, strong()...)
	env, key := setUp(t, url, central, "ROLLCALL_MODE=live")
	events := map[string]any{"eligible": sample["eligible"].Event, "vip": sample["vip"].Event}
	file := worked(t, env, key, events)
	whole := func(args ...string) {
		t.Helper()
		if code, out, errs := ran(t, env[1:2], append([]string{"audit", "verify"}, args...)...); code != exitDone || !strings.Contains(out, "5 entries of 1 tenants") {
			t.Errorf("audit verify %q: %d %s %s", args, code, out, errs)
		}
	}
	whole()
	whole("--audit", file)
	opt, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(opt)
	defer func() { _ = rdb.Close() }()
	rdb.FlushAll(t.Context())
	if code, _, errs := ran(t, env, "serve"); code != exitFailed || !strings.Contains(errs, "rollcall state restore --audit FILE") {
		t.Errorf("serve on a flushed store: %d %s", code, errs)
	}
	if code, out, errs := ran(t, env[1:2], "state", "restore", "--audit", file); code != exitDone || !strings.Contains(out, "restored 5 entries") {
		t.Fatalf("state restore: %d %s %s", code, out, errs)
	}
	r := start(t, env, "serve")
	addr := r.address(t)
	for label, want := range map[string]string{"eligible": "ALREADY_DELETED", "vip": "TICKET_OPEN"} {
		if _, a := post(t, addr, key, "/v1/actions/evaluate", map[string]any{"event": events[label]}); a["reasonCode"] != want {
			t.Errorf("%s: %v, want %s", label, a["reasonCode"], want)
		}
	}
	if n := central.Deletes(); n != 1 {
		t.Errorf("%d DELETEs", n)
	}
}

func TestAuditVerifyExitsWith1AtABrokenLink(t *testing.T) {
	central, sample := sim()
	env, key := setUp(t, redisServer(t, strong()...), central, "ROLLCALL_MODE=live")
	file := worked(t, env, key, map[string]any{"eligible": sample["eligible"].Event, "vip": sample["vip"].Event})
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSpace(string(b)), "\n")
	for name, text := range map[string]string{
		"nothing":  "",
		"missing":  strings.Join(append([]string{lines[0]}, lines[2:]...), ""),
		"changed":  strings.Replace(string(b), `"outcome":"deleted"`, `"outcome":"refused"`, 1),
		"no audit": `{"level":"info"}`,
		"no JSON":  "hello",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"audit", "verify"}, {"state", "restore"}} {
			if code, out, errs := ran(t, env[1:2], append(args, "--audit", file)...); code != exitFailed || out != "" || errs == "" {
				t.Errorf("%s %q: %d %s %s", args, name, code, out, errs)
			}
		}
	}
	if code, _, _ := ran(t, env[1:2], "audit", "verify", "--audit", file+".none"); code != exitUsage {
		t.Errorf("no such file: %d", code)
	}
}
