package httpapi_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

// until asks again and again, as who waits for something that is done aside.
func (s *system) until(what string, done func() bool) {
	s.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(20 * time.Second)
	defer late.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late.C:
			s.t.Fatalf("never: %s", what)
		}
	}
}

// rollState is what the snapshot says of itself to one who does not count.
func (s *system) snapshotState() action.SnapshotState {
	s.t.Helper()
	f, err := s.store.Snapshots().Find(s.t.Context(), tenant, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return f.State
}

// onSnapshotToo puts a twin of a candidate into Central, and has the snapshot read with it.
func (s *system) onSnapshotToo(events []map[string]any, twin, hostname string, change func(r map[string]any)) {
	s.t.Helper()
	r, _ := s.sim.Get(tenant, s.sample["online"].ID)
	r["id"], r["hostname"] = twin, hostname
	if change != nil {
		change(r)
	}
	s.sim.Put(tenant, r)
	for range 2 {
		for _, e := range events {
			s.act("evaluate", map[string]any{"event": e})
		}
	}
	s.taken()
}

const twinID = "00000000-0000-4000-9000-000000000001"

// A reading that always fails, and late, makes people wait once: then Central is
// asked itself until one succeeds.
func TestAReadingThatAlwaysFailsMakesNobodyWait(t *testing.T) {
	s := newSystem(t, setup{snapshot: true, central: 2 * time.Second})
	events := s.fleet(1200, 30)
	late := func(r *http.Request) bool { return r.URL.Query().Has("pageFromKey") }
	s.sim.Fault(centralsim.Fault{Method: http.MethodGet, Hang: true, Times: centralsim.Always, When: late})
	playbooks(t, []*system{s}, events, 4)
	s.until("the first reading fails", func() bool { return !s.snapshotState().Failed.IsZero() })
	for range 3 {
		s.later(4 * time.Minute)
		for _, e := range events {
			if a := s.act("evaluate", map[string]any{"event": e}); a.is("outcome") != "delete" {
				t.Fatalf("told to wait for a reading that fails each time: %s %s", a.is("reasonCode"), a.is("reasonsText"))
			}
		}
	}
	s.sim.ClearFaults()
	s.later(2 * time.Minute)
	playbooks(t, []*system{s}, events, 4)
	s.taken()
	if st := s.snapshotState(); !st.Failed.IsZero() {
		t.Errorf("the doubt outlives a reading that succeeded: %+v", st)
	}
}

// A device that Central does not have any more is off the snapshot once its 404 was
// seen, by whatever read.
func TestAReadOfADeviceThatIsGoneTakesItOffTheSnapshot(t *testing.T) {
	for name, see := range map[string]func(s *system){
		"verify-live": func(s *system) {
			e := s.eventOf(twinID, "WS-NEW-00003")
			s.want(s.act("verify-live", map[string]any{"event": e}), "not_found", "")
		},
		"evaluate, once the snapshot is too old": func(s *system) {
			s.pass(11 * time.Minute)
			s.want(s.act("evaluate", map[string]any{"event": s.eventOf(twinID, "WS-NEW-00003")}), "skip", "GONE_ELSEWHERE")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, setup{snapshot: true})
			events := s.fleet(50, 20)
			s.onSnapshotToo(events, twinID, "WS-NEW-00003", nil)
			s.want(s.act("evaluate", map[string]any{"event": events[3]}), "manual", "DUPLICATE_ACTIVE")
			s.sim.Remove(tenant, twinID)
			see(s)
			if n := s.snapshotAs("WS-NEW-00003"); n != 1 {
				t.Errorf("%d of the name are on the snapshot, want 1", n)
			}
			s.want(s.act("evaluate", map[string]any{"event": events[3]}), "delete", "")
		})
	}
}

// snapshotAs is how many the snapshot has of a name.
func (s *system) snapshotAs(hostname string) int {
	s.t.Helper()
	f, err := s.store.Snapshots().Find(s.t.Context(), tenant, []action.Trait{{Sign: action.SameName, Value: policy.NameKey(hostname)}})
	if err != nil {
		s.t.Fatal(err)
	}
	return len(f.Devices)
}

// A delete that was read back as gone takes the device off the snapshot, so that its
// twin is not held up by it.
func TestADeleteTakesTheDeviceOffTheSnapshot(t *testing.T) {
	s := newSystem(t, setup{snapshot: true})
	events := s.fleet(50, 20)
	for range 2 {
		playbooks(t, []*system{s}, events, 4)
	}
	s.taken()
	s.want(s.remove(s.act("evaluate", map[string]any{"event": events[3]}).is("token")), "deleted", "")
	if n := s.snapshotAs("WS-NEW-00003"); n != 0 {
		t.Errorf("%d of the name are on the snapshot", n)
	}
}

