package central

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// gate is a budget whose turns do not come before it is opened.
type gate struct {
	purse
	open  chan struct{}
	tries atomic.Int64
	asked atomic.Int64 // reads of which other processes know
}

// asking counts what is asked of other processes.
type asking struct {
	action.SharedReads
	g *gate
}

func (a asking) Ask(ctx context.Context, tenant string, read action.AskedRead) error {
	err := a.SharedReads.Ask(ctx, tenant, read)
	a.g.asked.Add(1)
	return err
}

func (g *gate) Book(ctx context.Context, client string, kind action.CallKind, most time.Duration) (time.Duration, bool, error) {
	g.tries.Add(1)
	select {
	case <-g.open:
	case <-ctx.Done():
	}
	return g.purse.Book(ctx, client, kind, most)
}

// gated is a rig whose clients have a young roll, and a gate for a budget, which is
// shut: one client, or several that share their reads.
func gated(t *testing.T, shared bool) (*rig, []*Client, *gate) {
	t.Helper()
	g := &gate{purse: purse{left: -1}}
	r := newRig(t, nil, nil)
	clients := []*Client{r.another(t, rolling(r))}
	if shared {
		clients = sharers(t, r, 3, func(_ int, s action.SharedReads) action.SharedReads { return asking{s, g} })
	}
	lookedAt(t, r, clients, 1) // signed in
	g.open = make(chan struct{})
	for _, c := range clients {
		c.aside.Wait() // or it would still use the budget of before
		c.budget = g
	}
	g.asked.Store(0)
	return r, clients, g
}

// kinds runs a test for reads of one process, and for shared ones.
func kinds(t *testing.T, body func(t *testing.T, shared bool)) {
	t.Helper()
	for name, shared := range map[string]bool{"of one process": false, "of several": true} {
		t.Run(name, func(t *testing.T) { body(t, shared) })
	}
}

func TestWhoComesWhileTheLimitsLeaveNoCallJoinsTheNext(t *testing.T) {
	kinds(t, func(t *testing.T, shared bool) {
		r, clients, g := gated(t, shared)
		r.enrol(30)
		before := r.sim.Count(http.MethodGet, devices)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var work sync.WaitGroup
		for i := range 30 {
			c := clients[i%len(clients)]
			work.Go(func() {
				if live, trouble := c.Look(ctx, nth(i), time.Hour, false); live.Status != policy.LiveFound {
					t.Errorf("%d: %+v", i, trouble)
				}
			})
			if i == 4 { // the others come while the turn of a call is waited for
				until(t, func() bool { return g.tries.Load() > 0 })
			}
		}
		until(t, func() bool { return waiting(clients) == 30 && (!shared || g.asked.Load() == 30) })
		close(g.open)
		work.Wait()
		if n := r.sim.Count(http.MethodGet, devices) - before; n != 1 {
			t.Errorf("%d calls for 30 devices, want 1", n)
		}
	})
}

// until waits until ok holds.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	for !ok() && t.Context().Err() == nil {
		_ = pause(t.Context(), time.Millisecond, "")
	}
}

// waiting is how many wait for a read of a device.
func waiting(clients []*Client) (n int) {
	for _, c := range clients {
		c.merging.mu.Lock()
		for _, q := range c.merging.tenants {
			n += len(q.waiting)
		}
		c.merging.mu.Unlock()
		c.sharing.mu.Lock()
		n += len(c.sharing.waiting)
		c.sharing.mu.Unlock()
	}
	return n
}

func TestWhoCannotWaitForTheLimitsIsToldAtOnceWhenToComeAgain(t *testing.T) {
	kinds(t, func(t *testing.T, shared bool) {
		r, clients, g := gated(t, shared)
		g.left = 0
		close(g.open)
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second) // a call comes in seven
		defer cancel()
		before := r.sim.Count(http.MethodGet, devices)
		var work sync.WaitGroup
		for i := range 30 {
			c := clients[i%len(clients)]
			work.Go(func() {
				live, trouble := c.Look(ctx, nth(i), time.Hour, false)
				if trouble == nil || !trouble.Limited || !trouble.Own || live.RetryAfter != 7*time.Second {
					t.Errorf("%d: %+v", i, trouble)
				}
			})
		}
		work.Wait()
		if n := r.sim.Count(http.MethodGet, devices) - before; n != 0 {
			t.Errorf("%d calls", n)
		}
	})
}

// Who has given up is not read, and takes nothing of the budget.
func TestNoCallIsBookedForThoseWhoGaveUp(t *testing.T) {
	p := &purse{left: -1}
	r := newRig(t, nil, nil)
	c := r.another(t, func(o *Options) {
		o.Budget, o.MergeWindow = p, 300*time.Millisecond
		o.Roll = &book{state: action.RollState{At: r.clock(), Heard: r.clock(), Newest: r.clock(), Asked: rollBusy}}
	})
	if _, trouble := c.Look(t.Context(), dev, time.Hour, false); trouble != nil { // signed in
		t.Fatalf("%+v", trouble)
	}
	c.aside.Wait()
	booked := len(p.booked)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // less than others are waited for
	defer cancel()
	if _, trouble := c.Look(ctx, dev, time.Hour, false); trouble == nil || !trouble.Own {
		t.Errorf("%+v", trouble)
	}
	c.aside.Wait()
	if len(p.booked) != booked {
		t.Errorf("%d booked", len(p.booked)-booked)
	}
}
