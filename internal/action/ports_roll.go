package action

import (
	"context"
	"errors"
	"time"

	"rollcall/internal/policy"
)

// Budget is how many calls to Central a credential may still make, counted for
// all replicas together.
type Budget interface {
	// Book takes one call of the credential's budget, to be made after the wait
	// that it returns. Where that would be longer than most nothing is taken, and
	// booked is false: the wait is then when asking again makes sense.
	Book(ctx context.Context, credential string, kind CallKind, most time.Duration) (wait time.Duration, booked bool, err error)
	// Slow lets nobody call with the credential for a while.
	Slow(ctx context.Context, credential string, pause time.Duration) error
}

// CallKind is what a call to Central is for: bulk reads leave a share of the
// budget to the calls that an answer waits for.
type CallKind string

// The kinds of call.
const (
	CallSingle CallKind = "single" // verifications, deletes, and what belongs to them
	CallBulk   CallKind = "bulk"   // reads of a whole fleet
)

// ErrNotTheTurn is returned to a reading of a tenant's inventory that has lost its
// turn, or would put an older roll in the place of a newer one; nothing was written.
var ErrNotTheTurn = errors.New("another reading has the turn")

// Roll keeps, for each tenant, what Central's inventory was when it was last read,
// for all replicas. It is never half of one reading and half of another: one that
// lost a part is none. When it was read is told by the ledger's clock.
type Roll interface {
	RollReadings
	// Named returns the state of a tenant's roll, and the devices on it with a host
	// name's key (see [policy.NameKey]), with those whose name can't be read. Without
	// a name it returns the state alone, and counts who asks.
	Named(ctx context.Context, tenantID, hostname string) (RollState, []policy.Device, error)
	// Forget takes a device off the roll, and off the one that is being read: Central
	// does not have it any more. A page that was asked for before and comes later
	// brings it back, until it is forgotten again or all are read anew.
	Forget(ctx context.Context, dev Ref) error
	// Learn puts devices on the roll, and on the one that is being read, that Central
	// was found to have; but none in the place of a record that was seen later.
	Learn(ctx context.Context, tenantID string, devices []policy.Device) error
}

// RollFinder is the roll for who knows what devices show of themselves, and asks
// which have it.
type RollFinder interface {
	// Find returns the devices on the roll that bear one of the traits, each once.
	// Without traits it returns the state alone.
	Find(ctx context.Context, tenantID string, traits []Trait) (RollFinds, error)
}

// RollReadings are the readings of a tenant's inventory that become its roll, or
// refresh it; one at a time has the turn.
type RollReadings interface {
	// BeginReading gives a reading, by an id of its own, the tenant's one turn. It is refused
	// while another has the turn, or where the roll is not the one that was seen to
	// have begun then (zero = none). It returns the ledger's time, from which on what
	// is read is newer. A turn runs out unless something is written in it; to have
	// lost one that way counts as a reading that failed.
	BeginReading(ctx context.Context, tenantID, reading string, seen time.Time, turn time.Duration) (now time.Time, begun bool, err error)
	// Write adds devices to a reading that has not taken the roll's place yet;
	// Install puts it there, whole, at once.
	Write(ctx context.Context, tenantID, reading string, devices []policy.Device) error
	Install(ctx context.Context, tenantID, reading string, s RollState) error
	// Refresh puts newer records in the place of those on the roll, and Refreshed
	// says how old it is then.
	Refresh(ctx context.Context, tenantID, reading string, devices []policy.Device) error
	Refreshed(ctx context.Context, tenantID, reading string, s RollState) error
	// Expect keeps the turn, and says when the roll that is being read will be there.
	Expect(ctx context.Context, tenantID, reading string, in time.Duration) error
	// GiveUp ends a reading that failed; for a while none begins. Who has lost the
	// turn gives up nothing.
	GiveUp(ctx context.Context, tenantID, reading string, rest time.Duration) error
}

// RollState says how old a roll is, and what it says of the fleet.
type RollState struct {
	Now    time.Time     // when this was so
	At     time.Time     // when the last read of it began; zero = there is none
	Whole  time.Time     // when the last read of all devices began
	Heard  time.Time     // At by the clock of who read, which Central's agreed with
	Newest time.Time     // newest last-seen time of any device; zero = none
	Asked  int           // how often it was asked for lately
	Ready  time.Duration // until the one that is being read is there, as far as known
	Failed time.Time     // when one could not be read, since the last that could
}

// rollFresh is how old a roll may be that answers for anything.
const rollFresh = 10 * time.Minute

// Young reports whether the roll may answer.
func (s RollState) Young() bool {
	age := s.Now.Sub(s.At)
	return !s.At.IsZero() && age >= 0 && age <= rollFresh
}

// RollFinds is what a roll has of some traits.
type RollFinds struct {
	State   RollState
	Devices []policy.Device
	// Crowded are traits that more devices bear than are handed out; of these none is
	// among the devices because of it.
	Crowded []Trait
}
