package policy

import (
	"slices"
	"testing"
	"time"
)

func TestVerify(t *testing.T) {
	notFound := Live{Status: LiveNotFound, At: noon()}
	for name, tc := range map[string]struct {
		change  func(f *Facts, p *Params)
		outcome string
		code    Code
		verdict Verdict
	}{
		"out of use":                {func(*Facts, *Params) {}, "inactive", Inactive, Skip},
		"exactly old enough":        {seen(30, 30), "inactive", Inactive, Skip},
		"online":                    {func(f *Facts, _ *Params) { f.Live.Device.Online = Is(true) }, "active", ActiveInCentral, Manual},
		"seen within 30 days":       {seen(29.9, 29.9), "active", ActiveInCentral, Manual},
		"seen since the event":      {seen(141, 100), "active", ActiveSinceEvent, Manual},
		"seen since a minute":       {func(f *Facts, _ *Params) { f.Live.Device.LastSeenAt = Is(ago(141).Add(time.Minute)) }, "inactive", Inactive, Skip},
		"the event's time is newer": {seen(10, 141), "inactive", Inactive, Skip},
		"a server seen within 90 days": {func(f *Facts, p *Params) {
			seen(60, 60)(f, p)
			f.Live.Device.Type = Is("server")
		}, "active", ActiveInCentral, Manual},
		"only the ids are given": {func(f *Facts, _ *Params) {
			c := f.Event.Central
			f.Event = Event{Central: Device{ID: c.ID, TenantID: c.TenantID}}
		}, "inactive", Inactive, Skip},
		"only the ids are given, and Central has no host name": {func(f *Facts, _ *Params) {
			c := f.Event.Central
			f.Event = Event{Central: Device{ID: c.ID, TenantID: c.TenantID}}
			f.Live.Device.Hostname = Field[string]{}
		}, "inactive", Inactive, Skip},
		"only the ids are given, and it was seen just now": {func(f *Facts, _ *Params) {
			c := f.Event.Central
			f.Event = Event{Central: Device{ID: c.ID, TenantID: c.TenantID}}
			f.Live.Device.LastSeenAt = Is(noon())
		}, "active", ActiveInCentral, Manual},
		"another host, and online": {func(f *Facts, _ *Params) {
			f.Live.Device.Hostname, f.Live.Device.Online = Is("WS-2"), Is(true)
		}, "mismatch", HostnameMismatch, Manual},
		"the directory's host name differs": {func(f *Facts, _ *Params) { f.Event.Directory.Hostname = Is("WS-2") }, "mismatch", HostnameMismatch, Manual},
		"Central's host name differs":       {func(f *Facts, _ *Params) { f.Event.Central.Hostname = Is("WS-2") }, "mismatch", HostnameMismatch, Manual},
		"Central has no host name":          {func(f *Facts, _ *Params) { f.Live.Device.Hostname = Field[string]{} }, "mismatch", HostnameMismatch, Manual},
		"a host name of the event can't be read": {func(f *Facts, _ *Params) {
			f.Event.Central.Hostname = Garbled[string]()
		}, "unverified", InputInvalid, Manual},
		"the name is cut": {func(f *Facts, _ *Params) {
			f.Event.Directory.Hostname, f.Event.Central.Hostname, f.Live.Device.Hostname = Is(cut15), Is(long), Is(long)
		}, "inactive", Inactive, Skip},
		"another tenant's record": {func(f *Facts, _ *Params) { f.Live.Device.TenantID = Is(otherID) }, "mismatch", TenantMismatch, Manual},
		"a foreign tenant":        {func(f *Facts, _ *Params) { f.Live = Live{Status: LiveForeignTenant} }, "mismatch", TenantMismatch, Manual},
		"gone":                    {func(f *Facts, _ *Params) { f.Live = notFound }, "not_found", GoneElsewhere, Skip},
		"gone by us":              {func(f *Facts, _ *Params) { f.Live, f.Standing.DeletedAt = notFound, ago(2) }, "not_found", AlreadyDeleted, Skip},
		"gone again by us": {func(f *Facts, _ *Params) {
			f.Live, f.Standing.DeletedAt, f.Standing.CameBackAt = notFound, ago(2), ago(1)
		}, "not_found", AlreadyDeleted, Skip},
		"deleted by us, and there": {func(f *Facts, _ *Params) { f.Standing.DeletedAt = ago(2) }, "inactive", Inactive, Skip},
		"no last-seen time":        {func(f *Facts, _ *Params) { f.Live.Device.LastSeenAt = Field[time.Time]{} }, "unverified", LastSeenMissing, Manual},
		"no last-seen time, and online": {func(f *Facts, _ *Params) {
			f.Live.Device.LastSeenAt, f.Live.Device.Online = Field[time.Time]{}, Is(true)
		}, "active", ActiveInCentral, Manual},
		"a last-seen time that can't be read": {func(f *Facts, _ *Params) { f.Live.Device.LastSeenAt = Garbled[time.Time]() }, "unverified", LastSeenInvalid, Manual},
		"a last-seen time in the future":      {seen(141, -1), "unverified", ClockSkew, Manual},
		"last seen five minutes ahead": {func(f *Facts, _ *Params) {
			f.Live.Device.LastSeenAt = Is(noon().Add(5 * time.Minute))
		}, "active", ActiveSinceEvent, Manual},
		"online can't be read": {func(f *Facts, _ *Params) { f.Live.Device.Online = Garbled[bool]() }, "unverified", UnderInvestigation, Manual},
		"Central did not answer": {func(f *Facts, _ *Params) {
			f.Live = Live{Status: LiveFailed, Problem: "Central answered 500."}
		}, "unverified", VerifyFailed, Skip},
		"Central did not answer for the third time": {func(f *Facts, _ *Params) {
			f.Live, f.Standing.VerifyFails = Live{Status: LiveFailed}, 2
		}, "unverified", VerifyFailed, Manual},
		"nothing was read":           {func(f *Facts, _ *Params) { f.Live = Live{} }, "unverified", VerifyFailed, Skip},
		"another device was read":    {func(f *Facts, _ *Params) { f.Live.Device.ID = Is(twinID) }, "unverified", VerifyFailed, Skip},
		"the search did not find it": {func(f *Facts, _ *Params) { f.Live.SameNamed = nil }, "unverified", VerifyFailed, Skip},
		"what stands against a delete decides nothing here": {func(f *Facts, _ *Params) {
			f.Standing.Paused, f.Standing.OpenTicket, f.Event.Directory.Enabled = "x", "INC-1", Is(true)
		}, "inactive", Inactive, Skip},
	} {
		t.Run(name, func(t *testing.T) {
			f, p := row{change: tc.change}.facts()
			v := Verify(f, p, noon())
			if v.Outcome != tc.outcome || len(v.Reasons) != 1 || v.Reasons[0].Code != tc.code || v.Reasons[0].Verdict != tc.verdict {
				t.Errorf("Verify = %s %v, want %s, %s with verdict %d", v.Outcome, v.Reasons, tc.outcome, tc.code, tc.verdict)
			}
			checkTexts(t, v.Reasons)
		})
	}
}

func TestWhatIsInactiveForVerifyIsSilentForEvaluate(t *testing.T) {
	tooActive := []Code{ActiveSinceEvent, ActiveInCentral, LastSeenMissing, LastSeenInvalid, ClockSkew, TenantMismatch, HostnameMismatch, VerifyFailed}
	checked := 0
	for _, r := range allRows() {
		f, p := r.facts()
		if Verify(f, p, noon()).Outcome != "inactive" {
			if d := Evaluate(f, p, noon()); d.Verdict == Delete {
				t.Errorf("%s: not inactive, and deleted", r.name)
			}
			continue
		}
		checked++
		f.Event.ObservedAt, f.Event.Central.LastSeenAt, f.Event.Central.Online = Field[time.Time]{}, f.Live.Device.LastSeenAt, Field[bool]{}
		f.Live.CentralTime = Field[time.Time]{}
		for _, reason := range Evaluate(f, p, noon()).Reasons {
			if slices.Contains(tooActive, reason.Code) && reason.Code != HostnameMismatch {
				t.Errorf("%s: inactive, and %s", r.name, reason.Code)
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d rows are inactive", checked)
	}
}
