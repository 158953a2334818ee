package policy

import (
	"encoding/json"
	"slices"
)

// Group is a group of devices in Central. Its id or its name may be missing.
type Group struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// UnmarshalJSON also reads a text: earlier builds kept the names and the ids of
// groups in one list.
func (g *Group) UnmarshalJSON(b []byte) error {
	*g = Group{}
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &g.Name)
	}
	type plain Group
	return json.Unmarshal(b, (*plain)(g))
}

// is reports whether two name the same group: by their ids, or by their names
// where one of them has no id.
func (g Group) is(o Group) bool {
	if g.ID != "" && o.ID != "" {
		return Loose(g.ID) == Loose(o.ID)
	}
	return g.Name != "" && Loose(g.Name) == Loose(o.Name)
}

// key is a group for an index.
func (g Group) key() string {
	if g.ID != "" {
		return Loose(g.ID)
	}
	return "name " + Loose(g.Name)
}

// among reports whether the group is one of the groups.
func (g Group) among(groups []Group) bool { return slices.ContainsFunc(groups, g.is) }

// namedBy reports whether one of the globs names the group.
func (g Group) namedBy(globs []string) bool { return anyMatches(globs, g.ID, g.Name) }

// GroupFacts are what Central shows of a device's groups beside the device's own
// record. The zero value is unknown: nobody asked.
type GroupFacts struct {
	// For are the policy's globs for which Central was asked. Of another policy's
	// the facts say nothing.
	For []string `json:"for,omitempty"`
	// MemberOf are groups that For names, and groups below these, among whose
	// members Central lists the device.
	MemberOf []Group `json:"memberOf,omitempty"`
	// Lines are the groups that For names and those that are known to be below
	// one: each a line of the group itself and all above it, upward.
	Lines [][]Group `json:"lines,omitempty"`
	// Whole is set where nothing is left open: the lists were read, and it is known
	// what is above the device's group, or that the tenant has no group above another.
	Whole bool `json:"whole,omitempty"`
	// Problem is one sentence on what is left open, safe to show.
	Problem string `json:"problem,omitempty"`
}

// answer reports whether the facts leave nothing open of what the globs may name.
func (g GroupFacts) answer(globs []string) bool {
	return g.Whole && !slices.ContainsFunc(globs, func(glob string) bool { return !slices.Contains(g.For, glob) })
}

// above adds to some groups all that are known to be above them.
func (g GroupFacts) above(groups []Group) []Group {
	out := slices.Clone(groups)
	for _, line := range g.Lines {
		if len(line) > 0 && line[0].among(groups) {
			out = join(out, line)
		}
	}
	return out
}

// join adds the groups that are not there yet, by what names them.
func join(groups, more []Group) []Group {
	for _, g := range more {
		if !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	return groups
}
