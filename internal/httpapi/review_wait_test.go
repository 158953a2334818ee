package httpapi_test

import (
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/ledger"
)

// Where the bulk reads' share of the hour is used up, the inventory can't be read for
// long. That is no reason to answer nobody: single reads have a share of their own.
func TestReviewAReadingThatWaitsForTheHoursShareHoldsUpNobody(t *testing.T) {
	rates := []ledger.Rate{{Calls: 400, Per: time.Hour}}
	s := newSystem(t, setup{snapshot: true, rates: rates})
	events := s.fleet(1300, 20)
	for range 279 { // of 280; "id" is the tests' credential
		if _, ok, err := s.store.Budget(rates).Book(t.Context(), "id", action.CallBulk, 0); err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	s.later(20 * time.Minute)
	for _, e := range events {
		s.act("evaluate", map[string]any{"event": e})
	}
	s.until("somebody is answered", func() bool {
		a := s.act("verify-live", map[string]any{"event": events[3]})
		return a.is("outcome") == "inactive"
	})
}
