package ledger_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// inventory makes n devices, two of each name.
func inventory(from, n int) []policy.Device {
	out := make([]policy.Device, n)
	for i := range out {
		out[i] = policy.Device{
			ID: policy.Is(device(from + i).EndpointID), TenantID: policy.Is(dev.TenantID), Hostname: policy.Is(fmt.Sprintf("WS-%05d", (from+i)/2)),
			Type: policy.Is("computer"), LastSeenAt: policy.Is(time.Date(2026, 11, 1, 0, 0, i%60, 0, time.UTC)),
			SerialNumber: policy.Is(fmt.Sprintf("SN%08d", from+i)), MACAddresses: []string{fmt.Sprintf("02:00:5E:00:%02X:%02X", i/256%256, i%256)},
		}
	}
	return out
}

// onRoll are the ids that the roll has for a name.
func (r *rig) onRoll(t *testing.T, short string) (action.RollState, []string) {
	t.Helper()
	st, devices, err := r.Named(t.Context(), dev.TenantID, short)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, d := range devices {
		ids = append(ids, d.ID.Value)
	}
	slices.Sort(ids)
	return st, ids
}

func (r *rig) write(t *testing.T, reading string, devices []policy.Device) {
	t.Helper()
	if err := r.Write(t.Context(), dev.TenantID, reading, devices); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) install(t *testing.T, reading string, at time.Time, n int) {
	t.Helper()
	st := action.RollState{At: at, Whole: at, Count: n, Newest: at.Add(-time.Minute)}
	if err := r.Install(t.Context(), dev.TenantID, reading, st); err != nil {
		t.Fatal(err)
	}
}

func TestARollIsTheOldOneUntilTheNewOneIsWhole(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
		if st, ids := r.onRoll(t, "ws-00001"); !st.At.IsZero() || len(ids) > 0 {
			t.Errorf("before the first: %+v %q", st, ids)
		}
		r.write(t, "one", inventory(0, 100))
		if st, ids := r.onRoll(t, "ws-00001"); !st.At.IsZero() || len(ids) > 0 {
			t.Errorf("half read: %+v %q", st, ids)
		}
		r.install(t, "one", at, 100)
		st, ids := r.onRoll(t, "WS-00001")
		if !st.At.Equal(at) || st.Count != 100 || !st.Newest.Equal(at.Add(-time.Minute)) || len(ids) != 2 {
			t.Errorf("installed: %+v %q", st, ids)
		}
		r.write(t, "two", inventory(50, 100))
		if _, ids := r.onRoll(t, "ws-00001"); len(ids) != 2 {
			t.Errorf("while the next is read: %q", ids)
		}
		r.install(t, "two", at.Add(time.Hour), 100)
		if _, ids := r.onRoll(t, "ws-00001"); len(ids) != 0 {
			t.Errorf("it left Central, and is on the roll: %q", ids)
		}
		if _, ids := r.onRoll(t, "ws-00070"); len(ids) != 2 {
			t.Errorf("new ones: %q", ids)
		}
		if n := len(r.rdb.Keys(t.Context(), "*:roll:one:*").Val()); n != 0 {
			t.Errorf("%d keys of the old reading are left", n)
		}
	})
}

func TestARefreshFollowsNamesThatChange(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.write(t, "one", inventory(0, 20))
		r.install(t, "one", time.Now(), 20)
		some := inventory(2, 3) // two of WS-00001, one of WS-00002
		some[0].Hostname = policy.Is("WS-00007")
		some[1].Hostname = policy.Is("ws-new.corp.example.test")
		some[2].Hostname = policy.Garbled[string]()
		if err := r.Refresh(t.Context(), dev.TenantID, some); err != nil {
			t.Fatal(err)
		}
		for short, want := range map[string]int{"ws-00001": 1, "ws-00007": 4, "ws-new": 2, "ws-00002": 2, "ws-00003": 3, "ws-none": 1} {
			if _, ids := r.onRoll(t, short); len(ids) != want { // the one whose name can't be read may be any
				t.Errorf("%s: %q, want %d", short, ids, want)
			}
		}
	})
}

func TestWhoAsksForARollIsCountedByTheMinute(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		for range 5 {
			r.onRoll(t, "")
		}
		r.pass(time.Minute)
		if st, _ := r.onRoll(t, ""); st.Asked < 2 || st.Asked > 6 {
			t.Errorf("asked %d", st.Asked)
		}
		r.pass(5 * time.Minute)
		if st, _ := r.onRoll(t, ""); st.Asked != 1 {
			t.Errorf("asked %d after a pause", st.Asked)
		}
		if err := r.Expect(t.Context(), dev.TenantID, time.Minute); err != nil {
			t.Fatal(err)
		}
		if st, _ := r.onRoll(t, ""); st.Ready < 50*time.Second || st.Ready > time.Minute {
			t.Errorf("ready in %s", st.Ready)
		}
	})
}
