package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// says is a rule that always finds the same.
func says(c Code, tier int, v Verdict, f finding) rule {
	return rule{c, tier, v, "It can't be told.", func(Facts, Params, time.Time) finding { return f }}
}

func TestTheFold(t *testing.T) {
	const a, b, c = Code("A"), Code("B"), Code("C")
	pending := hits("Hit.").again(time.Minute)
	for name, tc := range map[string]struct {
		rules   []rule
		verdict Verdict
		tier    int
		codes   []Code
	}{
		"an empty table is a person's":       {nil, Manual, 2, []Code{InputInvalid}},
		"every rule passes":                  {[]rule{says(a, 3, Skip, pass())}, Delete, 11, []Code{Eligible}},
		"the zero finding never passes":      {[]rule{says(a, 3, Skip, finding{}), says(b, 4, Keep, pass())}, Manual, 3, []Code{a}},
		"a silence that nobody explains":     {[]rule{says(a, 3, Skip, pass()), says(b, 4, Keep, quiet(a))}, Manual, 2, []Code{InputInvalid}},
		"the lower tier decides":             {[]rule{says(a, 9, Manual, hits("Hit.")), says(b, 4, Keep, pending)}, Keep, 4, []Code{b, a}},
		"in a tier the first decides":        {[]rule{says(a, 4, Skip, hits("Hit.")), says(b, 4, Keep, pending)}, Skip, 4, []Code{a, b}},
		"the unknown decides in its tier":    {[]rule{says(a, 4, Keep, hits("Hit.")), says(b, 3, Skip, finding{}), says(c, 3, Skip, pending)}, Manual, 3, []Code{b, c, a}},
		"a finding may have its own verdict": {[]rule{says(a, 4, Skip, hitsAs(Manual, "Hit."))}, Manual, 4, []Code{a}},
	} {
		t.Run(name, func(t *testing.T) {
			d := foldRules(ranking(tc.rules), eligible(), policyOfTests(), noon())
			if diff := cmp.Diff(tc.codes, codesOf(d.Reasons)); diff != "" || d.Verdict != tc.verdict || d.Tier != tc.tier {
				t.Errorf("verdict %d, tier %d, want %d, %d; codes (-want +got):\n%s", d.Verdict, d.Tier, tc.verdict, tc.tier, diff)
			}
			if d.Code() != tc.codes[0] {
				t.Errorf("Code() = %s, want %s", d.Code(), tc.codes[0])
			}
		})
	}
}

func TestNothingIsDeletedThatWasNotRead(t *testing.T) {
	rules := ranking([]rule{says("A", 3, Skip, pass())})
	for status := LiveUnread; status <= LiveFound+1; status++ {
		f := eligible()
		f.Live.Status = status
		if got := foldRules(rules, f, policyOfTests(), noon()).Verdict == Delete; got != (status == LiveFound) {
			t.Errorf("status %d: delete is %v", status, got)
		}
	}
}

func TestReasonsComeFromTheMostDecisiveToTheLeast(t *testing.T) {
	f, p := eligible(), policyOfTests()
	f.Standing.OpenTicket, f.Standing.Undecided = "INC-1", true
	f.Live.Device.Online, f.Live.Device.Build = Is(true), Is(26100)
	f.Event.Directory.Enabled, f.Event.Directory.DisabledAt = Is(true), Is(ago(1))
	d := Evaluate(f, p, noon())
	want := []Code{TicketOpen, DirectoryEnabled, ActiveInCentral, GracePeriod, TicketUndecided, BuildNewerInCentral}
	if diff := cmp.Diff(want, codesOf(d.Reasons)); diff != "" || d.Tier != 1 || d.Verdict != Skip {
		t.Errorf("tier %d, verdict %d\n%s", d.Tier, d.Verdict, diff)
	}
}

