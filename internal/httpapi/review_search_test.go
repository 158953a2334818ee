package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"rollcall/internal/centralsim"
)

// A search for devices of the same name that does not say how many there are may have
// been cut, like a read of the whole fleet: the twin in use may be on what is missing.
func TestReviewASearchThatDoesNotSayHowManyThereAreIsNotWhole(t *testing.T) {
	for _, pages := range []string{`{"size":500}`, `{"size":500,"items":0}`, `{"size":500,"items":"1x"}`} {
		s := newSystem(t, setup{})
		event := s.another(7)
		record, _ := s.sim.Get(tenant, "00000000-0000-4000-8000-000000000007")
		itself, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		token := s.want(s.act("evaluate", map[string]any{"event": event}), "delete", "").is("token")
		s.alive("WS-NEW-00007", time.Minute)
		lift := s.sim.Fault(centralsim.Fault{
			Method: http.MethodGet, Status: http.StatusOK, Times: centralsim.Always, Body: fmt.Sprintf(`{"items":[%s],"pages":%s}`, itself, pages),
			When: func(r *http.Request) bool { return r.URL.Query().Has("hostnameContains") },
		})
		s.want(s.remove(token), "deferred", "VERIFY_FAILED")
		s.want(s.act("evaluate", map[string]any{"event": event}), "skip", "VERIFY_FAILED")
		lift()
		s.want(s.remove(token), "refused", "EVIDENCE_CHANGED")
	}
}
