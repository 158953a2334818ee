package central

import (
	"context"
	"errors"
	"fmt"
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

// book is a roll of the tests, in memory.
type book struct {
	action.Roll
	mu    sync.Mutex
	state action.RollState // read now, if it does not say when
	named []policy.Device
	gone  []string // ids that were taken off
}

func (b *book) Forget(ctx context.Context, dev action.Ref) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone = append(b.gone, dev.EndpointID)
	b.named = slices.DeleteFunc(b.named, func(d policy.Device) bool { return d.ID.Value == dev.EndpointID })
	return nil
}

func (b *book) Learn(_ context.Context, _ string, devices []policy.Device) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.named = append(b.named, devices...)
	return nil
}

func (b *book) Named(_ context.Context, _, hostname string) (action.RollState, []policy.Device, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	st := b.state
	if st.Now.IsZero() {
		st.Now = st.At
	}
	return st, append(itself(hostname), b.named...), nil
}

// itself is the device of the tests that has a name, as a roll has it.
func itself(hostname string) []policy.Device {
	n := 0
	if _, err := fmt.Sscanf(hostname, "PC-%04d", &n); err == nil {
		return []policy.Device{{ID: policy.Is(nth(n).EndpointID), Hostname: policy.Is(hostname)}}
	}
	return []policy.Device{{ID: policy.Is(deviceID), Hostname: policy.Is(hostname)}}
}

// crowd puts n devices into Central and looks at all at once, through a young roll.
func crowd(t *testing.T, r *rig, n int, before func(i int) context.Context) []looked {
	t.Helper()
	out := make([]looked, n)
	r.enrol(n)
	var work sync.WaitGroup
	for i := range n {
		work.Go(func() {
			out[i].live, out[i].trouble = r.Look(before(i), nth(i), time.Hour, false)
		})
	}
	work.Wait()
	return out
}

func rolling(r *rig) func(*Options) {
	return func(o *Options) {
		o.Roll = &book{state: action.RollState{At: r.clock(), Heard: r.clock(), Newest: r.clock(), Asked: 1}}
	}
}

func TestReadsThatArriveTogetherAreOne(t *testing.T) {
	r := newRig(t, nil, nil)
	r.Client = r.another(t, rolling(r))
	r.look(t.Context(), t) // signed in
	before := r.sim.Count(http.MethodGet, devices)
	for i, l := range crowd(t, r, 200, func(int) context.Context { return t.Context() }) {
		if l.live.Status != policy.LiveFound || l.live.Device.Hostname.Value != fmt.Sprintf("PC-%04d", i) || !l.live.NewestSeenAt.Known() || len(l.live.SameNamed) != 1 {
			t.Errorf("%d: %+v %+v", i, l.live, l.trouble)
		}
	}
	if n := r.sim.Count(http.MethodGet, devices) - before; n > 20 {
		t.Errorf("%d calls for 200 devices", n)
	}
}

func TestOneWhoGivesUpTakesItFromNobody(t *testing.T) {
	r := newRig(t, nil, nil)
	r.Client = r.another(t, rolling(r))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for i, l := range crowd(t, r, 40, func(i int) context.Context {
		if i%4 == 0 {
			return gone
		}
		return t.Context()
	}) {
		if want := i%4 != 0; (l.live.Status == policy.LiveFound) != want {
			t.Errorf("%d: %+v", i, l.trouble)
		}
	}
}

func TestACallOfTooManyIdsIsHalved(t *testing.T) {
	r := newRig(t, nil, nil)
	r.Client = r.another(t, rolling(r))
	r.sim.Fault(centralsim.Fault{
		Method: http.MethodGet, Path: devices, Status: http.StatusBadRequest, Times: centralsim.Always,
		When: func(q *http.Request) bool { return strings.Count(q.URL.Query().Get("ids"), ",") >= 10 },
	})
	for i, l := range crowd(t, r, 100, func(int) context.Context { return t.Context() }) {
		if l.live.Status != policy.LiveFound {
			t.Errorf("%d: %+v", i, l.trouble)
		}
	}
	if most := r.merging.tenants[tenantID].most; most > 10 {
		t.Errorf("still %d in a call", most)
	}
}