func TestWhenToAskAgain(t *testing.T) {
	failed := func(after time.Duration) func(f *Facts, _ *Params) {
		return func(f *Facts, _ *Params) { f.Live = Live{Status: LiveFailed, At: noon(), RetryAfter: after} }
	}
	for name, tc := range map[string]struct {
		change func(f *Facts, p *Params)
		want   time.Duration
	}{
		"paused":                    {func(f *Facts, _ *Params) { f.Standing.Paused = "x" }, 5 * time.Minute},
		"state not trusted":         {func(f *Facts, _ *Params) { f.Standing.Unverified = "x" }, 5 * time.Minute},
		"in flight":                 {func(f *Facts, _ *Params) { f.Standing.InFlight = true }, 15 * time.Second},
		"the fleet is silent":       {func(f *Facts, _ *Params) { f.Live.NewestSeenAt = Field[time.Time]{} }, 15 * time.Minute},
		"the fleet is held":         {func(f *Facts, _ *Params) { f.Standing.SilentUntil = noon().Add(90 * time.Minute) }, 90 * time.Minute},
		"not verified":              {failed(0), time.Minute},
		"not verified, and told so": {failed(1500 * time.Millisecond), 2 * time.Second},
		"not verified for the third time": {func(f *Facts, p *Params) {
			failed(time.Minute)(f, p)
			f.Standing.VerifyFails = 3
		}, 0},
		"a ticket is open":     {func(f *Facts, _ *Params) { f.Standing.OpenTicket = "INC-1" }, 0},
		"online":               {func(f *Facts, _ *Params) { f.Live.Device.Online = Is(true) }, 0},
		"eligible":             {func(*Facts, *Params) {}, 0},
		"too young":            {seen(29, 29), 24 * time.Hour},
		"too young by a blink": {seen(30-1e-9, 30-1e-9), time.Second},
		"too young, and a VIP's": {func(f *Facts, p *Params) {
			seen(29, 29)(f, p)
			f.Event.Owner.Login, f.Live.Device.ViaLogin = Is(`corpex\ceo`), Is(`corpex\ceo`)
		}, 24 * time.Hour},
		"the deciding reason's alone counts": {func(f *Facts, p *Params) {
			seen(1, 1)(f, p)
			f.Standing.InFlight = true
		}, 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			f, p := row{change: tc.change}.facts()
			if got := Evaluate(f, p, noon()).RetryAfter; got != tc.want {
				t.Errorf("RetryAfter = %s, want %s", got, tc.want)
			}
		})
	}
}

func TestWhenTimeAloneMakesItADelete(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(f *Facts, p *Params)
		want   time.Time
	}{
		"eligible already":     {func(*Facts, *Params) {}, time.Time{}},
		"silent for too short": {seen(20, 20), ago(-10)},
		"disabled too short":   {func(f *Facts, _ *Params) { f.Event.Directory.DisabledAt = Is(ago(4)) }, ago(-10)},
		"the later of both": {func(f *Facts, p *Params) {
			seen(20, 20)(f, p)
			f.Event.Directory.DisabledAt = Is(ago(2))
		}, ago(-12)},
		"the later of both, the other way": {func(f *Facts, p *Params) {
			seen(12, 12)(f, p)
			f.Event.Directory.DisabledAt = Is(ago(2))
		}, ago(-18)},
		"a VIP's, too": {func(f *Facts, p *Params) {
			seen(20, 20)(f, p)
			f.Event.Owner.Login, f.Live.Device.ViaLogin = Is(`corpex\ceo`), Is(`corpex\ceo`)
		}, time.Time{}},
		"a VIP's, which was waived": {func(f *Facts, p *Params) {
			seen(20, 20)(f, p)
			f.Event.Owner.Login, f.Live.Device.ViaLogin = Is(`corpex\ceo`), Is(`corpex\ceo`)
			f.Approval = &Approval{ID: "a1", Waives: []Code{VIPDevice}, OpenedAt: noon()}
		}, ago(-10)},
		"a ticket open": {func(f *Facts, p *Params) {
			seen(20, 20)(f, p)
			f.Standing.OpenTicket = "INC-1"
		}, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			f, p := row{change: tc.change}.facts()
			d := Evaluate(f, p, noon())
			if !d.EligibleAt.Equal(tc.want) {
				t.Errorf("EligibleAt = %s, want %s", d.EligibleAt, tc.want)
			}
			if !tc.want.IsZero() && d.RetryAfter != tc.want.Sub(noon()) {
				t.Errorf("RetryAfter = %s, want %s", d.RetryAfter, tc.want.Sub(noon()))
			}
		})
	}
}

