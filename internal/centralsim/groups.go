package centralsim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxGroupPage is the largest page of groups, and of a group's members.
const maxGroupPage = 1000

// Group is a group of devices. Its members are those whose records name it, and
// those that are listed here: a record need not show the group that it is in.
type Group struct {
	ID, Name string
	Members  []string // ids of devices
}

// PutGroup adds a group or replaces the one with the same id. Groups that records
// name are on the list without that.
func (s *Sim) PutGroup(tenantID string, g Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenant(tenantID)
	t.groups = slices.DeleteFunc(t.groups, func(o Group) bool { return strings.EqualFold(o.ID, g.ID) })
	g.Members = slices.Clone(g.Members)
	t.groups = append(t.groups, g)
}

// allGroups are the groups that were put, and those that records name.
func (t *tenant) allGroups() []Group {
	out := slices.Clone(t.groups)
	add := func(v any) {
		id, name := text(at(v, "id")), text(at(v, "name"))
		if id != "" && !slices.ContainsFunc(out, func(g Group) bool { return strings.EqualFold(g.ID, id) }) {
			out = append(out, Group{ID: id, Name: name})
		}
	}
	for _, d := range t.devices {
		add(d.record["group"])
		above, _ := d.record["groupHierarchy"].([]any)
		for _, g := range above {
			add(g)
		}
	}
	return out
}

// members are the ids of a group's devices.
func (t *tenant) members(g Group) []string {
	var out []string
	for _, id := range g.Members {
		if t.find(id) != nil {
			out = append(out, id)
		}
	}
	for _, d := range t.devices {
		id := text(d.record["id"])
		if strings.EqualFold(text(at(d.record, "group", "id")), g.ID) && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// listGroups is a page of the tenant's groups, by page numbers.
func (s *Sim) listGroups(c *call, t *tenant) answer {
	var all []any
	for _, g := range t.allGroups() {
		ids := t.members(g)
		if part := s.switches.GroupPart; part > 0 && len(ids) > part {
			ids = ids[:part]
		}
		all = append(all, map[string]any{"id": g.ID, "name": g.Name, "type": "computer",
			"endpoints": map[string]any{"items": s.short(t, ids)}})
	}
	return s.byNumber(c, all)
}

// listMembers is a page of a group's members.
func (s *Sim) listMembers(c *call, t *tenant) answer {
	all := t.allGroups()
	i := slices.IndexFunc(all, func(g Group) bool { return strings.EqualFold(g.ID, c.PathValue("id")) })
	if i < 0 {
		return s.failure(http.StatusNotFound)
	}
	members := s.short(t, t.members(all[i]))
	if s.switches.MembersByKey {
		return s.byKey(c, members)
	}
	return s.byNumber(c, members)
}

// short are devices as groups list them.
func (s *Sim) short(t *tenant, ids []string) []any {
	out := []any{}
	for _, id := range ids {
		item := map[string]any{"id": id}
		if name := text(t.find(id).record["hostname"]); name != "" {
			item["hostname"] = name
		}
		out = append(out, item)
	}
	return out
}

// byNumber is the page with the number that was asked for.
func (s *Sim) byNumber(c *call, all []any) answer {
	size, fine := number(c.query, "pageSize", 50)
	page, isNumber := number(c.query, "page", 1)
	total, isBool := boolean(c.query, "pageTotal")
	if !fine || !isNumber || !isBool || size > maxGroupPage {
		return s.failure(http.StatusBadRequest)
	}
	pages := map[string]any{"current": page, "size": size, "maxSize": maxGroupPage}
	if total == "true" {
		pages["total"], pages["items"] = (len(all)+size-1)/size, len(all)
	}
	from := min((page-1)*size, len(all))
	return ok200(map[string]any{"items": append([]any{}, all[from:min(from+size, len(all))]...), "pages": pages})
}

// byKey is the page after a key, which here is a count.
func (s *Sim) byKey(c *call, all []any) answer {
	size, fine := number(c.query, "pageSize", 50)
	from := 0
	if key := c.query.Get("pageFromKey"); key != "" {
		n, err := strconv.Atoi(key)
		if from = n; err != nil || n < 0 || n > len(all) {
			return s.failure(http.StatusBadRequest)
		}
	}
	if !fine || size > maxPage {
		return s.failure(http.StatusBadRequest)
	}
	pages := map[string]any{"size": size, "maxSize": maxPage}
	to := min(from+size, len(all))
	if to < len(all) {
		pages["nextKey"] = strconv.Itoa(to)
	}
	return ok200(map[string]any{"items": append([]any{}, all[from:to]...), "pages": pages})
}
