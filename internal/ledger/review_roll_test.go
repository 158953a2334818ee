package ledger_test

import (
	"strings"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// Ids compare case-blind: who reads names the tenant as Central writes it, the watch
// and who takes a device off as the event did.
func TestReviewARollIsTheTenantsHoweverItsIDIsWritten(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		odd := strings.ToUpper(dev.TenantID)
		at, begun, err := r.BeginReading(t.Context(), odd, "one", time.Time{}, time.Minute)
		if err != nil || !begun {
			t.Fatal(err)
		}
		if err := r.Write(t.Context(), odd, "one", inventory(0, 4)); err != nil {
			t.Fatal(err)
		}
		if err := r.Install(t.Context(), odd, "one", action.RollState{At: at, Whole: at}); err != nil {
			t.Fatal(err)
		}
		if f, err := r.Find(t.Context(), dev.TenantID, nil); err != nil || !f.State.Young() {
			t.Errorf("the watch finds no roll: %+v %v", f.State, err)
		}
		if err := r.Forget(t.Context(), action.Ref{TenantID: dev.TenantID, EndpointID: device(0).EndpointID}); err != nil {
			t.Fatal(err)
		}
		if _, devices, err := r.Named(t.Context(), odd, "WS-00000"); err != nil || len(devices) != 1 {
			t.Errorf("%q are on the roll, %v; want the one that was not forgotten", idsOf(devices), err)
		}
	})
}

// A search was made before a device was renamed and checked in, and what it found comes
// after the increment that brought that: the device stays a twin of its new name's.
func TestReviewWhatAnOlderSearchFoundTakesThePlaceOfNothingNewer(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		found := inventory(0, 2)
		seen := found[0].LastSeenAt.Value
		for name, later := range map[string]time.Duration{"a day": 24 * time.Hour, "a fraction of a second": 250 * time.Millisecond} {
			now := inventory(0, 2)
			now[0].Hostname, now[0].LastSeenAt = policy.Is("WS-NEW"), policy.Is(seen.Add(later))
			at := r.beginReading(t, name)
			r.write(t, name, now)
			r.install(t, name, at, 2)
			if err := r.Learn(t.Context(), dev.TenantID, found); err != nil {
				t.Fatal(err)
			}
			if _, ids := r.onRoll(t, "ws-new"); len(ids) != 1 {
				t.Errorf("seen %s later: %q bear the new name", name, ids)
			}
		}
	})
}
