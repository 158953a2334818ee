package httpapi_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/ledger"
)

// fleet fills the tenant: candidates, with their events, among devices in use.
func (s *system) fleet(devices, candidates int) (events []map[string]any) {
	s.t.Helper()
	for i := range candidates {
		events = append(events, s.another(i))
	}
	online, _ := s.sim.Get(tenant, s.sample["online"].ID)
	for i := candidates; i < devices; i++ {
		r := maps.Clone(online)
		r["id"], r["hostname"] = fmt.Sprintf("00000000-0000-4000-8000-%012d", i), fmt.Sprintf("WS-LIFE-%06d", i)
		r["lastSeenAt"] = s.now().Add(-time.Minute).UTC().Format("2006-01-02T15:04:05.000Z")
		s.sim.Put(tenant, r)
	}
	return events
}

// load is what a test of the snapshot measures.
type load struct {
	calls, booked, refused, retried int
	took                            time.Duration
}

// playbooks evaluates all events by so many playbooks, each coming again when it
// is told to; all must be found eligible.
func playbooks(t *testing.T, systems []*system, events []map[string]any, many int) load {
	t.Helper()
	before := len(systems[0].sim.Journal())
	var next, retried atomic.Int64
	start := time.Now()
	var work sync.WaitGroup
	for n := range many {
		s := systems[n%len(systems)]
		work.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(events) {
					return
				}
				for {
					_, a := s.call(http.MethodPost, "/v1/actions/evaluate", map[string]any{"event": events[i]})
					if a.is("outcome") == "delete" {
						break
					}
					wait, again := a["retryAfterSeconds"].(float64)
					if a.is("reasonCode") != "VERIFY_FAILED" && a.is("code") != "state_unavailable" || !again || t.Context().Err() != nil {
						t.Errorf("device %d: %v", i, a)
						break
					}
					retried.Add(1)
					s.rest(time.Duration(wait * float64(time.Second)))
				}
			}
		})
	}
	work.Wait()
	l := load{took: time.Since(start), retried: int(retried.Load())}
	for _, c := range systems[0].sim.Journal()[before:] {
		if !strings.HasSuffix(c.Path, "/token") {
			l.calls++
		}
		if c.Status == http.StatusTooManyRequests {
			l.refused++
		}
	}
	for _, s := range systems { // counted last: no call is sent before it is booked
		l.booked += int(s.booked.Load())
	}
	return l
}

// rest waits as a playbook does.
func (s *system) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.t.Context().Done():
	}
}

// strict are the stricter published limits, and the simulator's same.
func strict() []ledger.Rate {
	return []ledger.Rate{{Calls: 10, Per: time.Second}, {Calls: 100, Per: time.Minute}, {Calls: 1000, Per: time.Hour}, {Calls: 200_000, Per: 24 * time.Hour}}
}

// Many candidates of a large tenant are evaluated one by one within Central's
// limits and without a call for each. The long form, with ROLL=long, is fifty
// thousand devices and five thousand candidates, by one, two and four replicas.
func TestManyCandidatesAreEvaluatedWithoutACallForEach(t *testing.T) {
	devices, candidates, many, replicas := 3000, 400, 32, []int{1, 2}
	long := os.Getenv("ROLL") == "long"
	if long {
		devices, candidates, many, replicas = 50_000, 5_000, 64, []int{1, 2, 4}
	}
	var first load
	for _, n := range replicas {
		url, clock := benchRedis(t), &atomic.Int64{}
		systems := []*system{newSystem(t, setup{redisURL: url, sameClock: clock, rates: strict(), snapshot: true})}
		sim := systems[0].sim
		for len(systems) < n {
			systems = append(systems, newSystem(t, setup{redisURL: url, sameClock: clock, rates: strict(), snapshot: true, sim: sim, tokens: systems[0].tokens}))
		}
		events := systems[0].fleet(devices, candidates)
		sim.Switch(func(o *centralsim.Switches) { o.Rates = centralsim.StrictRates() })
		l := playbooks(t, systems, events, many)
		per := float64(l.calls) / float64(candidates)
		t.Logf("%d replicas, %d devices, %d candidates, %d playbooks: %d calls (%.3f a device), %d answered 429, %d times come again, %s; a look for each would be %d calls, %s at 1,000 an hour",
			n, devices, candidates, many, l.calls, per, l.refused, l.retried, l.took.Round(time.Second), 2*candidates, (time.Duration(2*candidates) * time.Hour / 1000).Round(time.Minute))
		if l.calls > l.booked {
			t.Errorf("%d calls, %d booked", l.calls, l.booked)
		}
		// The short form runs beside all other tests, and calls of a process that is held up
		// for longer than a window's margin reach Central at once.
		if long && l.refused > 0 {
			t.Errorf("Central refused %d calls", l.refused)
		}
		if long && per > 0.05 || per > 0.25 {
			t.Errorf("%.3f calls a device", per)
		}
		if n == 1 {
			first = l
			continue
		}
		times := float64(l.calls) / float64(first.calls)
		t.Logf("%.2f times the calls of one replica", times)
		if long && times > 1.2 { // in the short form a single call more is much
			t.Errorf("%d replicas make %.2f times the calls of one", n, times)
		}
	}
}

