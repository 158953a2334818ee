package record

import (
	"cmp"
	"slices"
	"strings"

	"rollcall/internal/policy"
)

// ring is one group of a hierarchy, with the id of the one above it.
type ring struct {
	policy.Group
	parent string
	bad    bool // something of it was given and can't be read
}

// given reports whether there is a group at all.
func (g ring) given() bool { return g.ID != "" || g.Name != "" }

// whole reports whether the group has both its name and its id.
func (g ring) whole() bool { return g.ID != "" && g.Name != "" && !g.bad }

// same reports whether two are one group: by their ids, or by their names where one
// of them has no id.
func (g ring) same(o ring) bool {
	if g.ID != "" && o.ID != "" {
		return strings.EqualFold(g.ID, o.ID)
	}
	return g.Name != "" && strings.EqualFold(g.Name, o.Name)
}

// with is the group with what another mention of it adds.
func (g ring) with(o ring) ring {
	return ring{policy.Group{ID: cmp.Or(g.ID, o.ID), Name: cmp.Or(g.Name, o.Name)}, cmp.Or(o.parent, g.parent), g.bad || o.bad}
}

// group reads {id, name, parentId}. null is none: Central gives a group only for
// devices that are in one. What can't be read is noted under path, in Central's own
// answer also an object that says nothing: it may be a group whose devices must stay.
func (r *reader) group(path string) ring {
	var g ring
	is, state := r.block(path)
	if !is {
		g.bad = state == policy.Unreadable
		return g
	}
	for name := range r.members() {
		switch string(name) {
		case "id":
			r.part(&g, &g.ID, path)
		case "name":
			r.part(&g, &g.Name, path)
		case "parentId":
			r.part(&g, &g.parent, path)
		default:
			r.stray(path, string(name), "id", "name")
		}
	}
	if !g.given() && r.live {
		g.bad = true
		r.garble(path)
	}
	return g
}

// part reads one text of a group.
func (r *reader) part(g *ring, into *string, path string) {
	f := read(r, undamaged)
	*into = f.Value
	if f.State == policy.Unreadable {
		g.bad = true
		r.garble(path)
	}
}

// hierarchy reads the list of the group and all above it.
func (r *reader) hierarchy() []ring {
	const path = "groupHierarchy"
	if r.peek() != '[' {
		if is, _ := r.block(path); is {
			r.garble(path)
			r.skip()
		}
		return nil
	}
	r.token() // [
	var rings []ring
	for r.err == nil && r.peek() != ']' {
		if len(rings) >= maxGroups {
			r.garble(path)
			r.skip()
			continue
		}
		rings = append(rings, r.group(path))
	}
	r.token() // ]
	return rings
}

// groupPath is the device's group and those above it, upward. whole means that both
// were given, each with its name and its id, and that none is said to be above the
// last.
func groupPath(own ring, above []ring) (path []policy.Group, whole bool) {
	if n := len(above); n > 1 && own.same(above[n-1]) && !own.same(above[0]) {
		above = slices.Clone(above)
		slices.Reverse(above) // it was given downward
	}
	whole = len(above) > 0
	if whole && own.same(above[0]) {
		own, above = own.with(above[0]), above[1:]
	}
	whole = whole && own.whole()
	for _, g := range append([]ring{own}, above...) {
		if !g.given() {
			whole = whole && !g.bad
			continue
		}
		path, whole = append(path, g.Group), whole && g.whole()
	}
	last := own
	if len(above) > 0 {
		last = above[len(above)-1]
	}
	if last.parent != "" && !strings.EqualFold(last.parent, last.ID) {
		path, whole = append(path, policy.Group{ID: last.parent}), false
	}
	return path, whole
}
