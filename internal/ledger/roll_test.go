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
func (r *rig) onRoll(t *testing.T, hostname string) (action.RollState, []string) {
	t.Helper()
	st, devices, err := r.Named(t.Context(), dev.TenantID, hostname)
	if err != nil {
		t.Fatal(err)
	}
	return st, idsOf(devices)
}

func idsOf(devices []policy.Device) []string {
	var ids []string
	for _, d := range devices {
		ids = append(ids, d.ID.Value)
	}
	slices.Sort(ids)
	return ids
}

// begin gives a reading the turn, and returns when.
func (r *rig) beginReading(t *testing.T, reading string) time.Time {
	t.Helper()
	st, _ := r.onRoll(t, "none")
	now, begun, err := r.BeginReading(t.Context(), dev.TenantID, reading, st.At, 2*time.Minute)
	if err != nil || !begun {
		t.Fatalf("%s does not get the turn: %v", reading, err)
	}
	return now
}

func (r *rig) write(t *testing.T, reading string, devices []policy.Device) {
	t.Helper()
	if err := r.Write(t.Context(), dev.TenantID, reading, devices); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) install(t *testing.T, reading string, at time.Time, n int) {
	t.Helper()
	st := action.RollState{At: at, Whole: at, Heard: at.Add(-time.Second), Newest: at.Add(-time.Minute)}
	if err := r.Install(t.Context(), dev.TenantID, reading, st); err != nil {
		t.Fatal(err)
	}
}

// rolled has a whole reading take the roll's place.
func (r *rig) rolled(t *testing.T, reading string, devices []policy.Device) time.Time {
	t.Helper()
	at := r.beginReading(t, reading)
	r.write(t, reading, devices)
	r.install(t, reading, at, len(devices))
	return at
}

// lasting are the keys of the roll that never run out.
func (r *rig) lasting(t *testing.T) (lasting []string) {
	t.Helper()
	for _, k := range r.rdb.Keys(t.Context(), "*:roll:*").Val() {
		if r.rdb.TTL(t.Context(), k).Val() <= 0 {
			lasting = append(lasting, k)
		}
	}
	return lasting
}

func TestARollIsTheOldOneUntilTheNewOneIsWhole(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		if st, ids := r.onRoll(t, "ws-00001"); !st.At.IsZero() || len(ids) > 0 {
			t.Errorf("before the first: %+v %q", st, ids)
		}
		at := r.beginReading(t, "one")
		r.write(t, "one", inventory(0, 100))
		if st, ids := r.onRoll(t, "ws-00001"); !st.At.IsZero() || len(ids) > 0 {
			t.Errorf("half read: %+v %q", st, ids)
		}
		r.install(t, "one", at, 100)
		st, ids := r.onRoll(t, "WS-00001")
		if !st.At.Equal(at) || !st.Newest.Equal(at.Add(-time.Minute)) || len(ids) != 2 || !st.Young() {
			t.Errorf("installed: %+v %q", st, ids)
		}
		r.pass(time.Hour)
		at = r.beginReading(t, "two")
		r.write(t, "two", inventory(50, 100))
		if _, ids := r.onRoll(t, "ws-00001"); len(ids) != 2 {
			t.Errorf("while the next is read: %q", ids)
		}
		r.install(t, "two", at, 100)
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
		r.rolled(t, "one", inventory(0, 20))
		some := inventory(2, 3) // two of WS-00001, one of WS-00002
		some[0].Hostname = policy.Is("WS-00007")
		some[1].Hostname = policy.Is("ws-new.corp.example.test")
		some[2].Hostname = policy.Garbled[string]()
		r.beginReading(t, "more")
		for range 2 { // a page that comes again changes nothing
			if err := r.Refresh(t.Context(), dev.TenantID, "more", some); err != nil {
				t.Fatal(err)
			}
		}
		for name, want := range map[string]int{"ws-00001": 1, "ws-00007": 4, "ws-new": 2, "ws-00002": 2, "ws-00003": 3, "ws-none": 1} {
			if _, ids := r.onRoll(t, name); len(ids) != want { // the one whose name can't be read may be any
				t.Errorf("%s: %q, want %d", name, ids, want)
			}
		}
	})
}

func TestDevicesAreKeptWhateverTheyLack(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		id := func(n int) policy.Device { return policy.Device{ID: policy.Is(device(n).EndpointID)} }
		odd, nameless, blank, unnumbered := id(1), id(2), id(3), id(4)
		odd.Hostname = policy.Is("A\tB\nC\x00,\"\u2028\xff.corp")
		odd.SerialNumber = policy.Is("n\tws-1\t")
		nameless.SerialNumber, nameless.MACAddresses = policy.Garbled[string](), []string{"", "nonsense", "02:00:5E:00:00:09"}
		blank.Hostname = policy.Is(" $")
		unnumbered.Hostname, unnumbered.SerialNumber = policy.Garbled[string](), policy.Is("To be filled by O.E.M.")
		r.rolled(t, "one", []policy.Device{odd, nameless, blank, unnumbered})
		for name, want := range map[string][]string{
			"A\tB\nC\x00,\"\u2028\xff": {odd.ID.Value, blank.ID.Value, unnumbered.ID.Value}, "ws-1": {blank.ID.Value, unnumbered.ID.Value},
			"\x01": {blank.ID.Value, unnumbered.ID.Value},
			"?":    {blank.ID.Value, unnumbered.ID.Value},
		} {
			if _, ids := r.onRoll(t, name); !slices.Equal(ids, want) {
				t.Errorf("%q: %q, want %q", name, ids, want)
			}
		}
		if err := r.Write(t.Context(), dev.TenantID, "x", []policy.Device{{}}); err == nil {
			t.Error("one without an id was kept")
		}
	})
}

