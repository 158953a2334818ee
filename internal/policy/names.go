package policy

import (
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// NetBIOSLimit is where AD cuts a computer's NetBIOS name, in characters.
const NetBIOSLimit = 15

// folding makes strings alike that differ in case only. There are two: what says
// that a device may be deleted is compared by fold, what protects one by Loose.
type folding func(string) string

// fold is the strict one: letters are one only where each is the other's case.
// The dotless i, the long s and the Kelvin sign stay themselves, so that no name
// that is spelt with them passes for another.
func fold(s string) string {
	if ascii(s) {
		return strings.ToLower(s)
	}
	return strings.Map(func(r rune) rune {
		if lower := unicode.ToLower(r); unicode.ToUpper(lower) == r {
			return lower
		}
		return r
	}, s)
}

// Loose makes strings alike that an eye or AD takes for one: to protect, and to look
// for what may be one. Case, compatible forms (full width, ligatures), decomposed
// letters, marks without width and the number of blanks make no difference.
func Loose(s string) string {
	if ascii(s) {
		return strings.Join(strings.Fields(strings.ToLower(s)), " ")
	}
	s = strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cf, unicode.Cc) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, norm.NFKC.String(s))
	s = strings.ReplaceAll(strings.ToLower(strings.ToUpper(s)), "ß", "ss")
	return strings.Join(strings.Fields(norm.NFKC.String(s)), " ")
}

// unaccented is [Loose] without accents, for words that are spelt with and without.
func unaccented(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFKD.String(Loose(s)))
}

// ascii reports whether s is made of letters that fold in one way only.
func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}

// BelowLoosely reports whether the name lies below an OU, compared like [Loose].
func (d DN) BelowLoosely(ou DN) bool { return d.below(ou, Loose) }

// below reports whether the name lies below suffix: by component and strictly, so
// that the OU itself is not in it.
func (d DN) below(suffix DN, by folding) bool {
	if len(suffix) == 0 || len(d) <= len(suffix) {
		return false
	}
	return d[len(d)-len(suffix):].equal(suffix, by)
}

// equal compares two names by component; the parts of a multi-valued RDN in any
// order.
func (d DN) equal(o DN, by folding) bool {
	return slices.EqualFunc(d, o, func(a, b []string) bool {
		if len(a) == 1 && len(b) == 1 {
			return by(a[0]) == by(b[0])
		}
		return slices.Equal(by.rdn(a), by.rdn(b))
	})
}

// rdn is an RDN for comparing.
func (by folding) rdn(parts []string) []string {
	out := make([]string, len(parts))
	for i, part := range parts {
		out[i] = by(part)
	}
	slices.Sort(out)
	return out
}

// common is the value of the first RDN if it is a CN; else it is empty.
func (d DN) common() string {
	if len(d) == 0 {
		return ""
	}
	for _, part := range d[0] {
		if v, ok := strings.CutPrefix(part, "cn="); ok {
			return v
		}
	}
	return ""
}

// domain joins the name's DC components.
func (d DN) domain() string {
	var labels []string
	for _, rdn := range d {
		for _, part := range rdn {
			if v, ok := strings.CutPrefix(part, "dc="); ok {
				labels = append(labels, v)
			}
		}
	}
	return fold(strings.Join(labels, "."))
}

// Same reports whether two names are one, compared like [Loose].
func (d DN) Same(o DN) bool { return d.equal(o, Loose) }

// SameDomain reports whether two names end in the same DC components.
func (d DN) SameDomain(o DN) bool { return Loose(d.domain()) == Loose(o.domain()) }

// among reports whether the name is one of the names, compared loosely.
func (d DN) among(names []DN) bool {
	return slices.ContainsFunc(names, func(n DN) bool { return len(n) > 0 && d.equal(n, Loose) })
}

// anyBelow reports whether d lies below one of the suffixes.
func anyBelow(d DN, suffixes []DN, by folding) bool {
	return slices.ContainsFunc(suffixes, func(s DN) bool { return d.below(s, by) })
}

// shortName is a host name up to its first dot, folded.
func shortName(host string) string {
	short, _, _ := strings.Cut(fold(host), ".")
	return short
}