// A twin that somebody else took out of Central, and that nobody reads by its id,
// does not hold up the device for as long as the snapshot is not read anew.
func TestATwinThatLeftCentralUnseenHoldsUpNothing(t *testing.T) {
	s := newSystem(t, setup{snapshot: true})
	events := s.fleet(50, 20)
	s.onSnapshotToo(events, twinID, "WS-NEW-00003", nil)
	s.want(s.act("evaluate", map[string]any{"event": events[3]}), "manual", "DUPLICATE_ACTIVE")
	s.sim.Remove(tenant, twinID)
	a := s.want(s.act("evaluate", map[string]any{"event": events[3]}), "delete", "")
	s.want(s.remove(a.is("token")), "deleted", "")
}

// A twin that can't be asked for stays what the snapshot says it is.
func TestATwinThatCannotBeReadStaysOnTheSnapshot(t *testing.T) {
	s := newSystem(t, setup{snapshot: true})
	events := s.fleet(50, 20)
	s.onSnapshotToo(events, twinID, "WS-NEW-00003", nil)
	s.sim.Remove(tenant, twinID)
	s.sim.Fault(centralsim.Fault{Path: "/endpoint/v1/endpoints/" + twinID, Status: http.StatusInternalServerError, Times: centralsim.Always})
	s.sim.Fault(centralsim.Fault{Path: "/endpoint/v1/endpoints", Status: http.StatusInternalServerError, Times: centralsim.Always,
		When: func(r *http.Request) bool { return r.URL.Query().Has("ids") }})
	s.want(s.act("evaluate", map[string]any{"event": events[3]}), "manual", "DUPLICATE_ACTIVE")
	if n := s.snapshotAs("WS-NEW-00003"); n != 2 {
		t.Errorf("%d of the name are on the snapshot, want 2", n)
	}
}

// Names are held together on the snapshot as Central's own search holds them.
func TestTheSnapshotKnowsATwinHoweverItsNameIsWritten(t *testing.T) {
	for _, name := range []string{
		"ws-new-00003", "WS-NEW-00003$", "WS-NEW-00003$.corp.example.test", " WS-NEW-00003 .corp.example.test", "WS-NEW-00003.home.example.test",
		"W\u017f-NEW-00003", // a long s, which folds to s
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, setup{snapshot: true})
			events := s.fleet(50, 20)
			s.onSnapshotToo(events, twinID, name, nil)
			s.want(s.act("evaluate", map[string]any{"event": events[3]}), "manual", "DUPLICATE_ACTIVE")
			s.silentSearches(func() { s.want(s.act("evaluate", map[string]any{"event": events[3]}), "manual", "DUPLICATE_ACTIVE") })
		})
	}
}

// silentSearches fails if Central was searched by name meanwhile: then it was not
// the snapshot that answered.
func (s *system) silentSearches(do func()) {
	s.t.Helper()
	before := len(s.sim.Journal())
	do()
	for _, c := range s.sim.Journal()[before:] {
		if c.Query.Has("hostnameContains") {
			s.t.Errorf("Central was searched: %s", c.Query.Encode())
		}
	}
}

// A record without a readable host name makes nobody's verdict worse, but that of the
// same machine; delete says the same.
func TestARecordWithoutANameStandsBesideTheSameMachineOnly(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(r, own map[string]any)
		want   string
	}{
		"no name":                      {func(r, _ map[string]any) { delete(r, "hostname") }, "delete"},
		"a name that can't be read":    {func(r, _ map[string]any) { r["hostname"] = map[string]any{"odd": 1} }, "delete"},
		"an empty one":                 {func(r, _ map[string]any) { r["hostname"] = "" }, "delete"},
		"no name, but the number":      {func(r, own map[string]any) { delete(r, "hostname"); r["serialNumber"] = own["serialNumber"] }, "manual"},
		"a blank one, and the address": {func(r, own map[string]any) { r["hostname"] = " $"; r["macAddresses"] = own["macAddresses"] }, "manual"},
		"null, and the number in lower": {func(r, own map[string]any) {
			r["hostname"] = nil
			r["serialNumber"] = strings.ToLower(own["serialNumber"].(string))
		}, "manual"},
		"a number that nobody set": {func(r, own map[string]any) {
			delete(r, "hostname")
			r["serialNumber"] = "To be filled by O.E.M."
		}, "delete"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, setup{snapshot: true})
			events := s.fleet(50, 20)
			own, _ := s.sim.Get(tenant, "00000000-0000-4000-8000-000000000003")
			s.onSnapshotToo(events, twinID, "", func(r map[string]any) {
				r["serialNumber"], r["macAddresses"] = "SYN-OTHER", []any{"02:00:5E:99:99:99"}
				tt.change(r, own)
			})
			s.silentSearches(func() {
				a := s.act("evaluate", map[string]any{"event": events[3]})
				if a.is("outcome") != tt.want {
					t.Errorf("%s %s, want %s", a.is("outcome"), a.is("reasonCode"), tt.want)
				}
			})
			if a := s.act("evaluate", map[string]any{"event": events[3]}); tt.want == "delete" {
				s.want(s.remove(a.is("token")), "deleted", "")
			}
		})
	}
}

