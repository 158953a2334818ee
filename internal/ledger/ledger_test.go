package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/ledger"
	"rollcall/internal/policy"
)

// into brings the device into a state by the steps that a user takes.
func (r *rig) into(t *testing.T, state string) {
	t.Helper()
	switch state {
	case ledger.StateNone:
	case ledger.StateTicket:
		r.ask(t, "t0")
	case ledger.StateApproved:
		r.ask(t, "t0")
		r.decide(t, "t0", "delete")
	case ledger.StateKept:
		r.ask(t, "t0")
		r.decide(t, "t0", "keep")
	case ledger.StateLapsed:
		r.into(t, ledger.StateKept)
		r.pass(25 * time.Hour)
		r.note(t, action.Note{})
	case ledger.StateUndecided:
		r.ask(t, "t0")
		r.decide(t, "t0", "none")
	case ledger.StateDeleting:
		r.begin(t, intent("token0"))
	case ledger.StateDeleted:
		r.begin(t, intent("token0"))
		r.settle(t, "token0", action.SettleDeleted)
	case ledger.StateFailed:
		r.begin(t, intent("token0"))
		r.settle(t, "token0", action.SettleFailed)
	case ledger.StateCameBack:
		r.into(t, ledger.StateDeleted)
		r.note(t, action.Note{CameBack: true})
	default:
		t.Fatalf("no way into %s", state)
	}
	if got := r.standing(t, "").State; got != state {
		t.Fatalf("state = %s, want %s", got, state)
	}
	_ = r.Release(t.Context(), dev, "me")
}

// steps are the arrows as a caller takes them.
func (r *rig) steps(t *testing.T) map[string]func() {
	t.Helper()
	closing := func(decision string) func() { return func() { r.decide(t, "t0", decision) } }
	settling := func(as action.SettleAs) func() { return func() { r.settle(t, "token0", as) } }
	return map[string]func(){
		"open":    func() { r.ask(t, "t1") },
		"approve": closing("delete"), "keep": closing("keep"), "decline": closing("none"),
		"begin": func() { r.begin(t, intent("token1")) },
		"spend": func() {
			in := intent("approval-t0")
			in.ApprovalID, in.TicketID = "approval-t0", "t0"
			r.begin(t, in)
		},
		"confirm": settling(action.SettleDeleted), "fail": settling(action.SettleFailed),
		"limit": settling(action.SettleLimited), "unsend": settling(action.SettleUnsent),
		"come_back": func() { r.note(t, action.Note{CameBack: true}) },
		"expire":    func() { r.pass(2 * time.Hour); r.note(t, action.Note{}) },
		"lapse":     func() { r.pass(25 * time.Hour); r.note(t, action.Note{}) },
	}
}

// unreachable are arrows of the table that this walk can't take from the state
// as it brings the device there, each with where it is proven instead.
func unreachable(from, by string) bool {
	switch from + " " + by {
	case "none keep", "none decline": // TestAnExpiredYesMayStillBeTakenBack
		return true
	case "deleting restore": // TestAnApprovalWhoseDeleteNeverLeftIsNotSpent
		return true
	}
	return false
}

func TestEveryPairOfStateAndStepDoesWhatTheTableSays(t *testing.T) {
	table := map[string]string{}
	for _, a := range ledger.Table() {
		table[a.From+" "+a.By] = a.To
	}
	url := realRedis(t)
	for _, state := range ledger.States() {
		for _, by := range []string{"open", "approve", "keep", "decline", "begin", "spend", "confirm", "fail", "limit", "unsend", "come_back", "expire", "lapse"} {
			t.Run(state+" "+by, func(t *testing.T) {
				r := marked(t, url)
				r.rdb.FlushAll(t.Context())
				r = marked(t, url)
				r.into(t, state)
				// The circuit that a failure or come-back opened is another matter.
				if _, err := r.ResetCircuit(t.Context(), action.Switch{By: "x"}); err != nil {
					t.Fatal(err)
				}
				r.steps(t)[by]()
				want, ok := table[state+" "+by]
				if !ok || unreachable(state, by) {
					want = state
				}
				// Time passes in the steps that only time takes.
				if by == "lapse" && state == ledger.StateApproved {
					want = ledger.StateNone
				}
				if got := r.standing(t, "").State; got != want {
					t.Errorf("%s by %s is %s, want %s", state, by, got, want)
				}
			})
		}
	}
}

