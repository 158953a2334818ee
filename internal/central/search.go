package central

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// whatNewest is what people read about asking for the newest sign of life.
const whatNewest = "asking for the newest sign of life"

const (
	fleetPages    = 4000 // of a whole fleet: two million devices
	newestPages   = 5    // looked through for a sign of life
	newestKept    = time.Minute
	newestSize    = 50
	largestPage   = 500
	centralLayout = "2006-01-02T15:04:05.000Z"
)

// page is one page of devices.
type page struct {
	Items *[]json.RawMessage `json:"items"`
	Pages *struct {
		NextKey *string      `json:"nextKey"`
		Items   *json.Number `json:"items"`
	} `json:"pages"`
	clock policy.Field[time.Time] // Central's
}

// fleetQuery asks for all devices of a tenant, the largest pages of them, and for how
// many there are.
func fleetQuery() url.Values {
	return url.Values{"view": {"full"}, "sort": {"id"}, "pageSize": {strconv.Itoa(largestPage)}, "pageTotal": {"true"}}
}

// announced is how many devices a page says there are; less than none where it does
// not say.
func announced(n *json.Number) int {
	if total := whole(n); total > 0 || n != nil && n.String() == "0" {
		return total
	}
	return -1
}

// walk is a way through the pages of a list.
type walk struct {
	what  string // for people
	query url.Values
	most  int             // pages
	kind  action.CallKind // of each call; empty = CallSingle
	each  time.Duration   // that one page may take, with the wait for its turn; zero = as long as the caller has time
}

// pages walks through pages until there are no more, or take has enough. A page
// key that comes again, a page without items and too many pages are failures,
// never an end. A bulk read leaves room for others, and others will rest on it: a
// process whose clock is not Central's does not make it, nor one whose clock was
// ahead when it began and was set right since.
func (c *Client) pages(ctx context.Context, p place, w walk, take func([]policy.Device, page) (more bool, t *action.Trouble)) *action.Trouble {
	begun := c.now()
	return c.rawPages(ctx, p, w, func(in page) (bool, *action.Trouble) {
		if w.kind == action.CallBulk && !oneClock(in.clock, begun, c.now()) {
			return false, unusable(w.what, "it does not say when it was made, or its clock and this service's differ by more than five minutes")
		}
		devices, trouble := parseAll(*in.Items)
		if trouble != nil {
			return false, trouble
		}
		return take(devices, in)
	})
}

// oneClock reports whether a clock of this process's that told begun and tells now is
// Central's. One that Central says nothing of may be any.
func oneClock(central policy.Field[time.Time], begun, now time.Time) bool {
	at := central.Value
	return central.Known() && at.Sub(now).Abs() <= policy.MaxSkew && begun.Sub(at) <= policy.MaxSkew
}

// rawPages is pages for who wants the records as they came.
func (c *Client) rawPages(ctx context.Context, p place, w walk, take func(page) (more bool, t *action.Trouble)) *action.Trouble {
	used := map[string]bool{w.query.Get("pageFromKey"): true}
	for range w.most {
		in, trouble := c.page(ctx, p, w)
		if trouble != nil {
			return trouble
		}
		more, trouble := take(in)
		key := in.next()
		if trouble != nil || !more || key == "" {
			return trouble
		}
		if used[key] {
			return unusable(w.what, "its pages go round in a circle")
		}
		used[key] = true
		w.query.Set("pageFromKey", key)
	}
	return unusable(w.what, "it has too many pages")
}

// next is the key of the page after this one; empty = there is none.
func (p page) next() string {
	if p.Pages.NextKey == nil {
		return ""
	}
	return *p.Pages.NextKey
}

// page reads one page of a list that may have more.
func (c *Client) page(ctx context.Context, p place, w walk) (page, *action.Trouble) {
	if w.each > 0 {
		until, cancel := context.WithTimeout(ctx, w.each)
		defer cancel()
		ctx = until
	}
	in, trouble := c.devices(ctx, p, w.what, w.query, w.kind)
	if trouble == nil && in.Pages == nil {
		trouble = unusable(w.what, "it does not say whether it is whole")
	}
	if trouble != nil {
		return page{}, trouble
	}
	return in, nil
}

