package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policyfile"
)

// The groups of the field samples, and one that no file names.
const (
	labGroup   = "5e4d3c2b-1a09-4f8e-9d7c-6b5a49382716" // Shared Lab, which the policy excludes
	benchGroup = "7f2d8b61-0c3e-4a95-8d17-e6b4f9a02c58" // Benches
	workGroup  = "c1a7e4d9-3b58-4f60-9e2c-7d8a0b1f6c35" // Workstations
	otherGroup = "9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d"
)

// groupCase is one record of the field, with the event that is asked.
type groupCase struct {
	Case, About string
	Now         time.Time
	Live, Event map[string]any
	Want        []struct {
		Policy       string
		Verdicts     []string
		ReasonsAnyOf []string
	}
}

// fieldFile reads a file of the field samples.
func fieldFile(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata/field", name))
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fieldGroups are the groups that Central lists in the samples.
func fieldGroups(t testing.TB) []centralsim.Group {
	t.Helper()
	var in struct {
		Items []struct {
			ID, Name  string
			Endpoints struct{ Items []struct{ ID string } }
		}
	}
	fieldFile(t, "endpoint-groups.json", &in)
	var out []centralsim.Group
	for _, g := range in.Items {
		group := centralsim.Group{ID: g.ID, Name: g.Name}
		for _, m := range g.Endpoints.Items {
			group.Members = append(group.Members, m.ID)
		}
		out = append(out, group)
	}
	return out
}

// groupSystem is a service at the time of a case, with the policy of a file, and a
// Central that has the case's device and one that was just seen.
func groupSystem(t *testing.T, c groupCase, policyName string, groups []centralsim.Group, snapshot bool) *system {
	t.Helper()
	clock := &atomic.Int64{}
	clock.Store(int64(time.Until(c.Now)))
	sim := centralsim.New(centralsim.Options{Now: func() time.Time { return time.Now().Add(time.Duration(clock.Load())) },
		ClientID: "id", ClientSecret: "secret", ID: centralsim.SampleTenant})
	sim.Put(centralsim.SampleTenant, c.Live)
	sim.Put(centralsim.SampleTenant, map[string]any{"id": "aaaaaaaa-0000-4000-8000-000000000000", "type": "computer",
		"tenant": map[string]any{"id": centralsim.SampleTenant}, "hostname": "WS-SEEN", "lastSeenAt": centralsim.Ago(time.Minute)})
	for _, g := range groups {
		sim.PutGroup(centralsim.SampleTenant, g)
	}
	s := newSystem(t, setup{sim: sim, sameClock: clock, snapshot: snapshot})
	b, err := os.ReadFile(filepath.Join("testdata/field", policyName))
	if err != nil {
		t.Fatal(err)
	}
	p, err := policyfile.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	s.change(func(r *action.Rules) { r.Params = p })
	return s
}

// asked is the case's event as the body of a request.
func (c groupCase) asked() map[string]any {
	if c.Event["observedAt"] == nil {
		c.Event["observedAt"] = c.Now.Format(time.RFC3339)
	}
	return map[string]any{"event": c.Event}
}

func TestRecordsOfTheFieldUnderAnExclusionByGroup(t *testing.T) {
	files, err := filepath.Glob("testdata/field/records/*.json")
	if err != nil || len(files) < 38 {
		t.Fatalf("%d records, %v", len(files), err)
	}
	for _, file := range files {
		var c groupCase
		fieldFile(t, strings.TrimPrefix(file, "testdata/field/"), &c)
		for _, want := range c.Want {
			if want.Policy != "policy-groups.json" {
				continue
			}
			t.Run(c.Case+" "+c.About, func(t *testing.T) {
				t.Parallel()
				s := groupSystem(t, c, want.Policy, fieldGroups(t), false)
				a := s.act("evaluate", c.asked())
				if !slices.Contains(want.Verdicts, a.is("outcome")) {
					t.Errorf("outcome %s %v, want one of %v", a.is("outcome"), a["reasons"], want.Verdicts)
				}
				if len(want.ReasonsAnyOf) > 0 && !slices.ContainsFunc(want.ReasonsAnyOf, func(code string) bool { return slices.Contains(a.codes(), code) }) {
					t.Errorf("reasons %v, want one of %v", a.codes(), want.ReasonsAnyOf)
				}
			})
		}
	}
}

// groupRow is a variation of a record that nothing stands against.
type groupRow struct {
	name    string
	change  func(w *groupWorld)
	outcome string
	code    string
	text    string // part of the first reason's text; empty = any
}

// groupWorld is what a row may change before the service is asked.
type groupWorld struct {
	*groupCase
	groups []centralsim.Group
	others []map[string]any // further records
	sim    func(*centralsim.Sim)
	globs  []string // what the policy excludes, in the place of Shared Lab
}

func TestAnExclusionByGroupIsHeldAgainstAllThatCentralShows(t *testing.T) {
	for _, row := range slices.Concat(memberRows(), hierarchyRows(), doubtRows(), pageRows()) {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.held(t, false)
		})
		t.Run(row.name+", on the snapshot", func(t *testing.T) {
			t.Parallel()
			row.held(t, true)
		})
	}
}