func TestAnExpiredYesMayStillBeTakenBack(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.into(t, ledger.StateApproved)
		r.pass(2 * time.Hour)
		if step := r.decide(t, "t0", "keep"); step.Outcome != "changed" || r.standing(t, "").State != ledger.StateKept {
			t.Errorf("%+v, state %s", step, r.standing(t, "").State)
		}
	})
}

func TestAnApprovalWhoseDeleteNeverLeftIsNotSpent(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.into(t, ledger.StateApproved)
		in := intent("approval-t0")
		in.ApprovalID, in.TicketID = "approval-t0", "t0"
		if b := r.begin(t, in); b.Code != "" {
			t.Fatalf("begin: %+v", b)
		}
		r.settle(t, "approval-t0", action.SettleUnsent)
		if st := r.standing(t, ""); st.State != ledger.StateApproved || st.ApprovalID != "approval-t0" {
			t.Fatalf("standing: %+v", st)
		}
		if b := r.begin(t, in); b.Code != "" {
			t.Errorf("begin again: %+v", b)
		}
	})
}

func TestASpentApprovalIsRefused(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.into(t, ledger.StateApproved)
		in := intent("approval-t0")
		in.ApprovalID, in.TicketID = "approval-t0", "t0"
		r.begin(t, in)
		r.settle(t, "approval-t0", action.SettleFailed)
		_, _ = r.ResetCircuit(t.Context(), action.Switch{By: "x"})
		if b := r.begin(t, in); b.Code != policy.ApprovalUsed {
			t.Errorf("begin: %+v", b)
		}
		if step := r.decide(t, "t0", "keep"); step.Outcome != "refused" || step.Code != policy.ApprovalUsed {
			t.Errorf("change: %+v", step)
		}
	})
}

func TestWhatBeginLooksAtAgain(t *testing.T) {
	for _, tc := range []struct {
		name  string
		set   func(t *testing.T, r *rig)
		edit  func(in *action.Intent)
		want  policy.Code
		after time.Duration
	}{
		{name: "nothing stands against it"},
		{name: "the tenant is paused", set: func(t *testing.T, r *rig) {
			mustSwitch(t)(r.Pause(t.Context(), action.Switch{TenantID: dev.TenantID, Reason: "x"}))
		}, want: policy.KillSwitch},
		{name: "everything is paused", set: func(t *testing.T, r *rig) { mustSwitch(t)(r.Pause(t.Context(), action.Switch{Reason: "x"})) }, want: policy.KillSwitch},
		{name: "the mark is gone", set: func(t *testing.T, r *rig) { r.rdb.Del(t.Context(), "rollcall:{global}:mark") }, want: policy.StateUnverified},
		{name: "the token has seen a later sequence", edit: func(in *action.Intent) { in.Seq = 99 }, want: policy.StateUnverified},
		{name: "the lease is another's", edit: func(in *action.Intent) { in.Owner = "other" }, set: func(t *testing.T, r *rig) { _, _, _ = r.Lease(t.Context(), dev, "me", time.Minute, "") }, want: policy.InFlight},
		{name: "a ticket was opened", set: func(t *testing.T, r *rig) { r.into(t, ledger.StateTicket) }, want: policy.TicketOpen},
		{name: "a person said keep", set: func(t *testing.T, r *rig) { r.into(t, ledger.StateKept) }, want: policy.TicketDecidedKeep},
		{name: "a keep has lapsed", set: func(t *testing.T, r *rig) { r.into(t, ledger.StateLapsed) }, want: policy.KeepLapsed},
		{name: "nobody decided", set: func(t *testing.T, r *rig) { r.into(t, ledger.StateUndecided) }, want: policy.TicketUndecided},
		{name: "an approval waits", set: func(t *testing.T, r *rig) { r.into(t, ledger.StateApproved) }, want: policy.ApprovalPending},
		{name: "the approval is another", set: func(t *testing.T, r *rig) { r.into(t, ledger.StateApproved) }, edit: func(in *action.Intent) { in.ApprovalID = "y" }, want: policy.ApprovalUsed},
		{name: "it was deleted", set: func(t *testing.T, r *rig) { r.into(t, ledger.StateDeleted) }, want: policy.AlreadyDeleted},
		{name: "it came back", set: func(t *testing.T, r *rig) { r.into(t, ledger.StateCameBack) }, want: policy.CameBack},
		{name: "the token has sent its DELETE", set: func(t *testing.T, r *rig) { r.into(t, ledger.StateFailed) }, edit: func(in *action.Intent) { in.TokenID = "token0" }, want: policy.DeleteFailed},
		{name: "no deletes a day", edit: func(in *action.Intent) { in.Limits.PerDay = []int{0} }, want: policy.LimitDay},
		{name: "no level at all", edit: func(in *action.Intent) { in.Limits.PerDay = []int{} }, want: policy.LimitDay},
		{name: "no percent", edit: func(in *action.Intent) { in.Limits.PercentPerDay = 0 }, want: policy.LimitPercent},
		{name: "nobody knows how many devices there are", edit: func(in *action.Intent) { in.Population = 0 }, want: policy.LimitPercent},
		{name: "one of few devices is at least one", edit: func(in *action.Intent) { in.Population, in.Limits.PercentPerDay = 3, 1 }},
		{name: "too soon after the last", set: func(t *testing.T, r *rig) { r.into(t, ledger.StateFailed) }, edit: func(in *action.Intent) { in.Limits.Spacing = time.Hour }, want: policy.Spacing},
	} {
		t.Run(tc.name, func(t *testing.T) {
			both(t, func(t *testing.T, r *rig) {
				in := intent("token1")
				if tc.set != nil {
					tc.set(t, r)
				}
				if tc.edit != nil {
					tc.edit(&in)
				}
				got := r.begin(t, in)
				if got.Code != tc.want || (tc.want != "" && got.Text == "") {
					t.Errorf("begin = %+v, want %q", got, tc.want)
				}
			})
		})
	}
}

