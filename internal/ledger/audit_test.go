package ledger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/ledger"
)

// history lets devices go through all that can happen to one, each its own way.
func (r *rig) history(t *testing.T) {
	t.Helper()
	for i, way := range []func(d action.Ref){
		func(action.Ref) {}, // only looked at
		func(d action.Ref) { r.deleteOf(t, d, action.SettleDeleted) },
		func(d action.Ref) { r.deleteOf(t, d, action.SettleFailed) },
		func(d action.Ref) { r.deleteOf(t, d, action.SettleLimited) },
		func(d action.Ref) { r.deleteOf(t, d, action.SettleUnsent) },
		func(d action.Ref) { r.deleteOf(t, d, action.SettlePending) },
		func(d action.Ref) { r.askOf(t, d, "open") },
		func(d action.Ref) {
			r.askOf(t, d, "unsent")
			r.decideOf(t, d, "unsent", "delete")
			in := intent("token-" + d.EndpointID)
			in.Mark, in.ApprovalID, in.TicketID, in.Outcome = markOf(d, "delete"), "a", "unsent", "intent"
			r.begin(t, in)
			_, _ = r.Settle(t.Context(), action.Settlement{Mark: markOf(d, "delete"), Owner: in.Owner, TokenID: in.TokenID, TicketID: in.TicketID, As: action.SettleUnsent, Trouble: &action.Trouble{Text: "No."}})
		},
		func(d action.Ref) { r.askOf(t, d, "kept"); r.decideOf(t, d, "kept", "keep") },
		func(d action.Ref) { r.askOf(t, d, "none"); r.decideOf(t, d, "none", "none") },
		func(d action.Ref) { r.askOf(t, d, "yes"); r.decideOf(t, d, "yes", "delete") },
		func(d action.Ref) {
			r.askOf(t, d, "no")
			r.decideOf(t, d, "no", "delete")
			r.decideOf(t, d, "no", "keep")
		},
		func(d action.Ref) {
			r.deleteOf(t, d, action.SettleDeleted)
			r.noteOf(t, d, action.Note{CameBack: true, Why: "It is there again."})
		},
	} {
		d := device(i)
		r.noteOf(t, d, action.Note{Decision: []byte(`{}`)})
		way(d)
		r.pass(time.Second)
	}
	refused := action.Note{}
	refused.Mark = markOf(device(0), "ticket-open")
	refused.Outcome = "refused"
	if _, err := r.Note(t.Context(), refused); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Pause(t.Context(), action.Switch{Reason: "drill", By: "ann"}); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) noteOf(t *testing.T, d action.Ref, n action.Note) {
	t.Helper()
	n.Mark = markOf(d, "evaluate")
	if _, err := r.Note(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

// deleteOf takes a device through a delete that ends in a way.
func (r *rig) deleteOf(t *testing.T, d action.Ref, as action.SettleAs) {
	t.Helper()
	in := intent("token-" + d.EndpointID)
	in.Mark = markOf(d, "delete")
	in.Outcome = "intent"
	if b := r.begin(t, in); b.Code != "" {
		t.Fatalf("intent: %s", b.Text)
	}
	_, err := r.Settle(t.Context(), action.Settlement{
		Mark: markOf(d, "delete"), Owner: in.Owner, TokenID: in.TokenID, As: as, RestoreBy: time.Now().Add(30 * 24 * time.Hour),
		Trouble: &action.Trouble{Class: action.Permanent, Text: "No."},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rig) decideOf(t *testing.T, d action.Ref, ticket, decision string) {
	t.Helper()
	c := action.Closing{Mark: markOf(d, "ticket-close"), TicketID: ticket, Decision: decision, DecidedBy: "bob", MayChange: true, ApprovalID: "a", ApprovalTTL: time.Hour}
	c.Outcome = "closed"
	if decision == "keep" {
		c.Keep = keepFor(time.Now().Add(time.Duration(r.offset.Load())+24*time.Hour), ticket)
	}
	step, err := r.CloseTicket(t.Context(), c)
	if err != nil || step.Outcome != "closed" && step.Outcome != "changed" {
		t.Fatalf("%s %s: %+v %v", ticket, decision, step, err)
	}
}

// exported is what the exporter writes now.
func (r *rig) exported(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	if err := r.Export(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// checked reads audit lines and follows their chains.
func checked(text string) (int, error) {
	var a ledger.AuditLines
	if err := a.Read("audit", strings.NewReader(text)); err != nil {
		return 0, err
	}
	r, err := a.Check()
	return r.Entries, err
}

func TestTheTrailIsExportedChainedAndOnlyOnce(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.history(t)
		first := r.exported(t)
		if again := r.exported(t); again != "" {
			t.Errorf("written again: %s", again)
		}
		r.noteOf(t, device(1), action.Note{})
		all := first + r.exported(t)
		n, err := checked(all)
		if want := strings.Count(all, "\n"); err != nil || n != want {
			t.Fatalf("%d of %d lines: %v", n, want, err)
		}
		var shown bytes.Buffer
		for line, err := range r.Audit(t.Context(), time.Time{}, "", "") {
			if err != nil {
				t.Fatal(err)
			}
			shown.Write(append(line, '\n'))
		}
		if shown.String() != all {
			t.Error("the route shows other lines than the exporter wrote")
		}
		if own, err := r.VerifyAudit(t.Context()); err != nil || own.Entries != n || own.Tenants != 1 {
			t.Errorf("the store's own: %+v %v", own, err)
		}
	})
}

// failing takes some bytes and then fails: the process may die with lines written
// and not noted.
type failing struct {
	bytes.Buffer
	takes int
}

var errDisk = errors.New("disk full")

func (f *failing) Write(p []byte) (int, error) {
	n, _ := f.Buffer.Write(p[:min(len(p), f.takes)])
	if f.takes -= n; n < len(p) {
		return n, errDisk
	}
	return n, nil
}

func TestLinesThatWereNotNotedAreWrittenAgain(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.history(t)
		out := &failing{takes: 1 << 20}
		r.rdb.Set(t.Context(), "rollcall:{"+dev.TenantID+"}:chain", "not a hash", 0)
		if err := r.Export(t.Context(), out); err == nil {
			t.Fatal("exported without knowing how far it was")
		}
		r.rdb.Del(t.Context(), "rollcall:{"+dev.TenantID+"}:chain")
		cut := &failing{takes: 700}
		if err := r.Export(t.Context(), cut); !errors.Is(err, errDisk) {
			t.Fatalf("got %v", err)
		}
		whole := cut.String()[:strings.LastIndex(cut.String(), "\n")+1]
		if whole == "" {
			t.Fatal("nothing was written")
		}
		if n, err := checked(whole + r.exported(t)); err != nil || n < 20 {
			t.Errorf("%d %v", n, err)
		}
	})
}

func TestReplicasExportTogetherWhatOneWould(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		other := r.replica(t)
		var mu sync.Mutex
		var all bytes.Buffer
		write := func(p []byte) (int, error) { mu.Lock(); defer mu.Unlock(); return all.Write(p) }
		var work sync.WaitGroup
		for _, s := range []*rig{r, other} {
			work.Go(func() {
				for range 30 {
					if err := s.Export(context.Background(), writer(write)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		r.history(t)
		work.Wait()
		all.WriteString(r.exported(t))
		own, err := r.VerifyAudit(t.Context())
		if n, bad := checked(all.String()); err != nil || bad != nil || n != own.Entries {
			t.Errorf("%d of %d: %v %v", n, own.Entries, err, bad)
		}
	})
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestABrokenChainIsFound(t *testing.T) {
	r := marked(t, realRedis(t))
	r.history(t)
	good := strings.SplitAfter(strings.TrimSpace(r.exported(t)), "\n")
	good[len(good)-1] += "\n"
	for name, spoil := range map[string]func(l []string) []string{
		"a word is changed":         func(l []string) []string { l[3] = strings.Replace(l[3], "tester", "nobody", 1); return l },
		"a number is changed":       func(l []string) []string { l[3] = strings.Replace(l[3], `"seq":4`, `"seq":40`, 1); return l },
		"a member is added":         func(l []string) []string { l[3] = strings.Replace(l[3], `{`, `{"x":1,`, 1); return l },
		"a name comes twice":        func(l []string) []string { l[3] = strings.Replace(l[3], `{`, `{"by":"x",`, 1); return l },
		"a line is taken out":       func(l []string) []string { return slices.Delete(l, 5, 6) },
		"a line is cut":             func(l []string) []string { l[5] = l[5][:40] + "\n"; return l },
		"a line has another's prev": func(l []string) []string { l[6] = strings.Replace(l[6], prevOf(t, l[6]), prevOf(t, l[4]), 1); return l },
		"the first follows another": func(l []string) []string {
			return append([]string{rechained(t, l[0], strings.Repeat("a", 64))}, l[1:]...)
		},
		"a line was made up": func(l []string) []string {
			return append(l, rechained(t, strings.Replace(l[7], "tester", "nobody", 1), prevOf(t, l[7])))
		},
		"something else stands there": func(l []string) []string { return append(l, "{\"level\":\"info\"}\n") },
	} {
		t.Run(name, func(t *testing.T) {
			if n, err := checked(strings.Join(spoil(slices.Clone(good)), "")); err == nil {
				t.Errorf("%d entries, and all is well", n)
			}
		})
	}
	shuffled := slices.Clone(good)
	slices.Reverse(shuffled)
	if n, err := checked(strings.Join(append(shuffled, good...), "")); err != nil || n != len(good) {
		t.Errorf("twice and backwards: %d %v", n, err)
	}
	if n, err := checked(strings.Join(good[9:], "")); err != nil || n != len(good)-9 {
		t.Errorf("a part that begins later: %d %v", n, err)
	}
}

func prevOf(t *testing.T, line string) string {
	t.Helper()
	var l struct{ Prev string }
	if err := json.Unmarshal([]byte(line), &l); err != nil {
		t.Fatal(err)
	}
	return l.Prev
}

// rechained is a line as a forger would write it who knows how lines are chained.
func rechained(t *testing.T, line, prev string) string {
	t.Helper()
	body, _, _ := strings.Cut(line, `,"prev":`)
	forged, err := ledger.Link(prev, []byte(body+"}"))
	if err != nil {
		t.Fatal(err)
	}
	return string(forged) + "\n"
}

func TestABrokenTrailInTheStoreIsFound(t *testing.T) {
	audit, chain, meta := "rollcall:{"+dev.TenantID+"}:audit", "rollcall:{"+dev.TenantID+"}:chain", "rollcall:{"+dev.TenantID+"}:meta"
	for name, spoil := range map[string]func(t *testing.T, r *rig){
		"an entry is taken out":         func(t *testing.T, r *rig) { r.rdb.XDel(t.Context(), audit, "7-0") },
		"the last is taken out":         func(t *testing.T, r *rig) { r.rdb.XDel(t.Context(), audit, fmt.Sprintf("%d-0", r.standing(t, "").Seq)) },
		"all are taken out":             func(t *testing.T, r *rig) { r.rdb.Del(t.Context(), audit) },
		"what was exported was another": func(t *testing.T, r *rig) { r.rdb.HSet(t.Context(), chain, "digest", strings.Repeat("0", 64)) },
		"the tail was lost":             func(t *testing.T, r *rig) { r.rdb.HSet(t.Context(), meta, "seq", 1000) },
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, r *rig) {
				r.history(t)
				r.exported(t)
				spoil(t, r)
				if own, err := r.VerifyAudit(t.Context()); err == nil {
					t.Errorf("%+v, and all is well", own)
				} else if _, ok := errors.AsType[*ledger.BrokenLinkError](err); !ok {
					t.Errorf("not a broken link: %v", err)
				}
			})
		})
	}
}

func TestOldEntriesGoOnlyAfterTheyWereExported(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.history(t)
		r.pass(500 * 24 * time.Hour)
		age := func() int {
			t.Helper()
			if err := r.Age(t.Context()); err != nil {
				t.Fatal(err)
			}
			own, err := r.VerifyAudit(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return own.Entries
		}
		before := age()
		if before < 20 {
			t.Fatalf("%d entries left that were never exported", before)
		}
		all := r.exported(t)
		if n := age(); n != 0 {
			t.Errorf("%d old entries left", n)
		}
		r.noteOf(t, device(1), action.Note{})
		if n, err := checked(all + r.exported(t)); err != nil || n != before+1 {
			t.Errorf("the chain goes on: %d %v", n, err)
		}
		if n := age(); n != 1 {
			t.Errorf("%d entries", n)
		}
	})
}
