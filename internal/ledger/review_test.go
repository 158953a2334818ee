package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// A day with a failure is not clean, whatever the next day brings first.
func TestReviewADayWithAFailureIsNeverClean(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		limits := policy.Limits{PerDay: []int{3, 10, 20}, CleanDays: 1, PercentPerDay: 100}
		n := 0
		one := func(as action.SettleAs) {
			n++
			in := intent(fmt.Sprint("token", n))
			in.Dev.EndpointID = fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
			in.Limits = limits
			if b := r.begin(t, in); b.Code != "" {
				t.Fatalf("begin %d: %s %s", n, b.Code, b.Text)
			}
			if as == "" {
				return
			}
			m := mark("delete")
			m.Dev = in.Dev
			if _, err := r.Settle(t.Context(), action.Settlement{Mark: m, TokenID: in.TokenID, As: as}); err != nil {
				t.Fatal(err)
			}
		}
		// Day one: one goes well, one fails, one stays open overnight.
		one(action.SettleDeleted)
		one(action.SettleFailed)
		one("")
		r.pass(24*time.Hour + time.Minute)
		// Day two begins with the settling of what stayed open: failed as well.
		m := mark("settle")
		m.Dev.EndpointID = fmt.Sprintf("00000000-0000-4000-8000-%012d", 3)
		if _, err := r.Settle(t.Context(), action.Settlement{Mark: m, TokenID: "token3", As: action.SettleFailed}); err != nil {
			t.Fatal(err)
		}
		done := 0
		for done < 10 {
			n++
			in := intent(fmt.Sprint("token", n))
			in.Dev.EndpointID = fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
			in.Limits = limits
			if b := r.begin(t, in); b.Code != "" {
				t.Logf("%s %s", b.Code, b.Text)
				break
			}
			done++
		}
		if done > 3 {
			t.Errorf("after a day with a failure, and another failure, the ramp climbed: %d deletes or more instead of 3", done)
		}
	})
}
