package record_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/policy"
	"rollcall/internal/record"
)

func TestADevicesGroupsAreAPathUpward(t *testing.T) {
	a, b, c := policy.Group{ID: "a", Name: "A"}, policy.Group{ID: "b", Name: "B"}, policy.Group{ID: "c", Name: "C"}
	const ja, jb, jc = `{"id":"a","name":"A"}`, `{"id":"b","name":"B"}`, `{"id":"c","name":"C"}`
	for _, row := range []struct {
		name, raw string
		want      []policy.Group
		whole     bool
	}{
		{"no group", `{}`, nil, false},
		{"null", `{"group":null,"groupHierarchy":null}`, nil, false},
		{"a group alone", `{"group":` + ja + `}`, []policy.Group{a}, false},
		{"a group and an empty list", `{"group":` + ja + `,"groupHierarchy":[]}`, []policy.Group{a}, false},
		{"a group that is on top", `{"group":` + ja + `,"groupHierarchy":[` + ja + `]}`, []policy.Group{a}, true},
		{"upward", `{"group":` + ja + `,"groupHierarchy":[` + ja + `,` + jb + `,` + jc + `]}`, []policy.Group{a, b, c}, true},
		{"the list first", `{"groupHierarchy":[` + ja + `,` + jb + `],"group":` + ja + `}`, []policy.Group{a, b}, true},
		{"downward", `{"group":` + ja + `,"groupHierarchy":[` + jc + `,` + jb + `,` + ja + `]}`, []policy.Group{a, b, c}, true},
		{"the list without the group itself", `{"group":` + ja + `,"groupHierarchy":[` + jb + `]}`, []policy.Group{a, b}, true},
		{"an id in capitals", `{"group":{"id":"A","name":"A"},"groupHierarchy":[` + ja + `,` + jb + `]}`, []policy.Group{{ID: "A", Name: "A"}, b}, true},
		{"a name that the list adds", `{"group":{"id":"a"},"groupHierarchy":[` + ja + `,` + jb + `]}`, []policy.Group{a, b}, true},
		{"the list alone", `{"groupHierarchy":[` + ja + `,` + jb + `]}`, []policy.Group{a, b}, false},
		{"one above without a name", `{"group":` + ja + `,"groupHierarchy":[` + ja + `,{"id":"b"},` + jc + `]}`, []policy.Group{a, {ID: "b"}, c}, false},
		{"one above that can't be read", `{"group":` + ja + `,"groupHierarchy":[` + ja + `,7,` + jc + `]}`, []policy.Group{a, c}, false},
		{"a parent that is not on the list", `{"group":` + ja + `,"groupHierarchy":[` + ja + `,{"id":"b","name":"B","parentId":"c"}]}`, []policy.Group{a, b, {ID: "c"}}, false},
		{"a parent of the group alone", `{"group":{"id":"a","name":"A","parentId":"b"}}`, []policy.Group{a, {ID: "b"}}, false},
		{"its own parent", `{"group":` + ja + `,"groupHierarchy":[{"id":"a","name":"A","parentId":"A"}]}`, []policy.Group{a}, true},
		{"no parent", `{"group":` + ja + `,"groupHierarchy":[{"id":"a","name":"A","parentId":null}]}`, []policy.Group{a}, true},
	} {
		d, err := record.ParseDevice([]byte(row.raw))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(row.want, d.Groups); diff != "" || d.GroupsWhole != row.whole {
			t.Errorf("%s: whole %v (-want +got):\n%s", row.name, d.GroupsWhole, diff)
		}
	}
}

// Playbooks fill in what is missing with empty objects: in an event that is no group.
func TestAnEmptyGroupInAnEventIsNone(t *testing.T) {
	e := mustEvent(t, []byte(`{"central":{"id":"6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3","group":{},"groupHierarchy":[]}}`))
	if len(e.Central.Groups) != 0 || len(e.Garbled) != 0 {
		t.Errorf("%+v, %v", e.Central.Groups, e.Garbled)
	}
}

func TestBadServicesAreNamed(t *testing.T) {
	for raw, want := range map[string]bool{
		`{"health":{"overall":"bad","services":{"status":"BAD"}}}`: true,
		`{"health":{"services":{"status":"good"}}}`:                false,
		`{"health":{"services":{"status":["bad"]}}}`:               false,
		`{"health":{"services":"bad"}}`:                            false,
		`{"health":{}}`:                                            false,
	} {
		if d, err := record.ParseDevice([]byte(raw)); err != nil || d.BadServices != want {
			t.Errorf("%s: %v, %v", raw, d.BadServices, err)
		}
	}
}
