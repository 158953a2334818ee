package central

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

const (
	batchMost = 100         // ids in one call, whose URL has to stay short
	batchSlow = time.Second // a read that takes longer no longer holds up the next
)

// batch are the reads of one tenant's devices that wait for a call. One worker reads
// for all of them, while there are any.
type batch struct {
	mu      sync.Mutex
	waiting []*waiter
	working bool
}

// waiter is one read that waits.
type waiter struct {
	dev  action.Ref
	kind action.CallKind // of a call for it alone
	till time.Time       // zero = without end
	got  chan looked
}

// looked is what a read brings for one device.
type looked struct {
	live    policy.Live
	trouble *action.Trouble
}

// readBatched reads one device, together with others that are asked for at the same
// time. The others still get theirs where a caller gives up.
func (c *Client) readBatched(ctx context.Context, p place, dev action.Ref, kind action.CallKind) (policy.Live, *action.Trouble) {
	w := &waiter{dev: dev, kind: kind, got: make(chan looked, 1)}
	w.till, _ = ctx.Deadline()
	kept, _ := c.batches.LoadOrStore(strings.ToLower(p.tenantID), &batch{})
	b, _ := kept.(*batch)
	if b.join(w) {
		c.aside.Go(func() { c.work(p, b) }) //nolint:contextcheck // it reads for others too, and outlives the caller
	}
	select {
	case <-ctx.Done():
		trouble := ownTime(whatDevice)
		return c.failed(trouble), trouble
	case l := <-w.got:
		return l.live, l.trouble
	}
}

// join adds a read, and reports whether a worker is to be started.
func (b *batch) join(w *waiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	start := !b.working
	b.waiting, b.working = append(b.waiting, w), true
	return start
}

// next drops the reads whose callers gave up, and returns how many others wait, of which
// kind a call for them is, and until when they wait; zero = without end. Where none is
// left the worker ends.
func (b *batch) next() (waiting int, kind action.CallKind, till time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.waiting = slices.DeleteFunc(b.waiting, func(w *waiter) bool { return !w.till.IsZero() && !w.till.After(now) })
	b.working = len(b.waiting) > 0
	kind = action.CallSpare
	for _, w := range b.waiting {
		if w.kind != action.CallSpare { // what one may use serves the others too
			kind = w.kind
		}
	}
	return len(b.waiting), kind, latest(b.waiting)
}

// latest is until when the most patient of some callers waits; zero = without end.
func latest(some []*waiter) (till time.Time) {
	for _, w := range some {
		if w.till.IsZero() {
			return time.Time{}
		}
		if w.till.After(till) {
			till = w.till
		}
	}
	return till
}

// take takes the first of the reads.
func (b *batch) take(n int) []*waiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = min(len(b.waiting), n)
	some := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	return some
}

// work reads until nothing waits. While it waits for its booked call the batch grows, up
// to what one call can name. A call that can't be booked fails those for whom it was
// tried: one that came since may have more time, or a larger share of the budget.
func (c *Client) work(p place, b *batch) {
	for {
		n, kind, till := b.next()
		if n == 0 {
			return
		}
		trouble := c.bookFor(p, kind, till)
		if trouble == nil {
			n = batchMost
		}
		some := b.take(n)
		done := make(chan struct{})
		c.aside.Go(func() {
			defer close(done)
			c.serve(p, some, trouble)
		})
		slow := time.NewTimer(batchSlow)
		select {
		case <-done:
		case <-slow.C:
		}
		slow.Stop()
	}
}

// bookFor books one call of a kind for reads that wait until a time.
func (c *Client) bookFor(p place, kind action.CallKind, till time.Time) *action.Trouble {
	ctx := c.ending
	if !till.IsZero() {
		until, cancel := context.WithDeadline(ctx, till)
		defer cancel()
		ctx = until
	}
	rq := request{what: whatDevice, kind: kind}
	rq.url, rq.header = p.url(nil), p.header()
	return c.reads.pay(ctx, &rq)
}

// serve reads some devices by a call that was booked, or hands out the trouble why
// there is none.
func (c *Client) serve(p place, some []*waiter, trouble *action.Trouble) {
	switch {
	case trouble != nil:
		hand(c, some, trouble)
	case len(some) == 1:
		c.readAlone(p, some[0], paid)
	case len(some) > 1:
		for _, w := range c.readSome(p, some) {
			c.readAlone(p, w, action.CallCheck)
		}
	}
}

// hand hands out the trouble of a call. A failed call for several devices says nothing
// of any of them, so it never counts as a device's own failure.
func hand(c *Client, some []*waiter, trouble *action.Trouble) {
	shared := *trouble
	shared.Own = shared.Own || len(some) > 1
	for _, w := range some {
		w.got <- looked{c.failed(&shared), &shared}
	}
}

// readSome reads some devices in one call, and hands each to its caller. It returns
// those that are to be read alone: all, where Central does not take so many ids, and
// those that the answer lacks. A list says nothing of what is not on it, only a device's
// own 404 does.
func (c *Client) readSome(p place, some []*waiter) (alone []*waiter) {
	ctx, cancel := c.batchTime(some)
	defer cancel()
	found, trouble := c.readIDs(ctx, p, some)
	switch {
	case trouble != nil && (trouble.Status == http.StatusBadRequest || trouble.Status == http.StatusRequestURITooLong):
		return some
	case trouble != nil:
		hand(c, some, trouble)
		return nil
	}
	for _, w := range some {
		if live, ok := found[strings.ToLower(w.dev.EndpointID)]; ok {
			w.got <- looked{live, nil}
		} else {
			alone = append(alone, w)
		}
	}
	return alone
}

// readAlone reads one device for its caller.
func (c *Client) readAlone(p place, w *waiter, kind action.CallKind) {
	ctx, cancel := c.batchTime([]*waiter{w})
	defer cancel()
	live, _, trouble := c.read(ctx, c.reads, p, w.dev, "full", kind)
	w.got <- looked{live, trouble}
}

// batchTime is the context of one read: as long as the most patient caller waits, and
// no longer than two calls take.
func (c *Client) batchTime(some []*waiter) (context.Context, context.CancelFunc) {
	till := time.Now().Add(2 * c.timeout)
	if last := latest(some); !last.IsZero() && last.Before(till) {
		till = last
	}
	return context.WithDeadline(c.ending, till)
}

// readIDs reads devices by their ids. What can't be told apart is left out.
func (c *Client) readIDs(ctx context.Context, p place, some []*waiter) (map[string]policy.Live, *action.Trouble) {
	ids := make([]string, len(some))
	for i, w := range some {
		ids[i] = strings.ToLower(w.dev.EndpointID)
	}
	slices.Sort(ids)
	query := url.Values{"ids": {strings.Join(slices.Compact(ids), ",")}, "view": {"full"}, "sort": {"id"}, "pageSize": {strconv.Itoa(largestPage)}}
	in, trouble := c.devices(ctx, p, whatDevice, query, paid)
	if trouble != nil {
		return nil, trouble
	}
	found := map[string]policy.Live{}
	twice := map[string]bool{}
	for _, raw := range *in.Items {
		d, trouble := parse(raw)
		if trouble != nil || !d.ID.Known() {
			continue
		}
		id := strings.ToLower(d.ID.Value)
		_, again := found[id]
		twice[id] = twice[id] || again
		found[id] = policy.Live{Status: policy.LiveFound, At: c.now(), CentralTime: in.clock, Device: d}
	}
	for id, again := range twice {
		if again {
			delete(found, id)
		}
	}
	return found, nil
}