// held asks the service, or has it read the inventory and asks once more.
func (row groupRow) held(t *testing.T, snapshot bool) {
	t.Helper()
	w := groupWorld{groupCase: &groupCase{}}
	fieldFile(t, "records/r01.json", w.groupCase)
	w.groups = fieldGroups(t)
	row.change(&w)
	s := groupSystem(t, *w.groupCase, "policy-groups.json", w.groups, snapshot)
	for _, r := range w.others {
		s.sim.Put(centralsim.SampleTenant, r)
	}
	if w.sim != nil {
		w.sim(s.sim)
	}
	if w.globs != nil {
		s.change(func(r *action.Rules) { r.Params.Exclusions[0].CentralGroups = w.globs })
	}
	if snapshot {
		s.until("the snapshot is there", func() bool { s.act("evaluate", w.asked()); return s.snapshotState().Young() })
	}
	before := len(s.sim.Journal())
	a := s.act("evaluate", w.asked())
	if code := a.codes()[0]; a.is("outcome") != row.outcome || code != row.code || !strings.Contains(fmt.Sprint(a["reasons"]), row.text) {
		t.Errorf("%s %v, want %s %s %q", a.is("outcome"), a["reasons"], row.outcome, row.code, row.text)
	}
	if n := len(s.sim.Journal()) - before; snapshot && n > 0 {
		t.Errorf("%d calls beside a young snapshot", n)
	}
}

// group puts the device into a group, by Central's record and the event.
func (w *groupWorld) group(group any, hierarchy ...any) {
	for _, r := range []map[string]any{w.Live, w.Event["central"].(map[string]any)} {
		r["group"] = group
		if delete(r, "groupHierarchy"); len(hierarchy) > 0 {
			r["groupHierarchy"] = hierarchy
		}
	}
}

// other adds a record with a group and what is above it.
func (w *groupWorld) other(group any, hierarchy ...any) {
	n := len(w.others)
	w.others = append(w.others, map[string]any{"id": fmt.Sprintf("bbbbbbbb-0000-4000-8000-%012d", n), "type": "computer",
		"tenant": map[string]any{"id": centralsim.SampleTenant}, "hostname": fmt.Sprintf("WS-OTHER-%d", n),
		"lastSeenAt": "2026-08-02T20:00:00.000Z", "group": group, "groupHierarchy": hierarchy})
}

// listed makes the device a member of a group by the list alone.
func (w *groupWorld) listed(id, name string) {
	w.groups = slices.DeleteFunc(w.groups, func(g centralsim.Group) bool { return strings.EqualFold(g.ID, id) })
	w.groups = append(w.groups, centralsim.Group{ID: id, Name: name, Members: []string{fmt.Sprint(w.Live["id"])}})
}

func in(id, name string) map[string]any { return map[string]any{"id": id, "name": name} }

