package httpapi_test

import (
	"net/http"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
)

const tenant = centralsim.SampleTenant

// device is the eligible device's id.
func (s *system) device() string { return s.sample["eligible"].ID }

// edit changes the eligible device's record in Central.
func (s *system) edit(change func(r map[string]any)) {
	s.t.Helper()
	r, ok := s.sim.Get(tenant, s.device())
	if !ok {
		s.t.Fatal("the device is gone")
	}
	change(r)
	s.sim.Put(tenant, r)
}

// Each row spoils something between the verdict and the delete; no row may end
// in a DELETE.
func TestNothingThatChangedSinceTheVerdictIsDeleted(t *testing.T) {
	for _, tc := range []struct {
		name          string
		spoil         func(s *system)
		outcome, code string
	}{
		{"the device checked in", func(s *system) { s.sim.CheckIn(tenant, s.device(), s.now()) }, "refused", "EVIDENCE_CHANGED"},
		{"the device is online", func(s *system) { s.edit(func(r map[string]any) { r["online"] = true }) }, "refused", "EVIDENCE_CHANGED"},
		{"the device was isolated", func(s *system) {
			s.edit(func(r map[string]any) { r["isolation"] = map[string]any{"status": "isolated"} })
		}, "refused", "EVIDENCE_CHANGED"},
		{"the device has another name", func(s *system) { s.edit(func(r map[string]any) { r["hostname"] = "OTHER" }) }, "refused", "EVIDENCE_CHANGED"},
		{"the device has lost its last-seen time", func(s *system) { s.edit(func(r map[string]any) { delete(r, "lastSeenAt") }) }, "refused", "EVIDENCE_CHANGED"},
		{"the device has another user", func(s *system) {
			s.edit(func(r map[string]any) { r["associatedPerson"] = map[string]any{"viaLogin": `CORPEX\ceo`} })
		}, "refused", "EVIDENCE_CHANGED"},
		{"a device of the same name appeared", func(s *system) {
			s.edit(func(r map[string]any) {
				twin := map[string]any{"id": "00000000-0000-4000-8000-000000000001", "tenant": map[string]any{"id": tenant}, "hostname": r["hostname"], "type": "computer"}
				s.sim.Put(tenant, twin)
			})
		}, "refused", "EVIDENCE_CHANGED"},
		{"the tenant was paused", func(s *system) {
			s.call(http.MethodPost, "/v1/admin/pause", map[string]any{"tenantId": tenant, "reason": "x", "by": "ann"})
		}, "deferred", "KILL_SWITCH"},
		{"everything was paused", func(s *system) {
			s.call(http.MethodPost, "/v1/admin/pause", map[string]any{"reason": "x", "by": "ann"})
		}, "deferred", "KILL_SWITCH"},
		{"the store's mark is gone", func(s *system) { s.redis.Del("rollcall:{global}:mark") }, "refused", "TOKEN_EXPIRED"},
		{"the store was flushed", func(s *system) { s.redis.FlushAll() }, "refused", "TOKEN_EXPIRED"},
		{"the store was rolled back", func(s *system) {
			s.redis.HSet("rollcall:{"+tenant+"}:meta", "seq", "0")
			s.redis.Del("rollcall:{" + tenant + "}:audit")
		}, "deferred", "STATE_UNVERIFIED"},
		{"a new installation began", func(s *system) { _, _ = s.store.AcceptRollback(s.t.Context(), "tester") }, "refused", "TOKEN_EXPIRED"},
		{"a ticket was opened", func(s *system) {
			s.act("ticket-open", map[string]any{"token": s.eligible(), "ticketId": "INC-9"})
		}, "refused", "TICKET_OPEN"},
		{"a person said keep", func(s *system) {
			s.act("ticket-open", map[string]any{"token": s.eligible(), "ticketId": "INC-9"})
			s.decided("INC-9", "keep")
		}, "refused", "TICKET_DECIDED_KEEP"},
		{"an approval waits", func(s *system) { s.approved("INC-9", s.eligible()) }, "refused", "APPROVAL_PENDING"},
		{"the verdict is a day old", func(s *system) { s.pass(24 * time.Hour) }, "refused", "TOKEN_EXPIRED"},
		{"the policy changed", func(s *system) { s.change(func(r *action.Rules) { r.Params.InactiveDays.Computer = 300 }) }, "refused", "NOT_INACTIVE_LONG_ENOUGH"},
		{"a policy could not be loaded", func(s *system) { s.change(func(r *action.Rules) { r.Broken = true }) }, "deferred", "POLICY_INVALID"},
		{"the tenant went to dry-run", func(s *system) {
			s.change(func(r *action.Rules) { r.Params.LiveTenants = []string{centralsim.ForeignTenant} })
		}, "refused", "MODE_CHANGED"},
		{"the limit is none", func(s *system) { s.change(func(r *action.Rules) { r.Params.Limits.PerDay = []int{0} }) }, "deferred", "LIMIT_DAY"},
		{"the percentage is none", func(s *system) { s.change(func(r *action.Rules) { r.Params.Limits.PercentPerDay = 0 }) }, "deferred", "LIMIT_PERCENT"},
		{"the window is shut", func(s *system) { s.change(func(r *action.Rules) { r.Params.Window = shut() }) }, "deferred", "OUT_OF_WINDOW"},
		{"Central answers 500", func(s *system) { s.fault(centralsim.Fault{Method: "GET", Status: 500}) }, "deferred", "VERIFY_FAILED"},
		{"Central answers 403", func(s *system) { s.fault(centralsim.Fault{Method: "GET", Status: 403}) }, "deferred", "VERIFY_FAILED"},
		{"Central answers 404 in HTML", func(s *system) {
			s.fault(centralsim.Fault{Method: "GET", Status: 404, Body: "<html>", ContentType: "text/html"})
		}, "deferred", "VERIFY_FAILED"},
		{"Central cuts its answers", func(s *system) { s.fault(centralsim.Fault{Method: "GET", CutBody: true}) }, "deferred", "VERIFY_FAILED"},
		{"Central cuts connections", func(s *system) { s.fault(centralsim.Fault{Method: "GET", Drop: true}) }, "deferred", "VERIFY_FAILED"},
		{"Central allows no more calls", func(s *system) { s.fault(centralsim.Fault{Method: "GET", Status: 429, RetryAfter: "30"}) }, "deferred", "RATE_LIMITED"},
		{"Central no longer has it", func(s *system) { s.sim.Remove(tenant, s.device()) }, "gone", "GONE_ELSEWHERE"},
		{"the clocks differ", func(s *system) {
			s.fault(centralsim.Fault{Method: "GET", Header: http.Header{"Date": {s.now().Add(-time.Hour).UTC().Format(http.TimeFormat)}}})
		}, "refused", "CLOCK_SKEW"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSystem(t, setup{})
			token := s.eligible()
			tc.spoil(s)
			a := s.remove(token)
			if a.is("outcome") != tc.outcome || a.is("reasonCode") != tc.code {
				t.Errorf("delete: %s %s %q, want %s %s", a.is("outcome"), a.is("reasonCode"), a.codes(), tc.outcome, tc.code)
			}
			if n := s.sim.Deletes(); n != 0 {
				t.Errorf("%d DELETEs", n)
			}
			if (a.is("outcome") == "deferred") != (a["retryAfterSeconds"] != nil) {
				t.Errorf("retryAfterSeconds = %v for %s", a["retryAfterSeconds"], a.is("outcome"))
			}
		})
	}
}

