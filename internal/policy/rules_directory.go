package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Tier 4: the directory's will.

func directoryEnabled(f Facts, _ Params, _ time.Time) finding {
	if e := f.Event.Directory.Enabled; e.Known() && e.Value {
		return hits("The directory account is enabled.")
	}
	bits := f.Event.Directory.UserAccountControl
	if bits.Known() && bits.Value&(accountDisabled|serverTrustAccount|partialSecretsAccount) == 0 { // PROTECTED_ROLE tells of those two
		return hits(fmt.Sprintf("The directory account is enabled by its userAccountControl (%d).", bits.Value))
	}
	return pass()
}

func notInScope(f Facts, p Params, _ time.Time) finding {
	dn := f.Event.Directory.DistinguishedName
	switch {
	case !dn.Known():
		return quiet() // INPUT_INVALID or DIRECTORY_MISSING says so
	case anyBelow(dn.Value, p.DisabledOUs, fold):
		return pass()
	}
	return hits("The account " + dn.Value.String() + " is not in a disabled OU.")
}

func directoryConflict(f Facts, p Params, _ time.Time) finding {
	d := f.Event.Directory
	if cn := d.DistinguishedName.Value.common(); d.DistinguishedName.Known() && d.Hostname.Known() &&
		shortName(cn) != shortName(d.Hostname.Value) {
		return hits("The DN begins with the CN " + quoted(cn) + ", and the host name is " + d.Hostname.Value + ".")
	}
	if dns, ok := p.dnsDomain(d.Domain.Value); d.DistinguishedName.Known() && d.Domain.Known() && ok {
		if dc := d.DistinguishedName.Value.domain(); dc != dns {
			return hits("The DN's domain is " + dc + " and the domain " + dns + ".")
		}
	}
	a, b := d.OperatingSystemVersion, d.OperatingSystemBuildNumber
	if a.Known() && b.Known() && a.Value != b.Value {
		return hits(fmt.Sprintf("The directory gives two OS builds, %d and %d.", a.Value, b.Value))
	}
	return pass()
}

// quoted sets a value apart in a sentence, also one that is empty.
func quoted(s string) string { return `"` + s + `"` }

// Tier 5: human rules.

func excluded(f Facts, p Params, now time.Time) finding {
	doubt := ""
	for _, x := range p.Exclusions {
		if !x.Expires.IsZero() && !now.Before(x.Expires) {
			continue
		}
		if x.covers(f) {
			return hits(fmt.Sprintf("The exclusion %s keeps it: %s (%s).", x.ID, x.Reason, x.Owner))
		}
		if len(x.CentralGroups) > 0 && f.groupsUnsaid(x.CentralGroups) {
			doubt = x.ID
		}
	}
	if doubt != "" {
		return hitsAs(Manual, strings.TrimSpace("The exclusion "+doubt+" names groups of Central's, and Central does not show all of the device's. "+f.Live.Groups.Problem))
	}
	return pass()
}

// groupsUnsaid reports whether Central leaves open if the device is in a group
// that one of the globs names: its record shows a group that can't be read, or
// not all, and what else Central shows leaves it open too.
func (f Facts) groupsUnsaid(globs []string) bool {
	d := f.Live.Device
	return f.found() && (!d.GroupsWhole && !f.Live.Groups.answer(globs) || slices.ContainsFunc(d.Garbled, func(path string) bool {
		return strings.HasPrefix(path, "group")
	}))
}

// groups are all groups that anything shows the device to be in, with all that are
// known to be above them.
func (f Facts) groups() []Group {
	g := f.Live.Groups
	return g.above(slices.Concat(f.Live.Device.Groups, f.Event.Central.Groups, g.MemberOf))
}

// covers reports whether any list of the exclusion matches the device.
func (x Exclusion) covers(f Facts) bool {
	for _, h := range []Field[string]{f.Event.Directory.Hostname, f.Event.Central.Hostname, f.Live.Device.Hostname} {
		if h.Known() && anyMatches(x.Hostnames, h.Value, shortName(h.Value)) {
			return true
		}
	}
	dn := f.Event.Directory.DistinguishedName
	return anyMatches(x.EndpointIDs, f.Event.Central.ID.Value, f.Live.Device.ID.Value) ||
		dn.Known() && (anyBelow(dn.Value, x.OUs, Loose) || dn.Value.among(x.OUs)) ||
		len(x.CentralGroups) > 0 && namedAny(f.groups(), x.CentralGroups)
}

