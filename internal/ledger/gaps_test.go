package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/action"
	"rollcall/internal/ledger"
	"rollcall/internal/policy"
)

// device is the n-th of the tests' devices.
func device(n int) action.Ref {
	return action.Ref{TenantID: dev.TenantID, EndpointID: fmt.Sprintf("00000000-0000-4000-8000-%012d", n)}
}

// markOf is what a step for another device has in common with the others.
func markOf(d action.Ref, what string) action.Mark {
	m := mark(what)
	m.Dev = d
	return m
}

// askOf opens a ticket for another device.
func (r *rig) askOf(tb testing.TB, d action.Ref, ticket string) action.TicketStep {
	tb.Helper()
	m := markOf(d, "ticket-open")
	m.Outcome = "opened"
	step, err := r.OpenTicket(tb.Context(), action.Opening{Mark: m, TicketID: ticket, Seq: 1 << 40, Claims: []byte(`{}`)})
	if err != nil {
		tb.Fatal(err)
	}
	return step
}

func TestTheFeedLosesNoTicketWhileOthersAreClosed(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		const all = 1200
		for i := range all {
			r.askOf(t, device(i), fmt.Sprint("t", i))
		}
		got := map[string]bool{}
		for x, err := range r.Exclusions(t.Context(), "ticket", time.Time{}) {
			if err != nil {
				t.Fatal(err)
			}
			got[x.EndpointID] = true
			if len(got) != 1 {
				continue
			}
			for i := range 400 { // closed by others while this one reads
				if _, err := r.CloseTicket(t.Context(), action.Closing{Mark: markOf(device(i), "closed"), TicketID: fmt.Sprint("t", i), Decision: "none"}); err != nil {
					t.Fatal(err)
				}
			}
		}
		lost := 0
		for i := 400; i < all; i++ {
			if !got[device(i).EndpointID] {
				lost++
			}
		}
		if lost > 0 {
			t.Errorf("%d tickets that were open all the time are not in the feed", lost)
		}
	})
}

func TestAnotherDevicesTicketIsNeverOverwritten(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.ask(t, "t1")
		// The claim was taken over by another device while the first caller slept.
		r.rdb.Set(t.Context(), "rollcall:ticket-index:t1", dev.TenantID+"|"+device(2).EndpointID+"|1", 0)
		if step := r.askOf(t, device(2), "t1"); step.Outcome != "conflict" {
			t.Errorf("opening it for another device: %q, want conflict", step.Outcome)
		}
		if got, err := r.Ticket(t.Context(), "t1"); err != nil || got.EndpointID != dev.EndpointID || got.State != "open" {
			t.Errorf("the ticket is %+v, %v; want the first device's, open", got, err)
		}
	})
}

func TestADeviceRecordNamesOnlyATicketThatIsOpen(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.ask(t, "t1")
		if rec, err := r.DeviceRecord(t.Context(), dev); err != nil || rec.TicketID != "t1" {
			t.Errorf("open: %q, %v", rec.TicketID, err)
		}
		r.decide(t, "t1", "none")
		if rec, err := r.DeviceRecord(t.Context(), dev); err != nil || rec.TicketID != "" {
			t.Errorf("closed: %q, %v", rec.TicketID, err)
		}
	})
}

func TestWhatTimeDoesToAStateIsSeenBeforeItIsWritten(t *testing.T) {
	for decision, want := range map[string]string{"delete": ledger.StateNone, "keep": ledger.StateLapsed} {
		t.Run(decision, func(t *testing.T) {
			both(t, func(t *testing.T, r *rig) {
				r.ask(t, "t1")
				r.decide(t, "t1", decision)
				r.pass(25 * time.Hour)
				if got := r.standing(t, "").State; got != want {
					t.Errorf("state = %s, want %s", got, want)
				}
				r.note(t, action.Note{})
				if got := r.standing(t, "").State; got != want {
					t.Errorf("state once written = %s, want %s", got, want)
				}
			})
		})
	}
}

func TestTheRampFallsBelowAShortenedList(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.rdb.HSet(t.Context(), "rollcall:{"+dev.TenantID+"}:meta", "level", 4)
		in := intent("bad")
		in.Limits.PerDay = []int{1, 3}
		r.begin(t, in)
		r.settle(t, "bad", action.SettleFailed)
		r.pass(24*time.Hour + time.Minute)
		done := 0
		for i := range 3 {
			in := intent(fmt.Sprint("token", i))
			in.Dev, in.Limits.PerDay = device(i), []int{1, 3}
			if b := r.begin(t, in); b.Code == "" {
				done++
			}
		}
		if done != 1 {
			t.Errorf("deletes on the day after a failure = %d, want 1", done)
		}
	})
}

