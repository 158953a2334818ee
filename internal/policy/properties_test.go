package policy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// atNoon is when these tests happen.
func atNoon() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

// firm is a policy under which spent() is eligible.
func firm() Params {
	p := DefaultParams()
	p.DisabledOUs = []DN{{{"ou=Disabled"}, {"dc=corp"}, {"dc=example"}, {"dc=test"}}}
	p.Domains = map[string]string{"CORPEX": "corp.example.test"}
	p.VIP.Groups = []DN{{{"cn=VIP"}, {"dc=corp"}, {"dc=example"}, {"dc=test"}}}
	p.VIP.Users = []string{`corpex\ceo`}
	p.VIP.Hostnames = []string{"exec-*"}
	p.Exclusions = []Exclusion{{ID: "lab", Hostnames: []string{"lab-*"}, Reason: "r", Owner: "o", Expires: atNoon().AddDate(0, 0, 1)}}
	return p
}

// spent are the facts of a device that may be deleted.
func spent() Facts {
	seen := atNoon().AddDate(0, 0, -100)
	d := Device{
		ID: Is("6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3"), TenantID: Is("c0a8f1d2-57be-4a39-8e14-2b9d6f70a5c1"), Hostname: Is("WS-1"),
		Type: Is("computer"), Platform: Is("windows"), OSName: Is("Windows 11 Pro"), IsServer: Is(false), Build: Is(22631),
		LastSeenAt: Is(seen), RegisteredAt: Is(seen.AddDate(-1, 0, 0)), Online: Is(false), Isolated: Is(false),
		HealthOverall: Is("good"), HealthThreats: Is("good"), Cloned: Is(false), ViaLogin: Is(`CORPEX\j.doe`), Groups: []string{"Workstations"},
	}
	e := Event{
		ObservedAt: Is(atNoon().Add(-time.Hour)),
		Directory: Directory{
			Present: true, Hostname: Is("WS-1"), Domain: Is("corp.example.test"),
			DistinguishedName: Is(DN{{"cn=WS-1"}, {"ou=Disabled"}, {"dc=corp"}, {"dc=example"}, {"dc=test"}}),
			OperatingSystem:   Is("Windows 11 Pro"), OperatingSystemVersion: Is(22631), Enabled: Is(false),
			DisabledAt: Is(atNoon().AddDate(0, 0, -60)), MemberOf: Is([]DN{}),
		},
		Owner:   Owner{Login: Is(`CORPEX\j.doe`), MemberOf: Is([]DN{})},
		Central: d,
	}
	return Facts{Event: e, Live: Live{
		Status: LiveFound, At: atNoon(), Device: d, SameNamed: []Device{d}, NewestSeenAt: Is(atNoon().Add(-time.Minute)), CentralTime: Is(atNoon()),
	}}
}

