package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"rollcall/internal/adexport"
	"rollcall/internal/policy"
	"rollcall/internal/record"
)

// cutAt is how many characters AD keeps of a computer's NetBIOS name.
const cutAt = 15

// account is one account of the directory, while a device is looked for.
type account struct {
	line      int
	directory json.RawMessage // as an event holds it
	domain    string          // folded
	names     []string        // short and folded, each once
	disabled  *bool           // nil = not known
	heldBack  bool
	matched   bool
}

// reason says why the account made no event; empty = it made one.
func (a *account) reason() string {
	switch {
	case a.heldBack:
		return "held back: another account of the domain has this name, and is enabled or not below the OUs"
	case !a.matched:
		return "no device of this name in Central's inventory"
	}
	return ""
}

// nameInDomain is a name of an account.
type nameInDomain struct{ domain, name string }

// roster is the directory by name.
type roster struct {
	ous []policy.DN
	all bool

	rows       int
	unexpanded int // rows of which the export does not tell the groups
	taken      []*account
	elsewhere  map[nameInDomain]bool // names of accounts that are, or may be, in use
	byName     map[string][]*account // by each of their names
	byBegin    map[string][]*account // those with a longer name, by its first 15 characters
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
	in := r.all || slices.ContainsFunc(r.ous, func(ou policy.DN) bool { return below(row.DN, ou) })
	inUse := a.disabled == nil && !in || a.disabled != nil && !*a.disabled
	if inUse {
		if r.elsewhere == nil {
			r.elsewhere = map[nameInDomain]bool{}
		}
		for _, name := range a.names {
			r.elsewhere[nameInDomain{a.domain, name}] = true
		}
	}
	if !in {
		return nil
	}
	r.taken = append(r.taken, a)
	if row.Unexpanded {
		r.unexpanded++
	}
	return nil
}

func newAccount(row adexport.Row) (*account, error) {
	raw, err := json.Marshal(row.Directory)
	if err != nil {
		return nil, err
	}
	a := &account{line: row.Line, directory: raw, domain: loosely(row.Directory.Domain)}
	if e := row.Directory.Enabled; e != nil {
		no := !*e
		a.disabled = &no
	}
	for _, name := range []string{row.Directory.Hostname, row.DNSHostName} {
		if short := shortOf(name); short != "" && !slices.Contains(a.names, short) {
			a.names = append(a.names, short)
		}
	}
	return a, nil
}

// index is called once all rows are there.
func (r *roster) index() {
	r.byName, r.byBegin = map[string][]*account{}, map[string][]*account{}
	for _, a := range r.taken {
		enabled := a.disabled != nil && !*a.disabled // then its event says so, and the device is kept
		a.heldBack = !enabled && slices.ContainsFunc(a.names, func(name string) bool { return r.elsewhere[nameInDomain{a.domain, name}] })
		if a.heldBack {
			continue
		}
		for _, name := range a.names {
			r.byName[name] = append(r.byName[name], a)
			if begin, cut := beginning(name); cut {
				r.byBegin[begin] = append(r.byBegin[begin], a)
			}
		}
	}
}

// find lists the accounts whose name a device bears. Where none has it whole, and
// only there, those count of which one name is the other's first 15 characters.
func (r *roster) find(host string) []*account {
	short := shortOf(host)
	if found := r.byName[short]; short == "" || len(found) > 0 {
		return found
	}
	if begin, cut := beginning(short); cut {
		return r.byName[begin]
	}
	return r.byBegin[short]
}

// beginning is the first 15 characters of a name that has more.
func beginning(name string) (begin string, cut bool) {
	if utf8.RuneCountInString(name) <= cutAt {
		return "", false
	}
	return string([]rune(name)[:cutAt]), true
}

// shortOf is a host name up to its first dot, for comparing; empty for what is none.
func shortOf(host string) string {
	host, ok := record.Hostname(host)
	if !ok {
		return ""
	}
	short, _, _ := strings.Cut(host, ".")
	return loosely(short)
}

// loosely makes names alike that differ in case. What finds too much here is for
// the policy to refuse, which compares strictly.
func loosely(s string) string { return strings.ToLower(strings.ToUpper(s)) }

// below reports whether a name lies below an OU, by components.
func below(dn, ou policy.DN) bool {
	if len(ou) == 0 || len(dn) <= len(ou) {
		return false
	}
	return slices.EqualFunc(dn[len(dn)-len(ou):], ou, func(a, b []string) bool {
		return slices.Equal(sortedParts(a), sortedParts(b))
	})
}

// sortedParts are the parts of an RDN, mostly one, for comparing.
func sortedParts(rdn []string) []string {
	out := make([]string, len(rdn))
	for i, part := range rdn {
		out[i] = loosely(part)
	}
	slices.Sort(out)
	return out
}

// matchedEvent is an event: one account, and one device that bears its name.
type matchedEvent struct {
	ObservedAt time.Time       `json:"observedAt"`
	Directory  json.RawMessage `json:"directory"`
	Central    json.RawMessage `json:"central"`
}

// sifting is one run.
type sifting struct {
	p          *process
	strict     bool
	roster     roster
	observedAt time.Time

	unreadable int
	devices    int
	events     int
}

// older sets the events back to the age of what they rest on. The zero time is
// that of standard input, which has none.
func (s *sifting) older(at time.Time) {
	if !at.IsZero() && at.Before(s.observedAt) {
		s.observedAt = at.UTC().Truncate(time.Second)
	}
}

// unreadableRow tells and counts a row that can't be read. It is an error where
// every row must be.
func (s *sifting) unreadableRow(file string, line int, problem string) error {
	s.unreadable++
	if s.strict {
		return fmt.Errorf("line %d: %s", line, printable(problem))
	}
	say(s.p.stderr, "%s: line %d: %s", printable(file), line, printable(problem))
	return nil
}

// sift writes an event for each device and each account whose name it bears.
func (s *sifting) sift(devices iter.Seq2[centralRecord, error], out *sheet) error {
	for d, err := range devices {
		if err != nil {
			return err
		}
		s.devices++
		for _, a := range s.roster.find(d.hostname) {
			if err := out.write(matchedEvent{s.observedAt, a.directory, d.raw}); err != nil {
				return err
			}
			a.matched = true
			s.events++
		}
	}
	if s.devices == 0 {
		return errors.New("the inventory holds no device")
	}
	return nil
}

// summary says what became of the rows.
func (s *sifting) summary() error {
	var disabled, matched, unmatched, held int
	for _, a := range s.roster.taken {
		if a.disabled != nil && *a.disabled {
			disabled++
		}
		switch {
		case a.heldBack:
			held++
		case a.matched:
			matched++
		default:
			unmatched++
		}
	}
	say(s.p.stderr, "rows %d, below the OUs %d, disabled %d, devices %d, matched %d, events %d, unmatched %d, held back %d, unreadable %d",
		s.roster.rows, len(s.roster.taken), disabled, s.devices, matched, s.events, unmatched, held, s.unreadable)
	return nil
}
