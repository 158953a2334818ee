package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/centralsim"
)

// patience bounds every wait of these tests. It is a busy machine's.
const patience = time.Minute

// buffer is a writer that may be read meanwhile.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// until waits until ok holds.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

// ran runs a command to its end.
func ran(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs buffer
	code = run(t.Context(), args, environ, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// running is a command that was started.
type running struct {
	stdout, stderr *buffer
	stop           context.CancelFunc
	code           chan int
}

// start starts a command; it is ended with the test.
func start(t *testing.T, environ []string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{stdout: &buffer{}, stderr: &buffer{}, stop: cancel, code: make(chan int, 1)}
	go func() { r.code <- run(ctx, args, environ, strings.NewReader(""), r.stdout, r.stderr) }()
	t.Cleanup(cancel)
	return r
}

// end ends the command and returns its exit code.
func (r *running) end(t *testing.T) int {
	t.Helper()
	r.stop()
	select {
	case code := <-r.code:
		return code
	case <-time.After(patience):
		t.Fatal("the command does not end")
		return 0
	}
}

// address waits for the address in the log.
func (r *running) address(t *testing.T) string {
	t.Helper()
	var addr string
	until(t, "the log line with the address", func() bool {
		for line := range strings.Lines(r.stderr.String()) {
			var l struct{ Listen string }
			if json.Unmarshal([]byte(line), &l) == nil && l.Listen != "" {
				addr = l.Listen
			}
		}
		return addr != ""
	})
	return addr
}

// redisServer starts a real redis-server; its arguments are settings.
func redisServer(t *testing.T, settings ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rollcall") //nolint:usetesting // a socket's path must be short; t.TempDir's is not
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.Command("redis-server", append([]string{"--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir}, settings...)...)
	if err := cmd.Start(); err != nil {
		t.Fatalf("redis-server: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	defer func() { _ = rdb.Close() }()
	until(t, "redis-server answers", func() bool { return rdb.Ping(t.Context()).Err() == nil })
	return "unix://" + socket
}

// strong are the settings that live mode asks for.
func strong() []string {
	return []string{"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"}
}

// setUp runs init and returns the environment that serve needs, and the playbook's key.
func setUp(t *testing.T, redisURL string, sim http.Handler, more ...string) (environ []string, key string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "conf")
	code, out, errs := ran(t, nil, "init", dir)
	if code != exitDone {
		t.Fatalf("init: %d %s", code, errs)
	}
	_, rest, _ := strings.Cut(out, "the playbook's key, shown only now: ")
	key, _, _ = strings.Cut(rest, "\n")
	fake := httptest.NewServer(sim)
	t.Cleanup(fake.Close)
	return append([]string{
		"ROLLCALL_LISTEN=127.0.0.1:0", "ROLLCALL_REDIS_URL=" + redisURL, "ROLLCALL_POLICY_FILE=" + filepath.Join(dir, "policy.yaml"),
		"ROLLCALL_API_KEYS_FILE=" + filepath.Join(dir, "keys.yaml"), "ROLLCALL_TOKEN_KEYS_FILE=" + filepath.Join(dir, "token.key"),
		"ROLLCALL_CENTRAL_CLIENT_ID=id", "ROLLCALL_CENTRAL_CLIENT_SECRET=central-secret", "ROLLCALL_CENTRAL_ID_URL=" + fake.URL,
		"ROLLCALL_CENTRAL_API_URL=" + fake.URL,
	}, more...), key
}

// sim is a simulated Central with the sample devices.
func sim() (*centralsim.Sim, map[string]centralsim.SampleDevice) {
	s := centralsim.New(centralsim.Options{ClientID: "id", ClientSecret: "central-secret", ID: centralsim.SampleTenant})
	sample := centralsim.Sample(time.Now())
	s.Load(sample)
	byCase := map[string]centralsim.SampleDevice{}
	for _, d := range sample {
		byCase[d.Case] = d
	}
	return s, byCase
}

// post calls an action.
func post(t *testing.T, addr, key, path string, body any) (int, map[string]any) {
	t.Helper()
	code, a, err := tryPost(t.Context(), addr, key, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return code, a
}

// tryPost calls an action, in any goroutine.
func tryPost(ctx context.Context, addr, key, path string, body any) (int, map[string]any, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+path, bytes.NewReader(b))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	var a map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return 0, nil, fmt.Errorf("%s: %w", path, err)
	}
	return resp.StatusCode, a, nil
}

// get asks for a path; without a key if that is empty.
func get(ctx context.Context, addr, key, path string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return 0, nil, err
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// status asks for a path without a key; 0 = no answer.
func status(t *testing.T, addr, path string) int {
	t.Helper()
	code, _, err := get(t.Context(), addr, "", path)
	if err != nil {
		return 0
	}
	return code
}
