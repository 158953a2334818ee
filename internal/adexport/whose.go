package adexport

import (
	"regexp"
	"slices"
	"strings"

	"rollcall/internal/policy"
	"rollcall/internal/record"
)

// mangled is what AD puts behind the name of an object that conflicts with another
// or was deleted, as it stands in a distinguished name.
var mangled = regexp.MustCompile(`(?i)\\0A(CNF|DEL):[0-9a-f-]*`)

// nameAttributes are those that hold a name of the account, beside the distinguished
// name.
func nameAttributes() []string { return []string{"name", "cn", "samaccountname", "dnshostname"} }

// isName reports the attributes that may hold a name of the account.
func isName(attribute string) bool {
	return attribute == "distinguishedname" || slices.Contains(nameAttributes(), attribute)
}

// whose tells of a row that can't be read the names that it gives its account, and
// the domain. There are none where the account's own is not among them, or where one
// that is given can't be read: it may be the one that matters.
func (e entry) whose() (names []string, domainName string) {
	own := false
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
			if _, ok := record.Hostname(name); !ok || !whole(name) || typeName(name) || isDN(name) {
				return nil, domainName
			}
			names, own = append(names, name), own || attribute == "name" || attribute == "cn"
		}
	}
	if !own || e.nameless {
		return nil, domainName
	}
	return names, domainName
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
