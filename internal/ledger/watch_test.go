package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/action"
)

const (
	deletedSet = "rollcall:{" + tenantOne + "}:deleted"
	recordsOf  = "rollcall:{" + tenantOne + "}:records"
	tenantOne  = "c0a8f1d2-57be-4a39-8e14-2b9d6f70a5c1"
	tenantTwo  = "d1b9a2e3-68cf-4b4a-9f25-3cae7081b6d2"
)

// deleted deletes a device of a tenant.
func (r *rig) deleted(tb testing.TB, tenant, endpoint string) {
	tb.Helper()
	in := intent("token-" + endpoint)
	in.Dev = action.Ref{TenantID: tenant, EndpointID: endpoint}
	in.Record = []byte(`{"id":"` + endpoint + `"}`)
	if b := r.begin(tb, in); b.Code != "" {
		tb.Fatalf("begin: %+v", b)
	}
	s := action.Settlement{Mark: in.Mark, Owner: "me", TokenID: in.TokenID, As: action.SettleDeleted, RestoreBy: time.UnixMilli(1893456000000)}
	if _, err := r.Settle(tb.Context(), s); err != nil {
		tb.Fatal(err)
	}
}

// gone lists what Gone yields, as tenant and device.
func (r *rig) gone(tb testing.TB, since time.Time) (out []string) {
	tb.Helper()
	for g, err := range r.Gone(tb.Context(), since) {
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, g.TenantID[:4]+" "+g.EndpointID)
	}
	return out
}

func TestGoneListsWhatWasDeletedSince(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		if got := r.gone(t, time.Time{}); len(got) != 0 {
			t.Fatalf("before any delete: %q", got)
		}
		r.deleted(t, tenantOne, "a")
		r.deleted(t, tenantTwo, "b")
		r.pass(10 * 24 * time.Hour)
		r.deleted(t, tenantOne, "c")
		now := r.standing(t, "").Now
		if d := cmp.Diff([]string{"c0a8 a", "c0a8 c", "d1b9 b"}, r.gone(t, now.Add(-30*24*time.Hour))); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{"c0a8 c"}, r.gone(t, now.Add(-24*time.Hour))); d != "" {
			t.Error(d)
		}
		for g, err := range r.Gone(t.Context(), time.Time{}) {
			want := action.Gone{
				Ref: action.Ref{TenantID: tenantOne, EndpointID: "a"}, Hostname: "WS-1", DeletedAt: g.DeletedAt, SettledAt: g.SettledAt,
				RestoreBy: time.UnixMilli(1893456000000).UTC(), Record: []byte(`{"id":"a"}`),
			}
			if d := cmp.Diff(want, g); d != "" || err != nil {
				t.Error(d, err)
			}
			if st, _ := r.Standing(t.Context(), g.Ref, ""); !st.DeletedAt.Equal(g.DeletedAt) || g.DeletedAt.IsZero() {
				t.Errorf("deleted at %s, on record %s", g.DeletedAt, st.DeletedAt)
			}
			if g.SettledAt.Before(g.DeletedAt) || g.SettledAt.Sub(g.DeletedAt) > time.Minute {
				t.Errorf("deleted at %s, settled at %s", g.DeletedAt, g.SettledAt)
			}
			break
		}
	})
}

func TestGoneLeavesOutWhoIsNotDeletedAnyMore(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		for _, id := range []string{"a", "b", "c"} {
			r.deleted(t, tenantOne, id)
		}
		m := mark("watch")
		m.Dev.EndpointID = "a"
		if _, err := r.Note(t.Context(), action.Note{Mark: m, CameBack: true}); err != nil {
			t.Fatal(err)
		}
		// Came back between the set's page and the device: the set still names it.
		r.rdb.HSet(t.Context(), "rollcall:{"+tenantOne+"}:device:b", "state", "came_back")
		r.rdb.HDel(t.Context(), recordsOf, "c")
		if d := cmp.Diff([]string{"c0a8 c"}, r.gone(t, time.Time{})); d != "" {
			t.Error(d)
		}
		for g, err := range r.Gone(t.Context(), time.Time{}) {
			if err != nil || g.Record != nil {
				t.Errorf("a device without a record has %q, %v", g.Record, err)
			}
		}
	})
}

