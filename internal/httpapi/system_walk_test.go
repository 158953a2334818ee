package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/internal/centralsim"
)

func TestEverySampleDeviceGetsItsVerdict(t *testing.T) {
	s := newSystem(t, setup{})
	s.change(labGroupToo)
	for label, d := range s.sample {
		a := s.act("evaluate", map[string]any{"event": d.Event})
		if a.is("outcome") != d.Verdict || a.is("reasonCode") != d.Want {
			t.Errorf("%s: %s %s %q, want %s %s", label, a.is("outcome"), a.is("reasonCode"), a.codes(), d.Verdict, d.Want)
		}
	}
	if n := s.sim.Deletes(); n != 0 {
		t.Errorf("%d DELETEs", n)
	}
}

func TestTheWalkFromARowToASettledOutcome(t *testing.T) {
	s := newSystem(t, setup{})
	event := s.sample["eligible"].Event
	seen := s.act("verify-live", map[string]any{"event": event})
	if seen.is("outcome") != "inactive" || seen["device"] == nil {
		t.Fatalf("verify-live: %v", seen)
	}
	verdict := s.act("evaluate", map[string]any{"event": event, "evidence": seen.is("token")})
	if verdict.is("outcome") != "delete" || verdict.is("next") != "delete" {
		t.Fatalf("evaluate: %v", verdict)
	}
	for _, want := range []string{"deleted", "already_deleted"} {
		if a := s.remove(verdict.is("token")); a.is("outcome") != want || a["deleted"] != true {
			t.Fatalf("delete: %v, want %s", a, want)
		}
	}
	if a := s.evaluate("eligible"); a.is("reasonCode") != "ALREADY_DELETED" || a["deleted"] != true {
		t.Errorf("evaluate afterwards: %v", a)
	}
	vip := s.evaluate("vip")
	token := s.approved("INC-1", vip.is("token"))
	if a := s.evaluate("vip"); a.is("reasonCode") != "APPROVAL_PENDING" {
		t.Errorf("evaluate under an approval: %v", a)
	}
	if a := s.act("delete", map[string]any{"ticketId": "INC-1"}); a.is("outcome") != "deleted" {
		t.Errorf("delete by ticket: %v", a)
	}
	if a := s.remove(token); a.is("outcome") != "already_deleted" {
		t.Errorf("delete by the ticket's token: %v", a)
	}
	if n := s.sim.Deletes(); n != 2 {
		t.Errorf("%d DELETEs, want 2", n)
	}
	_, csv := s.raw(http.MethodGet, "/v1/exclusions?format=csv", nil)
	if lines := strings.Count(string(csv), "\n"); lines != 3 || !strings.Contains(string(csv), "WS-FIN-0427,deleted,") {
		t.Errorf("exclusions: %s", csv)
	}
}

func TestDryRunDoesAllButTheCall(t *testing.T) {
	s := newSystem(t, setup{mode: "dry-run"})
	a := s.remove(s.eligible())
	if a.is("outcome") != "would_delete" || a.is("mode") != "dry-run" || a["deleted"] != false || s.sim.Deletes() != 0 {
		t.Errorf("delete: %v, %d DELETEs", a, s.sim.Deletes())
	}
}

func TestDryRunAndLiveDecideAlike(t *testing.T) {
	dry, live := newSystem(t, setup{mode: "dry-run"}), newSystem(t, setup{})
	for label := range live.sample {
		if label == "verify-failed" {
			continue // its fault strikes once
		}
		a, b := dry.evaluate(label), live.evaluate(label)
		if a.is("outcome") != b.is("outcome") || strings.Join(a.codes(), " ") != strings.Join(b.codes(), " ") {
			t.Errorf("%s: dry-run %s %q, live %s %q", label, a.is("outcome"), a.codes(), b.is("outcome"), b.codes())
		}
	}
}

func TestATenantThatIsNotLiveStaysInDryRun(t *testing.T) {
	s := newSystem(t, setup{})
	p := s.rules.Load()
	p.Params.LiveTenants = []string{centralsim.ForeignTenant}
	if a := s.remove(s.eligible()); a.is("outcome") != "would_delete" || s.sim.Deletes() != 0 {
		t.Errorf("delete: %v", a)
	}
}

func TestAKeepHoldsAndThenIsAPersonsMatterAgain(t *testing.T) {
	s := newSystem(t, setup{})
	token := s.eligible()
	s.act("ticket-open", map[string]any{"token": token, "ticketId": "INC-2"})
	if a := s.evaluate("eligible"); a.is("reasonCode") != "TICKET_OPEN" || a.is("ticketId") != "INC-2" {
		t.Errorf("while it is open: %v", a)
	}
	s.decided("INC-2", "keep")
	if a := s.evaluate("eligible"); a.is("outcome") != "keep" || a.is("reasonCode") != "TICKET_DECIDED_KEEP" {
		t.Errorf("kept: %v", a)
	}
	moved := s.sample["eligible"].Event
	moved["directory"].(map[string]any)["distinguishedName"] = "CN=WS-FIN-0427,OU=Old,OU=Disabled,DC=corp,DC=example,DC=test"
	if a := s.act("evaluate", map[string]any{"event": moved}); a.is("reasonCode") != "KEEP_LAPSED" || a.is("outcome") != "manual" {
		t.Errorf("after the account was moved: %v", a)
	}
	if a := s.decided("INC-2", "none"); a.is("outcome") != "changed" {
		t.Errorf("another decision: %v", a)
	}
	if a := s.evaluate("eligible"); a.is("reasonCode") != "TICKET_UNDECIDED" {
		t.Errorf("undecided: %v", a)
	}
}

// A wait of days is told, and no playbook is told to wait for it.
func TestTimeAloneIsToldWhenItHeals(t *testing.T) {
	s := newSystem(t, setup{})
	a := s.evaluate("grace")
	at, err := time.Parse(time.RFC3339, a.is("eligibleAt"))
	if err != nil || a["retryAfterSeconds"] == nil || a["retryable"] != true || a.is("next") != "stop" {
		t.Fatalf("evaluate: %v, %v", a, err)
	}
	if wait := at.Sub(s.now()); wait <= 0 || wait > 14*24*time.Hour {
		t.Errorf("eligible in %v", wait)
	}
}