// fault puts a fault on the endpoint routes until the test ends.
func (s *system) fault(f centralsim.Fault) {
	f.Path, f.Times = "/endpoint/", centralsim.Always
	s.sim.Fault(f)
}

func TestNoVerdictButDeleteIsDeleted(t *testing.T) {
	s := newSystem(t, setup{})
	s.change(labGroupToo)
	for label, d := range s.sample {
		if d.Verdict == "delete" {
			continue
		}
		token := s.evaluate(label).is("token")
		if token == "" {
			continue
		}
		if a := s.remove(token); a.is("outcome") != "refused" {
			t.Errorf("%s: %v", label, a)
		}
	}
	if n := s.sim.Deletes(); n != 0 {
		t.Errorf("%d DELETEs", n)
	}
}

// Each row spoils the DELETE itself; there is never a second one.
func TestWhatBecomesOfADelete(t *testing.T) {
	for _, tc := range []struct {
		name                string
		fault               centralsim.Fault
		readBack            *centralsim.Fault // of the read after the DELETE
		outcome, code       string
		later, laterOutcome string // after the time in which it must settle
	}{
		{name: "it went well", outcome: "deleted", code: "ELIGIBLE", laterOutcome: "already_deleted"},
		{name: "500 but applied", fault: centralsim.Fault{Status: 500, ApplyAnyway: true}, outcome: "deleted", code: "ELIGIBLE", laterOutcome: "already_deleted"},
		{name: "500 and still there", fault: centralsim.Fault{Status: 500}, outcome: "pending", code: "DELETE_UNCONFIRMED", laterOutcome: "failed"},
		{name: "cut and still there", fault: centralsim.Fault{Drop: true}, outcome: "pending", code: "DELETE_UNCONFIRMED", laterOutcome: "failed"},
		{name: "403", fault: centralsim.Fault{Status: 403}, outcome: "failed", code: "DELETE_FAILED", laterOutcome: "failed"},
		{name: "401 is not tried again", fault: centralsim.Fault{Status: 401}, outcome: "failed", code: "DELETE_FAILED", laterOutcome: "failed"},
		{name: "200 without deleted", fault: centralsim.Fault{Status: 200, Body: `{"deleted":false}`, ContentType: "application/json"}, outcome: "failed", code: "DELETE_FAILED", laterOutcome: "failed"},
		{name: "200 but still there", fault: centralsim.Fault{Status: 200, Body: `{"deleted":true}`, ContentType: "application/json"}, outcome: "pending", code: "DELETE_UNCONFIRMED", laterOutcome: "failed"},
		{name: "429", fault: centralsim.Fault{Status: 429, RetryAfter: "7"}, outcome: "deferred", code: "RATE_LIMITED", laterOutcome: "deferred"},
		{name: "applied, and the read-back fails", fault: centralsim.Fault{Status: 500, ApplyAnyway: true}, readBack: &centralsim.Fault{Status: 503}, outcome: "pending", code: "DELETE_UNCONFIRMED", laterOutcome: "already_deleted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSystem(t, setup{})
			token := s.eligible()
			if tc.fault.Status != 0 || tc.fault.Drop {
				tc.fault.Method, tc.fault.Path = http.MethodDelete, "/endpoint/"
				s.sim.Fault(tc.fault)
			}
			if tc.readBack != nil {
				f := *tc.readBack
				f.Method, f.Path, f.Times = http.MethodGet, "/endpoint/", centralsim.Always
				f.When = func(*http.Request) bool { return s.sim.Deletes() > 0 }
				s.sim.OnRequest(func(r *http.Request) {
					if r.Method == http.MethodDelete {
						s.sim.Fault(f)
					}
				})
				f.When = nil
			}
			a := s.remove(token)
			if a.is("outcome") != tc.outcome || a.is("reasonCode") != tc.code {
				t.Fatalf("delete: %v, want %s %s", a, tc.outcome, tc.code)
			}
			if again := s.remove(token); tc.outcome == "pending" && again.is("outcome") != "pending" {
				t.Errorf("delete again at once: %v", again)
			}
			s.sim.OnRequest(nil)
			s.sim.ClearFaults()
			s.pass(10 * time.Minute)
			if a := s.remove(token); a.is("outcome") != tc.laterOutcome {
				t.Errorf("delete later: %v, want %s", a, tc.laterOutcome)
			}
			if n := s.sim.Deletes(); n != 1 {
				t.Errorf("%d DELETEs, want 1", n)
			}
			if _, f := s.call(http.MethodGet, "/v1/failures", nil); (f["count"] != float64(0)) != (tc.laterOutcome == "failed") {
				t.Errorf("failures: %v", f)
			}
		})
	}
}