func TestGoneReadsMoreThanAPage(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.deleted(t, tenantOne, "first")
		pipe := r.rdb.Pipeline()
		for i := range 1200 {
			id := fmt.Sprintf("d%04d", i)
			pipe.HSet(t.Context(), "rollcall:{"+tenantOne+"}:device:"+id, "state", "deleted", "hostname", "WS")
			pipe.ZIncrBy(t.Context(), deletedSet, float64(time.Now().UnixMilli()+int64(i/700)), id)
		}
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, id := range r.gone(t, time.Time{}) {
			seen[id] = true
		}
		if len(seen) != 1201 {
			t.Errorf("%d devices, want 1201", len(seen))
		}
	})
}

func TestATaskThatIsDoneRests(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		take := func(task string, want bool) {
			t.Helper()
			if got, err := r.replica(t).Turn(t.Context(), task, time.Hour); got != want || err != nil {
				t.Errorf("turn %s: %t, %v; want %t", task, got, err, want)
			}
		}
		take("a", true)
		take("a", false)
		if err := r.Rest(t.Context(), "a", 23*time.Hour); err != nil {
			t.Fatal(err)
		}
		if left := r.rdb.TTL(t.Context(), "rollcall:turn:a").Val(); left < 22*time.Hour || left > 23*time.Hour {
			t.Errorf("it rests for %s more, want 23h", left)
		}
		take("a", false)
		if err := r.Rest(t.Context(), "b", time.Hour); err != nil {
			t.Fatal(err)
		}
		take("b", false)
		take("c", true)
	})
}

// vitals reads them.
func (r *rig) vitals(tb testing.TB) action.Vitals {
	tb.Helper()
	v, err := r.Vitals(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func TestVitalsCountWhatAnAlertMayBeSetOn(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		if d := cmp.Diff(action.Vitals{Failures: map[string]int{}}, r.vitals(t)); d != "" {
			t.Fatal("of an empty store:", d)
		}
		r.deleted(t, tenantOne, "a")
		r.deleted(t, tenantTwo, "b")
		written := r.vitals(t).Unexported
		for _, id := range []string{"a", "b"} {
			m := mark("watch")
			m.Dev = action.Ref{TenantID: map[string]string{"a": tenantOne, "b": tenantTwo}[id], EndpointID: id}
			if _, err := r.Note(t.Context(), action.Note{Mark: m, CameBack: true}); err != nil {
				t.Fatal(err)
			}
		}
		r.note(t, action.Note{VerifyFailed: &action.Trouble{Class: action.Transient, Text: "x"}})
		r.note(t, action.Note{VerifyFailed: &action.Trouble{Class: action.Transient, Text: "x", Outage: true}})
		want := action.Vitals{Failures: map[string]int{"come-back": 2, "verify": 2}, CircuitsOpen: 2, Unexported: written + 4}
		if d := cmp.Diff(want, r.vitals(t)); d != "" || written < 2 {
			t.Error(written, d)
		}
		for _, tenant := range []string{tenantTwo, ""} {
			if _, err := r.Pause(t.Context(), action.Switch{TenantID: tenant, Reason: "x", By: "ann"}); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.vitals(t); got.Paused != 2 {
			t.Errorf("%d paused, want a tenant and the global switch", got.Paused)
		}
		if _, err := r.ResetCircuit(t.Context(), action.Switch{TenantID: tenantTwo, By: "ann"}); err != nil {
			t.Fatal(err)
		}
		if got := r.vitals(t); got.CircuitsOpen != 1 {
			t.Errorf("%d circuits open, want 1", got.CircuitsOpen)
		}
	})
}

func TestVitalsCountDeletesThatAreNotSettled(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.begin(t, intent("t1"))
		if got := r.vitals(t); got.Unsettled != 1 {
			t.Errorf("%+v, want one unsettled", got)
		}
		r.settle(t, "t1", action.SettlePending)
		if got := r.vitals(t); got.Unsettled != 1 || !maps.Equal(got.Failures, map[string]int{"delete": 1}) {
			t.Errorf("%+v, want one unsettled and on record", got)
		}
		r.settle(t, "t1", action.SettleDeleted)
		if got := r.vitals(t); got.Unsettled != 0 || len(got.Failures) != 0 {
			t.Errorf("%+v, want none", got)
		}
	})
}

