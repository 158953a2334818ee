package policy

import (
	"testing"
	"time"
)

func sourceRows() []row {
	failed := func(f *Facts) { f.Live = Live{Status: LiveFailed, At: noon(), Problem: "Central answered 500."} }
	return []row{
		{"the event is a day old, to the second", "", func(f *Facts, _ *Params) { f.Event.ObservedAt = Is(ago(1)) }, Delete, nil},
		{"the event is over a day old", "event-stale", func(f *Facts, _ *Params) { f.Event.ObservedAt = Is(ago(1).Add(-time.Second)) }, Skip, []Code{EventStale}},
		{"the event was fresh when the approval's ticket was opened", "", func(f *Facts, _ *Params) {
			f.Event.ObservedAt, f.Approval = Is(ago(5)), &Approval{ID: "a1", OpenedAt: ago(4)}
		}, Delete, nil},
		{"the event was stale when the approval's ticket was opened", "", func(f *Facts, _ *Params) {
			f.Event.ObservedAt, f.Approval = Is(ago(5)), &Approval{ID: "a1", OpenedAt: ago(3.9)}
		}, Skip, []Code{EventStale}},
		{"the approval does not say when its ticket was opened", "", func(f *Facts, _ *Params) {
			f.Event.ObservedAt, f.Approval = Is(ago(5)), &Approval{ID: "a1"}
		}, Skip, []Code{EventStale}},
		{"Central last heard from the fleet exactly as long ago as it may", "", func(f *Facts, _ *Params) {
			f.Live.NewestSeenAt = Is(noon().Add(-time.Hour))
		}, Delete, nil},
		{"Central heard from nobody lately", "fleet-silent", func(f *Facts, _ *Params) {
			f.Live.NewestSeenAt = Is(noon().Add(-time.Hour - time.Second))
		}, Skip, []Code{FleetSilent}},
		{"nobody knows when Central last heard from the fleet", "", func(f *Facts, _ *Params) {
			f.Live.NewestSeenAt = Field[time.Time]{}
		}, Skip, []Code{FleetSilent}},
		{"the fleet was heard from in the future", "", func(f *Facts, _ *Params) {
			f.Live.NewestSeenAt = Is(noon().Add(5*time.Minute + time.Second))
		}, Skip, []Code{FleetSilent}},
		{"the fleet was heard from just ahead of our clock", "", func(f *Facts, _ *Params) {
			f.Live.NewestSeenAt = Is(noon().Add(5 * time.Minute))
		}, Delete, nil},
		{"the fleet is held after a silence", "", func(f *Facts, _ *Params) { f.Standing.SilentUntil = noon().Add(time.Minute) }, Skip, []Code{FleetSilent}},
		{"the hold after a silence ends now", "", func(f *Facts, _ *Params) { f.Standing.SilentUntil = noon() }, Delete, nil},
		{"Central did not answer", "verify-failed", func(f *Facts, _ *Params) { failed(f) }, Skip, []Code{VerifyFailed}},
		{"nothing was read", "", func(f *Facts, _ *Params) { f.Live = Live{} }, Skip, []Code{VerifyFailed}},
		{"a status that is none", "", func(f *Facts, _ *Params) { f.Live.Status = 99 }, Skip, []Code{VerifyFailed}},
		{"the search did not find the device itself", "", func(f *Facts, _ *Params) { f.Live.SameNamed = nil }, Skip, []Code{VerifyFailed}},
		{"Central answered with another device", "", func(f *Facts, _ *Params) {
			f.Live.Device.ID = Is(twinID)
			f.Live.SameNamed = []Device{f.Live.Device}
		}, Skip, []Code{VerifyFailed}},
		{"Central's record has no id", "", func(f *Facts, _ *Params) { f.Live.Device.ID = Field[string]{} }, Skip, []Code{VerifyFailed, DuplicateStale}},
		{"the third failure in a row", "verify-failed-manual", func(f *Facts, _ *Params) {
			failed(f)
			f.Standing.VerifyFails, f.Standing.VerifyFailAt = 2, noon().Add(-6*time.Hour)
		}, Manual, []Code{VerifyFailed}},
		{"the third failure, but too soon after the second to count", "", func(f *Facts, _ *Params) {
			failed(f)
			f.Standing.VerifyFails, f.Standing.VerifyFailAt = 2, noon().Add(-6*time.Hour+time.Second)
		}, Skip, []Code{VerifyFailed}},
		{"the third failure is the service's own limit", "", func(f *Facts, _ *Params) {
			failed(f)
			f.Live.Own, f.Standing.VerifyFails = true, 2
		}, Skip, []Code{VerifyFailed}},
		{"three failures are on record already", "", func(f *Facts, _ *Params) {
			failed(f)
			f.Live.Own, f.Standing.VerifyFails, f.Standing.VerifyFailAt = true, 3, noon()
		}, Manual, []Code{VerifyFailed}},
		{"failures on record, and the read works again", "", func(f *Facts, _ *Params) { f.Standing.VerifyFails = 9 }, Delete, nil},
		{"gone, and not by us", "gone-elsewhere", func(f *Facts, _ *Params) { f.Live = Live{Status: LiveNotFound, At: noon()} }, Skip, []Code{GoneElsewhere}},
	}
}

