package central

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

// old is the rig's device as a snapshot has it.
func old() policy.Device {
	return policy.Device{ID: policy.Is(deviceID), Hostname: policy.Is("PC-OLD-17"), TenantID: policy.Is(tenantID), SerialNumber: policy.Is("SYN1")}
}

func TestWhatEachLookAsksCentralFor(t *testing.T) {
	for name, tt := range map[string]struct {
		ask              action.Ask
		on               bool // the snapshot has the device
		age              time.Duration
		device, searches int
		from             bool
	}{
		"evaluate, beside a young snapshot":             {action.AskNothing, true, 0, 0, 0, true},
		"evaluate, ten minutes old":                     {action.AskNothing, true, 10 * time.Minute, 0, 0, true},
		"evaluate, older":                               {action.AskNothing, true, 10*time.Minute + time.Second, 1, 1, false},
		"evaluate, of a time to come":                   {action.AskNothing, true, -6 * time.Minute, 1, 1, false},
		"evaluate, of a device that is not on it":       {action.AskNothing, false, 0, 1, 1, false},
		"verify-live, beside a young snapshot":          {action.AskDevice, true, 0, 1, 0, false},
		"verify-live, older":                            {action.AskDevice, true, 11 * time.Minute, 1, 1, false},
		"verify-live, of a device that is not on it":    {action.AskDevice, false, 0, 1, 1, false},
		"delete, whatever the snapshot says":            {action.AskAll, true, 0, 1, 1, false},
		"delete, of a device that is not on a snapshot": {action.AskAll, false, 0, 1, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			b := &book{state: action.SnapshotState{Now: r.clock(), At: r.clock().Add(-tt.age), Central: r.clock().Add(-tt.age), Newest: r.clock().Add(-2 * time.Minute)}}
			if tt.on {
				b.devices = []policy.Device{old()}
			}
			c := r.with(t, b)
			live, trouble := c.Look(t.Context(), dev, time.Hour, tt.ask)
			sound(t, live, trouble)
			if live.Status != policy.LiveFound || live.FromSnapshot != tt.from || !live.NewestSeenAt.Known() || len(live.SameNamed) != 1 {
				t.Errorf("%+v", live)
			}
			if tt.from && (!live.At.Equal(r.clock().Add(-tt.age)) || !live.CentralTime.Known()) {
				t.Errorf("read at %s, Central's time %+v", live.At, live.CentralTime)
			}
			if n := r.sim.Count(http.MethodGet, devices+"/"+deviceID); n != tt.device {
				t.Errorf("the device was read %d times, want %d", n, tt.device)
			}
			if n := r.searches(); n != tt.searches {
				t.Errorf("%d searches, want %d", n, tt.searches)
			}
		})
	}
}

