package httpapi_test

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Many callers alone are no reason for VERIFY_FAILED: with the default limits and an
// inventory of one page, 200 devices of a fresh service are evaluated by 16 callers, and
// nobody is told to come again.
func TestNobodyIsToldToComeAgainWithoutNeed(t *testing.T) {
	for name, action := range map[string]struct{ path, outcome string }{"evaluate": {"evaluate", "delete"}, "verify-live": {"verify-live", "inactive"}} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, setup{rates: strict(), snapshot: true})
			events := s.fleet(300, 200)
			var next atomic.Int64
			var work sync.WaitGroup
			for range 16 {
				work.Go(func() {
					for i := next.Add(1) - 1; i < int64(len(events)); i = next.Add(1) - 1 {
						_, a := s.call(http.MethodPost, "/v1/actions/"+action.path, map[string]any{"event": events[i]})
						if a.is("outcome") != action.outcome {
							t.Errorf("device %d: %s %s %s", i, a.is("outcome"), a.is("reasonCode"), a.is("reasonsText"))
						}
					}
				})
			}
			work.Wait()
			t.Logf("%d calls to Central", len(s.sim.Journal()))
		})
	}
}

// BenchmarkVerifyInARow verifies devices one after another, with wide limits. The figure
// is what one takes beyond Central's own time, at the median.
//
//	go test -run '^$' -bench VerifyInARow -benchtime 1000x ./internal/httpapi
func BenchmarkVerifyInARow(b *testing.B) {
	const own = 50 * time.Millisecond // Central's, for each call
	s := newSystem(b, setup{redisURL: benchRedis(b), rates: roomy(), snapshot: true})
	events := s.fleet(1100, 1000)
	s.refreshed(events[:20])
	s.sim.OnRequest(func(*http.Request) { s.rest(own) })
	defer s.sim.OnRequest(nil)
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		begun := time.Now()
		if a := s.act("verify-live", map[string]any{"event": events[i%len(events)]}); a.is("outcome") != "inactive" {
			b.Fatal(a)
		}
		took = append(took, time.Since(begun)-own)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms/median")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms/p99")
	b.ReportMetric(0, "ns/op")
}
