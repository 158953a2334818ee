package main

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// What is counted of the connections to Redis that are cut.
const (
	cutRequest = "connection to Redis cut in the middle of a request"
	cutReply   = "connection to Redis cut in the middle of a reply"
)

// cutOneIn is how many interactions with Redis pass for each that is cut.
const cutOneIn = 150

// replica is one process of two, with its own ways to Redis and to Central, on
// which it can be disturbed.
type replica struct {
	crash     *crash
	name      string
	environ   []string
	trap      trap
	disturbed atomic.Bool // connections are cut and Central goes wrong

	mu    sync.Mutex
	child *child
	addr  string
	all   []*child // also those that are gone, for what they wrote
	own   int      // ended by themselves while the store was there
}

// newReplica makes the ways of a process that is not started yet.
func newReplica(t *testing.T, c *crash, name string, environ []string) *replica {
	t.Helper()
	r := &replica{crash: c, name: name}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go r.carryRedis(ln)
	central := httptest.NewServer(r)
	t.Cleanup(func() {
		_ = ln.Close()
		central.CloseClientConnections()
		central.Close()
	})
	r.environ = slices.Concat(environ, []string{
		"ROLLCALL_MODE=live", "ROLLCALL_CENTRAL_TIMEOUT=1s", "ROLLCALL_ACTION_TIMEOUT=2s",
		"ROLLCALL_KEY_RATE=100000", "ROLLCALL_CENTRAL_LIMITS=100000/s,1000000/m,10000000/h,100000000/d",
		"ROLLCALL_REDIS_URL=redis://" + ln.Addr().String(), "ROLLCALL_CENTRAL_ID_URL=" + central.URL, "ROLLCALL_CENTRAL_API_URL=" + central.URL,
	})
	return r
}

// cuts draws whether a connection is cut here, and counts it.
func (r *replica) cuts(what string) bool {
	if !r.disturbed.Load() || !r.crash.dice.oneIn(cutOneIn) {
		return false
	}
	r.crash.tally.add(what)
	return true
}

// address is where the replica answers; empty while it is down.
func (r *replica) address() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addr
}

// up starts the process, again and again while it ends by itself: without the
// store it does not start.
func (r *replica) up(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(r.crash.ctx, time.Minute)
	defer cancel()
	for {
		c := launch(t, r.environ, "serve")
		addr := listening(ctx, c)
		r.mu.Lock()
		r.all = append(r.all, c)
		if addr != "" {
			r.child, r.addr = c, addr
		}
		r.mu.Unlock()
		if addr != "" {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("replica %s does not start: %s", r.name, c.stderr)
		}
	}
}

// listening waits for the address that a process logs; empty where it ended first.
func listening(ctx context.Context, c *child) string {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, rest, ok := strings.Cut(c.stderr.String(), `"listen":"`); ok {
			addr, _, _ := strings.Cut(rest, `"`)
			return addr
		}
		select {
		case <-ctx.Done():
			_ = c.cmd.Process.Kill()
			return ""
		case <-c.code:
			return ""
		case <-tick.C:
		}
	}
}

// kill ends the process by SIGKILL. It reports whether that is what ended it.
func (r *replica) kill() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.child == nil {
		return false
	}
	_ = r.child.cmd.Process.Kill()
	<-r.child.code
	ws, ok := r.child.cmd.ProcessState.Sys().(syscall.WaitStatus)
	killed := ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL
	if !killed {
		r.own++
	}
	r.child, r.addr = nil, ""
	return killed
}

// freeze stops the process by SIGSTOP, and returns once it stands still.
func (r *replica) freeze() bool { return r.signalled(syscall.SIGSTOP, 'T') }

// thaw lets it go on.
func (r *replica) thaw() bool { return r.signalled(syscall.SIGCONT, 0) }

// signalled sends a signal, and waits for the state that it leads to.
func (r *replica) signalled(sig syscall.Signal, state byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.child == nil || r.child.cmd.Process.Signal(sig) != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(r.crash.ctx, patience)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for state != 0 && stateOf(r.child.cmd.Process.Pid) != state {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// stateOf is the letter of a process's state.
func stateOf(pid int) byte {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return (rest + "?")[0]
}

// complaints are what no process may write: a panic, or a race.
func (r *replica) complaints() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, c := range r.all {
		for _, bad := range []string{"panic", "DATA RACE", "fatal error"} {
			if log := c.stderr.String(); strings.Contains(log, bad) {
				i := strings.Index(log, bad)
				out = append(out, log[max(0, i-200):min(len(log), i+1500)])
			}
		}
	}
	if r.own > 0 {
		out = append(out, fmt.Sprintf("replica %s ended by itself %d times", r.name, r.own))
	}
	return out
}

// crashStore is a Redis that is killed and comes back with what it wrote.
type crashStore struct {
	dir string
	mu  sync.Mutex
	cmd *exec.Cmd
}

// newStore starts the Redis; it ends with the test.
func newStore(t *testing.T) *crashStore {
	t.Helper()
	dir, err := os.MkdirTemp("", "rollcall") //nolint:usetesting // a socket's path must be short; t.TempDir's is not
	if err != nil {
		t.Fatal(err)
	}
	s := &crashStore{dir: dir}
	t.Cleanup(func() {
		s.kill()
		_ = os.RemoveAll(dir)
	})
	if err := s.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *crashStore) socket() string { return filepath.Join(s.dir, "s") }

// url is the way to the store that nothing disturbs.
func (s *crashStore) url() string { return "unix://" + s.socket() }

// start starts it on what is there, and waits until it has read that.
func (s *crashStore) start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd = exec.Command("redis-server", append([]string{"--port", "0", "--unixsocket", s.socket(), "--save", "", "--dir", s.dir}, strong()...)...)
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("redis-server: %w", err)
	}
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: s.socket()})
	defer func() { _ = rdb.Close() }()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for rdb.Ping(ctx).Err() != nil {
		if !wait(ctx, 5*time.Millisecond) {
			return fmt.Errorf("redis-server does not answer: %w", rdb.Ping(ctx).Err())
		}
	}
	return nil
}

// kill ends it by SIGKILL.
func (s *crashStore) kill() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil || s.cmd.Process == nil {
		return false
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // it says that it was killed
	ws, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus)
	s.cmd = nil
	return ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL
}

// wait waits a while; false where ctx ended meanwhile.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
