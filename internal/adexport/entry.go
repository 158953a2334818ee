package adexport

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

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
	others   bool // it holds more than what is read
}

func newEntry(line int) entry { return entry{line: line, values: map[string][]string{}} }

// wanted reports which attributes are read, by their names in lower case.
func wanted(when string) func(string) bool {
	others := []string{
		"enabled", "accountisdisabled", "useraccountcontrol", "primarygroupid", "operatingsystem", "operatingsystemversion", "managedby", "memberof",
		"objectguid", "objectclass", "isdeleted", "lastlogon", "lastlogontimestamp", "lastlogondate", when,
	}
	return func(name string) bool { return isName(name) || slices.Contains(others, name) }
}

// fault is a fault of this row.
func (e entry) fault(format string, a ...any) *Fault {
	return e.tells(&Fault{Line: e.line, Problem: fmt.Sprintf(format, a...)})
}

// row makes the account of it.
func (e entry) row(when string) (Row, error) {
	row := Row{Line: e.line}
	deleted, contradicts := e.deletion()
	switch foreign := e.foreign(); {
	case foreign && e.slipped(): // its class is not said, or its name is not
		_, named := e.lenientDN()
		e.nameless = e.nameless || !named
		return Row{}, e.fault("objectClass is no computer's, and the row holds what only a computer has")
	case contradicts != nil:
		return Row{}, e.fault("%s", contradicts)
	case foreign, deleted, e.disabledConflict():
		row.Foreign = true
		return row, nil
	}
	if err := e.fill(&row, when); err != nil {
		return Row{}, e.fault("%s", err)
	}
	if field, why := unreadable(row.Directory); field != "" {
		return Row{}, e.fault("%s can't be read%s", field, why)
	}
	return row, nil
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
	if err = e.numbers(d); err != nil {
		return err
	}
	d.ObjectGUID = e.guid()
	row.LastLogon, row.LogonUnreadable = e.lastLogon()
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
		case typeName(v):
			return "", fmt.Errorf("%s holds the name of a type in place of a value", name)
		case damage(name, v) != "":
			return "", errors.New(damage(name, v))
		case value != "" && v != value:
			return "", fmt.Errorf("%s is given twice, and differs", name)
		}
		value = v
	}
	return value, nil
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

// hostname is the account's name, which AD keeps in three places that never differ.
func (e entry) hostname(dn policy.DN) (string, error) {
	_, cn, _ := strings.Cut(dn[0][0], "=")
	found := ""
	for _, name := range []string{"name", "cn"} {
		value, err := e.one(name)
		if err != nil {
			return "", err
		}
		if value != "" && !sameName(value, cn) {
			return "", fmt.Errorf("%s is %.40q, and the distinguished name says %.40q, which AD can't say: a spreadsheet may have changed it, so export anew", name, value, cn)
		}
		found = cmp.Or(found, value)
	}
	if found == "" && strings.HasPrefix(dn[0][0], "cn=") && len(dn[0]) == 1 {
		found = cn
	}
	if found == "" {
		return "", errors.New("the account has no name")
	}
	return found, nil
}

// sameName reports whether a name is that of the distinguished name, perhaps with the
// domain behind it, as some reports have it.
func sameName(name, cn string) bool {
	short, _, _ := strings.Cut(name, ".")
	return policy.Loose(name) == policy.Loose(cn) || policy.Loose(short) == policy.Loose(cn)
}

// numbers reads what tells a domain controller.
func (e entry) numbers(d *api.Directory) error {
	for _, f := range []struct {
		name string
		to   **int
	}{{"primarygroupid", &d.PrimaryGroupID}, {"useraccountcontrol", &d.UserAccountControl}} {
		value, err := e.one(f.name)
		if err != nil || value == "" {
			if err != nil {
				return err
			}
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("%s is %.20q, no number", f.name, value)
		}
		*f.to = &n
	}
	return nil
}

// enabled is nil where none of the three attributes is given.
func (e entry) enabled() (*bool, error) {
	said, err := e.yes("enabled")
	if err != nil {
		return nil, err
	}
	disabled, err := e.yes("accountisdisabled")
	if err != nil {
		return nil, err
	}
	counted, err := e.counted()
	if err != nil {
		return nil, err
	}
	if disabled != nil {
		not := !*disabled
		disabled = &not
	}
	var state *bool
	for _, s := range []*bool{said, disabled, counted} {
		if s != nil && state != nil && *s != *state {
			return nil, errors.New("enabled and userAccountControl contradict each other")
		}
		state = cmp.Or(s, state)
	}
	return state, nil
}

// yes reads True or False; nil = not given.
func (e entry) yes(name string) (*bool, error) {
	word, err := e.one(name)
	if err != nil || word == "" {
		return nil, err
	}
	yes := strings.EqualFold(word, "true")
	if !yes && !strings.EqualFold(word, "false") {
		return nil, fmt.Errorf("%s is %.20q, neither True nor False", name, word)
	}
	return &yes, nil
}

// counted is the state that userAccountControl gives; nil = not given.
func (e entry) counted() (*bool, error) {
	number, err := e.one("useraccountcontrol")
	if err != nil || number == "" {
		return nil, err
	}
	flags, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("userAccountControl is %.20q, no number", number)
	}
	yes := flags&accountDisabled == 0
	return &yes, nil
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
