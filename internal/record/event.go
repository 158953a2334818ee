package record

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/policy"
)

// maxMembers is how many groups a memberOf may list.
const maxMembers = 2000

// ParseEvent reads the event object. The only error is one that wraps
// ErrNotObject; whatever a field holds is told by its state, or by its path in
// Garbled where no field shows it.
func ParseEvent(raw []byte) (policy.Event, error) {
	r := newReader(raw, false)
	var e policy.Event
	if err := r.whole(func() { e = r.event() }); err != nil {
		return policy.Event{}, err
	}
	e.Garbled, e.Notes = r.garbled, r.notes
	return e, nil
}

func (r *reader) event() policy.Event {
	var e policy.Event
	for name := range r.members() {
		switch string(name) {
		case "observedAt":
			e.ObservedAt = read(r, instant)
		case "directory":
			e.Directory = r.directory()
		case "owner":
			e.Owner = r.owner()
		case "central":
			e.Central = r.central()
		default:
			r.stray("", string(name), "observedAt", "directory", "owner", "central")
		}
	}
	return e
}

// directory reads the computer's account. One that is no object was given, so
// it counts as present, and as garbled.
func (r *reader) directory() policy.Directory {
	var d policy.Directory
	is, state := r.object()
	if !is {
		if state == policy.Unreadable {
			d.Present = true
			r.garble("directory")
		}
		return d
	}
	for name := range r.members() {
		d.Present = true
		r.directoryField(&d, string(name))
	}
	return d
}

func (r *reader) directoryField(d *policy.Directory, name string) {
	switch name {
	case "hostname":
		d.Hostname = readName(r, "directory.hostname", hostname)
	case "domain":
		d.Domain = readName(r, "directory.domain", hostname)
	case "distinguishedName":
		d.DistinguishedName = readName(r, "directory.distinguishedName", distinguished)
	case "operatingSystem":
		d.OperatingSystem = read(r, text)
	case "operatingSystemVersion":
		d.OperatingSystemVersion = read(r, buildOf)
	case "operatingSystemBuildNumber":
		d.OperatingSystemBuildNumber = read(r, buildOf)
	case "enabled":
		d.Enabled = r.bool()
	case "disabledAt":
		d.DisabledAt = read(r, instant)
	case "memberOf":
		d.MemberOf = r.memberOf("directory.memberOf")
	case "managedBy":
		d.ManagedBy, d.ManagedByDN = r.managedBy()
	case "primaryGroupId":
		d.PrimaryGroupID = read(r, wholeNumber)
	case "userAccountControl":
		d.UserAccountControl = read(r, wholeNumber)
	case "objectGuid":
		r.skip()
	default:
		r.stray("directory", name, directoryNames()...)
	}
}

// directoryNames are the directory's fields that decide something.
func directoryNames() []string {
	return []string{"hostname", "domain", "distinguishedName", "operatingSystem", "operatingSystemVersion", "operatingSystemBuildNumber",
		"enabled", "disabledAt", "memberOf", "managedBy", "primaryGroupId", "userAccountControl"}
}

// managedBy reads a login, a UPN or a DN. No login holds an equals sign, so one
// that does and is no DN is nothing at all.
func (r *reader) managedBy() (policy.Field[string], policy.Field[policy.DN]) {
	name := readName(r, "directory.managedBy", longText)
	if !name.Known() || !strings.Contains(name.Value, "=") {
		return name, policy.Field[policy.DN]{}
	}
	dn, err := ParseDN(name.Value)
	if err != nil {
		return policy.Garbled[string](), policy.Garbled[policy.DN]()
	}
	return name, policy.Is(dn)
}

// owner reads the user. One that is no object says nothing of the user, so its
// fields are unreadable too.
func (r *reader) owner() policy.Owner {
	var o policy.Owner
	is, state := r.object()
	if !is {
		if state == policy.Unreadable {
			o.Login, o.MemberOf = policy.Garbled[string](), policy.Garbled[[]policy.DN]()
			r.garble("owner")
		}
		return o
	}
	for name := range r.members() {
		switch string(name) {
		case "login":
			o.Login = readName(r, "owner.login", text)
		case "memberOf":
			o.MemberOf = r.memberOf("owner.memberOf")
		default:
			r.stray("owner", string(name), "login", "memberOf")
		}
	}
	return o
}

