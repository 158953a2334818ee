package policy

import (
	"cmp"
	"slices"
	"strings"
)

// TenantGroups is what a tenant's records and Central's lists of groups show
// together. It is read and kept with the tenant's devices: [TenantGroups.Note] takes
// each record, then Listed is set and [TenantGroups.Settle] says of which groups the
// members must be read, and these are put into Members.
type TenantGroups struct {
	For []string `json:"for,omitempty"` // the policy's globs for which it was read
	// Lines are what records show to be above a group, by the group's key. Nested is
	// set where some record shows a group above another, AllRead where every record of
	// the tenant was noted.
	Lines   map[string]GroupLine `json:"lines,omitempty"`
	Nested  bool                 `json:"nested,omitempty"`
	AllRead bool                 `json:"allRead,omitempty"`
	// Listed are all groups on Central's list. Members are the groups that list a
	// device, by the device's id in lower case. HasLists is set where all of that
	// was read, and Problem says why it was not.
	Listed   []Group            `json:"listed,omitempty"`
	Members  map[string][]Group `json:"members,omitempty"`
	HasLists bool               `json:"hasLists,omitempty"`
	Problem  string             `json:"problem,omitempty"`
	// Named are the groups that For names and those known to be below one, each with
	// all above it.
	Named [][]Group `json:"named,omitempty"`
}

// GroupLine is a group and all groups that some record shows above it, upward.
type GroupLine struct {
	Path  []Group `json:"path"`
	Whole bool    `json:"whole,omitempty"` // a record showed all of it
}

// Note takes in what one record shows.
func (t *TenantGroups) Note(d Device) {
	t.Nested = t.Nested || len(d.Groups) > 1
	if len(d.Groups) < 2 && !d.GroupsWhole {
		return // in no group, or in one of which the record does not say what is above it
	}
	if t.Lines == nil {
		t.Lines = map[string]GroupLine{}
	}
	for i, g := range d.Groups {
		line := t.Lines[g.key()]
		line.Path, line.Whole = join(line.Path, d.Groups[i:]), line.Whole || d.GroupsWhole
		t.Lines[g.key()] = line
	}
}

// Settle finds the groups that For names and those below them, and returns those of
// them that are on the list: their members must be known.
func (t *TenantGroups) Settle() (wanted []Group) {
	listed := t.byKey()
	t.Named = nil
	for _, g := range t.Listed {
		if path := t.climb(g, listed); namedAny(path, t.For) {
			t.Named, wanted = append(t.Named, path), append(wanted, g)
		}
	}
	for key, line := range t.Lines {
		if len(line.Path) == 0 || len(listed[key]) > 0 {
			continue
		}
		if path := t.climb(line.Path[0], listed); namedAny(path, t.For) {
			t.Named = append(t.Named, path)
		}
	}
	slices.SortFunc(t.Named, func(a, b []Group) int { return cmp.Compare(a[0].key(), b[0].key()) })
	return wanted
}

// byKey are the listed groups by their keys, and by those that their names alone give.
func (t *TenantGroups) byKey() map[string][]Group {
	out := map[string][]Group{}
	for _, g := range t.Listed {
		out[g.key()] = append(out[g.key()], g)
		if g.ID != "" && g.Name != "" {
			name := Group{Name: g.Name}.key()
			out[name] = append(out[name], g)
		}
	}
	return out
}

// climb is a group with all that is known of it and above it.
func (t *TenantGroups) climb(g Group, listed map[string][]Group) []Group {
	path := []Group{g}
	for i := 0; i < len(path); i++ {
		key := path[i].key()
		path = join(join(path, listed[key]), t.Lines[key].Path)
	}
	return path
}

// namedAny reports whether one of the globs names one of the groups.
func namedAny(groups []Group, globs []string) bool {
	return slices.ContainsFunc(groups, func(g Group) bool { return g.namedBy(globs) })
}

// Of is what there is to say of one device.
func (t *TenantGroups) Of(d Device) GroupFacts {
	f := GroupFacts{For: t.For, MemberOf: t.Members[strings.ToLower(d.ID.Value)], Lines: t.Named, Problem: t.open(d)}
	f.Whole = f.Problem == ""
	return f
}

// open is one sentence on what is left open of a device's groups; empty = nothing.
func (t *TenantGroups) open(d Device) string {
	switch {
	case !t.HasLists:
		return cmp.Or(t.Problem, "The list of groups was not read.")
	case len(d.Groups) == 0, d.GroupsWhole:
		return ""
	}
	own := t.known(d.Groups[0])
	line, shown := t.Lines[own.key()]
	switch {
	case own.ID == "" || own.Name == "":
		return "Central does not give both name and id of the device's group."
	case shown && line.Whole:
		return ""
	case t.Nested || len(d.Groups) > 1:
		return "The tenant has groups below others, and no record shows what is above the device's group."
	case !t.AllRead:
		return "It is not known yet whether the tenant has groups below others."
	}
	return ""
}

// known is a group with the name and the id that the list gives it, where there is
// one such group only.
func (t *TenantGroups) known(g Group) Group {
	var same []Group
	for _, l := range t.Listed {
		if l.is(g) {
			same = append(same, l)
		}
	}
	if len(same) != 1 {
		return g
	}
	return Group{ID: cmp.Or(g.ID, same[0].ID), Name: cmp.Or(g.Name, same[0].Name)}
}