func TestSources(t *testing.T) { checkRows(t, sourceRows()) }

func directoryRows() []row {
	named := func(f *Facts, name DN) { f.Event.Directory.DistinguishedName = Is(name) }
	conflict := []Code{DirectoryConflict}
	return []row{
		{"the account is enabled again", "directory-enabled", func(f *Facts, _ *Params) { f.Event.Directory.Enabled = Is(true) }, Keep, []Code{DirectoryEnabled}},
		{"enabled, and not in the OU", "", func(f *Facts, _ *Params) {
			f.Event.Directory.Enabled = Is(true)
			named(f, corp("cn=WS-FIN-0427", "ou=Workstations"))
		}, Keep, []Code{DirectoryEnabled, NotInScope}},
		{"not in a disabled OU", "not-in-scope", func(f *Facts, _ *Params) { named(f, corp("cn=WS-FIN-0427", "ou=Workstations")) }, Skip, []Code{NotInScope}},
		{"the OU's name only ends like a disabled one", "", func(f *Facts, _ *Params) {
			named(f, corp("cn=WS-FIN-0427", "ou=Not-Disabled"))
		}, Skip, []Code{NotInScope}},
		{"the OU in another case", "", func(f *Facts, _ *Params) {
			named(f, dn("cn=ws-fin-0427", "ou=DISABLED", "dc=Corp", "dc=EXAMPLE", "dc=test"))
		}, Delete, nil},
		{"the OU spelt with a dotless i", "", func(f *Facts, _ *Params) { named(f, corp("cn=WS-FIN-0427", "ou=D\u0131sabled")) }, Skip, []Code{NotInScope}},
		{"no disabled OU in the policy", "", func(_ *Facts, p *Params) { p.DisabledOUs = nil }, Skip, []Code{NotInScope}},
		{"an empty name among the disabled OUs", "", func(_ *Facts, p *Params) { p.DisabledOUs = []DN{{}} }, Skip, []Code{NotInScope}},
		{"the OU itself is not below it", "", func(_ *Facts, p *Params) {
			p.DisabledOUs = []DN{corp("cn=WS-FIN-0427", "ou=Workstations", "ou=Disabled")}
		}, Skip, []Code{NotInScope}},
		{"the CN is another", "directory-conflict", func(f *Facts, _ *Params) { named(f, corp("cn=WS-FIN-0428", "ou=Disabled")) }, Manual, conflict},
		{"no CN", "", func(f *Facts, _ *Params) { named(f, corp("ou=WS-FIN-0427", "ou=Disabled")) }, Manual, conflict},
		{"the CN among the parts of the first RDN", "", func(f *Facts, _ *Params) {
			name := corp("", "ou=Disabled")
			name[0] = []string{"uid=1", "cn=WS-FIN-0427"}
			named(f, name)
		}, Delete, nil},
		{"the host name is an FQDN", "", func(f *Facts, _ *Params) {
			f.Event.Directory.Hostname = Is("ws-fin-0427.corp.example.test")
		}, Delete, nil},
		{"the DN is in another domain", "", func(f *Facts, p *Params) {
			named(f, dn("cn=WS-FIN-0427", "ou=Disabled", "dc=lab", "dc=example", "dc=test"))
			p.DisabledOUs = []DN{dn("ou=Disabled", "dc=lab", "dc=example", "dc=test")}
		}, Manual, conflict},
		{"the domain is its NetBIOS name", "", func(f *Facts, _ *Params) { f.Event.Directory.Domain = Is("corpex") }, Delete, nil},
		{"the domain is another's NetBIOS name", "", func(f *Facts, _ *Params) {
			f.Event.Directory.Domain = Is("LAB")
		}, Manual, []Code{DirectoryConflict, DomainMismatch}},
		{"two builds that differ", "", func(f *Facts, _ *Params) {
			f.Event.Directory.OperatingSystemBuildNumber = Is(22621)
		}, Manual, []Code{DirectoryConflict, BuildNewerInCentral}},
		{"two builds that agree", "", func(f *Facts, _ *Params) { f.Event.Directory.OperatingSystemBuildNumber = Is(22631) }, Delete, nil},
	}
}