func TestVitalsCountInventoriesThatCouldNotBeRead(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		failing := func(when string, want int) {
			t.Helper()
			if got := r.vitals(t).SnapshotsFailing; got != want {
				t.Errorf("%s: %d, want %d", when, got, want)
			}
		}
		fails := func(reading string) {
			t.Helper()
			if err := r.Snapshots().Abandon(t.Context(), r.begins(t, reading, false), 0); err != nil {
				t.Fatal(err)
			}
		}
		r.note(t, action.Note{})
		failing("before any", 0)
		fails("one")
		failing("after one that failed", 1)
		r.pass(time.Hour)
		failing("long after, when nobody wants one", 0)
		fails("two")
		failing("after another one", 1)
		r.taken(t, "three", inventory(0, 10))
		failing("after one that succeeded", 0)
	})
}

func TestVitalsCountWhatIsNotExported(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		for range 5 {
			r.note(t, action.Note{})
		}
		chain := "rollcall:{" + tenantOne + "}:chain"
		for exported, want := range map[string]int64{"": 5, "0": 5, "3": 2, "5": 0, "9": 0} {
			r.rdb.Del(t.Context(), chain)
			if exported != "" {
				r.rdb.HSet(t.Context(), chain, "seq", exported, "digest", "x")
			}
			if got := r.vitals(t); got.Unexported != want {
				t.Errorf("exported up to %q: %d left, want %d", exported, got.Unexported, want)
			}
		}
	})
}

// What can't be read is not 0.
func TestVitalsThatCannotBeReadAreAnError(t *testing.T) {
	for name, spoil := range map[string]func(ctx context.Context, r *rig){
		"a sequence that is no number":    func(ctx context.Context, r *rig) { r.rdb.HSet(ctx, "rollcall:{"+tenantOne+"}:meta", "seq", "x") },
		"an export that is no number":     func(ctx context.Context, r *rig) { r.rdb.HSet(ctx, "rollcall:{"+tenantOne+"}:chain", "seq", "x") },
		"failures of another kind of key": func(ctx context.Context, r *rig) { r.rdb.Set(ctx, "rollcall:{"+tenantOne+"}:failures", "x", 0) },
		"a chain of another kind of key":  func(ctx context.Context, r *rig) { r.rdb.Set(ctx, "rollcall:{"+tenantOne+"}:chain", "x", 0) },
		"a switch of another kind of key": func(ctx context.Context, r *rig) { r.rdb.Set(ctx, "rollcall:{global}:pause", "x", 0) },
		"intents of another kind of key":  func(ctx context.Context, r *rig) { r.rdb.Set(ctx, "rollcall:{"+tenantOne+"}:inflight", "x", 0) },
		"the tenants' set is of that kind": func(ctx context.Context, r *rig) {
			r.rdb.Del(ctx, "rollcall:{global}:tenants")
			r.rdb.Set(ctx, "rollcall:{global}:tenants", "x", 0)
		},
		"a store that does not answer": func(_ context.Context, r *rig) { _ = r.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, r *rig) {
				r.note(t, action.Note{})
				spoil(t.Context(), r)
				v, err := r.Vitals(t.Context())
				if !errors.Is(err, action.ErrState) || v.Failures != nil || v.Unexported != 0 {
					t.Errorf("%+v, %v; want ErrState and nothing", v, err)
				}
			})
		})
	}
}

func TestGoneOfAStoreThatDoesNotAnswerIsAnError(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.deleted(t, tenantOne, "a")
		r.rdb.Del(t.Context(), recordsOf)
		r.rdb.Set(t.Context(), recordsOf, "x", 0)
		n := 0
		for g, err := range r.Gone(t.Context(), time.Time{}) {
			n++
			if !errors.Is(err, action.ErrState) || g.EndpointID != "" {
				t.Errorf("%+v, %v; want ErrState", g, err)
			}
		}
		_ = r.Close()
		for _, err := range r.Gone(t.Context(), time.Time{}) {
			n++
			if !errors.Is(err, action.ErrState) {
				t.Errorf("%v, want ErrState", err)
			}
		}
		if n != 2 {
			t.Errorf("%d errors, want one each", n)
		}
	})
}