// What a live read shows otherwise than the snapshot is put right there.
func TestAChangedDeviceIsPutRightOnTheSnapshot(t *testing.T) {
	for name, tt := range map[string]struct {
		ask    action.Ask
		change func(d *policy.Device)
		want   bool
	}{
		"verify-live, unchanged":        {action.AskDevice, func(*policy.Device) {}, false},
		"verify-live, another name":     {action.AskDevice, func(d *policy.Device) { d.Hostname = policy.Is("PC-NEW") }, true},
		"verify-live, seen since":       {action.AskDevice, func(d *policy.Device) { d.LastSeenAt = policy.Is(d.LastSeenAt.Value.Add(-time.Hour)) }, true},
		"verify-live, isolated":         {action.AskDevice, func(d *policy.Device) { d.Isolated = policy.Is(true) }, true},
		"verify-live, unreadable there": {action.AskDevice, func(d *policy.Device) { d.Online = policy.Garbled[bool]() }, true},
		"delete":                        {action.AskAll, func(*policy.Device) {}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			is, _ := r.Look(t.Context(), dev, time.Hour, action.AskAll)
			tt.change(&is.Device)
			b := young(r, is.Device)
			if _, trouble := r.with(t, b).Look(t.Context(), dev, time.Hour, tt.ask); trouble != nil {
				t.Fatal(trouble)
			}
			if got := len(b.put) > 0; got != tt.want {
				t.Errorf("put right: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestADeviceIsTakenOffTheSnapshotThoughTheCallerHasNoMoreTime(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	b := &book{}
	(&Client{snaps: b}).remove(over, dev)
	if !slices.Equal(b.gone, []string{deviceID}) {
		t.Errorf("taken off: %q", b.gone)
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		(&Client{snaps: &book{late: make(chan struct{})}}).remove(t.Context(), dev)
		if got := time.Since(start); got != snapshotWrite {
			t.Errorf("it was waited for %s", got)
		}
	})
}

// Only Central's own 404 takes a device off the snapshot.
func TestOnlyA404OfCentralsOwnTakesADeviceOffTheSnapshot(t *testing.T) {
	gone := action.Ref{TenantID: tenantID, EndpointID: other}
	for name, tt := range map[string]struct {
		fault *centralsim.Fault
		want  int
	}{
		"Central's own":       {nil, 1},
		"one of another form": {&centralsim.Fault{Status: http.StatusNotFound, Body: "<html>", ContentType: "text/html"}, 0},
		"a failure":           {&centralsim.Fault{Status: http.StatusInternalServerError}, 0},
		"no answer":           {&centralsim.Fault{Drop: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			b := &book{}
			r.Client = r.with(t, b)
			r.look(t.Context(), t)
			if tt.fault != nil {
				tt.fault.Path, tt.fault.Times = devices+"/"+other, centralsim.Always
				r.sim.Fault(*tt.fault)
			}
			if _, _ = r.Present(t.Context(), gone); len(b.gone) != tt.want {
				t.Errorf("taken off: %q, want %d", b.gone, tt.want)
			}
		})
	}
}

// twins are records of one name on a snapshot; those of the first so many are in
// Central, too, under the name that it has now.
func twins(r *rig, n, present int, now string) []policy.Device {
	out := make([]policy.Device, n)
	for i := range out {
		id := fmt.Sprintf("cccccccc-0000-4000-8000-%012d", i)
		out[i] = policy.Device{ID: policy.Is(id), Hostname: policy.Is("PC-OLD-17"), LastSeenAt: policy.Is(r.clock().Add(-time.Hour)), SerialNumber: policy.Is("SYN1")}
		if i < present {
			r.sim.Put(tenantID, machine(id, now, r.clock().Add(-time.Minute)))
		}
	}
	return out
}

// Twins that the snapshot knows are asked for by their ids where they are few: those
// that are gone, or have another name now, stand beside nobody.
func TestFewTwinsOnTheSnapshotAreAskedFor(t *testing.T) {
	for name, tt := range map[string]struct {
		twins, present int
		now            string
		change         func(d *policy.Device)
		want, gone     int
	}{
		"there":               {2, 2, "pc-old-17.corp.example.test", nil, 2, 0},
		"one is gone":         {3, 2, "PC-OLD-17", nil, 2, 1},
		"all are gone":        {3, 0, "", nil, 0, 3},
		"they are renamed":    {2, 2, "PC-NEW", nil, 0, 0},
		"too many":            {4, 0, "", nil, 4, 0},
		"its id is no UUID":   {1, 0, "", func(d *policy.Device) { d.ID = policy.Is("odd") }, 1, 0},
		"nameless, elsewhere": {1, 0, "", func(d *policy.Device) { d.Hostname, d.SerialNumber = policy.Garbled[string](), policy.Is("SYN2") }, 0, 0},
		"nameless, and gone":  {1, 0, "", func(d *policy.Device) { d.Hostname = policy.Garbled[string]() }, 0, 1},
	} {
		for _, ask := range []action.Ask{action.AskDevice, action.AskNothing} {
			t.Run(fmt.Sprint(name, ask), func(t *testing.T) {
				r := newRig(t, nil, nil)
				b := young(r, append(twins(r, tt.twins, tt.present, tt.now), old())...)
				if tt.change != nil {
					tt.change(&b.devices[0])
				}
				live, trouble := r.with(t, b).Look(t.Context(), dev, time.Hour, ask)
				if trouble != nil || len(live.SameNamed) != tt.want+1 || live.SameNamed[0].ID.Value != deviceID || len(b.gone) != tt.gone {
					t.Fatalf("%d same-named, %d taken off (%+v); want %d and %d", len(live.SameNamed), len(b.gone), trouble, tt.want+1, tt.gone)
				}
				for _, d := range live.SameNamed[1:] {
					if at := d.LastSeenAt.Value; tt.present > 0 && !at.Equal(r.clock().Add(-time.Minute)) {
						t.Errorf("a twin as the snapshot has it: seen at %s", at)
					}
				}
				if n := r.searches(); n != 0 {
					t.Error("Central was searched")
				}
			})
		}
	}
}

// A record without a readable host name is no one's namesake, unless it is the same
// machine.
func TestARecordWithoutAReadableNameIsANamesakeOnlyOfTheSameMachine(t *testing.T) {
	itself := policy.Device{ID: policy.Is(deviceID), Hostname: policy.Is("PC-OLD-17"), SerialNumber: policy.Is("SYN1"), MACAddresses: []string{"02:00:5E:10:00:01", "00:00:00:00:00:00"}}
	for name, tt := range map[string]struct {
		change func(d *policy.Device)
		want   bool
	}{
		"nothing in common":                       {func(*policy.Device) {}, false},
		"the serial number":                       {func(d *policy.Device) { d.SerialNumber = policy.Is(" syn1") }, true},
		"part of the serial number":               {func(d *policy.Device) { d.SerialNumber = policy.Is("SYN") }, false},
		"the MAC address in another notation":     {func(d *policy.Device) { d.MACAddresses = []string{"0200.5e10.0001"} }, true},
		"an address of zeros":                     {func(d *policy.Device) { d.MACAddresses = []string{"00:00:00:00:00:00"} }, false},
		"no serial number":                        {func(d *policy.Device) { d.SerialNumber = policy.Field[string]{} }, false},
		"a serial number that can't be read":      {func(d *policy.Device) { d.SerialNumber = policy.Garbled[string]() }, false},
		"a name":                                  {func(d *policy.Device) { d.Hostname = policy.Is("pc-old-17.corp") }, true},
		"another name and the serial number":      {func(d *policy.Device) { d.Hostname, d.SerialNumber = policy.Is("PC"), policy.Is("SYN1") }, false},
		"a name of blanks":                        {func(d *policy.Device) { d.Hostname = policy.Is(" ") }, false},
		"a name of a sign, and the serial number": {func(d *policy.Device) { d.Hostname, d.SerialNumber = policy.Is(" $"), policy.Is("SYN1") }, true},
		"no name at all, and the serial number":   {func(d *policy.Device) { d.Hostname, d.SerialNumber = policy.Field[string]{}, policy.Is("SYN1") }, true},
		"its own id":                              {func(d *policy.Device) { d.ID = policy.Is(deviceID) }, true},
	} {
		d := policy.Device{ID: policy.Is(other), Hostname: policy.Garbled[string](), SerialNumber: policy.Is("SYN2")}
		tt.change(&d)
		if same, _ := namesakes([]policy.Device{d}, itself); (len(same) == 1) != tt.want {
			t.Errorf("%s: %d namesakes, want %v", name, len(same), tt.want)
		}
	}
}

// What evaluate found beside the device on the snapshot, delete finds too, though no
// search by name brings it.
func TestDeleteKnowsANamelessTwinFromTheSnapshot(t *testing.T) {
	r := newRig(t, nil, nil)
	r.sim.Put(tenantID, machine(other, "", r.clock()))
	twin := policy.Device{ID: policy.Is(other), SerialNumber: policy.Is("SYN1")}
	c := r.with(t, young(r, old(), twin))
	for _, ask := range []action.Ask{action.AskAll, action.AskDevice, action.AskNothing} {
		if live, trouble := c.Look(t.Context(), dev, time.Hour, ask); len(live.SameNamed) != 2 {
			t.Errorf("%d: %+v %+v", ask, live.SameNamed, trouble)
		}
	}
}

// A snapshot's age is told by the ledger's clock, and so far as that may have stepped
// back by this process's; what Central is asked for, by Central's.
func TestTheSnapshotsAgeIsToldByTheLedgersClock(t *testing.T) {
	r := newRig(t, nil, nil)
	ledger := r.clock().Add(-3 * time.Hour)
	b := young(r, old())
	b.state.Now, b.state.At, b.state.Central = ledger, ledger.Add(-9*time.Minute), r.clock().Add(-14*time.Minute)
	c := r.with(t, b)
	if live, _ := c.Look(t.Context(), dev, time.Hour, action.AskNothing); !live.FromSnapshot || !live.At.Equal(r.clock().Add(-9*time.Minute)) {
		t.Errorf("%+v", live)
	}
	b.state.Central = r.clock().Add(-16 * time.Minute)
	if live, _ := c.Look(t.Context(), dev, time.Hour, action.AskNothing); live.FromSnapshot {
		t.Error("the ledger's clock has stepped back")
	}
	for name, tt := range map[string]struct {
		at, whole time.Duration // ago, by the ledger's clock; zero = never
		central   time.Duration // ago, by Central's; zero = nobody said
		since     time.Duration // ago; zero = all are read
	}{
		"none":                      {0, 0, 0, 0},
		"a young one":               {6 * time.Minute, time.Hour, 7 * time.Minute, 17 * time.Minute},
		"one of some hours":         {11 * time.Hour, 11 * time.Hour, 11 * time.Hour, 11*time.Hour + 10*time.Minute},
		"too long since all":        {6 * time.Minute, 13 * time.Hour, 6 * time.Minute, 0},
		"too old":                   {11 * time.Hour, 11 * time.Hour, 13 * time.Hour, 0},
		"of a time to come":         {-time.Minute, time.Hour, time.Minute, 11 * time.Minute},
		"older than its clock says": {6 * time.Minute, time.Hour, 3 * time.Hour, 3*time.Hour + 10*time.Minute},
		"whole in the future":       {6 * time.Minute, -time.Hour, 6 * time.Minute, 0},
		"nobody said Central's":     {6 * time.Minute, time.Hour, 0, 0},
	} {
		st := action.SnapshotState{Now: ledger, At: ledger.Add(-tt.at), Whole: ledger.Add(-tt.whole), Central: r.clock().Add(-tt.central)}
		if tt.central == 0 {
			st.Central = time.Time{}
		}
		if tt.at == 0 {
			st = action.SnapshotState{Now: ledger}
		}
		read := c.reading(t.Context(), place{}, st)
		if got := r.clock().Sub(read.since); tt.since == 0 != read.since.IsZero() || tt.since != 0 && got != tt.since || read.Refresh != (tt.since != 0) {
			t.Errorf("%s: since %s ago, want %s", name, got, tt.since)
		}
	}
}

// While a reading is under way Central is asked with what it leaves, and who finds no
// call is told to come again, of a long one when it is done.
func TestALongReadingHasTheMinuteToItself(t *testing.T) {
	for name, tt := range map[string]struct {
		age   time.Duration
		left  int
		kind  action.CallKind
		retry time.Duration
	}{
		"no reading":                     {time.Hour, 0, action.CallCheck, 7 * time.Second},
		"a short one":                    {time.Hour, 3, action.CallSpare, 6 * time.Second},
		"a long one":                     {time.Hour, 90, action.CallSpare, 7 * time.Second},
		"a long one of a young snapshot": {0, 90, action.CallCheck, 7 * time.Second},
	} {
		r := newRig(t, nil, nil)
		b := &book{state: action.SnapshotState{Now: r.clock(), At: r.clock().Add(-tt.age), Central: r.clock().Add(-tt.age), Reading: tt.left > 0, Left: tt.left, Newest: r.clock()}, devices: []policy.Device{old()}}
		p := &purse{left: -1}
		c := r.another(t, func(o *Options) { o.Snapshots, o.Budget = b, p })
		if _, trouble := c.Look(t.Context(), dev, time.Hour, action.AskDevice); trouble != nil {
			t.Fatal(name, trouble)
		}
		if got := p.booked[len(p.booked)-1]; got != tt.kind {
			t.Errorf("%s: a call of the kind %s, want %s", name, got, tt.kind)
		}
		p.left = 0
		if live, trouble := c.Look(t.Context(), dev, time.Hour, action.AskDevice); trouble == nil || live.RetryAfter != tt.retry {
			t.Errorf("%s: come again in %s, want %s", name, live.RetryAfter, tt.retry)
		}
	}
}

// ledgerless is a ledger that refuses each reading's pages.
type ledgerless struct {
	book
	begun     atomic.Bool
	abandoned chan time.Duration
}

func (l *ledgerless) Begin(context.Context, action.Reading) (bool, error) {
	return l.begun.CompareAndSwap(false, true), nil
}

func (l *ledgerless) Write(context.Context, action.Reading, []policy.Device, int) error {
	return action.ErrNotTheTurn
}

func (l *ledgerless) Abandon(_ context.Context, r action.Reading, rest time.Duration) error {
	l.abandoned <- rest
	return nil
}

func TestAReadingThatIsRefusedIsAbandoned(t *testing.T) {
	r := newRig(t, nil, nil)
	for i := range 600 {
		r.sim.Put(tenantID, machine(fmt.Sprintf("dddddddd-0000-4000-8000-%012d", i), "X", r.clock()))
	}
	l := &ledgerless{book: book{state: action.SnapshotState{Asked: snapshotWorth}}, abandoned: make(chan time.Duration, 1)}
	ended := make(chan Reading, 1)
	r.Client = r.another(t, func(o *Options) { o.Snapshots, o.OnReading = l, func(r Reading) { ended <- r } })
	if live, trouble := r.Look(t.Context(), dev, time.Hour, action.AskNothing); live.Status != policy.LiveFound {
		t.Fatalf("Central is asked itself meanwhile: %+v", trouble)
	}
	if rest := <-l.abandoned; rest != readingAgain {
		t.Errorf("none begins for %s", rest)
	}
	if got := <-ended; !errors.Is(got.Err, action.ErrNotTheTurn) || got.TenantID != tenantID || !got.Whole || got.Devices == 0 {
		t.Errorf("told %+v", got)
	}
	for _, c := range r.sim.Journal() {
		if c.Query.Has("pageFromKey") {
			t.Error("it read on")
		}
	}
}

// A reading for which the limits leave no call for long is abandoned for as long.
func TestAReadingWithoutACallRestsUntilThereIsOne(t *testing.T) {
	r := newRig(t, nil, nil)
	l := &ledgerless{book: book{state: action.SnapshotState{Asked: snapshotWorth}}, abandoned: make(chan time.Duration, 1)}
	c := r.another(t, func(o *Options) { o.Snapshots, o.Budget = l, bulkless{} })
	if live, trouble := c.Look(t.Context(), dev, time.Hour, action.AskNothing); live.Status != policy.LiveFound {
		t.Fatalf("%+v", trouble)
	}
	if rest := <-l.abandoned; rest != 20*time.Minute {
		t.Errorf("none begins for %s", rest)
	}
}

// bulkless is a budget without a call for bulk reads in the next twenty minutes.
type bulkless struct{}

func (bulkless) Book(_ context.Context, _ string, kind action.CallKind, _ time.Duration) (time.Duration, bool, error) {
	if kind == action.CallBulk {
		return 20 * time.Minute, false, nil
	}
	return 0, true, nil
}

func (bulkless) Slow(context.Context, string, time.Duration) error { return nil }

// stuck is a ledger whose write does not end before the process does.
type stuck struct{ *ledgerless }

func (s stuck) Write(ctx context.Context, _ action.Reading, _ []policy.Device, _ int) error {
	<-ctx.Done()
	return ctx.Err()
}

// A reading that ends with its process holds up no other.
func TestAReadingThatEndsWithItsProcessLeavesTheTurnToOthers(t *testing.T) {
	r := newRig(t, nil, nil)
	l := &ledgerless{book: book{state: action.SnapshotState{Asked: snapshotWorth}}, abandoned: make(chan time.Duration, 1)}
	c := r.with(t, stuck{l})
	if live, trouble := c.Look(t.Context(), dev, time.Hour, action.AskNothing); live.Status != policy.LiveFound {
		t.Fatalf("%+v", trouble)
	}
	c.Close()
	if rest := <-l.abandoned; rest != 0 {
		t.Errorf("none begins for %s", rest)
	}
}
