package policy

import (
	"slices"
	"strings"
	"unicode"
)

// person is a user as one text names them: a login (CORPEX\ceo), a UPN
// (ceo@corp.example.test), a DN, a canonical name (corp.example.test/Users/ceo) or a
// bare name. It serves protection, which matches widely: an empty domain is any domain.
type person struct {
	domain string // DNS name; empty where the text names none, or one that the policy doesn't know
	user   string // the words of the user part, sorted, with blanks between them
}

// may reports whether two persons may be one.
func (a person) may(b person) bool {
	return a.user != "" && a.user == b.user && (a.domain == "" || b.domain == "" || a.domain == b.domain)
}

// domainNames are the DNS names of the domains that a policy knows, by each of their
// names: those of its map and of its OUs.
type domainNames map[string]string

func (p Params) domainNames() domainNames {
	known := domainNames{}
	for _, ou := range p.DisabledOUs {
		dns := Loose(ou.domain())
		known[dns] = dns
	}
	for netbios, dns := range p.Domains {
		dns = Loose(dns)
		known[dns], known[Loose(netbios)] = dns, dns
	}
	return known
}

// of is a domain's DNS name where the policy knows it; else it is empty, for it may be
// another name of any.
func (n domainNames) of(name string) string {
	return n[strings.Trim(strings.TrimSpace(name), ".")]
}

// personsOf reads all persons that a text may name. A text such as
// CORPEX\ceo@corp.example.test or "Chief Person (CORPEX\ceo)" names more than one.
func (n domainNames) personsOf(text string) []person {
	s := Loose(text)
	if before, inner, ok := strings.Cut(s, "("); ok {
		return append(n.personsOf(before), n.personsOf(strings.TrimSuffix(strings.TrimSpace(inner), ")"))...)
	}
	if strings.Contains(s, "=") {
		return []person{n.personOfDN(s)}
	}
	domain, user := splitLogin(s)
	if name, suffix, ok := cutLast(user, "@"); ok {
		out := []person{{n.of(suffix), words(name)}}
		if domain != "" {
			out = append(out, person{n.of(domain), words(name)})
		}
		if guest, _, ok := strings.Cut(name, "#ext#"); ok { // a guest's UPN holds the one of their home
			if home, suffix, ok := cutLast(guest, "_"); ok {
				out = append(out, person{n.of(suffix), words(home)})
			}
		}
		return out
	}
	return []person{{n.of(domain), words(user)}}
}

// personOfDN reads a DN as text roughly: its first value, and its domain.
func (n domainNames) personOfDN(s string) person {
	const comma = "\x00"
	parts := strings.Split(strings.ReplaceAll(s, `\,`, comma), ",")
	_, name, _ := strings.Cut(parts[0], "=")
	var labels []string
	for _, part := range parts {
		if label, ok := strings.CutPrefix(strings.TrimSpace(part), "dc="); ok {
			labels = append(labels, strings.TrimSpace(label))
		}
	}
	return person{n.of(strings.Join(labels, ".")), words(name)}
}

// splitLogin splits a login at its first and last backslash; one with slashes in
// their place is the same login. What stands before a bar is a claim's type.
func splitLogin(s string) (domain, user string) {
	if _, claim, ok := cutLast(s, "|"); ok {
		s = claim
	}
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == '\\' || r == '/' || r == ':' })
	switch len(parts) {
	case 0:
		return "", ""
	case 1:
		return "", parts[0]
	}
	return strings.TrimSpace(parts[0]), parts[len(parts)-1]
}

// cutLast is strings.Cut at the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// words are the letters and digits of a name, word by word, each once and sorted:
// "Person, Chief" and "chief.person" are alike.
func words(name string) string { return strings.Join(wordsOf(name), " ") }

func wordsOf(name string) []string {
	all := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
	slices.Sort(all)
	return slices.Compact(all)
}

// vipPersons are the persons whom the policy names.
func (n domainNames) vipPersons(v VIP) []person {
	var out []person
	for _, u := range v.Users {
		out = append(out, n.personsOf(u)...)
	}
	for _, dn := range v.Persons {
		out = append(out, person{n.of(Loose(dn.domain())), words(Loose(dn.common()))})
	}
	return out
}

// SamePerson reports whether two names may be of one person, so that an approval by
// the one is no second person's. The user parts are compared as sets of words, and
// where one set holds the other they are one: CORPEX\ann, ann@corp.example.test and
// "Ann (IT)" are. A name without a word in it may be anybody's.
func SamePerson(a, b string) bool {
	x, y := approverWords(a), approverWords(b)
	if len(x) > len(y) {
		x, y = y, x
	}
	return !slices.ContainsFunc(x, func(w string) bool { return !slices.Contains(y, w) })
}

// approverWords are the words of a name's user part.
func approverWords(name string) []string {
	s := Loose(name)
	if strings.Contains(s, "=") {
		first, _, _ := strings.Cut(strings.ReplaceAll(s, `\,`, " "), ",")
		_, s, _ = strings.Cut(first, "=")
	}
	_, user := splitLogin(s)
	if before, _, ok := cutLast(user, "@"); ok {
		user = before
	}
	return wordsOf(user)
}
