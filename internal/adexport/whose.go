package adexport

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"rollcall/internal/policy"
	"rollcall/internal/record"
)

// mangled is what AD puts behind the name of an object that conflicts with another
// or was deleted, as it stands in a distinguished name.
var mangled = regexp.MustCompile(`(?i)(\\0A|\n)(CNF|DEL):[0-9a-f-]*`)

// mark is which of the two AD has put behind the account's own name; empty = none.
func (e entry) mark() string {
	for _, value := range e.values["distinguishedname"] {
		own, _, _ := strings.Cut(value, ",")
		if m := mangled.FindStringSubmatch(own); m != nil {
			return strings.ToUpper(m[2])
		}
	}
	return ""
}

// deletion reports an account that AD has deleted, which nobody uses: its distinguished
// name says so. An attribute that says it alone may be another's, of a row that slipped.
func (e entry) deletion() (deleted bool, contradicts error) {
	said, err := e.yes("isdeleted")
	if e.mark() == "DEL" {
		return true, nil
	}
	if err != nil || said == nil || !*said {
		return false, nil //nolint:nilerr // what it says of an account that is there matters nothing
	}
	return false, errors.New("isDeleted is True, and the distinguished name is none of a deleted object")
}

// disabledConflict reports an object that AD holds as a conflict, and that is disabled.
func (e entry) disabledConflict() bool {
	state, err := e.enabled()
	return e.mark() == "CNF" && err == nil && state != nil && !*state
}

// nameAttributes are those that hold a name of the account, beside the distinguished
// name.
func nameAttributes() []string { return []string{"name", "cn", "samaccountname", "dnshostname"} }

// isName reports the attributes that may hold a name of the account.
func isName(attribute string) bool {
	return attribute == "distinguishedname" || slices.Contains(nameAttributes(), attribute)
}

// whose tells of a row that can't be read the names that it gives its account, and
// the domain. They are not all where the account's own is not among them, or where one
// that is given can't be read: it may be the one that matters.
func (e entry) whose() (names []string, all bool, domainName string) {
	own, lost := false, e.nameless
	if dn, ok := e.lenientDN(); ok {
		_, name, _ := strings.Cut(dn[0][0], "=")
		names, own, domainName = []string{name}, true, domain(dn)
	}
	for _, attribute := range nameAttributes() {
		for _, value := range e.values[attribute] {
			name, _, _ := strings.Cut(strings.TrimSpace(value), "\n") // what AD adds to a name stands behind a line end
			if name == "" {
				continue
			}
			if _, ok := record.Hostname(name); !ok || damage(attribute, name) != "" || typeName(name) || isDN(name) {
				lost = true
				continue
			}
			names, own = append(names, name), own || attribute == "name" || attribute == "cn"
		}
	}
	return names, own && !lost, domainName
}

// tells puts into a fault whose row it is.
func (e entry) tells(f *Fault) *Fault {
	names, all, domain := e.whose()
	if f.Domain = domain; all {
		f.Names = names
	} else {
		f.Some = names
	}
	return f
}

// isDN reports a distinguished name with its domain: where a name should stand, the
// cells of the row stand under the names of others.
func isDN(s string) bool {
	dn, err := dnOf(s)
	return err == nil && domain(dn) != ""
}

// lenientDN is the distinguished name, also that of an object which conflicts with
// another: AD keeps such accounts, and a machine may be using one.
func (e entry) lenientDN() (policy.DN, bool) {
	value, err := e.one("distinguishedname")
	if err != nil {
		return nil, false
	}
	dn, err := dnOf(mangled.ReplaceAllString(value, ""))
	return dn, err == nil
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
