package policy

import "testing"

// cut is a host name longer than 15 characters, with what AD makes of it.
const (
	long  = "WORKSTATION-LONDON-7"
	cut15 = "WORKSTATION-LON"
)

func identityRows() []row {
	twin := func(f *Facts, change func(d *Device)) {
		d := f.Live.Device
		d.ID = Is(twinID)
		change(&d)
		f.Live.SameNamed = append(f.Live.SameNamed, d)
	}
	directory := func(f *Facts, host string) {
		f.Event.Directory.Hostname = Is(host)
		f.Event.Directory.DistinguishedName = Is(corp("cn="+host, "ou=Disabled"))
	}
	live := func(host string) func(f *Facts, _ *Params) {
		return func(f *Facts, _ *Params) { f.Live.Device.Hostname = Is(host) }
	}
	mismatch, truncated := []Code{HostnameMismatch}, []Code{NameTruncated}
	return []row{
		{"Central's record is another tenant's", "tenant-mismatch", func(f *Facts, _ *Params) { f.Live.Device.TenantID = Is(otherID) }, Manual, []Code{TenantMismatch}},
		{"Central's record has no tenant", "", func(f *Facts, _ *Params) { f.Live.Device.TenantID = Field[string]{} }, Manual, []Code{TenantMismatch}},
		{"the credential does not serve the tenant", "tenant-foreign", func(f *Facts, _ *Params) {
			f.Live = Live{Status: LiveForeignTenant, At: noon()}
		}, Manual, []Code{TenantMismatch}},
		{"the live host name is another", "hostname-mismatch", live("WS-FIN-0428"), Manual, mismatch},
		{"the event's own host names differ", "", func(f *Facts, _ *Params) { f.Event.Central.Hostname = Is("WS-FIN-0428") }, Manual, mismatch},
		{"the live host name is missing", "", func(f *Facts, _ *Params) { f.Live.Device.Hostname = Field[string]{} }, Manual, mismatch},
		{"the live host name can't be read", "", func(f *Facts, _ *Params) { f.Live.Device.Hostname = Garbled[string]() }, Manual, mismatch},
		{"the live host name differs in case", "", live("ws-Fin-0427"), Delete, nil},
		{"the live host name is an FQDN", "", live("ws-fin-0427.CORP.example.test"), Delete, nil},
		{"the live host name is spelt with a dotless i", "", live("WS-F\u0131N-0427"), Manual, mismatch},
		{"the live host name is spelt with a long s", "", live("W\u017f-FIN-0427"), Manual, mismatch},
		{"the host names have nothing before the dot", "", func(f *Facts, _ *Params) {
			f.Live.Device.Hostname, f.Event.Central.Hostname = Is(".corp.example.test"), Is(".corp.example.test")
		}, Manual, mismatch},
		{"a blank is part of a host name", "", live("WS FIN-0427"), Manual, mismatch},
		{"the directory cut the name", "name-truncated", func(f *Facts, _ *Params) {
			directory(f, cut15)
			f.Event.Central.Hostname, f.Live.Device.Hostname = Is(long), Is(long)
		}, Manual, truncated},
		{"Central cut the name", "", func(f *Facts, _ *Params) {
			directory(f, long)
			f.Event.Central.Hostname, f.Live.Device.Hostname = Is(cut15), Is(cut15)
		}, Manual, truncated},
		{"a name cut at 14 characters is another name", "", func(f *Facts, _ *Params) {
			directory(f, cut15[:14])
			f.Event.Central.Hostname, f.Live.Device.Hostname = Is(long), Is(long)
		}, Manual, mismatch},
		{"15 characters that do not begin the other name", "", func(f *Facts, _ *Params) {
			directory(f, "XORKSTATION-LON")
			f.Event.Central.Hostname, f.Live.Device.Hostname = Is(long), Is(long)
		}, Manual, mismatch},
		{"both names of 15 characters and the same", "", func(f *Facts, _ *Params) {
			directory(f, cut15)
			f.Event.Central.Hostname, f.Live.Device.Hostname = Is(cut15), Is(cut15)
		}, Delete, nil},
		{"a twin is online", "duplicate-active", func(f *Facts, _ *Params) { twin(f, func(d *Device) { d.Online = Is(true) }) }, Manual, []Code{DuplicateActive}},
		{"a twin was seen a day too late", "", func(f *Facts, _ *Params) { twin(f, func(d *Device) { d.LastSeenAt = Is(ago(29)) }) }, Manual, []Code{DuplicateActive}},
		{"a twin was seen 30 days ago", "", func(f *Facts, _ *Params) { twin(f, func(d *Device) { d.LastSeenAt = Is(ago(30)) }) }, Manual, []Code{DuplicateStale}},
		{"a twin is a server and was seen 40 days ago", "", func(f *Facts, _ *Params) {
			twin(f, func(d *Device) { d.Type, d.LastSeenAt = Is("server"), Is(ago(40)) })
		}, Manual, []Code{DuplicateActive}},
		{"nobody knows when a twin was seen", "", func(f *Facts, _ *Params) {
			twin(f, func(d *Device) { d.LastSeenAt.State = Absent })
		}, Manual, []Code{DuplicateActive}},
		{"whether a twin is online can't be read", "", func(f *Facts, _ *Params) { twin(f, func(d *Device) { d.Online = Garbled[bool]() }) }, Manual, []Code{DuplicateActive}},
		{"a twin was seen in the future", "", func(f *Facts, _ *Params) { twin(f, func(d *Device) { d.LastSeenAt = Is(ago(-1)) }) }, Manual, []Code{DuplicateActive}},
		{"a twin that is out of use too", "duplicate-stale", func(f *Facts, _ *Params) { twin(f, func(*Device) {}) }, Manual, []Code{DuplicateStale}},
		{"a twin without an id", "", func(f *Facts, _ *Params) { twin(f, func(d *Device) { d.ID = Field[string]{} }) }, Manual, []Code{DuplicateStale}},
		{"a twin in use and one out of use", "", func(f *Facts, _ *Params) {
			twin(f, func(*Device) {})
			twin(f, func(d *Device) { d.Online = Is(true) })
		}, Manual, []Code{DuplicateActive, DuplicateStale}},
		{"the device is listed twice", "", func(f *Facts, _ *Params) { f.Live.SameNamed = append(f.Live.SameNamed, f.Live.Device) }, Delete, nil},
		{"cloned", "cloned", func(f *Facts, _ *Params) { f.Live.Device.Cloned = Is(true) }, Manual, []Code{Cloned}},
		{"the mark of a clone can't be read", "", func(f *Facts, _ *Params) { f.Live.Device.Cloned = Garbled[bool]() }, Manual, []Code{Cloned}},
		{"cloned by the event, and Central left it out", "", func(f *Facts, _ *Params) {
			f.Event.Central.Cloned, f.Live.Device.Cloned = Is(true), Field[bool]{}
		}, Manual, []Code{Cloned}},
	}
}

