package ledger

import (
	"fmt"
	"slices"
	"strings"
)

// The states of a device.
const (
	StateNone      = "none"
	StateTicket    = "ticket_open" // a person was asked
	StateApproved  = "approved"    // a person said yes, and it was not used yet
	StateDeleting  = "deleting"    // an intent is on record and not settled
	StateDeleted   = "deleted"     // read back: gone
	StateFailed    = "failed"      // a DELETE was sent and the device is still there
	StateKept      = "kept"        // a person said it stays
	StateLapsed    = "lapsed"      // a decision to keep has run out
	StateUndecided = "undecided"   // the ticket was closed without a decision
	StateCameBack  = "came_back"   // deleted, and in Central again
)

// The arrows between them.
const (
	arrowOpen     = "open"      // ticket-open
	arrowApprove  = "approve"   // ticket-close with delete
	arrowKeep     = "keep"      // ticket-close with keep
	arrowDecline  = "decline"   // ticket-close with none
	arrowBegin    = "begin"     // the intent of a plain verdict
	arrowSpend    = "spend"     // the intent of an approval
	arrowConfirm  = "confirm"   // read back: gone
	arrowFail     = "fail"      // read back: still there
	arrowLimit    = "limit"     // Central allowed no more calls
	arrowUnsend   = "unsend"    // a plain verdict's DELETE never left
	arrowRestore  = "restore"   // an approval's DELETE never left
	arrowCameBack = "come_back" // Central has it again
	arrowExpire   = "expire"    // by time: an approval that nobody used
	arrowLapse    = "lapse"     // by time: a keep that ran out
)

// Arrow is one allowed change of a device's state.
type Arrow struct{ From, By, To string }

// Table lists every allowed change. The scripts are made from it: what is not
// here can't happen.
func Table() []Arrow {
	var t []Arrow
	from := func(by, to string, states ...string) {
		for _, s := range states {
			t = append(t, Arrow{s, by, to})
		}
	}
	from(arrowOpen, StateTicket, StateNone, StateFailed, StateApproved, StateKept, StateLapsed, StateUndecided, StateCameBack)
	// A decision is taken on an open ticket, and may be changed until it is used;
	// away from a yes also when that has expired and the device is none again.
	from(arrowApprove, StateApproved, StateTicket, StateKept, StateLapsed, StateUndecided)
	from(arrowKeep, StateKept, StateTicket, StateApproved, StateUndecided, StateNone)
	from(arrowDecline, StateUndecided, StateTicket, StateApproved, StateKept, StateLapsed, StateNone)
	from(arrowBegin, StateDeleting, StateNone, StateFailed)
	from(arrowSpend, StateDeleting, StateApproved)
	// Called failed too early, and read back as gone after all: put right.
	from(arrowConfirm, StateDeleted, StateDeleting, StateFailed)
	from(arrowFail, StateFailed, StateDeleting)
	from(arrowLimit, StateNone, StateDeleting)
	from(arrowUnsend, StateNone, StateDeleting)
	from(arrowRestore, StateApproved, StateDeleting)
	from(arrowCameBack, StateCameBack, StateDeleted)
	from(arrowExpire, StateNone, StateApproved)
	from(arrowLapse, StateLapsed, StateKept)
	return t
}

// States lists every state.
func States() []string {
	return []string{
		StateNone, StateTicket, StateApproved, StateDeleting, StateDeleted,
		StateFailed, StateKept, StateLapsed, StateUndecided, StateCameBack,
	}
}

// luaTable writes the table for the scripts.
func luaTable() string {
	var b strings.Builder
	b.WriteString("local ARROWS = {\n")
	arrows := Table()
	for _, s := range States() {
		var out []string
		for _, a := range arrows {
			if a.From == s {
				out = append(out, fmt.Sprintf("%s='%s'", a.By, a.To))
			}
		}
		slices.Sort(out)
		fmt.Fprintf(&b, "  %s = {%s},\n", s, strings.Join(out, ", "))
	}
	b.WriteString("}\n")
	return b.String()
}
