package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"rollcall/internal/centralsim"
)

// in is a group as records show it.
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
		{"below the excluded group, by another record that gives ids alone", func(w *groupWorld) {
			w.group(bench)
			w.other(bench, map[string]any{"id": benchGroup}, map[string]any{"id": strings.ToUpper(labGroup)})
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
	unread := func(s *centralsim.Sim) { // but for searches
		s.Fault(centralsim.Fault{Method: http.MethodGet, Path: "/endpoint/v1/endpoints", Status: http.StatusInternalServerError, Times: centralsim.Always,
			When: func(r *http.Request) bool {
				q := r.URL.Query()
				return q.Has("pageTotal") && !q.Has("hostnameContains") && !q.Has("lastSeenAfter")
			}})
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
		{"the other records can't be read, and the list has the device", func(w *groupWorld) {
			w.listed(labGroup, "Shared Lab")
			w.sim = unread
		}, "keep", "EXCLUDED", ""},
		{"the other records can't be read", func(w *groupWorld) { w.group(work); w.sim = unread }, "manual", "EXCLUDED", "not known yet"},
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
		{"the same, with the device's id in capitals", func(w *groupWorld) {
			w.groups = append(w.groups[:1], centralsim.Group{ID: labGroup, Name: "Shared Lab", Members: []string{strings.ToUpper(fmt.Sprint(w.Live["id"]))}})
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
