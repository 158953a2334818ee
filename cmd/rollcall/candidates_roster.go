package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"rollcall/internal/adexport"
	"rollcall/internal/policy"
	"rollcall/internal/record"
)

// logonSlack is how much later than Central an account may have seen its device:
// one that can't reach Central for a while is none that is silent.
const logonSlack = 24 * time.Hour

// account is one account of the directory, while a device is looked for.
type account struct {
	nth       int // row of the export that can be read, from 1
	line      int
	directory json.RawMessage // as an event holds it
	domain    string          // folded
	names     []string        // short and folded, each once
	logon     string          // its NetBIOS name likewise; empty where that is only a begin of the others
	disabled  *bool           // nil = not known
	lastLogon time.Time       // zero = not known
	// logonUnreadable is what the export says of a logon that can't be read.
	logonUnreadable string
	held            bool   // no device makes an event of it
	why             string // it, or one device, was held back
	matched         bool
}

// enabled reports what the account's event will say, so that its device is kept.
func (a *account) enabled() bool { return a.disabled != nil && !*a.disabled }

// reason says why the account made no event; empty = it made one.
func (a *account) reason() string {
	switch {
	case a.matched:
		return ""
	case a.why != "":
		return "held back: " + a.why
	}
	return "no device of this name in Central's inventory"
}

// spelling is a name by which a device may be known.
type spelling struct {
	domain string // empty = nobody knows which
	name   string
	begin  bool // the name is the first 15 characters of a longer one
}

// claim says that the device of a name may be in use.
type claim struct {
	nth  int // the account's; 0 = its row can't be read
	line int
}

// why is the claim for a person.
func (c claim) why() string {
	state := "is enabled or not below the OUs"
	if c.nth == 0 {
		state = "can't be read"
	}
	return fmt.Sprintf("the account in line %d of the export has this name, or one that may be the same when it is cut, and %s", c.line, state)
}

// roster is the directory by name.
type roster struct {
	ous []policy.DN
	all bool

	rows       int
	unexpanded int // rows of which the export does not tell the groups
	nameless   int // rows of which nobody can say whose they are
	// firstNameless is the line of the first of them.
	firstNameless int
	taken         []*account
	unnamed       int // taken accounts whose manager is told by a display name
	seen          map[string]*seenRow
	claims        map[spelling][]claim
	byName        map[string][]*account // by each of their names
	byBegin       map[string][]*account // those with a longer name, by its first 15 characters
}

// add takes a row. Of one that is not below the OUs only the names are kept.
func (r *roster) add(row adexport.Row) error {
	if row.Foreign {
		return nil
	}
	r.rows++
	a, err := newAccount(row)
	if err != nil {
		return err
	}
	a.nth = r.rows
	in := r.all || slices.ContainsFunc(r.ous, row.DN.BelowLoosely)
	if r.again(a, policy.Loose(row.DN.String()), row.Directory.ObjectGUID, in) {
		return nil
	}
	if unknown := a.disabled == nil; a.enabled() || unknown && (!in || r.all) {
		r.claim(a.domain, append([]string{a.logon}, a.names...), claim{a.nth, a.line})
	}
	if !in {
		return nil
	}
	r.taken = append(r.taken, a)
	if row.Unexpanded {
		r.unexpanded++
	}
	if m := row.Directory.ManagedBy; strings.Contains(m, " ") && !strings.ContainsAny(m, `=\@`) {
		r.unnamed++
	}
	return nil
}

// unreadable takes what is known of a row that can't be read: its account may be
// in use.
func (r *roster) unreadable(f *adexport.Fault) {
	if len(f.Names) == 0 {
		if r.nameless++; r.nameless == 1 {
			r.firstNameless = f.Line
		}
	}
	var names []string
	for _, name := range append(f.Names, f.Some...) {
		names = append(names, shortOf(name))
	}
	r.claim(policy.Loose(f.Domain), names, claim{line: f.Line})
}

// claim notes the names of an account that may be in use.
func (r *roster) claim(domain string, names []string, c claim) {
	if r.claims == nil {
		r.claims = map[spelling][]claim{}
	}
	note := func(s spelling) { r.claims[s] = append(r.claims[s], c) }
	for _, name := range names {
		if name == "" {
			continue
		}
		note(spelling{domain, name, false})
		if begin, cut := beginning(name); cut {
			note(spelling{domain, begin, true})
		}
	}
}

