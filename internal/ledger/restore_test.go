package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/action"
	"rollcall/internal/ledger"
	"rollcall/internal/policy"
)

// keepFor is a decision to keep.
func keepFor(until time.Time, ticket string) *policy.KeepUntil {
	return &policy.KeepUntil{
		TicketID: ticket, Until: until.UTC().Truncate(time.Second), Enabled: policy.Is(false),
		DN: policy.Is(policy.DN{{"cn=WS-1"}, {"ou=Disabled"}}),
	}
}

// memory is all that bears on a decision, as the store shows it.
func (r *rig) memory(t *testing.T) map[string]any {
	t.Helper()
	out := map[string]any{}
	for i := range 13 {
		st, err := r.Standing(t.Context(), device(i), "token-"+device(i).EndpointID)
		if err != nil {
			t.Fatal(err)
		}
		// Decisions on approvals are not rebuilt, nor what only clocks say.
		st.Now, st.Installation, st.SilentUntil = time.Time{}, "", time.Time{}
		st.Seq = 0
		out[fmt.Sprint("device ", i)] = st
	}
	for x, err := range r.Exclusions(t.Context(), "", time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		out[x.Kind+" "+x.EndpointID] = x
	}
	for x, err := range r.TicketLog(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		x.Claims, x.ApprovalID, x.ApprovalTill = nil, "", time.Time{}
		out["ticket "+x.TicketID] = x
	}
	for x, err := range r.Failures(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		out["failure "+x.Kind+" "+x.EndpointID] = x.Text
	}
	meta := r.rdb.HGetAll(t.Context(), "rollcall:{"+dev.TenantID+"}:meta").Val()
	out["circuit"], out["failRow"] = meta["circuit"], meta["failRow"]
	out["paused"], _ = r.Paused(t.Context(), dev.TenantID)
	out["attempts"] = r.rdb.ZRangeWithScores(t.Context(), "rollcall:{"+dev.TenantID+"}:attempts", 0, -1).Val()
	return out
}

// lines reads audit lines.
func lines(t *testing.T, text string) *ledger.AuditLines {
	t.Helper()
	a := &ledger.AuditLines{}
	if err := a.Read("audit", strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestALostStoreIsRebuiltFromItsAuditLines(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.history(t)
		text := r.exported(t)
		want := r.memory(t)
		was, _ := r.Mark(t.Context())
		r.rdb.FlushAll(t.Context())
		done, err := r.Restore(t.Context(), lines(t, text), "ann", false)
		if err != nil {
			t.Fatal(err)
		}
		if done.Installation == was || done.Installation == "" {
			t.Error("a store that was flushed is another installation")
		}
		got := r.memory(t)
		// A yes that nobody used is a person's matter again; all else is as it was.
		for _, name := range []string{"device 7", "device 10"} {
			yes := want[name].(action.Standing)
			if yes.State != ledger.StateApproved {
				t.Fatalf("%s was %s", name, yes.State)
			}
			yes.State, yes.ApprovalID, yes.Undecided = ledger.StateUndecided, "", true
			want[name] = yes
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("not as it was (-was +is):\n%s", diff)
		}
		own, err := r.VerifyAudit(t.Context())
		if want := strings.Count(text, "\n") + 1; err != nil || own.Entries != want {
			t.Errorf("%d entries, want %d: %v", own.Entries, want, err)
		}
		if m, err := checked(text + r.exported(t)); err != nil || m != own.Entries {
			t.Errorf("the chain goes on: %d %v", m, err)
		}
	})
}

