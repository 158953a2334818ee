package central

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

const (
	groupRoute = "/endpoint/v1/endpoint-groups"
	labID      = "5e4d3c2b-1a09-4f8e-9d7c-6b5a49382716"
)

// naming makes a client of a policy that names groups.
func naming(globs ...string) func(*Options) {
	return func(o *Options) { o.Groups = func() []string { return globs } }
}

func TestGroupsAreReadOnlyWhereThePolicyNamesSome(t *testing.T) {
	r := newRig(t, nil, nil)
	r.sim.PutGroup(tenantID, centralsim.Group{ID: labID, Name: "Shared Lab", Members: []string{deviceID}})
	live, trouble := r.look(t.Context(), t)
	if trouble != nil || r.sim.Count(http.MethodGet, groupRoute) != 0 || live.Groups.Whole || live.Groups.MemberOf != nil {
		t.Errorf("%+v, %+v; %d calls", live.Groups, trouble, r.sim.Count(http.MethodGet, groupRoute))
	}
}

func TestWhatWasReadOfGroupsIsGoodForTenMinutes(t *testing.T) {
	r := newRig(t, nil, naming("shared *"))
	r.sim.PutGroup(tenantID, centralsim.Group{ID: labID, Name: "Shared Lab", Members: []string{deviceID}})
	for _, step := range []struct {
		pass  time.Duration
		calls int
	}{{0, 2}, {9 * time.Minute, 2}, {2 * time.Minute, 4}} {
		r.pass(step.pass)
		live, trouble := r.look(t.Context(), t)
		if trouble != nil || !live.Groups.Whole || len(live.Groups.MemberOf) != 1 {
			t.Errorf("%+v, %+v", live.Groups, trouble)
		}
		if n := r.sim.Count(http.MethodGet, groupRoute); n != step.calls {
			t.Errorf("%d calls %v later, want %d", n, step.pass, step.calls)
		}
	}
}

func TestAListOfGroupsThatFailsIsAskedForAgainAMinuteLater(t *testing.T) {
	r := newRig(t, nil, naming("shared *"))
	lift := r.sim.Fault(centralsim.Fault{Path: groupRoute, Status: http.StatusForbidden, Times: centralsim.Always})
	for range 3 {
		live, trouble := r.look(t.Context(), t)
		if trouble != nil || live.Groups.Whole || !strings.Contains(live.Groups.Problem, whatGroups) {
			t.Errorf("%+v, %+v", live.Groups, trouble)
		}
	}
	if n := r.sim.Count(http.MethodGet, groupRoute); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
	lift()
	r.pass(61 * time.Second)
	if live, trouble := r.look(t.Context(), t); trouble != nil || !live.Groups.Whole {
		t.Errorf("%+v, %+v", live.Groups, trouble)
	}
}

func TestAListThatGoesRoundIsLeftAtOnce(t *testing.T) {
	for _, body := range []string{
		`{"items":[],"pages":{"nextKey":"x"}}`,
		`{"items":[{"id":"` + deviceID + `"}],"pages":{"total":90}}`,
	} {
		r := newRig(t, nil, naming("shared *"))
		r.sim.PutGroup(tenantID, centralsim.Group{ID: labID, Name: "Shared Lab"})
		r.sim.Fault(centralsim.Fault{Path: groupRoute + "/" + labID, Status: http.StatusOK, Body: body, ContentType: "application/json", Times: centralsim.Always})
		live, trouble := r.look(t.Context(), t)
		if n := r.sim.Count(http.MethodGet, groupRoute); trouble != nil || live.Groups.Whole || n != 3 {
			t.Errorf("%s: %+v, %+v; %d calls, want 3", body, live.Groups, trouble, n)
		}
	}
}

// A limit says nothing of the groups: the look fails, and is asked for again, which
// bothers nobody.
func TestALimitWhileGroupsAreReadFailsTheLook(t *testing.T) {
	r := newRig(t, nil, naming("shared *"))
	r.sim.Fault(centralsim.Fault{Path: groupRoute, Status: http.StatusTooManyRequests, RetryAfter: "30", Times: centralsim.Always})
	live, trouble := r.look(t.Context(), t)
	if trouble == nil || !trouble.Limited || live.Status != policy.LiveFailed || live.RetryAfter == 0 {
		t.Errorf("%+v, %+v", live, trouble)
	}
}

// What is above groups is looked for on so many pages only, where no inventory tells:
// the rest is in doubt.
func TestALargeTenantsGroupsStayOpenWhereNothingShowsWhatIsAbove(t *testing.T) {
	r := newRig(t, nil, naming("shared *"))
	for i := range abovePages * largestPage {
		r.sim.Put(tenantID, machine(fmt.Sprintf("bbbbbbbb-0000-4000-8000-%012d", i), fmt.Sprintf("PC-%d", i), r.clock()))
	}
	if live, trouble := r.look(t.Context(), t); trouble != nil || !live.Groups.Whole {
		t.Errorf("in no group: %+v, %+v", live.Groups, trouble)
	}
	grouped := machine(deviceID, "PC-OLD-17", r.clock().Add(-200*24*time.Hour))
	grouped["group"] = map[string]any{"id": "c1a7e4d9-3b58-4f60-9e2c-7d8a0b1f6c35", "name": "Desks"}
	r.sim.Put(tenantID, grouped)
	r.pass(groupsKept)
	if live, trouble := r.look(t.Context(), t); trouble != nil || live.Groups.Whole {
		t.Errorf("in a group: %+v, %+v", live.Groups, trouble)
	}
}
