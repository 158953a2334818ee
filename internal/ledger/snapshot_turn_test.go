package ledger_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// refused fails unless a reading was told that it has not the turn.
func refused(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, action.ErrNotTheTurn) || errors.Is(err, action.ErrState) {
		t.Errorf("%s: %v, want that it has not the turn", what, err)
	}
}

// A reading that slept longer than its turn finds another in its place, and can
// neither write nor take the snapshot's place.
func TestAReadingThatLostItsTurnWritesNothing(t *testing.T) {
	for _, refresh := range []bool{false, true} {
		both(t, func(t *testing.T, r *rig) {
			k := r.Snapshots()
			slept := r.begins(t, "slept", false)
			if refresh {
				r.write(t, slept, nil)
				r.commit(t, slept)
				slept = r.begins(t, "slept again", true)
			}
			r.write(t, slept, inventory(0, 10))
			r.pass(3 * time.Minute)
			read := r.begins(t, "new", false)
			r.write(t, read, inventory(100, 10))
			sleeper := func(when string) {
				t.Helper()
				refused(t, "write "+when, k.Write(t.Context(), slept, inventory(10, 10), 0))
				refused(t, "commit "+when, k.Commit(t.Context(), slept, action.ReadingEnd{}))
				if err := k.Abandon(t.Context(), slept, time.Hour); err != nil {
					t.Errorf("abandon %s: %v", when, err)
				}
			}
			sleeper("while the other reads")
			at := r.commit(t, read)
			sleeper("after it")
			st, ids := r.named(t, "ws-00050")
			if !st.At.Equal(at) || !st.Failed.IsZero() || len(ids) != 2 {
				t.Errorf("%+v %q", st, ids)
			}
			if _, ids := r.named(t, "ws-00005"); len(ids) != 0 {
				t.Errorf("the sleeper's are on the snapshot: %q", ids)
			}
			if keys := r.rdb.Keys(t.Context(), "*:snapshot:slept*").Val(); len(keys) != 0 {
				t.Errorf("its keys are left: %q", keys)
			}
		})
	}
}

func TestAReadingThatLivesKeepsItsTurn(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		other := func(seen time.Time) bool {
			t.Helper()
			begun, err := r.replica(t).Snapshots().Begin(t.Context(), action.Reading{TenantID: dev.TenantID, ID: "other", Seen: seen, Turn: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			return begun
		}
		read := r.begins(t, "one", false)
		for range 3 {
			r.pass(90 * time.Second)
			r.write(t, read, inventory(0, 1))
			r.pass(90 * time.Second)
			if other(time.Time{}) {
				t.Fatal("another got the turn after a page")
			}
			r.write(t, read, nil)
		}
		r.pass(3 * time.Minute)
		r.write(t, read, inventory(0, 2)) // late, but nobody has taken it
		r.commit(t, read)
		if other(time.Time{}) {
			t.Error("one that has not seen the new snapshot began")
		}
	})
}

func TestAfterAReadingThatFailedNoneBeginsForAWhile(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		k := r.Snapshots()
		read := r.begins(t, "one", false)
		r.write(t, read, inventory(0, 10))
		before := r.state(t)
		if err := k.Abandon(t.Context(), read, time.Minute); err != nil {
			t.Fatal(err)
		}
		if st := r.state(t); st.Failed.Before(before.Now) || st.Failed.After(st.Now) || !st.At.IsZero() || st.Left != 0 {
			t.Errorf("%+v", st)
		}
		if keys := r.rdb.Keys(t.Context(), "*:snapshot:one:*").Val(); len(keys) != 0 {
			t.Errorf("what it read is left: %q", keys)
		}
		if begun, err := k.Begin(t.Context(), r.aReading(t, "soon", false)); begun || err != nil {
			t.Errorf("another began at once: %v", err)
		}
		refused(t, "it goes on", k.Write(t.Context(), read, nil, 0))
		r.pass(61 * time.Second)
		r.taken(t, "two", inventory(0, 10))
		if st := r.state(t); !st.Failed.IsZero() {
			t.Errorf("after a reading that succeeded: %+v", st)
		}
		more := r.begins(t, "three", true)
		if err := k.Abandon(t.Context(), more, 0); err != nil {
			t.Fatal(err)
		}
		if _, ids := r.named(t, "ws-00001"); len(ids) != 2 || r.state(t).Failed.IsZero() {
			t.Errorf("a refresh that failed took the snapshot along: %q", ids)
		}
		r.commit(t, r.begins(t, "four", true))
		if st := r.state(t); !st.Failed.IsZero() {
			t.Errorf("after a refresh that succeeded: %+v", st)
		}
	})
}

func TestAClockThatWasAheadHoldsUpNoReading(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.pass(24 * time.Hour)
		r.taken(t, "ahead", inventory(0, 10))
		r.pass(-24 * time.Hour)
		if st := r.state(t); st.Young() {
			t.Errorf("a snapshot of a time to come answers: %+v", st)
		}
		at := r.taken(t, "right", inventory(0, 10))
		if st := r.state(t); !st.At.Equal(at) || !st.Young() {
			t.Errorf("%+v", st)
		}
		r.pass(24 * time.Hour)
		far := r.begins(t, "far", false)
		r.write(t, far, nil)
		r.pass(-24 * time.Hour)
		if st := r.state(t); st.Left != 0 {
			t.Errorf("a reading of tomorrow is under way: %+v", st)
		}
		r.begins(t, "near", false) // a turn that ends tomorrow is held by nobody
	})
}

