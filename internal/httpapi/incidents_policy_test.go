package httpapi_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/action"
	"rollcall/internal/policy"
	"rollcall/internal/policyfile"
)

// theOU begins every policy file here: the one key that has no default.
const theOU = `disabledOUs: ["OU=Disabled,DC=corp,DC=example,DC=test"]` + "\n"

// Each row is a line of configuration that did something else than its author
// meant. Here it is a fault that is told, by its path, and no policy comes of it.
func TestAPolicyThatSaysSomethingElseThanMeantDoesNotStart(t *testing.T) {
	for _, tc := range []struct{ name, file, path string }{
		{"an exclusion with an unknown key does not start (aws-nuke #115)", theOU + "exclusions: [{id: a, hostname: [X], hostnames: [Y], reason: r, owner: o}]", "exclusions[0].hostname"},
		{"an exclusion that names nothing excludes nothing, and does not start", theOU + "exclusions: [{id: a, hostnames: [], reason: r, owner: o}]", "exclusions[0]"},
		{"an exclusion that nobody answers for does not start", theOU + "exclusions: [{id: a, hostnames: [X], reason: r}]", "exclusions[0].owner"},
		{"an exclusion without a reason does not start", theOU + "exclusions: [{id: a, hostnames: [X], owner: o}]", "exclusions[0].reason"},
		{"two exclusions of one id do not start (Swabbie #340)", theOU + "exclusions: [{id: a, hostnames: [X], reason: r, owner: o}, {id: a, hostnames: [Y], reason: r, owner: o}]", "exclusions[1].id"},
		{"an end that can't be read is no end", theOU + "exclusions: [{id: a, hostnames: [X], reason: r, owner: o, expires: soon}]", "exclusions[0].expires"},
		{"a pattern that matches nothing by mistake does not start", theOU + `exclusions: [{id: a, hostnames: ["[x"], reason: r, owner: o}]`, "exclusions[0].hostnames[0]"},
		{"a misspelt section does not start", theOU + "exclusion: []", "exclusion"},
		{"unlimited can't be written as a word", theOU + "limits: {perDay: [unlimited]}", "limits.perDay[0]"},
		{"unlimited can't be written as less than nothing", theOU + "limits: {perDay: [-1]}", "limits.perDay[0]"},
		{"unlimited can't be written as nothing", theOU + "limits: {perDay: }", "limits.perDay"},
		{"unlimited can't be written as an empty list", theOU + "limits: {perDay: []}", "limits.perDay"},
		{"unlimited can't be written as infinity", theOU + "limits: {percentPerDay: .inf}", "limits.percentPerDay"},
		{"a percentage is none below nothing", theOU + "limits: {percentPerDay: -1}", "limits.percentPerDay"},
		{"a percentage is none above all", theOU + "limits: {percentPerDay: 101}", "limits.percentPerDay"},
		{"a ramp that falls as it climbs does not start", theOU + "limits: {perDay: [5, 1]}", "limits.perDay[1]"},
		{"half a day of grace is not rounded to none (Custodian #1608)", theOU + "graceDays: 0.5", "graceDays"},
		{"grace in hours is not taken for days", theOU + "graceDays: 24h", "graceDays"},
		{"a key without a value is no default (Elastic #735)", theOU + "graceDays:", "graceDays"},
		{"less than two weeks of silence is a holiday (Entra)", theOU + "inactiveDays: {computer: 13}", "inactiveDays.computer"},
		{"a number of days that would wrap around does not start", theOU + "inactiveDays: {computer: 106752}", "inactiveDays.computer"},
		{"a canary that never sings does not start", theOU + "canary: {newestWithin: 0s}", "canary.newestWithin"},
		{"a whole domain is no disabled OU", `disabledOUs: ["DC=corp,DC=example,DC=test"]`, "disabledOUs[0]"},
		{"no OU is not every OU", `disabledOUs: []`, "disabledOUs"},
		{"a key that stands twice does not start", theOU + "graceDays: 30\ngraceDays: 0", "graceDays"},
		{"a window without its zone is no window (Swabbie)", theOU + `window: {days: [Mon], from: "09:00", to: "16:00"}`, "window.timezone"},
		{"a window in the machine's own zone is another everywhere", theOU + `window: {timezone: Local, days: [Mon], from: "09:00", to: "16:00"}`, "window.timezone"},
		{"a window over midnight would be two days'", theOU + `window: {timezone: Etc/UTC, days: [Mon], from: "22:00", to: "04:00"}`, "window"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := policyfile.Parse([]byte(tc.file))
			var faults policyfile.Faults
			if !errors.As(err, &faults) || !cmp.Equal(p, policy.Params{}) {
				t.Fatalf("a policy comes of it, or no faults: %v", err)
			}
			for _, f := range faults {
				if f.Path == tc.path && f.Line > 0 {
					return
				}
			}
			t.Errorf("no fault of %s: %v", tc.path, faults)
		})
	}
}

