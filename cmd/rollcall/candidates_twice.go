package main

import (
	"cmp"
	"fmt"

	"rollcall/internal/policy"
)

// seenRow says where an account stood in the export, and what was said of it.
type seenRow struct {
	line  int
	facts string
	taken *account // nil = it is not below the OUs
}

// again reports a row of an account that was listed before with the same facts: it is
// the same account. Where the facts differ, nobody can say which of them hold, and both
// rows are held back. An account is known by its distinguished name and its GUID.
func (r *roster) again(a *account, dn, guid string, taken bool) bool {
	if r.seen == nil {
		r.seen = map[string]*seenRow{}
	}
	now := &seenRow{line: a.line, facts: policy.Loose(string(a.directory)) + a.lastLogon.String() + a.logonUnreadable + a.logon + fmt.Sprint(a.names)}
	if taken {
		now.taken = a
	}
	keys := []string{"dn " + dn}
	if guid != "" {
		keys = append(keys, "guid "+guid)
	}
	same := false
	for _, key := range keys {
		before, known := r.seen[key]
		switch {
		case !known:
			r.seen[key] = now
		case before.facts == now.facts:
			same = true
		default:
			before.differs(now.line)
			now.differs(before.line)
		}
	}
	return same
}

// differs holds the account of a row back for what another row says of it.
func (s *seenRow) differs(line int) {
	if s.taken != nil {
		s.taken.why = cmp.Or(s.taken.why, fmt.Sprintf("the account in line %d of the export is this one again, and the two differ", line))
	}
}