// A snapshot that lost a part, by eviction say, is none: it answers for nothing, and is
// not mended by a refresh.
func TestASnapshotThatLostAPartIsNone(t *testing.T) {
	for _, part := range []string{"devices", "index"} {
		both(t, func(t *testing.T, r *rig) {
			k, tenant := r.Snapshots(), dev.TenantID
			r.taken(t, "one", inventory(0, 10))
			more := r.begins(t, "more", true)
			r.rdb.Del(t.Context(), "rollcall:{"+tenant+"}:snapshot:one:"+part)
			if err := k.Write(t.Context(), more, inventory(0, 4), 0); err == nil {
				t.Error("it was refreshed")
			}
			if err := k.Commit(t.Context(), more, action.ReadingEnd{}); err == nil {
				t.Error("its refresh was committed")
			}
			if st, ids := r.named(t, "ws-00001"); !st.At.IsZero() || len(ids) != 0 {
				t.Errorf("%s: %+v %q", part, st, ids)
			}
			f, err := k.Beside(t.Context(), tenant, device(1).EndpointID, nil)
			if err != nil || len(f.Devices) != 0 || f.State.Young() {
				t.Errorf("%s: %+v %v", part, f, err)
			}
			two := r.begins(t, "two", false)
			r.write(t, two, inventory(0, 4))
			r.rdb.Del(t.Context(), "rollcall:{"+tenant+"}:snapshot:two:"+part)
			if err := k.Write(t.Context(), two, inventory(4, 4), 0); err == nil {
				t.Error("a reading that lost a part goes on")
			}
			if err := k.Commit(t.Context(), two, action.ReadingEnd{}); err == nil {
				t.Error("it took the snapshot's place")
			}
		})
	}
}

func TestADeviceIsTakenOffTheSnapshotAndOffTheOneThatIsRead(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		k := r.Snapshots()
		r.taken(t, "one", inventory(0, 10))
		two := r.begins(t, "two", false)
		r.write(t, two, inventory(0, 10))
		for range 2 {
			if err := k.Remove(t.Context(), device(3)); err != nil {
				t.Fatal(err)
			}
		}
		all := action.TraitsOf(inventory(3, 1)[0])
		gone := func(when string, left int) {
			t.Helper()
			st, ids := r.named(t, "ws-00001")
			f, err := k.Find(t.Context(), dev.TenantID, all)
			if err != nil || !st.Young() || len(ids) != left || slices.Contains(append(ids, idsOf(f.Devices)...), device(3).EndpointID) {
				t.Errorf("%s: %+v %q %+v %v", when, st, ids, f, err)
			}
		}
		gone("on the snapshot", 1)
		r.commit(t, two)
		gone("on the next", 1)
		more := r.begins(t, "more", true)
		r.write(t, more, inventory(4, 6))
		r.commit(t, more)
		gone("after a refresh", 1)
		if err := k.Remove(t.Context(), action.Ref{TenantID: "00000000-0000-4000-8000-00000000000f", EndpointID: device(2).EndpointID}); err != nil {
			t.Error(err)
		}
		gone("after another tenant's of the same id", 1)
	})
}

func TestDevicesAreFoundByEachTrait(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		devices := inventory(0, 60)
		for i := range 20 {
			devices[40+i].MACAddresses = []string{"02:00:5E:AA:00:01", "00:00:00:00:00:00"} // a dock's
			devices[40+i].SerialNumber = policy.Is("Default string")
		}
		devices[7].MACAddresses = []string{"02:00:5E:BB:00:01", "02-00-5e-bb-00-02"}
		r.taken(t, "one", devices)
		ids := func(n ...int) (out []string) {
			for _, i := range n {
				out = append(out, device(i).EndpointID)
			}
			return out
		}
		for name, tt := range map[string]struct {
			traits  []action.Trait
			want    []string
			crowded int
		}{
			"id":             {[]action.Trait{{Sign: action.SameID, Value: device(5).EndpointID}}, ids(5), 0},
			"name":           {[]action.Trait{{Sign: action.SameName, Value: "ws-00002"}}, ids(4, 5), 0},
			"serial":         {[]action.Trait{{Sign: action.SameSerial, Value: "sn00000009"}}, ids(9), 0},
			"MAC":            {[]action.Trait{{Sign: action.SameMAC, Value: "02005ebb0002"}}, ids(7), 0},
			"all of one":     {action.TraitsOf(devices[9]), ids(8, 9), 0},
			"nobody's":       {[]action.Trait{{Sign: action.SameSerial, Value: "ws-00002"}, {Sign: action.SameName, Value: "ws-0000"}, {Sign: action.SameID, Value: "x"}}, nil, 0},
			"a dock's":       {[]action.Trait{{Sign: action.SameMAC, Value: "02005eaa0001"}}, nil, 1},
			"a dock's, too":  {append([]action.Trait{{Sign: action.SameMAC, Value: "02005eaa0001"}}, action.TraitsOf(devices[9])...), ids(8, 9), 1},
			"says nothing":   {[]action.Trait{{Sign: action.SameMAC, Value: "000000000000"}, {Sign: action.SameSerial, Value: "default string"}}, nil, 0},
			"of no traits":   {nil, nil, 0},
			"each only once": {append(action.TraitsOf(devices[8]), action.TraitsOf(devices[9])...), ids(8, 9), 0},
		} {
			f, err := r.Snapshots().Find(t.Context(), dev.TenantID, tt.traits)
			if err != nil || !f.State.Young() || !slices.Equal(idsOf(f.Devices), tt.want) || len(f.Crowded) != tt.crowded || len(f.Devices) != len(tt.want) {
				t.Errorf("%s: %q %+v %v, want %q", name, idsOf(f.Devices), f.Crowded, err, tt.want)
			}
			if tt.crowded == 1 && f.Crowded[0].Sign != action.SameMAC {
				t.Errorf("%s: %+v", name, f.Crowded)
			}
		}
	})
}
