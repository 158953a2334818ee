package central

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

// purse is a budget that tests fill.
type purse struct {
	mu     sync.Mutex
	left   int // calls; negative = unlimited
	wait   time.Duration
	err    error
	booked []action.CallKind
	slowed []time.Duration
}

func (p *purse) Book(_ context.Context, _ string, kind action.CallKind, most time.Duration) (time.Duration, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.err != nil:
		return 0, false, p.err
	case p.left == 0 || p.wait > most:
		return max(p.wait, 7*time.Second), false, nil
	}
	p.left--
	p.booked = append(p.booked, kind)
	return p.wait, true, nil
}

func (p *purse) Slow(_ context.Context, _ string, d time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slowed = append(p.slowed, d)
	return nil
}

func budgeted(p *purse) func(*Options) { return func(o *Options) { o.Budget = p } }

func TestEveryCallButTheSignInIsTakenFromTheBudget(t *testing.T) {
	p := &purse{left: -1}
	r := newRig(t, nil, budgeted(p))
	if live, trouble := r.look(t.Context(), t); live.Status != policy.LiveFound {
		t.Fatalf("%+v", trouble)
	}
	if _, trouble := r.Prepare(t.Context(), dev); trouble != nil {
		t.Fatalf("%+v", trouble)
	}
	if sent := r.Delete(t.Context(), dev, r.clock().Add(2*time.Second)); sent.Kind != action.SentAccepted {
		t.Fatalf("%+v", sent)
	}
	for _, trouble := range r.Heard(t.Context(), tenantID, r.clock().Add(-time.Hour)) {
		if trouble != nil {
			t.Fatalf("%+v", trouble)
		}
	}
	calls := r.sim.Count("", "/") - r.sim.Count(http.MethodPost, tokens)
	if len(p.booked) != calls {
		t.Errorf("%d booked, %d calls", len(p.booked), calls)
	}
}

func TestASpentBudgetSendsNothingAndSaysWhenToComeAgain(t *testing.T) {
	r := newRig(t, nil, nil)
	r.Client = r.another(t, budgeted(&purse{}))
	live, trouble := r.look(t.Context(), t)
	if trouble == nil || !trouble.Limited || !trouble.Own || trouble.RetryAfter != 7*time.Second || live.RetryAfter != 7*time.Second {
		t.Errorf("%+v", trouble)
	}
	sent := r.Delete(t.Context(), dev, r.clock().Add(2*time.Second))
	if sent.Kind != action.NotSent || !sent.Trouble.Limited {
		t.Errorf("%+v", sent)
	}
	if n := r.sim.Count("", "/endpoint") + r.sim.Count("", "/whoami"); n != 0 {
		t.Errorf("%d calls", n)
	}
}

func TestABudgetThatCannotBeReadIsSpent(t *testing.T) {
	r := newRig(t, nil, budgeted(&purse{err: errors.New("redis is away")}))
	if _, trouble := r.look(t.Context(), t); trouble == nil || !trouble.Own || strings.Contains(trouble.Text, "redis") {
		t.Errorf("%+v", trouble)
	}
	if n := r.sim.Count("", "/endpoint"); n != 0 {
		t.Errorf("%d calls", n)
	}
}

func TestADeleteDoesNotWaitForItsTurnBeyondItsTime(t *testing.T) {
	p := &purse{left: -1}
	r := newRig(t, nil, budgeted(p))
	r.look(t.Context(), t)
	p.wait = 1900 * time.Millisecond
	if sent := r.Delete(t.Context(), dev, r.clock().Add(2*time.Second)); sent.Kind != action.NotSent {
		t.Errorf("%+v", sent)
	}
	if n := r.sim.Deletes(); n != 0 {
		t.Errorf("%d DELETEs", n)
	}
}

// slowly is a budget whose turns come after so long.
type slowly struct {
	purse
	r    *rig
	wait time.Duration
}

func (s *slowly) Book(ctx context.Context, client string, kind action.CallKind, most time.Duration) (time.Duration, bool, error) {
	s.r.pass(s.wait)
	return s.purse.Book(ctx, client, kind, most)
}

// A token may end while the turn of its call is waited for.
func TestNoCallBearsATokenThatEndedBeforeItsTurn(t *testing.T) {
	s := &slowly{purse: purse{left: -1}}
	r := newRig(t, func(o *centralsim.Options) { o.TokenLife = time.Minute }, func(o *Options) { o.Budget = s })
	s.r = r
	r.present(t)
	s.wait = 61 * time.Second
	r.present(t)
	r.counts(t, map[string]int{tokens: 2, devices: 2})
	if sent := r.Delete(t.Context(), dev, r.clock().Add(5*time.Minute)); sent.Kind != action.SentAccepted {
		t.Errorf("%+v, %+v", sent, sent.Trouble)
	}
	r.counts(t, map[string]int{tokens: 3, devices: 3})
}

// Whoever wakes up long after its turn would reach Central together with those whose turn it is.
func TestATurnThatWasMissedIsBookedAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		late time.Duration
		want int
	}{"missed": {time.Second, 2}, "a little late": {100 * time.Millisecond, 1}} {
		t.Run(name, func(t *testing.T) {
			s := &slowly{purse: purse{left: -1}}
			r := newRig(t, nil, func(o *Options) { o.Budget = s })
			s.r = r
			r.present(t)
			s.booked, s.wait = nil, tc.late
			r.present(t)
			if len(s.booked) != tc.want {
				t.Errorf("%d booked, want %d", len(s.booked), tc.want)
			}
			r.counts(t, map[string]int{devices: 2})
		})
	}
}

func TestA429SlowsEverybodyDown(t *testing.T) {
	for name, after := range map[string]string{"as long as Central wishes": "9", "for a time of our own": ""} {
		t.Run(name, func(t *testing.T) {
			p := &purse{left: -1}
			r := newRig(t, nil, budgeted(p))
			r.sim.Fault(centralsim.Fault{Method: http.MethodGet, Path: devices, Status: 429, RetryAfter: after, Times: centralsim.Always})
			if _, trouble := r.look(t.Context(), t); trouble == nil || !trouble.Limited {
				t.Fatalf("%+v", trouble)
			}
			if len(p.slowed) == 0 || after != "" && p.slowed[0] != 9*time.Second || slices.Max(p.slowed) > time.Minute {
				t.Errorf("slowed %v", p.slowed)
			}
		})
	}
}
