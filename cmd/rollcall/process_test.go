package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/internal/centralsim"
)

// actAsRollcall makes the test's own binary the program.
const actAsRollcall = "TEST_ACTS_AS_ROLLCALL"

func TestMain(m *testing.M) {
	if os.Getenv(actAsRollcall) != "" {
		main()
		return
	}
	testscript.Main(m, map[string]func(){"rollcall": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true})
}

// child is the program in a process of its own.
type child struct {
	running
	cmd *exec.Cmd
}

// launch starts the program in a process of its own; it ends with the test.
func launch(t *testing.T, environ []string, args ...string) *child {
	t.Helper()
	c := &child{running: running{stdout: &buffer{}, stderr: &buffer{}, code: make(chan int, 1)}}
	c.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], args...)
	c.cmd.Env = append(environ, actAsRollcall+"=1")
	c.cmd.Stdout, c.cmd.Stderr = c.stdout, c.stderr
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = c.cmd.Wait() // the code says it all
		c.code <- c.cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	c.stop = func() { c.signal(t, syscall.SIGTERM) }
	return c
}

func (c *child) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// held holds back Central's answer on a device until it is released.
type held struct {
	arrived chan struct{}
	release func()
}

func hold(s *centralsim.Sim) held {
	arrived, released := make(chan struct{}), make(chan struct{})
	var first sync.Once
	s.OnRequest(func(r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/endpoint/") {
			return
		}
		first.Do(func() { close(arrived) })
		<-released
	})
	return held{arrived, sync.OnceFunc(func() { close(released) })}
}

// amidst is a service in the middle of a request, which waits for Central until it is
// released; answered gets its status, outcome and error.
func amidst(t *testing.T) (c *child, addr string, h held, answered <-chan string) {
	t.Helper()
	central, sample := sim()
	h = hold(central)
	env, key := setUp(t, redisServer(t), central, "ROLLCALL_ACTION_TIMEOUT=1m", "ROLLCALL_CENTRAL_TIMEOUT=1m")
	t.Cleanup(h.release) // before the simulator is closed, which waits for its requests
	c = launch(t, env, "serve")
	addr = c.address(t)
	answer := make(chan string, 1)
	go func() {
		code, a, err := tryPost(t.Context(), addr, key, "/v1/actions/verify-live", map[string]any{"event": sample["eligible"].Event})
		answer <- fmt.Sprint(code, a["outcome"], err)
	}()
	<-h.arrived
	return c, addr, h, answer
}

func TestSIGTERMLetsARunningRequestFinishAndExitsWith0(t *testing.T) {
	c, addr, h, answered := amidst(t)
	c.signal(t, syscall.SIGTERM)
	until(t, "readyz is 503", func() bool { return status(t, addr, "/readyz") == http.StatusServiceUnavailable })
	if got := status(t, addr, "/livez"); got != http.StatusOK {
		t.Errorf("livez while it drains: %d", got)
	}
	h.release()
	if got, want := <-answered, fmt.Sprint(200, "inactive", nil); got != want {
		t.Errorf("the running request: %s, want %s", got, want)
	}
	if code := <-c.code; code != exitDone {
		t.Errorf("exit code %d: %s", code, c.stderr)
	}
}

func TestASecondSignalKills(t *testing.T) {
	for name, between := range map[string]func(t *testing.T, addr string){
		"while it drains": func(t *testing.T, addr string) {
			until(t, "readyz is 503", func() bool { return status(t, addr, "/readyz") == http.StatusServiceUnavailable })
		},
		"right behind the first": func(*testing.T, string) {},
	} {
		t.Run(name, func(t *testing.T) {
			c, addr, _, _ := amidst(t)
			c.signal(t, syscall.SIGTERM)
			between(t, addr)
			c.signal(t, os.Interrupt) // another one: two of a kind may come as one
			<-c.code
			if ws, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !ws.Signaled() || ws.Signal() != syscall.SIGTERM && ws.Signal() != syscall.SIGINT {
				t.Errorf("ended by %s, want one of the signals", c.cmd.ProcessState)
			}
		})
	}
}

func TestControlCEndsDevWith0(t *testing.T) {
	t.Chdir(t.TempDir())
	c := launch(t, nil, "dev", "--listen", "127.0.0.1:0")
	until(t, "the lines are printed", func() bool { return strings.Contains(c.stdout.String(), "^C here ends") })
	c.signal(t, os.Interrupt)
	if code := <-c.code; code != exitDone {
		t.Errorf("exit code %d: %s", code, c.stderr)
	}
}

func TestDevOnAnOpenAddressHasARandomKey(t *testing.T) {
	t.Chdir(t.TempDir())
	r := start(t, nil, "dev", "--listen", ":0", "--expose")
	until(t, "the lines are printed", func() bool { return strings.Contains(r.stdout.String(), "^C here ends") })
	if out := r.stdout.String(); strings.Contains(out, "Bearer dev'") || !strings.Contains(out, "Bearer ") {
		t.Errorf("the key is not random:\n%s", out)
	}
	if code := r.end(t); code != exitDone {
		t.Errorf("exit code %d: %s", code, r.stderr)
	}
}

func TestAnAddressThatIsTakenIsTold(t *testing.T) {
	t.Chdir(t.TempDir())
	r := start(t, nil, "dev", "--listen", "127.0.0.1:0")
	until(t, "the lines are printed", func() bool { return strings.Contains(r.stdout.String(), "^C here ends") })
	_, rest, _ := strings.Cut(r.stdout.String(), "http://")
	addr, _, _ := strings.Cut(rest, " ")
	if code, _, errs := ran(t, nil, "dev", "--listen", addr); code != exitFailed || !strings.Contains(errs, "address already in use") {
		t.Errorf("%d %s", code, errs)
	}
}
