package central

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// The times of a reading.
const (
	readingTurn  = 3 * time.Minute // one process's turn, from each page anew
	readingPage  = 2 * time.Minute // that a page may wait for its turn: less than the reading's
	readingMost  = 15 * time.Minute
	readingAgain = time.Minute // after a reading that failed another is not begun for so long
	readingEnd   = time.Second // for the last word of one
	// readingLong is from how many pages to come on a reading has the minute to itself,
	// but for a share.
	readingLong = 3
)

// whatReading is what people read about reading the inventory.
const whatReading = "reading the tenant's inventory"

// Reading is how one reading of a tenant's inventory ended.
type Reading struct {
	TenantID string
	Whole    bool // of all devices; else of those heard from since the last one
	Devices  int  // that came
	Took     time.Duration
	Err      error // why it failed, in words for an operator; the snapshot is then as it was
}

// reading is one read of the inventory under way.
type reading struct {
	action.Reading
	c       *Client
	p       place
	begun   time.Time
	central time.Time // when that was by Central's clock
	since   time.Time // zero = of all devices
	newest  time.Time
	groups  *policy.TenantGroups // nil = the policy asks for none
	h       hearing
	kept    error // why a page could not be kept
}

// renew reads the inventory aside, if it is this process's turn, and reports whether it
// is.
func (c *Client) renew(ctx context.Context, p place, st action.SnapshotState) (begun bool) {
	r := c.reading(ctx, p, st)
	if begun, err := c.snaps.Begin(ctx, r.Reading); err != nil || !begun {
		return false
	}
	c.aside.Go(func() { //nolint:contextcheck // it reads for others too, and outlives the caller
		ctx, cancel := context.WithTimeout(c.ending, readingMost)
		defer cancel()
		rest, err := r.read(ctx)
		if err == nil {
			r.readGroups(ctx)
			err = c.snaps.Commit(ctx, r.Reading, action.ReadingEnd{Central: r.central, Newest: r.newest, Groups: r.groups})
		}
		c.onRead(Reading{TenantID: p.tenantID, Whole: !r.Refresh, Devices: r.h.count, Took: c.now().Sub(r.begun), Err: err})
		if err != nil {
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), readingEnd)
			defer cancel()
			rest = max(rest, readingAgain)
			if c.ending.Err() != nil {
				rest = 0 // the process ends: another may begin at once
			}
			_ = c.snaps.Abandon(end, r.Reading, rest)
		}
	})
	return true
}

// reading decides what is read: what was heard from since the snapshot's last refresh,
// or all where there is none or that is long ago. Since when is told by Central's own
// clock: the ledger's may have stepped back between, and what was heard from meanwhile
// would be on no increment. What is above a group is told by all records together.
func (c *Client) reading(ctx context.Context, p place, st action.SnapshotState) *reading {
	r := &reading{c: c, p: p, begun: c.now()}
	r.Reading = action.Reading{TenantID: p.tenantID, ID: uuid.NewString(), Seen: st.At, Turn: readingTurn}
	whole := st.At.IsZero() || st.Now.Before(st.Whole) || st.Now.Sub(st.Whole) > snapshotWhole || r.begun.Sub(st.Central) > snapshotWhole
	if globs := c.groups(); len(globs) > 0 {
		r.groups = &policy.TenantGroups{For: globs}
		if was := c.keptGroups(ctx, p, st); !whole && was != nil && was.AllRead {
			r.groups.Lines, r.groups.Nested = map[string]policy.GroupLine{}, was.Nested
			for key, line := range was.Lines {
				r.groups.Lines[key] = policy.GroupLine{Path: slices.Clone(line.Path), Whole: line.Whole}
			}
		} else {
			whole = true
		}
	}
	if !whole {
		r.Refresh, r.since, r.newest = true, st.Central.Add(-snapshotOverlap), st.Newest
	}
	return r
}

// read reads page by page. Where it fails, rest is how long Central's limits leave no
// call for another.
func (r *reading) read(ctx context.Context) (rest time.Duration, err error) {
	query := fleetQuery()
	if r.Refresh {
		query.Set("lastSeenAfter", r.since.UTC().Format(centralLayout))
	}
	left := 0
	r.h = hearing{since: r.since, seen: map[string]bool{}, pace: pace{free: fleetPages}}
	r.h.yield = func(devices []policy.Device, _ *action.Trouble) bool {
		r.kept = r.keep(ctx, devices, left)
		return r.kept == nil
	}
	w := walk{what: whatReading, query: query, most: fleetPages, kind: action.CallBulk, each: readingPage}
	trouble := r.c.pages(ctx, r.p, w, func(devices []policy.Device, in page) (bool, *action.Trouble) {
		if r.central.IsZero() {
			r.central = in.clock.Value.Add(r.begun.Sub(r.c.now()))
		}
		total := announced(in.Pages.Items)
		left = max((total+largestPage-1)/largestPage-r.h.taken-1, 0)
		return r.h.take(ctx, devices, total)
	})
	if r.kept != nil {
		return 0, r.kept
	}
	if trouble == nil {
		trouble = r.h.announced.notWhole(whatReading, r.h.count)
	}
	if trouble != nil {
		return trouble.RetryAfter, errors.New(trouble.Text)
	}
	return 0, nil
}

// readGroups reads the lists of groups beside the devices. Where they can't be had that
// is kept too, and what the policy asks about groups is in doubt.
func (r *reading) readGroups(ctx context.Context) {
	if r.groups == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readingPage)
	defer cancel()
	r.groups.AllRead = true
	_ = r.c.readGroups(ctx, r.p, r.groups, action.CallBulk)
}

// keep keeps one page. A last-seen time ahead of the clock is no sign of anything.
func (r *reading) keep(ctx context.Context, devices []policy.Device, left int) error {
	for _, d := range devices {
		if r.groups != nil {
			r.groups.Note(d)
		}
		at := d.LastSeenAt
		if at.Known() && at.Value.After(r.newest) && !at.Value.After(r.c.now().Add(policy.MaxSkew)) {
			r.newest = at.Value
		}
	}
	return r.c.snaps.Write(ctx, r.Reading, devices, left)
}