func TestAFlushedStoreKnowsItsTenantsAgain(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.note(t, action.Note{})
		r.rdb.FlushAll(t.Context())
		if _, err := r.AcceptRollback(t.Context(), "tester"); err != nil {
			t.Fatal(err)
		}
		r.begin(t, intent("token1"))
		if devs, err := r.Unsettled(t.Context()); err != nil || !slices.Equal(devs, []action.Ref{dev}) {
			t.Errorf("unsettled = %v, %v; want %v", devs, err, dev)
		}
	})
}

func TestAPauseWithoutAReasonIsStillAPause(t *testing.T) {
	for name, key := range map[string]string{"of the tenant": "rollcall:{" + dev.TenantID + "}:meta", "of all": "rollcall:{global}:pause"} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, r *rig) {
				r.rdb.HSet(t.Context(), key, "paused", "")
				if why, err := r.Paused(t.Context(), dev.TenantID); err != nil || why == "" {
					t.Errorf("paused = %q, %v", why, err)
				}
				if st := r.standing(t, ""); st.Paused == "" {
					t.Error("standing: not paused")
				}
				if b := r.begin(t, intent("token1")); b.Code != policy.KillSwitch {
					t.Errorf("begin = %q", b.Code)
				}
			})
		})
	}
}

func TestADeleteWithoutADeadlineToRestoreHasNone(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.begin(t, intent("token1"))
		if _, err := r.Settle(t.Context(), action.Settlement{Mark: mark("delete"), TokenID: "token1", As: action.SettleDeleted}); err != nil {
			t.Fatal(err)
		}
		if rec, err := r.DeviceRecord(t.Context(), dev); err != nil || rec.RestoreBy != nil {
			t.Errorf("restoreBy = %v, %v; want none", rec.RestoreBy, err)
		}
	})
}

func TestTheSameStepTwiceIsOneStep(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		in := intent("token1")
		if b := r.begin(t, in); b.Code != "" {
			t.Fatalf("begin: %+v", b)
		}
		if b := r.begin(t, in); b.Code != policy.InFlight {
			t.Errorf("begin again = %q, want IN_FLIGHT", b.Code)
		}
		first := r.settle(t, "token1", action.SettleFailed)
		if second := r.settle(t, "token1", action.SettleFailed); second.Seq != first.Seq {
			t.Errorf("settled again: sequence %d after %d", second.Seq, first.Seq)
		}
		r.settle(t, "token2", action.SettleDeleted)
		if st := r.standing(t, "token1"); st.State != ledger.StateFailed || st.Spent == nil || st.Spent.Outcome != "failed" {
			t.Errorf("standing: %+v", st)
		}
		if all := failuresOf(t, r); len(all) != 1 || all[0].Count != 1 {
			t.Errorf("failures: %+v", all)
		}
	})
}

// Any number of replicas, limits and paces: no 24 hours hold more attempts than
// the policy allows, and none at all where it allows none.
func TestNoPaceOfAnyReplicasPassesALimit(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		replicas := []*rig{r, r.replica(t), r.replica(t)}
		run := 0
		rapid.Check(t, func(rt *rapid.T) {
			run++
			tenant := fmt.Sprintf("00000000-0000-4000-8000-%012d", run)
			most := rapid.IntRange(0, 4).Draw(rt, "perDay")
			percent := float64(rapid.IntRange(0, 3).Draw(rt, "percent"))
			population := rapid.SampledFrom([]int{-1, 0, 1, 50, 100, 150, 400}).Draw(rt, "population")
			spacing := rapid.SampledFrom([]time.Duration{0, time.Minute, 7 * time.Hour}).Draw(rt, "spacing")
			limits := policy.Limits{PerDay: []int{most}, CleanDays: 1, PercentPerDay: percent, Spacing: spacing}
			allowed := most
			if share := int(float64(population) * percent / 100); percent <= 0 || population <= 0 {
				allowed = 0
			} else {
				allowed = min(allowed, max(1, share))
			}
			var sent []time.Duration
			clock, n := time.Duration(r.offset.Load()), 0
			for range rapid.IntRange(1, 5).Draw(rt, "rounds") {
				step := rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour, 11 * time.Hour, 25 * time.Hour}).Draw(rt, "pass")
				r.pass(step)
				clock += step
				for range burst(rt, replicas, tenant, limits, population, &n, rapid.IntRange(1, 6).Draw(rt, "callers")) {
					sent = append(sent, clock)
				}
			}
			for i, at := range sent {
				within := 0
				for _, other := range sent[i:] {
					if other-at < 24*time.Hour {
						within++
					}
				}
				if within > allowed {
					rt.Fatalf("%d attempts within 24 hours, %d allowed: %v", within, allowed, sent)
				}
				if i > 0 && spacing > 0 && at-sent[i-1] < spacing-time.Second {
					rt.Fatalf("attempts %v apart, want %v: %v", at-sent[i-1], spacing, sent)
				}
			}
		})
	})
}

