package policy

import (
	"encoding/hex"
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

// namedIn reads all persons that a text of a record may name: as a whole, and each of its
// pieces, since people write "Chief Person (CORPEX\ceo)", "ceo; j.doe" or "ceo - left".
func (n domainNames) namedIn(text string) []person {
	s := Loose(text)
	out := n.personsOf(s)
	for _, apart := range []string{" - ", " / ", " | "} {
		s = strings.ReplaceAll(s, apart, ";")
	}
	pieces := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(`<>[]();&|"`, r) })
	for _, piece := range pieces {
		out = append(out, n.personsOf(piece)...)
		for word := range strings.FieldsFuncSeq(piece, func(r rune) bool { return r == ' ' || r == ',' }) {
			if strings.ContainsAny(word, `\/@`) {
				out = append(out, n.personsOf(word)...)
			}
		}
	}
	return out
}

// personsOf reads the persons that one name stands for. A name such as
// CORPEX\ceo@corp.example.test stands for one of either domain.
func (n domainNames) personsOf(text string) []person {
	s := Loose(text)
	if strings.Contains(s, "=") {
		return []person{n.personOfDN(s)}
	}
	domain, user := splitLogin(s)
	name, suffix, ok := cutLast(user, "@")
	if !ok {
		return []person{{n.of(domain), words(user)}}
	}
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

// personOfDN reads a DN as text roughly: its first value, and its domain.
func (n domainNames) personOfDN(s string) person {
	parts := strings.Split(unescaped(s), ",")
	_, name, _ := strings.Cut(parts[0], "=")
	name, _, _ = strings.Cut(name, "+") // of a name with several values the first
	var labels []string
	for _, part := range parts {
		if label, ok := strings.CutPrefix(strings.TrimSpace(part), "dc="); ok {
			labels = append(labels, strings.TrimSpace(label))
		}
	}
	return person{n.of(strings.Join(labels, ".")), words(name)}
}

// personOf reads a DN; its first value names the person, whatever its type.
func (n domainNames) personOf(dn DN) person {
	if len(dn) == 0 || len(dn[0]) == 0 {
		return person{}
	}
	_, name, _ := strings.Cut(dn[0][0], "=")
	return person{n.of(Loose(dn.domain())), words(name)}
}

// unescaped takes the escapes of a DN away. A sign that would part its values becomes a
// blank, which parts words as well.
func unescaped(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		if b, err := hex.DecodeString(s[i+1 : min(i+3, len(s))]); err == nil && len(b) == 1 {
			out, i = append(out, b[0]), i+2
			continue
		}
		out, i = append(out, ' '), i+1
	}
	return Loose(string(out))
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
	all := wordsInOrder(name)
	slices.Sort(all)
	return slices.Compact(all)
}

// wordsInOrder are the words of a name as they stand, without accents, which people leave
// out.
func wordsInOrder(name string) []string {
	return strings.FieldsFunc(unaccented(name), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// vipPersons are the persons whom the policy names.
func (n domainNames) vipPersons(v VIP) []person {
	var out []person
	for _, u := range v.Users {
		out = append(out, n.personsOf(u)...)
	}
	for _, dn := range v.Persons {
		out = append(out, n.personOf(dn))
	}
	return out
}

// SamePerson reports whether two names may be of one person, so that an approval by
// the one is no second person's. The user parts are compared as sets of words, and
// where one set holds the other they are one: CORPEX\ann, ann@corp.example.test and
// "Ann (IT)" are. A name without a word in it may be anybody's.
func SamePerson(a, b string) bool {
	x, y := approverWords(a), approverWords(b)
	if strings.Join(x, "") == strings.Join(y, "") { // ann.smith and annsmith
		return true
	}
	if len(x) > len(y) {
		x, y = y, x
	}
	return !slices.ContainsFunc(x, func(w string) bool { return !slices.Contains(y, w) })
}

// approverWords are the words of a name's user part.
func approverWords(name string) []string {
	s := Loose(name)
	if strings.Contains(s, "=") {
		first, _, _ := strings.Cut(unescaped(s), ",")
		_, s, _ = strings.Cut(first, "=")
	}
	_, user := splitLogin(s)
	if before, _, ok := cutLast(user, "@"); ok {
		user = before
	}
	return wordsInOrder(user)
}