// devices asks for devices once.
func (c *Client) devices(ctx context.Context, p place, what string, query url.Values, kind action.CallKind) (page, *action.Trouble) {
	r, trouble := c.reads.get(ctx, request{what: what, limit: maxList, header: p.header(), url: p.url(query), kind: kind})
	if trouble == nil && r.status == http.StatusNotFound {
		trouble = r.refusedList(what)
	}
	var in page
	if trouble == nil {
		trouble = r.decode(what, &in)
	}
	if trouble == nil && in.Items == nil {
		trouble = unusable(what, "it has no list of devices")
	}
	if trouble != nil {
		return page{}, trouble
	}
	in.clock = clockOf(r.header)
	return in, nil
}

// refusedList is a 404 to a list: there is always a list, so this is no answer.
func (r reply) refusedList(what string) *action.Trouble {
	t := unusable(what, "a list can't be missing")
	t.Status, t.CorrelationID = r.status, r.correlation()
	return t
}

// whole is a count that was given; 0 for none.
func whole(n *json.Number) int {
	if n == nil {
		return 0
	}
	i, err := strconv.Atoi(n.String())
	if err != nil {
		return 0
	}
	return i
}

// goneMeanwhile is how many devices may go from a tenant while it is read, beside a
// hundredth of it.
const goneMeanwhile = 10

// census is how many devices the pages of a read announced. Devices come and go while
// pages are read: what came is held against the fewest that any of them announced, or
// each that comes behind the read would make it look cut. But one that is smaller by
// far is no number of this read.
type census struct {
	fewest, most int  // of all pages; fewest = 0: none announced a number above
	told         bool // a page announced some number
	fell         bool // a page announced fewer than can have gone since
}

// page takes what a page announced; less than none = it did not say.
func (n *census) page(total int) {
	n.told, n.most = n.told || total >= 0, max(n.most, total)
	n.fell = n.fell || total >= 0 && total < n.most-n.most/100-goneMeanwhile
	n.fewest = fewest(n.fewest, total)
}

// notWhole is the trouble of a read that ended before all had come, or that nobody
// can tell to be whole.
func (n census) notWhole(what string, came int) *action.Trouble {
	switch {
	case came < n.fewest:
		return unusable(what, "fewer devices came than were announced")
	case n.fell:
		return unusable(what, "it announces far fewer devices than before")
	case !n.told, came > 0 && n.fewest == 0: // none came, and none said so: that is no answer
		return unusable(what, "it does not say how many devices there are")
	}
	return nil
}

// fewest is the smaller of two counts that were given; 0 = not given.
func fewest(a, b int) int {
	if b > 0 && (a == 0 || b < a) {
		return b
	}
	return a
}

// newestSeen is the newest time at which Central heard from any device of the
// tenant; zero when that was longer ago than within. Silence is asked for anew
// each time, a sign of life is good for a minute.
func (c *Client) newestSeen(ctx context.Context, p place, within time.Duration, kind action.CallKind) (time.Time, *action.Trouble) {
	key := strings.ToLower(p.tenantID) + " " + within.String()
	at, trouble := c.newest.get(ctx, c, key, func(ctx context.Context) (time.Time, time.Duration, *action.Trouble) {
		at, trouble := c.askNewest(ctx, p, within, kind)
		if trouble != nil || at.IsZero() {
			return at, 0, trouble
		}
		return at, newestKept, nil
	})
	if trouble == nil && at.Before(c.now().Add(-within)) {
		c.newest.drop(key)
		return time.Time{}, nil
	}
	return at, trouble
}

// askNewest looks for the newest sign of life, page by page. Times in the future
// are some device's wrong clock and no sign of anything.
func (c *Client) askNewest(ctx context.Context, p place, within time.Duration, kind action.CallKind) (time.Time, *action.Trouble) {
	now, newest, n := c.now(), time.Time{}, 0
	query := url.Values{"lastSeenAfter": {now.Add(-within).UTC().Format(centralLayout)}, "view": {"full"}, "sort": {"lastSeenAt:desc"}, "pageSize": {strconv.Itoa(newestSize)}}
	trouble := c.pages(ctx, p, walk{what: whatNewest, query: query, most: newestPages, kind: kind}, func(devices []policy.Device, _ page) (bool, *action.Trouble) {
		for _, d := range devices {
			at := d.LastSeenAt.Value
			if d.LastSeenAt.Known() && !at.Before(now.Add(-within)) && !at.After(now.Add(policy.MaxSkew)) && at.After(newest) {
				newest = at
			}
		}
		n++
		return newest.IsZero() && n < newestPages, nil
	})
	if trouble != nil {
		return time.Time{}, trouble
	}
	return newest, nil
}
