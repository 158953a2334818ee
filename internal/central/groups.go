package central

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// What people read about these calls.
const (
	whatGroups  = "listing the tenant's groups"
	whatMembers = "listing the members of a group"
	whatAbove   = "reading what is above the tenant's groups"
)

// How long what was read of a tenant's groups is good, and for how long it is not
// asked for again after a failure.
const (
	groupsKept  = 10 * time.Minute
	groupsAgain = time.Minute
)

// abovePages is how many pages of a tenant's devices are read to learn what is above
// its groups, where no inventory tells.
const abovePages = 10

// Look implements [action.Central]. Where the policy names groups of Central's, what
// lists and other records show of the device's groups is added.
func (c *Client) Look(ctx context.Context, dev action.Ref, newestWithin time.Duration, ask action.Ask) (policy.Live, *action.Trouble) {
	p, live, trouble := c.locate(ctx, c.reads, dev)
	if trouble != nil {
		return live, trouble
	}
	globs := c.groups()
	if len(globs) == 0 {
		return c.look(ctx, p, dev, newestWithin, ask)
	}
	groups := sync.OnceValue(func() fetched[*policy.TenantGroups] {
		t, trouble := c.tenantGroups(ctx, p, globs, ask)
		return fetched[*policy.TenantGroups]{t, trouble}
	})
	go groups() // or its calls would be booked behind the searches of all
	live, trouble = c.look(ctx, p, dev, newestWithin, ask)
	if live.Status != policy.LiveFound {
		return live, trouble
	}
	got := groups()
	if limited(got.trouble) && c.await(ctx, p, dev).young {
		got.value, got.trouble = c.tenantGroups(ctx, p, globs, ask)
	}
	if got.trouble != nil {
		return c.failed(got.trouble), got.trouble
	}
	live.Groups = got.value.Of(live.Device)
	return live, nil
}

// tenantGroups is what the tenant's records and lists show of its groups: as it is kept
// with a young snapshot, else as it is read now. The trouble is one of this service's own
// limits or time: all others are in what is returned, where they leave in doubt what the
// policy asks.
func (c *Client) tenantGroups(ctx context.Context, p place, globs []string, ask action.Ask) (*policy.TenantGroups, *action.Trouble) {
	if v := c.seen(ctx, p, "", &policy.Device{}); v.young {
		if t := c.keptGroups(ctx, p, v.State); t != nil && slices.Equal(t.For, globs) {
			return t, nil
		}
	}
	kind := action.CallCheck
	if ask == action.AskAll {
		kind = action.CallSingle
	}
	key := strings.ToLower(p.tenantID) + " " + strings.Join(globs, "\n")
	return c.tenants.get(ctx, c, key, func(ctx context.Context) (*policy.TenantGroups, time.Duration, *action.Trouble) {
		t := &policy.TenantGroups{For: globs}
		trouble := c.readAbove(ctx, p, t, kind)
		if !passing(trouble) {
			trouble = c.readGroups(ctx, p, t, kind)
		}
		switch {
		case passing(trouble):
			return nil, 0, trouble
		case trouble != nil, !t.AllRead:
			return t, groupsAgain, nil
		}
		return t, groupsKept, nil
	})
}

// keptGroups are a tenant's groups as a snapshot has them; nil = it has none.
func (c *Client) keptGroups(ctx context.Context, p place, st action.SnapshotState) *policy.TenantGroups {
	if st.Groups == "" {
		return nil
	}
	id := strings.ToLower(p.tenantID)
	if v, ok := c.kept.Load(id); ok {
		if k, _ := v.(keptGroups); k.of == st.Groups {
			return k.TenantGroups
		}
	}
	t, err := c.snaps.Groups(ctx, p.tenantID, st.Groups)
	if err != nil || t == nil {
		return nil
	}
	c.kept.Store(id, keptGroups{t, st.Groups})
	return t
}

// keptGroups are groups as a snapshot has them, with the reading that they are of. They
// are not written to.
type keptGroups struct {
	*policy.TenantGroups
	of string
}

