package ledger_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

// named are the ids that the snapshot has beside a device of a name.
func (r *rig) named(t *testing.T, hostname string) (action.SnapshotState, []string) {
	t.Helper()
	f, err := r.Snapshots().Beside(t.Context(), dev.TenantID, "", &policy.Device{Hostname: policy.Is(hostname)})
	if err != nil {
		t.Fatal(err)
	}
	return f.State, idsOf(f.Devices)
}

// state is what the snapshot says of itself.
func (r *rig) state(t *testing.T) action.SnapshotState {
	t.Helper()
	f, err := r.Snapshots().Find(t.Context(), dev.TenantID, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f.State
}

// asks begins a look, which is counted.
func (r *rig) asks(t *testing.T) action.SnapshotState {
	t.Helper()
	f, err := r.Snapshots().Beside(t.Context(), dev.TenantID, "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	return f.State
}

func idsOf(devices []policy.Device) []string {
	var ids []string
	for _, d := range devices {
		ids = append(ids, d.ID.Value)
	}
	slices.Sort(ids)
	return ids
}

// aReading is one that has seen the snapshot as it is.
func (r *rig) aReading(t *testing.T, id string, refresh bool) action.Reading {
	t.Helper()
	return action.Reading{TenantID: dev.TenantID, ID: id, Seen: r.state(t).At, Refresh: refresh, Turn: 2 * time.Minute}
}

// begins gives a reading the turn.
func (r *rig) begins(t *testing.T, id string, refresh bool) action.Reading {
	t.Helper()
	read := r.aReading(t, id, refresh)
	if begun, err := r.Snapshots().Begin(t.Context(), read); err != nil || !begun {
		t.Fatalf("%s does not get the turn: %v", id, err)
	}
	return read
}

func (r *rig) write(t *testing.T, read action.Reading, devices []policy.Device) {
	t.Helper()
	if err := r.Snapshots().Write(t.Context(), read, devices, 7); err != nil {
		t.Fatal(err)
	}
}

// commit ends a reading, and returns when it began by the ledger's clock.
func (r *rig) commit(t *testing.T, read action.Reading) time.Time {
	t.Helper()
	if err := r.Snapshots().Commit(t.Context(), read, action.ReadingEnd{Central: time.UnixMilli(5_000), Newest: time.UnixMilli(7_000)}); err != nil {
		t.Fatal(err)
	}
	return r.state(t).At
}

// taken has a whole reading take the snapshot's place.
func (r *rig) taken(t *testing.T, id string, devices []policy.Device) time.Time {
	t.Helper()
	read := r.begins(t, id, false)
	r.write(t, read, devices)
	return r.commit(t, read)
}

// lasting are the keys of the snapshot that never run out.
func (r *rig) lasting(t *testing.T) (lasting []string) {
	t.Helper()
	for _, k := range r.rdb.Keys(t.Context(), "*:snapshot:*").Val() {
		if r.rdb.TTL(t.Context(), k).Val() <= 0 {
			lasting = append(lasting, k)
		}
	}
	return lasting
}

func TestASnapshotIsTheOldOneUntilTheNewOneIsWhole(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		if st, ids := r.named(t, "ws-00001"); !st.At.IsZero() || len(ids) > 0 {
			t.Errorf("before the first: %+v %q", st, ids)
		}
		one := r.begins(t, "one", false)
		begun := r.state(t).Now
		r.write(t, one, inventory(0, 100))
		if st, ids := r.named(t, "ws-00001"); !st.At.IsZero() || len(ids) > 0 || st.Left != 7 {
			t.Errorf("half read: %+v %q", st, ids)
		}
		r.pass(time.Minute)
		r.commit(t, one)
		st, ids := r.named(t, "WS-00001")
		if st.At.After(begun) || !st.Whole.Equal(st.At) || st.Newest.UnixMilli() != 7_000 || st.Central.UnixMilli() != 5_000 || len(ids) != 2 || !st.Young() || st.Left != 0 {
			t.Errorf("committed: %+v %q, begun %s", st, ids, begun)
		}
		r.pass(time.Hour)
		two := r.begins(t, "two", false)
		r.write(t, two, inventory(50, 100))
		if _, ids := r.named(t, "ws-00001"); len(ids) != 2 {
			t.Errorf("while the next is read: %q", ids)
		}
		r.commit(t, two)
		if _, ids := r.named(t, "ws-00001"); len(ids) != 0 {
			t.Errorf("it left Central, and is on the snapshot: %q", ids)
		}
		if _, ids := r.named(t, "ws-00070"); len(ids) != 2 {
			t.Errorf("new ones: %q", ids)
		}
		if n := len(r.rdb.Keys(t.Context(), "*:snapshot:one:*").Val()); n != 0 {
			t.Errorf("%d keys of the old reading are left", n)
		}
	})
}

