package action

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rollcall/internal/policy"
)

// memory is a snapshot of the tests: some devices, of which Find finds those that bear
// a trait, few of each.
type memory struct {
	state   SnapshotState
	devices []policy.Device
	asked   int           // calls of Find with traits
	most    int           // traits in one call
	ages    time.Duration // by each call
	err     error
}

const fewOfEach = 16

func (m *memory) Find(_ context.Context, _ string, traits []Trait) (SnapshotFinds, error) {
	f := SnapshotFinds{State: m.state}
	m.state.Now = m.state.Now.Add(m.ages)
	if len(traits) > 0 {
		m.asked++
	}
	m.most = max(m.most, len(traits))
	for _, t := range traits {
		var bearers []policy.Device
		for _, d := range m.devices {
			if slices.Contains(TraitsOf(d), t) {
				bearers = append(bearers, d)
			}
		}
		if len(bearers) > fewOfEach {
			f.Crowded = append(f.Crowded, t)
			continue
		}
		f.Devices = append(f.Devices, bearers...)
	}
	return f, m.err
}

// youngSnapshot is one of which all was read after the delete.
func youngSnapshot(devices ...policy.Device) *memory {
	at := deletedAt().Add(2 * time.Hour)
	return &memory{state: SnapshotState{Now: at.Add(time.Minute), At: at, Whole: at}, devices: devices}
}

// recalled looks a list up on a snapshot.
func recalled(t interface{ Fatal(...any) }, m *memory, gone ...Gone) (found []found, whole bool) {
	w := newWatchlist("tenant")
	for _, g := range gone {
		w.add(g)
	}
	r := &Runner{set: Settings{Snapshots: m}}
	whole, err := r.recall(context.Background(), w)
	if err != nil {
		t.Fatal(err)
	}
	return w.found(whole), whole
}

// What the snapshot shows is what a read of Central would: the same devices are found,
// by the same signs, and a dock's address or a number that nobody set shows nothing.
func TestTheSnapshotShowsWhatAReadOfCentralWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.SampledFrom([]policy.Field[time.Time]{
			{}, policy.Garbled[time.Time](), policy.Is(deletedAt().Add(time.Hour)), policy.Is(deletedAt().Add(-time.Minute)), policy.Is(deletedAt().Add(-time.Hour)),
		})
		var fleet []policy.Device
		for i := range rapid.IntRange(0, 14).Draw(t, "devices") {
			id := fmt.Sprint("d", i)
			if rapid.IntRange(0, 9).Draw(t, "returns") == 0 {
				id = rapid.SampledFrom([]string{"old", "older"}).Draw(t, "id")
			}
			fleet = append(fleet, policy.Device{
				ID:           policy.Is(id),
				Hostname:     policy.Is(rapid.SampledFrom([]string{"ws-1", "WS-1.corp.example.test", "x", "y"}).Draw(t, "name")),
				SerialNumber: policy.Is(rapid.SampledFrom([]string{"SYN0000001", "syn0000001", "None", "", "z"}).Draw(t, "serial")),
				MACAddresses: rapid.SliceOfN(rapid.SampledFrom([]string{"02:00:5E:10:00:01", "02005E100001", "00:00:00:00:00:00", "02:00:5E:10:00:09"}), 0, 2).Draw(t, "macs"),
				LastSeenAt:   times.Draw(t, "seen"), RegisteredAt: times.Draw(t, "registered"),
			})
		}
		slices.SortFunc(fleet, func(a, b policy.Device) int { return strings.Compare(a.ID.Value, b.ID.Value) })
		fleet = slices.CompactFunc(fleet, func(a, b policy.Device) bool { return a.ID == b.ID })
		twin := retired()
		twin.EndpointID, twin.DeletedAt = "older", deletedAt().Add(-30*time.Minute)
		read := newWatchlist("tenant")
		read.add(retired())
		read.add(twin)
		for _, d := range fleet {
			if !d.LastSeenAt.Known() || !d.LastSeenAt.Value.Before(read.since) {
				read.hear(d)
			}
		}
		got, whole := recalled(t, youngSnapshot(fleet...), retired(), twin)
		if diff := cmp.Diff(signs(read.found(true)), signs(got)); diff != "" || !whole {
			t.Fatalf("read of Central (-) and snapshot (+), whole %v:\n%s", whole, diff)
		}
	})
}

