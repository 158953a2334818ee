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

// personsOf reads all persons that a text may name. A text such as
// CORPEX\ceo@corp.example.test or "Chief Person (CORPEX\ceo)" names more than one.
func (p Params) personsOf(text string) []person {
	s := Loose(text)
	if before, inner, ok := strings.Cut(s, "("); ok {
		return append(p.personsOf(before), p.personsOf(strings.TrimSuffix(strings.TrimSpace(inner), ")"))...)
	}
	if strings.Contains(s, "=") {
		return []person{p.personOfDN(s)}
	}
	domain, user := splitLogin(s)
	if name, suffix, ok := cutLast(user, "@"); ok {
		out := []person{{p.knownDomain(suffix), words(name)}}
		if domain != "" {
			out = append(out, person{p.knownDomain(domain), words(name)})
		}
		if guest, _, ok := strings.Cut(name, "#ext#"); ok { // a guest's UPN holds the one of their home
			if home, suffix, ok := cutLast(guest, "_"); ok {
				out = append(out, person{p.knownDomain(suffix), words(home)})
			}
		}
		return out
	}
	return []person{{p.knownDomain(domain), words(user)}}
}

// personOfDN reads a DN as text roughly: its first value, and its domain.
func (p Params) personOfDN(s string) person {
	const comma = "\x00"
	parts := strings.Split(strings.ReplaceAll(s, `\,`, comma), ",")
	_, name, _ := strings.Cut(parts[0], "=")
	var labels []string
	for _, part := range parts {
		if label, ok := strings.CutPrefix(strings.TrimSpace(part), "dc="); ok {
			labels = append(labels, strings.TrimSpace(label))
		}
	}
	return person{p.knownDomain(strings.Join(labels, ".")), words(name)}
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

// knownDomain is a domain's DNS name where the policy knows it; else it is empty, for
// it may be another name of any. The policy knows the domains of its map and of its OUs.
func (p Params) knownDomain(name string) string {
	name = strings.Trim(strings.TrimSpace(name), ".")
	if name == "" {
		return ""
	}
	for netbios, dns := range p.Domains {
		if dns = Loose(dns); Loose(netbios) == name || dns == name {
			return dns
		}
	}
	for _, ou := range p.DisabledOUs {
		if dns := Loose(ou.domain()); dns == name {
			return dns
		}
	}
	return ""
}

// vipPersons are the persons whom the policy names.
func (p Params) vipPersons() []person {
	var out []person
	for _, u := range p.VIP.Users {
		out = append(out, p.personsOf(u)...)
	}
	for _, dn := range p.VIP.Persons {
		out = append(out, person{p.knownDomain(Loose(dn.domain())), words(Loose(dn.common()))})
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
