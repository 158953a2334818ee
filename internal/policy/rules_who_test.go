package policy

import "testing"

func whoRows() []row {
	vip, unknown := []Code{VIPDevice}, []Code{OwnerUnknown}
	vipNotOwner, mismatch := []Code{VIPDevice, OwnerMismatch}, []Code{OwnerMismatch}
	groups := func(names ...DN) Field[[]DN] { return Is(names) }
	return []row{
		{"a VIP by the user's group", "vip", func(f *Facts, _ *Params) { f.Event.Owner.MemberOf = groups(corp("cn=vip", "ou=GROUPS")) }, Manual, vip},
		{"a VIP by the computer's group", "", func(f *Facts, _ *Params) { f.Event.Directory.MemberOf = groups(corp("cn=VIP", "ou=Groups")) }, Manual, vip},
		{"a group below the VIP group is another", "", func(f *Facts, _ *Params) {
			f.Event.Owner.MemberOf = groups(corp("cn=Sub", "cn=VIP", "ou=Groups"))
		}, Delete, nil},
		{"a VIP by the live login", "", func(f *Facts, _ *Params) { f.Live.Device.ViaLogin = Is(`CORPEX\CEO`) }, Manual, vipNotOwner},
		{"a VIP by the event's login", "", func(f *Facts, _ *Params) { f.Event.Central.ViaLogin = Is("CFO@corp.example.test") }, Manual, vip},
		{"a VIP by the owner's login", "", func(f *Facts, _ *Params) { f.Event.Owner.Login = Is(`corpex\ceo`) }, Manual, vipNotOwner},
		{"a VIP by managedBy as a login", "", func(f *Facts, _ *Params) { f.Event.Directory.ManagedBy = Is(`CORPEX\ceo`) }, Manual, vip},
		{"a VIP by managedBy as a DN", "", func(f *Facts, _ *Params) {
			f.Event.Directory.ManagedBy = Is("CN=Chair,OU=People,DC=corp,DC=example,DC=test")
			f.Event.Directory.ManagedByDN = Is(corp("cn=chair", "ou=people"))
		}, Manual, vip},
		{"a VIP by host name", "", func(f *Facts, _ *Params) {
			f.Event.Directory.Hostname, f.Event.Central.Hostname, f.Live.Device.Hostname = Is("EXEC-1"), Is("EXEC-1"), Is("exec-1.corp.example.test")
			f.Event.Directory.DistinguishedName = Is(corp("cn=EXEC-1", "ou=Disabled"))
		}, Manual, vip},
		{"a VIP's host name spelt with a long s is a VIP's", "", func(f *Facts, p *Params) {
			p.VIP.Hostnames = []string{"w\u017f-*"}
		}, Manual, vip},
		{"a VIP by the live name, and the login is a helper's", "", func(f *Facts, _ *Params) {
			f.Live.Device.PersonName, f.Live.Device.ViaLogin, f.Event.Owner.Login = Is(`CORPEX\ceo`), Is(`CORPEX\helper`), Is(`CORPEX\helper`)
		}, Manual, vip},
		{"a VIP by the event's name", "", func(f *Facts, _ *Params) { f.Event.Central.PersonName = Is("ceo") }, Manual, vip},
		{"no VIP", "", func(f *Facts, _ *Params) {
			f.Live.Device.ViaLogin, f.Event.Owner.Login = Is(`CORPEX\ceo2`), Is(`CORPEX\ceo2`)
		}, Delete, nil},
		{"the owner is not the person whom Central shows", "owner-mismatch", func(f *Facts, _ *Params) { f.Live.Device.ViaLogin = Is(`CORPEX\r.roe`) }, Manual, mismatch},
		{"the owner has the same name in another domain", "", func(f *Facts, _ *Params) { f.Event.Owner.Login = Is(`LAB\j.doe`) }, Manual, mismatch},
		{"the owner is the same person, spelt otherwise", "", func(f *Facts, _ *Params) { f.Event.Owner.Login = Is("J.DOE@corp.example.test") }, Delete, nil},
		{"the owner's login has no domain, and is of the device's", "", func(f *Facts, _ *Params) { f.Event.Owner.Login = Is("j.doe") }, Delete, nil},
		{"nobody need know the owner, and Central shows another one", "", func(f *Facts, p *Params) {
			p.Manual.UnknownOwner, p.Manual.UnknownDomain, f.Live.Device.ViaLogin = false, false, Is("r.roe")
		}, Manual, mismatch},
		{"nobody need know the owner, and Central shows a local account", "", func(f *Facts, p *Params) {
			p.Manual.UnknownOwner, p.Manual.UnknownDomain, f.Live.Device.ViaLogin = false, false, Is(`WS-FIN-0427\admin`)
		}, Delete, nil},
		{"Central's name of the person can't be read", "", func(f *Facts, _ *Params) { f.Live.Device.PersonName = Garbled[string]() }, Manual, unknown},
		{"the event's groups are nobody's", "", func(f *Facts, _ *Params) { f.Event.Owner.Login = Field[string]{} }, Manual, unknown},
		{"nobody need know the owner, and the policy has VIP groups", "", func(f *Facts, p *Params) {
			p.Manual.UnknownOwner, f.Event.Owner.MemberOf = false, Field[[]DN]{}
		}, Manual, unknown},
		{"an empty name among the VIP groups", "", func(f *Facts, p *Params) {
			p.VIP.Groups, f.Event.Owner.MemberOf = []DN{{}}, groups(DN{})
		}, Delete, nil},
		{"nobody's groups are known, and the policy has VIP groups", "owner-unknown", func(f *Facts, _ *Params) {
			f.Event.Owner.MemberOf, f.Event.Directory.MemberOf = Field[[]DN]{}, Field[[]DN]{}
		}, Manual, unknown},
		{"the user's groups alone are known", "", func(f *Facts, _ *Params) { f.Event.Directory.MemberOf = Field[[]DN]{} }, Delete, nil},
		{"the computer's groups alone are known", "", func(f *Facts, _ *Params) { f.Event.Owner = Owner{} }, Manual, unknown},
		{"nobody's groups are known, and the policy has no VIP groups", "", func(f *Facts, p *Params) {
			f.Event.Owner.MemberOf, f.Event.Directory.MemberOf, p.VIP.Groups = Field[[]DN]{}, Field[[]DN]{}, nil
		}, Delete, nil},
		{"nobody need know the owner", "", func(f *Facts, p *Params) {
			p.Manual.UnknownOwner, p.Manual.UnknownDomain, f.Live.Device.ViaLogin = false, false, Field[string]{}
		}, Delete, nil},
		{"nobody need know the owner, and it is managed by a VIP", "", func(f *Facts, p *Params) {
			p.Manual.UnknownOwner, p.Manual.UnknownDomain, f.Live.Device.ViaLogin = false, false, Field[string]{}
			f.Event.Directory.ManagedBy = Is(`CORPEX\ceo`)
		}, Manual, vip},
	}
}

