package httpapi_test

import (
	"slices"
	"strings"
	"testing"

	"rollcall/internal/action"
)

// fate is what a delete comes to for a sample device: with its verdict's token, or
// with a person's yes where one is asked for.
func (s *system) fate(label string) string {
	s.t.Helper()
	a := s.evaluate(label)
	token := a.is("token")
	if a.is("outcome") == "manual" {
		s.act("ticket-open", map[string]any{"token": token, "ticketId": "INC-" + label, "openedBy": "ann"})
		token = s.decided("INC-"+label, "delete").is("token")
	}
	if token == "" {
		return a.is("outcome") + " " + strings.Join(a.codes(), " ")
	}
	d := s.remove(token)
	return a.is("outcome") + ": " + d.is("outcome") + " " + strings.Join(d.codes(), " ")
}

// What a dry run says would be deleted is what live deletes, with or without a
// person's yes, and everything else is answered alike, by the same codes. The
// verdicts alone, over many more facts, are compared by the actions' parity tests.
func TestWhatADryRunWouldDeleteIsWhatLiveDeletes(t *testing.T) {
	dry, live := newSystem(t, setup{mode: action.DryRun}), newSystem(t, setup{})
	deleted := 0
	for label, d := range live.sample {
		would, did := dry.fate(label), live.fate(label)
		if strings.Contains(did, ": deleted") {
			deleted++
			if !slices.Contains(live.gone(), d.ID) {
				t.Errorf("%s: said to be deleted, and not in the deleted set", label)
			}
		}
		if strings.Replace(would, ": would_delete", ": deleted", 1) != did {
			t.Errorf("%s: dry-run %s, live %s", label, would, did)
		}
	}
	if deleted < 10 {
		t.Errorf("only %d were deleted, which shows little", deleted)
	}
	dry.sent(0)
	live.sent(deleted)
}
