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
func TestReviewASnapshotIsTheTenantsHoweverItsIDIsWritten(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		odd := strings.ToUpper(dev.TenantID)
		k, read := r.Snapshots(), action.Reading{TenantID: odd, ID: "one", Turn: time.Minute}
		if begun, err := k.Begin(t.Context(), read); err != nil || !begun {
			t.Fatal(err)
		}
		r.write(t, read, inventory(0, 4))
		r.commit(t, read)
		if st := r.state(t); !st.Young() {
			t.Errorf("the watch finds no snapshot: %+v", st)
		}
		if err := k.Remove(t.Context(), action.Ref{TenantID: dev.TenantID, EndpointID: device(0).EndpointID}); err != nil {
			t.Fatal(err)
		}
		f, err := k.Beside(t.Context(), odd, strings.ToUpper(device(1).EndpointID), nil)
		if err != nil || len(f.Devices) != 1 {
			t.Errorf("%q are on the snapshot, %v; want the one that was not taken off", idsOf(f.Devices), err)
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
			r.taken(t, name, now)
			if err := r.Snapshots().Put(t.Context(), dev.TenantID, found); err != nil {
				t.Fatal(err)
			}
			if _, ids := r.named(t, "ws-new"); len(ids) != 1 {
				t.Errorf("seen %s later: %q bear the new name", name, ids)
			}
		}
	})
}