// spoilers are changes to the eligible facts, each with the code that must
// then decide, and its verdict.
func spoilers() []struct {
	name    string
	spoil   func(f *Facts, p *Params)
	code    Code
	verdict Verdict
} {
	ago := func(d time.Duration) Field[time.Time] { return Is(atNoon().Add(-d)) }
	dn := func(parts ...string) (out DN) {
		for _, p := range parts {
			out = append(out, []string{p})
		}
		return out
	}
	both := func(f *Facts, edit func(d *Device)) {
		for _, d := range []*Device{&f.Live.Device, &f.Event.Central} {
			edit(d)
		}
		for i := range f.Live.SameNamed {
			edit(&f.Live.SameNamed[i])
		}
	}
	return []struct {
		name    string
		spoil   func(f *Facts, p *Params)
		code    Code
		verdict Verdict
	}{
		{"nothing stands against it", func(*Facts, *Params) {}, Eligible, Delete},
		{"deletes are paused", func(f *Facts, _ *Params) { f.Standing.Paused = "x" }, KillSwitch, Skip},
		{"the store is not trusted", func(f *Facts, _ *Params) { f.Standing.Unverified = "x" }, StateUnverified, Skip},
		{"deleted before and gone", func(f *Facts, _ *Params) { f.Standing.DeletedAt = atNoon(); f.Live = Live{Status: LiveNotFound} }, AlreadyDeleted, Skip},
		{"deleted before and the look fails", func(f *Facts, _ *Params) { f.Standing.DeletedAt = atNoon(); f.Live = Live{Status: LiveFailed} }, AlreadyDeleted, Skip},
		{"deleted before and there again", func(f *Facts, _ *Params) { f.Standing.DeletedAt = atNoon() }, CameBack, Manual},
		{"a delete is under way", func(f *Facts, _ *Params) { f.Standing.InFlight = true }, InFlight, Skip},
		{"an approval waits", func(f *Facts, _ *Params) { f.Standing.ApprovalID = "a" }, ApprovalPending, Skip},
		{"another approval waits", func(f *Facts, _ *Params) {
			f.Standing.ApprovalID = "a"
			f.Approval = &Approval{ID: "b", OpenedAt: atNoon()}
		}, ApprovalPending, Skip},
		{"a ticket is open", func(f *Facts, _ *Params) { f.Standing.OpenTicket = "t" }, TicketOpen, Skip},
		{"a keep holds", func(f *Facts, _ *Params) {
			f.Standing.Keep = &KeepUntil{Until: atNoon().Add(time.Hour), DN: f.Event.Directory.DistinguishedName, Enabled: Is(false)}
		}, TicketDecidedKeep, Keep},
		{"a keep has run out", func(f *Facts, _ *Params) {
			f.Standing.Keep = &KeepUntil{Until: atNoon(), DN: f.Event.Directory.DistinguishedName, Enabled: Is(false)}
		}, KeepLapsed, Manual},
		{"the account moved since the keep", func(f *Facts, _ *Params) {
			f.Standing.Keep = &KeepUntil{Until: atNoon().Add(time.Hour), DN: Is(dn("cn=WS-1", "dc=test")), Enabled: Is(false)}
		}, KeepLapsed, Manual},
		{"no host name in the directory", func(f *Facts, _ *Params) { f.Event.Directory.Hostname = Field[string]{} }, InputInvalid, Manual},
		{"an unreadable enabled", func(f *Facts, _ *Params) { f.Event.Directory.Enabled = Garbled[bool]() }, InputInvalid, Manual},
		{"a part of the event can't be read", func(f *Facts, _ *Params) { f.Event.Garbled = []string{"owner"} }, InputInvalid, Manual},
		{"a required field is missing", func(f *Facts, p *Params) {
			p.Require = []string{"disabledAt"}
			f.Event.Directory.DisabledAt = Field[time.Time]{}
		}, InputInvalid, Manual},
		{"no directory record", func(f *Facts, _ *Params) { f.Event.Directory = Directory{} }, DirectoryMissing, Manual},
		{"an event of two days", func(f *Facts, _ *Params) { f.Event.ObservedAt = ago(48 * time.Hour) }, EventStale, Skip},
		{"nobody was heard from", func(f *Facts, _ *Params) { f.Live.NewestSeenAt = Field[time.Time]{} }, FleetSilent, Skip},
		{"the newest sign of life is old", func(f *Facts, _ *Params) { f.Live.NewestSeenAt = ago(61 * time.Minute) }, FleetSilent, Skip},
		{"the newest sign of life is in the future", func(f *Facts, _ *Params) { f.Live.NewestSeenAt = ago(-time.Hour) }, FleetSilent, Skip},
		{"the look failed", func(f *Facts, _ *Params) { f.Live = Live{Status: LiveFailed} }, VerifyFailed, Skip},
		{"the look failed the third time", func(f *Facts, _ *Params) { f.Live = Live{Status: LiveFailed}; f.Standing.VerifyFails = 2 }, VerifyFailed, Manual},
		{"the third time too soon after the second", func(f *Facts, _ *Params) {
			f.Live = Live{Status: LiveFailed}
			f.Standing.VerifyFails, f.Standing.VerifyFailAt = 2, atNoon().Add(-time.Hour)
		}, VerifyFailed, Skip},
		{"the third time by our own limit", func(f *Facts, _ *Params) { f.Live = Live{Status: LiveFailed, Own: true}; f.Standing.VerifyFails = 2 }, VerifyFailed, Skip},
		{"the search did not find the device", func(f *Facts, _ *Params) { f.Live.SameNamed = nil }, VerifyFailed, Skip},
		{"Central no longer has it", func(f *Facts, _ *Params) { f.Live = Live{Status: LiveNotFound} }, GoneElsewhere, Skip},
		{"the account is enabled", func(f *Facts, _ *Params) { f.Event.Directory.Enabled = Is(true) }, DirectoryEnabled, Keep},
		{"the account is elsewhere", func(f *Facts, _ *Params) {
			f.Event.Directory.DistinguishedName = Is(dn("cn=WS-1", "ou=NotDisabled", "dc=corp", "dc=example", "dc=test"))
		}, NotInScope, Skip},
		{"the CN is another", func(f *Facts, _ *Params) {
			f.Event.Directory.DistinguishedName = Is(dn("cn=WS-2", "ou=Disabled", "dc=corp", "dc=example", "dc=test"))
		}, DirectoryConflict, Manual},
		{"two builds in the directory", func(f *Facts, _ *Params) { f.Event.Directory.OperatingSystemBuildNumber = Is(19045) }, DirectoryConflict, Manual},
		{"an exclusion", func(f *Facts, p *Params) { p.Exclusions[0].Hostnames = []string{"ws-*"} }, Excluded, Keep},
		{"an exclusion that has expired", func(f *Facts, p *Params) {
			p.Exclusions[0].Hostnames = []string{"ws-*"}
			p.Exclusions[0].Expires = atNoon()
		}, Eligible, Delete},
		{"an exclusion that matches a part only", func(f *Facts, p *Params) { p.Exclusions[0].Hostnames = []string{"ws"} }, Eligible, Delete},
		{"a domain controller", func(f *Facts, _ *Params) {
			f.Event.Directory.MemberOf = Is([]DN{dn("cn=Domain Controllers", "dc=test")})
		}, ProtectedRole, Keep},
		{"isolated", func(f *Facts, _ *Params) { f.Live.Device.Isolated = Is(true) }, UnderInvestigation, Manual},
		{"isolation can't be read", func(f *Facts, _ *Params) { f.Live.Device.Isolated = Garbled[bool]() }, UnderInvestigation, Manual},
		{"bad health", func(f *Facts, _ *Params) { f.Live.Device.HealthThreats = Is("bad") }, UnderInvestigation, Manual},
		{"another tenant", func(f *Facts, _ *Params) { f.Live.Device.TenantID = Is("x") }, TenantMismatch, Manual},
		{"a tenant that is not served", func(f *Facts, _ *Params) { f.Live = Live{Status: LiveForeignTenant} }, TenantMismatch, Manual},
		{"another host name", func(f *Facts, _ *Params) { f.Live.Device.Hostname = Is("WS-2") }, HostnameMismatch, Manual},
		{"no host name", func(f *Facts, _ *Params) { f.Live.Device.Hostname = Field[string]{} }, HostnameMismatch, Manual},
		{"a cut name", func(f *Facts, _ *Params) {
			f.Live.Device.Hostname = Is("WORKSTATION-4711-X")
			f.Event.Directory.Hostname, f.Event.Central.Hostname = Is("WORKSTATION-471"), Is("WORKSTATION-471")
			f.Event.Directory.DistinguishedName = Is(dn("cn=WORKSTATION-471", "ou=Disabled", "dc=corp", "dc=example", "dc=test"))
		}, NameTruncated, Manual},
		{"another domain", func(f *Facts, p *Params) {
			p.Domains["OTHER"] = "other.test"
			f.Live.Device.ViaLogin = Is(`OTHER\j.doe`)
		}, DomainMismatch, Manual},
		{"a domain that is not in the map", func(f *Facts, _ *Params) { f.Live.Device.ViaLogin = Is(`OTHER\j.doe`) }, DomainUnknown, Manual},
		{"a twin in use", func(f *Facts, _ *Params) {
			f.Live.SameNamed = append(f.Live.SameNamed, Device{ID: Is("2"), Hostname: Is("WS-1"), LastSeenAt: ago(time.Hour)})
		}, DuplicateActive, Manual},
		{"a twin of unknown age", func(f *Facts, _ *Params) { f.Live.SameNamed = append(f.Live.SameNamed, Device{ID: Is("2")}) }, DuplicateActive, Manual},
		{"an old twin", func(f *Facts, _ *Params) {
			f.Live.SameNamed = append(f.Live.SameNamed, Device{ID: Is("2"), LastSeenAt: ago(90 * 24 * time.Hour), Online: Is(false)})
		}, DuplicateStale, Manual},
		{"cloned", func(f *Facts, _ *Params) { f.Live.Device.Cloned = Is(true) }, Cloned, Manual},
		{"seen since the event", func(f *Facts, _ *Params) { f.Live.Device.LastSeenAt = ago(time.Hour) }, ActiveSinceEvent, Manual},
		{"online", func(f *Facts, _ *Params) { f.Live.Device.Online = Is(true) }, ActiveInCentral, Manual},
		{"no last-seen time in Central", func(f *Facts, _ *Params) { f.Live.Device.LastSeenAt = Field[time.Time]{} }, LastSeenMissing, Manual},
		{"no last-seen time in the event", func(f *Facts, _ *Params) { f.Event.Central.LastSeenAt = Field[time.Time]{} }, LastSeenMissing, Manual},
		{"an unreadable last-seen time", func(f *Facts, _ *Params) { f.Live.Device.LastSeenAt = Garbled[time.Time]() }, LastSeenInvalid, Manual},
		{"never seen since it registered", func(f *Facts, _ *Params) { both(f, func(d *Device) { d.RegisteredAt = d.LastSeenAt }) }, NeverSeen, Manual},
		{"the clocks differ", func(f *Facts, _ *Params) { f.Live.CentralTime = ago(6 * time.Minute) }, ClockSkew, Manual},
		{"observed in the future", func(f *Facts, _ *Params) { f.Event.ObservedAt = ago(-6 * time.Minute) }, ClockSkew, Manual},
		{"a second too young", func(f *Facts, _ *Params) {
			both(f, func(d *Device) { d.LastSeenAt = ago(30*24*time.Hour - time.Second) })
		}, NotInactiveLongEnough, Skip},
		{"exactly old enough", func(f *Facts, _ *Params) { both(f, func(d *Device) { d.LastSeenAt = ago(30 * 24 * time.Hour) }) }, Eligible, Delete},
		{"the event's time is the newer", func(f *Facts, _ *Params) { f.Event.Central.LastSeenAt = ago(time.Hour) }, NotInactiveLongEnough, Skip},
		{"disabled too recently", func(f *Facts, _ *Params) { f.Event.Directory.DisabledAt = ago(24 * time.Hour) }, GracePeriod, Skip},
		{"disabled in the future", func(f *Facts, p *Params) { p.GraceDays = 0; f.Event.Directory.DisabledAt = ago(-time.Hour) }, GracePeriod, Skip},
		{"a VIP by live login", func(f *Facts, _ *Params) { f.Live.Device.ViaLogin = Is(`CORPEX\CEO`) }, VIPDevice, Manual},
		{"a VIP by the owner's group", func(f *Facts, p *Params) { f.Event.Owner.MemberOf = Is(p.VIP.Groups) }, VIPDevice, Manual},
		{"a VIP who manages it", func(f *Facts, _ *Params) { f.Event.Directory.ManagedBy = Is(`corpex\ceo`) }, VIPDevice, Manual},
		{"groups are not known where they matter", func(f *Facts, _ *Params) {
			f.Event.Owner.MemberOf, f.Event.Directory.MemberOf = Field[[]DN]{}, Field[[]DN]{}
		}, OwnerUnknown, Manual},
		{"a server", func(f *Facts, _ *Params) { both(f, func(d *Device) { d.Type = Is("server") }) }, Server, Manual},
		{"a server is young at eighty days", func(f *Facts, _ *Params) {
			both(f, func(d *Device) { d.Type = Is("server"); d.LastSeenAt = ago(80 * 24 * time.Hour) })
		}, NotInactiveLongEnough, Skip},
		{"macOS", func(f *Facts, _ *Params) { f.Live.Device.Platform = Is("macos") }, PlatformManual, Manual},
		{"no type", func(f *Facts, _ *Params) { f.Live.Device.Type = Field[string]{} }, PlatformManual, Manual},
		{"nobody decided", func(f *Facts, _ *Params) { f.Standing.Undecided = true }, TicketUndecided, Manual},
		{"no build in the directory", func(f *Facts, _ *Params) { f.Event.Directory.OperatingSystemVersion = Field[int]{} }, BuildUnknown, Manual},
		{"no build in Central", func(f *Facts, _ *Params) { f.Live.Device.Build = Field[int]{} }, BuildUnknown, Manual},
		{"a newer build in Central", func(f *Facts, _ *Params) { f.Live.Device.Build = Is(26100) }, BuildNewerInCentral, Manual},
		{"an older build in Central", func(f *Facts, _ *Params) { f.Live.Device.Build = Is(19045) }, BuildOlderInCentral, Manual},
		{"another Windows", func(f *Facts, _ *Params) { f.Event.Directory.OperatingSystem = Is("Windows 10 Pro") }, OSFamilyMismatch, Manual},
	}
}