func TestWhatAnApprovalWaives(t *testing.T) {
	vipOnline := func(f *Facts) {
		f.Event.Owner.Login, f.Live.Device.ViaLogin, f.Live.Device.Online = Is(`corpex\ceo`), Is(`corpex\ceo`), Is(true)
	}
	for name, tc := range map[string]struct {
		change  func(f *Facts)
		waives  []Code
		verdict Verdict
		codes   []Code
		waived  []Code
	}{
		"what was shown":                   {vipOnline, []Code{VIPDevice, ActiveInCentral}, Delete, []Code{Eligible}, []Code{ActiveInCentral, VIPDevice}},
		"not what was not shown":           {vipOnline, []Code{VIPDevice}, Manual, []Code{ActiveInCentral}, []Code{VIPDevice}},
		"nothing, where nothing was shown": {vipOnline, nil, Manual, []Code{ActiveInCentral, VIPDevice}, nil},
		"no other host": {func(f *Facts) { f.Live.Device.Hostname = Is("WS-2") }, []Code{HostnameMismatch}, Manual,
			[]Code{HostnameMismatch}, nil},
		"no protected role": {func(f *Facts) { f.Event.Directory.MemberOf = Is([]DN{corp("cn=Domain Controllers")}) }, []Code{ProtectedRole}, Keep,
			[]Code{ProtectedRole}, nil},
		"an exclusion": {func(f *Facts) { f.Live.Device.Groups = []Group{{Name: "kiosks 1"}} }, []Code{Excluded}, Delete, []Code{Eligible}, []Code{Excluded}},
		"a last-seen time that is missing": {func(f *Facts) { f.Event.Central.LastSeenAt = Field[time.Time]{} }, []Code{LastSeenMissing}, Delete,
			[]Code{Eligible}, []Code{LastSeenMissing}},
		"not the young one beside it": {func(f *Facts) {
			f.Event.Central.LastSeenAt, f.Live.Device.LastSeenAt = Field[time.Time]{}, Is(ago(1))
		}, []Code{LastSeenMissing}, Skip, []Code{NotInactiveLongEnough}, []Code{LastSeenMissing}},
		"a build that is missing": {func(f *Facts) { f.Live.Device.Build = Field[int]{} }, []Code{BuildUnknown}, Delete, []Code{Eligible}, []Code{BuildUnknown}},
	} {
		t.Run(name, func(t *testing.T) {
			f := eligible()
			tc.change(&f)
			f.Approval = &Approval{ID: "a1", Waives: tc.waives, OpenedAt: noon()}
			d := Evaluate(f, policyOfTests(), noon())
			if diff := cmp.Diff(tc.codes, codesOf(d.Reasons)); diff != "" || d.Verdict != tc.verdict {
				t.Errorf("verdict %d, want %d; codes (-want +got):\n%s", d.Verdict, tc.verdict, diff)
			}
			if diff := cmp.Diff(tc.waived, d.Waived); diff != "" {
				t.Errorf("waived (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsNeverWaived(t *testing.T) {
	never := []Code{TenantMismatch, HostnameMismatch, ProtectedRole, Eligible, Inactive, EvidenceChanged, "", "NONSENSE"}
	for _, r := range table() {
		if r.tier <= 4 {
			never = append(never, r.code)
		}
	}
	for _, c := range never {
		if Waivable(c) {
			t.Errorf("%q can be waived", c)
		}
	}
	for _, c := range []Code{Excluded, UnderInvestigation, NameTruncated, DuplicateActive, NeverSeen, GracePeriod, VIPDevice, Server, BuildUnknown} {
		if !Waivable(c) {
			t.Errorf("%s can't be waived", c)
		}
	}
}

func TestTheTable(t *testing.T) {
	seen, tier := map[Code]bool{}, 0
	for _, r := range table() {
		switch {
		case seen[r.code]:
			t.Errorf("%s stands twice", r.code)
		case r.tier < tier || r.tier > 10:
			t.Errorf("%s is of tier %d, after tier %d", r.code, r.tier, tier)
		case !strings.HasSuffix(r.why, ".") || strings.ToUpper(r.why[:1]) != r.why[:1]:
			t.Errorf("%s: %q is no sentence", r.code, r.why)
		case r.verdict == Delete:
			t.Errorf("%s deletes", r.code)
		}
		if got, ok := TierOf(r.code); !ok || got != r.tier {
			t.Errorf("TierOf(%s) = %d, %v", r.code, got, ok)
		}
		seen[r.code], tier = true, r.tier
	}
}

func TestActivityIsWhatTheLiveReadSays(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(f *Facts, p *Params)
		want   Activity
	}{
		"out of use":           {func(*Facts, *Params) {}, Activity{Is(ago(141)), Is(141.0), Is(false)}},
		"online":               {func(f *Facts, _ *Params) { f.Live.Device.Online = Is(true) }, Activity{Is(ago(141)), Is(141.0), Is(true)}},
		"young":                {seen(141, 7.5), Activity{Is(ago(7.5)), Is(7.5), Is(true)}},
		"since":                {seen(141, 60), Activity{Is(ago(60)), Is(60.0), Is(true)}},
		"in the future":        {seen(141, -1), Activity{LastSeenAt: Is(ago(-1))}},
		"online can't be read": {func(f *Facts, _ *Params) { f.Live.Device.Online = Garbled[bool]() }, Activity{Is(ago(141)), Is(141.0), Field[bool]{}}},
		"never heard of":       {func(f *Facts, _ *Params) { f.Live.Device.LastSeenAt = Field[time.Time]{} }, Activity{}},
		"never heard of, and online": {func(f *Facts, _ *Params) {
			f.Live.Device.LastSeenAt, f.Live.Device.Online = Garbled[time.Time](), Is(true)
		}, Activity{Active: Is(true)}},
		"not read": {func(f *Facts, _ *Params) { f.Live.Status = LiveFailed }, Activity{}},
	} {
		t.Run(name, func(t *testing.T) {
			f, p := row{change: tc.change}.facts()
			if diff := cmp.Diff(tc.want, Evaluate(f, p, noon()).Activity); diff != "" {
				t.Error(diff)
			}
		})
	}
}
