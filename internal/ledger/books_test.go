package ledger_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"rollcall/internal/action"
	"rollcall/internal/ledger"
)

func TestTicketsAreTakenAndSettledAsTheContractSays(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		other := mark("opened")
		other.Dev.EndpointID = "00000000-0000-4000-8000-000000000009"
		for _, tc := range []struct {
			name, want string
			step       func() action.TicketStep
		}{
			{"a ticket is opened", "opened", func() action.TicketStep { return r.ask(t, "t1") }},
			{"the same again", "already_open", func() action.TicketStep { return r.ask(t, "t1") }},
			{"another for the same device", "already_open", func() action.TicketStep { return r.ask(t, "t2") }},
			{"the same for another device", "conflict", func() action.TicketStep {
				step, err := r.OpenTicket(t.Context(), action.Opening{Mark: other, TicketID: "t1"})
				if err != nil {
					t.Fatal(err)
				}
				return step
			}},
			{"it is closed", "closed", func() action.TicketStep { return r.decide(t, "t1", "none") }},
			{"closed again", "already_closed", func() action.TicketStep { return r.decide(t, "t1", "none") }},
			{"with another decision", "changed", func() action.TicketStep { return r.decide(t, "t1", "keep") }},
			{"opened again for the same device", "opened", func() action.TicketStep { return r.ask(t, "t1") }},
		} {
			if got := tc.step(); got.Outcome != tc.want {
				t.Fatalf("%s: %+v, want %s", tc.name, got, tc.want)
			}
		}
		if _, err := r.Ticket(t.Context(), "nowhere"); !errors.Is(err, action.ErrNotFound) {
			t.Errorf("unknown ticket: %v", err)
		}
	})
}

func TestAClaimWithoutARecordDoesNotBlockATicket(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.rdb.Set(t.Context(), "rollcall:ticket-index:t1", "other-tenant|other-device", 0)
		if step := r.ask(t, "t1"); step.Outcome != "opened" {
			t.Errorf("%+v, want opened", step)
		}
	})
}

func TestAVIPsDeviceNeedsTwoPersons(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		for by, want := range map[string]string{"": "refused", " Ann ": "refused", "another opener": "refused", "bob": "closed"} {
			ticket := "t" + want + strings.ReplaceAll(by, " ", "")
			if _, err := r.OpenTicket(t.Context(), action.Opening{Mark: mark("opened"), TicketID: ticket, OpenedBy: "ann", TwoPersons: true}); err != nil {
				t.Fatal(err)
			}
			step, err := r.CloseTicket(t.Context(), action.Closing{Mark: mark("closed"), TicketID: ticket, Decision: "delete", DecidedBy: by, ApprovalID: "a",
				OpenedBy: opener(by), SamePerson: by != "bob" && by != "another opener"})
			if err != nil || step.Outcome != want {
				t.Errorf("decided by %q: %+v, %v; want %s", by, step, err, want)
			}
			if want == "refused" {
				r.decide(t, ticket, "none")
			}
		}
	})
}

// opener is the one about whom it was judged whether another person decides.
func opener(by string) string {
	if by == "another opener" {
		return "carol"
	}
	return "ann"
}

func TestTheFeedHoldsOpenTicketsDeletedAndKeptDevices(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		kinds := func() (out []string) {
			for x, err := range r.Exclusions(t.Context(), "", time.Time{}) {
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, x.Kind+" "+x.Hostname+" "+x.TicketID)
			}
			return out
		}
		r.ask(t, "t1")
		if got := kinds(); !slices.Equal(got, []string{"ticket WS-1 t1"}) {
			t.Errorf("open: %q", got)
		}
		r.decide(t, "t1", "keep")
		if got := kinds(); !slices.Equal(got, []string{"kept WS-1 t1"}) {
			t.Errorf("kept: %q", got)
		}
		r.pass(25 * time.Hour)
		if got := kinds(); len(got) != 0 {
			t.Errorf("lapsed: %q", got)
		}
	})
}

func TestEveryKeyOfATenantIsInItsSlotAndTheOthersAreListed(t *testing.T) {
	r := marked(t, realRedis(t))
	r.into(t, ledger.StateDeleted)
	r.note(t, action.Note{Decision: []byte(`{"verdict":"skip"}`), VerifyFailed: &action.Trouble{}})
	other := mark("opened")
	other.Dev.EndpointID = "00000000-0000-4000-8000-000000000009"
	if _, err := r.OpenTicket(t.Context(), action.Opening{Mark: other, TicketID: "t1"}); err != nil {
		t.Fatal(err)
	}
	mustSwitch(t)(r.Pause(t.Context(), action.Switch{Reason: "x"}))
	keys := r.rdb.Keys(t.Context(), "*").Val()
	if len(keys) < 10 {
		t.Fatalf("only %d keys", len(keys))
	}
	global := []string{
		"rollcall:{global}:mark", "rollcall:{global}:pause", "rollcall:{global}:pause-log", "rollcall:{global}:tenants", "rollcall:{global}:begun",
		"rollcall:ticket-index:t1",
	}
	for _, k := range keys {
		if !strings.HasPrefix(k, "rollcall:{"+dev.TenantID+"}:") && !slices.Contains(global, k) {
			t.Errorf("key %s", k)
		}
	}
}

func TestAStoreThatIsAwayAnswersErrStateInTime(t *testing.T) {
	stalled, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stalled.Close() }()
	dead := miniredis.RunT(t)
	addr := dead.Addr()
	dead.Close()
	for name, addr := range map[string]string{"a dead port": addr, "a stalled server": stalled.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			s, err := ledger.Open(ledger.Options{URL: "redis://" + addr, Timeout: time.Minute}) // the caller's time is shorter
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			start := time.Now()
			_, err = s.Standing(ctx, dev, "")
			if !errors.Is(err, action.ErrState) || time.Since(start) > 30*time.Second {
				t.Errorf("error = %v after %v", err, time.Since(start))
			}
			if _, err := s.Note(ctx, action.Note{Mark: mark("evaluate")}); !errors.Is(err, action.ErrState) {
				t.Errorf("note: %v", err)
			}
		})
	}
}

func TestAScriptThatRedisHasForgottenRunsAllTheSame(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		first := r.note(t, action.Note{})
		r.rdb.ScriptFlush(t.Context())
		if second := r.note(t, action.Note{}); second.Seq != first.Seq+1 {
			t.Errorf("sequence %d after %d", second.Seq, first.Seq)
		}
	})
}

func TestTheMarkIsSetOnce(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		first, err := r.Mark(t.Context())
		if err != nil || first == "" {
			t.Fatal(err)
		}
		if id, existed, err := r.InitMark(t.Context()); err != nil || !existed || id != first {
			t.Errorf("init again = %q, %v, %v", id, existed, err)
		}
		if id, err := r.AcceptRollback(t.Context(), "tester"); err != nil || id == first {
			t.Errorf("a new installation = %q, %v", id, err)
		}
	})
}