func TestTheReconcilerSettlesWhatACrashLeft(t *testing.T) {
	s := newSystem(t, setup{})
	token := s.eligible()
	s.sim.Fault(centralsim.Fault{Method: http.MethodDelete, Path: "/endpoint/", Status: 500})
	if a := s.remove(token); a.is("outcome") != "pending" {
		t.Fatalf("delete: %v", a)
	}
	if a := s.evaluate("eligible"); a.is("reasonCode") != "IN_FLIGHT" {
		t.Errorf("evaluate meanwhile: %v", a)
	}
	if err := s.runner.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := s.remove(token); a.is("outcome") != "pending" {
		t.Errorf("before its time: %v", a)
	}
	s.pass(time.Minute)
	if err := s.runner.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := s.remove(token); a.is("outcome") != "failed" {
		t.Errorf("after its time: %v", a)
	}
}

func TestTwoDeletesAtOnceAreOne(t *testing.T) {
	s := newSystem(t, setup{})
	token := s.eligible()
	done := make(chan answer, 6)
	for range cap(done) {
		go func() { done <- s.remove(token) }()
	}
	for range cap(done) {
		switch a := <-done; a.is("outcome") {
		case "deleted", "already_deleted", "pending":
		default:
			t.Errorf("delete: %v", a)
		}
	}
	if n := s.sim.Deletes(); n != 1 {
		t.Errorf("%d DELETEs, want 1", n)
	}
}