// passing reports whether a trouble is none of Central's: of this service's own time,
// or of a limit of calls.
func passing(t *action.Trouble) bool { return t != nil && (t.Own || t.Limited) }

// readAbove notes in t what the tenant's records show to be above its groups, where
// no inventory does.
func (c *Client) readAbove(ctx context.Context, p place, t *policy.TenantGroups, kind action.CallKind) *action.Trouble {
	var came census
	n, count := 0, 0
	trouble := c.pages(ctx, p, walk{what: whatAbove, query: fleetQuery(), most: abovePages, kind: kind}, func(devices []policy.Device, in page) (bool, *action.Trouble) {
		for _, d := range devices {
			t.Note(d)
		}
		came.page(announced(in.Pages.Items))
		n, count = n+1, count+len(devices)
		return n < abovePages, nil
	})
	t.AllRead = trouble == nil && came.notWhole(whatAbove, count) == nil
	return trouble
}

// readGroups reads Central's list of groups, and the members of those that the
// policy's globs (t.For) name or that lie below one, into t. What the tenant's records
// show is to be noted in t before. A trouble leaves t without lists, and t says so:
// what the policy asks about groups is then in doubt.
func (c *Client) readGroups(ctx context.Context, p place, t *policy.TenantGroups, kind action.CallKind) *action.Trouble {
	t.Listed, t.Members, t.HasLists, t.Problem = nil, nil, false, ""
	l := groupLists{c: c, p: p, kind: kind, t: t, members: map[string][]policy.Group{}, parts: map[string][]string{}}
	if trouble := l.read(ctx); trouble != nil {
		t.Listed, t.Problem = nil, trouble.Text
		t.Settle() // what records show protects all the same
		return trouble
	}
	t.Members, t.HasLists = l.members, true
	return nil
}

// groupLists reads the lists of groups and of their members.
type groupLists struct {
	c       *Client
	p       place
	kind    action.CallKind
	t       *policy.TenantGroups
	members map[string][]policy.Group // by the device's id
	parts   map[string][]string       // the devices' ids that came with a group, by the group's
}

// groupItem is a group on the list. It brings some of its members, not always all.
type groupItem struct {
	ID        any `json:"id"`
	Name      any `json:"name"`
	Endpoints struct {
		Items []struct {
			ID any `json:"id"`
		} `json:"items"`
	} `json:"endpoints"`
}

// read reads the groups, then the members of those that matter.
func (l *groupLists) read(ctx context.Context) *action.Trouble {
	all := groupList{c: l.c, p: l.p, kind: l.kind, what: whatGroups, size: groupsSize, most: groupsPages, take: l.group}
	if trouble := all.read(ctx); trouble != nil {
		return trouble
	}
	for _, g := range l.t.Settle() {
		for _, id := range l.parts[strings.ToLower(g.ID)] {
			l.member(g, id)
		}
		list := groupList{c: l.c, p: l.p, kind: l.kind, what: whatMembers, path: []string{g.ID, "endpoints"}, size: membersSize, most: membersPages, endless: true,
			take: func(id string, _ json.RawMessage) *action.Trouble {
				l.member(g, id)
				return nil
			}}
		if trouble := list.read(ctx); trouble != nil {
			return trouble
		}
	}
	return nil
}

// group takes in a group of the list. One without an id can't be asked for its
// members.
func (l *groupLists) group(id string, raw json.RawMessage) *action.Trouble {
	var in groupItem
	if json.Unmarshal(raw, &in) != nil || !isUUID(id) {
		return unusable(whatGroups, "it lists a group that can't be read")
	}
	g := policy.Group{ID: strings.ToLower(id), Name: text(in.Name).Value}
	l.t.Listed = append(l.t.Listed, g)
	for _, m := range in.Endpoints.Items {
		l.parts[g.ID] = append(l.parts[g.ID], text(m.ID).Value)
	}
	return nil
}

// member notes that a group lists a device.
func (l *groupLists) member(g policy.Group, device string) {
	device = strings.ToLower(device)
	for _, is := range l.members[device] {
		if is == g {
			return
		}
	}
	l.members[device] = append(l.members[device], g)
}