// burst lets callers ask at once, on whatever replica, and returns those that
// got an intent.
func burst(rt *rapid.T, replicas []*rig, tenant string, limits policy.Limits, population int, n *int, callers int) []int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var begun []int
	for i := range callers {
		*n++
		in := intent(fmt.Sprint("token", *n))
		in.Dev = action.Ref{TenantID: tenant, EndpointID: fmt.Sprintf("10000000-0000-4000-8000-%012d", *n)}
		in.Limits, in.Population = limits, population
		replica := replicas[i%len(replicas)]
		wg.Go(func() {
			if _, _, err := replica.Lease(context.Background(), in.Dev, in.Owner, time.Minute, ""); err != nil {
				rt.Error(err)
			}
			b, err := replica.Begin(context.Background(), in)
			if err != nil {
				rt.Error(err)
			}
			if b.Code == "" {
				mu.Lock()
				begun = append(begun, i)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return begun
}

func TestAnyUnreadablePartOfTheRecordStopsADelete(t *testing.T) {
	tenant := "rollcall:{" + dev.TenantID + "}:"
	for _, key := range []string{"meta", "attempts", "inflight", "audit", "records", "device:" + dev.EndpointID} {
		t.Run(key, func(t *testing.T) {
			both(t, func(t *testing.T, r *rig) {
				if _, _, err := r.Lease(t.Context(), dev, "me", time.Minute, ""); err != nil {
					t.Fatal(err)
				}
				r.rdb.Set(t.Context(), tenant+key, "garbage", 0)
				if b, err := r.Begin(t.Context(), intent("token1")); !errors.Is(err, action.ErrState) {
					t.Errorf("begin = %+v, %v; want ErrState", b, err)
				}
			})
		})
	}
}

func TestWhatHasOutlivedItsRetentionGoesAndNothingElse(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		old := time.Duration(0)
		for i := range 450 { // more than one piece
			n := action.Note{Mark: markOf(device(i), "evaluate"), Decision: []byte(`{"verdict":"skip"}`)}
			if _, err := r.Note(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		r.into(t, ledger.StateDeleted)
		r.askOf(t, device(1), "open")
		for i, decision := range []string{"none", "delete"} {
			d, ticket := device(2+i), decision
			r.askOf(t, d, ticket)
			if _, err := r.CloseTicket(t.Context(), action.Closing{
				Mark: markOf(d, "closed"), TicketID: ticket, Decision: decision, DecidedBy: "b", ApprovalID: "x", ApprovalTTL: 500 * 24 * time.Hour,
			}); err != nil {
				t.Fatal(err)
			}
		}
		count := func() [4]int {
			var n [4]int
			for _, err := range r.Decisions(t.Context(), time.Time{}) {
				if err != nil {
					t.Fatal(err)
				}
				n[0]++
			}
			for _, err := range r.TicketLog(t.Context(), "") {
				if err != nil {
					t.Fatal(err)
				}
				n[1]++
			}
			for _, err := range r.Exclusions(t.Context(), "deleted", time.Time{}) {
				if err != nil {
					t.Fatal(err)
				}
				n[2]++
			}
			n[3] = int(r.rdb.Exists(t.Context(), "rollcall:ticket-index:none").Val())
			return n
		}
		for _, tc := range []struct {
			name  string
			after time.Duration
			want  [4]int
		}{
			{"at once nothing", 0, [4]int{450, 3, 1, 1}},
			{"after 91 days the decisions", 91 * 24 * time.Hour, [4]int{0, 3, 1, 1}},
			{"after 401 days the deleted and the closed ones that nothing rests on", 401 * 24 * time.Hour, [4]int{0, 2, 0, 0}},
			{"after 600 days those too, but not the open one", 600 * 24 * time.Hour, [4]int{0, 1, 0, 0}},
		} {
			r.pass(tc.after - old)
			old = tc.after
			if err := r.Age(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := count(); got != tc.want {
				t.Errorf("%s: decisions, tickets, deleted, index = %v, want %v", tc.name, got, tc.want)
			}
		}
		if st := r.standing(t, ""); st.DeletedAt.IsZero() {
			t.Error("the device is no longer known as deleted")
		}
		if step := r.askOf(t, device(9), "none"); step.Outcome != "opened" {
			t.Errorf("an id that aged out, for another device: %q, want opened", step.Outcome)
		}
	})
}

func TestAClaimThatSleptTooLongDoesNotWrite(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		// The same caller comes again long after a fault half-way: its claim is renewed.
		now := r.standing(t, "").Now.Add(-time.Hour).UnixMilli()
		r.rdb.Set(t.Context(), "rollcall:ticket-index:t1", fmt.Sprintf("%s|%s|%d", dev.TenantID, dev.EndpointID, now), 0)
		if step := r.ask(t, "t1"); step.Outcome != "opened" {
			t.Errorf("its own old claim: %q, want opened", step.Outcome)
		}
		// Another device, while a claim is fresh and has no record yet.
		fresh := r.standing(t, "").Now.UnixMilli()
		r.rdb.Set(t.Context(), "rollcall:ticket-index:t2", fmt.Sprintf("%s|%s|%d", dev.TenantID, device(3).EndpointID, fresh), 0)
		if step := r.askOf(t, device(4), "t2"); step.Outcome != "conflict" {
			t.Errorf("another's fresh claim: %q, want conflict", step.Outcome)
		}
		r.pass(time.Minute)
		if step := r.askOf(t, device(4), "t2"); step.Outcome != "opened" {
			t.Errorf("another's old claim: %q, want opened", step.Outcome)
		}
	})
}

// A node of a cluster refuses a script that touches more than one slot, and one
// that touches a key which it was not given.
func TestEveryStepStaysInTheSlotOfItsTenant(t *testing.T) {
	r := open(t, "redis://"+started(t, "--save", "", "--cluster-enabled", "yes").addr, new(atomic.Int64))
	if err := r.rdb.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	for r.rdb.Set(t.Context(), "x", "", 0).Err() != nil {
		if t.Context().Err() != nil {
			t.Fatal("the cluster did not come up")
		}
	}
	if _, _, err := r.InitMark(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.into(t, ledger.StateCameBack)
	r.ask(t, "t1")
	r.decide(t, "t1", "keep")
	r.note(t, action.Note{Decision: []byte(`{"verdict":"skip"}`), VerifyFailed: &action.Trouble{}})
	if _, err := r.AckFailure(t.Context(), dev, "x", "", ""); err != nil {
		t.Error(err)
	}
	mustSwitch(t)(r.Pause(t.Context(), action.Switch{Reason: "x"}))
	r.pass(500 * 24 * time.Hour)
	if err := r.Age(t.Context()); err != nil {
		t.Error(err)
	}
	for _, err := range r.Exclusions(t.Context(), "", time.Time{}) {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestACallerThatSleptAfterItsClaimDoesNotWrite(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		asked := 0
		o := r.at
		o.Offset = func() time.Duration {
			asked++
			return time.Duration(asked-1) * time.Minute // a minute passes between the claim and the script
		}
		slept, err := ledger.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = slept.Close() }()
		if step, err := slept.OpenTicket(t.Context(), action.Opening{Mark: mark("opened"), TicketID: "t1"}); !errors.Is(err, action.ErrState) {
			t.Fatalf("%+v, %v; want ErrState", step, err)
		}
		if st := r.standing(t, ""); st.State != ledger.StateNone {
			t.Errorf("state = %s, want none", st.State)
		}
		r.pass(2 * time.Minute)
		if step := r.askOf(t, device(2), "t1"); step.Outcome != "opened" {
			t.Errorf("another device afterwards: %q, want opened", step.Outcome)
		}
	})
}
