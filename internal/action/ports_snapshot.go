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

// CallKind is what a call to Central is for. Each kind may use a share of the budget:
// what the others leave is for the deletes.
type CallKind string

// The kinds of call, the largest share first.
const (
	CallSingle CallKind = "single" // deletes, and what belongs to them
	CallCheck  CallKind = "check"  // reads for a verdict
	CallBulk   CallKind = "bulk"   // reads of a whole inventory
	CallSpare  CallKind = "spare"  // reads for a verdict while a large inventory is read
)

// ErrNotTheTurn is returned to a reading of a tenant's inventory that has lost its
// turn. Nothing was written.
var ErrNotTheTurn = errors.New("another reading has the turn")

// Snapshots keep, for each tenant, what Central's inventory was when it was last read,
// for all replicas. A snapshot is never half of one reading and half of another: one
// that lost a part is none. Its times are by the ledger's clock.
type Snapshots interface {
	SnapshotFinder
	// Beside returns the device of an id and the devices of the same host name, with
	// those that have no readable name and its serial number or MAC address. Name,
	// number and address are those of dev, or of the device on the snapshot where dev
	// is nil. That question begins every look, and is counted.
	Beside(ctx context.Context, tenantID, endpointID string, dev *policy.Device) (SnapshotFinds, error)
	// Begin gives a reading the tenant's one turn. It is refused while another has the
	// turn, and where the snapshot is not the one that the reading has seen. A turn
	// runs out unless something is written in it.
	Begin(ctx context.Context, r Reading) (begun bool, err error)
	// Write adds a page of devices, and says how many pages are still to come.
	Write(ctx context.Context, r Reading, devices []policy.Device, left int) error
	// Commit puts the reading in its place, whole, at once, with what it brought beside
	// the devices.
	Commit(ctx context.Context, r Reading, with ReadingEnd) error
	// Abandon throws the reading away; for a while none begins. A reading that has
	// lost its turn abandons nothing.
	Abandon(ctx context.Context, r Reading, rest time.Duration) error
	// Put corrects devices on the snapshot, and on the one that is being read, with
	// what Central said of them since. A record that was seen later stays.
	Put(ctx context.Context, tenantID string, devices []policy.Device) error
	// Remove takes a device off both: Central does not have it any more.
	Remove(ctx context.Context, dev Ref) error
	// Groups returns what a reading brought of the tenant's groups; nil = it is gone.
	Groups(ctx context.Context, tenantID, readingID string) (*policy.TenantGroups, error)
}

// SnapshotFinder finds devices on a snapshot by what they show of themselves.
type SnapshotFinder interface {
	// Find returns the devices that bear one of the traits, each once. Without traits
	// it returns the state alone.
	Find(ctx context.Context, tenantID string, traits []Trait) (SnapshotFinds, error)
}

// Reading is one reading of a tenant's inventory.
type Reading struct {
	TenantID, ID string
	Seen         time.Time // At of the snapshot when the reading was decided on; zero = there was none
	Refresh      bool      // it brings the snapshot newer records; else it takes its place
	Turn         time.Duration
}

// ReadingEnd is what a reading brings beside the devices.
type ReadingEnd struct {
	Central time.Time            // when it began, by Central's clock
	Newest  time.Time            // newest last-seen time of any device; zero = none
	Groups  *policy.TenantGroups // nil = the policy asks for none
}

// SnapshotState says how old a snapshot is, and what it says of the fleet.
type SnapshotState struct {
	Now     time.Time // when this was so
	At      time.Time // when the last reading began; zero = there is no snapshot
	Whole   time.Time // when the last reading of all devices began
	Central time.Time // At by Central's clock
	Newest  time.Time // newest last-seen time of any device; zero = none
	Failed  time.Time // when a reading failed, since the last that did not
	Groups  string    // the reading that brought the tenant's groups; empty = there are none
	Asked   int       // how many looks began lately
	Reading bool      // whether one is under way
	Left    int       // pages still to come of it, as far as known
}

// SnapshotFresh is how old a snapshot may be that answers for anything.
const SnapshotFresh = 10 * time.Minute

// Young reports whether the snapshot may answer.
func (s SnapshotState) Young() bool {
	age := s.Now.Sub(s.At)
	return !s.At.IsZero() && age >= 0 && age <= SnapshotFresh
}

// SnapshotFinds is what was found on a snapshot.
type SnapshotFinds struct {
	State   SnapshotState
	Devices []policy.Device
	// Crowded are traits that more devices bear than are handed out; of these none is
	// among the devices because of it.
	Crowded []Trait
}
