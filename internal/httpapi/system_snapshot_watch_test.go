package httpapi_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

// watcher is a runner that also looks at the snapshot.
func (s *system) watcher() *action.Runner {
	s.t.Helper()
	mark, _, err := s.store.InitMark(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	asked, ok := s.lists.(action.Central)
	if !ok {
		s.t.Fatal("no Central")
	}
	return action.New(asked, s.store, nil, func() action.Rules { return *s.rules.Load() }, s.now,
		action.Settings{Mode: action.LiveMode, ActionTimeout: time.Second, CentralTimeout: time.Second, Installation: mark, Snapshots: s.store.Snapshots()})
}

// rollRead reads the snapshot as a process does, with what Central has now.
func (s *system) inventoryRead(devices ...policy.Device) {
	s.t.Helper()
	ctx, kept := s.t.Context(), s.store.Snapshots()
	r := action.Reading{TenantID: tenant, ID: uuid.NewString(), Seen: s.snapshotState().At, Turn: time.Minute}
	if begun, err := kept.Begin(ctx, r); err != nil || !begun {
		s.t.Fatal("no turn", err)
	}
	if err := kept.Write(ctx, r, devices, 0); err != nil {
		s.t.Fatal(err)
	}
	if err := kept.Commit(ctx, r, action.ReadingEnd{Central: s.now(), Newest: s.now()}); err != nil {
		s.t.Fatal(err)
	}
}

// watchedOnSnapshot is a service that has deleted the eligible device and has made the
// day's read of Central, with the watch that looks at the snapshot.
func watchedOnSnapshot(t testing.TB) (*system, *action.Runner) {
	t.Helper()
	s := newSystem(t, setup{snapshot: true})
	s.want(s.remove(s.eligible()), "deleted", "")
	r := s.watcher()
	if err := r.Watch(t.Context()); err != nil { // no snapshot: Central is read
		t.Fatal(err)
	}
	s.silent()
	s.later(time.Hour)
	return s, r
}

// onSnapshotNow is a device in use as the snapshot has it.
func (s *system) onSnapshotNow(id string, change func(d *policy.Device)) policy.Device {
	d := policy.Device{
		ID: policy.Is(id), Hostname: policy.Is("NEW-" + id[:4]), Type: policy.Is("computer"), SerialNumber: policy.Is("SYN7" + id[:4]),
		MACAddresses: []string{"02:00:5E:77:00:" + id[:2]}, LastSeenAt: policy.Is(s.now().Add(-time.Minute)), RegisteredAt: policy.Is(s.now().Add(-2 * time.Minute)),
	}
	if change != nil {
		change(&d)
	}
	return d
}

// Between the day's reads of Central a device that came back is known from the
// roll, within the hour and without a call.
func TestTheWatchLooksAtTheSnapshotEveryHour(t *testing.T) {
	mac := func(s *system) string { return s.sample["eligible"].Record["macAddresses"].([]any)[0].(string) }
	for name, tt := range map[string]struct {
		device func(s *system) policy.Device
		words  string
	}{
		"the same id": {func(s *system) policy.Device { return s.onSnapshotNow(s.device(), nil) }, "Central has it again"},
		"serial number": {func(s *system) policy.Device {
			return s.onSnapshotNow(again, func(d *policy.Device) {
				d.SerialNumber = policy.Is(s.sample["eligible"].Record["serialNumber"].(string))
			})
		}, "same serial number registered at"},
		"address": {func(s *system) policy.Device {
			return s.onSnapshotNow(again, func(d *policy.Device) { d.MACAddresses = []string{"02:00:5E:00:00:00", mac(s)} })
		}, "same MAC address registered at"},
		"name": {func(s *system) policy.Device {
			return s.onSnapshotNow(again, func(d *policy.Device) { d.Hostname = policy.Is(s.sample["eligible"].Name + "$.corp.example.test") })
		}, "same host name registered at"},
	} {
		t.Run(name, func(t *testing.T) {
			s, r := watchedOnSnapshot(t)
			s.inventoryRead(tt.device(s), s.onSnapshotNow("aaaa0000-0000-4000-8000-000000000001", nil))
			before := len(s.sim.Journal())
			for range 2 {
				if err := r.Watch(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.reported(tt.words)
			}
			if calls := s.sim.Journal()[before:]; len(calls) != 0 {
				t.Errorf("Central was asked: %+v", calls)
			}
		})
	}
}

func TestTheWatchSeesNothingInTheSnapshotThatSaysNothing(t *testing.T) {
	eligible := func(s *system) policy.Device {
		return s.onSnapshotNow(s.device(), func(d *policy.Device) {
			d.LastSeenAt, d.RegisteredAt = policy.Is(s.now().Add(-100*24*time.Hour)), policy.Is(s.now().Add(-900*24*time.Hour))
		})
	}
	for name, put := range map[string]func(s *system){
		"others": func(s *system) { s.inventoryRead(s.onSnapshotNow(again, nil)) },
		"a snapshot that is too old": func(s *system) {
			s.inventoryRead(s.onSnapshotNow(s.device(), nil))
			s.pass(11 * time.Minute)
		},
		"the deleted device's own record": func(s *system) { s.inventoryRead(eligible(s)) },
		"a look-alike from before the delete": func(s *system) {
			s.inventoryRead(s.onSnapshotNow(again, func(d *policy.Device) {
				d.Hostname, d.RegisteredAt = policy.Is(s.sample["eligible"].Name), policy.Is(s.now().Add(-900*24*time.Hour))
			}))
		},
		"a dock's address": func(s *system) {
			var all []policy.Device
			for i := range 40 {
				all = append(all, s.onSnapshotNow(fmt.Sprintf("%04d0000-0000-4000-8000-000000000001", i), func(d *policy.Device) {
					d.MACAddresses = []string{s.sample["eligible"].Record["macAddresses"].([]any)[0].(string)}
				}))
			}
			s.inventoryRead(all...)
		},
		"no snapshot": func(*system) {},
	} {
		t.Run(name, func(t *testing.T) {
			s, r := watchedOnSnapshot(t)
			put(s)
			before := len(s.sim.Journal())
			if err := r.Watch(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.silent()
			if n := len(s.sim.Journal()) - before; n != 0 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// One replica an hour looks, and a snapshot that could not be looked at before is looked
// at when it is there.
func TestTheSnapshotIsLookedAtOnceAnHour(t *testing.T) {
	s, r := watchedOnSnapshot(t)
	if err := r.Watch(t.Context()); err != nil { // there is no snapshot yet
		t.Fatal(err)
	}
	s.inventoryRead(s.onSnapshotNow(again, nil))
	if err := r.Watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.inventoryRead(s.onSnapshotNow(s.device(), nil))
	if err := s.watcher().Watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.silent()
	s.later(time.Hour)
	s.inventoryRead(s.onSnapshotNow(s.device(), nil))
	if err := s.watcher().Watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.reported("Central has it again")
}

func TestASnapshotThatIsTooOldTakesNobodysTurn(t *testing.T) {
	s, r := watchedOnSnapshot(t)
	s.inventoryRead(s.onSnapshotNow(again, nil))
	s.pass(11 * time.Minute)
	if err := r.Watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.inventoryRead(s.onSnapshotNow(s.device(), nil))
	if err := r.Watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.reported("Central has it again")
}

// From the door to the watch: what an increment brings is found.
func TestADeviceThatComesBackIsOnTheNextIncrement(t *testing.T) {
	s, r := watchedOnSnapshot(t)
	events := s.fleet(40, 20)
	for range 2 {
		playbooks(t, []*system{s}, events, 4)
	}
	s.taken()
	s.register(s.device(), s.like("hostname", "registeredAt"))
	before := len(s.sim.Journal())
	s.until("the snapshot is refreshed", func() bool {
		playbooks(t, []*system{s}, events, 4)
		return s.snapshotState().Young()
	})
	if !slices.ContainsFunc(s.sim.Journal()[before:], func(c centralsim.Entry) bool { return c.Query.Has("lastSeenAfter") }) {
		t.Error("all devices were read anew")
	}
	if err := r.Watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.reported("Central has it again")
}
