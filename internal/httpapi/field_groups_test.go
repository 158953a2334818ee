package httpapi_test

import (
	"encoding/json"
	"fmt"
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

func TestTheTextNamesThePartOfTheHealthThatIsBad(t *testing.T) {
	for name, want := range map[string]string{"bad-services": "(services)", "bad-health": "(threats)"} {
		s := newSystem(t, setup{})
		if a := s.evaluate(name); a.is("reasonCode") != "UNDER_INVESTIGATION" || !strings.Contains(fmt.Sprint(a["reasons"]), want) {
			t.Errorf("%s: %v, want the text to name %s", name, a["reasons"], want)
		}
	}
	var c groupCase
	fieldFile(t, "records/r20.json", &c)
	a := groupSystem(t, c, "policy-plain.json", nil, false).act("evaluate", c.asked())
	if !strings.Contains(fmt.Sprint(a["reasons"]), "(services)") {
		t.Errorf("%v", a["reasons"])
	}
}

// What lists say is held against a device at every step: evidence brings it along,
// and delete looks again.
func TestADeviceThatIsListedMeanwhileIsNotDeleted(t *testing.T) {
	w := groupWorld{groupCase: &groupCase{}}
	fieldFile(t, "records/r03.json", w.groupCase)
	s := groupSystem(t, *w.groupCase, "policy-groups.json", nil, false)
	s.change(func(r *action.Rules) { r.Params.Limits = params().Limits })
	seen := s.act("verify-live", w.asked())
	body := w.asked()
	body["evidence"] = seen.is("token")
	verdict := s.act("evaluate", body)
	if verdict.is("outcome") != "delete" {
		t.Fatalf("%v", verdict)
	}
	s.sim.PutGroup(centralsim.SampleTenant, centralsim.Group{ID: labGroup, Name: "Shared Lab", Members: []string{fmt.Sprint(w.Live["id"])}})
	s.pass(11 * time.Minute)
	if a := s.remove(verdict.is("token")); a.is("outcome") != "refused" || !slices.Contains(a.codes(), "EXCLUDED") {
		t.Errorf("%v", a)
	}
	if n := s.sim.Deletes(); n != 0 {
		t.Errorf("%d DELETEs", n)
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
		s.until("the inventory is read, or can't be", func() bool {
			s.act("evaluate", w.asked())
			return s.snapshotState().Young() || !s.snapshotState().Failed.IsZero()
		})
		snapshot = s.snapshotState().Young()
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