func TestDirectory(t *testing.T) { checkRows(t, directoryRows()) }

func humanRows() []row {
	host := func(f *Facts, name string) {
		f.Event.Directory.Hostname, f.Event.Central.Hostname, f.Live.Device.Hostname = Is(name), Is(name), Is(name)
		f.Event.Directory.DistinguishedName = Is(corp("cn="+shortName(name), "ou=Disabled"))
	}
	group := func(f *Facts, names ...DN) { f.Event.Directory.MemberOf = Is(names) }
	return []row{
		{"excluded by host name", "excluded", func(f *Facts, _ *Params) { host(f, "LAB-01") }, Keep, []Code{Excluded}},
		{"excluded by an FQDN's short name", "", func(f *Facts, _ *Params) { host(f, "lab-01.corp.example.test") }, Keep, []Code{Excluded}},
		{"excluded by the whole FQDN", "", func(f *Facts, p *Params) {
			host(f, "pc-1.corp.example.test")
			p.Exclusions[0].Hostnames = []string{"*.corp.example.test"}
		}, Keep, []Code{Excluded}},
		{"excluded by the live host name alone", "", func(f *Facts, _ *Params) { f.Live.Device.Hostname = Is("LAB-01") }, Keep, []Code{Excluded, HostnameMismatch}},
		{"globs are anchored", "", func(f *Facts, _ *Params) { host(f, "COLLAB-01") }, Delete, nil},
		{"excluded by id", "", func(_ *Facts, p *Params) { p.Exclusions[0].EndpointIDs = []string{"6f0e7b2a-*"} }, Keep, []Code{Excluded}},
		{"excluded by OU", "", func(f *Facts, _ *Params) {
			f.Event.Directory.DistinguishedName = Is(corp("cn=WS-FIN-0427", "ou=kiosks", "ou=disabled"))
		}, Keep, []Code{Excluded}},
		{"excluded by its own DN", "", func(f *Facts, p *Params) {
			p.Exclusions[0].OUs = []DN{f.Event.Directory.DistinguishedName.Value}
		}, Keep, []Code{Excluded}},
		{"excluded by a group in Central", "", func(f *Facts, _ *Params) { f.Live.Device.Groups = []Group{{Name: "EU"}, {Name: "KIOSKS north"}} }, Keep, []Code{Excluded}},
		{"excluded by a group with a slash in its name", "", func(f *Facts, _ *Params) { f.Live.Device.Groups = []Group{{Name: "Kiosks EU/DE"}} }, Keep, []Code{Excluded}},
		{"excluded by a group that only the event shows", "", func(f *Facts, _ *Params) { f.Event.Central.Groups = []Group{{Name: "Kiosks 1"}} }, Keep, []Code{Excluded}},
		{"an exclusion names groups and Central shows none", "excluded-manual", func(f *Facts, _ *Params) {
			f.Live.Device.Groups, f.Live.Device.GroupsWhole = nil, false
		}, Manual, []Code{Excluded}},
		{"an exclusion names groups and Central does not show all", "", func(f *Facts, _ *Params) { f.Live.Device.GroupsWhole = false }, Manual, []Code{Excluded}},
		{"an exclusion names groups and one can't be read", "", func(f *Facts, _ *Params) { f.Live.Device.Garbled = []string{"groupHierarchy"} }, Manual, []Code{Excluded}},
		{"an exclusion names groups, and the device is in none", "excluded-ungrouped", func(f *Facts, _ *Params) {
			groupless(f)
			f.Live.Groups = GroupFacts{For: []string{"kiosks *"}, Whole: true}
		}, Delete, nil},
		{"an exclusion names groups, and lists were read for another policy", "", func(f *Facts, _ *Params) {
			groupless(f)
			f.Live.Groups = GroupFacts{For: []string{"labs *"}, Whole: true}
		}, Manual, []Code{Excluded}},
		{"an exclusion names groups, and lists were read for one of its globs", "", func(f *Facts, p *Params) {
			groupless(f)
			p.Exclusions[0].CentralGroups = []string{"kiosks *", "labs *"}
			f.Live.Groups = GroupFacts{For: []string{"labs *"}, Whole: true}
		}, Manual, []Code{Excluded}},
		{"an exclusion names groups, and the lists leave it open", "excluded-open", func(f *Facts, _ *Params) {
			groupless(f)
			f.Live.Groups = GroupFacts{For: []string{"kiosks *"}, Problem: "The list of groups was not read."}
		}, Manual, []Code{Excluded}},
		{"a group can't be read, though the lists leave nothing open", "", func(f *Facts, _ *Params) {
			groupless(f)
			f.Live.Device.Garbled, f.Live.Groups = []string{"group"}, GroupFacts{For: []string{"kiosks *"}, Whole: true}
		}, Manual, []Code{Excluded}},
		{"excluded by a list of members", "excluded-listed", func(f *Facts, _ *Params) {
			groupless(f)
			f.Live.Groups = GroupFacts{For: []string{"kiosks *"}, MemberOf: []Group{{ID: "k1", Name: "Kiosks 1"}}, Whole: true}
		}, Keep, []Code{Excluded}},
		{"excluded by what other records show above its group", "", func(f *Facts, _ *Params) {
			f.Live.Groups = GroupFacts{Lines: [][]Group{{{ID: "x"}}, {{Name: "workstations"}, {ID: "e"}, {Name: "Kiosks 1"}}}}
		}, Keep, []Code{Excluded}},
		{"excluded by what other records show above the event's group", "", func(f *Facts, _ *Params) {
			groupless(f)
			f.Event.Central.Groups = []Group{{ID: "A"}}
			f.Live.Groups = GroupFacts{For: []string{"kiosks *"}, Lines: [][]Group{{{ID: "a"}, {Name: "Kiosks 1"}}}, Whole: true}
		}, Keep, []Code{Excluded}},
		{"a group of the excluded one's line that is above the device's is no reason by itself", "", func(f *Facts, _ *Params) {
			f.Live.Groups = GroupFacts{Lines: [][]Group{{{Name: "Kiosks 1"}, {Name: "Workstations"}}}}
		}, Delete, nil},
		{"another group of the same name is another where both have ids", "", func(f *Facts, _ *Params) {
			f.Live.Groups = GroupFacts{Lines: [][]Group{{{ID: "x", Name: "Workstations"}, {Name: "Kiosks 1"}}}}
		}, Delete, nil},
		{"no exclusion names groups and Central shows none", "", func(f *Facts, p *Params) {
			f.Live.Device.Groups, f.Live.Device.GroupsWhole = nil, false
			p.Exclusions[0].CentralGroups = nil
		}, Delete, nil},
		{"the exclusion ends at this instant", "", func(f *Facts, p *Params) {
			host(f, "LAB-01")
			p.Exclusions[0].Expires = noon()
		}, Delete, nil},
		{"the exclusion ends after this instant", "", func(f *Facts, p *Params) {
			host(f, "LAB-01")
			p.Exclusions[0].Expires = noon().Add(time.Nanosecond)
		}, Keep, []Code{Excluded}},
		{"a glob that can't be read protects", "", func(_ *Facts, p *Params) { p.Exclusions[0].Hostnames = []string{"[x"} }, Keep, []Code{Excluded}},
		{"a domain controller by group", "protected-role", func(f *Facts, _ *Params) { group(f, corp("cn=Domain Controllers", "cn=Users")) }, Keep, []Code{ProtectedRole}},
		{"a read-only domain controller by group", "", func(f *Facts, _ *Params) {
			group(f, corp("cn=PCs"), corp("cn=read-only DOMAIN controllers", "cn=Users"))
		}, Keep, []Code{ProtectedRole}},
		{"an enterprise read-only domain controller", "", func(f *Facts, _ *Params) {
			group(f, corp("cn=Enterprise Read-only Domain Controllers", "cn=Users"))
		}, Keep, []Code{ProtectedRole}},
		{"part of a cluster by group", "", func(f *Facts, _ *Params) { group(f, corp("cn=SQL-Cluster-2", "ou=Groups")) }, Keep, []Code{ProtectedRole}},
		{"part of a cluster by OS", "", func(f *Facts, _ *Params) { f.Live.Device.OSName = Is("Windows 11 CLUSTER") }, Keep, []Code{ProtectedRole}},
		{"the account is below OU=Domain Controllers", "", func(f *Facts, _ *Params) {
			f.Event.Directory.DistinguishedName = Is(corp("cn=WS-FIN-0427", "ou=domain controllers", "ou=Disabled"))
		}, Keep, []Code{ProtectedRole}},
		{"isolated", "under-investigation", func(f *Facts, _ *Params) { f.Live.Device.Isolated = Is(true) }, Manual, []Code{UnderInvestigation}},
		{"isolated by the event, and Central left it out", "", func(f *Facts, _ *Params) {
			f.Event.Central.Isolated, f.Live.Device.Isolated = Is(true), Field[bool]{}
		}, Manual, []Code{UnderInvestigation}},
		{"isolated by the event, and not any more", "", func(f *Facts, _ *Params) { f.Event.Central.Isolated = Is(true) }, Delete, nil},
		{"overall health is bad", "", func(f *Facts, _ *Params) { f.Live.Device.HealthOverall = Is("bad") }, Manual, []Code{UnderInvestigation}},
		{"threat health is bad", "", func(f *Facts, _ *Params) { f.Live.Device.HealthThreats = Is("bad") }, Manual, []Code{UnderInvestigation}},
		{"health is suspicious only", "", func(f *Facts, _ *Params) { f.Live.Device.HealthOverall = Is("suspicious") }, Delete, nil},
		{"health is no word of Central's", "", func(f *Facts, _ *Params) { f.Live.Device.HealthOverall = Is("compromised") }, Manual, []Code{UnderInvestigation}},
		{"isolation can't be read", "", func(f *Facts, _ *Params) { f.Live.Device.Isolated = Garbled[bool]() }, Manual, []Code{UnderInvestigation}},
		{"overall health can't be read", "", func(f *Facts, _ *Params) { f.Live.Device.HealthOverall = Garbled[string]() }, Manual, []Code{UnderInvestigation}},
		{"threat health can't be read", "", func(f *Facts, _ *Params) { f.Live.Device.HealthThreats = Garbled[string]() }, Manual, []Code{UnderInvestigation}},
		{"online can't be read", "", func(f *Facts, _ *Params) { f.Live.Device.Online = Garbled[bool]() }, Manual, []Code{UnderInvestigation}},
		{"health, isolation, online and cloned are left out", "", func(f *Facts, _ *Params) {
			d := &f.Live.Device
			d.HealthOverall, d.HealthThreats = Field[string]{}, Field[string]{}
			d.Isolated, d.Online, d.Cloned = Field[bool]{}, Field[bool]{}, Field[bool]{}
		}, Delete, nil},
	}
}

func TestHumanRules(t *testing.T) { checkRows(t, humanRows()) }

// groupless are the facts of a device that Central's record shows in no group.
func groupless(f *Facts) { f.Live.Device.Groups, f.Live.Device.GroupsWhole = nil, false }
