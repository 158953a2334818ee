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

// The bounds of merging. Reads of single devices join another of their tenant that
// waits for Central's limits still; those that arrive while one is under way are made
// as one when that is back. A read that finds none leaves after mergeAlone, so nobody
// waits for nothing. Where many ask, those who got their answers are given mergeWindow
// to come with their next: a little less than what the stricter limits leave between
// two calls of a minute, so that a few who ask fast do not use up what is left for the
// rest.
const (
	mergeAlone  = 2 * time.Millisecond
	mergeSlow   = 2 * time.Second // a read that takes longer no longer holds up the next
	mergeLanes  = 4               // reads of one tenant under way at once, at most
	mergeWindow = 500 * time.Millisecond
	// mergeSize is how many ids are named in one call, whose URL has to stay short;
	// halved whenever Central refuses.
	mergeSize = 100
)

// merger holds, by tenant, who waits for a read.
type merger struct {
	busy    time.Duration // how long is waited for others where many ask
	size    int           // ids in one call
	mu      sync.Mutex
	tenants map[string]*mergeQueue
}

// mergeQueue are those who wait for reads of one tenant's devices.
type mergeQueue struct {
	lanes
	waiting []*mergeWaiter
	most    int
	busy    bool // many ask
}

// lanes are the reads of a tenant that are under way.
type lanes struct {
	n     int
	begun time.Time // the last of them; ahead of now = it waits for its turn, till then at most
}

// open begins a lane where another read is to be made now, and reports whether it did.
func (l *lanes) open() bool {
	if l.n > 0 && (l.n >= mergeLanes || time.Since(l.begun) < mergeSlow) {
		return false
	}
	l.n++
	l.begun = time.Now()
	return true
}

// stand says that a lane waits for the turn of a call, till at the latest: while it
// does, whoever comes joins it.
func (l *lanes) stand(till time.Time) {
	l.begun = time.Now()
	if till.After(l.begun) {
		l.begun = till
	}
}

// mergeWaiter is one who waits.
type mergeWaiter struct {
	dev  action.Ref
	till time.Time // zero = without end
	got  chan looked
	from action.AskedRead // where another process waits
}

func newWaiter(ctx context.Context, dev action.Ref) *mergeWaiter {
	w := &mergeWaiter{dev: dev, got: make(chan looked, 1)}
	w.till, _ = ctx.Deadline()
	return w
}

// looked is what a read brings for one device.
type looked struct {
	live    policy.Live
	trouble *action.Trouble
}

// readMerged reads one device, together with others that are asked for at the same
// time: where many are, by other processes too. Who gives up does not take it from
// the others.
func (c *Client) readMerged(ctx context.Context, p place, dev action.Ref, busy bool) (policy.Live, *action.Trouble) {
	if busy && c.shared != nil {
		if l, asked := c.readShared(ctx, p, dev); asked {
			return l.live, l.trouble
		}
	}
	w := newWaiter(ctx, dev)
	if c.merging.join(p.tenantID, w, busy) {
		c.aside.Go(func() { c.mergeLane(p) }) //nolint:contextcheck // it reads for others too, and outlives who began it
	}
	select {
	case <-ctx.Done():
		trouble := ownTime(whatDevice)
		return c.failed(trouble), trouble
	case l := <-w.got:
		return l.live, l.trouble
	}
}

// join adds a waiter, and reports whether a read is to be begun.
func (m *merger) join(tenantID string, w *mergeWaiter, busy bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.queue(tenantID)
	q.waiting, q.busy = append(q.waiting, w), busy
	return q.open()
}

// queue is a tenant's.
func (m *merger) queue(tenantID string) *mergeQueue {
	if m.tenants == nil {
		m.tenants = map[string]*mergeQueue{}
	}
	q := m.tenants[tenantID]
	if q == nil {
		q = &mergeQueue{most: m.size}
		m.tenants[tenantID] = q
	}
	return q
}

// patience drops those who gave up, and tells till when the others wait, like [latest].
// Where none is left the lane ends.
func (m *merger) patience(tenantID string) (till time.Time, waits bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	q, now := m.queue(tenantID), time.Now()
	q.waiting = slices.DeleteFunc(q.waiting, func(w *mergeWaiter) bool { return !w.till.IsZero() && !w.till.After(now) })
	if len(q.waiting) == 0 {
		q.n--
		return time.Time{}, false
	}
	till = latest(q.waiting)
	q.stand(till)
	return till, true
}