func TestAnApprovalIsUsedOnceAndWaivesNoMoreThanWasShown(t *testing.T) {
	s := newSystem(t, setup{})
	token := s.approved("INC-3", s.evaluate("vip").is("token"))
	s.sim.Fault(centralsim.Fault{Method: http.MethodDelete, Path: "/endpoint/", Status: 403})
	if a := s.remove(token); a.is("outcome") != "failed" {
		t.Fatalf("delete: %v", a)
	}
	if a := s.remove(token); a.is("outcome") != "refused" || a.is("reasonCode") != "APPROVAL_USED" {
		t.Errorf("again: %v", a)
	}
	server := s.approved("INC-4", s.evaluate("server").is("token"))
	s.change(func(r *action.Rules) { r.Params.VIP.Hostnames = []string{"*"} })
	if a := s.remove(server); a.is("outcome") != "refused" || a.is("reasonCode") != "VIP" {
		t.Errorf("a reason that was not shown: %v", a)
	}
	if n := s.sim.Deletes(); n != 1 {
		t.Errorf("%d DELETEs, want 1", n)
	}
}

func TestSilenceAndOtherDecisionsAreNeverAYes(t *testing.T) {
	s := newSystem(t, setup{})
	open := func(ticket, label string) {
		s.act("ticket-open", map[string]any{"token": s.evaluate(label).is("token"), "ticketId": ticket, "openedBy": "ann"})
	}
	open("open", "vip")
	open("kept", "server")
	s.decided("kept", "keep")
	open("no", "macos")
	s.decided("no", "none")
	for ticket, code := range map[string]string{
		"open": "TICKET_OPEN", "kept": "TICKET_DECIDED_KEEP", "no": "TICKET_UNDECIDED", "unknown": "INPUT_INVALID",
	} {
		if a := s.act("delete", map[string]any{"ticketId": ticket}); a.is("outcome") != "refused" || a.is("reasonCode") != code {
			t.Errorf("%s: %v, want %s", ticket, a, code)
		}
	}
	if a := s.act("ticket-close", map[string]any{"ticketId": "open", "decision": "delete", "decidedBy": "ann"}); a.is("reasonCode") != "SECOND_PERSON_NEEDED" {
		t.Errorf("the opener's own yes for a VIP: %v", a)
	}
	if n := s.sim.Deletes(); n != 0 {
		t.Errorf("%d DELETEs", n)
	}
}

