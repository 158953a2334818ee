package adexport

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"rollcall/api"
	"rollcall/internal/policy"
	"rollcall/internal/record"
)

// accountDisabled is the bit of userAccountControl that says so.
const accountDisabled = 2

// entry is a row before anything is made of it.
type entry struct {
	line int
	// values by attribute, in lower case. An attribute that was given without any is
	// there and empty.
	values map[string][]string
	// nameless is set where a part of the row was lost that may hold a name.
	nameless bool
}

func newEntry(line int) entry { return entry{line: line, values: map[string][]string{}} }

// wanted reports which attributes are read, by their names in lower case.
func wanted(when string) func(string) bool {
	others := []string{
		"enabled", "useraccountcontrol", "operatingsystem", "operatingsystemversion", "managedby", "memberof", "objectguid", "objectclass",
		"lastlogon", "lastlogontimestamp", "lastlogondate", when,
	}
	return func(name string) bool { return isName(name) || slices.Contains(others, name) }
}

// fault is a fault of this row.
func (e entry) fault(format string, a ...any) *Fault {
	f := &Fault{Line: e.line, Problem: fmt.Sprintf(format, a...)}
	f.Names, f.Domain = e.whose()
	return f
}

// row makes the account of it.
func (e entry) row(when string) (Row, error) {
	row := Row{Line: e.line}
	switch foreign := e.foreign(); {
	case foreign && e.slipped(): // its class is not said, or its name is not
		_, named := e.lenientDN()
		e.nameless = e.nameless || !named
		return Row{}, e.fault("objectClass is no computer's, and the row holds what only a computer has")
	case foreign:
		row.Foreign = true
		return row, nil
	}
	if err := e.fill(&row, when); err != nil {
		return Row{}, e.fault("%s", err)
	}
	if field := unreadable(row.Directory); field != "" {
		return Row{}, e.fault("%s can't be read", field)
	}
	return row, nil
}

// foreign reports what is said to be something else than a computer. What is not
// said to be anything was asked for as a computer.
func (e entry) foreign() bool {
	classes := e.values["objectclass"]
	if len(classes) == 0 || typeName(classes[0]) {
		return false
	}
	return !slices.ContainsFunc(classes, func(s string) bool {
		return !whole(s) || slices.ContainsFunc(split(s), func(c string) bool { return strings.EqualFold(c, "computer") })
	})
}

// slipped reports a row that is said to be of something else than a computer, and
// looks like a computer's of which a cell was lost or came in between: the class stands
// under another name. Only accounts for services have a name in DNS as computers do.
func (e entry) slipped() bool {
	for name, values := range e.values {
		if name != "objectclass" && !isName(name) && slices.ContainsFunc(values, func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), "computer") }) {
			return true
		}
	}
	service := slices.ContainsFunc(e.values["objectclass"], func(s string) bool { return strings.HasSuffix(strings.ToLower(strings.TrimSpace(s)), "serviceaccount") })
	return !service && len(e.values["dnshostname"])+len(e.values["operatingsystem"]) > 0
}

// fill reads the attributes one by one.
func (e entry) fill(row *Row, when string) error {
	d := &row.Directory
	for _, f := range []struct {
		name string
		to   *string
	}{
		{"distinguishedname", &d.DistinguishedName}, {"dnshostname", &row.DNSHostName}, {"operatingsystem", &d.OperatingSystem},
		{"operatingsystemversion", &d.OperatingSystemVersion}, {"managedby", &d.ManagedBy}, {"samaccountname", &row.NetBIOS},
	} {
		value, err := e.one(f.name)
		if err != nil {
			return err
		}
		*f.to = value
	}
	row.NetBIOS = strings.TrimRight(row.NetBIOS, "$")
	var err error
	if row.DN, err = dnOf(d.DistinguishedName); err != nil {
		return err
	}
	if d.Domain = domain(row.DN); d.Domain == "" {
		return errors.New("the distinguished name has no DC parts, so its domain is not known")
	}
	if d.Hostname, err = e.hostname(row.DN); err != nil {
		return err
	}
	if d.Enabled, err = e.enabled(); err != nil {
		return err
	}
	if d.DisabledAt, err = e.disabledAt(when); err != nil {
		return err
	}
	d.ObjectGUID, row.LastLogon = e.guid(), e.lastLogon()
	d.MemberOf, row.Unexpanded, err = e.memberOf()
	return err
}

