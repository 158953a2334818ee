package policy

import (
	"path"
	"slices"
	"strings"
)

// netbiosLimit is where AD cuts a computer's NetBIOS name.
const netbiosLimit = 15

// below reports whether the name lies below suffix: by component, case-blind,
// and strictly, so that the OU itself is not in it.
func (d DN) below(suffix DN) bool {
	if len(suffix) == 0 || len(d) <= len(suffix) {
		return false
	}
	return d[len(d)-len(suffix):].equal(suffix)
}

// equal compares two names by component, case-blind; the parts of a multi-valued
// RDN in any order.
func (d DN) equal(o DN) bool {
	return slices.EqualFunc(d, o, func(a, b []string) bool { return slices.Equal(folded(a), folded(b)) })
}

// folded is an RDN for comparing.
func folded(rdn []string) []string {
	out := make([]string, len(rdn))
	for i, part := range rdn {
		out[i] = fold(part)
	}
	slices.Sort(out)
	return out
}

// fold folds case; simple case folding by lowering what was raised makes letters
// equal that differ in one direction only.
func fold(s string) string { return strings.ToLower(strings.ToUpper(s)) }

// common is the value of the first RDN if it is a CN.
func (d DN) common() (string, bool) {
	if len(d) == 0 {
		return "", false
	}
	for _, part := range d[0] {
		if v, ok := strings.CutPrefix(part, "cn="); ok {
			return v, true
		}
	}
	return "", false
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

// anyBelow reports whether d lies below one of the suffixes.
func anyBelow(d DN, suffixes []DN) bool { return slices.ContainsFunc(suffixes, d.below) }

// shortName is a host name up to its first dot, folded.
func shortName(host string) string {
	short, _, _ := strings.Cut(fold(host), ".")
	return short
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
	return len(a) == netbiosLimit && len(b) > netbiosLimit && strings.HasPrefix(b, a)
}

// matches reports whether an anchored, folded glob matches s, case-blind. A
// slash is a letter like any other.
func matches(glob, s string) bool {
	slash := strings.NewReplacer("/", "\x00")
	ok, err := path.Match(slash.Replace(fold(glob)), slash.Replace(fold(s)))
	return err == nil && ok
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
	dns, ok := p.Domains[strings.ToUpper(name)]
	return fold(dns), ok
}

// loginDomain splits a login: its domain as written, if it has one.
func loginDomain(login string) (domain string, upn, ok bool) {
	if domain, _, ok := strings.Cut(login, `\`); ok {
		return domain, false, domain != ""
	}
	if _, domain, ok := strings.Cut(login, "@"); ok {
		return domain, true, domain != ""
	}
	return "", false, false
}

// ownName reports whether a login's domain is the device's own name: a local
// account.
func ownName(domain string, hosts ...Field[string]) bool {
	for _, h := range hosts {
		if short := shortName(h.Value); h.Known() && (short == fold(domain) || truncated(short, fold(domain))) {
			return true
		}
	}
	return false
}