// signs are who was found, and by what.
func signs(all []found) (out []string) {
	for _, f := range all {
		out = append(out, f.gone.EndpointID+" by "+f.trait.Sign.String())
	}
	return out
}

// A dock that half of the fleet uses is nobody's own, whoever else is heard of.
func TestATraitThatTheSnapshotDoesNotTellIsNobodysOwn(t *testing.T) {
	dock := []string{"02:00:5E:10:00:01"}
	var fleet []policy.Device
	for i := range fewOfEach + 5 {
		fleet = append(fleet, heardOf(fmt.Sprint(i), func(d *policy.Device) { d.MACAddresses = dock }))
	}
	// One of them is heard of by its name, which is nobody's own either.
	named := func(d *policy.Device) { d.Hostname = policy.Is("WS-1") }
	named(&fleet[0])
	fleet = append(fleet, heardOf("x", named), heardOf("y", named))
	if got, _ := recalled(t, youngSnapshot(fleet...), retired()); len(got) != 0 {
		t.Errorf("%q", signs(got))
	}
	fleet[0].SerialNumber = policy.Is("SYN0000001")
	if got, _ := recalled(t, youngSnapshot(fleet...), retired()); !slices.Equal(signs(got), []string{"old by serial number"}) {
		t.Errorf("%q", signs(got))
	}
}

// The deleted device may stand on the snapshot still: only what was in Central after
// the delete shows anything.
func TestWhatStoodOnTheSnapshotBeforeTheDeleteShowsNothing(t *testing.T) {
	for _, tt := range []struct {
		name    string
		whole   time.Duration // after the delete
		seen    policy.Field[time.Time]
		want    int
		settled time.Duration // after the delete
	}{
		{"read before, seen before", -time.Hour, policy.Is(deletedAt()), 0, 0},
		{"read before, not known when seen", -time.Hour, policy.Field[time.Time]{}, 0, 0},
		{"read at the very time of the delete", 0, policy.Field[time.Time]{}, 0, 0},
		{"read before, seen since", -time.Hour, policy.Is(deletedAt().Add(time.Minute)), 1, 0},
		{"read since, not known when seen", time.Minute, policy.Field[time.Time]{}, 1, 0},
		{"read while its DELETE was under way", time.Second, policy.Field[time.Time]{}, 0, 3 * time.Second},
		{"read before it was settled, and seen since", time.Second, policy.Is(deletedAt().Add(time.Minute)), 1, time.Hour},
		{"read after it was settled", 2 * time.Hour, policy.Field[time.Time]{}, 1, time.Hour},
	} {
		m := youngSnapshot(heardOf("OLD", func(d *policy.Device) { d.LastSeenAt = tt.seen }))
		m.state.Whole = deletedAt().Add(tt.whole)
		gone := retired()
		gone.SettledAt = deletedAt().Add(tt.settled)
		if got, _ := recalled(t, m, gone); len(got) != tt.want {
			t.Errorf("%s: %q, want %d", tt.name, signs(got), tt.want)
		}
	}
}

// A snapshot that ages while a long list is looked up shows what is sure only.
func TestASnapshotThatDoesNotLast(t *testing.T) {
	var gone []Gone
	for i := range 200 {
		g := retired()
		g.EndpointID, g.Hostname, g.Record = fmt.Sprint("old", i), fmt.Sprint("ws-", i), nil
		gone = append(gone, g)
	}
	m := youngSnapshot(heardOf("a", func(d *policy.Device) { d.Hostname = policy.Is("ws-7") }))
	if got, whole := recalled(t, m, gone...); len(got) != 1 || !whole || m.asked < 4 || m.most > watchTraits {
		t.Errorf("%q, whole %v, in %d steps of %d at most", signs(got), whole, m.asked, m.most)
	}
	m.ages, m.asked = 5*time.Minute, 0
	if got, whole := recalled(t, m, gone...); len(got) != 0 || whole || m.asked != 3 {
		t.Errorf("%q, whole %v, in %d steps", signs(got), whole, m.asked)
	}
	m = youngSnapshot()
	m.err = errors.New("away")
	w := newWatchlist("tenant")
	w.add(retired())
	if whole, err := (&Runner{set: Settings{Snapshots: m}}).recall(t.Context(), w); err == nil || whole {
		t.Errorf("whole %v, %v", whole, err)
	}
}
