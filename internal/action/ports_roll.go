package action

import (
	"context"
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

// Roll keeps, for each tenant, what Central's inventory was when it was last read,
// for all replicas. It is never half of one reading and half of another.
type Roll interface {
	// Named returns the state of a tenant's roll, and the devices on it with a
	// short host name, with those whose name can't be read. Without a name it only
	// counts who asks.
	Named(ctx context.Context, tenantID, short string) (RollState, []policy.Device, error)
	// Write adds devices to a reading that has not taken the roll's place yet;
	// Install puts it there, whole, at once.
	Write(ctx context.Context, tenantID, reading string, devices []policy.Device) error
	Install(ctx context.Context, tenantID, reading string, s RollState) error
	// Refresh puts newer records in the place of those on the roll, and Refreshed
	// says how old it is then.
	Refresh(ctx context.Context, tenantID string, devices []policy.Device) error
	Refreshed(ctx context.Context, tenantID string, s RollState) error
	// Expect says when a roll that is being read will be there, GiveUp that it could
	// not be read.
	Expect(ctx context.Context, tenantID string, in time.Duration) error
	GiveUp(ctx context.Context, tenantID string) error
	Turn(ctx context.Context, task string, ttl time.Duration) (bool, error)
	Rest(ctx context.Context, task string, ttl time.Duration) error
}

// RollState says how old a roll is, and what it says of the fleet.
type RollState struct {
	At     time.Time     // when the last read of it began; zero = there is none
	Whole  time.Time     // when the last read of all devices began
	Count  int           // devices on it
	Newest time.Time     // newest last-seen time of any device; zero = none
	Asked  int           // how often it was asked for lately
	Ready  time.Duration // until the one that is being read is there, as far as known
	Failed time.Time     // when one could not be read, since the last that could
}