func TestEachRuleDecidesAsItsTierSays(t *testing.T) {
	seen := map[Code]bool{}
	for _, tc := range spoilers() {
		t.Run(tc.name, func(t *testing.T) {
			f, p := spent(), firm()
			tc.spoil(&f, &p)
			d := Evaluate(f, p, atNoon())
			if d.Code() != tc.code || d.Verdict != tc.verdict {
				t.Errorf("decided %v by %v, want %v by %s", d.Verdict, d.Reasons, tc.verdict, tc.code)
			}
			seen[d.Code()] = true
		})
	}
	for _, c := range Codes() {
		if c.Tier >= 0 && !seen[c.Code] {
			t.Errorf("no row for %s", c.Code)
		}
	}
}

func TestAnEmptyTableDeletesNothing(t *testing.T) {
	if d := foldRules(nil, spent(), firm(), atNoon()); d.Verdict != Manual {
		t.Errorf("the empty table: %v", d)
	}
}

func TestNoMixtureOfSpoilersIsDeletedWithoutThatMuchBeingTrue(t *testing.T) {
	rows := spoilers()
	rapid.Check(t, func(t *rapid.T) {
		f, p := spent(), firm()
		spoiled := false
		for range rapid.IntRange(1, 4).Draw(t, "spoilers") {
			row := rows[rapid.IntRange(0, len(rows)-1).Draw(t, "row")]
			row.spoil(&f, &p)
			spoiled = spoiled || row.code != Eligible
		}
		mustHold(t, f, p)
		a, _ := json.Marshal(Evaluate(f, p, atNoon()))
		b, _ := json.Marshal(Evaluate(f, p, atNoon()))
		if string(a) != string(b) {
			t.Fatalf("two answers: %s %s", a, b)
		}
	})
}