// latest is till when the most patient waits; zero = without end.
func latest(some []*mergeWaiter) (till time.Time) {
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

// leave takes those who wait out of the queue, at most as many as one call may name.
func (m *merger) leave(tenantID string) []*mergeWaiter {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.queue(tenantID)
	n := min(len(q.waiting), q.most)
	some := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	q.begun = time.Now()
	return some
}

// halve makes the calls of a tenant smaller.
func (m *merger) halve(tenantID string, from int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.queue(tenantID)
	q.most = max(1, min(q.most, from/2))
}

// mergeLane reads until nobody waits. The turn of a call is waited for before it is
// settled who is read by it.
func (c *Client) mergeLane(p place) {
	for {
		_ = pause(c.ending, c.merging.window(p.tenantID), whatDevice)
		till, waits := c.merging.patience(p.tenantID)
		if !waits {
			return
		}
		trouble := c.due(till)
		c.serve(p, c.merging.leave(p.tenantID), paid, trouble)
	}
}

// due waits for the turn of a read that is made for whoever waits by then, till at the
// latest; zero = without end.
func (c *Client) due(till time.Time) *action.Trouble {
	ctx := c.ending
	if !till.IsZero() {
		until, cancel := context.WithDeadline(ctx, till)
		defer cancel()
		ctx = until
	}
	if _, trouble := c.reads.bearer(ctx); trouble != nil { // what can't be sent takes nothing of the budget
		return outage(trouble)
	}
	return c.reads.spend(ctx, request{what: whatDevice})
}

// serve reads some devices by a call of a fare, or hands out the trouble why there is
// none. Other processes are told what they asked for.
func (c *Client) serve(p place, some []*mergeWaiter, f fare, trouble *action.Trouble) {
	var alone []*mergeWaiter
	switch {
	case trouble != nil:
		c.fail(some, trouble)
	case len(some) == 1:
		c.readAlone(p, some[0], f)
	default:
		alone = c.readSome(p, some, f)
	}
	c.tell(some)
	for _, w := range alone {
		c.readAlone(p, w, single)
		c.tell([]*mergeWaiter{w})
	}
}

// fail hands out the trouble of a call. That of one for many says nothing of any of
// them.
func (c *Client) fail(some []*mergeWaiter, trouble *action.Trouble) {
	ours := *trouble
	ours.Own = ours.Own || len(some) > 1
	for _, w := range some {
		w.got <- looked{c.failed(&ours), &ours}
	}
}

// window is how long is waited for others to join. A queue that is full waits no
// longer.
func (m *merger) window(tenantID string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.queue(tenantID)
	if q.busy && len(q.waiting) < q.most {
		return m.busy
	}
	return mergeAlone
}

// most is how many devices one call of the tenant may name.
func (m *merger) most(tenantID string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.queue(tenantID).most
}

// readSome reads some devices in one call, and hands each to who waits for it. It
// returns those that the answer lacks: a list says nothing of what is not on it,
// only a device's own 404 does, so they are to be read alone.
func (c *Client) readSome(p place, some []*mergeWaiter, f fare) (alone []*mergeWaiter) {
	if len(some) < 2 {
		return some
	}
	ctx, cancel := c.mergeTime(some)
	defer cancel()
	found, trouble := c.readIDs(ctx, p, some, f)
	if trouble != nil && (trouble.Status == http.StatusBadRequest || trouble.Status == http.StatusRequestURITooLong) {
		c.merging.halve(p.tenantID, len(some))
		half := len(some) / 2
		return append(c.readSome(p, some[:half:half], single), c.readSome(p, some[half:], single)...)
	}
	if trouble != nil {
		c.fail(some, trouble)
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

// readAlone reads one device for who waits for it.
func (c *Client) readAlone(p place, w *mergeWaiter, f fare) {
	ctx, cancel := c.mergeTime([]*mergeWaiter{w})
	defer cancel()
	live, _, trouble := c.read(ctx, c.reads, p, w.dev, "full", f)
	w.got <- looked{live, trouble}
}

// mergeTime is the context of one read: as long as the most patient of those who
// wait have time, and no longer than two calls take.
func (c *Client) mergeTime(some []*mergeWaiter) (context.Context, context.CancelFunc) {
	till := time.Now().Add(2 * c.timeout)
	if last := latest(some); !last.IsZero() && last.Before(till) {
		till = last
	}
	return context.WithDeadline(c.ending, till)
}

// readIDs reads devices by their ids.
func (c *Client) readIDs(ctx context.Context, p place, some []*mergeWaiter, f fare) (map[string]policy.Live, *action.Trouble) {
	var ids []string
	asked := map[string]bool{}
	for _, w := range some {
		if id := strings.ToLower(w.dev.EndpointID); !asked[id] {
			asked[id] = true
			ids = append(ids, id)
		}
	}
	query := url.Values{"ids": {strings.Join(ids, ",")}, "view": {"full"}, "sort": {"id"}, "pageSize": {strconv.Itoa(largestPage)}}
	in, trouble := c.devices(ctx, p, whatDevice, query, f)
	if trouble != nil {
		return nil, trouble
	}
	found := map[string]policy.Live{}
	twice := map[string]bool{} // which of the two is meant can't be guessed
	for _, raw := range *in.Items {
		d, trouble := parse(raw)
		if trouble != nil || !d.ID.Known() { // it may be any of them; who is not found is read alone
			continue
		}
		id := strings.ToLower(d.ID.Value)
		if _, again := found[id]; again || twice[id] {
			twice[id] = true
			delete(found, id)
			continue
		}
		found[id] = policy.Live{Status: policy.LiveFound, At: c.now(), CentralTime: in.clock, Device: d}
	}
	return found, nil
}