func TestARefreshFollowsNamesThatChange(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		whole := r.taken(t, "one", inventory(0, 20))
		r.pass(time.Minute)
		some := inventory(2, 3) // two of WS-00001, one of WS-00002
		some[0].Hostname = policy.Is("WS-00007")
		some[1].Hostname = policy.Is("ws-new.corp.example.test")
		some[2].Hostname = policy.Garbled[string]()
		more := r.begins(t, "more", true)
		for range 2 { // a page that comes again changes nothing
			r.write(t, more, some)
		}
		if at := r.commit(t, more); !at.After(whole) || !r.state(t).Whole.Equal(whole) {
			t.Errorf("refreshed: %+v", r.state(t))
		}
		for name, want := range map[string]int{"ws-00001": 0, "ws-00007": 3, "ws-new": 1, "ws-00002": 1, "ws-00003": 2, "ws-none": 0} {
			if _, ids := r.named(t, name); len(ids) != want {
				t.Errorf("%s: %q, want %d", name, ids, want)
			}
		}
	})
}

// A device is kept whole: what the policy needs of it comes back as it was, what can't
// be read too.
func TestADeviceIsKeptWhole(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		full := policy.Device{
			ID: policy.Is(device(1).EndpointID), TenantID: policy.Is(dev.TenantID), Hostname: policy.Is("WS-1"), Type: policy.Is("computer"), Platform: policy.Is("windows"),
			OSName: policy.Is("Windows 11 <Pro> \u2028"), IsServer: policy.Is(false), Build: policy.Is(22631), LastSeenAt: policy.Is(time.Date(2026, 11, 1, 2, 3, 4, 500_000_000, time.UTC)),
			RegisteredAt: policy.Garbled[time.Time](), Online: policy.Garbled[bool](), Isolated: policy.Is(true), HealthOverall: policy.Is("bad"), HealthThreats: policy.Garbled[string](),
			Cloned: policy.Is(false), PersonID: policy.Is("p"), PersonName: policy.Is("Å. Öberg"), ViaLogin: policy.Is(`CORPEX\å`), SerialNumber: policy.Is("SN1"),
			MACAddresses: []string{"02:00:5E:00:00:01"}, Groups: []policy.Group{{ID: "g", Name: "G"}, {Name: "above"}}, BadServices: true, GroupsWhole: true, Tamper: policy.Is(true), Garbled: []string{"group"},
		}
		bare := policy.Device{ID: policy.Is(device(2).EndpointID)}
		r.taken(t, "one", []policy.Device{full, bare})
		for _, want := range []policy.Device{full, bare} {
			f, err := r.Snapshots().Beside(t.Context(), dev.TenantID, want.ID.Value, nil)
			if err != nil || len(f.Devices) != 1 || !cmp.Equal(f.Devices[0], want) {
				t.Errorf("%+v %v, want %+v", f.Devices, err, want)
			}
		}
		for i := range reflect.TypeOf(full).NumField() { // a field that is new is to be tested, too
			if reflect.ValueOf(full).Field(i).IsZero() {
				t.Errorf("%s is not given", reflect.TypeOf(full).Field(i).Name)
			}
		}
	})
}

// Beside a device are those of its name, and those without a readable one that are the
// same machine; whether the device is given or stands on the snapshot.
func TestDevicesBesideOneAreFound(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		id := func(n int) policy.Device { return policy.Device{ID: policy.Is(device(n).EndpointID)} }
		itself, twin, odd, nameless, blank, stranger, named := id(0), id(1), id(2), id(3), id(4), id(5), id(6)
		itself.Hostname, itself.SerialNumber, itself.MACAddresses = policy.Is("WS-1.corp"), policy.Is("SN1"), []string{"02:00:5E:00:00:09", "02:00:5E:00:00:0A"}
		twin.Hostname = policy.Is("ws-1$")
		odd.Hostname = policy.Is("A\tB\nC\x00,\"\u2028\xff.corp")
		nameless.Hostname, nameless.SerialNumber = policy.Garbled[string](), policy.Is("sn1")
		blank.Hostname, blank.MACAddresses = policy.Is(" $"), []string{"", "nonsense", "0200.5e00.000a"}
		stranger.Hostname, stranger.SerialNumber = policy.Garbled[string](), policy.Is("SN2")
		named.Hostname, named.SerialNumber = policy.Is("OTHER"), policy.Is("SN1")
		r.taken(t, "one", []policy.Device{itself, twin, odd, nameless, blank, stranger, named})
		want := idsOf([]policy.Device{itself, twin, nameless, blank})
		for name, given := range map[string]*policy.Device{"on the snapshot": nil, "given": &itself} {
			f, err := r.Snapshots().Beside(t.Context(), dev.TenantID, itself.ID.Value, given)
			if err != nil || !slices.Equal(idsOf(f.Devices), want) {
				t.Errorf("%s: %q %v, want %q", name, idsOf(f.Devices), err, want)
			}
		}
		f, err := r.Snapshots().Beside(t.Context(), dev.TenantID, itself.ID.Value, &policy.Device{Hostname: policy.Is("other")})
		if err != nil || !slices.Equal(idsOf(f.Devices), idsOf([]policy.Device{itself, named})) {
			t.Errorf("it was renamed: %q %v", idsOf(f.Devices), err)
		}
		for name, n := range map[string]int{"A\tB\nC\x00,\"\u2028\xff": 1, "\x01": 0, "?": 0, "ws-1": 2} {
			if _, ids := r.named(t, name); len(ids) != n {
				t.Errorf("%q: %q, want %d", name, ids, n)
			}
		}
		if err := r.Snapshots().Write(t.Context(), action.Reading{TenantID: dev.TenantID, ID: "x"}, []policy.Device{{}}, 0); err == nil {
			t.Error("one without an id was kept")
		}
	})
}