func memberRows() []groupRow {
	return []groupRow{
		{"in no group", func(*groupWorld) {}, "delete", "ELIGIBLE", ""},
		{"in another group, given without what is above it", func(w *groupWorld) { w.group(in(workGroup, "Workstations")) }, "delete", "ELIGIBLE", ""},
		{"in a group by Central's list alone", func(w *groupWorld) { w.listed(labGroup, "Shared Lab") }, "keep", "EXCLUDED", ""},
		{"in a group by the list, and the record says null", func(w *groupWorld) {
			w.group(nil)
			w.listed(labGroup, "Shared Lab")
		}, "keep", "EXCLUDED", ""},
		{"in a group by the list, with the device's id in capitals", func(w *groupWorld) {
			w.groups = append(w.groups[:1], centralsim.Group{ID: labGroup, Name: "Shared Lab", Members: []string{strings.ToUpper(fmt.Sprint(w.Live["id"]))}})
		}, "keep", "EXCLUDED", ""},
		{"the policy names the group by its id, in capitals", func(w *groupWorld) {
			w.group(in(strings.ToUpper(labGroup), "renamed"))
			w.globs = []string{labGroup}
		}, "keep", "EXCLUDED", ""},
		{"the policy names the group by its id, the list has the member", func(w *groupWorld) {
			w.listed(strings.ToUpper(labGroup), "renamed")
			w.globs = []string{labGroup}
		}, "keep", "EXCLUDED", ""},
		{"the policy names the group in other letters", func(w *groupWorld) {
			w.listed(labGroup, "SHARED lab")
		}, "keep", "EXCLUDED", ""},
		{"the policy names the group by a part, anchored", func(w *groupWorld) {
			w.listed(labGroup, "Shared Lab")
			w.globs = []string{"lab"}
		}, "delete", "ELIGIBLE", ""},
		{"the policy names the group by a glob", func(w *groupWorld) {
			w.listed(labGroup, "Shared Lab")
			w.globs = []string{"shared*"}
		}, "keep", "EXCLUDED", ""},
		{"the record gives the id of the group only, and the list its name", func(w *groupWorld) {
			w.groups = append(w.groups, centralsim.Group{ID: otherGroup, Name: "Shared Lab"})
			w.group(map[string]any{"id": otherGroup})
		}, "keep", "EXCLUDED", ""},
		{"the event's group is excluded, and live there is none", func(w *groupWorld) {
			w.group(in(labGroup, "Shared Lab"))
			delete(w.Live, "group")
		}, "keep", "EXCLUDED", ""},
		{"the event's group is below the excluded one by another record, and live there is none", func(w *groupWorld) {
			w.group(in(benchGroup, "Benches"))
			delete(w.Live, "group")
			w.other(in(benchGroup, "Benches"), in(benchGroup, "Benches"), in(labGroup, "Shared Lab"))
		}, "keep", "EXCLUDED", ""},
	}
}

func hierarchyRows() []groupRow {
	lab, bench := in(labGroup, "Shared Lab"), in(benchGroup, "Benches")
	return []groupRow{
		{"below the excluded group, by its own record", func(w *groupWorld) { w.group(bench, bench, lab) }, "keep", "EXCLUDED", ""},
		{"below the excluded group, listed downward", func(w *groupWorld) {
			w.group(in(otherGroup, "Desk"))
			w.other(bench, lab, bench, in(otherGroup, "Desk"))
			w.other(in(otherGroup, "Desk"), lab, bench, in(otherGroup, "Desk"))
		}, "keep", "EXCLUDED", ""},
		{"below the excluded group, by another record alone", func(w *groupWorld) {
			w.group(bench)
			w.other(bench, bench, lab)
		}, "keep", "EXCLUDED", ""},
		{"two below the excluded group, each known from another record", func(w *groupWorld) {
			w.group(in(otherGroup, "Desk"))
			w.other(in(otherGroup, "Desk"), in(otherGroup, "Desk"), bench)
			w.other(bench, bench, lab)
		}, "keep", "EXCLUDED", ""},
		{"below the excluded group, by the middle of another record's line", func(w *groupWorld) {
			w.group(bench)
			w.other(in(otherGroup, "Desk"), in(otherGroup, "Desk"), bench, lab)
		}, "keep", "EXCLUDED", ""},
		{"below the excluded group, by the id of the parent alone", func(w *groupWorld) {
			w.group(bench, map[string]any{"id": benchGroup, "name": "Benches", "parentId": labGroup})
		}, "keep", "EXCLUDED", ""},
		{"in a group by the list alone, which another record shows to be below the excluded one", func(w *groupWorld) {
			w.listed(benchGroup, "Benches")
			w.other(bench, bench, lab)
		}, "keep", "EXCLUDED", ""},
		{"above a group that is excluded", func(w *groupWorld) {
			w.group(lab)
			w.other(bench, bench, lab)
			w.other(lab, lab)
			w.globs = []string{"Benches"}
		}, "delete", "ELIGIBLE", ""},
		{"below the excluded group by id, though the names above are not given", func(w *groupWorld) {
			w.group(bench, map[string]any{"id": benchGroup}, map[string]any{"id": strings.ToUpper(labGroup)})
		}, "keep", "EXCLUDED", ""},
	}
}

