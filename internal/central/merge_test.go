package central

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

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

// A call that comes after the last who waits has given up is of use to nobody.
func TestNoCallIsBookedForATimeWhenNobodyWaitsAnyMore(t *testing.T) {
	kinds(t, func(t *testing.T, shared bool) {
		_, clients, g := gated(t, shared)
		close(g.open)
		g.wait, g.booked = 21*time.Second, nil
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // it is told at once
		defer cancel()
		if _, trouble := clients[0].Look(ctx, nth(0), time.Hour, false); trouble == nil || !trouble.Limited {
			t.Errorf("%+v", trouble)
		}
		for _, c := range clients {
			c.aside.Wait()
		}
		if len(g.booked) > 0 {
			t.Errorf("%d booked", len(g.booked))
		}
	})
}

// The time of a call does not bound what its turn is waited for.
func TestATurnIsWaitedForLongerThanACallMayTake(t *testing.T) {
	r := newRig(t, nil, nil)
	p := &purse{left: -1}
	r.Client = r.another(t, func(o *Options) {
		rolling(r)(o)
		o.Timeout, o.Budget = time.Second, p
	})
	r.look(t.Context(), t) // signed in
	p.wait, p.booked = 2500*time.Millisecond, nil
	if live, trouble := r.Look(t.Context(), dev, time.Hour, false); live.Status != policy.LiveFound || len(p.booked) != 1 {
		t.Errorf("%d booked, %+v", len(p.booked), trouble)
	}
}

// lasting is a budget whose every answer takes longer than a turn at reading lasts.
type lasting struct {
	purse
	redis *miniredis.Miniredis
}

func (l *lasting) Book(ctx context.Context, client string, kind action.CallKind, most time.Duration) (time.Duration, bool, error) {
	l.redis.FastForward(mergeSlow)
	return l.purse.Book(ctx, client, kind, most)
}

// Where a call is waited for longer than a turn at reading lasts, and nobody else has
// taken it, those who asked have their answer all the same.
func TestWhoWaitsForACallUntilItsTurnIsOverReadsAllTheSame(t *testing.T) {
	for name, tc := range map[string]struct {
		budget error
		want   policy.LiveStatus
	}{"a call comes": {nil, policy.LiveFound}, "none comes": {errors.New("no Redis"), policy.LiveFailed}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			redis := miniredis.RunT(t)
			c := sharersOn(t, r, redis, 1, nil)[0]
			lookedAt(t, r, []*Client{c}, 1) // signed in
			l := &lasting{purse: purse{left: -1, err: tc.budget}, redis: redis}
			c.budget = l
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if live, trouble := c.Look(ctx, nth(0), time.Hour, false); live.Status != tc.want || ctx.Err() != nil {
				t.Errorf("%v, want %v: %+v", live.Status, tc.want, trouble)
			}
			if tc.budget == nil && len(l.booked) != 1 {
				t.Errorf("%d booked", len(l.booked))
			}
		})
	}
}

func TestWhoseReadsAnotherMakesIsToldAtOnceWhenToComeAgain(t *testing.T) {
	_, clients, g := gated(t, true)
	ctx, giveUp := context.WithTimeout(t.Context(), 10*time.Second)
	defer giveUp()
	var work sync.WaitGroup
	work.Go(func() { _, _ = clients[0].Look(ctx, nth(0), time.Hour, false) })
	until(t, func() bool { return g.tries.Load() > 0 }) // it has the turn
	other, stop := context.WithTimeout(t.Context(), 6*time.Second)
	defer stop()
	work.Go(func() {
		live, trouble := clients[1].Look(other, nth(1), time.Hour, false)
		if trouble == nil || !trouble.Limited || live.RetryAfter != 7*time.Second {
			t.Errorf("%+v", trouble)
		}
	})
	until(t, func() bool { return waiting(clients[1:]) == 1 })
	giveUp()
	until(t, func() bool { return waiting(clients[:1]) == 0 })
	g.mu.Lock()
	g.left = 0 // a call comes in seven seconds
	g.mu.Unlock()
	close(g.open)
	work.Wait()
}

func TestAProcessThatReadsForOthersAloneDoesNotWaitLong(t *testing.T) {
	s := &sharing{tenants: map[string]*sharedLanes{tenantID: {}}}
	if till := s.patience(tenantID); till.IsZero() || time.Until(till) > mergeSlow {
		t.Errorf("it waits till %s", till)
	}
}

// A call may be taken long before it is known who is read by it: the store was slow.
func TestACallThatIsLateSinceItsReadsCameLateIsBookedAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		late time.Duration
		want int
	}{"late": {time.Second, 2}, "a little late": {100 * time.Millisecond, 1}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			p := &purse{left: -1}
			c := sharers(t, r, 1, func(_ int, s action.SharedReads) action.SharedReads {
				return handed{SharedReads: s, take: func(taken []action.AskedRead) []action.AskedRead {
					r.pass(tc.late)
					return taken
				}}
			})[0]
			lookedAt(t, r, []*Client{c}, 1) // signed in
			c.budget = p
			before := r.sim.Count(http.MethodGet, devices)
			lookedAt(t, r, []*Client{c}, 1)
			if calls := r.sim.Count(http.MethodGet, devices) - before; calls != 1 || len(p.booked) != tc.want {
				t.Errorf("%d calls, %d booked, want %d", calls, len(p.booked), tc.want)
			}
		})
	}
}

// claims counts how often a turn is asked for, and never gives one.
type claims struct {
	action.SharedReads
	n atomic.Int64
}

func (c *claims) Claim(context.Context, string, string, time.Duration) (int, bool, error) {
	c.n.Add(1)
	return 0, false, nil
}

// Who waits for a process that ends is told, or that process asks again and again
// whether its turn has come, without a pause.
func TestNobodyWaitsForAReadOfAProcessThatEnds(t *testing.T) {
	r := newRig(t, nil, nil)
	var seen claims
	c := sharers(t, r, 1, func(_ int, s action.SharedReads) action.SharedReads {
		seen.SharedReads = s
		return &seen
	})[0]
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var work sync.WaitGroup
	work.Go(func() {
		if _, trouble := c.Look(ctx, nth(0), time.Hour, false); trouble == nil || !trouble.Own || ctx.Err() != nil {
			t.Errorf("%+v, %v", trouble, ctx.Err())
		}
	})
	until(t, func() bool { return seen.n.Load() > 0 })
	c.Close()
	work.Wait()
	if n := seen.n.Load(); n > 10000 {
		t.Errorf("asked %d times", n)
	}
}
