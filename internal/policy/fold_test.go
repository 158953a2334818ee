package policy

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

// bytesOf is a decision's JSON.
func bytesOf(tb interface{ Fatal(...any) }, d Decision) []byte {
	b, err := json.Marshal(d)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestTheOrderInWhichRulesRunDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, p := draw(t)
		want := Evaluate(f, p, noon())
		rules := ranking(table())
		seed := rapid.Uint64().Draw(t, "order")
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
		got := foldRules(rules, f, p, noon())
		slices.Sort(want.Waived) // they are listed as they were found
		slices.Sort(got.Waived)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestNoMixtureOfAnswersTurnsDoubtIntoADelete(t *testing.T) {
	answers := []finding{pass(), quiet(), quiet("A"), hits("Hit."), hitsAs(Manual, "Hit."), {}, {kind: 99}}
	rapid.Check(t, func(t *rapid.T) {
		var rules []rule
		clear := true
		for range rapid.IntRange(0, 12).Draw(t, "rules") {
			said := answers[rapid.IntRange(0, len(answers)-1).Draw(t, "answer")]
			clear = clear && said.kind == passed
			rules = append(rules, says("A", rapid.IntRange(0, 10).Draw(t, "tier"), Skip, said))
		}
		d := foldRules(ranking(rules), eligible(), policyOfTests(), noon())
		if want := clear && len(rules) > 0; (d.Verdict == Delete) != want {
			t.Fatalf("verdict %d of %v", d.Verdict, rules)
		}
		if len(d.Reasons) == 0 {
			t.Fatal("no reason")
		}
	})
}

func TestTheSameFactsGiveTheSameBytesAlsoAfterSealing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, p := draw(t)
		want := bytesOf(t, Evaluate(f, p, noon()))
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		var sealed Facts
		if err := json.Unmarshal(b, &sealed); err != nil {
			t.Fatal(err)
		}
		for _, again := range []Facts{f, sealed} {
			if got := bytesOf(t, Evaluate(again, p, noon())); !bytes.Equal(want, got) {
				t.Fatalf("%s and %s", want, got)
			}
		}
	})
}

func TestTheStateOfTheServiceChangesNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, p := draw(t)
		f.Standing.Paused, f.Standing.Unverified = "", ""
		without := Evaluate(f, p, noon())
		f.Standing.Paused, f.Standing.Unverified = "x", "y"
		with := Evaluate(f, p, noon())
		if with.Verdict != Skip || with.Tier != 0 {
			t.Fatalf("%v", with.Reasons)
		}
		rest := with.Reasons[2:]
		if without.Verdict == Delete {
			rest = append(rest, without.Reasons...)
		}
		if diff := cmp.Diff(without.Reasons, rest); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestAnApprovalWaivesOnlyWhatItMay(t *testing.T) {
	var every []Code
	for _, c := range Codes() {
		every = append(every, c.Code)
	}
	rapid.Check(t, func(t *rapid.T) {
		f, p := draw(t)
		f.Approval = nil
		before := Evaluate(f, p, noon())
		f.Approval = &Approval{ID: "a9", OpenedAt: noon(), Waives: rapid.SliceOf(rapid.SampledFrom(every)).Draw(t, "waives")}
		after := Evaluate(f, p, noon())
		for _, r := range before.Reasons {
			shown := slices.Contains(f.Approval.Waives, r.Code) && Waivable(r.Code)
			if stands := slices.Contains(codesOf(after.Reasons), r.Code); r.Code != Eligible && stands == shown {
				t.Fatalf("%s stands: %v, waived: %v", r.Code, stands, after.Waived)
			}
		}
		if tier, _ := TierOf(before.Code()); tier <= 4 && before.Verdict != Delete && after.Verdict == Delete {
			t.Fatalf("an approval made a delete of %v", before.Reasons)
		}
	})
}

func TestEligibleAtIsTrue(t *testing.T) {
	reached := 0
	rapid.Check(t, func(t *rapid.T) {
		f, p := eligible(), policyOfTests()
		live := rapid.Float64Range(0, 40).Draw(t, "live")
		seen(live+rapid.Float64Range(0, 1e-4).Draw(t, "event"), live)(&f, &p)
		f.Event.Directory.DisabledAt = Is(ago(rapid.Float64Range(-5, 20).Draw(t, "disabled")))
		d := Evaluate(f, p, noon())
		if d.EligibleAt.IsZero() {
			if d.Verdict == Skip {
				t.Fatalf("only time, and no time: %v", d.Reasons)
			}
			return
		}
		reached++
		for _, tc := range []struct {
			at   time.Time
			want Verdict
		}{{d.EligibleAt, Delete}, {d.EligibleAt.Add(-time.Nanosecond), Skip}} {
			// What is looked at anew by then is as fresh as now.
			f.Event.ObservedAt, f.Live.NewestSeenAt, f.Live.At, f.Live.CentralTime = Is(tc.at), Is(tc.at), tc.at, Is(tc.at)
			if got := Evaluate(f, p, tc.at); got.Verdict != tc.want {
				t.Fatalf("at %s: %v", tc.at, got.Reasons)
			}
		}
		if wait := d.EligibleAt.Sub(noon()); d.RetryAfter < wait || d.RetryAfter >= wait+time.Second {
			t.Fatalf("RetryAfter %s, %s to wait", d.RetryAfter, wait)
		}
	})
	if reached == 0 {
		t.Error("no case was reached")
	}
}
