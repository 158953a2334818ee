package policy

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// mixture draws facts in which up to four rows are at work together, under a
// policy that lets no unknown owner or domain through.
func mixture(t *rapid.T, rows []row) (Facts, Params) {
	f, p := eligible(), policyOfTests()
	for range rapid.IntRange(0, 4).Draw(t, "rows") {
		attempt(rapid.SampledFrom(rows).Draw(t, "row"), &f, &p)
	}
	p.Manual.UnknownOwner, p.Manual.UnknownDomain = true, true
	f.Approval = nil
	return f, p
}

// attempt makes a row's change as far as it goes: one that was made for eligible
// facts may find nothing to change in what another left.
func attempt(r row, f *Facts, p *Params) {
	defer func() { _ = recover() }()
	r.change(f, p)
}

// allowed are the facts of a live record that may be left out without a person's
// look, though they could have spoken against a delete: those that pass, the
// platform, which the OS name tells, and the time of registration, which Central
// gives without promising it.
func allowed() []string {
	return []string{"HealthOverall", "HealthThreats", "Isolated", "Online", "Cloned", "Platform", "RegisteredAt"}
}

// without returns the record without one of its fields. Groups that are not
// given are not whole.
func without(d Device, field string) Device {
	v := reflect.ValueOf(&d).Elem()
	v.FieldByName(field).SetZero()
	if field == "Groups" {
		d.GroupsWhole = false
	}
	return d
}

// namesOf lists the fields of a struct that are facts: each can be given,
// unreadable or absent.
func namesOf(v any) []string {
	var out []string
	for typ, i := reflect.TypeOf(v), 0; i < typ.NumField(); i++ {
		if field := typ.Field(i).Type; field.Kind() == reflect.Struct && field.NumField() == 2 && field.Field(1).Type == reflect.TypeFor[State]() {
			out = append(out, typ.Field(i).Name)
		}
	}
	return out
}

// garble makes one fact of the struct that p points to unreadable.
func garble(p any, field string) {
	v := reflect.ValueOf(p).Elem().FieldByName(field)
	v.SetZero()
	v.FieldByName("State").Set(reflect.ValueOf(Unreadable))
}

// less is one way to know less of a device, with its name.
type less struct {
	name string
	take func(f *Facts)
}

// leftOut are the ways in which Central can leave out a fact that is looked at.
func leftOut(tb testing.TB) []less {
	tb.Helper()
	var out []less
	for _, name := range append(namesOf(Device{}), "Groups", "GroupsWhole") {
		if !slices.Contains(allowed(), name) {
			out = append(out, less{name, func(f *Facts) { f.Live.Device = without(f.Live.Device, name) }})
		}
	}
	if len(out) < 15 {
		tb.Fatalf("only %d facts of a device", len(out))
	}
	return out
}

// unreadable are the ways in which a fact of the event or of Central's record can
// be given and not be read.
func unreadable() []less {
	var out []less
	for part, of := range map[string]func(f *Facts) any{
		"live":      func(f *Facts) any { return &f.Live.Device },
		"central":   func(f *Facts) any { return &f.Event.Central },
		"directory": func(f *Facts) any { return &f.Event.Directory },
		"owner":     func(f *Facts) any { return &f.Event.Owner },
	} {
		for _, name := range namesOf(reflect.ValueOf(of(new(Facts))).Elem().Interface()) {
			if name != "ManagedByDN" { // never given: it is made of managedBy
				out = append(out, less{part + " " + name, func(f *Facts) { garble(of(f), name) }})
			}
		}
	}
	return out
}

// checkLess wants that knowing less makes no other verdict a delete.
func checkLess(t interface{ Errorf(string, ...any) }, f Facts, p Params, ways []less) {
	before := Evaluate(f, p, noon())
	if before.Verdict == Delete {
		return
	}
	for _, way := range ways {
		after := f
		way.take(&after)
		if Evaluate(after, p, noon()).Verdict == Delete {
			t.Errorf("without %s it may be deleted, which %v forbade", way.name, before.Reasons)
		}
	}
}

func TestKnowingLessNeverMakesItADelete(t *testing.T) {
	rows, ways := allRows(), append(leftOut(t), unreadable()...)
	for _, r := range rows {
		f, p := r.facts()
		f.Approval, p.Manual.UnknownOwner, p.Manual.UnknownDomain = nil, true, true
		checkLess(t, f, p, ways)
	}
	rapid.Check(t, func(t *rapid.T) {
		f, p := mixture(t, rows)
		checkLess(t, f, p, ways)
	})
}
