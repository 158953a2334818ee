package ledger_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
	"rollcall/internal/ledger"
	"rollcall/internal/policy"
)

// The device of the tests.
var dev = action.Ref{TenantID: "c0a8f1d2-57be-4a39-8e14-2b9d6f70a5c1", EndpointID: "6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3"}

// rig is a store with a clock that tests move.
type rig struct {
	*ledger.Store
	rdb    everywhere // the same Redis, without the store
	at     ledger.Options
	offset *atomic.Int64
}

// pass lets time pass.
func (r *rig) pass(d time.Duration) { r.offset.Add(int64(d)) }

// replica is another process's store on the same Redis.
func (r *rig) replica(tb testing.TB) *rig {
	tb.Helper()
	return openAt(tb, r.at, r.offset)
}

// both runs the same body on the embedded Redis, on a real one, and in a cluster.
func both(t *testing.T, body func(t *testing.T, r *rig)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		body(t, marked(t, "redis://"+miniredis.RunT(t).Addr()))
	})
	t.Run("real", func(t *testing.T) { body(t, marked(t, realRedis(t))) })
	t.Run("cluster", func(t *testing.T) { body(t, inCluster(t)) })
}

// realRedis starts a redis-server on a socket of its own; a machine without one
// fails the test.
func realRedis(tb testing.TB, more ...string) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "ledger") //nolint:usetesting // short: the path of a socket may not be long
	if err != nil {
		tb.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.Command("redis-server", append([]string{"--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir}, more...)...)
	if err := cmd.Start(); err != nil {
		tb.Fatalf("redis-server: %v", err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	defer func() { _ = rdb.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for rdb.Ping(ctx).Err() != nil {
		if ctx.Err() != nil {
			tb.Fatal("redis-server does not answer")
		}
	}
	return "unix://" + socket
}

// open opens a store.
func open(tb testing.TB, url string, offset *atomic.Int64) *rig {
	tb.Helper()
	return openAt(tb, ledger.Options{URL: url}, offset)
}

// openAt opens a store of any kind.
func openAt(tb testing.TB, o ledger.Options, offset *atomic.Int64) *rig {
	tb.Helper()
	o.Offset = func() time.Duration { return time.Duration(offset.Load()) }
	s, err := ledger.Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	opt, err := redis.ParseURL(o.URL)
	if err != nil {
		tb.Fatal(err)
	}
	rdb := everywhere{redis.NewClient(opt)}
	if o.Cluster {
		rdb = everywhere{redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{opt.Addr}})}
	}
	tb.Cleanup(func() { _ = s.Close(); _ = rdb.Close() })
	return &rig{Store: s, rdb: rdb, at: o, offset: offset}
}

// marked opens a store and marks it.
func marked(tb testing.TB, url string) *rig {
	tb.Helper()
	return open(tb, url, new(atomic.Int64)).marked(tb)
}

// marked marks the store.
func (r *rig) marked(tb testing.TB) *rig {
	tb.Helper()
	if _, _, err := r.InitMark(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return r
}

// mark is what the steps of the tests have in common.
func mark(what string) action.Mark {
	return action.Mark{Dev: dev, Hostname: "WS-1", Action: what, Outcome: what, By: "tester", RequestID: "r", Mode: "live"}
}

// intent is an intent that nothing stands against.
func intent(token string) action.Intent {
	return action.Intent{
		Mark: mark("delete"), Owner: "me", TokenID: token, Population: 1000, Settle: 15 * time.Second,
		Limits: policy.Limits{PerDay: []int{100}, CleanDays: 3, PercentPerDay: 100}, Record: []byte(`{"id":"x"}`),
	}
}

// begin takes the lease and writes the intent.
func (r *rig) begin(tb testing.TB, in action.Intent) action.Begun {
	tb.Helper()
	if _, _, err := r.Lease(tb.Context(), in.Dev, in.Owner, time.Minute, ""); err != nil {
		tb.Fatal(err)
	}
	b, err := r.Begin(tb.Context(), in)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// settle ends a token's intent.
func (r *rig) settle(tb testing.TB, token string, as action.SettleAs) action.Receipt {
	tb.Helper()
	at, err := r.Settle(tb.Context(), action.Settlement{
		Mark: mark("delete"), Owner: "me", TokenID: token, As: as, RestoreBy: time.Now().Add(30 * 24 * time.Hour),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return at
}

// ask opens ticket t for the device.
func (r *rig) ask(tb testing.TB, ticket string) action.TicketStep {
	tb.Helper()
	step, err := r.OpenTicket(tb.Context(), action.Opening{Mark: mark("opened"), TicketID: ticket, OpenedBy: "a", Seq: 1 << 40, Claims: []byte(`{}`)})
	if err != nil {
		tb.Fatal(err)
	}
	return step
}

// decide closes ticket t.
func (r *rig) decide(tb testing.TB, ticket, decision string) action.TicketStep {
	tb.Helper()
	c := action.Closing{
		Mark: mark("closed"), TicketID: ticket, Decision: decision, DecidedBy: "b", MayChange: true,
		ApprovalID: "approval-" + ticket, ApprovalTTL: time.Hour,
	}
	if decision == "keep" {
		st := r.standing(tb, "")
		c.Keep = &policy.KeepUntil{TicketID: ticket, Until: st.Now.Add(24 * time.Hour)}
	}
	step, err := r.CloseTicket(tb.Context(), c)
	if err != nil {
		tb.Fatal(err)
	}
	return step
}

// standing reads the device.
func (r *rig) standing(tb testing.TB, token string) action.Standing {
	tb.Helper()
	st, err := r.Standing(tb.Context(), dev, token)
	if err != nil {
		tb.Fatal(err)
	}
	return st
}

// note records a step.
func (r *rig) note(tb testing.TB, n action.Note) action.Receipt {
	tb.Helper()
	n.Mark = mark("evaluate")
	at, err := r.Note(tb.Context(), n)
	if err != nil {
		tb.Fatal(err)
	}
	return at
}