func TestLooksAreCountedForSomeMinutes(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		for range 6 { // whatever the clock tells
			for range 5 {
				r.asks(t)
			}
			r.pass(100 * time.Second)
			if st := r.asks(t); st.Asked != 6 {
				t.Errorf("asked %d, want 6", st.Asked)
			}
			r.pass(4*time.Minute + 15*time.Second)
			if st := r.asks(t); st.Asked != 1 {
				t.Errorf("asked %d after a pause", st.Asked)
			}
			r.pass(4 * time.Minute)
		}
		if a, b := r.state(t).Asked, r.state(t).Asked; a != b {
			t.Errorf("the watch is counted: %d, %d", a, b)
		}
	})
}

func TestWhatCentralShowedIsPutOnTheSnapshotAndOnTheOneThatIsRead(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		put := func() {
			t.Helper()
			if err := r.Snapshots().Put(t.Context(), dev.TenantID, inventory(100, 2)); err != nil { // of one name
				t.Fatal(err)
			}
		}
		put()
		if st, ids := r.named(t, "ws-00050"); !st.At.IsZero() || len(ids) > 0 {
			t.Errorf("without a snapshot: %+v %q", st, ids)
		}
		r.taken(t, "one", inventory(0, 10))
		two := r.begins(t, "two", false)
		r.write(t, two, inventory(0, 20))
		put()
		if _, ids := r.named(t, "ws-00050"); len(ids) != 2 {
			t.Errorf("on the snapshot: %q", ids)
		}
		r.commit(t, two)
		for name, want := range map[string]int{"ws-00050": 2, "ws-00009": 2} {
			if _, ids := r.named(t, name); len(ids) != want {
				t.Errorf("%s on the next: %q", name, ids)
			}
		}
	})
}

// Whatever is done to a snapshot, nothing of it stays for ever.
func TestNoKeyOfASnapshotStaysForEver(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		k, tenant := r.Snapshots(), dev.TenantID
		var read action.Reading
		for _, step := range []struct {
			name string
			do   func() error
		}{
			{"a look begins", func() error { r.asks(t); return nil }},
			{"begin", func() error { read = r.begins(t, "one", false); return nil }},
			{"put before anything is read", func() error { return k.Put(t.Context(), tenant, inventory(0, 1)) }},
			{"abandon", func() error { return k.Abandon(t.Context(), read, 0) }},
			{"begin again", func() error { read = r.begins(t, "two", false); return nil }},
			{"write", func() error { return k.Write(t.Context(), read, inventory(0, 10), 1) }},
			{"remove while it is read", func() error { return k.Remove(t.Context(), device(1)) }},
			{"commit", func() error { r.commit(t, read); return nil }},
			{"remove", func() error { return k.Remove(t.Context(), device(2)) }},
			{"put", func() error { return k.Put(t.Context(), tenant, inventory(2, 1)) }},
			{"begin a refresh", func() error { read = r.begins(t, "three", true); return nil }},
			{"refresh", func() error { return k.Write(t.Context(), read, inventory(8, 10), 0) }},
			{"commit the refresh", func() error { r.commit(t, read); return nil }},
			{"find", func() error {
				_, err := k.Find(t.Context(), tenant, action.TraitsOf(inventory(9, 1)[0]))
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
		if n := len(r.rdb.Keys(t.Context(), "*:snapshot:*").Val()); n != 3 {
			t.Errorf("%d keys, want the state, the devices and the index", n)
		}
	})
}
