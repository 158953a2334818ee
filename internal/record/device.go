package record

import (
	"strings"

	"rollcall/internal/policy"
)

// maxGroups and maxMACs bound the lists that a record brings.
const (
	maxGroups = 512
	maxMACs   = 64
)

// ParseDevice reads Central's endpoint object as Central gave it. The only
// error is one that wraps ErrNotObject. Anything may be missing; a value of the
// wrong type is unreadable, even an empty one.
func ParseDevice(raw []byte) (policy.Device, error) {
	r := newReader(raw, true)
	var d policy.Device
	if err := r.whole(func() { d = r.device() }); err != nil {
		return policy.Device{}, err
	}
	d.Garbled = r.garbled
	return d, nil
}

func (r *reader) device() policy.Device {
	var d policy.Device
	var own ring
	var above []ring
	for name := range r.members() {
		switch string(name) {
		case "id":
			d.ID = read(r, identifier)
		case "tenant":
			d.TenantID = r.tenant()
		case "hostname":
			d.Hostname = r.hostname()
		case "type":
			d.Type = read(r, word)
		case "lastSeenAt":
			d.LastSeenAt = read(r, instant)
		case "registeredAt":
			d.RegisteredAt = read(r, instant)
		case "online":
			d.Online = r.bool()
		case "cloned":
			d.Cloned = r.bool()
		case "tamperProtectionEnabled":
			d.Tamper = r.bool()
		case "serialNumber":
			d.SerialNumber = read(r, text)
		case "group":
			own = r.group("group")
		case "groupHierarchy":
			above = r.hierarchy()
		case "macAddresses":
			d.MACAddresses = r.macs()
		default:
			r.deviceBlock(&d, string(name))
		}
	}
	d.Groups, d.GroupsWhole = groupPath(own, above)
	return d
}

// deviceBlock reads the blocks whose fields stand flat in the facts.
func (r *reader) deviceBlock(d *policy.Device, name string) {
	switch name {
	case "os":
		r.os(d)
	case "health":
		r.health(d)
	case "isolation":
		d.Isolated = r.isolation()
	case "associatedPerson":
		r.person(d)
	default:
		r.stray("", name, "id", "tenant", "hostname", "type", "lastSeenAt", "registeredAt", "online", "cloned", "group", "groupHierarchy",
			"os", "health", "isolation", "associatedPerson")
	}
}

// hostname reads the device's name. Central's own record may bear any; what an event
// copied of it must have come whole.
func (r *reader) hostname() policy.Field[string] {
	if r.live {
		return read(r, hostname)
	}
	return readName(r, "hostname", hostname)
}

// block is object for a part of the record, noted under path where it is
// something else: not all that its fields would say shows in a field.
func (r *reader) block(path string) (isObject bool, state policy.State) {
	is, state := r.object()
	if !is && state == policy.Unreadable {
		r.garble(path)
	}
	return is, state
}

func (r *reader) tenant() policy.Field[string] {
	is, state := r.block("tenant")
	if !is {
		return policy.Field[string]{State: state}
	}
	var id policy.Field[string]
	for name := range r.members() {
		if string(name) == "id" {
			id = read(r, identifier)
			continue
		}
		r.stray("tenant", string(name), "id")
	}
	return id
}

func (r *reader) os(d *policy.Device) {
	is, state := r.block("os")
	if !is {
		d.Platform.State, d.OSName.State, d.IsServer.State, d.Build.State = state, state, state, state
		return
	}
	for name := range r.members() {
		switch string(name) {
		case "isServer":
			d.IsServer = r.bool()
		case "platform":
			d.Platform = read(r, word)
		case "name":
			d.OSName = read(r, text)
		case "build":
			d.Build = read(r, buildOf)
		default:
			r.stray("os", string(name), "isServer", "platform", "name", "build")
		}
	}
}