func TestIdentity(t *testing.T) { checkRows(t, identityRows()) }

func domainRows() []row {
	login := func(login string) func(f *Facts, _ *Params) {
		return func(f *Facts, _ *Params) { f.Live.Device.ViaLogin = Is(login) }
	}
	return []row{
		{"the login is another domain's", "domain-mismatch", login(`LAB\j.doe`), Manual, []Code{DomainMismatch, OwnerMismatch}},
		{"the login's domain in another case", "", login(`corpex\j.doe`), Delete, nil},
		{"the login's domain is a DNS name", "", login(`Corp.Example.Test\j.doe`), Delete, nil},
		{"the login is a UPN of the domain", "", login("j.doe@CORP.example.test"), Delete, nil},
		{"the login is a UPN of another domain", "", login("j.doe@example.test"), Manual, []Code{DomainMismatch, OwnerMismatch}},
		{"the live FQDN is another domain's, whatever the login", "", func(f *Facts, _ *Params) {
			f.Live.Device.Hostname = Is("ws-fin-0427.lab.example.test")
		}, Manual, []Code{DomainMismatch}},
		{"the live FQDN tells the domain where the login does not", "", func(f *Facts, _ *Params) {
			f.Live.Device.Hostname, f.Live.Device.ViaLogin = Is("ws-fin-0427.corp.example.test"), Is(`OTHER\j.doe`)
			f.Event.Owner.Login = Is(`OTHER\j.doe`)
		}, Delete, nil},
		{"the event's FQDN is another domain's", "", func(f *Facts, _ *Params) {
			f.Event.Central.Hostname = Is("WS-FIN-0427.lab.example.test")
		}, Manual, []Code{DomainMismatch}},
		{"the login's domain is not in the map", "domain-unknown", login(`OTHER\j.doe`), Manual, []Code{DomainUnknown, OwnerMismatch}},
		{"the login's domain looks like one in the map", "", login("LAB\u0131\\j.doe"), Manual, []Code{DomainUnknown, OwnerMismatch}},
		{"the directory's NetBIOS domain is not in the map", "", func(f *Facts, _ *Params) { f.Event.Directory.Domain = Is("OTHER") }, Manual, []Code{DomainUnknown}},
		{"both NetBIOS domains are the same, and not in the map", "", func(f *Facts, p *Params) {
			p.Domains, f.Event.Directory.Domain = nil, Is("CORPEX")
		}, Manual, []Code{DomainUnknown}},
		{"no login", "", func(f *Facts, _ *Params) { f.Live.Device.ViaLogin = Field[string]{} }, Manual, []Code{DomainUnknown, OwnerUnknown}},
		{"the login can't be read", "", func(f *Facts, _ *Params) { f.Live.Device.ViaLogin = Garbled[string]() }, Manual, []Code{DomainUnknown, OwnerUnknown}},
		{"a bare login", "", login("j.doe"), Manual, []Code{DomainUnknown, OwnerUnknown}},
		{"a login of a domain without a user", "", login(`CORPEX\`), Manual, []Code{DomainUnknown, OwnerUnknown}},
		{"a UPN without a user", "", login("@corp.example.test"), Manual, []Code{DomainUnknown, OwnerUnknown}},
		{"a login of the device's own", "", login(`ws-fin-0427\admin`), Manual, []Code{DomainUnknown, OwnerUnknown}},
		{"a login of the device's own, written as a dot", "", login(`.\admin`), Manual, []Code{DomainUnknown, OwnerUnknown}},
		{"an own login of a name that AD cut", "", func(f *Facts, _ *Params) {
			f.Event.Directory.Hostname, f.Event.Central.Hostname, f.Live.Device.Hostname = Is(long), Is(long), Is(long)
			f.Event.Directory.DistinguishedName = Is(corp("cn="+long, "ou=Disabled"))
			f.Live.Device.ViaLogin = Is(cut15 + `\admin`)
		}, Manual, []Code{DomainUnknown, OwnerUnknown}},
		{"the own name is in the map as well", "", func(f *Facts, p *Params) {
			p.Domains["WS-FIN-0427"] = "corp.example.test"
			f.Live.Device.ViaLogin = Is(`WS-FIN-0427\admin`)
		}, Manual, []Code{DomainUnknown, OwnerUnknown}},
		{"nobody need know the domain", "", func(f *Facts, p *Params) {
			p.Manual.UnknownDomain, f.Live.Device.ViaLogin = false, Is(`OTHER\j.doe`)
			f.Event.Owner.Login = Is(`OTHER\j.doe`)
		}, Delete, nil},
		{"nobody need know the domain, and it is another", "", func(f *Facts, p *Params) {
			p.Manual.UnknownDomain, f.Live.Device.ViaLogin = false, Is(`LAB\j.doe`)
		}, Manual, []Code{DomainMismatch, OwnerMismatch}},
		{"nobody need know the domain, and the DN's is another", "", func(f *Facts, p *Params) {
			p.Manual.UnknownDomain, f.Event.Directory.Domain = false, Is("OTHER")
			f.Live.Device.Hostname = Is("ws-fin-0427.other.test")
		}, Manual, []Code{DomainMismatch}},
	}
}

func TestDomains(t *testing.T) { checkRows(t, domainRows()) }