// Custodian documented four days and took none (#6106): what is not said must be
// the cautious number, in what is read, not only in what is written about it.
func TestWhatAPolicyDoesNotSayIsTheCautiousNumber(t *testing.T) {
	p, err := policyfile.Parse([]byte(theOU))
	if err != nil {
		t.Fatal(err)
	}
	for what, ok := range map[string]bool{
		"grace":                p.GraceDays == 14,
		"silence":              p.InactiveDays.Computer == 30 && p.InactiveDays.Server == 90,
		"one delete a day":     p.Limits.PerDay[0] == 1,
		"one percent":          p.Limits.PercentPerDay == 1,
		"spread":               p.Limits.Spacing == time.Minute,
		"the canary":           p.NewestWithin == time.Hour,
		"events of a day":      p.EventMaxAge == 24*time.Hour,
		"servers":              p.Manual.Servers && p.Manual.MacOS && p.Manual.Linux,
		"unknown is a matter":  p.Manual.UnknownOwner && p.Manual.UnknownDomain,
		"approvals run out":    p.ApprovalTTL == 7*24*time.Hour,
		"three failures":       p.Failures.ManualAfter == 3,
		"verdicts of one day":  p.VerdictTTL == 24*time.Hour,
		"evidence of minutes":  p.EvidenceTTL == 10*time.Minute,
		"a no holds a quarter": p.KeepDays == 90,
	} {
		if !ok {
			t.Errorf("not so: %s: %+v", what, p)
		}
	}
}

// A file is read and obeyed from the line to the DELETE, and none is sent.
func TestWhatAPolicyFileSaysReachesTheDelete(t *testing.T) {
	for _, tc := range []struct{ name, file, outcome, code string }{
		{"0 means none", theOU + "limits: {perDay: [0], percentPerDay: 100}", "deferred", "LIMIT_DAY"},
		{"0 percent means none", theOU + "limits: {perDay: [9], percentPerDay: 0}", "deferred", "LIMIT_PERCENT"},
		{"an exclusion of the day that is over by tomorrow", theOU + "exclusions: [{id: a, hostnames: [ws-fin-*], reason: r, owner: o, expires: 2199-12-31}]", "refused", "EXCLUDED"},
		{"another OU", `disabledOUs: ["OU=Retired,DC=corp,DC=example,DC=test"]`, "refused", "NOT_IN_SCOPE"},
		{"a longer silence", theOU + "inactiveDays: {computer: 200}", "refused", "NOT_INACTIVE_LONG_ENOUGH"},
		{"a longer grace", theOU + "graceDays: 365", "refused", "GRACE_PERIOD"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSystem(t, setup{})
			token := s.eligible()
			p, err := policyfile.Parse([]byte(tc.file + "\ndomains: {CORPEX: corp.example.test}"))
			if err != nil {
				t.Fatal(err)
			}
			s.change(func(r *action.Rules) { r.Params = p })
			s.want(s.remove(token), tc.outcome, tc.code)
			s.sent(0)
		})
	}
}
