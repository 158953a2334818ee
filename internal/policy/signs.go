package policy

import (
	"slices"
	"strings"
	"time"
)

// MaxSkew is how far a clock may be off before nobody can say what is old.
const MaxSkew = 5 * time.Minute

// day is what inactivity is counted in.
const day = 24 * time.Hour

// found reports whether the live record is there to be looked at.
func (f Facts) found() bool { return f.Live.Status == LiveFound }

// server reports any sign of a server: in the type, os.isServer or an OS name, on
// either side.
func (f Facts) server() bool {
	return f.Live.Device.Server() || f.Event.Central.Server() || namesServer(f.Event.Directory.OperatingSystem)
}

// Server reports any sign of a server in one record.
func (d Device) Server() bool {
	return d.Type.Value == "server" || d.IsServer.Value || namesServer(d.OSName)
}

// namesServer reports whether an OS name is a server's.
func namesServer(name Field[string]) bool { return strings.Contains(Loose(name.Value), "server") }

// serverUnsaid reports whether Central's record leaves open if it is a server.
// The type and the OS name are looked at elsewhere.
func (f Facts) serverUnsaid() bool { return f.found() && !f.Live.Device.IsServer.Known() }

// Threshold is how long the device must have been silent; servers need longer,
// and so does what may be one.
func (p Params) Threshold(f Facts) time.Duration { return p.silence(f.server() || f.serverUnsaid()) }

// silence is how long a server, or another device, must have been silent.
func (p Params) silence(server bool) time.Duration {
	days := p.InactiveDays.Computer
	if server {
		days = max(days, p.InactiveDays.Server)
	}
	return time.Duration(days) * day
}

// Live reports whether real deletes are wanted for the tenant.
func (p Params) Live(tenantID string) bool {
	return p.LiveTenants == nil || slices.Contains(p.LiveTenants, fold(tenantID))
}

// activity says what the live record tells of the device's use.
func activity(f Facts, p Params, now time.Time) Activity {
	if !f.found() {
		return Activity{}
	}
	d := f.Live.Device
	var a Activity
	if d.Online.Value {
		a.Active = Is(true)
	}
	if !d.LastSeenAt.Known() {
		return a
	}
	a.LastSeenAt = d.LastSeenAt
	if d.LastSeenAt.Value.After(now.Add(MaxSkew)) {
		return a // a time that can't be says nothing
	}
	age := now.Sub(d.LastSeenAt.Value)
	a.InactiveDays = Is(age.Seconds() / day.Seconds())
	if seen := age < p.Threshold(f) || seenSince(f); seen || d.Online.State != Unreadable {
		a.Active = Is(seen || d.Online.Value)
	}
	return a
}

// seenSince reports whether Central saw the device more than a minute later than
// the event says.
func seenSince(f Facts) bool {
	live, event := f.Live.Device.LastSeenAt, f.Event.Central.LastSeenAt
	return live.Known() && event.Known() && live.Value.Sub(event.Value) > time.Minute
}

// newestSeen is the newer of the last-seen times that are known: whether any is,
// and whether both are.
func (f Facts) newestSeen() (at time.Time, anyKnown, both bool) {
	live, event := f.Live.Device.LastSeenAt, f.Event.Central.LastSeenAt
	at = live.Value
	if !live.Known() || (event.Known() && event.Value.After(at)) {
		at = event.Value
	}
	return at, live.Known() || event.Known(), live.Known() && event.Known()
}

// vip names what makes the device a VIP's; empty when nothing does.
func vip(f Facts, p Params) string {
	e := f.Event
	for _, h := range []Field[string]{e.Directory.Hostname, e.Central.Hostname, f.Live.Device.Hostname} {
		if h.Known() && anyMatches(p.VIP.Hostnames, h.Value, shortName(h.Value)) {
			return "host name " + h.Value
		}
	}
	known := p.domainNames()
	wanted := known.vipPersons(p.VIP)
	for _, text := range namesOfPeople(f) {
		for _, named := range known.namedIn(text.Value) {
			if text.Known() && slices.ContainsFunc(wanted, named.may) {
				return "user " + text.Value
			}
		}
	}
	m := e.Directory.ManagedByDN
	if m.Known() && (m.Value.among(p.VIP.Persons) || slices.ContainsFunc(wanted, known.personOf(m.Value).may)) {
		return "managedBy " + m.Value.String()
	}
	for _, groups := range []Field[[]DN]{e.Owner.MemberOf, e.Directory.MemberOf} {
		for _, g := range groups.Value {
			if g.among(p.VIP.Groups) {
				return "group " + g.String()
			}
		}
	}
	return ""
}