// What the lists of groups say is kept with the snapshot, and read anew with it: a device
// that was put into an excluded group meanwhile is kept once the snapshot is refreshed,
// and one that was taken out is not.
func TestTheListsOfGroupsAreReadAnewWithTheSnapshot(t *testing.T) {
	s := newSystem(t, setup{snapshot: true})
	s.change(func(r *action.Rules) {
		r.Params.Exclusions = append(r.Params.Exclusions, policy.Exclusion{ID: "lab-group", CentralGroups: []string{"shared lab"}, Reason: "r", Owner: "o"})
	})
	events := s.fleet(50, 20)
	lab := centralsim.Group{ID: labGroup, Name: "Shared Lab"}
	in := func(n int) string { return events[n]["central"].(map[string]any)["id"].(string) }
	s.sim.PutGroup(tenant, lab)
	s.refreshed(events)
	s.want(s.act("evaluate", map[string]any{"event": events[3]}), "delete", "")
	lab.Members = []string{in(3), in(4)}
	s.sim.PutGroup(tenant, lab)
	s.want(s.act("evaluate", map[string]any{"event": events[3]}), "delete", "") // the snapshot is some minutes old
	s.pass(11 * time.Minute)
	s.refreshed(events)
	whole := s.snapshotState().Whole
	s.want(s.act("evaluate", map[string]any{"event": events[3]}), "keep", "EXCLUDED")
	lab.Members = []string{in(4)}
	s.sim.PutGroup(tenant, lab)
	s.pass(11 * time.Minute)
	s.refreshed(events)
	s.want(s.act("evaluate", map[string]any{"event": events[3]}), "delete", "")
	s.want(s.act("evaluate", map[string]any{"event": events[4]}), "keep", "EXCLUDED")
	if !s.snapshotState().Whole.Equal(whole) {
		t.Error("all devices were read anew")
	}
	s.change(func(r *action.Rules) { r.Params.Exclusions[1].CentralGroups = []string{"shared lab", "benches"} }) // of these nothing is kept
	s.want(s.act("evaluate", map[string]any{"event": events[4]}), "keep", "EXCLUDED")
}

// A policy that names groups for the first time asks what all records show of them, and
// not only those of the next refresh.
func TestAPolicyThatBeginsToNameGroupsHasAllDevicesReadAnew(t *testing.T) {
	s := newSystem(t, setup{snapshot: true})
	events := s.fleet(50, 20)
	s.sim.PutGroup(tenant, centralsim.Group{ID: labGroup, Name: "Shared Lab"})
	const alone = "2b3c4d5e-6f70-4a81-9b92-0c1d2e3f4a5b"
	s.sim.PutGroup(tenant, centralsim.Group{ID: alone, Name: "Alone"})
	for n, shown := range map[int]map[string]any{
		3: {"group": in(alone, "Alone")},
		4: {"group": in(benchGroup, "Benches"), "groupHierarchy": []any{in(benchGroup, "Benches"), in(otherGroup, "EU")}},
	} {
		id := events[n]["central"].(map[string]any)["id"].(string)
		r, _ := s.sim.Get(tenant, id)
		delete(r, "groupHierarchy")
		delete(r, "group")
		maps.Copy(r, shown)
		s.sim.Put(tenant, r)
	}
	s.refreshed(events)
	s.want(s.act("evaluate", map[string]any{"event": events[3]}), "delete", "")
	s.change(func(r *action.Rules) {
		r.Params.Exclusions = append(r.Params.Exclusions, policy.Exclusion{ID: "lab-group", CentralGroups: []string{"shared lab"}, Reason: "r", Owner: "o"})
	})
	s.pass(11 * time.Minute)
	s.refreshed(events)
	s.want(s.act("evaluate", map[string]any{"event": events[3]}), "manual", "EXCLUDED") // the tenant nests groups
}
