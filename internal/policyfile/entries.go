package policyfile

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"rollcall/internal/policy"
	"rollcall/internal/record"
)

// An entry that protects must be able to match something: one that never does leaves
// without protection what it was written for. So each is a fault that says what would
// match.

var (
	regularExpression = regexp.MustCompile(`\.\*|\.\+|\\[dwsb]|^\^|\$$|[(|)+{}]`)
	likeID            = regexp.MustCompile(`^[0-9a-f*?\[\]-]+$`)
	sid               = regexp.MustCompile(`(?i)^S-1-\d+(-\d+)+$`)
)

// hostGlobs reads globs of host names, which are compared with the name alone.
func (c *checker) hostGlobs(dst *[]string) func(at) {
	return c.globs(dst, func(glob string) string {
		bare := hostOf(glob)
		switch {
		case strings.ContainsAny(glob, ",;"):
			return "holds several names; give each an entry of its own"
		case strings.Contains(glob, "="):
			return "is no host name: OUs go to exclusions.ous, people to vip.users"
		case strings.Contains(glob, "%"):
			return "is no glob: the sign for any letters is *, as in " + quote(strings.ReplaceAll(bare, "%", "*"))
		case regularExpression.MatchString(glob) && !strings.HasSuffix(glob, "$"):
			return "is a regular expression, and a glob is wanted: " + quote(bare)
		case strings.Contains(glob, `\`):
			return `holds a backslash: name the host alone, ` + quote(bare)
		case strings.Contains(glob, "."):
			return "holds a domain, and host names are compared without: " + quote(bare)
		case strings.Contains(glob, "$"):
			return "ends in the $ of a computer's account, and host names are compared without: " + quote(bare)
		}
		return record.LostLetters(glob)
	})
}

// hostOf makes of what was probably meant a glob that can match.
func hostOf(glob string) string {
	s := strings.NewReplacer(".*", "*", ".+", "*", `\d+`, "*", `\d`, "?", `\w+`, "*", `\.`, ".", "(", "", ")", "", "|", "", "^", "", "$", "", "{", "", "}", "", "+", "").Replace(glob)
	if i := strings.LastIndexAny(s, `\/`); i >= 0 {
		s = s[i+1:]
	}
	if name, _, _ := strings.Cut(s, "."); name != "" {
		s = name
	}
	return s
}

// endpointIDs reads globs of Central's ids of devices.
func (c *checker) endpointIDs(dst *[]string) func(at) {
	return c.each(func(item at) {
		s, ok := c.text(item)
		if !ok {
			return
		}
		if id, ok := record.ID(s); ok {
			*dst = append(*dst, id)
			return
		}
		glob := strings.ToLower(s)
		_, err := path.Match(glob, "")
		if err != nil || !likeID.MatchString(glob) || !strings.ContainsAny(glob, "*?[") {
			c.fault(item, "is no id of a device in Central, which is a UUID such as 6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3 "+
				"(host names go to hostnames)")
			return
		}
		*dst = append(*dst, glob)
	})
}

// groupGlobs reads globs of the names and ids of Central's groups.
func (c *checker) groupGlobs(dst *[]string) func(at) {
	return c.globs(dst, func(glob string) string {
		switch {
		case strings.Contains(glob, "dc="):
			return "is a DN of AD; name a group of Central's, such as \"Shared Lab\" (computers of an AD group: protectedGroups)"
		case strings.Contains(glob, ".*"), strings.HasPrefix(glob, "^"), strings.HasSuffix(glob, "$"):
			return "is a regular expression, and a glob is wanted: " + quote(strings.Trim(strings.ReplaceAll(glob, ".*", "*"), "^$"))
		}
		return record.LostLetters(glob)
	})
}

// groups reads the DNs of AD's groups.
func (c *checker) groups(dst *[]policy.DN) func(at) {
	return c.each(func(item at) {
		if dn, ok := c.wholeDN(item, "CN=VIP,OU=Groups,DC=corp,DC=example,DC=test"); ok {
			if strings.HasPrefix(dn[0][0], "ou=") {
				c.fault(item, "is an OU, and a group is wanted: CN=VIP,%s", item.node.Value)
				return
			}
			*dst = append(*dst, dn)
		}
	})
}

// ous reads the DNs of OUs.
func (c *checker) ous(dst *[]policy.DN) func(at) {
	return c.each(func(item at) {
		if dn, ok := c.wholeDN(item, "OU=Lab,OU=Disabled,DC=corp,DC=example,DC=test"); ok {
			*dst = append(*dst, dn)
			c.places = append(c.places, place{item, dn})
		}
	})
}

// place is an OU of an exclusion, which must be in a domain of the disabled OUs.
type place struct {
	at at
	dn policy.DN
}

// wholeDN reads a DN that ends in its domain, such as like.
func (c *checker) wholeDN(v at, like string) (policy.DN, bool) {
	s, ok := c.text(v)
	if !ok {
		return nil, false
	}
	if why := record.Damage(s); why != "" {
		c.fault(v, "can't match: %s", why)
		return nil, false
	}
	dn, err := record.ParseDN(s)
	switch {
	case err != nil:
		c.fault(v, "must be a distinguished name such as %s: %v", like, err)
	case !isDC(dn[len(dn)-1]) && isDC(dn[0]):
		c.fault(v, "stands back to front: the DC parts come last, as in %s", like)
	case !isDC(dn[len(dn)-1]):
		c.fault(v, "lacks the DC parts of its domain: %s,DC=corp,DC=example,DC=test", s)
	case joinedDN(dn):
		c.fault(v, "holds several names; give each an entry of its own")
	default:
		return dn, true
	}
	return nil, false
}

func isDC(rdn []string) bool { return strings.HasPrefix(rdn[0], "dc=") }

// joinedDN reports a DN in which something follows the domain.
func joinedDN(dn policy.DN) bool {
	first := slices.IndexFunc(dn, isDC)
	return slices.ContainsFunc(dn[first:], func(rdn []string) bool { return !isDC(rdn) })
}

// person reads one name of a person: a login, a UPN or a DN.
func (c *checker) person(item at) {
	s, ok := c.text(item)
	if !ok {
		return
	}
	p := &c.params.VIP
	if strings.Contains(s, "=") {
		if dn, ok := c.wholeDN(item, "CN=Chief Person,OU=Users,DC=corp,DC=example,DC=test"); ok {
			if strings.HasPrefix(dn[0][0], "ou=") {
				c.fault(item, "is an OU, and a person is wanted: CN=...,%s", s)
				return
			}
			p.Persons = append(p.Persons, dn)
		}
		return
	}
	if why := notAPerson(s); why != "" {
		c.fault(item, "%s", why)
		return
	}
	p.Users = append(p.Users, strings.ToLower(s))
	c.logins = append(c.logins, item)
}

// notAPerson says why a text is no login or UPN that can match.
func notAPerson(s string) string {
	domain, user := loginParts(s)
	switch {
	case record.Damage(s) != "" && !strings.ContainsAny(s, "*?"):
		return "can't match: " + record.Damage(s)
	case strings.ContainsAny(s, "*?[]|^"):
		return "is a pattern, and names of people are compared whole: name each, or their group in vip.groups"
	case strings.Contains(s, ";"), strings.Contains(s, ",") && strings.ContainsAny(s, `\@`):
		return "holds several names; give each an entry of its own"
	case strings.HasSuffix(s, "$"):
		return "is a computer's account; its host name goes to vip.hostnames"
	case sid.MatchString(s):
		return `is a SID, which no source shows; write the login, such as CORPEX\ceo`
	case user == "":
		return `names no user; write CORPEX\ceo, ceo@corp.example.test or the DN`
	case domain == "." || strings.Contains(domain, " "):
		return `names no domain; write CORPEX\ceo, ceo@corp.example.test or the DN`
	}
	return ""
}

// loginParts splits a login to tell what is wrong with it. The policy itself reads logins
// in two other ways: widely where a name protects, and strictly where it permits. A UPN's
// domain is not looked at.
func loginParts(s string) (domain, user string) {
	s = strings.ReplaceAll(s, "/", `\`)
	domain, user, ok := strings.Cut(s, `\`)
	if !ok {
		name, _, _ := strings.Cut(s, "@")
		return "", strings.TrimSpace(name)
	}
	return strings.TrimSpace(domain), strings.Trim(user, `\ `)
}

// related checks what only the whole file can tell: that the NetBIOS domains of people
// are mapped, and that OUs of exclusions are where devices can be deleted at all.
func (c *checker) related() {
	for _, item := range c.logins {
		domain, _ := loginParts(item.node.Value)
		if _, ok := c.params.Domains[strings.ToUpper(domain)]; !ok && domain != "" && !strings.Contains(domain, ".") {
			c.fault(item, "is of the NetBIOS domain %s, which domains does not map: add %s: corp.example.test (its DNS name) there", domain, strings.ToUpper(domain))
		}
	}
	for _, p := range c.places {
		if len(c.params.DisabledOUs) > 0 && !slices.ContainsFunc(c.params.DisabledOUs, func(ou policy.DN) bool { return ou.SameDomain(p.dn) }) {
			c.fault(p.at, "is in another domain than every OU of disabledOUs, where nothing is ever deleted: it should end as %s does", c.params.DisabledOUs[0])
		}
	}
}

func quote(s string) string { return `"` + s + `"` }

// each makes a reader of a list of one of its items.
func (c *checker) each(read func(at)) func(at) { return func(v at) { c.list(v, read) } }

// persons reads vip.users: one name each, or a list of the names of one person.
func (c *checker) persons(v at) {
	c.list(v, func(item at) {
		if item.node.Kind == yaml.SequenceNode {
			c.list(item, c.person)
			return
		}
		c.person(item)
	})
}
