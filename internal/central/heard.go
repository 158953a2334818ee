package central

import (
	"context"
	"iter"
	"strings"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// whatHeard is what people read about this read.
const whatHeard = "reading the devices that were heard from"

// pace bounds a long read: it ends with a trouble after most pages, and from
// page free on it rests between pages, so that it can't use up a minute's calls,
// which single devices need.
type pace struct {
	most, free int
	rest       time.Duration
}

// calm takes fifty thousand devices in three minutes, half a million at most.
func calm() pace { return pace{most: 1000, free: 10, rest: 2 * time.Second} }

// Heard implements [action.Central]. Every page is yielded, one without devices
// too. A device is yielded once, though it may stand on two pages.
func (c *Client) Heard(ctx context.Context, tenantID string, since time.Time) iter.Seq2[[]policy.Device, *action.Trouble] {
	return c.heard(ctx, tenantID, since, calm())
}

func (c *Client) heard(ctx context.Context, tenantID string, since time.Time, at pace) iter.Seq2[[]policy.Device, *action.Trouble] {
	return func(yield func([]policy.Device, *action.Trouble) bool) {
		p, trouble := c.served(ctx, tenantID)
		if trouble != nil {
			yield(nil, trouble)
			return
		}
		h := hearing{since: since, pace: at, yield: yield, seen: map[string]bool{}}
		query := fleetQuery()
		query.Set("lastSeenAfter", since.UTC().Format(centralLayout))
		trouble = c.pages(ctx, p, walk{what: whatHeard, query: query, most: at.most}, func(devices []policy.Device, in page) (bool, *action.Trouble) {
			return h.take(ctx, devices, announced(in.Pages.Items))
		})
		if h.enough {
			return
		}
		if trouble == nil {
			trouble = h.announced.notWhole(whatHeard, h.count)
		}
		if trouble != nil {
			yield(nil, trouble)
		}
	}
}

// served finds the place of a tenant that the credential must serve.
func (c *Client) served(ctx context.Context, tenantID string) (place, *action.Trouble) {
	if !isUUID(tenantID) {
		return place{}, &action.Trouble{Class: action.Permanent, Text: "The tenant's id is no UUID."}
	}
	p, trouble := c.reads.place(ctx, tenantID)
	switch {
	case trouble != nil:
		return place{}, trouble
	case p.foreign:
		return place{}, &action.Trouble{Class: action.Permanent, Text: "The credential does not serve this tenant."}
	}
	return p, nil
}

// hearing is one read under way.
type hearing struct {
	since     time.Time
	pace      pace
	yield     func([]policy.Device, *action.Trouble) bool
	seen      map[string]bool
	announced census
	count     int  // devices that came, each once
	taken     int  // pages
	enough    bool // the reader wants no more
}

// take hands a page on.
func (h *hearing) take(ctx context.Context, devices []policy.Device, total int) (bool, *action.Trouble) {
	if h.taken++; h.taken > h.pace.free {
		if t := pause(ctx, h.pace.rest, whatHeard); t != nil {
			return false, t
		}
	}
	h.announced.page(total)
	fresh := make([]policy.Device, 0, len(devices))
	for _, d := range devices {
		if h.fresh(d) {
			fresh = append(fresh, d)
		}
	}
	h.enough = !h.yield(fresh, nil)
	return !h.enough, nil
}

// fresh counts a device, and reports whether it is to be handed on: not twice, and
// not where its own record says that nothing was heard of it, whatever the filter
// let through. One whose id or time can't be read goes on.
func (h *hearing) fresh(d policy.Device) bool {
	if id := strings.ToLower(d.ID.Value); d.ID.Known() {
		if h.seen[id] {
			return false
		}
		h.seen[id] = true
	}
	h.count++
	return !d.LastSeenAt.Known() || !d.LastSeenAt.Value.Before(h.since.Truncate(time.Millisecond))
}
