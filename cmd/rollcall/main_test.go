package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestHelpIsThereForEveryCommand(t *testing.T) {
	for _, args := range [][]string{
		{}, {"dev"}, {"init"}, {"serve"}, {"key"}, {"key", "new"}, {"policy"}, {"policy", "check"}, {"policy", "replay"},
		{"audit"}, {"audit", "verify"}, {"state"}, {"state", "init"}, {"state", "restore"}, {"inventory"}, {"candidates"}, {"retire"}, {"pause"}, {"resume"}, {"circuit-reset"}, {"healthcheck"},
	} {
		if code, out, errs := ran(t, nil, append(args, "--help")...); code != exitDone || !strings.Contains(out, "Usage: rollcall") {
			t.Errorf("%q --help: %d %s %s", args, code, out, errs)
		}
	}
}

func TestEveryVariableHasItsFlag(t *testing.T) {
	_, help, _ := ran(t, nil, "serve", "--help")
	for name, field := range settings() {
		if isSecret(field) {
			name += "_FILE"
		}
		if !strings.Contains(help, "$"+name+"\n") {
			t.Errorf("serve has no flag for %s", name)
		}
	}
}

func TestWrongUsageExitsWith2(t *testing.T) {
	for _, args := range [][]string{
		{}, {"nonsense"}, {"key", "new"}, {"pause"}, {"dev", "--listen", "0.0.0.0:0"},
		// Whoever names a tenant does not mean all of them, whatever became of its name.
		{"resume", "--reason", "done", "--tenant", ""}, {"circuit-reset", "--reason", "done", "--tenant", " "},
	} {
		env := []string{"ROLLCALL_REDIS_URL=redis://127.0.0.1:1"}
		if code, _, errs := ran(t, env, args...); code != exitUsage || errs == "" {
			t.Errorf("%q: %d %q, want 2 and a reason", args, code, errs)
		}
	}
}

