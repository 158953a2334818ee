package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"rollcall/internal/action"
)

// Rate is at most Calls within any Per.
type Rate struct {
	Calls int
	Per   time.Duration
}

// The share of every window that may be used up before a read of an inventory, or one
// for a verdict, waits; what is left is for the deletes. While a large inventory is
// read, reads for verdicts leave its share of the minute to it. And how much longer
// than it says a window is taken to be: a call may reach Central later than it was
// booked for, and the next sooner.
const (
	bulkShare    = 0.7
	checkShare   = 0.9
	spareShare   = checkShare - bulkShare
	windowMargin = 0.02
	leastMargin  = 250 * time.Millisecond
	farthest     = 2 * time.Minute // ahead of which nothing is booked: what lies beyond is a clock's fault
	slowest      = time.Hour       // pause that there is; the scripts take a longer one for a clock's fault, too
)

// Budget implements action.Budget in Redis.
type Budget struct {
	s     *Store
	rates []Rate
}

var _ action.Budget = (*Budget)(nil)

// Budget returns the budget of calls with the given rates, which replicas that
// are given the same share.
func (s *Store) Budget(rates []Rate) *Budget { return &Budget{s, rates} }

// window is a rate as the script takes it.
type window struct {
	Calls int   `json:"calls"`
	Bulk  int   `json:"bulk"`
	Per   int64 `json:"per"` // milliseconds
}

func (b *Budget) windows(kind action.CallKind) []window {
	out := make([]window, len(b.rates))
	for i, r := range b.rates {
		margin := max(time.Duration(float64(r.Per)*windowMargin), leastMargin)
		out[i] = window{r.part(r.share(kind)), r.part(bulkShare), (r.Per + margin).Milliseconds()}
	}
	return out
}

// part is a share of a rate's calls.
func (r Rate) part(share float64) int { return max(1, int(float64(r.Calls)*share)) }

// share is how much of a rate a kind of call may use.
func (r Rate) share(kind action.CallKind) float64 {
	switch {
	case kind == action.CallSpare && r.Per > time.Second && r.Per <= time.Minute:
		return spareShare
	case kind == action.CallSpare, kind == action.CallCheck:
		return checkShare
	}
	return 1
}

// Book implements action.Budget.
func (b *Budget) Book(ctx context.Context, credential string, kind action.CallKind, most time.Duration) (time.Duration, bool, error) {
	arg, err := json.Marshal(args{
		"windows": b.windows(kind), "bulk": kind == action.CallBulk, "most": min(max(most, 0), farthest).Milliseconds(), "farthest": farthest.Milliseconds(),
		"longest": slowest.Milliseconds(), "offset": b.s.offset().Milliseconds(),
	})
	if err != nil {
		return 0, false, fmt.Errorf("budget: %w", err)
	}
	got, err := b.s.scripts["book"].Run(ctx, b.s.rdb, budgetKeys(credential), string(arg)).Slice()
	if err != nil || len(got) != 2 {
		return 0, false, away(fmt.Errorf("budget: %w", err))
	}
	ms, err := strconv.ParseInt(fmt.Sprint(got[0]), 10, 64)
	return time.Duration(ms) * time.Millisecond, fmt.Sprint(got[1]) == "1", err
}

// Slow implements action.Budget. A pause that lasts longer already stays; none is longer than
// an hour.
func (b *Budget) Slow(ctx context.Context, credential string, pause time.Duration) error {
	keys := budgetKeys(credential)
	return away(b.s.scripts["slow"].Run(ctx, b.s.rdb, keys[3:4], min(pause, slowest).Milliseconds(), b.s.offset().Milliseconds(),
		slowest.Milliseconds()).Err())
}

// budgetKeys are a credential's; its name is not for whoever reads the store.
func budgetKeys(credential string) []string {
	sum := sha256.Sum256([]byte(credential))
	id := hex.EncodeToString(sum[:8])
	return []string{budgetKey(id, "all"), budgetKey(id, "bulk"), budgetKey(id, "days"), budgetKey(id, "pause"), budgetKey(id, "count")}
}
