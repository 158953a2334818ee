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
// neither write nor take the roll's place.
func TestAReadingThatLostItsTurnWritesNothing(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		tenant := dev.TenantID
		slept := r.beginReading(t, "slept")
		r.write(t, "slept", inventory(0, 10))
		r.pass(3 * time.Minute)
		at := r.beginReading(t, "new")
		r.write(t, "new", inventory(100, 10))
		sleeper := func(when string) {
			t.Helper()
			refused(t, "write "+when, r.Write(t.Context(), tenant, "slept", inventory(10, 10)))
			refused(t, "refresh "+when, r.Refresh(t.Context(), tenant, "slept", inventory(10, 10)))
			refused(t, "expect "+when, r.Expect(t.Context(), tenant, "slept", time.Minute))
			refused(t, "install "+when, r.Install(t.Context(), tenant, "slept", action.RollState{At: slept, Whole: slept}))
			refused(t, "refreshed "+when, r.Refreshed(t.Context(), tenant, "slept", action.RollState{At: slept}))
			if err := r.GiveUp(t.Context(), tenant, "slept", time.Hour); err != nil {
				t.Errorf("give up %s: %v", when, err)
			}
		}
		sleeper("while the other reads")
		r.install(t, "new", at, 10)
		sleeper("after it")
		st, ids := r.onRoll(t, "ws-00050")
		if !st.At.Equal(at) || !st.Failed.IsZero() || len(ids) != 2 {
			t.Errorf("%+v %q", st, ids)
		}
		if _, ids := r.onRoll(t, "ws-00005"); len(ids) != 0 {
			t.Errorf("the sleeper's are on the roll: %q", ids)
		}
		if keys := r.rdb.Keys(t.Context(), "*:roll:slept:*").Val(); len(keys) != 0 {
			t.Errorf("its keys are left: %q", keys)
		}
	})
}

func TestAReadingThatLivesKeepsItsTurn(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		tenant := dev.TenantID
		other := func() bool {
			t.Helper()
			_, begun, err := r.replica(t).BeginReading(t.Context(), tenant, "other", time.Time{}, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			return begun
		}
		at := r.beginReading(t, "one")
		for range 3 {
			r.pass(90 * time.Second)
			r.write(t, "one", inventory(0, 1))
			r.pass(90 * time.Second)
			if other() {
				t.Fatal("another got the turn after a page")
			}
			if err := r.Expect(t.Context(), tenant, "one", time.Minute); err != nil {
				t.Fatal(err)
			}
			if other() {
				t.Fatal("another got the turn")
			}
		}
		r.pass(3 * time.Minute)
		r.write(t, "one", inventory(0, 2)) // late, but nobody has taken it
		r.install(t, "one", at, 2)
		if other() {
			t.Error("who has not seen the new roll began another")
		}
	})
}

func TestAReadingThatFailedIsRemembered(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		tenant := dev.TenantID
		r.beginReading(t, "one")
		r.write(t, "one", inventory(0, 10))
		before, _ := r.onRoll(t, "")
		if err := r.GiveUp(t.Context(), tenant, "one", time.Minute); err != nil {
			t.Fatal(err)
		}
		if st, _ := r.onRoll(t, ""); st.Failed.Before(before.Now) || st.Failed.After(st.Now) || !st.At.IsZero() {
			t.Errorf("%+v", st)
		}
		if keys := r.rdb.Keys(t.Context(), "*:roll:one:*").Val(); len(keys) != 0 {
			t.Errorf("what it read is left: %q", keys)
		}
		if _, begun, err := r.BeginReading(t.Context(), tenant, "soon", time.Time{}, time.Minute); begun || err != nil {
			t.Errorf("another began at once: %v", err)
		}
		r.pass(61 * time.Second)
		r.beginReading(t, "two")
		r.pass(time.Hour)
		if st, _ := r.onRoll(t, ""); st.Failed.IsZero() {
			t.Error("the doubt went by itself")
		}
		r.rolled(t, "three", inventory(0, 10)) // after one that never said a word
		if st, _ := r.onRoll(t, ""); !st.Failed.IsZero() || st.Ready != 0 {
			t.Errorf("after a reading that succeeded: %+v", st)
		}
		r.beginReading(t, "four")
		if err := r.GiveUp(t.Context(), tenant, "four", 0); err != nil {
			t.Fatal(err)
		}
		at := r.beginReading(t, "five")
		if err := r.Refreshed(t.Context(), tenant, "five", action.RollState{At: at}); err != nil {
			t.Fatal(err)
		}
		if st, _ := r.onRoll(t, ""); !st.Failed.IsZero() {
			t.Errorf("after an increment that succeeded: %+v", st)
		}
	})
}

// One that ended without a word failed too.
func TestAReadingThatEndedWithoutAWordFailed(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.beginReading(t, "killed")
		r.pass(3 * time.Minute)
		r.beginReading(t, "next")
		if st, _ := r.onRoll(t, ""); st.Failed.IsZero() {
			t.Errorf("%+v", st)
		}
	})
}

