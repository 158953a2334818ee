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

// refreshed has s read the snapshot, which is too old or not there, until it is young. The
// first ten of the events are searched for meanwhile, and the snapshot learns what is found:
// whether a reading was whole only those behind them show.
func (s *system) refreshed(events []map[string]any) {
	s.t.Helper()
	s.until("the snapshot is refreshed", func() bool {
		for _, e := range events {
			s.act("evaluate", map[string]any{"event": e})
		}
		return s.snapshotState().Young()
	})
}

// A replica whose clock is ahead by half an hour asks Central who will be heard from.
// What comes of that is no refresh of the snapshot that the others use.
func TestReviewAReplicaWhoseClockIsAheadDoesNotRefreshTheSnapshotOfTheOthers(t *testing.T) {
	url, clock, ahead := benchRedis(t), &atomic.Int64{}, &atomic.Int64{}
	s := newSystem(t, setup{redisURL: url, sameClock: clock, snapshot: true})
	events := s.fleet(50, 20)
	s.refreshed(events)
	s.pass(11 * time.Minute)
	s.alive("WS-NEW-00015", time.Minute)
	ahead.Store(int64(30*time.Minute + 11*time.Minute))
	b := newSystem(t, setup{redisURL: url, sameClock: ahead, apart: -30 * time.Minute, snapshot: true, sim: s.sim, tokens: s.tokens})
	for range 3 {
		for _, e := range events {
			b.act("evaluate", map[string]any{"event": e})
		}
	}
	_ = b.runner.Wait(t.Context())
	s.until("the other has read the snapshot", func() bool { st := s.snapshotState(); return st.Young() || !st.Failed.IsZero() })
	s.want(s.act("evaluate", map[string]any{"event": events[15]}), "manual", "DUPLICATE_ACTIVE")
}

// The store's clock stepped back while nobody asked for the snapshot. How old it is can't
// be told by that clock, so a refresh must not begin where that clock says.
func TestReviewASnapshotOfBeforeAStepBackOfTheStoresClockIsReadWithoutAGap(t *testing.T) {
	for name, back := range map[string]time.Duration{
		"to where the snapshot looks young": 35 * time.Minute, "by a part of its age": 25 * time.Minute, "by more than its age": time.Hour,
		"to before the snapshot was read first": 100 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, setup{snapshot: true})
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
// nothing: the snapshot is not refreshed by it.
func TestReviewAnAnswerThatSaysNothingRefreshesNoSnapshot(t *testing.T) {
	s := newSystem(t, setup{snapshot: true})
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
	s.until("the snapshot is read", func() bool { st := s.snapshotState(); return st.Young() || !st.Failed.IsZero() })
	s.want(s.act("evaluate", map[string]any{"event": events[15]}), "manual", "DUPLICATE_ACTIVE")
}

// Evidence from the snapshot is no younger than the snapshot: with it evaluate may not rest
// on a snapshot that it could not ask itself.
func TestReviewEvidenceIsNoYoungerThanTheSnapshotThatItComesFrom(t *testing.T) {
	s := newSystem(t, setup{snapshot: true})
	events := s.fleet(50, 20)
	s.refreshed(events)
	s.pass(4 * time.Minute)
	s.alive("WS-NEW-00003", 0)
	a := s.want(s.act("verify-live", map[string]any{"event": events[3]}), "inactive", "")
	s.pass(9 * time.Minute)
	s.want(s.act("evaluate", map[string]any{"event": events[3], "evidence": a.is("token")}), "manual", "DUPLICATE_ACTIVE")
}

// A reading whose later page announces but a fraction of what the first did has lost
// something, and is no snapshot.
func TestReviewAReadingThatAnnouncesEverFewerDevicesIsNoSnapshot(t *testing.T) {
	for name, body := range map[string]string{
		"one":  `{"items":[],"pages":{"items":1}}`,
		"none": `{"items":[],"pages":{"items":0}}`,
		"half": `{"items":[],"pages":{"items":500}}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, setup{snapshot: true})
			events := s.fleet(800, 20)
			s.alive("WS-NEW-00015", time.Minute) // behind all others, by its id
			s.sim.Fault(centralsim.Fault{
				Method: http.MethodGet, Status: http.StatusOK, Times: centralsim.Always, Body: body,
				When: func(r *http.Request) bool { return r.URL.Query().Has("pageFromKey") },
			})
			s.until("the snapshot is read", func() bool {
				for _, e := range events {
					s.act("evaluate", map[string]any{"event": e})
				}
				st := s.snapshotState()
				return st.Young() || !st.Failed.IsZero()
			})
			s.want(s.act("evaluate", map[string]any{"event": events[15]}), "manual", "DUPLICATE_ACTIVE")
		})
	}
}

// A snapshot on which the device itself does not stand is not whole for it: as a search
// that does not find it, it says nothing of its twins.
func TestReviewASnapshotWithoutTheDeviceItselfDoesNotTellOfItsTwins(t *testing.T) {
	s := newSystem(t, setup{snapshot: true})
	s.refreshed(s.fleet(50, 20))
	event := s.another(99) // somebody has restored it
	s.alive("WS-NEW-00099", time.Minute)
	s.want(s.act("evaluate", map[string]any{"event": event}), "manual", "DUPLICATE_ACTIVE")
}
