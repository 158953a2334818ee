package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
)

// hush lets Central have heard from nobody lately, until it is woken.
func (s *system) hush() (wake func()) {
	s.t.Helper()
	return s.sim.Fault(centralsim.Fault{
		Method: http.MethodGet, Path: "/endpoint/", Times: centralsim.Always, Status: http.StatusOK, ContentType: "application/json",
		Body: `{"items":[],"pages":{"size":0,"maxSize":500}}`,
		When: func(r *http.Request) bool { return r.URL.Query().Has("lastSeenAfter") },
	})
}

// observed is the eligible device's event as a search of now would give it.
func (s *system) observed() answer {
	s.t.Helper()
	e := s.sample["eligible"].Event
	e["observedAt"] = s.now().UTC().Format(time.RFC3339)
	return s.act("evaluate", map[string]any{"event": e})
}

// After a silence nothing is deleted for as long as it lasted: what Central did
// not hear of meanwhile may still be on its way.
func TestAfterASilenceOfTheFleetItMustBeHeardAsLongBeforeAnythingIsDeleted(t *testing.T) {
	s := newSystem(t, setup{})
	token := s.observed().is("token")
	wake := s.hush()
	s.pass(2 * time.Minute) // a sign of life is believed for a minute
	s.want(s.observed(), "skip", "FLEET_SILENT")
	s.want(s.remove(token), "deferred", "FLEET_SILENT")
	s.pass(5 * time.Hour)
	s.want(s.observed(), "skip", "FLEET_SILENT")
	wake()
	a := s.want(s.observed(), "skip", "FLEET_SILENT") // heard again, after an hour unseen and five seen
	if wait, _ := a["retryAfterSeconds"].(float64); wait < 5*3600 || wait > 7*3600 {
		t.Errorf("retryAfterSeconds = %v, want about six hours", a["retryAfterSeconds"])
	}
	s.pass(3 * time.Hour)
	s.want(s.observed(), "skip", "FLEET_SILENT")
	s.want(s.remove(token), "deferred", "FLEET_SILENT")
	s.pass(3*time.Hour + 10*time.Minute)
	s.want(s.observed(), "delete", "")
	if n := s.sim.Deletes(); n != 0 {
		t.Errorf("%d DELETEs", n)
	}
}

// crowd lets n eligible devices be evaluated.
func (s *system) crowd(from, n int) (last answer) {
	s.t.Helper()
	for i := range n {
		e := s.another(from + i)
		e["observedAt"] = s.now().UTC().Format(time.RFC3339)
		last = s.want(s.act("evaluate", map[string]any{"event": e}), "delete", "")
	}
	return last
}

func TestADayWithFarMoreEligibleDevicesOpensTheCircuit(t *testing.T) {
	reset := func(s *system) {
		s.call(http.MethodPost, "/v1/admin/circuit-reset", map[string]any{"tenantId": tenant, "reason": "looked into", "by": "ann"})
	}
	for _, tc := range []struct {
		name          string
		mode          string
		before, today int
		reset         bool
		open          bool
	}{
		{name: "eight devices on the busiest day of the week and twenty-five today", before: 8, today: 25, open: true},
		{name: "eight and twenty-four", before: 8, today: 24},
		{name: "two and twenty: too few to tell", before: 2, today: 20},
		{name: "two and twenty-one", before: 2, today: 21, open: true},
		{name: "nothing before: nothing to compare with", before: 0, today: 40},
		{name: "a person has looked into it", before: 8, today: 25, reset: true},
		{name: "in dry-run nothing can be deleted", mode: action.DryRun, before: 8, today: 25},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSystem(t, setup{mode: tc.mode})
			s.crowd(0, tc.before)
			s.crowd(0, tc.before) // the same devices again are no more devices
			s.pass(24 * time.Hour)
			token := s.crowd(1000, tc.today).is("token")
			if tc.reset {
				reset(s)
				token = s.crowd(2000, 5).is("token")
			}
			a := s.remove(token)
			if got := a.is("reasonCode") == "CIRCUIT_OPEN"; got != tc.open {
				t.Errorf("delete: %s %s", a.is("outcome"), a.is("summary"))
			}
			_, trail := s.raw(http.MethodGet, "/v1/audit?tenantId="+tenant, nil)
			if got := strings.Contains(string(trail), `"circuitOpened":"`); got != (tc.open || tc.reset) {
				t.Errorf("the audit trail says that it opened: %t", got)
			}
		})
	}
}

// Somebody enables the account of a device again that was deleted as retired: it
// is probably in use, and unprotected.
func TestAnAccountEnabledAgainAfterTheDeleteIsAComeBack(t *testing.T) {
	s := newSystem(t, setup{})
	event := s.sample["eligible"].Event
	s.want(s.remove(s.eligible()), "deleted", "")
	s.want(s.act("evaluate", map[string]any{"event": event}), "skip", "ALREADY_DELETED")
	directory := event["directory"].(map[string]any)
	directory["enabled"] = true
	event["observedAt"] = s.now().Add(-time.Hour).UTC().Format(time.RFC3339)
	s.want(s.act("evaluate", map[string]any{"event": event}), "skip", "ALREADY_DELETED") // what it said before the delete
	s.pass(time.Hour)
	event["observedAt"] = s.now().UTC().Format(time.RFC3339)
	a := s.want(s.act("evaluate", map[string]any{"event": event}), "manual", "CAME_BACK")
	if !a["needsReview"].(bool) {
		t.Error("no person is asked for")
	}
	_, failures := s.call(http.MethodGet, "/v1/failures", nil)
	items, _ := failures["items"].([]any)
	if len(items) != 1 {
		t.Fatalf("failures: %v", failures)
	}
	item := items[0].(map[string]any)
	if text, _ := item["text"].(string); item["kind"] != "come-back" || !strings.Contains(text, "enabled again") || !strings.Contains(text, "Central can restore it until") {
		t.Errorf("failure: %v", item)
	}
	directory["enabled"] = false
	s.want(s.remove(s.act("evaluate", map[string]any{"event": s.another(1)}).is("token")), "deferred", "CIRCUIT_OPEN")
}

func TestAnAccountEnabledAgainIsNoComeBackOfADeviceThatWasNotDeleted(t *testing.T) {
	s := newSystem(t, setup{})
	event := s.sample["eligible"].Event
	event["directory"].(map[string]any)["enabled"] = true
	s.want(s.act("evaluate", map[string]any{"event": event}), "keep", "DIRECTORY_ENABLED")
	s.sim.Fault(centralsim.Fault{Method: "GET", Path: "/endpoint/", Status: 404, Times: 1})
	if _, failures := s.call(http.MethodGet, "/v1/failures", nil); len(failures["items"].([]any)) != 0 {
		t.Errorf("failures: %v", failures)
	}
}

// A playbook sends evaluate again with the evidence it has: that is from before
// the delete, and shows nothing that came back.
func TestEvidenceFromBeforeTheDeleteShowsNoComeBack(t *testing.T) {
	s := newSystem(t, setup{})
	event := s.sample["eligible"].Event
	in := map[string]any{"event": event, "evidence": s.act("verify-live", map[string]any{"event": event}).is("token")}
	s.want(s.remove(s.want(s.act("evaluate", in), "delete", "").is("token")), "deleted", "")
	s.want(s.act("evaluate", in), "skip", "ALREADY_DELETED")
	if _, failures := s.call(http.MethodGet, "/v1/failures", nil); len(failures["items"].([]any)) != 0 {
		t.Errorf("failures: %v", failures)
	}
}
