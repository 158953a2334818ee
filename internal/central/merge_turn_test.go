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