func TestVIPAndOwner(t *testing.T) { checkRows(t, whoRows()) }

func kindRows() []row {
	server, platform := []Code{Server}, []Code{PlatformManual}
	differs := []Code{Server, OSFamilyMismatch}
	mac := func(f *Facts, p *Params) {
		f.Live.Device.Platform, f.Live.Device.OSName = Is("macos"), Is("macOS Sonoma")
		f.Event.Directory.OperatingSystem = Is("macOS Sonoma")
	}
	linux := func(f *Facts, p *Params) {
		f.Live.Device.Platform, f.Live.Device.OSName = Field[string]{}, Is("Ubuntu 22.04 LTS")
		f.Event.Directory.OperatingSystem = Is("pc-linux-gnu")
	}
	return []row{
		{"a server", "server", func(f *Facts, _ *Params) {
			f.Live.Device.Type, f.Live.Device.IsServer = Is("server"), Is(true)
			f.Live.Device.OSName, f.Event.Directory.OperatingSystem = Is("Windows Server 2022"), Is("Windows Server 2022 Datacenter")
		}, Manual, server},
		{"a server by its live type", "", func(f *Facts, _ *Params) { f.Live.Device.Type = Is("server") }, Manual, differs},
		{"a server by the live flag", "", func(f *Facts, _ *Params) { f.Live.Device.IsServer = Is(true) }, Manual, differs},
		{"a server by the live OS name", "", func(f *Facts, _ *Params) { f.Live.Device.OSName = Is("Windows SERVER 2022") }, Manual, differs},
		{"a server by the event's type", "", func(f *Facts, _ *Params) { f.Event.Central.Type = Is("server") }, Manual, server},
		{"a server by the event's flag", "", func(f *Facts, _ *Params) { f.Event.Central.IsServer = Is(true) }, Manual, server},
		{"a server by the event's OS name", "", func(f *Facts, _ *Params) { f.Event.Central.OSName = Is("Windows Server 2019") }, Manual, server},
		{"a server by the directory's OS name", "", func(f *Facts, _ *Params) { f.Event.Directory.OperatingSystem = Is("Windows Server 2019") }, Manual, differs},
		{"Central does not say whether it is a server", "", func(f *Facts, _ *Params) { f.Live.Device.IsServer = Field[bool]{} }, Manual, server},
		{"whether it is a server can't be read", "", func(f *Facts, _ *Params) { f.Live.Device.IsServer = Garbled[bool]() }, Manual, server},
		{"a Mac", "platform-manual", mac, Manual, platform},
		{"a Mac, where the policy lets Macs through", "", func(f *Facts, p *Params) {
			mac(f, p)
			p.Manual.MacOS = false
		}, Delete, nil},
		{"a Linux machine, by its OS name", "", linux, Manual, platform},
		{"a Linux machine, where the policy lets Linux through", "", func(f *Facts, p *Params) {
			linux(f, p)
			p.Manual.Linux = false
		}, Delete, nil},
		{"the platform is told by the OS name alone", "", func(f *Facts, _ *Params) { f.Live.Device.Platform = Field[string]{} }, Delete, nil},
		{"the platform can't be read", "", func(f *Facts, _ *Params) { f.Live.Device.Platform = Garbled[string]() }, Manual, platform},
		{"the platform is none that is known", "", func(f *Facts, _ *Params) { f.Live.Device.Platform = Is("chromeos") }, Manual, platform},
		{"the OS name tells no platform", "", func(f *Facts, _ *Params) {
			f.Live.Device.Platform, f.Live.Device.OSName = Field[string]{}, Is("Solaris")
		}, Manual, platform},
		{"Central does not name the OS", "", func(f *Facts, _ *Params) { f.Live.Device.OSName = Field[string]{} }, Manual, platform},
		{"the type is missing", "", func(f *Facts, _ *Params) { f.Live.Device.Type = Field[string]{} }, Manual, platform},
		{"the type is none that is known", "", func(f *Facts, _ *Params) { f.Live.Device.Type = Is("mobile") }, Manual, platform},
	}
}

