package action

import (
	"context"
	"iter"
	"time"

	"rollcall/internal/policy"
)

// Inventory is what Central holds, for people who look through it. It is declared
// here, beside the types, and used by the edge and the command line.
type Inventory interface {
	// Inventory reads tenants one after another, a page at a time, and hands on
	// the devices that are wanted; a page without any comes too. A tenant of which
	// nothing can be read is skipped, which is said by a page of its own. After a
	// trouble, which comes alone, the sequence ends: what was read is not all.
	Inventory(ctx context.Context, want Wanted) iter.Seq2[InventoryPage, *Trouble]
}

// Wanted says which devices of the inventory are wanted.
type Wanted struct {
	Tenants      []string // lower-case UUIDs; empty = all that the credential serves
	InactiveDays int      // not heard from for so long; 0 = whatever their age
	Type         string   // computer or server; empty = both
	From         Halt     // where an earlier reading broke off
}

// Halt is how far a reading came. The zero value is its beginning.
type Halt struct {
	Done      []string // the tenants that are finished, read or skipped
	TenantID  string   // the one that was being read; empty = none
	Key       string   // of its next page
	Read      int      // how many of its devices were read
	Announced int      // the fewest that any of its pages announced
	IDs       []string // their ids
}

// InventoryPage is one page of one tenant.
type InventoryPage struct {
	TenantID, TenantName string // either may be empty where a list of tenants lacks it
	Number, Of           int    // the tenant is the first, second, ... of so many
	Skipped              *Trouble
	Devices              []Listed
	IDs                  []string // of all that the page brought for the first time, wanted or not
	Read                 int      // devices of the tenant so far
	Announced            int      // devices that it has, as far as known
	Next                 string   // key of its next page; empty = it is finished, and was read whole
}

// Listed is a device of the inventory.
type Listed struct {
	policy.Device
	GroupID, GroupName policy.Field[string]
	LastSeen           LastSeen
	InactiveDays       policy.Field[float64] // known where LastSeen is LastSeenKnown
	// Stray is set for a device whose own record names another tenant than the one
	// that it was listed for.
	Stray bool
}

// LastSeen says what is known of the time at which Central last heard of a device.
type LastSeen string

// What may be known of it.
const (
	LastSeenKnown      LastSeen = "known"
	LastSeenMissing    LastSeen = "missing"
	LastSeenUnreadable LastSeen = "unreadable"
	LastSeenFuture     LastSeen = "future" // some clock is wrong, so it says nothing
)

// NewListed judges a record's last-seen time as of a moment. An age is given only
// where the time is known and can be.
func NewListed(d policy.Device, at time.Time) Listed {
	l := Listed{Device: d}
	switch seen := d.LastSeenAt; {
	case seen.State == policy.Unreadable:
		l.LastSeen = LastSeenUnreadable
	case !seen.Known():
		l.LastSeen = LastSeenMissing
	case seen.Value.After(at.Add(policy.MaxSkew)):
		l.LastSeen = LastSeenFuture
	default:
		l.LastSeen = LastSeenKnown
		l.InactiveDays = policy.Is(max(at.Sub(seen.Value), 0).Hours() / 24)
	}
	return l
}

// Wants reports whether a device is wanted, by its own record alone.
//
// What is online is in use. One of unknown age is wanted whatever the age asked
// for: it is not said to be old, but who is to look through the list must see it.
// So is one of unknown type, whatever the type asked for.
func (w Wanted) Wants(l Listed) bool {
	if kind := l.kind(); w.Type != "" && kind != "" && kind != w.Type {
		return false
	}
	switch {
	case w.InactiveDays <= 0:
		return true
	case l.Online.Known() && l.Online.Value:
		return false
	}
	return !l.InactiveDays.Known() || l.InactiveDays.Value >= float64(w.InactiveDays)
}

// kind is the device's type; empty = not known.
func (l Listed) kind() string {
	switch {
	case l.Server():
		return "server"
	case l.Type.Known():
		return l.Type.Value
	}
	return ""
}
