package central

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// The times of the roll.
const (
	rollRenew   = 5 * time.Minute  // older than that it is refreshed, aside, while it is asked for
	rollOverlap = 10 * time.Minute // a refresh looks so much further back than the last one
	rollClocks  = 15 * time.Minute // how old a roll that is young may be by the clock of one who did not read it
	rollWhole   = 12 * time.Hour   // after which all devices are read anew: who left Central is on no increment
	rollTurn    = 2 * time.Minute  // one process's turn at reading, which it renews while it lives
	rollMost    = 15 * time.Minute // a reading that takes longer is given up: by then it waits for its share of the hour
	// rollWorth is how many must ask within two to four minutes to make a reading of the
	// whole inventory worth it; fewer are better served by a search each.
	rollWorth = 10
	rollBusy  = 50                     // from so many on, reads of devices wait for each other
	rollAgain = time.Minute            // after a reading that failed another is not begun for so long
	rollSoon  = 5 * time.Second        // until a reading is there of which nothing is known yet
	rollTell  = time.Second            // for the last word of a reading
	rollLeave = 500 * time.Millisecond // for taking a device that is gone off the roll, or putting one on it
	// pageTakes is how long a page takes where Central's limits for the minute are the
	// strictest that are known, and bulk reads have their share.
	pageTakes = time.Second
)

// Of twins that the roll knows so many are asked for by their ids, within this time.
const (
	rollTwins    = 3
	rollTwinTime = time.Second
)

// whatRoll is what people read about reading the inventory.
const whatRoll = "reading the tenant's inventory"

// siblings are the same-named devices of one from the roll, and the roll's state, which
// tells how old that is, and the newest sign of life of the tenant. ok is false where
// Central is to be asked itself; also where the device is not on the roll: there may be
// others of its name that are not on it, too.
func (c *Client) siblings(ctx context.Context, p place, dev policy.Device) (same []policy.Device, st action.RollState, ok bool) {
	name := policy.BareName(dev.Hostname.Value)
	if !dev.Hostname.Known() || name == "" {
		return nil, action.RollState{}, false
	}
	st, devices, young := c.onRoll(ctx, p, dev.Hostname.Value)
	if !young {
		return nil, action.RollState{}, false
	}
	others := slices.DeleteFunc(slices.Clone(devices), func(d policy.Device) bool { return strings.EqualFold(d.ID.Value, dev.ID.Value) })
	if len(others) == len(devices) {
		return nil, action.RollState{}, false
	}
	same, _ = named(append([]policy.Device{dev}, others...), dev, name) // itself as it was read now, not as the roll has it
	return same, st, true
}

// confirm asks for the device's twins by their ids, where they are few: one that
// left Central stands on the roll until all devices are read anew, and would hold
// up the device as long. One that can't be read stays as it is.
func (c *Client) confirm(ctx context.Context, p place, dev policy.Device, same []policy.Device, busy bool) []policy.Device {
	var twins []int
	for i, d := range same {
		if d.Hostname.Known() && !strings.EqualFold(d.ID.Value, dev.ID.Value) && isUUID(d.ID.Value) {
			twins = append(twins, i)
		}
	}
	if len(twins) == 0 || len(twins) > rollTwins {
		return same
	}
	ctx, cancel := context.WithTimeout(ctx, rollTwinTime)
	defer cancel()
	now := make([]policy.Live, len(same))
	var work sync.WaitGroup
	for _, i := range twins {
		work.Go(func() {
			now[i], _ = c.readMerged(ctx, p, action.Ref{TenantID: p.tenantID, EndpointID: same[i].ID.Value}, busy)
		})
	}
	work.Wait()
	var out []policy.Device
	for i, d := range same {
		switch now[i].Status {
		case policy.LiveNotFound:
			continue
		case policy.LiveFound:
			d = now[i].Device
		default: // as the roll has it
		}
		out = append(out, d)
	}
	out, _ = named(out, dev, policy.BareName(dev.Hostname.Value))
	return out
}

// offRoll takes a device off the roll of which Central said that it has none, also
// where the caller has no more time. What fails here is made good when the device
// is next asked for, or when all are read anew.
func (c *Client) offRoll(ctx context.Context, dev action.Ref) {
	if c.roll == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollLeave)
	defer cancel()
	_ = c.roll.Forget(ctx, dev)
}

// ontoRoll puts on the roll what a search of Central's own found: a device that came
// into Central with a last-seen time of long ago is on no increment, and each
// evaluation would send to a delete that refuses. What fails here is found again then.
func (c *Client) ontoRoll(ctx context.Context, p place, devices []policy.Device) {
	if c.roll == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollLeave)
	defer cancel()
	_ = c.roll.Learn(ctx, p.tenantID, devices)
}

// onRoll asks the roll, and has it refreshed where that is due.
func (c *Client) onRoll(ctx context.Context, p place, hostname string) (action.RollState, []policy.Device, bool) {
	if c.roll == nil {
		return action.RollState{}, nil, false
	}
	st, devices, err := c.roll.Named(ctx, p.tenantID, hostname)
	if err != nil {
		return action.RollState{}, nil, false // Central is asked itself
	}
	// The ledger's clock may have stepped back; this process's must say the same.
	young := st.Young() && c.now().Sub(st.Heard) <= rollClocks
	if st.Asked >= rollWorth && (!young || st.Now.Sub(st.At) > rollRenew) {
		c.renewRoll(ctx, p, st)
	}
	return st, devices, young
}

// rollSays is what the roll says before a device is looked at.
type rollSays struct {
	busy  bool // many ask
	young bool // it may answer
}

