package policy

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// spot draws one thing that may be other than in eligible facts.
type spot struct {
	name string
	set  func(t *rapid.T, f *Facts, p *Params)
}

// field draws one field: absent, unreadable, or one of the values.
func field[T any](t *rapid.T, values ...T) Field[T] {
	i := rapid.IntRange(-2, len(values)-1).Draw(t, "value")
	switch i {
	case -2:
		return Field[T]{}
	case -1:
		return Garbled[T]()
	}
	return Is(values[i])
}

// times are instants around every limit that the policy of the tests has.
func times(t *rapid.T) Field[time.Time] {
	var at []time.Time
	for _, days := range []float64{-1, 0, 1, 14, 29, 30, 31, 60, 89, 90, 91, 141, 900} {
		at = append(at, ago(days), ago(days).Add(time.Second), ago(days).Add(-2*time.Minute))
	}
	return field(t, at...)
}

// spots are the fields of both records and of the directory, and the standing.
func spots() []spot {
	hosts := []string{"WS-FIN-0427", "ws-fin-0427.corp.example.test", "WS-FIN-0427.lab.example.test", "LAB-1", "EXEC-1", cut15, long}
	systems := []string{"Windows 11 Pro", "Windows 10 Pro", "Windows Server 2022", "Ubuntu", "macOS", "Windows Cluster"}
	logins := []string{`CORPEX\j.doe`, `LAB\j.doe`, `CORPEX\ceo`, "cfo@corp.example.test", `WS-FIN-0427\admin`, "root"}
	flags, words := []bool{true, false}, []string{"good", "bad", "odd"}
	out := []spot{
		{"event observed", func(t *rapid.T, f *Facts, _ *Params) { f.Event.ObservedAt = times(t) }},
		{"directory host", func(t *rapid.T, f *Facts, _ *Params) { f.Event.Directory.Hostname = field(t, hosts...) }},
		{"directory domain", func(t *rapid.T, f *Facts, _ *Params) {
			f.Event.Directory.Domain = field(t, "corp.example.test", "CORPEX", "LAB", "OTHER")
		}},
		{"directory OS", func(t *rapid.T, f *Facts, _ *Params) { f.Event.Directory.OperatingSystem = field(t, systems...) }},
		{"directory build", func(t *rapid.T, f *Facts, _ *Params) {
			f.Event.Directory.OperatingSystemBuildNumber = field(t, 22631, 19045)
		}},
		{"directory enabled", func(t *rapid.T, f *Facts, _ *Params) { f.Event.Directory.Enabled = field(t, flags...) }},
		{"directory disabled", func(t *rapid.T, f *Facts, _ *Params) { f.Event.Directory.DisabledAt = times(t) }},
		{"owner", func(t *rapid.T, f *Facts, _ *Params) { f.Event.Owner.Login = field(t, logins...) }},
		{"live host", func(t *rapid.T, f *Facts, _ *Params) { f.Live.Device.Hostname = field(t, hosts...) }},
		{"live seen", func(t *rapid.T, f *Facts, _ *Params) { f.Live.Device.LastSeenAt = times(t) }},
		{"event seen", func(t *rapid.T, f *Facts, _ *Params) { f.Event.Central.LastSeenAt = times(t) }},
		{"both seen", func(t *rapid.T, f *Facts, _ *Params) {
			f.Live.Device.LastSeenAt = times(t)
			f.Event.Central.LastSeenAt = f.Live.Device.LastSeenAt
		}},
		{"live registered", func(t *rapid.T, f *Facts, _ *Params) { f.Live.Device.RegisteredAt = times(t) }},
		{"live OS", func(t *rapid.T, f *Facts, _ *Params) { f.Live.Device.OSName = field(t, systems...) }},
		{"live login", func(t *rapid.T, f *Facts, _ *Params) { f.Live.Device.ViaLogin = field(t, logins...) }},
		{"live build", func(t *rapid.T, f *Facts, _ *Params) { f.Live.Device.Build = field(t, 22631, 19045, 26100) }},
		{"live type", func(t *rapid.T, f *Facts, _ *Params) { f.Live.Device.Type = field(t, "computer", "server", "mobile") }},
		{"live server", func(t *rapid.T, f *Facts, _ *Params) { f.Live.Device.IsServer = field(t, flags...) }},
		{"live platform", func(t *rapid.T, f *Facts, _ *Params) {
			f.Live.Device.Platform = field(t, "windows", "linux", "macos", "bsd")
		}},
		{"live online", func(t *rapid.T, f *Facts, _ *Params) { f.Live.Device.Online = field(t, flags...) }},
		{"live isolation", func(t *rapid.T, f *Facts, _ *Params) { f.Live.Device.Isolated = field(t, flags...) }},
		{"live health", func(t *rapid.T, f *Facts, _ *Params) { f.Live.Device.HealthOverall = field(t, words...) }},
		{"live cloned", func(t *rapid.T, f *Facts, _ *Params) { f.Live.Device.Cloned = field(t, flags...) }},
		{"servers pass", func(t *rapid.T, _ *Facts, p *Params) { p.Manual.Servers = rapid.Bool().Draw(t, "servers") }},
		{"macs and linux pass", func(t *rapid.T, _ *Facts, p *Params) {
			p.Manual.MacOS, p.Manual.Linux = rapid.Bool().Draw(t, "macs"), rapid.Bool().Draw(t, "linux")
		}},
	}
	for _, r := range recorded() { // and each case that has a name
		if r.change != nil {
			out = append(out, spot{r.file, func(_ *rapid.T, f *Facts, p *Params) { r.change(f, p) }})
		}
	}
	return out
}

