package action

import (
	"context"
	"time"

	"rollcall/internal/policy"
)

// SharedReads lets replicas that read single devices of one tenant at the same
// time read them together: each asks, and who takes what was asked reads for all.
// Nothing here is kept: what is lost is asked again by whoever still wants it.
type SharedReads interface {
	// Ask adds a read to those that the tenant's next taker finds.
	Ask(ctx context.Context, tenantID string, read AskedRead) error
	// Claim takes the turn to read, or keeps it, and tells how many reads wait. The turn
	// ends when its taker claims it and none wait, or does not come back for so long.
	// Where it is another's, mine is false and waiting 0.
	Claim(ctx context.Context, tenantID, taker string, turn time.Duration) (waiting int, mine bool, err error)
	// Take takes the reads that were asked for first, most at most, and keeps the turn,
	// or takes it where it ended meanwhile. Where it is another's it takes none. What one
	// took no other finds.
	Take(ctx context.Context, tenantID, taker string, most int, turn time.Duration) ([]AskedRead, error)
	// Answer hands answers to who asked.
	Answer(ctx context.Context, asker string, answers []ReadAnswer) error
	// Answers returns the next answers for who asked, or none after a wait, which
	// is counted in whole seconds.
	Answers(ctx context.Context, asker string, wait time.Duration) ([]ReadAnswer, error)
}

// AskedRead is one read that was asked for.
type AskedRead struct {
	Asker      string `json:"asker"`  // a process, by an id of its own
	Number     string `json:"number"` // of that asker's reads
	EndpointID string `json:"endpointId"`
}

// ReadAnswer is what a read brought. Its times are of the clock of who read.
type ReadAnswer struct {
	Number  string      `json:"number"`
	Live    policy.Live `json:"live"`
	Trouble *Trouble    `json:"trouble,omitempty"`
}
