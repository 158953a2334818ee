package central

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

// gate is a budget whose turns do not come before it is opened.
type gate struct {
	purse
	open  chan struct{}
	tries atomic.Int64
}

func (g *gate) Book(ctx context.Context, client string, kind action.CallKind, most time.Duration) (time.Duration, bool, error) {
	g.tries.Add(1)
	select {
	case <-g.open:
	case <-ctx.Done():
	}
	return g.purse.Book(ctx, client, kind, most)
}

// gated is a rig of n devices with a young snapshot, signed in, whose budget is shut.
func gated(t *testing.T, n int) (*rig, *gate) {
	t.Helper()
	r := newRig(t, nil, nil)
	r.Client = r.with(t, young(r, r.enrol(n)...))
	r.verify(t, 0, t.Context())
	r.aside.Wait() // or it would still use the budget of before
	g := &gate{purse: purse{left: -1}, open: make(chan struct{})}
	r.budget = g
	return r, g
}

// verify looks at a device as verify-live does.
func (r *rig) verify(t *testing.T, n int, ctx context.Context) looked { //nolint:revive // the test comes first
	t.Helper()
	live, trouble := r.Look(ctx, nth(n), time.Hour, action.AskDevice)
	sound(t, live, trouble)
	return looked{live, trouble}
}

// crowd looks at n devices at once.
func (r *rig) crowd(t *testing.T, n int, with func(i int) context.Context) []looked {
	t.Helper()
	out := make([]looked, n)
	var work sync.WaitGroup
	for i := range n {
		work.Go(func() { out[i] = r.verify(t, i, with(i)) })
	}
	work.Wait()
	return out
}

func (r *rig) everybody(t *testing.T, n int) []looked {
	t.Helper()
	return r.crowd(t, n, func(int) context.Context { return t.Context() })
}

func TestReadsThatArriveTogetherAreOne(t *testing.T) {
	r := newRig(t, nil, nil)
	r.Client = r.with(t, young(r, r.enrol(200)...))
	r.verify(t, 0, t.Context()) // signed in
	before := r.sim.Count(http.MethodGet, devices)
	var first sync.Once
	r.sim.OnRequest(func(*http.Request) { // the first is answered when most others wait
		first.Do(func() { until(t, func() bool { return r.waiting() >= 150 }) })
	})
	for i, l := range r.everybody(t, 200) {
		if l.live.Status != policy.LiveFound || l.live.Device.Hostname.Value != fmt.Sprintf("PC-%04d", i) || !l.live.NewestSeenAt.Known() || len(l.live.SameNamed) != 1 {
			t.Errorf("%d: %+v %+v", i, l.live, l.trouble)
		}
	}
	if n := r.sim.Count(http.MethodGet, devices) - before; n > 60 {
		t.Errorf("%d calls for 200 devices", n)
	}
}

func TestALoneReadWaitsForNoCompany(t *testing.T) {
	r := newRig(t, nil, nil)
	r.Client = r.with(t, young(r, r.enrol(20)...))
	for i := range 20 {
		r.verify(t, i, t.Context())
	}
	for _, c := range r.sim.Journal() {
		if c.Query.Has("ids") {
			t.Errorf("a read for several: %s", c.Query.Get("ids"))
		}
	}
}

func TestReadsThatComeWhileACallIsWaitedForJoinIt(t *testing.T) {
	r, g := gated(t, 30)
	before := r.sim.Count(http.MethodGet, devices)
	var work sync.WaitGroup
	for i := range 30 {
		work.Go(func() {
			if l := r.verify(t, i, t.Context()); l.live.Status != policy.LiveFound {
				t.Errorf("%d: %+v", i, l.trouble)
			}
		})
		if i == 4 { // the others come while the turn of a call is waited for
			until(t, func() bool { return g.tries.Load() > 0 })
		}
	}
	until(t, func() bool { return r.waiting() == 30 })
	close(g.open)
	work.Wait()
	if n := r.sim.Count(http.MethodGet, devices) - before; n != 1 || len(g.booked) != 1 || g.booked[0] != action.CallCheck {
		t.Errorf("%d calls for 30 devices, %v booked", n, g.booked)
	}
}

// waiting is how many reads wait.
func (r *rig) waiting() (n int) {
	r.batches.Range(func(_, kept any) bool {
		b, _ := kept.(*batch)
		b.mu.Lock()
		defer b.mu.Unlock()
		n += len(b.waiting)
		return true
	})
	return n
}