func TestARestoreContinuesAnOlderBackupAndMayBeRepeated(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.history(t)
		text := r.exported(t)
		want := r.memory(t)
		all := strings.SplitAfter(strings.TrimSpace(text), "\n")
		for cut := 1; cut < len(all); cut += 5 {
			r.rdb.FlushAll(t.Context())
			for range 2 {
				if _, err := r.Restore(t.Context(), lines(t, strings.Join(all[:cut], "")), "ann", false); err != nil {
					t.Fatal(err)
				}
				r.undo(t, cut)
			}
			if _, err := r.Restore(t.Context(), lines(t, text), "ann", false); err != nil {
				t.Fatalf("from %d on: %v", cut, err)
			}
			got := r.memory(t)
			for _, yes := range []string{"device 7", "device 10"} {
				delete(want, yes)
				delete(got, yes)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("from %d on (-was +is):\n%s", cut, diff)
			}
		}
	})
}

// undo takes the entry about a restore away again, so that the store is a backup
// of a time when there was none.
func (r *rig) undo(t *testing.T, cut int) {
	t.Helper()
	for _, m := range r.rdb.XRange(t.Context(), "rollcall:{"+dev.TenantID+"}:audit", fmt.Sprintf("(%d-0", cut), "+").Val() {
		r.rdb.XDel(t.Context(), "rollcall:{"+dev.TenantID+"}:audit", m.ID)
	}
	_ = r.rdb.Do(t.Context(), "XSETID", "rollcall:{"+dev.TenantID+"}:audit", fmt.Sprintf("%d-0", cut)).Err() // the embedded store has no need of it
	r.rdb.HSet(t.Context(), "rollcall:{"+dev.TenantID+"}:meta", "seq", cut)
}

func TestARestoreRefusesWhatIsNotWhole(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(l []string) []string
		store func(t *testing.T, r *rig)
	}{
		"a line is missing":        {spoil: func(l []string) []string { return slices.Delete(l, 4, 5) }},
		"the beginning is missing": {spoil: func(l []string) []string { return l[3:] }},
		"the store has a trail of its own": {store: func(t *testing.T, r *rig) {
			r.noteOf(t, device(3), action.Note{})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, r *rig) {
				r.history(t)
				all := strings.SplitAfter(strings.TrimSpace(r.exported(t)), "\n")
				r.rdb.FlushAll(t.Context())
				if c.spoil != nil {
					all = c.spoil(all)
				}
				if c.store != nil {
					c.store(t, r)
				}
				before := r.rdb.DBSize(t.Context()).Val()
				_, err := r.Restore(t.Context(), lines(t, strings.Join(all, "")), "ann", false)
				if _, ok := errors.AsType[*ledger.BrokenLinkError](err); !ok {
					t.Errorf("got %v", err)
				}
				if after := r.rdb.DBSize(t.Context()).Val(); after != before {
					t.Errorf("%d keys were written", after-before)
				}
				if mark, _ := r.Mark(t.Context()); mark != "" {
					t.Error("the store was marked")
				}
			})
		})
	}
}

func TestAnAcceptedRollbackIsOnRecordAndTheChainGoesOn(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.history(t)
		text := r.exported(t)
		all := strings.SplitAfter(strings.TrimSpace(text), "\n")
		was, _ := r.Mark(t.Context())
		// An older backup comes back: its tail is lost.
		cut := len(all) - 4
		r.undo(t, cut)
		r.rdb.Del(t.Context(), "rollcall:{"+dev.TenantID+"}:chain")
		id, err := r.AcceptRollback(t.Context(), "ann")
		if err != nil {
			t.Fatal(err)
		}
		if follows, err := r.Follows(t.Context(), id, was); err != nil || !follows {
			t.Errorf("follows: %t %v", follows, err)
		}
		if follows, _ := r.Follows(t.Context(), id, "another"); follows {
			t.Error("follows one that it never was")
		}
		r.noteOf(t, device(0), action.Note{})
		if n, err := checked(text + r.exported(t)); err != nil || n != len(all)+2 {
			t.Errorf("%d lines: %v", n, err)
		}
		if _, err := r.VerifyAudit(t.Context()); err != nil {
			t.Error(err)
		}
		r.rdb.FlushAll(t.Context())
		if _, err := r.Restore(t.Context(), lines(t, text), "ann", false); err != nil {
			t.Error(err)
		}
	})
}