// namesOfPeople are all texts that name somebody who may use the device.
func namesOfPeople(f Facts) []Field[string] {
	live, event := f.Live.Device, f.Event
	return []Field[string]{live.ViaLogin, live.PersonName, event.Central.ViaLogin, event.Central.PersonName,
		event.Owner.Login, event.Directory.ManagedBy}
}

// TwoPersons reports whether who approves the delete must be another than who
// opened the ticket: for a VIP's device and for a server.
func TwoPersons(f Facts, p Params, _ time.Time) bool {
	return f.server() || f.serverUnsaid() || vip(f, p) != ""
}

// centralDomain is the device's domain as Central shows it, as a DNS name.
func centralDomain(f Facts, p Params) (string, bool) {
	d := f.Live.Device
	if domain := fqdnDomain(d.Hostname.Value); domain != "" {
		return domain, true
	}
	l, ok := loginOf(d.ViaLogin.Value)
	if !ok || !l.upn && f.ownName(l.domain) {
		return "", false
	}
	return p.loginDNS(l)
}

// ownName reports whether a login's domain is the device's own name: a local account.
func (f Facts) ownName(domain string) bool {
	return ownName(domain, f.Live.Device.Hostname, f.Event.Directory.Hostname, f.Event.Central.Hostname)
}

// personShown reports whether Central shows a domain user: one whose name and login
// can be read.
func personShown(f Facts) bool {
	d := f.Live.Device
	l, ok := loginOf(d.ViaLogin.Value)
	return d.ViaLogin.Known() && ok && !f.ownName(l.domain)
}

// groupsOfOwnerSaid reports whether the event says which groups the owner is in, and
// names the owner. Only vip.groups asks for it. A value that can't be read is
// INPUT_INVALID's business.
func groupsOfOwnerSaid(f Facts, p Params) bool {
	o := f.Event.Owner
	return len(p.VIP.Groups) == 0 || o.MemberOf.State != Absent && o.Login.State != Absent
}

// platform is windows, macos or linux, from os.platform or, where that was left
// out, from os.name; empty = unknown.
func platform(d Device) string {
	if d.Platform.State != Absent {
		switch d.Platform.Value {
		case "windows", "macos", "linux":
			return d.Platform.Value
		}
		return ""
	}
	return platformOfName(d.OSName.Value)
}

// platformOfName reads a platform from an OS name; empty = unknown.
func platformOfName(name string) string {
	n := fold(name)
	switch {
	case strings.Contains(n, "windows"):
		return "windows"
	case strings.Contains(n, "macos"), strings.Contains(n, "os x"), strings.HasPrefix(n, "mac "):
		return "macos"
	}
	for _, word := range []string{"linux", "ubuntu", "debian", "centos", "red hat", "rhel", "suse", "fedora", "amazon"} {
		if strings.Contains(n, word) {
			return "linux"
		}
	}
	return ""
}

// release is 10 or 11 for a Windows client's OS name; empty for anything else.
func release(name string) string {
	n := fold(name)
	for _, r := range []string{"10", "11"} {
		if strings.Contains(n, "windows "+r) {
			return r
		}
	}
	return ""
}

// build is the directory's build: from either of its two fields.
func (d Directory) build() (int, bool) {
	switch {
	case d.OperatingSystemBuildNumber.State == Unreadable || d.OperatingSystemVersion.State == Unreadable:
		return 0, false
	case d.OperatingSystemBuildNumber.Known():
		return d.OperatingSystemBuildNumber.Value, true
	}
	return d.OperatingSystemVersion.Value, d.OperatingSystemVersion.Known()
}

// siblings are the other devices of the same name; itself reports whether the
// device was among them.
func (f Facts) siblings() (others []Device, itself bool) {
	id := f.Live.Device.ID
	for _, d := range f.Live.SameNamed {
		if id.Known() && d.ID == id {
			itself = true
			continue
		}
		others = append(others, d)
	}
	return others, itself
}

// inUse reports whether a same-named device must be taken for active: unknown is
// never old.
func inUse(d Device, f Facts, p Params, now time.Time) bool {
	offline := d.Online.State == Absent || (d.Online.Known() && !d.Online.Value)
	threshold := max(p.Threshold(f), p.silence(d.Server()))
	return !offline || !d.LastSeenAt.Known() || now.Sub(d.LastSeenAt.Value) < threshold
}