// draw draws facts that differ from eligible ones in up to four spots.
func draw(t *rapid.T) (Facts, Params) {
	f, p := eligible(), policyOfTests()
	all := spots()
	for range rapid.IntRange(0, 4).Draw(t, "spots") {
		s := rapid.SampledFrom(all).Draw(t, "spot")
		t.Log(s.name)
		s.set(t, &f, &p)
	}
	return f, p
}

// loss takes a fact away, or makes it unreadable.
type loss struct {
	name string
	lose func(f *Facts)
}

// lost makes the two losses of one field.
func lost[T any](name string, of func(f *Facts) *Field[T]) []loss {
	return []loss{
		{name + " is gone", func(f *Facts) { *of(f) = Field[T]{} }},
		{name + " can't be read", func(f *Facts) { *of(f) = Garbled[T]() }},
	}
}

// losses are the facts that a verdict needs: what the event must give, and what
// Central's record gives. Left out is the going of what may pass by its absence:
// health, isolation, online, cloned, a platform that the OS name tells, and the
// time of registration, which Central does not promise to give.
func losses() []loss {
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
		loss{"the directory is gone", func(f *Facts) { f.Event.Directory = Directory{} }},
		loss{"the directory's builds are gone", func(f *Facts) {
			f.Event.Directory.OperatingSystemVersion, f.Event.Directory.OperatingSystemBuildNumber = Field[int]{}, Field[int]{}
		}},
		loss{"the groups are gone", func(f *Facts) { f.Live.Device.Groups, f.Live.Device.GroupsWhole = nil, false }},
		loss{"the search is gone", func(f *Facts) { f.Live.SameNamed = nil }},
		loss{"the record is gone", func(f *Facts) { f.Live.Device = Device{} }},
		loss{"the look failed", func(f *Facts) { f.Live = Live{Status: LiveFailed, At: noon()} }},
		loss{"there was no look", func(f *Facts) { f.Live = Live{} }},
		loss{"there was no answer to the look", func(f *Facts) { f.Live.Status = LiveUnread }},
	)
}

func TestIgnoranceNeverMakesADelete(t *testing.T) {
	all := losses()
	rapid.Check(t, func(t *rapid.T) {
		f, p := draw(t)
		f.Approval = nil
		before := Evaluate(f, p, noon())
		if before.Verdict == Delete {
			return
		}
		for _, l := range all {
			less := f
			less.Live.SameNamed = slices.Clone(f.Live.SameNamed)
			l.lose(&less)
			if d := Evaluate(less, p, noon()); d.Verdict == Delete {
				t.Fatalf("%s: delete, and before %v", l.name, before.Reasons)
			}
		}
	})
}

func TestWithoutAnyNeededFactNothingIsDeleted(t *testing.T) {
	for _, l := range losses() {
		f := eligible()
		l.lose(&f)
		if d := Evaluate(f, policyOfTests(), noon()); d.Verdict == Delete {
			t.Errorf("%s: delete", l.name)
		}
	}
}