// mustHold checks what must be true of anything that may be deleted.
func mustHold(t interface{ Fatalf(string, ...any) }, f Facts, p Params) {
	d := Evaluate(f, p, atNoon())
	live, event := f.Live.Device, f.Event
	if d.Verdict != Delete {
		return
	}
	for what, ok := range map[string]bool{
		"it was found":            f.Live.Status == LiveFound,
		"it is not online":        !live.Online.Value,
		"both times are known":    live.LastSeenAt.Known() && event.Central.LastSeenAt.Known(),
		"both times are old":      atNoon().Sub(live.LastSeenAt.Value) >= 30*24*time.Hour && atNoon().Sub(event.Central.LastSeenAt.Value) >= 30*24*time.Hour,
		"deletes are not paused":  f.Standing.Paused == "" && f.Standing.Unverified == "",
		"it was not deleted":      f.Standing.DeletedAt.IsZero(),
		"no ticket, no keep":      f.Standing.OpenTicket == "" && f.Standing.Keep == nil,
		"it has a name in AD":     event.Directory.DistinguishedName.Known(),
		"the account is disabled": !event.Directory.Enabled.Value,
		"it is the tenant's":      live.TenantID.Known() && live.TenantID == event.Central.TenantID,
	} {
		if !ok {
			t.Fatalf("delete, though not: %s", what)
		}
	}
}