// rollAwaited asks the roll whether it may answer. The trouble is that of one who
// had better come again when it is there: many ask, and a search for each would use
// up Central's limits. After a reading that failed nobody is told so until one has
// succeeded: the next may fail as late.
func (c *Client) rollAwaited(ctx context.Context, p place) (rollSays, *action.Trouble) {
	st, _, young := c.onRoll(ctx, p, "")
	says := rollSays{busy: st.Asked >= rollBusy, young: young}
	if young || st.Asked < rollWorth || !st.Failed.IsZero() {
		return says, nil
	}
	return says, &action.Trouble{Class: action.Transient, Own: true, Limited: true, RetryAfter: max(st.Ready, rollSoon),
		Text: "The tenant's inventory is being read, since many devices are asked for at once."}
}

// renewRoll reads the inventory aside, if it is this process's turn.
func (c *Client) renewRoll(ctx context.Context, p place, st action.RollState) {
	r := &reading{c: c, p: p, id: uuid.NewString(), state: st}
	now, mine, err := c.roll.BeginReading(ctx, p.tenantID, r.id, st.At, rollTurn)
	if err != nil || !mine {
		return
	}
	r.begin(now)
	c.aside.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollMost)
		defer cancel()
		stop := context.AfterFunc(c.ending, cancel) //nolint:contextcheck // the client's end, not the caller's
		defer stop()
		c.aside.Go(func() { r.keepTurn(ctx, cancel) })
		err := r.read(ctx)
		c.told(Reading{TenantID: p.tenantID, Whole: r.since.IsZero(), Devices: r.h.count, Took: c.now().Sub(r.state.Heard), Err: err})
		if err == nil {
			return
		}
		end, cancelEnd := context.WithTimeout(context.WithoutCancel(ctx), rollTell)
		defer cancelEnd()
		_ = c.roll.GiveUp(end, p.tenantID, r.id, rollAgain) // Central is asked itself meanwhile
	})
}

// Reading is how one reading of a tenant's inventory for the roll ended.
type Reading struct {
	TenantID string
	Whole    bool // of all devices; else of those heard from since the last one
	Devices  int  // that came
	Took     time.Duration
	Err      error // why it failed, in words for an operator; the roll is then as it was
}

// reading is one read of the inventory under way.
type reading struct {
	c     *Client
	p     place
	id    string
	since time.Time // zero = of all devices
	h     hearing
	pages atomic.Int64 // still to come, as far as known
	kept  error        // why a page could not be kept
	state action.RollState
}

// begin decides what is read: what was heard from since the roll's last refresh, or
// all where there is none or that is long ago. Since when is told by the clocks of
// those who read, which Central's agrees with: the ledger's may have stepped back
// between, and what was heard from meanwhile would be on no increment.
func (r *reading) begin(now time.Time) {
	was, heard := r.state, r.c.now()
	if was.At.IsZero() || was.Heard.IsZero() || now.Before(was.Whole) || now.Sub(was.Whole) > rollWhole || heard.Sub(was.Heard) > rollWhole {
		r.state = action.RollState{Whole: now}
	} else {
		r.since = was.Heard.Add(-rollOverlap)
	}
	r.state.At, r.state.Heard = now, heard
}

// read reads page by page.
func (r *reading) read(ctx context.Context) error {
	query := fleetQuery()
	if !r.since.IsZero() {
		query.Set("lastSeenAfter", r.since.UTC().Format(centralLayout))
	}
	r.h = hearing{since: r.since, seen: map[string]bool{}, pace: pace{most: fleetPages}}
	r.h.yield = func(devices []policy.Device, _ *action.Trouble) bool {
		r.kept = r.take(ctx, devices)
		return r.kept == nil
	}
	trouble := r.c.pages(ctx, r.p, whatRoll, query, r.h.pace.most, inBulk, func(devices []policy.Device, total int) (bool, *action.Trouble) {
		r.pages.Store(int64(max(total/largestPage+1-r.h.taken-1, 0)))
		return r.h.take(ctx, devices, total)
	})
	if r.kept != nil {
		return r.kept
	}
	if trouble == nil {
		trouble = r.h.announced.notWhole(whatRoll, r.h.count)
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
		if at.Known() && at.Value.After(r.state.Newest) && !at.Value.After(r.c.now().Add(policy.MaxSkew)) {
			r.state.Newest = at.Value
		}
	}
	write := r.c.roll.Write
	if !r.since.IsZero() {
		write = r.c.roll.Refresh
	}
	return errors.Join(write(ctx, r.p.tenantID, r.id, devices), r.expect(ctx))
}

// expect keeps the turn, and says when the reading will be done.
func (r *reading) expect(ctx context.Context) error {
	return r.c.roll.Expect(ctx, r.p.tenantID, r.id, time.Duration(r.pages.Load()+1)*pageTakes)
}

// keepTurn keeps the turn while the reading waits for Central's limits, which may
// be longer than a turn. A reading that has lost it ends.
func (r *reading) keepTurn(ctx context.Context, end func()) {
	tick := time.NewTicker(rollTurn / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if errors.Is(r.expect(ctx), action.ErrNotTheTurn) {
				end()
			}
		}
	}
}

// end puts the reading in its place.
func (r *reading) end(ctx context.Context) error {
	if !r.since.IsZero() {
		return r.c.roll.Refreshed(ctx, r.p.tenantID, r.id, r.state)
	}
	return r.c.roll.Install(ctx, r.p.tenantID, r.id, r.state)
}
