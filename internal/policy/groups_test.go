package policy

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shown is a device's groups as a record shows them; whole where nothing is missing.
func shown(whole bool, groups ...Group) Device {
	return Device{ID: Is(deviceID), Groups: groups, GroupsWhole: whole}
}

// The groups of these tests: bench is below lab, lab below site.
func bench() Group { return Group{ID: "b1", Name: "Benches"} }
func lab() Group   { return Group{ID: "1ab", Name: "Shared Lab"} }
func site() Group  { return Group{ID: "s1", Name: "Site"} }

func TestGroupsThatWereKeptAsTextsAreRead(t *testing.T) {
	var d Device
	if err := json.Unmarshal([]byte(`{"groups":["Kiosks","c1a7"],"groupsWhole":true}`), &d); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Group{{Name: "Kiosks"}, {Name: "c1a7"}}, d.Groups); diff != "" || !d.GroupsWhole {
		t.Error(diff)
	}
	b, err := json.Marshal(shown(true, lab()))
	if err != nil {
		t.Fatal(err)
	}
	var again Device
	if err := json.Unmarshal(b, &again); err != nil || !cmp.Equal(again, shown(true, lab())) {
		t.Errorf("%s: %v, %v", b, again, err)
	}
	if err := json.Unmarshal([]byte(`{"groups":[7]}`), &d); err == nil {
		t.Error("a number is read as a group")
	}
}

// What is open of a device's groups, by what records and lists show.
func TestWhatIsOpenOfADevicesGroups(t *testing.T) {
	for _, row := range []struct {
		name   string
		read   bool // the lists
		all    bool // the records
		listed []Group
		others []Device
		dev    Device
		open   bool
	}{
		{"nothing was read", false, false, nil, nil, shown(false), true},
		{"the lists were not read, and the record shows all", false, true, nil, nil, shown(true, lab()), true},
		{"in no group", true, false, nil, nil, shown(false), false},
		{"its record shows all", true, false, nil, nil, shown(true, bench(), lab()), false},
		{"a flat tenant", true, true, nil, nil, shown(false, bench()), false},
		{"a flat tenant, and some record shows a group to be on top", true, true, nil, []Device{shown(true, site())}, shown(false, bench()), false},
		{"it is not known if the tenant is flat", true, false, nil, nil, shown(false, bench()), true},
		{"a tenant with groups below others", true, true, nil, []Device{shown(true, lab(), site())}, shown(false, bench()), true},
		{"the same, and a record shows what is above", true, false, nil, []Device{shown(true, bench(), lab())}, shown(false, bench()), false},
		{"the same, by the middle of a line", true, false, nil, []Device{shown(true, Group{ID: "d", Name: "Desk"}, bench(), lab())}, shown(false, bench()), false},
		{"the same, with the id in capitals", true, false, nil, []Device{shown(true, bench(), lab())}, shown(false, Group{ID: "B1", Name: "Benches"}), false},
		{"the same, and the record is not whole", true, true, nil, []Device{shown(false, bench(), lab())}, shown(false, bench()), true},
		{"its own record shows a part, others nothing", true, true, nil, nil, shown(false, bench(), Group{ID: "1ab"}), true},
		{"its group has an id only", true, true, nil, nil, shown(false, Group{ID: "b1"}), true},
		{"its group has an id only, and the list its name", true, true, []Group{bench()}, nil, shown(false, Group{ID: "b1"}), false},
		{"its group has a name only", true, true, nil, nil, shown(false, Group{Name: "Benches"}), true},
		{"its group has a name only, and the list its id", true, true, []Group{bench()}, nil, shown(false, Group{Name: "benches"}), false},
		{"its group has a name only, and the list two of that name", true, true, []Group{bench(), {ID: "b2", Name: "Benches"}}, nil, shown(false, Group{Name: "Benches"}), true},
	} {
		t.Run(row.name, func(t *testing.T) {
			tg := TenantGroups{For: []string{"shared*"}, HasLists: row.read, AllRead: row.all, Listed: row.listed}
			for _, d := range append(row.others, row.dev) {
				tg.Note(d)
			}
			tg.Settle()
			got := tg.Of(row.dev)
			if got.Whole == row.open || got.Whole != (got.Problem == "") {
				t.Errorf("%+v, want open %v", got, row.open)
			}
		})
	}
}

// A record that shows more than the tenant's did is newer than these.
func TestAGroupBelowAnotherIsOpenAlsoInATenantThatWasFlat(t *testing.T) {
	tg := TenantGroups{For: []string{"shared*"}, HasLists: true, AllRead: true}
	if got := tg.Of(shown(false, bench(), Group{ID: "1ab"})); got.Whole {
		t.Errorf("%+v", got)
	}
}

// Which groups' members must be known, and what the device's facts then say.
func TestTheGroupsThatAPolicyNames(t *testing.T) {
	desk := Group{ID: "d", Name: "Desk"}
	tg := TenantGroups{For: []string{"shared *"}, HasLists: true}
	tg.Note(shown(true, bench(), lab(), site()))
	tg.Note(shown(false, desk, bench()))
	tg.Note(shown(false))
	tg.Note(shown(false, Group{ID: "z", Name: "Elsewhere"}))
	tg.Listed = []Group{site(), lab(), bench(), {ID: "z", Name: "Elsewhere"}}
	if diff := cmp.Diff([]Group{lab(), bench()}, tg.Settle()); diff != "" {
		t.Errorf("members to read (-want +got):\n%s", diff)
	}
	want := [][]Group{{lab(), site()}, {bench(), lab(), site()}, {desk, bench(), lab(), site()}}
	if diff := cmp.Diff(want, tg.Named); diff != "" {
		t.Errorf("named (-want +got):\n%s", diff)
	}
	tg.Members = map[string][]Group{deviceID: {bench()}}
	if got := tg.Of(shown(false)); !got.Whole || !cmp.Equal(got.MemberOf, []Group{bench()}) || !cmp.Equal(got.For, tg.For) {
		t.Errorf("%+v", got)
	}
	b, err := json.Marshal(tg)
	var again TenantGroups
	if err != nil || json.Unmarshal(b, &again) != nil || !cmp.Equal(tg, again) {
		t.Errorf("%s is read as %+v, %v", b, again, err)
	}
}

func TestGroupsInACircleEnd(t *testing.T) {
	tg := TenantGroups{For: []string{"shared lab"}, HasLists: true, Listed: []Group{lab(), bench()}}
	tg.Note(shown(true, bench(), lab(), bench()))
	tg.Note(shown(true, lab(), bench(), lab()))
	if got := tg.Settle(); len(got) != 2 {
		t.Errorf("named: %v", got)
	}
	f := tg.Of(shown(false, bench()))
	if got := f.above([]Group{bench()}); len(got) != 2 {
		t.Errorf("above: %v", got)
	}
}