// one is the value of an attribute that has one; empty = not given. Two that
// differ leave open which is meant.
func (e entry) one(name string) (string, error) {
	value := ""
	for _, v := range e.values[name] {
		v = strings.TrimSpace(v)
		switch {
		case v == "":
			continue
		case !whole(v):
			return "", fmt.Errorf("%s holds damaged characters", name)
		case typeName(v):
			return "", fmt.Errorf("%s holds the name of a type in place of a value", name)
		case value != "" && v != value:
			return "", fmt.Errorf("%s is given twice, and differs", name)
		}
		value = v
	}
	return value, nil
}

// whole reports text that was not damaged when it was turned from one encoding
// into another.
func whole(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, utf8.RuneError) }

// typeName reports what PowerShell writes where it can't write a value.
func typeName(s string) bool {
	return strings.HasPrefix(s, "Microsoft.ActiveDirectory.Management.") || strings.HasPrefix(s, "System.") && strings.HasSuffix(s, "[]")
}

func dnOf(s string) (policy.DN, error) {
	if s == "" {
		return nil, errors.New("there is no distinguished name")
	}
	return record.ParseDN(s)
}

// domain joins the DC parts.
func domain(dn policy.DN) string {
	var labels []string
	for _, rdn := range dn {
		if label, ok := strings.CutPrefix(rdn[0], "dc="); ok {
			labels = append(labels, label)
		}
	}
	return strings.Join(labels, ".")
}

// hostname is the account's name, which AD keeps in three places.
func (e entry) hostname(dn policy.DN) (string, error) {
	for _, name := range []string{"name", "cn"} {
		if value, err := e.one(name); err != nil || value != "" {
			return value, err
		}
	}
	if cn, ok := strings.CutPrefix(dn[0][0], "cn="); ok && len(dn[0]) == 1 {
		return cn, nil
	}
	return "", errors.New("the account has no name")
}

// enabled is nil where neither of the two attributes is given.
func (e entry) enabled() (*bool, error) {
	word, err := e.one("enabled")
	if err != nil {
		return nil, err
	}
	number, err := e.one("useraccountcontrol")
	if err != nil {
		return nil, err
	}
	var said, counted *bool
	if word != "" {
		yes := strings.EqualFold(word, "true")
		if !yes && !strings.EqualFold(word, "false") {
			return nil, fmt.Errorf("enabled is %.20q, neither True nor False", word)
		}
		said = &yes
	}
	if number != "" {
		flags, err := strconv.ParseUint(number, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("userAccountControl is %.20q, no number", number)
		}
		yes := flags&accountDisabled == 0
		counted = &yes
	}
	switch {
	case said == nil:
		return counted, nil
	case counted != nil && *said != *counted:
		return nil, errors.New("enabled and userAccountControl contradict each other")
	}
	return said, nil
}

// disabledAt is nil where the export has no such time.
func (e entry) disabledAt(name string) (*time.Time, error) {
	text, err := e.one(name)
	if err != nil || text == "" {
		return nil, err
	}
	at, ok := instant(text)
	if !ok {
		return nil, fmt.Errorf("%s is %.40q: only times with their zone can be read, as in 2026-08-01T00:00:00Z", name, text)
	}
	return &at, nil
}

