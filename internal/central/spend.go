package central

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"rollcall/internal/action"
)

// How long everybody waits after a 429 that names no time: a random time up to a
// bound that doubles with each one in a row.
const (
	firstPause   = time.Second
	longestPause = time.Minute
	longestWish  = time.Hour // of Central's own; if it means more it will say so again
)

// The most that a call is booked ahead. Calls are made in the order in which they
// are booked: one booked far ahead would hold up all that come after it. So bulk reads
// book no further ahead than an action can wait, and wait for the rest without having
// booked. One that was refused twice in a row, since actions always are ahead, books a
// little further than they do.
const (
	aheadSingle  = time.Minute
	aheadBulk    = 3 * time.Second
	aheadStarved = 5 * time.Second
	aheadSpare   = time.Second // of a look for which an inventory is read
)

// spend takes one call of the credential's budget, and waits for its turn as long
// as the caller has time for that and for an answer.
func (a *account) spend(ctx context.Context, rq request) *action.Trouble {
	left := aheadSingle
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline) - answerTime
	}
	if rq.kind == action.CallSpare {
		left = min(left, aheadSpare)
	}
	if rq.kind != action.CallBulk {
		return a.spendWithin(ctx, rq.what, cmp.Or(rq.kind, action.CallSingle), min(left, aheadSingle))
	}
	for tries := 0; ; tries++ {
		ahead := aheadBulk
		if tries > 1 {
			ahead = aheadStarved
		}
		t := a.spendWithin(ctx, rq.what, action.CallBulk, min(left, ahead))
		if t == nil || !t.Limited {
			return t
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < t.RetryAfter+answerTime {
			return t
		}
		if t := pause(ctx, min(t.RetryAfter, longestPause), rq.what); t != nil {
			return t
		}
	}
}

// missedTurn is how much later than it was booked for a call may set out. The budget's
// windows are longer than Central's by a quarter of a second, and the way there needs
// some of it.
const missedTurn = 150 * time.Millisecond

// spendWithin is spend for a caller who knows how long may be waited. Where that is
// not long enough nothing is taken, and the trouble says when to come again. Who was
// held up and missed its turn books another, or it would set out together with those
// whose turn it is now. That is done once: where the budget's every answer takes so
// long, all are late alike.
func (a *account) spendWithin(ctx context.Context, what string, kind action.CallKind, most time.Duration) *action.Trouble {
	if a.c.budget == nil {
		return nil
	}
	begun := a.c.now()
	wait, trouble := a.turn(ctx, what, kind, most)
	if passed := a.c.now().Sub(begun); trouble == nil && passed > wait+missedTurn {
		_, trouble = a.turn(ctx, what, kind, max(most-passed, 0))
	}
	return trouble
}

// turn books one call, and waits as long as it tells.
func (a *account) turn(ctx context.Context, what string, kind action.CallKind, most time.Duration) (time.Duration, *action.Trouble) {
	wait, booked, err := a.c.budget.Book(ctx, a.cred.ClientID, kind, most)
	switch {
	case ctx.Err() != nil:
		return 0, ownTime(what)
	case err != nil: // a budget that can't be read is spent
		return 0, &action.Trouble{Class: action.Transient, Own: true, Text: "The budget of calls to Central could not be read, so nothing was sent for " + what + "."}
	case !booked:
		return 0, &action.Trouble{Class: action.Transient, Own: true, Limited: true, RetryAfter: wait,
			Text: "Central's limits leave no call for " + what + " now."}
	}
	return wait, pause(ctx, wait, what)
}

// pause waits.
func pause(ctx context.Context, wait time.Duration, what string) *action.Trouble {
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ownTime(what)
	case <-timer.C:
		return nil
	}
}

// heed lets everybody slow down after a 429: it says that the budget is not what
// was thought, or that somebody else uses the credential too.
func (a *account) heed(ctx context.Context, r reply) {
	if r.status != http.StatusTooManyRequests {
		if r.status != 0 {
			a.strikes.Store(0)
		}
		return
	}
	bound := min(firstPause<<min(a.strikes.Add(1)-1, 10), longestPause)
	wait := min(wish(r.header, a.c.now()), longestWish)
	if wait == 0 {
		wait = rand.N(bound) //nolint:gosec // jitter is no secret
	}
	if a.c.budget == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = a.c.budget.Slow(ctx, a.cred.ClientID, wait) // who can't be told will see a 429 of their own
}
