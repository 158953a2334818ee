package httpapi_test

import (
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/centralsim"
)

// ofAll reports whether a call is for a page of the inventory.
func ofAll(q url.Values) bool {
	return q.Get("pageSize") == "500" && !q.Has("hostnameContains") && !q.Has("ids")
}

// A replica's clock is ahead when it begins to read the snapshot. What it reads is whole;
// but where the next reading goes on would be told by that clock, and all who are heard
// from until then would be on no increment.
func TestReviewAClockThatWasAheadWhenTheSnapshotWasReadLeavesNoGap(t *testing.T) {
	for name, fault := range map[string]centralsim.Fault{
		"and is set right before Central answers": {Hang: true},
		"and Central does not say its own time":   {Header: http.Header{"Date": {"today"}}},
	} {
		t.Run(name, func(t *testing.T) {
			url, clock, ahead := benchRedis(t), &atomic.Int64{}, &atomic.Int64{}
			s := newSystem(t, setup{redisURL: url, sameClock: clock, snapshot: true})
			events := s.fleet(50, 20)
			ahead.Store(int64(30 * time.Minute))
			b := newSystem(t, setup{redisURL: url, sameClock: ahead, apart: -30 * time.Minute, snapshot: true, sim: s.sim, tokens: s.tokens})
			fault.Method, fault.Times, fault.When = http.MethodGet, centralsim.Always, func(r *http.Request) bool { return ofAll(r.URL.Query()) }
			lift := s.sim.Fault(fault)
			b.until("the inventory is asked for", func() bool {
				for _, e := range events {
					b.act("evaluate", map[string]any{"event": e})
				}
				for _, c := range s.sim.Journal() {
					if ofAll(c.Query) {
						return true
					}
				}
				return false
			})
			if !fault.Hang {
				s.until("it is read", func() bool { st := s.snapshotState(); return !st.At.IsZero() || !st.Failed.IsZero() })
			}
			ahead.Store(0)
			b.apart.Store(0)
			lift()
			s.until("it is read", func() bool { st := s.snapshotState(); return !st.At.IsZero() || !st.Failed.IsZero() })
			s.pass(8 * time.Minute)
			s.alive("WS-NEW-00015", 0)
			s.pass(3 * time.Minute)
			s.refreshed(events)
			s.want(s.act("evaluate", map[string]any{"event": events[15]}), "manual", "DUPLICATE_ACTIVE")
		})
	}
}