// The primary groups of domain controllers, by the end of their SIDs, and the bits of
// userAccountControl that only their accounts have, beside that of a disabled account.
// They are the same in every language.
const (
	domainControllers         = 516
	readOnlyDomainControllers = 521
	accountDisabled           = 0x2
	serverTrustAccount        = 0x2000
	partialSecretsAccount     = 0x4000000
)

func protectedRole(f Facts, p Params, _ time.Time) finding {
	d := f.Event.Directory
	if g := d.PrimaryGroupID; g.Known() && (g.Value == domainControllers || g.Value == readOnlyDomainControllers) {
		return hits(fmt.Sprintf("The account's primary group (%d) is that of domain controllers.", g.Value))
	}
	if d.UserAccountControl.Value&(serverTrustAccount|partialSecretsAccount) != 0 {
		return hits(fmt.Sprintf("The account is a domain controller's by its userAccountControl (%d).", d.UserAccountControl.Value))
	}
	for _, g := range d.MemberOf.Value {
		if cn := g.common(); g.among(p.ProtectedGroups) || namesProtectedGroup(cn) {
			return hits("The computer is in the group " + cn + ".")
		}
	}
	for _, rdn := range d.DistinguishedName.Value {
		if slices.Contains(folding(Loose).rdn(rdn), "ou=domain controllers") {
			return hits("The account is below OU=Domain Controllers.")
		}
	}
	for _, os := range []Field[string]{d.OperatingSystem, f.Event.Central.OSName, f.Live.Device.OSName} {
		if strings.Contains(Loose(os.Value), "cluster") {
			return hits("The operating system is " + os.Value + ".")
		}
	}
	return pass()
}

// namesProtectedGroup reports the name of a group of domain controllers, also of
// read-only ones, in a language that AD can be set up in, or of a cluster's group.
func namesProtectedGroup(cn string) bool {
	name := unaccented(cn)
	return slices.ContainsFunc([]string{
		"cluster", "domain controller", "domanencontroller", "domaenencontroller", "controleurs de domaine", "controladores de dominio", "controladores do dominio",
		"controller di dominio", "domeincontroller", "domankontrollant", "domanekontroll", "domænecontroller", "domenekontroller", "toimialueen ohjauskone",
		"ohjauskoneet", "kontrolery domen", "radice domen", "radice domeny", "tartomanyvezerl", "контроллеры домена", "etki alanı denetleyici", "etki alani denetleyici",
		"ελεγκτες τομεα", "controlere de domeniu", "radice domeny", "ドメイン コントローラ", "域控制器", "網域控制站", "도메인 컨트롤러",
	}, func(part string) bool { return strings.Contains(name, unaccented(part)) })
}

func underInvestigation(f Facts, _ Params, _ time.Time) finding {
	live, event := f.Live.Device, f.Event.Central
	isolated := latest(live.Isolated, event.Isolated)
	overall, threats := latest(live.HealthOverall, event.HealthOverall), latest(live.HealthThreats, event.HealthThreats)
	switch {
	case !f.found():
		return quiet()
	case isolated.Value:
		return hits("The device is isolated.")
	case overall.Value == "bad" || threats.Value == "bad":
		return hits("The device's health is bad" + ill(threats, live.BadServices || event.BadServices) + ".")
	case isolated.State == Unreadable, !healthy(overall), !healthy(threats), live.Online.State == Unreadable:
		return hits("Central's word on isolation, health or online can't be read.")
	}
	return pass()
}