// Who is told to come again once the roll is there is counted still when it is.
func TestWhoAsksForARollIsCountedForSomeMinutes(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		for range 6 { // whatever the clock tells
			for range 5 {
				r.onRoll(t, "")
			}
			r.pass(100 * time.Second)
			if st, _ := r.onRoll(t, ""); st.Asked != 6 {
				t.Errorf("asked %d, want 6", st.Asked)
			}
			r.pass(4*time.Minute + 15*time.Second)
			if st, _ := r.onRoll(t, ""); st.Asked != 1 {
				t.Errorf("asked %d after a pause", st.Asked)
			}
			r.pass(4 * time.Minute)
		}
		r.beginReading(t, "one")
		if err := r.Expect(t.Context(), dev.TenantID, "one", time.Minute); err != nil {
			t.Fatal(err)
		}
		if st, _ := r.onRoll(t, ""); st.Ready < 50*time.Second || st.Ready > time.Minute {
			t.Errorf("ready in %s", st.Ready)
		}
	})
}

// Whatever is done to a roll, nothing of it stays for ever.
func TestWhatASearchFoundIsLearnedByTheRollAndByTheOneThatIsRead(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		tenant := dev.TenantID
		twins := inventory(100, 2) // of one name
		if err := r.Learn(t.Context(), tenant, twins); err != nil {
			t.Fatal(err)
		}
		if st, ids := r.onRoll(t, "ws-00050"); !st.At.IsZero() || len(ids) > 0 {
			t.Errorf("without a roll: %+v %q", st, ids)
		}
		first := r.beginReading(t, "one")
		r.write(t, "one", inventory(0, 10))
		r.install(t, "one", first, 10)
		second := r.beginReading(t, "two")
		r.write(t, "two", inventory(0, 20))
		if err := r.Learn(t.Context(), tenant, twins); err != nil {
			t.Fatal(err)
		}
		if _, ids := r.onRoll(t, "ws-00050"); len(ids) != 2 {
			t.Errorf("on the roll: %q", ids)
		}
		r.install(t, "two", second, 22)
		for name, want := range map[string]int{"ws-00050": 2, "ws-00009": 2} {
			if _, ids := r.onRoll(t, name); len(ids) != want {
				t.Errorf("%s on the next: %q", name, ids)
			}
		}
	})
}

func TestNoKeyOfARollStaysForEver(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		tenant := dev.TenantID
		var at time.Time
		for _, step := range []struct {
			name string
			do   func() error
		}{
			{"who asks is counted", func() error { r.onRoll(t, ""); return nil }},
			{"begin", func() error { at = r.beginReading(t, "one"); return nil }},
			{"learn before anything is read", func() error { return r.Learn(t.Context(), tenant, inventory(0, 1)) }},
			{"expect", func() error { return r.Expect(t.Context(), tenant, "one", time.Minute) }},
			{"give up", func() error { return r.GiveUp(t.Context(), tenant, "one", 0) }},
			{"begin again", func() error { at = r.beginReading(t, "two"); return nil }},
			{"write", func() error { return r.Write(t.Context(), tenant, "two", inventory(0, 10)) }},
			{"forget while it is read", func() error { return r.Forget(t.Context(), device(1)) }},
			{"install", func() error {
				return r.Install(t.Context(), tenant, "two", action.RollState{At: at, Whole: at})
			}},
			{"forget", func() error { return r.Forget(t.Context(), device(2)) }},
			{"learn", func() error { return r.Learn(t.Context(), tenant, inventory(2, 1)) }},
			{"begin an increment", func() error { at = r.beginReading(t, "three"); return nil }},
			{"refresh", func() error { return r.Refresh(t.Context(), tenant, "three", inventory(8, 10)) }},
			{"refreshed", func() error {
				return r.Refreshed(t.Context(), tenant, "three", action.RollState{At: at})
			}},
			{"find", func() error {
				_, err := r.Find(t.Context(), tenant, action.TraitsOf(inventory(9, 1)[0]))
				return err
			}},
		} {
			if err := step.do(); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			if keys := r.lasting(t); len(keys) > 0 {
				t.Errorf("after %q these stay for ever: %q", step.name, keys)
			}
		}
		if n := len(r.rdb.Keys(t.Context(), "*:roll:*").Val()); n != 3 {
			t.Errorf("%d keys, want the state, the devices and the index", n)
		}
	})
}