func TestWhereNoCallCanBeBookedInTimeAllAreToldAtOnceWhenToComeAgain(t *testing.T) {
	r, g := gated(t, 30)
	g.left = 0 // a call comes in seven seconds
	close(g.open)
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	before := r.sim.Count(http.MethodGet, devices)
	for i, l := range r.crowd(t, 30, func(int) context.Context { return ctx }) {
		if l.trouble == nil || !l.trouble.Limited || !l.trouble.Own || l.live.RetryAfter != 7*time.Second {
			t.Errorf("%d: %+v", i, l.trouble)
		}
	}
	if n := r.sim.Count(http.MethodGet, devices) - before; n != 0 {
		t.Errorf("%d calls", n)
	}
}

func TestACallerThatGivesUpTakesItFromNobody(t *testing.T) {
	r := newRig(t, nil, nil)
	r.Client = r.with(t, young(r, r.enrol(40)...))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for i, l := range r.crowd(t, 40, func(i int) context.Context {
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

// A call that comes after the last caller has given up is of use to nobody.
func TestNoCallIsBookedForATimeWhenNobodyWaitsAnyMore(t *testing.T) {
	r, g := gated(t, 1)
	close(g.open)
	g.wait, g.booked = 21*time.Second, nil
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // it is told at once
	defer cancel()
	if l := r.verify(t, 0, ctx); l.trouble == nil || !l.trouble.Limited {
		t.Errorf("%+v", l.trouble)
	}
	r.aside.Wait()
	if len(g.booked) > 0 {
		t.Errorf("%d booked", len(g.booked))
	}
}

// The time of a call does not bound what its turn is waited for.
func TestATurnIsWaitedForLongerThanACallMayTake(t *testing.T) {
	r := newRig(t, nil, nil)
	p := &purse{left: -1}
	b := young(r, r.enrol(1)...)
	r.Client = r.another(t, func(o *Options) { o.Snapshots, o.Timeout, o.Budget = b, time.Second, p })
	r.verify(t, 0, t.Context()) // signed in
	p.wait, p.booked = 2500*time.Millisecond, nil
	if l := r.verify(t, 0, t.Context()); l.live.Status != policy.LiveFound || len(p.booked) != 1 {
		t.Errorf("%d booked, %+v", len(p.booked), l.trouble)
	}
}

// A read that hangs holds up the next for a second only.
func TestAReadThatHangsHoldsUpNobodyForLong(t *testing.T) {
	r := newRig(t, nil, nil)
	r.Client = r.with(t, young(r, r.enrol(2)...))
	r.verify(t, 1, t.Context()) // signed in
	r.sim.Fault(centralsim.Fault{Path: devices + "/" + nth(0).EndpointID, Hang: true, Times: centralsim.Always})
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() { r.verify(t, 0, ctx) })
	until(t, func() bool { return r.sim.Count(http.MethodGet, devices+"/"+nth(0).EndpointID) > 0 })
	if l := r.verify(t, 1, t.Context()); l.live.Status != policy.LiveFound {
		t.Errorf("%+v", l.trouble)
	}
	cancel()
	work.Wait()
}

func TestACallThatIsRefusedForItsIDsIsMadeOneByOne(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusRequestURITooLong} {
		r := newRig(t, nil, nil)
		r.Client = r.with(t, young(r, r.enrol(30)...))
		r.sim.Fault(centralsim.Fault{
			Method: http.MethodGet, Path: devices, Status: status, Times: centralsim.Always,
			When: func(q *http.Request) bool { return several(q.URL.Query().Get("ids")) },
		})
		for i, l := range r.everybody(t, 30) {
			if l.live.Status != policy.LiveFound {
				t.Errorf("%d: %d: %+v", status, i, l.trouble)
			}
		}
	}
}

// A list says nothing of what is not on it: only a device's own 404 does.
func TestADeviceThatIsNotOnTheListIsReadAlone(t *testing.T) {
	r, g := gated(t, 30)
	r.sim.Remove(tenantID, nth(3).EndpointID)
	one := devices + "/" + nth(4).EndpointID
	lift := r.sim.Fault(centralsim.Fault{Method: http.MethodGet, Path: devices, Times: 1, Status: http.StatusOK, ContentType: "application/json",
		Body: `{"items":[],"pages":{"size":500}}`, When: func(q *http.Request) bool { return several(q.URL.Query().Get("ids")) }})
	defer lift()
	var work sync.WaitGroup
	for _, n := range []int{3, 4} {
		want := map[int]policy.LiveStatus{3: policy.LiveNotFound, 4: policy.LiveFound}[n]
		work.Go(func() {
			if l := r.verify(t, n, t.Context()); l.live.Status != want {
				t.Errorf("%d: %+v %+v", n, l.live, l.trouble)
			}
		})
	}
	until(t, func() bool { return r.waiting() == 2 })
	close(g.open)
	work.Wait()
	if r.sim.Count(http.MethodGet, one) != 1 {
		t.Error("the one that the list lacked was not read alone")
	}
}

func TestACallForSeveralThatFailsSaysNothingOfAnyOfThem(t *testing.T) {
	r, g := gated(t, 40)
	r.sim.Fault(centralsim.Fault{Method: http.MethodGet, Path: devices, Status: http.StatusInternalServerError, Times: centralsim.Always,
		When: func(q *http.Request) bool { return several(q.URL.Query().Get("ids")) }})
	var work sync.WaitGroup
	for i := range 40 {
		work.Go(func() {
			if l := r.verify(t, i, t.Context()); l.trouble == nil || !l.trouble.Own || !l.live.Own {
				t.Errorf("%d: %+v", i, l.trouble)
			}
		})
	}
	until(t, func() bool { return r.waiting() == 40 })
	close(g.open)
	work.Wait()
}

func TestARecordThatComesTwiceIsReadAlone(t *testing.T) {
	item := `{"id":"` + nth(0).EndpointID + `","type":"computer","tenant":{"id":"` + tenantID + `"},"hostname":"LIE"}`
	r, g := gated(t, 20)
	r.sim.Fault(centralsim.Fault{
		Method: http.MethodGet, Path: devices, Status: http.StatusOK, Body: `{"items":[` + strings.Repeat(item+",", 2) + item + `],"pages":{"size":500}}`,
		ContentType: "application/json", Times: centralsim.Always, When: func(q *http.Request) bool { return several(q.URL.Query().Get("ids")) },
	})
	var work sync.WaitGroup
	for i := range 20 {
		work.Go(func() {
			if l := r.verify(t, i, t.Context()); l.live.Device.Hostname.Value != fmt.Sprintf("PC-%04d", i) {
				t.Errorf("%d: %+v %+v", i, l.live.Device.Hostname, l.trouble)
			}
		})
	}
	until(t, func() bool { return r.waiting() == 20 })
	close(g.open)
	work.Wait()
}

// Reads that may use but little of the budget do not keep the others from their call.
func TestACallIsBookedAsTheMostEntitledOfItsReadsMay(t *testing.T) {
	for name, tt := range map[string]struct {
		kinds []action.CallKind
		want  action.CallKind
	}{
		"all spare":         {[]action.CallKind{action.CallSpare, action.CallSpare}, action.CallSpare},
		"the first a check": {[]action.CallKind{action.CallCheck, action.CallSpare}, action.CallCheck},
		"the last a check":  {[]action.CallKind{action.CallSpare, action.CallCheck}, action.CallCheck},
	} {
		b := &batch{}
		for _, kind := range tt.kinds {
			b.join(&waiter{kind: kind})
		}
		if _, kind, _ := b.next(); kind != tt.want {
			t.Errorf("%s: %s, want %s", name, kind, tt.want)
		}
	}
}

// A call that can't be booked fails nobody who came while it was tried.
func TestARefusalIsOfThoseForWhomACallWasTried(t *testing.T) {
	r, g := gated(t, 2)
	g.left = 0
	short, cancel := context.WithTimeout(t.Context(), 6*time.Second) // a call comes in seven
	defer cancel()
	var work sync.WaitGroup
	work.Go(func() {
		if l := r.verify(t, 0, short); l.trouble == nil || !l.trouble.Limited {
			t.Errorf("%+v", l.trouble)
		}
		g.mu.Lock()
		g.left = -1
		g.mu.Unlock()
	})
	until(t, func() bool { return g.tries.Load() > 0 })
	work.Go(func() {
		if l := r.verify(t, 1, t.Context()); l.live.Status != policy.LiveFound && !l.trouble.Limited {
			t.Errorf("%+v", l.trouble)
		}
	})
	until(t, func() bool { return r.waiting() == 2 })
	g.open <- struct{}{} // the first try
	until(t, func() bool { return g.tries.Load() > 1 })
	if n := r.waiting(); n != 1 {
		t.Errorf("%d wait, want the one that came since", n)
	}
	close(g.open)
	work.Wait()
}