func TestAllFaultsOfTheConfigurationAreToldAtOnceAndNoSecretIs(t *testing.T) {
	code, out, errs := ran(t, []string{
		"ROLLCALL_MOOD=live", "ROLLCALL_PORT_8080_TCP=x", "ROLLCALL_SERVICE_HOST=y", "ROLLCALL_MODE=wild", "ROLLCALL_LISTEN=nowhere",
		"ROLLCALL_CENTRAL_CLIENT_SECRET=hunter2", "ROLLCALL_REDIS_URL=hunter3", "ROLLCALL_ACTION_TIMEOUT=4", "ROLLCALL_CENTRAL_LIMITS=fast",
		"ROLLCALL_CENTRAL_API_URL=http://example.test",
	}, "serve")
	if code != exitUsage {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{
		"ROLLCALL_MOOD is not a setting", "ROLLCALL_MODE", "ROLLCALL_LISTEN", "ROLLCALL_REDIS_URL", "ROLLCALL_ACTION_TIMEOUT", "ROLLCALL_CENTRAL_LIMITS",
		"ROLLCALL_POLICY_FILE is required", "ROLLCALL_API_KEYS_FILE is required", "ROLLCALL_TOKEN_KEYS is required",
		"ROLLCALL_CENTRAL_CLIENT_ID is required", "ROLLCALL_CENTRAL_API_URL",
	} {
		if !strings.Contains(errs, want) {
			t.Errorf("not told: %s\n%s", want, errs)
		}
	}
	if strings.Contains(errs+out, "hunter") || strings.Contains(errs, "ROLLCALL_PORT") || strings.Contains(errs, "ROLLCALL_SERVICE") {
		t.Errorf("told too much: %s", errs)
	}
}

func TestAKeyIsPrintedOnceWithItsEntry(t *testing.T) {
	code, out, errs := ran(t, nil, "key", "new", "--name", "soar", "--scopes", "verify,evaluate")
	if code != exitDone || !regexp.MustCompile(`sha256: [0-9a-f]{64}`).MatchString(out+errs) {
		t.Errorf("%d %s %s", code, out, errs)
	}
}

func TestPolicyCheckListsEveryFaultWithItsLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.yaml")
	if err := os.WriteFile(file, []byte("disabledOUs: [\"OU=x,DC=y\"]\ngraceDay: 1\nkeepDays: 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := ran(t, nil, "policy", "check", file)
	if code != exitFailed || !strings.Contains(out+errs, "line 2") || !strings.Contains(out+errs, "line 3") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	if err := os.WriteFile(file, []byte("disabledOUs: [\"OU=x,DC=y\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := ran(t, nil, "policy", "check", file); code != exitDone {
		t.Errorf("a good file: %d %s", code, errs)
	}
}

func TestTheStoreIsMarkedOnce(t *testing.T) {
	env := []string{"ROLLCALL_REDIS_URL=" + redisServer(t)}
	for _, want := range []string{"marked, ", "already marked, "} {
		if code, out, errs := ran(t, env, "state", "init"); code != exitDone || !strings.HasPrefix(out, want) {
			t.Errorf("state init: %d %q %s, want %q", code, out, errs, want)
		}
	}
	if code, _, errs := ran(t, []string{"ROLLCALL_REDIS_URL=unix:///nowhere"}, "state", "init"); code != exitFailed || errs == "" {
		t.Errorf("without Redis: %d %s", code, errs)
	}
}

func TestServeWalksADeviceToItsEndInLiveMode(t *testing.T) {
	central, sample := sim()
	env, key := setUp(t, redisServer(t, strong()...), central, "ROLLCALL_MODE=live")
	if code, _, errs := ran(t, env, "serve"); code != exitFailed || !strings.Contains(errs, "state init") {
		t.Fatalf("without the mark: %d %s", code, errs)
	}
	if code, _, errs := ran(t, env, "state", "init"); code != exitDone {
		t.Fatalf("state init: %s", errs)
	}
	r := start(t, env, "serve")
	addr := r.address(t)
	if got := status(t, addr, "/readyz"); got != 200 {
		t.Errorf("readyz: %d", got)
	}
	_, verdict := post(t, addr, key, "/v1/actions/evaluate", map[string]any{"event": sample["eligible"].Event})
	if verdict["outcome"] != "delete" {
		t.Fatalf("evaluate: %v", verdict)
	}
	if code, out, errs := ran(t, env[1:2], "pause", "--reason", "test", "--by", "ann"); code != exitDone || !strings.Contains(out, "paused true") {
		t.Fatalf("pause: %d %s %s", code, out, errs)
	}
	if _, a := post(t, addr, key, "/v1/actions/delete", map[string]any{"token": verdict["token"]}); a["reasonCode"] != "KILL_SWITCH" {
		t.Errorf("paused: %v", a)
	}
	if code, _, errs := ran(t, env[1:2], "resume", "--reason", "test", "--by", "ann"); code != exitDone {
		t.Fatalf("resume: %s", errs)
	}
	if _, a := post(t, addr, key, "/v1/actions/delete", map[string]any{"token": verdict["token"]}); a["outcome"] != "deleted" {
		t.Errorf("delete: %v", a)
	}
	if code := r.end(t); code != exitDone {
		t.Errorf("exit code %d: %s", code, r.stderr)
	}
	for _, secret := range []string{key, "central-secret", verdict["token"].(string)} {
		if strings.Contains(r.stderr.String()+r.stdout.String(), secret) {
			t.Errorf("the output holds a secret: %.8s...", secret)
		}
	}
}

func TestLiveModeRefusesAWeakRedisUnlessAllowed(t *testing.T) {
	central, _ := sim()
	env, _ := setUp(t, redisServer(t), central, "ROLLCALL_MODE=live")
	_, _, _ = ran(t, env, "state", "init")
	code, _, errs := ran(t, env, "serve")
	if code != exitUsage || !strings.Contains(errs, "appendonly") || !strings.Contains(errs, "appendfsync") {
		t.Errorf("%d %s", code, errs)
	}
	r := start(t, append(env, "ROLLCALL_ALLOW_WEAK_REDIS=true"), "serve")
	r.address(t)
	if code := r.end(t); code != exitDone {
		t.Errorf("allowed: %d %s", code, r.stderr)
	}
}

func TestDryRunStartsWithoutRedisAndIsNotReady(t *testing.T) {
	central, sample := sim()
	env, key := setUp(t, "unix:///nowhere/at/all", central)
	r := start(t, env, "serve")
	addr := r.address(t)
	if live, ready := status(t, addr, "/livez"), status(t, addr, "/readyz"); live != 200 || ready != 503 {
		t.Errorf("livez %d, readyz %d", live, ready)
	}
	if code, a := post(t, addr, key, "/v1/actions/evaluate", map[string]any{"event": sample["eligible"].Event}); code != 503 {
		t.Errorf("evaluate: %d %v", code, a)
	}
	for line := range strings.Lines(r.stderr.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

func TestABadPolicyOnReloadDefersLiveDeletesUntilAGoodOne(t *testing.T) {
	central, sample := sim()
	env, key := setUp(t, redisServer(t, strong()...), central, "ROLLCALL_MODE=live")
	if code, _, errs := ran(t, env, "state", "init"); code != exitDone {
		t.Fatal(errs)
	}
	file := strings.TrimPrefix(env[slices.IndexFunc(env, func(s string) bool { return strings.HasPrefix(s, "ROLLCALL_POLICY_FILE=") })], "ROLLCALL_POLICY_FILE=")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, env, "serve")
	addr := r.address(t)
	_, verdict := post(t, addr, key, "/v1/actions/evaluate", map[string]any{"event": sample["eligible"].Event})
	reload := func(policy string, logged string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
			t.Fatal(err)
		}
		before := strings.Count(r.stderr.String(), logged)
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		until(t, logged, func() bool { return strings.Count(r.stderr.String(), logged) > before })
	}
	reload("nonsense: true\n", "reload failed")
	if _, a := post(t, addr, key, "/v1/actions/delete", map[string]any{"token": verdict["token"]}); a["reasonCode"] != "POLICY_INVALID" || a["outcome"] != "deferred" {
		t.Errorf("delete under a bad policy: %v", a)
	}
	reload(string(good)+"\ngraceDays: 15\n", "reload failed") // given twice
	reload(string(good), "policy and keys reloaded")
	if _, a := post(t, addr, key, "/v1/actions/delete", map[string]any{"token": verdict["token"]}); a["outcome"] != "deleted" {
		t.Errorf("delete under a good one: %v", a)
	}
}

func TestTheLinesThatDevPrintsDoWhatTheySay(t *testing.T) {
	t.Chdir(t.TempDir())
	r := start(t, nil, "dev", "--listen", "127.0.0.1:0")
	until(t, "the lines are printed", func() bool { return strings.Contains(r.stdout.String(), "^C here ends") })
	cmd := exec.CommandContext(t.Context(), "sh", "-c", r.stdout.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var outcomes []string
	for _, m := range regexp.MustCompile(`"outcome":"([a-z_]+)"`).FindAllStringSubmatch(string(out), -1) {
		outcomes = append(outcomes, m[1])
	}
	want := []string{"inactive", "delete", "deleted", "already_deleted", "manual", "opened", "closed", "deleted"}
	if !slices.Equal(outcomes, want) {
		t.Errorf("outcomes %q, want %q\n%s", outcomes, want, out)
	}
	if n := strings.Count(string(out), ",deleted,"); n != 2 {
		t.Errorf("%d rows in the feed, want 2", n)
	}
	if code := r.end(t); code != exitDone {
		t.Errorf("exit code %d: %s", code, r.stderr)
	}
}