func TestADeviceThatComesBackIsAPersonsMatterAndStopsTheTenant(t *testing.T) {
	s := newSystem(t, setup{})
	token := s.eligible()
	record, _ := s.sim.Get(tenant, s.device())
	if a := s.remove(token); a.is("outcome") != "deleted" {
		t.Fatalf("delete: %v", a)
	}
	s.sim.Put(tenant, record)
	if a := s.remove(token); a.is("outcome") != "refused" || a.is("reasonCode") != "CAME_BACK" {
		t.Errorf("delete again: %v", a)
	}
	if a := s.evaluate("eligible"); a.is("outcome") != "manual" || a.is("reasonCode") != "CAME_BACK" {
		t.Errorf("evaluate: %v", a)
	}
	if _, f := s.call(http.MethodGet, "/v1/failures", nil); f["count"] != float64(1) {
		t.Errorf("failures: %v", f)
	}
	vip := s.approved("INC-5", s.evaluate("vip").is("token"))
	if a := s.remove(vip); a.is("reasonCode") != "CIRCUIT_OPEN" {
		t.Errorf("another device of the tenant: %v", a)
	}
	if n := s.sim.Deletes(); n != 1 {
		t.Errorf("%d DELETEs, want 1", n)
	}
}

func TestASilentFleetLeavesEverythingAlone(t *testing.T) {
	s := newSystem(t, setup{})
	s.sim.Remove(tenant, s.sample["fresh"].ID)
	for label := range s.sample {
		if d := s.sample[label]; d.Want == "ACTIVE_IN_CENTRAL" || d.Want == "ACTIVE_SINCE_EVENT" || d.Want == "DUPLICATE_ACTIVE" {
			for _, r := range append([]map[string]any{d.Record}, d.Also...) {
				s.sim.Remove(tenant, r["id"].(string))
			}
		}
	}
	if a := s.evaluate("eligible"); a.is("outcome") != "skip" || a.is("reasonCode") != "FLEET_SILENT" {
		t.Errorf("evaluate: %v", a)
	}
}

func TestRedisAwayMeans503AndNothingDeleted(t *testing.T) {
	s := newSystem(t, setup{})
	token := s.eligible()
	s.redis.Close()
	for path, body := range map[string]map[string]any{
		"verify-live": {"event": s.sample["eligible"].Event}, "evaluate": {"event": s.sample["eligible"].Event},
		"delete": {"token": token}, "ticket-open": {"token": token, "ticketId": "x"},
		"ticket-close": {"ticketId": "x", "decision": "none", "decidedBy": "a"},
	} {
		if status, a := s.call(http.MethodPost, "/v1/actions/"+path, body); status != 503 || a.is("code") != "state_unavailable" {
			t.Errorf("%s: %d %v", path, status, a)
		}
	}
	if status, _ := s.call(http.MethodGet, "/readyz", nil); status != 503 {
		t.Errorf("readyz: %d", status)
	}
	if n := s.sim.Deletes(); n != 0 {
		t.Errorf("%d DELETEs", n)
	}
}

// What became of one token's DELETE says nothing of another token.
func TestAnotherTokensDeleteIsNotTakenForThisOnes(t *testing.T) {
	s := newSystem(t, setup{})
	first, second := s.eligible(), s.eligible()
	s.sim.Fault(centralsim.Fault{Method: http.MethodDelete, Path: "/endpoint/", Status: 500})
	if a := s.remove(first); a.is("outcome") != "pending" {
		t.Fatalf("the first: %v", a)
	}
	s.pass(time.Minute)
	if a := s.remove(second); a.is("outcome") != "deleted" {
		t.Errorf("the second, once the first has failed: %s %s %s", a.is("outcome"), a.is("reasonCode"), a.is("reasonsText"))
	}
	if a := s.remove(first); a.is("outcome") != "already_deleted" {
		t.Errorf("the first again: %v", a)
	}
}