func TestWhoIsNotOnTheListIsAskedForAlone(t *testing.T) {
	r := newRig(t, nil, nil)
	r.Client = r.another(t, rolling(r))
	r.sim.OnRequest(func(q *http.Request) {
		if q.URL.Query().Has("ids") {
			r.sim.Remove(tenantID, nth(3).EndpointID)
		}
	})
	out := crowd(t, r, 30, func(int) context.Context { return t.Context() })
	if out[3].live.Status != policy.LiveNotFound && out[3].live.Status != policy.LiveFound { // found where it was read first
		t.Errorf("%+v %+v", out[3].live, out[3].trouble)
	}
	r.sim.OnRequest(nil)
	again, trouble := r.Look(t.Context(), nth(3), time.Hour, false)
	if again.Status != policy.LiveNotFound || trouble != nil {
		t.Errorf("%+v %+v", again, trouble)
	}
}

func TestARollAnswersOnlyWhileItIsYoung(t *testing.T) {
	for name, c := range map[string]struct {
		age  time.Duration
		want int // searches
	}{"new": {0, 0}, "ten minutes": {10 * time.Minute, 0}, "older": {10*time.Minute + time.Second, 1}, "of a wrong clock": {-6 * time.Minute, 1}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			r.Client = r.another(t, func(o *Options) {
				o.Roll = &book{state: action.RollState{Now: r.clock(), At: r.clock().Add(-c.age), Heard: r.clock().Add(-c.age), Newest: r.clock(), Asked: 1}}
			})
			if live, trouble := r.Look(t.Context(), dev, time.Hour, false); live.Status != policy.LiveFound {
				t.Fatalf("%+v", trouble)
			}
			n := 0
			for _, e := range r.sim.Journal() {
				if e.Query.Has("hostnameContains") {
					n++
				}
			}
			if n != c.want {
				t.Errorf("%d searches, want %d", n, c.want)
			}
		})
	}
}

func TestWhileARollIsReadManyAreToldToComeAgain(t *testing.T) {
	r := newRig(t, nil, nil)
	b := &busy{}
	r.Client = r.another(t, func(o *Options) { o.Roll = b })
	b.state = action.RollState{Asked: rollWorth, Ready: 42 * time.Second}
	live, trouble := r.Look(t.Context(), dev, time.Hour, false)
	if live.Status != policy.LiveFailed || trouble == nil || !trouble.Own || trouble.RetryAfter != 42*time.Second {
		t.Errorf("%+v %+v", live, trouble)
	}
	b.state.Failed = r.clock()
	if live, trouble := r.Look(t.Context(), dev, time.Hour, false); live.Status != policy.LiveFound {
		t.Errorf("after a reading that failed Central is asked itself: %+v", trouble)
	}
	b.state = action.RollState{Asked: rollWorth - 1}
	if live, trouble := r.Look(t.Context(), dev, time.Hour, false); live.Status != policy.LiveFound {
		t.Errorf("few who ask need no roll: %+v", trouble)
	}
}

// busy is a roll that another process reads.
type busy struct{ book }

func (*busy) BeginReading(context.Context, string, string, time.Time, time.Duration) (time.Time, bool, error) {
	return time.Time{}, false, nil
}

// several matches a call for more than one device.
func several(q *http.Request) bool { return strings.Contains(q.URL.Query().Get("ids"), ",") }

func TestACallForManyThatFailsSaysNothingOfAnyOfThem(t *testing.T) {
	r := newRig(t, nil, nil)
	r.Client = r.another(t, rolling(r))
	r.sim.Fault(centralsim.Fault{Method: http.MethodGet, Path: devices, Status: http.StatusInternalServerError, Times: centralsim.Always, When: several})
	failed := 0
	for i, l := range crowd(t, r, 40, func(int) context.Context { return t.Context() }) {
		if l.trouble == nil {
			continue
		}
		if failed++; !l.trouble.Own || !l.live.Own {
			t.Errorf("%d: %+v", i, l.trouble)
		}
	}
	if failed == 0 {
		t.Error("no call for many was made")
	}
}

func TestARecordThatComesTwiceIsReadAlone(t *testing.T) {
	item := `{"id":"` + nth(0).EndpointID + `","type":"computer","tenant":{"id":"` + tenantID + `"},"hostname":"LIE"}`
	r := newRig(t, nil, nil)
	r.Client = r.another(t, rolling(r))
	r.sim.Fault(centralsim.Fault{
		Method: http.MethodGet, Path: devices, Status: http.StatusOK, Body: `{"items":[` + item + "," + item + "," + item + `],"pages":{"size":500}}`,
		ContentType: "application/json", Times: centralsim.Always, When: several,
	})
	for i, l := range crowd(t, r, 20, func(int) context.Context { return t.Context() }) {
		if l.live.Device.Hostname.Value != fmt.Sprintf("PC-%04d", i) {
			t.Errorf("%d: %+v %+v", i, l.live.Device.Hostname, l.trouble)
		}
	}
}