func (r *reader) health(d *policy.Device) {
	is, state := r.block("health")
	if !is {
		d.HealthOverall.State, d.HealthThreats.State = state, state
		return
	}
	known, strange := false, false
	for name := range r.members() {
		switch string(name) {
		case "overall":
			d.HealthOverall, known = read(r, word), true
		case "threats":
			d.HealthThreats, known = r.healthStatus("health.threats"), true
		case "services":
			known = true
			d.BadServices = r.services()
		default:
			strange = true
			r.stray("health", string(name), "overall", "threats")
		}
	}
	if strange && !known { // a block of another shape
		d.HealthOverall.State = policy.Unreadable
	}
}

// healthStatus reads the status of one part of the health.
func (r *reader) healthStatus(path string) policy.Field[string] {
	is, state := r.block(path)
	if !is {
		return policy.Field[string]{State: state}
	}
	var status policy.Field[string]
	for name := range r.members() {
		if string(name) == "status" {
			status = read(r, word)
			continue
		}
		r.stray(path, string(name), "status")
	}
	return status
}

// services reports whether the services are said to be bad. They decide nothing:
// Central's overall health counts them.
func (r *reader) services() (bad bool) {
	if r.peek() != '{' {
		r.skip()
		return false
	}
	for name := range r.members() {
		if string(name) == "status" {
			bad = read(r, word).Value == "bad"
			continue
		}
		r.skip()
	}
	return bad
}

// isolation is true as soon as one of its three signs says so. Otherwise one
// sign that can't be read, or a block of which no part is known, leaves it open.
func (r *reader) isolation() policy.Field[bool] {
	is, state := r.block("isolation")
	if !is {
		return policy.Field[bool]{State: state}
	}
	var signs []policy.Field[bool]
	known, empty := false, true
	for name := range r.members() {
		empty = false
		switch string(name) {
		case "status":
			signs = append(signs, read(r, isolationStatus))
		case "adminIsolated", "selfIsolated":
			signs = append(signs, r.bool())
		default:
			r.stray("isolation", string(name), "status", "adminIsolated", "selfIsolated")
			continue
		}
		known = true
	}
	if !known && !empty {
		return policy.Garbled[bool]()
	}
	return anyTrue(signs)
}

func isolationStatus(s scalar) (isolated, ok bool) {
	switch w, _ := word(s); w {
	case "isolated":
		return true, true
	case "notisolated":
		return false, true
	}
	return false, false
}

// anyTrue is true if one is, else unreadable if one is, else false if one is.
func anyTrue(signs []policy.Field[bool]) policy.Field[bool] {
	var all policy.Field[bool]
	for _, s := range signs {
		switch {
		case s.Known() && s.Value:
			return s
		case s.State == policy.Unreadable:
			all = s
		case s.Known() && all.State == policy.Absent:
			all = s
		}
	}
	return all
}

func (r *reader) person(d *policy.Device) {
	is, state := r.block("associatedPerson")
	if !is {
		d.PersonID.State, d.PersonName.State, d.ViaLogin.State = state, state, state
		return
	}
	for name := range r.members() {
		switch string(name) {
		case "id":
			d.PersonID = read(r, text)
		case "name":
			d.PersonName = readName(r, "associatedPerson.name", text)
		case "viaLogin":
			d.ViaLogin = readName(r, "associatedPerson.viaLogin", text)
		default:
			r.stray("associatedPerson", string(name), "name", "viaLogin")
		}
	}
}

// undamaged is a text that came whole, in which question marks may be meant.
func undamaged(s scalar) (string, bool) {
	t, ok := text(s)
	return t, ok && LostLetters(t) == ""
}

// macs reads what it can: the addresses help to recognise a device that comes
// back and decide nothing, so what is unreadable among them is passed over.
func (r *reader) macs() []string {
	if r.peek() != '[' {
		r.skip()
		return nil
	}
	r.token() // [
	var macs []string
	for r.err == nil && r.peek() != ']' {
		f := read(r, text)
		if f.Known() && len(macs) < maxMACs {
			macs = append(macs, strings.ToUpper(f.Value))
		}
	}
	r.token() // ]
	return macs
}