func doubtRows() []groupRow {
	work, eu := in(workGroup, "Workstations"), in(otherGroup, "EU")
	refused := func(status int) func(*centralsim.Sim) {
		return func(s *centralsim.Sim) {
			s.Fault(centralsim.Fault{Method: http.MethodGet, Path: "/endpoint/v1/endpoint-groups", Status: status, Times: centralsim.Always})
		}
	}
	members := func(status int) func(*centralsim.Sim) {
		return func(s *centralsim.Sim) {
			s.Fault(centralsim.Fault{Method: http.MethodGet, Path: "/endpoint/v1/endpoint-groups/" + labGroup, Status: status, Times: centralsim.Always})
		}
	}
	return []groupRow{
		{"the tenant nests groups, and nothing shows what is above the device's", func(w *groupWorld) {
			w.group(work)
			w.other(in(benchGroup, "Benches"), in(benchGroup, "Benches"), eu)
		}, "manual", "EXCLUDED", "no record shows what is above"},
		{"the tenant nests groups, and another record shows what is above the device's", func(w *groupWorld) {
			w.group(work)
			w.other(work, work, eu)
		}, "delete", "ELIGIBLE", ""},
		{"the tenant nests groups, and another record shows the device's to be on top", func(w *groupWorld) {
			w.group(eu)
			w.other(work, work, eu)
		}, "delete", "ELIGIBLE", ""},
		{"the tenant nests groups, and the device is in none", func(w *groupWorld) { w.other(work, work, eu) }, "delete", "ELIGIBLE", ""},
		{"the tenant nests groups, and another record shows only a part of what is above", func(w *groupWorld) {
			w.group(work)
			w.other(work, work, map[string]any{"id": otherGroup, "name": "EU", "parentId": "11111111-2222-4333-8444-555555555555"})
		}, "manual", "EXCLUDED", ""},
		{"the list is refused", func(w *groupWorld) { w.group(work); w.sim = refused(http.StatusForbidden) }, "manual", "EXCLUDED", "listing the tenant's groups"},
		{"the list fails", func(w *groupWorld) { w.group(work); w.sim = refused(http.StatusInternalServerError) }, "manual", "EXCLUDED", ""},
		{"the list is not there", func(w *groupWorld) { w.group(work); w.sim = refused(http.StatusNotFound) }, "manual", "EXCLUDED", ""},
		{"the list fails, and the device's record shows no group", func(w *groupWorld) { w.sim = refused(http.StatusInternalServerError) }, "manual", "EXCLUDED", ""},
		{"the list fails, and the device's record shows all that is above its group", func(w *groupWorld) {
			w.group(work, work, eu)
			w.sim = refused(http.StatusForbidden)
		}, "delete", "ELIGIBLE", ""},
		{"the list fails, and another record shows the device below the excluded group", func(w *groupWorld) {
			w.group(work)
			w.other(work, work, in(labGroup, "Shared Lab"))
			w.sim = refused(http.StatusForbidden)
		}, "keep", "EXCLUDED", ""},
		{"the members of the excluded group can't be had", func(w *groupWorld) { w.group(work); w.sim = members(http.StatusForbidden) }, "manual", "EXCLUDED", "listing the members"},
		{"the group can't be read", func(w *groupWorld) {
			w.group([]any{"Workstations"})
			delete(w.Event["central"].(map[string]any), "group")
		}, "manual", "EXCLUDED", ""},
		{"the group is an object that says nothing", func(w *groupWorld) { w.group(map[string]any{}) }, "manual", "EXCLUDED", ""},
		{"what is above the group can't be read", func(w *groupWorld) {
			w.group(work)
			w.Live["groupHierarchy"] = "EU"
		}, "manual", "EXCLUDED", ""},
		{"the device's group is on no list, and has no name", func(w *groupWorld) {
			w.group(map[string]any{"name": "Unlisted"})
		}, "manual", "EXCLUDED", "both name and id"},
	}
}