// BareName is a host name as devices are looked up by it: up to its first dot,
// without blanks and without a computer account's "$".
func BareName(hostname string) string {
	name, _, _ := strings.Cut(strings.TrimSpace(hostname), ".")
	return strings.TrimSpace(strings.TrimSuffix(name, "$"))
}

// NameKey is a host name for an index: two have the same key where
// [strings.EqualFold] says of their bare names that they are equal, and only there.
// It finds what may be the same; what may be deleted is compared more strictly.
func NameKey(hostname string) string {
	name := BareName(hostname)
	if ascii(name) {
		return strings.ToLower(name)
	}
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		if 'A' <= least && least <= 'Z' {
			return unicode.ToLower(least) // as in a name that is all ASCII
		}
		return least
	}, name)
}

// fqdnDomain is what follows the first dot of a host name, folded; empty for none.
func fqdnDomain(host string) string {
	_, domain, _ := strings.Cut(fold(host), ".")
	return domain
}

// truncated reports whether one short name is the other, cut by AD.
func truncated(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return len(b) > len(a) && utf8.RuneCountInString(a) == NetBIOSLimit && strings.HasPrefix(b, a)
}

// matches reports whether an anchored glob matches s, case-blind. A slash is a
// letter like any other. A glob that can't be read matches everything: those who
// wrote it meant to protect something.
func matches(glob, s string) bool {
	ok, err := path.Match(strings.ReplaceAll(Loose(glob), "/", "\x00"), strings.ReplaceAll(Loose(s), "/", "\x00"))
	return err != nil || ok
}

// anyMatches reports whether one of the globs matches one of the names.
func anyMatches(globs []string, names ...string) bool {
	return slices.ContainsFunc(globs, func(g string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return n != "" && matches(g, n) })
	})
}

// dnsDomain turns a domain as given into its DNS name: NetBIOS names through the
// map. ok is false for a NetBIOS name that the map lacks.
func (p Params) dnsDomain(name string) (string, bool) {
	if strings.Contains(name, ".") {
		return fold(name), true
	}
	key := strings.ToUpper(name)
	dns, ok := p.Domains[key]
	return fold(dns), ok && fold(key) == fold(name)
}

// login is a user's name as it permits something: read narrowly, compared strictly.
type login struct {
	domain, user string // as written
	upn          bool   // domain is what stood behind an @
}

// loginOf splits CORPEX\j.doe or j.doe@corp.example.test; ok where it names both a
// user and a domain. Several backslashes, or a slash, are one backslash.
func loginOf(text string) (l login, ok bool) {
	text = strings.ReplaceAll(text, "/", `\`)
	if domain, user, cut := strings.Cut(text, `\`); cut {
		l = login{domain: domain, user: strings.TrimLeft(user, `\`)}
		return l, l.domain != "" && l.user != "" && !strings.Contains(l.user, `\`)
	}
	user, domain, _ := strings.Cut(text, "@")
	l = login{domain: domain, user: user, upn: true}
	return l, l.domain != "" && l.user != "" && !strings.Contains(l.domain, "@")
}

// loginDNS is the DNS name of a login's domain; ok is false for a NetBIOS name that
// the map lacks.
func (p Params) loginDNS(l login) (string, bool) {
	if l.upn {
		return fold(l.domain), true
	}
	return p.dnsDomain(l.domain)
}

// samePerson reports whether two logins certainly name one person: the same text, or
// the same user of the same domain. A login of the directory's without a domain is of
// the device's own.
func (p Params) samePerson(directory, central, ownDomain string) bool {
	if fold(directory) == fold(central) {
		return true
	}
	shown, ok := loginOf(central)
	dns, known := p.loginDNS(shown)
	if !ok || !known {
		return false
	}
	owner, ok := loginOf(directory)
	if !ok {
		return !strings.ContainsAny(directory, `\/@=`) && fold(directory) == fold(shown.user) && ownDomain == dns
	}
	ownerDNS, known := p.loginDNS(owner)
	return known && ownerDNS == dns && fold(owner.user) == fold(shown.user)
}

// ownName reports whether a login's domain is the device's own name, or the dot
// that stands for it: a local account.
func ownName(domain string, hosts ...Field[string]) bool {
	if domain == "." {
		return true
	}
	for _, h := range hosts {
		if short := Loose(shortName(h.Value)); h.Known() && (short == Loose(domain) || truncated(short, Loose(domain))) {
			return true
		}
	}
	return false
}
