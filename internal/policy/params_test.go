package policy

import (
	"testing"
	"time"
	_ "time/tzdata" // windows are read alike where the machine has no zones
)

// zone loads an IANA zone.
func zone(tb testing.TB, name string) *time.Location {
	tb.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		tb.Fatal(err)
	}
	return loc
}

func TestTheWindow(t *testing.T) {
	workdays := [7]bool{false, true, true, true, true, false, false} // Mon to Thu
	every := [7]bool{true, true, true, true, true, true, true}
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	window := func(name string, days [7]bool, from, to int) *Window { return &Window{zone(t, name), days, from, to} }
	london := window("Europe/London", workdays, 9*60, 16*60)
	for name, tc := range map[string]struct {
		w    *Window
		now  string
		open bool
		wait time.Duration
	}{
		"no window":                            {nil, "2026-11-20T03:00:00Z", true, 0},
		"in it":                                {london, "2026-11-19T12:00:00Z", true, 0},
		"at its first minute":                  {london, "2026-11-19T09:00:00Z", true, 0},
		"a second before it":                   {london, "2026-11-19T08:59:59Z", false, time.Second},
		"at its last second":                   {london, "2026-11-19T15:59:59Z", true, 0},
		"at its end":                           {london, "2026-11-18T16:00:00Z", false, 17 * time.Hour},
		"Thursday evening, closed till Monday": {london, "2026-11-19T16:00:00Z", false, 89 * time.Hour},
		"on a day off":                         {london, "2026-11-20T12:00:00Z", false, 69 * time.Hour},
		"summer time":                          {london, "2026-07-16T08:00:00Z", true, 0},
		"summer time, its end":                 {london, "2026-07-16T15:00:00Z", false, 89 * time.Hour},
		"Sydney is on Monday while UTC is on Sunday":     {window("Australia/Sydney", workdays, 9*60, 16*60), "2026-11-22T22:30:00Z", true, 0},
		"Sydney is on Friday while UTC is on Thursday":   {window("Australia/Sydney", workdays, 0, 24*60), "2026-11-19T13:30:00Z", false, 71*time.Hour + 30*time.Minute},
		"Honolulu is on Thursday while UTC is on Friday": {window("Pacific/Honolulu", workdays, 9*60, 16*60), "2026-11-20T01:00:00Z", true, 0},
		"Honolulu is on Sunday while UTC is on Monday":   {window("Pacific/Honolulu", workdays, 9*60, 16*60), "2026-11-23T09:00:00Z", false, 10 * time.Hour},
		"over the night when clocks go back":             {window("Europe/London", every, 9*60, 16*60), "2026-10-24T15:00:00Z", false, 18 * time.Hour},
		"over the night when clocks go forward":          {window("Europe/London", every, 9*60, 16*60), "2026-03-28T16:00:00Z", false, 16 * time.Hour},
		"one day a week, just over":                      {window("Etc/UTC", [7]bool{3: true}, 60, 120), "2026-11-18T02:00:00Z", false, 7*24*time.Hour - time.Hour},
		"the whole day":                                  {window("Etc/UTC", every, 0, 24*60), "2026-11-18T23:59:59Z", true, 0},
		"no day at all":                                  {window("Etc/UTC", [7]bool{}, 0, 24*60), "2026-11-18T12:00:00Z", false, 7 * 24 * time.Hour},
		"no zone":                                        {&Window{Days: every, To: 24 * 60}, "2026-11-18T12:00:00Z", false, 7 * 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			open, wait := tc.w.Open(at(tc.now))
			if open != tc.open || wait != tc.wait {
				t.Errorf("Open = %v, %s, want %v, %s", open, wait, tc.open, tc.wait)
			}
			if !open && tc.w.Location != nil && tc.w.Days != [7]bool{} {
				if then, _ := tc.w.Open(at(tc.now).Add(wait)); !then {
					t.Errorf("still shut after %s", wait)
				}
			}
		})
	}
}

func TestLiveTenants(t *testing.T) {
	p := DefaultParams()
	if !p.Live(tenantID) {
		t.Error("without a list every tenant is live")
	}
	p.LiveTenants = []string{tenantID}
	if !p.Live("C0A8F1D2-57BE-4A39-8E14-2B9D6F70A5C1") || p.Live(otherID) || p.Live("") {
		t.Error("the list does not hold")
	}
}

func TestByDefaultNothingIsDeleted(t *testing.T) {
	f := eligible()
	for name, p := range map[string]Params{"the defaults": DefaultParams(), "no policy at all": {}} {
		if d := Evaluate(f, p, noon()); d.Verdict == Delete {
			t.Errorf("%s: %v", name, d.Reasons)
		}
	}
	if d := Evaluate(Facts{}, policyOfTests(), noon()); d.Verdict != Manual {
		t.Errorf("no facts at all: %v", d.Reasons)
	}
}

func TestServersNeedLonger(t *testing.T) {
	p := policyOfTests()
	for name, tc := range map[string]struct {
		change func(f *Facts)
		days   int
	}{
		"a computer":        {func(*Facts) {}, 30},
		"a server":          {func(f *Facts) { f.Live.Device.Type = Is("server") }, 90},
		"nobody says":       {func(f *Facts) { f.Live.Device.IsServer = Field[bool]{} }, 90},
		"the event says so": {func(f *Facts) { f.Event.Central.OSName = Is("windows server 2016") }, 90},
	} {
		f := eligible()
		tc.change(&f)
		if got := p.Threshold(f); got != time.Duration(tc.days)*24*time.Hour {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestWhoNeedsASecondPerson(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(f *Facts)
		want   bool
	}{
		"an ordinary device":             {func(*Facts) {}, false},
		"a VIP's":                        {func(f *Facts) { f.Event.Owner.Login, f.Live.Device.ViaLogin = Is(`corpex\ceo`), Is(`corpex\ceo`) }, true},
		"a server":                       {func(f *Facts) { f.Event.Directory.OperatingSystem = Is("Windows Server 2022") }, true},
		"perhaps a server":               {func(f *Facts) { f.Live.Device.IsServer = Garbled[bool]() }, true},
		"one that could not be read":     {func(f *Facts) { f.Live = Live{Status: LiveFailed} }, false},
		"a VIP's that could not be read": {func(f *Facts) { f.Live, f.Event.Owner.Login = Live{}, Is(`corpex\ceo`) }, true},
	} {
		f := eligible()
		tc.change(&f)
		if got := TwoPersons(f, policyOfTests(), noon()); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