// claimed says why the device of a name may be in use by another than a; empty =
// nobody else's name is that one, cut to it, or what it is cut to.
func (r *roster) claimed(a *account, name string) string {
	begin, _ := beginning(name)
	for _, domain := range []string{a.domain, ""} {
		for _, s := range []spelling{{domain, name, false}, {domain, name, true}, {domain, begin, false}} {
			for _, c := range r.claims[s] {
				if c.nth != a.nth {
					return c.why()
				}
			}
		}
	}
	return ""
}

func newAccount(row adexport.Row) (*account, error) {
	raw, err := json.Marshal(row.Directory)
	if err != nil {
		return nil, err
	}
	a := &account{line: row.Line, directory: raw, domain: policy.Loose(row.Directory.Domain)}
	if e := row.Directory.Enabled; e != nil {
		no := !*e
		a.disabled = &no
	}
	a.logon, a.lastLogon, a.logonUnreadable = shortOf(row.NetBIOS), row.LastLogon, row.LogonUnreadable
	for _, name := range []string{row.Directory.Hostname, row.DNSHostName} {
		short := shortOf(name)
		if short != "" && !slices.Contains(a.names, short) {
			a.names = append(a.names, short)
		}
		if begin, _ := beginning(short); begin == a.logon {
			a.logon = ""
		}
	}
	return a, nil
}

// index is called once all rows are there.
func (r *roster) index() {
	r.byName, r.byBegin = map[string][]*account{}, map[string][]*account{}
	for _, a := range r.taken {
		for _, name := range a.names {
			if !a.enabled() {
				a.why = cmp.Or(a.why, r.claimed(a, name))
			}
			r.byName[name] = append(r.byName[name], a)
			if begin, cut := beginning(name); cut {
				r.byBegin[begin] = append(r.byBegin[begin], a)
			}
		}
		a.held = a.why != ""
	}
}

// find lists the accounts whose name a device bears, but for those that are held
// back. Where none has it whole, and only there, those count of which one name is
// the other's first 15 characters.
func (r *roster) find(host string) []*account {
	short := shortOf(host)
	if short == "" {
		return nil
	}
	found, whole := r.byName[short]
	if begin, cut := beginning(short); !whole && cut {
		found = r.byName[begin]
	} else if !whole {
		found = r.byBegin[short]
	}
	return slices.DeleteFunc(slices.Clone(found), func(a *account) bool {
		if a.held || whole || a.enabled() {
			return a.held
		}
		why := r.claimed(a, short)
		a.why = cmp.Or(a.why, why)
		return why != ""
	})
}

// loggedOnSince reports an account that logged on when Central no longer heard
// from the device, or may have: it was in use, and its agent silent. It notes that as
// why.
func (a *account) loggedOnSince(lastSeen time.Time) bool {
	switch {
	case a.enabled():
		return false
	case a.logonUnreadable != "":
		a.why = cmp.Or(a.why, "its last logon is unknown, for it can't be read: "+a.logonUnreadable+
			" (export lastLogonTimestamp as the number that AD keeps, and don't save it in a spreadsheet)")
		return true
	case lastSeen.IsZero() || a.lastLogon.Sub(lastSeen) <= logonSlack:
		return false
	}
	a.why = cmp.Or(a.why, fmt.Sprintf("the account logged on at %s, and Central last heard from the device at %s",
		a.lastLogon.UTC().Format(time.RFC3339), lastSeen.UTC().Format(time.RFC3339)))
	return true
}

// beginning is the first 15 characters of a name that has more.
func beginning(name string) (begin string, cut bool) {
	if utf8.RuneCountInString(name) <= policy.NetBIOSLimit {
		return "", false
	}
	return string([]rune(name)[:policy.NetBIOSLimit]), true
}

// shortOf is a host name up to its first dot, for comparing; empty for what is none.
func shortOf(host string) string {
	host, ok := record.Hostname(host)
	if !ok {
		return ""
	}
	short, _, _ := strings.Cut(host, ".")
	return policy.Loose(short)
}