func TestKindOfDevice(t *testing.T) { checkRows(t, kindRows()) }

func buildRows() []row {
	unknown, family := []Code{BuildUnknown}, []Code{OSFamilyMismatch}
	return []row{
		{"the directory has no build", "build-unknown", func(f *Facts, _ *Params) { f.Event.Directory.OperatingSystemVersion = Field[int]{} }, Manual, unknown},
		{"the directory's build can't be read", "", func(f *Facts, _ *Params) { f.Event.Directory.OperatingSystemVersion = Garbled[int]() }, Manual, unknown},
		{"one of the directory's builds can't be read", "", func(f *Facts, _ *Params) {
			f.Event.Directory.OperatingSystemBuildNumber = Garbled[int]()
		}, Manual, unknown},
		{"the build number alone is given", "", func(f *Facts, _ *Params) {
			d := &f.Event.Directory
			d.OperatingSystemVersion, d.OperatingSystemBuildNumber = Field[int]{}, Is(22631)
		}, Delete, nil},
		{"Central has no build", "", func(f *Facts, _ *Params) { f.Live.Device.Build = Field[int]{} }, Manual, unknown},
		{"Central's build can't be read", "", func(f *Facts, _ *Params) { f.Live.Device.Build = Garbled[int]() }, Manual, unknown},
		{"the event's build of Central's can't be read", "", func(f *Facts, _ *Params) { f.Event.Central.Build = Garbled[int]() }, Manual, unknown},
		{"the event's build of Central's is out of date", "", func(f *Facts, _ *Params) { f.Event.Central.Build = Is(22621) }, Delete, nil},
		{"Central's build is newer", "build-newer", func(f *Facts, _ *Params) { f.Live.Device.Build = Is(26100) }, Manual, []Code{BuildNewerInCentral}},
		{"Central's build is older", "build-older", func(f *Facts, _ *Params) { f.Live.Device.Build = Is(19045) }, Manual, []Code{BuildOlderInCentral}},
		{"10 here and 11 there", "os-family-mismatch", func(f *Facts, _ *Params) { f.Event.Directory.OperatingSystem = Is("Windows 10 Pro") }, Manual, family},
		{"another edition", "", func(f *Facts, _ *Params) { f.Event.Directory.OperatingSystem = Is("WINDOWS 11 Enterprise") }, Delete, nil},
		{"a Mac here and Windows there", "", func(f *Facts, _ *Params) { f.Event.Directory.OperatingSystem = Is("Mac OS X") }, Manual, family},
		{"the directory's OS is none that is known", "", func(f *Facts, _ *Params) { f.Event.Directory.OperatingSystem = Is("Thin client") }, Delete, nil},
		{"the directory names no OS", "", func(f *Facts, _ *Params) { f.Event.Directory.OperatingSystem = Field[string]{} }, Delete, nil},
	}
}

func TestBuilds(t *testing.T) { checkRows(t, buildRows()) }
