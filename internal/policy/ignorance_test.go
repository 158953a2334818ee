package policy

import (
	"reflect"
	"slices"
	"testing"
	"time"

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
// platform, which the OS name tells, and the time of registration and the person's
// name beside the login, which Central gives without promising them.
func allowed() []string {
	return []string{"HealthOverall", "HealthThreats", "Isolated", "Online", "Cloned", "Platform", "RegisteredAt", "PersonName"}
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

// lost makes the two losses of one field.
func lost[T any](name string, of func(f *Facts) *Field[T]) []less {
	return []less{
		{name + " is gone", func(f *Facts) { *of(f) = Field[T]{} }},
		{name + " can't be read", func(f *Facts) { *of(f) = Garbled[T]() }},
	}
}

// losses are the facts that a verdict needs: what the event must give, and what
// Central's record gives. Left out is the going of what may pass by its absence:
// health, isolation, online, cloned, a platform that the OS name tells, and the
// time of registration, which Central does not promise to give.
func losses() []less {
	l := slices.Concat(
		lost("directory.hostname", func(f *Facts) *Field[string] { return &f.Event.Directory.Hostname }),
		lost("directory.domain", func(f *Facts) *Field[string] { return &f.Event.Directory.Domain }),
		lost("directory.distinguishedName", func(f *Facts) *Field[DN] { return &f.Event.Directory.DistinguishedName }),
		lost("event central.id", func(f *Facts) *Field[string] { return &f.Event.Central.ID }),
		lost("event central.tenant.id", func(f *Facts) *Field[string] { return &f.Event.Central.TenantID }),
		lost("event central.hostname", func(f *Facts) *Field[string] { return &f.Event.Central.Hostname }),
		lost("event central.lastSeenAt", func(f *Facts) *Field[time.Time] { return &f.Event.Central.LastSeenAt }),
		lost("id", func(f *Facts) *Field[string] { return &f.Live.Device.ID }),
		lost("tenant", func(f *Facts) *Field[string] { return &f.Live.Device.TenantID }),
		lost("hostname", func(f *Facts) *Field[string] { return &f.Live.Device.Hostname }),
		lost("type", func(f *Facts) *Field[string] { return &f.Live.Device.Type }),
		lost("os.name", func(f *Facts) *Field[string] { return &f.Live.Device.OSName }),
		lost("os.isServer", func(f *Facts) *Field[bool] { return &f.Live.Device.IsServer }),
		lost("os.build", func(f *Facts) *Field[int] { return &f.Live.Device.Build }),
		lost("lastSeenAt", func(f *Facts) *Field[time.Time] { return &f.Live.Device.LastSeenAt }),
		lost("viaLogin", func(f *Facts) *Field[string] { return &f.Live.Device.ViaLogin }),
		lost("newest of the fleet", func(f *Facts) *Field[time.Time] { return &f.Live.NewestSeenAt }),
		lost("platform", func(f *Facts) *Field[string] { return &f.Live.Device.Platform })[1:],
		lost("registeredAt", func(f *Facts) *Field[time.Time] { return &f.Live.Device.RegisteredAt })[1:],
		lost("online", func(f *Facts) *Field[bool] { return &f.Live.Device.Online })[1:],
		lost("isolation", func(f *Facts) *Field[bool] { return &f.Live.Device.Isolated })[1:],
		lost("health", func(f *Facts) *Field[string] { return &f.Live.Device.HealthOverall })[1:],
		lost("threats", func(f *Facts) *Field[string] { return &f.Live.Device.HealthThreats })[1:],
		lost("cloned", func(f *Facts) *Field[bool] { return &f.Live.Device.Cloned })[1:],
	)
	return append(l,
		less{"the directory is gone", func(f *Facts) { f.Event.Directory = Directory{} }},
		less{"the directory's builds are gone", func(f *Facts) {
			f.Event.Directory.OperatingSystemVersion, f.Event.Directory.OperatingSystemBuildNumber = Field[int]{}, Field[int]{}
		}},
		less{"the groups are gone", func(f *Facts) { f.Live.Device.Groups, f.Live.Device.GroupsWhole = nil, false }},
		less{"the search is gone", func(f *Facts) { f.Live.SameNamed = nil }},
		less{"the record is gone", func(f *Facts) { f.Live.Device = Device{} }},
		less{"the look failed", func(f *Facts) { f.Live = Live{Status: LiveFailed, At: noon()} }},
		less{"there was no look", func(f *Facts) { f.Live = Live{} }},
		less{"there was no answer to the look", func(f *Facts) { f.Live.Status = LiveUnread }},
	)
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
	if len(out) < 14 {
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
			t.Errorf("%s: it may be deleted, which %v forbade", way.name, before.Reasons)
		}
	}
}

func TestKnowingLessNeverMakesItADelete(t *testing.T) {
	rows, ways := allRows(), slices.Concat(leftOut(t), unreadable(), losses())
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

func TestWithoutAnyNeededFactNothingIsDeleted(t *testing.T) {
	for _, l := range losses() {
		f := eligible()
		l.take(&f)
		if d := Evaluate(f, policyOfTests(), noon()); d.Verdict == Delete {
			t.Errorf("%s: delete", l.name)
		}
	}
}