func TestAnOlderReadingTakesThePlaceOfNone(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		tenant := dev.TenantID
		at := r.rolled(t, "one", inventory(0, 10))
		before := at.Add(-time.Minute)
		r.beginReading(t, "two")
		r.write(t, "two", inventory(50, 10))
		refused(t, "an older whole one", r.Install(t.Context(), tenant, "two", action.RollState{At: at, Whole: before}))
		refused(t, "an older increment", r.Refreshed(t.Context(), tenant, "two", action.RollState{At: before}))
		if st, ids := r.onRoll(t, "ws-00001"); !st.At.Equal(at) || len(ids) != 2 {
			t.Errorf("%+v %q", st, ids)
		}
	})
	both(t, func(t *testing.T, r *rig) { // a clock that was ahead, and was put right
		r.pass(24 * time.Hour)
		r.rolled(t, "ahead", inventory(0, 10))
		r.pass(-24 * time.Hour)
		if st, _ := r.onRoll(t, "x"); st.Young() {
			t.Errorf("a roll of a time to come answers: %+v", st)
		}
		at := r.rolled(t, "right", inventory(0, 10))
		if st, _ := r.onRoll(t, "x"); !st.At.Equal(at) || !st.Young() {
			t.Errorf("%+v", st)
		}
		r.pass(24 * time.Hour)
		r.beginReading(t, "far")
		r.pass(-24 * time.Hour)
		r.beginReading(t, "near") // a turn that ends tomorrow is held by nobody
	})
}

// A roll that lost a part, by eviction say, is none: it answers for nothing, and is
// not mended by an increment.
func TestARollThatLostAPartIsNone(t *testing.T) {
	for _, part := range []string{"devices", "index"} {
		both(t, func(t *testing.T, r *rig) {
			tenant := dev.TenantID
			r.rolled(t, "one", inventory(0, 10))
			r.beginReading(t, "more")
			r.rdb.Del(t.Context(), "rollcall:{"+tenant+"}:roll:one:"+part)
			if err := r.Refresh(t.Context(), tenant, "more", inventory(0, 4)); err == nil {
				t.Error("it was refreshed")
			}
			if st, ids := r.onRoll(t, "ws-00001"); !st.At.IsZero() || len(ids) != 0 {
				t.Errorf("%s: %+v %q", part, st, ids)
			}
			if f, err := r.Find(t.Context(), tenant, []action.Trait{{Sign: action.SameName, Value: "ws-00001"}}); err != nil || len(f.Devices) != 0 || f.State.Young() {
				t.Errorf("%s: %+v %v", part, f, err)
			}
			if err := r.GiveUp(t.Context(), tenant, "more", 0); err != nil {
				t.Fatal(err)
			}
			at := r.beginReading(t, "two")
			r.write(t, "two", inventory(0, 4))
			r.rdb.Del(t.Context(), "rollcall:{"+tenant+"}:roll:two:"+part)
			if err := r.Write(t.Context(), tenant, "two", inventory(4, 4)); err == nil {
				t.Error("a reading that lost a part goes on")
			}
			if err := r.Install(t.Context(), tenant, "two", action.RollState{At: at, Whole: at}); err == nil {
				t.Error("it took the roll's place")
			}
		})
	}
}

func TestADeviceIsTakenOffTheRollAndOffTheOneThatIsRead(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.rolled(t, "one", inventory(0, 10))
		at := r.beginReading(t, "two")
		r.write(t, "two", inventory(0, 10))
		for range 2 {
			if err := r.Forget(t.Context(), device(3)); err != nil {
				t.Fatal(err)
			}
		}
		all := action.TraitsOf(inventory(3, 1)[0])
		gone := func(when string, left int) {
			t.Helper()
			st, ids := r.onRoll(t, "ws-00001")
			f, err := r.Find(t.Context(), dev.TenantID, all)
			if err != nil || !st.Young() || len(ids) != left || slices.Contains(append(ids, idsOf(f.Devices)...), device(3).EndpointID) {
				t.Errorf("%s: %+v %q %+v %v", when, st, ids, f, err)
			}
		}
		gone("on the roll", 1)
		r.install(t, "two", at, 10)
		gone("on the next", 1)
		r.beginReading(t, "more")
		if err := r.Refresh(t.Context(), dev.TenantID, "more", inventory(4, 6)); err != nil {
			t.Fatal(err)
		}
		gone("after an increment", 1)
		if err := r.Forget(t.Context(), action.Ref{TenantID: "00000000-0000-4000-8000-00000000000f", EndpointID: device(2).EndpointID}); err != nil {
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
		r.rolled(t, "one", devices)
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
			f, err := r.Find(t.Context(), dev.TenantID, tt.traits)
			if err != nil || !f.State.Young() || !slices.Equal(idsOf(f.Devices), tt.want) || len(f.Crowded) != tt.crowded || len(f.Devices) != len(tt.want) {
				t.Errorf("%s: %q %+v %v, want %q", name, idsOf(f.Devices), f.Crowded, err, tt.want)
			}
			if tt.crowded == 1 && f.Crowded[0].Sign != action.SameMAC {
				t.Errorf("%s: %+v", name, f.Crowded)
			}
		}
	})
}