// central reads Central's record as the search found it.
func (r *reader) central() policy.Device {
	is, state := r.object()
	if !is {
		if state == policy.Unreadable {
			r.garble("central")
		}
		return policy.Device{}
	}
	faults, notes := len(r.garbled), len(r.notes)
	d := r.device()
	for i := faults; i < len(r.garbled); i++ {
		r.garbled[i] = "central." + r.garbled[i]
	}
	for i := notes; i < len(r.notes); i++ {
		r.notes[i] = "central." + r.notes[i]
	}
	return d
}

// memberOf reads a list of DNs, one DN, or a string that holds a JSON list. One
// member that can't be read makes the whole unreadable: it may be the group
// that matters. A list without members is given and says that there are none.
func (r *reader) memberOf(path string) policy.Field[[]policy.DN] {
	if r.peek() == '[' {
		return r.groupList(path)
	}
	s := r.scalar()
	switch {
	case s.state != policy.Given:
		return policy.Field[[]policy.DN]{State: s.state}
	case s.blank():
		return policy.Field[[]policy.DN]{}
	case strings.HasPrefix(s.text, "["):
		return r.listIn(path, s.text)
	}
	dn, ok := r.member(path, s)
	if !ok {
		return policy.Garbled[[]policy.DN]()
	}
	return policy.Is([]policy.DN{dn})
}

// groupList reads the list at hand to its end, even when a member is unreadable.
func (r *reader) groupList(path string) policy.Field[[]policy.DN] {
	r.token() // [
	dns, readable := []policy.DN{}, true
	for r.err == nil && r.peek() != ']' {
		s := r.scalar()
		if !readable || len(dns) == maxMembers {
			readable = false
			continue
		}
		dn, ok := r.member(path, s)
		readable = ok
		dns = append(dns, dn)
	}
	r.token() // ]
	if !readable {
		return policy.Garbled[[]policy.DN]()
	}
	return policy.Is(dns)
}

// listIn reads a JSON list that came as a string.
func (r *reader) listIn(path, s string) policy.Field[[]policy.DN] {
	inner := newReader([]byte(s), false)
	if inner.peek() != '[' {
		return policy.Garbled[[]policy.DN]()
	}
	f := inner.groupList(path)
	r.notes = append(r.notes, inner.notes...)
	if _, err := inner.dec.ReadToken(); inner.err != nil || !errors.Is(err, io.EOF) {
		return policy.Garbled[[]policy.DN]()
	}
	return f
}

// member is one group. A string that holds several DNs is none.
func (r *reader) member(path string, s scalar) (policy.DN, bool) {
	if r.damaged(path, s) {
		return nil, false
	}
	dn, ok := distinguished(s)
	if !ok || joined(dn) {
		return nil, false
	}
	return dn, true
}

func distinguished(s scalar) (policy.DN, bool) {
	if s.kind != '"' {
		return nil, false
	}
	dn, err := ParseDN(s.text)
	return dn, err == nil
}

func hostname(s scalar) (string, bool) {
	if s.kind != '"' || tooLong(s.text, maxText) {
		return "", false
	}
	return Hostname(s.text)
}

func identifier(s scalar) (string, bool) {
	if s.kind != '"' {
		return "", false
	}
	return ID(s.text)
}

// instant takes numbers and strings alike; the words true and false are no time.
func instant(s scalar) (time.Time, bool) { return ParseTime(s.text) }

// wholeNumber reads digits, also in hexadecimal (0x1002).
func wholeNumber(s scalar) (int, bool) {
	text := strings.ToLower(s.text)
	base := 10
	if hex, ok := strings.CutPrefix(text, "0x"); ok {
		text, base = hex, 16
	}
	n, err := strconv.ParseUint(text, base, 32)
	return int(n), err == nil
}

func buildOf(s scalar) (int, bool) { return ParseBuild(s.text) }

// longText is a text that may be as long as a DN.
func longText(s scalar) (string, bool) {
	if s.kind != '"' || !clean(s.text) || tooLong(s.text, maxDN) {
		return "", false
	}
	return s.text, true
}
