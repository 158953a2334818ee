package httpapi_test

import (
	"maps"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/centralsim"
)

// alive puts a twin of a candidate into Central that checked in so long ago and is
// off again.
func (s *system) alive(hostname string, ago time.Duration) {
	s.t.Helper()
	r, _ := s.sim.Get(tenant, s.sample["online"].ID)
	r = maps.Clone(r)
	at := s.now().Add(-ago).UTC().Format("2006-01-02T15:04:05.000Z")
	r["id"], r["hostname"], r["online"], r["lastSeenAt"], r["registeredAt"] = twinID, hostname, false, at, at
	s.sim.Put(tenant, r)
}

// refreshed has s read the roll, which is too old or not there, until it is young. The
// first ten of the events are searched for meanwhile, and the roll learns what is found:
// whether a reading was whole only those behind them show.
func (s *system) refreshed(events []map[string]any) {
	s.t.Helper()
	s.until("the roll is refreshed", func() bool {
		for _, e := range events {
			s.act("evaluate", map[string]any{"event": e})
		}
		return s.rollState().Young()
	})
}

// A replica whose clock is ahead by half an hour asks Central who will be heard from.
// What comes of that is no refresh of the roll that the others use.
func TestReviewAReplicaWhoseClockIsAheadDoesNotRefreshTheRollOfTheOthers(t *testing.T) {
	url, clock, ahead := benchRedis(t), &atomic.Int64{}, &atomic.Int64{}
	s := newSystem(t, setup{redisURL: url, sameClock: clock, roll: true})
	events := s.fleet(50, 20)
	s.refreshed(events)
	s.pass(11 * time.Minute)
	s.alive("WS-NEW-00015", time.Minute)
	ahead.Store(int64(30*time.Minute + 11*time.Minute))
	b := newSystem(t, setup{redisURL: url, sameClock: ahead, apart: -30 * time.Minute, roll: true, sim: s.sim, tokens: s.tokens})
	for range 3 {
		for _, e := range events {
			b.act("evaluate", map[string]any{"event": e})
		}
	}
	_ = b.runner.Wait(t.Context())
	s.until("the other has read the roll", func() bool { st := s.rollState(); return st.Young() || !st.Failed.IsZero() })
	s.want(s.act("evaluate", map[string]any{"event": events[15]}), "manual", "DUPLICATE_ACTIVE")
}

// The store's clock stepped back while nobody asked for the roll. How old it is can't
// be told by that clock, so a refresh must not begin where that clock says.
func TestReviewARollOfBeforeAStepBackOfTheStoresClockIsReadWithoutAGap(t *testing.T) {
	for name, back := range map[string]time.Duration{
		"to where the roll looks young": 35 * time.Minute, "by a part of its age": 25 * time.Minute, "by more than its age": time.Hour,
		"to before the roll was read first": 100 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, setup{roll: true})
			events := s.fleet(50, 20)
			s.refreshed(events)
			s.pass(10 * time.Minute)
			s.alive("WS-NEW-00015", 0)
			s.pass(30 * time.Minute)
			s.apart.Store(int64(-back))
			s.refreshed(events)
			s.want(s.act("evaluate", map[string]any{"event": events[15]}), "manual", "DUPLICATE_ACTIVE")
		})
	}
}

// An increment that holds no device and does not say that there are none says
// nothing: the roll is not refreshed by it.
func TestReviewAnAnswerThatSaysNothingRefreshesNoRoll(t *testing.T) {
	s := newSystem(t, setup{roll: true})
	events := s.fleet(50, 20)
	s.refreshed(events)
	s.pass(11 * time.Minute)
	s.alive("WS-NEW-00015", time.Minute)
	s.sim.Fault(centralsim.Fault{
		Method: http.MethodGet, Status: http.StatusOK, Times: centralsim.Always, Body: `{"items":[],"pages":{"size":500}}`,
		When: func(r *http.Request) bool {
			return r.URL.Query().Get("lastSeenAfter") != "" && r.URL.Query().Get("sort") == "id"
		},
	})
	for range 3 {
		for _, e := range events {
			s.act("evaluate", map[string]any{"event": e})
		}
	}
	s.until("the roll is read", func() bool { st := s.rollState(); return st.Young() || !st.Failed.IsZero() })
	s.want(s.act("evaluate", map[string]any{"event": events[15]}), "manual", "DUPLICATE_ACTIVE")
}

// Evidence from the roll is no younger than the roll: with it evaluate may not rest
// on a roll that it could not ask itself.
func TestReviewEvidenceIsNoYoungerThanTheRollThatItComesFrom(t *testing.T) {
	s := newSystem(t, setup{roll: true})
	events := s.fleet(50, 20)
	s.refreshed(events)
	s.pass(4 * time.Minute)
	s.alive("WS-NEW-00003", 0)
	a := s.want(s.act("verify-live", map[string]any{"event": events[3]}), "inactive", "")
	s.pass(9 * time.Minute)
	s.want(s.act("evaluate", map[string]any{"event": events[3], "evidence": a.is("token")}), "manual", "DUPLICATE_ACTIVE")
}

// A reading whose later page announces but a fraction of what the first did has lost
// something, and is no roll.
func TestReviewAReadingThatAnnouncesEverFewerDevicesIsNoRoll(t *testing.T) {
	for name, body := range map[string]string{
		"one":  `{"items":[],"pages":{"items":1}}`,
		"none": `{"items":[],"pages":{"items":0}}`,
		"half": `{"items":[],"pages":{"items":500}}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, setup{roll: true})
			events := s.fleet(800, 20)
			s.alive("WS-NEW-00015", time.Minute) // behind all others, by its id
			s.sim.Fault(centralsim.Fault{
				Method: http.MethodGet, Status: http.StatusOK, Times: centralsim.Always, Body: body,
				When: func(r *http.Request) bool { return r.URL.Query().Has("pageFromKey") },
			})
			s.until("the roll is read", func() bool {
				for _, e := range events {
					s.act("evaluate", map[string]any{"event": e})
				}
				st := s.rollState()
				return st.Young() || !st.Failed.IsZero()
			})
			s.want(s.act("evaluate", map[string]any{"event": events[15]}), "manual", "DUPLICATE_ACTIVE")
		})
	}
}

// A roll on which the device itself does not stand is not whole for it: as a search
// that does not find it, it says nothing of its twins.
func TestReviewARollWithoutTheDeviceItselfDoesNotTellOfItsTwins(t *testing.T) {
	s := newSystem(t, setup{roll: true})
	s.refreshed(s.fleet(50, 20))
	event := s.another(99) // somebody has restored it
	s.alive("WS-NEW-00099", time.Minute)
	s.want(s.act("evaluate", map[string]any{"event": event}), "manual", "DUPLICATE_ACTIVE")
}