// ill names the parts of a device's health that are bad.
func ill(threats Field[string], services bool) string {
	var parts []string
	if threats.Value == "bad" {
		parts = append(parts, "threats")
	}
	if services {
		parts = append(parts, "services")
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// latest is what Central says now or, where it left that out, what the event saw.
func latest[T any](live, event Field[T]) Field[T] {
	if live.State == Absent {
		return event
	}
	return live
}

// healthy reports whether a health that is not bad is one of Central's words, or
// was not given.
func healthy(word Field[string]) bool {
	return word.State == Absent || slices.Contains([]string{"good", "suspicious", "unknown"}, word.Value)
}

// Tier 6: identity.

func tenantMismatch(f Facts, _ Params, _ time.Time) finding {
	live, event := f.Live.Device.TenantID, f.Event.Central.TenantID
	switch {
	case f.Live.Status == LiveForeignTenant:
		return hits("The credential does not serve the tenant that the event names.")
	case !f.found():
		return quiet()
	case live.Known() && event.Known() && live.Value == event.Value:
		return pass()
	}
	return hits("Central's record names another tenant than the event, or none.")
}

// otherNames are the host names that the live one is held against.
func otherNames(f Facts) []Field[string] {
	return []Field[string]{f.Event.Directory.Hostname, f.Event.Central.Hostname}
}

func hostnameMismatch(f Facts, _ Params, _ time.Time) finding {
	if !f.found() {
		return quiet()
	}
	live := f.Live.Device.Hostname
	if !live.Known() {
		return hits("Central's record has no readable host name.")
	}
	for _, other := range otherNames(f) {
		a, b := shortName(live.Value), shortName(other.Value)
		if other.Known() && (a != b || a == "") && !truncated(a, b) {
			return hits("Central's host name is " + live.Value + ", the event's " + other.Value + ".")
		}
	}
	return pass()
}

func nameTruncated(f Facts, _ Params, _ time.Time) finding {
	live := f.Live.Device.Hostname
	if !f.found() || !live.Known() {
		return quiet()
	}
	for _, other := range otherNames(f) {
		if other.Known() && truncated(shortName(live.Value), shortName(other.Value)) {
			return hits("One of the host names " + live.Value + " and " + other.Value + " is the other, cut at 15 characters.")
		}
	}
	return pass()
}

func domainMismatch(f Facts, p Params, _ time.Time) finding {
	if !f.found() {
		return quiet()
	}
	directory := directoryDomain(f, p)
	if directory == "" {
		return quiet() // INPUT_INVALID or DIRECTORY_MISSING says so
	}
	for _, h := range otherNames(f) { // names that carry a domain of their own
		if d := fqdnDomain(h.Value); d != "" && d != directory {
			return hits("The host name " + h.Value + " is not in the domain " + directory + ".")
		}
	}
	if central, known := centralDomain(f, p); known && central != directory {
		return hits("Central shows the domain " + central + ", the directory " + directory + ".")
	}
	return pass()
}

// directoryDomain is the device's domain as the directory has it: the one that
// is given or, where that is a NetBIOS name that the policy's map lacks, the DN's.
func directoryDomain(f Facts, p Params) string {
	d := f.Event.Directory
	if dns, ok := p.dnsDomain(d.Domain.Value); ok {
		return dns
	}
	return d.DistinguishedName.Value.domain()
}

func domainUnknown(f Facts, p Params, _ time.Time) finding {
	switch {
	case !f.found():
		return quiet()
	case !p.Manual.UnknownDomain:
		return pass()
	}
	if _, ok := p.dnsDomain(f.Event.Directory.Domain.Value); f.Event.Directory.Domain.Known() && !ok {
		return hits("The domain " + f.Event.Directory.Domain.Value + " is not in the policy's map.")
	}
	if _, ok := centralDomain(f, p); !ok {
		return hits("Central does not show which domain the device is in.")
	}
	return pass()
}

func duplicateActive(f Facts, p Params, now time.Time) finding {
	if !f.found() {
		return quiet()
	}
	others, _ := f.siblings()
	for _, d := range others {
		if inUse(d, f, p, now) {
			return hits("Another device of the same name is in use: " + d.ID.Value + ".")
		}
	}
	return pass()
}

func duplicateStale(f Facts, p Params, now time.Time) finding {
	if !f.found() {
		return quiet()
	}
	others, _ := f.siblings()
	for _, d := range others {
		if !inUse(d, f, p, now) {
			return hits("Another device of the same name is on record: " + d.ID.Value + ".")
		}
	}
	return pass()
}

func cloned(f Facts, _ Params, _ time.Time) finding {
	c := latest(f.Live.Device.Cloned, f.Event.Central.Cloned)
	switch {
	case !f.found():
		return quiet()
	case c.State == Unreadable || c.Value:
		return hits("Central marks the device as cloned, or its mark can't be read.")
	}
	return pass()
}
