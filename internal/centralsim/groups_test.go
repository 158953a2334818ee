package centralsim

import (
	"fmt"
	"slices"
	"testing"
)

const groupsRoute = "/endpoint/v1/endpoint-groups"

// itemIDs are the ids of a page's items.
func itemIDs(items any) (out []string) {
	list, _ := items.([]any)
	for _, i := range list {
		out = append(out, text(at(i, "id")))
	}
	return out
}

func TestGroupsAreListedWithTheirMembers(t *testing.T) {
	b := newBench(t, nil)
	var members []string
	for i := range 5 {
		id := fmt.Sprintf("dddddddd-0000-4000-8000-%012d", i)
		record := map[string]any{"id": id}
		if i == 4 { // its record names a group, and one above it
			record["group"] = map[string]any{"id": "g-2", "name": "Desks"}
			record["groupHierarchy"] = []any{map[string]any{"id": "g-2", "name": "Desks"}, map[string]any{"id": "g-3", "name": "Site"}}
		} else {
			members = append(members, id)
		}
		b.Put(tenantID, record)
	}
	b.PutGroup(tenantID, Group{ID: "g-1", Name: "Shared Lab", Members: members})
	b.Switch(func(s *Switches) { s.GroupPart = 2 })
	for _, tt := range []struct {
		path   string
		status int
		want   []string
	}{
		{"", 200, []string{"g-1", "g-2", "g-3"}},
		{"?page=2&pageSize=2", 200, []string{"g-3"}},
		{"?page=3&pageSize=2", 200, nil},
		{"?pageSize=1001", 400, nil},
		{"?page=0", 400, nil},
		{"/G-1/endpoints?page=2&pageSize=3", 200, members[3:]},
		{"/g-2/endpoints", 200, []string{"dddddddd-0000-4000-8000-000000000004"}},
		{"/g-9/endpoints", 404, nil},
	} {
		a := b.app("GET", groupsRoute+tt.path, "")
		if got := itemIDs(a.doc["items"]); a.status != tt.status || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %d %v, want %d %v", tt.path, a.status, got, tt.status, tt.want)
		}
	}
	a := b.app("GET", groupsRoute+"?pageTotal=true&pageSize=2", "")
	if got := itemIDs(at(a.doc["items"].([]any)[0], "endpoints", "items")); !slices.Equal(got, members[:2]) {
		t.Errorf("came with the group: %v, want a part", got)
	}
	if at(a.doc, "pages", "total") != 2.0 || at(a.doc, "pages", "items") != 3.0 || at(a.doc, "pages", "current") != 1.0 {
		t.Errorf("pages: %v", a.doc["pages"])
	}
}

func TestMembersMayComeByKeys(t *testing.T) {
	b := newBench(t, nil)
	var members []string
	for i := range 5 {
		members = append(members, fmt.Sprintf("dddddddd-0000-4000-8000-%012d", i))
		b.Put(tenantID, map[string]any{"id": members[i]})
	}
	b.PutGroup(tenantID, Group{ID: "g-1", Name: "Shared Lab", Members: members})
	b.Switch(func(s *Switches) { s.MembersByKey = true })
	var got []string
	for key := ""; ; {
		a := b.app("GET", groupsRoute+"/g-1/endpoints?pageSize=2&pageFromKey="+key, "")
		got = append(got, itemIDs(a.doc["items"])...)
		if key = text(at(a.doc, "pages", "nextKey")); key == "" {
			break
		}
	}
	if !slices.Equal(got, members) {
		t.Errorf("%v, want %v", got, members)
	}
	if a := b.app("GET", groupsRoute+"/g-1/endpoints?pageFromKey=x", ""); a.status != 400 {
		t.Errorf("a key that is none: %d", a.status)
	}
}
