package httpapi_test

import (
	"net/http"
	"testing"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
)

// A policy that came into force while Central was asked counts for what is answered.
func TestReviewAPolicyThatIsReloadedDuringTheLookCounts(t *testing.T) {
	for name, tt := range map[string]struct {
		act           string
		change        func(r *action.Rules)
		outcome, code string
	}{
		"evaluate":    {"evaluate", func(r *action.Rules) { r.Params.VIP.Hostnames = []string{"*"} }, "manual", "VIP"},
		"verify-live": {"verify-live", func(r *action.Rules) { r.Params.InactiveDays.Computer = 10000 }, "active", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, setup{})
			lift := s.sim.Fault(centralsim.Fault{Method: http.MethodGet, Path: "/endpoint", Hang: true, Times: centralsim.Always})
			got := make(chan answer, 1)
			go func() { got <- s.act(tt.act, map[string]any{"event": s.sample["eligible"].Event}) }()
			s.until("Central is asked", func() bool {
				for _, c := range s.sim.Journal() {
					if c.Query.Has("view") {
						return true
					}
				}
				return false
			})
			s.change(tt.change)
			lift()
			s.want(<-got, tt.outcome, tt.code)
		})
	}
}