// mustSwitch fails the test on an error.
func mustSwitch(t *testing.T) func(action.SwitchState, error) {
	return func(_ action.SwitchState, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestACounterThatCannotBeReadIsFull(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.rdb.Set(t.Context(), "rollcall:{"+dev.TenantID+"}:attempts", "garbage", 0)
		if _, _, err := r.Lease(t.Context(), dev, "me", time.Minute, ""); err != nil {
			t.Fatal(err)
		}
		if b, err := r.Begin(t.Context(), intent("token1")); !errors.Is(err, action.ErrState) {
			t.Errorf("begin = %+v, %v; want ErrState", b, err)
		}
	})
}

func TestThreeFailuresInARowOpenTheCircuitUntilAPersonResetsIt(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		for i := range 3 {
			token := fmt.Sprint("token", i)
			if b := r.begin(t, intent(token)); b.Code != "" {
				t.Fatalf("begin %d: %+v", i, b)
			}
			r.settle(t, token, action.SettleFailed)
		}
		if b := r.begin(t, intent("token3")); b.Code != policy.CircuitOpen {
			t.Fatalf("begin = %+v, want CIRCUIT_OPEN", b)
		}
		st, err := r.ResetCircuit(t.Context(), action.Switch{TenantID: dev.TenantID, By: "x", Reason: "looked"})
		if err != nil || st.CircuitOpen {
			t.Fatalf("reset: %+v, %v", st, err)
		}
		if b := r.begin(t, intent("token3")); b.Code != "" {
			t.Errorf("begin after the reset: %+v", b)
		}
	})
}

func TestTheRampClimbsAfterCleanDaysAndFallsAtOnce(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		n := 0
		// day deletes as many devices as it may and says how many that were.
		day := func() int {
			done := 0
			for {
				n++
				in := intent(fmt.Sprint("token", n))
				in.Dev.EndpointID = fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
				in.Limits = policy.Limits{PerDay: []int{1, 2, 3}, CleanDays: 2, PercentPerDay: 100}
				if b := r.begin(t, in); b.Code != "" {
					return done
				}
				m := mark("delete")
				m.Dev = in.Dev
				if _, err := r.Settle(t.Context(), action.Settlement{Mark: m, TokenID: in.TokenID, As: action.SettleDeleted}); err != nil {
					t.Fatal(err)
				}
				done++
			}
		}
		var got []int
		for range 6 {
			got = append(got, day())
			r.pass(24*time.Hour + time.Minute)
		}
		if want := []int{1, 1, 2, 2, 3, 3}; !slices.Equal(got, want) {
			t.Fatalf("deletes a day = %v, want %v", got, want)
		}
		in := intent("bad")
		in.Limits.PerDay = []int{1, 2, 3}
		r.begin(t, in)
		r.settle(t, "bad", action.SettleFailed)
		r.pass(24*time.Hour + time.Minute)
		if got := day(); got != 2 {
			t.Errorf("deletes on the day after a failure = %d, want 2", got)
		}
	})
}

