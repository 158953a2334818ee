package ledger_test

import (
	"strings"
	"testing"
	"time"

	"rollcall/internal/action"
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