// The delete asks Central itself for same-named devices, whatever the snapshot says.
func TestADeleteSeesATwinThatTheSnapshotDoesNotKnow(t *testing.T) {
	s := newSystem(t, setup{snapshot: true})
	events := s.fleet(50, 20)
	playbooks(t, []*system{s}, events, 4)
	s.taken()
	a := s.want(s.act("evaluate", map[string]any{"event": events[3]}), "delete", "")
	twin, _ := s.sim.Get(tenant, s.sample["online"].ID)
	twin["id"], twin["hostname"] = "00000000-0000-4000-9000-000000000001", "WS-NEW-00003"
	s.sim.Put(tenant, twin)
	s.want(s.act("evaluate", map[string]any{"event": events[3]}), "delete", "") // the snapshot is some minutes old
	s.want(s.remove(a.is("token")), "refused", "EVIDENCE_CHANGED")
	s.want(s.act("evaluate", map[string]any{"event": events[3]}), "manual", "DUPLICATE_ACTIVE") // and tells the snapshot of it
	s.nothingSent()
}

// rolled waits until there is a snapshot.
func (s *system) taken() {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if !s.snapshotState().At.IsZero() {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal("no snapshot")
		}
		s.observed() // who asks has it read
	}
}

// A snapshot that is too old, or was never whole, answers for nobody.
func TestASnapshotThatIsTooOldIsNotAsked(t *testing.T) {
	s := newSystem(t, setup{snapshot: true})
	events := s.fleet(50, 20)
	playbooks(t, []*system{s}, events, 4)
	s.taken()
	searches := func() int {
		n := 0
		for _, c := range s.sim.Journal() {
			if c.Query.Has("hostnameContains") {
				n++
			}
		}
		return n
	}
	before := searches()
	s.want(s.observed(), "delete", "")
	if n := searches() - before; n != 0 {
		t.Errorf("%d searches beside a snapshot that is new", n)
	}
	s.pass(11 * time.Minute)
	s.want(s.observed(), "delete", "")
	if n := searches() - before; n != 1 {
		t.Errorf("%d searches beside a snapshot that is too old, want 1", n)
	}
}

// A reading of the inventory that breaks off leaves the snapshot as it was.
func TestAReadingThatBreaksOffIsNoSnapshot(t *testing.T) {
	s := newSystem(t, setup{snapshot: true})
	events := s.fleet(1200, 20)
	s.sim.Fault(centralsim.Fault{
		Method: http.MethodGet, Status: http.StatusInternalServerError, Times: centralsim.Always,
		When: func(r *http.Request) bool {
			return r.URL.Query().Has("pageFromKey") && !r.URL.Query().Has("lastSeenAfter")
		},
	})
	playbooks(t, []*system{s}, events, 4)
	if st := s.snapshotState(); !st.At.IsZero() {
		t.Errorf("%+v", st)
	}
}

// One id that Central does not have spoils nothing for those who are asked for
// with it, and is gone only by its own 404.
func TestOneThatIsGoneDoesNotSpoilTheOthers(t *testing.T) {
	s := newSystem(t, setup{snapshot: true})
	events := s.fleet(60, 40)
	playbooks(t, []*system{s}, events, 4)
	s.taken()
	s.sim.Remove(tenant, "00000000-0000-4000-8000-000000000007")
	var mu sync.Mutex
	got := map[string]int{}
	var work sync.WaitGroup
	for _, e := range events {
		work.Go(func() {
			_, a := s.call(http.MethodPost, "/v1/actions/verify-live", map[string]any{"event": e})
			mu.Lock()
			defer mu.Unlock()
			got[a.is("outcome")+" "+a.is("reasonCode")]++
		})
	}
	work.Wait()
	if got["not_found GONE_ELSEWHERE"] != 1 || got["inactive INACTIVE"] != 39 {
		t.Errorf("%v", got)
	}
	merged := slices.ContainsFunc(s.sim.Journal(), func(c centralsim.Entry) bool { return strings.Contains(c.Query.Get("ids"), ",") })
	if !merged {
		t.Error("no two were read together")
	}
}

// A device that was deleted may come back to the snapshot by a page that was asked for
// before. It has not come back to Central.
func TestADeletedDeviceThatStandsOnTheSnapshotHasNotComeBack(t *testing.T) {
	s := newSystem(t, setup{snapshot: true})
	events := s.fleet(50, 20)
	s.refreshed(events)
	was, err := s.store.Snapshots().Find(t.Context(), tenant, []action.Trait{{Sign: action.SameID, Value: "00000000-0000-4000-8000-000000000003"}})
	if err != nil || len(was.Devices) != 1 {
		t.Fatal(was, err)
	}
	s.want(s.remove(s.act("evaluate", map[string]any{"event": events[3]}).is("token")), "deleted", "")
	if err := s.store.Snapshots().Put(t.Context(), tenant, was.Devices); err != nil {
		t.Fatal(err)
	}
	s.want(s.act("evaluate", map[string]any{"event": events[3]}), "skip", "ALREADY_DELETED")
	if n := s.snapshotAs("WS-NEW-00003"); n != 0 {
		t.Errorf("%d of the name are on the snapshot", n)
	}
}

// What the snapshot shows does not say that the device can be read now: the row of its
// failed verifications goes on.
func TestTheSnapshotDoesNotEndARowOfFailures(t *testing.T) {
	s := newSystem(t, setup{snapshot: true})
	events := s.fleet(50, 20)
	s.refreshed(events)
	s.sim.Fault(centralsim.Fault{Method: http.MethodGet, Path: "/endpoint/v1/endpoints/00000000-0000-4000-8000-000000000003", Status: http.StatusBadGateway, Times: centralsim.Always})
	for n := range 3 {
		a := s.want(s.act("verify-live", map[string]any{"event": events[3]}), "unverified", "VERIFY_FAILED")
		if a["needsReview"] != (n == 2) {
			t.Errorf("failure %d: needsReview %v", n+1, a["needsReview"])
		}
		s.refreshed(events)
		s.want(s.act("evaluate", map[string]any{"event": events[3]}), "delete", "")
		s.pass(7 * time.Hour)
	}
}
