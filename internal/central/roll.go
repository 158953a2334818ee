package central

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// The times of the roll.
const (
	rollFresh   = 10 * time.Minute // older than that it answers for nobody
	rollRenew   = 5 * time.Minute  // older than that it is refreshed, aside, while it is asked for
	rollOverlap = 10 * time.Minute // a refresh looks so much further back than the last one
	rollWhole   = 12 * time.Hour   // after which all devices are read anew: who left Central is on no increment
	rollTurn    = 2 * time.Minute  // one process's turn at reading; renewed with each page
	rollMost    = time.Hour        // a reading that takes longer is given up
	// rollWorth is how many must ask within a minute or two to make a reading of the
	// whole inventory worth it; fewer are better served by a search each.
	rollWorth = 10
	rollBusy  = 100             // from so many on, reads of devices wait for each other
	rollAgain = time.Minute     // after a reading that failed another is not begun for so long,
	rollDoubt = 3 * time.Minute // and for so long nobody is told to wait for one
	rollSoon  = 5 * time.Second // until a reading is there of which nothing is known yet
)

// whatRoll is what people read about reading the inventory.
const whatRoll = "reading the tenant's inventory"

// siblings are the same-named devices of one, and the newest sign of life of its
// tenant, from the roll. ok is false where Central is to be asked itself; a trouble
// says that the roll is being read, and when it will be there.
func (c *Client) siblings(ctx context.Context, p place, dev policy.Device) (same []policy.Device, newest time.Time, ok bool) {
	st, devices, young := c.onRoll(ctx, p, shortName(dev.Hostname.Value))
	if !young || !dev.Hostname.Known() {
		return nil, time.Time{}, false
	}
	same = []policy.Device{dev} // as it was read now, not as the roll has it
	for _, d := range devices {
		if !strings.EqualFold(d.ID.Value, dev.ID.Value) {
			same = append(same, d)
		}
	}
	return same, st.Newest, true
}

// onRoll asks the roll, and has it refreshed where that is due.
func (c *Client) onRoll(ctx context.Context, p place, short string) (action.RollState, []policy.Device, bool) {
	if c.roll == nil {
		return action.RollState{}, nil, false
	}
	st, devices, err := c.roll.Named(ctx, p.tenantID, strings.ToLower(short))
	if err != nil {
		return action.RollState{}, nil, false // Central is asked itself
	}
	age := c.now().Sub(st.At)
	if age > rollRenew && st.Asked >= rollWorth {
		c.renewRoll(ctx, p, st)
	}
	return st, devices, !st.At.IsZero() && age >= -tooFarAhead && age <= rollFresh
}

// rollAwaited is the trouble of one who had better come again when the roll is
// there: many ask, and a search for each would use up Central's limits. busy says
// that many ask.
func (c *Client) rollAwaited(ctx context.Context, p place) (busy bool, t *action.Trouble) {
	st, _, young := c.onRoll(ctx, p, "")
	busy = st.Asked >= rollBusy
	if young || st.Asked < rollWorth || c.now().Sub(st.Failed) < rollDoubt {
		return busy, nil
	}
	return busy, &action.Trouble{Class: action.Transient, Own: true, Limited: true, RetryAfter: max(st.Ready, rollSoon),
		Text: "The tenant's inventory is being read, since many devices are asked for at once."}
}

// renewRoll reads the inventory aside, if it is this process's turn.
func (c *Client) renewRoll(ctx context.Context, p place, st action.RollState) {
	task := "roll:" + p.tenantID
	mine, err := c.roll.Turn(ctx, task, rollTurn)
	if err != nil || !mine {
		return
	}
	c.aside.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollMost)
		defer cancel()
		stop := context.AfterFunc(c.ending, cancel) //nolint:contextcheck // the client's end, not the caller's
		defer stop()
		err := c.readRoll(ctx, p, task, st)
		end, cancelEnd := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancelEnd()
		rest := time.Second
		if err != nil { // Central is asked itself meanwhile
			rest = rollAgain
			_ = c.roll.GiveUp(end, p.tenantID)
		}
		_ = c.roll.Rest(end, task, rest)
	})
}

// reading is one read of the inventory under way.
type reading struct {
	c     *Client
	p     place
	task  string
	id    string // empty for an increment
	h     hearing
	pages int // still to come, as far as known
	state action.RollState
}

// readRoll reads what was heard from since the roll's last refresh, or all where
// there is none or it is long ago.
func (c *Client) readRoll(ctx context.Context, p place, task string, st action.RollState) error {
	r := &reading{c: c, p: p, task: task, state: st}
	now := c.now()
	query := url.Values{"view": {"full"}, "sort": {"id"}, "pageSize": {strconv.Itoa(largestPage)}, "pageTotal": {"true"}}
	since := time.Time{}
	if st.At.IsZero() || now.Sub(st.Whole) > rollWhole || now.Sub(st.At) > rollWhole {
		r.id, r.state = uuid.NewString(), action.RollState{Whole: now}
	} else {
		since = st.At.Add(-rollOverlap)
		query.Set("lastSeenAfter", since.UTC().Format(centralLayout))
	}
	r.state.At = now
	r.h = hearing{since: since, seen: map[string]bool{}, pace: pace{most: 4000}}
	r.h.yield = func(devices []policy.Device, _ *action.Trouble) bool { return r.take(ctx, devices) == nil }
	trouble := c.bulkPages(ctx, p, whatRoll, query, r.h.pace.most, func(devices []policy.Device, total int) (bool, *action.Trouble) {
		r.pages = max(total/largestPage+1-r.h.taken-1, 0)
		more, trouble := r.h.take(ctx, devices, total)
		if trouble == nil && r.h.enough {
			trouble = unusable(whatRoll, "it could not be kept")
		}
		return more, trouble
	})
	if trouble == nil {
		trouble = r.h.whole()
	}
	if trouble != nil {
		return errors.New(trouble.Text)
	}
	return r.end(ctx)
}

// take keeps one page, and says how long the rest will take.
func (r *reading) take(ctx context.Context, devices []policy.Device) error {
	for _, d := range devices {
		at := d.LastSeenAt
		if at.Known() && at.Value.After(r.state.Newest) && !at.Value.After(r.c.now().Add(tooFarAhead)) {
			r.state.Newest = at.Value
		}
	}
	err := r.c.roll.Rest(ctx, r.task, rollTurn)
	if r.id == "" {
		return errors.Join(err, r.c.roll.Refresh(ctx, r.p.tenantID, devices))
	}
	return errors.Join(err, r.c.roll.Write(ctx, r.p.tenantID, r.id, devices),
		r.c.roll.Expect(ctx, r.p.tenantID, time.Duration(r.pages+1)*pageTakes))
}

// pageTakes is how long a page takes where Central's limits for the minute are the
// strictest that are known, and bulk reads have their share.
const pageTakes = time.Second

// end puts the reading in its place.
func (r *reading) end(ctx context.Context) error {
	if r.id == "" {
		r.state.Count = max(r.state.Count, r.h.count)
		return r.c.roll.Refreshed(ctx, r.p.tenantID, r.state)
	}
	r.state.Count = r.h.count
	return r.c.roll.Install(ctx, r.p.tenantID, r.id, r.state)
}