// instant reads RFC 3339 and Unix seconds, LDAP's generalized time in UTC, and
// the milliseconds that Windows PowerShell writes into JSON.
func instant(s string) (time.Time, bool) {
	if inner, ok := strings.CutPrefix(s, "/Date("); ok {
		ms, err := strconv.ParseInt(strings.TrimSuffix(inner, ")/"), 10, 64)
		if err != nil || !strings.HasSuffix(inner, ")/") {
			return time.Time{}, false
		}
		return record.ParseTime(time.UnixMilli(ms).UTC().Format(time.RFC3339Nano))
	}
	if at, err := time.Parse("20060102150405Z0700", s); err == nil { // a fraction may stand after the seconds
		return record.ParseTime(at.UTC().Format(time.RFC3339Nano))
	}
	return record.ParseTime(s)
}

// fileTimeZero is the begin of 1601, from which AD counts, in Unix seconds; and
// fileTimeSecond is how many of its ticks a second has.
const (
	fileTimeZero   = -11644473600
	fileTimeSecond = 10_000_000
)

// lastLogon is the latest of those that the export gives. What can't be read among
// them, such as a time in the words of a culture, is as if it were not there.
func (e entry) lastLogon() (last time.Time) {
	for _, name := range []string{"lastlogon", "lastlogontimestamp"} {
		for _, value := range e.values[name] {
			if ticks, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64); err == nil && ticks > 0 {
				last = later(last, time.Unix(fileTimeZero+ticks/fileTimeSecond, 0).UTC())
			}
		}
	}
	for _, value := range e.values["lastlogondate"] {
		if at, ok := instant(strings.TrimSpace(value)); ok {
			last = later(last, at)
		}
	}
	return last
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// guid is empty where there is none, or none that can be read: it decides nothing.
func (e entry) guid() string {
	values := e.values["objectguid"]
	if len(values) != 1 {
		return ""
	}
	if id, ok := record.ID(values[0]); ok {
		return id
	}
	b := []byte(values[0])
	if len(b) != 16 { // LDIF holds its bytes; the first three groups are little-endian
		return ""
	}
	slices.Reverse(b[0:4])
	slices.Reverse(b[4:6])
	slices.Reverse(b[6:8])
	return uuid.UUID(b).String()
}

// memberOf is nil where the export does not say. An empty cell does not: it is
// also what is written where nobody asked AD for the groups.
func (e entry) memberOf() (groups *[]string, unexpanded bool, err error) {
	values, given := e.values["memberof"]
	if !given {
		return nil, false, nil
	}
	out := []string{}
	for _, v := range values {
		if typeName(v) {
			return nil, true, nil
		}
		if !whole(v) {
			return nil, false, errors.New("memberOf holds damaged characters")
		}
		out = append(out, split(v)...)
	}
	return &out, false, nil
}

// split takes apart what an export joined by semicolons or line ends. A semicolon
// that is escaped belongs to a name.
func split(s string) []string {
	var out []string
	begin, escaped := 0, false
	add := func(end int) {
		if part := strings.TrimSpace(s[begin:end]); part != "" {
			out = append(out, part)
		}
	}
	for i := range len(s) {
		if c := s[i]; !escaped && (c == ';' || c == '\n' || c == '\r') {
			add(i)
			begin = i + 1
		}
		escaped = s[i] == '\\' && !escaped
	}
	add(len(s))
	return out
}

// unreadable names a field that the service would not be able to read in an event;
// empty = it reads them all. A build is left to it: there are accounts of other
// systems than Windows.
func unreadable(d api.Directory) string {
	raw, err := json.Marshal(map[string]any{"directory": d})
	if err != nil {
		return "the account"
	}
	e, err := record.ParseEvent(raw)
	if err != nil {
		return "the account"
	}
	got := e.Directory
	for _, f := range []struct {
		name  string
		state policy.State
	}{
		{"name", got.Hostname.State},
		{"the domain", got.Domain.State},
		{"distinguishedName", got.DistinguishedName.State},
		{"operatingSystem", got.OperatingSystem.State},
		{"enabled", got.Enabled.State},
		{"disabledAt", got.DisabledAt.State},
		{"memberOf", got.MemberOf.State},
		{"managedBy", got.ManagedBy.State},
		{"managedBy", got.ManagedByDN.State},
	} {
		if f.state == policy.Unreadable {
			return f.name
		}
	}
	return ""
}