func pageRows() []groupRow {
	many := func(w *groupWorld) {
		members := []string{}
		for i := range 1100 {
			id := fmt.Sprintf("dddddddd-0000-4000-8000-%012d", i)
			w.others = append(w.others, map[string]any{"id": id, "type": "computer", "tenant": map[string]any{"id": centralsim.SampleTenant},
				"hostname": fmt.Sprintf("WS-MANY-%d", i), "lastSeenAt": "2026-08-02T20:00:00.000Z"})
			members = append(members, id)
		}
		w.groups = append(w.groups[:1], centralsim.Group{ID: labGroup, Name: "Shared Lab", Members: append(members, fmt.Sprint(w.Live["id"]))})
	}
	listing := func(body string, path string) func(*centralsim.Sim) {
		return func(s *centralsim.Sim) {
			s.Fault(centralsim.Fault{Method: http.MethodGet, Path: "/endpoint/v1/endpoint-groups" + path, Status: http.StatusOK, Body: body,
				ContentType: "application/json", Times: centralsim.Always})
		}
	}
	return []groupRow{
		{"the group is on the list's second page", func(w *groupWorld) {
			w.listed(labGroup, "Shared Lab")
			for i := range 120 {
				w.groups = slices.Insert(w.groups, 0, centralsim.Group{ID: fmt.Sprintf("cccccccc-0000-4000-8000-%012d", i), Name: fmt.Sprintf("Room %d", i)})
			}
		}, "keep", "EXCLUDED", ""},
		{"the device is on the members' third page", many, "keep", "EXCLUDED", ""},
		{"the device is on the members' third page, by keys", func(w *groupWorld) {
			many(w)
			w.sim = func(s *centralsim.Sim) {
				s.Switch(func(sw *centralsim.Switches) { sw.MembersByKey, sw.GroupPart = true, 10 })
			}
		}, "keep", "EXCLUDED", ""},
		{"the device is not among the members that came with the group", func(w *groupWorld) {
			many(w)
			w.sim = func(s *centralsim.Sim) { s.Switch(func(sw *centralsim.Switches) { sw.GroupPart = 10 }) }
		}, "keep", "EXCLUDED", ""},
		{"the device is among those that came with the group, and not among the members", func(w *groupWorld) {
			w.listed(labGroup, "Shared Lab")
			w.sim = listing(`{"items":[],"pages":{"current":1,"size":500,"total":0,"maxSize":1000}}`, "/"+labGroup)
		}, "keep", "EXCLUDED", ""},
		{"the members do not say how many pages they have", func(w *groupWorld) {
			w.sim = listing(`{"items":[{"id":"`+fmt.Sprint(w.Live["id"])+`"}],"pages":{"size":50,"maxSize":500}}`, "/"+labGroup)
		}, "keep", "EXCLUDED", ""},
		{"the list of groups goes round in a circle", func(w *groupWorld) {
			w.group(in(workGroup, "Workstations"))
			w.sim = listing(`{"items":[{"id":"`+workGroup+`","name":"Workstations"}],"pages":{"current":1,"size":1,"total":9}}`, "")
		}, "manual", "EXCLUDED", ""},
		{"the members go round in a circle of keys", func(w *groupWorld) {
			w.group(in(workGroup, "Workstations"))
			w.sim = listing(`{"items":[],"pages":{"nextKey":"x"}}`, "/"+labGroup)
		}, "manual", "EXCLUDED", ""},
		{"fewer members come than were announced", func(w *groupWorld) {
			w.group(in(workGroup, "Workstations"))
			w.sim = listing(`{"items":[],"pages":{"current":1,"size":500,"total":1,"items":3}}`, "/"+labGroup)
		}, "manual", "EXCLUDED", ""},
		{"the list has no items", func(w *groupWorld) {
			w.group(in(workGroup, "Workstations"))
			w.sim = listing(`{"pages":{"current":1,"size":1,"total":1}}`, "")
		}, "manual", "EXCLUDED", ""},
		{"the list holds a group without an id", func(w *groupWorld) {
			w.group(in(workGroup, "Workstations"))
			w.sim = listing(`{"items":[{"name":"Shared Lab"}],"pages":{"current":1,"size":50,"total":1}}`, "")
		}, "manual", "EXCLUDED", ""},
	}
}