func TestAnApprovalWaivesWhatWasShownAndNothingThatItMayNot(t *testing.T) {
	for _, tc := range spoilers() {
		f, p := spent(), firm()
		tc.spoil(&f, &p)
		if f.Approval != nil || tc.code == Eligible {
			continue
		}
		before := Evaluate(f, p, atNoon())
		f.Approval = &Approval{ID: "mine", OpenedAt: atNoon()}
		for _, r := range before.Reasons {
			f.Approval.Waives = append(f.Approval.Waives, r.Code)
		}
		after := Evaluate(f, p, atNoon())
		for _, c := range after.Waived {
			if tier, _ := TierOf(c); tier <= 4 || c == TenantMismatch || c == HostnameMismatch || c == ProtectedRole {
				t.Errorf("%s: waived %s", tc.name, c)
			}
		}
		if all := !slices.ContainsFunc(before.Reasons, func(r Reason) bool { return !Waivable(r.Code) }); all != (after.Verdict == Delete) {
			t.Errorf("%s: %v after approval of %v", tc.name, after.Reasons, before.Reasons)
		}
		f.Approval.Waives = nil
		if Evaluate(f, p, atNoon()).Verdict == Delete {
			t.Errorf("%s: an approval that was shown nothing waives it", tc.name)
		}
	}
}

func FuzzEvaluate(f *testing.F) {
	files, err := filepath.Glob("testdata/facts/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("%d seeds, %v", len(files), err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var facts Facts
		if json.Unmarshal(b, &facts) != nil {
			return
		}
		facts.Approval = nil
		if d := Evaluate(facts, firm(), atNoon()); len(d.Reasons) == 0 {
			t.Fatal("no reason")
		}
		mustHold(t, facts, firm())
	})
}

// TestSeedsAreTheFactsOfEachRow keeps the fuzz seeds what the rows make.
func TestSeedsAreTheFactsOfEachRow(t *testing.T) {
	for i, tc := range spoilers() {
		f, p := spent(), firm()
		tc.spoil(&f, &p)
		want, err := json.MarshalIndent(f, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", "facts", string(tc.code)+"-"+string(rune('a'+i%26))+string(rune('a'+i/26))+".json")
		if os.Getenv("UPDATE_SEEDS") != "" {
			if err := os.WriteFile(file, append(want, '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != string(want)+"\n" {
			t.Errorf("%s differs from the row's facts: %v (UPDATE_SEEDS=1 writes them)", file, err)
		}
	}
}