func TestNoInterleavingOfReplicasPassesALimit(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		begun := 0
		for i := range 24 {
			replica := r.replica(t)
			wg.Go(func() {
				in := intent(fmt.Sprint("token", i))
				in.Dev.EndpointID = fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
				in.Limits.PerDay = []int{5}
				if _, _, err := replica.Lease(context.Background(), in.Dev, in.Owner, time.Minute, ""); err != nil {
					t.Error(err)
				}
				b, err := replica.Begin(context.Background(), in)
				if err != nil {
					t.Error(err)
				}
				if b.Code == "" {
					mu.Lock()
					begun++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if begun != 5 {
			t.Errorf("%d intents, want 5", begun)
		}
	})
}

func TestTheAuditTrailHasNoGapsUnderConcurrency(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() {
				if _, err := r.Note(context.Background(), action.Note{Mark: mark("evaluate")}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		want := int64(1)
		for line, err := range r.Audit(t.Context(), time.Time{}, dev.TenantID, "") {
			var e struct {
				Seq      int64
				TenantID string
			}
			if err != nil || json.Unmarshal(line, &e) != nil || e.Seq != want || e.TenantID != dev.TenantID {
				t.Fatalf("entry %s, %v; want sequence %d", line, err, want)
			}
			want++
		}
		if want != 41 {
			t.Errorf("%d entries, want 40", want-1)
		}
	})
}

func TestFailedVerificationsAreCountedAtMostOnceInSixHours(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		fail := action.Note{VerifyFailed: &action.Trouble{Class: action.Transient, Text: "x"}, CountFailure: true, Apart: 6 * time.Hour}
		var got []int
		for range 3 {
			got = append(got, r.note(t, fail).VerifyFails, r.note(t, fail).VerifyFails)
			r.pass(6 * time.Hour)
		}
		if want := []int{1, 1, 2, 2, 3, 3}; !slices.Equal(got, want) {
			t.Errorf("failures = %v, want %v", got, want)
		}
		if n := len(failuresOf(t, r)); n != 1 {
			t.Errorf("%d failures on record, want 1", n)
		}
		if at := r.note(t, action.Note{Verified: true}); at.VerifyFails != 0 || len(failuresOf(t, r)) != 0 {
			t.Errorf("a success leaves %d", at.VerifyFails)
		}
	})
}

// failuresOf collects the failures.
func failuresOf(t *testing.T, r *rig) []action.Failure {
	t.Helper()
	var out []action.Failure
	for f, err := range r.Failures(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

func TestAnOutageStandsOncePerTenantAndCountsForNoDevice(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		for range 3 {
			at := r.note(t, action.Note{VerifyFailed: &action.Trouble{Class: action.Transient, Text: "x", Outage: true}})
			if at.VerifyFails != 0 {
				t.Errorf("counted: %+v", at)
			}
		}
		if all := failuresOf(t, r); len(all) != 1 || all[0].EndpointID != "" || all[0].Count != 3 {
			t.Errorf("failures: %+v", all)
		}
	})
}

// A process that stood still may wake up and take back what it believes to be
// its own intent, while another has begun with the same token.
func TestAnIntentIsTakenBackOnlyByWhoWroteIt(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.into(t, ledger.StateDeleting)
		unsend := func(owner string) string {
			t.Helper()
			if _, err := r.Settle(t.Context(), action.Settlement{Mark: mark("delete"), Owner: owner, TokenID: "token0", As: action.SettleUnsent}); err != nil {
				t.Fatal(err)
			}
			return r.standing(t, "").State
		}
		if got := unsend("another"); got != ledger.StateDeleting {
			t.Errorf("taken back by another: %s", got)
		}
		if got := unsend("me"); got != ledger.StateNone {
			t.Errorf("taken back by its own: %s", got)
		}
	})
}
