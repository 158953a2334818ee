package central

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// The times of sharing.
const (
	shareTell = time.Second // for handing answers to other processes
	shareWait = time.Second // until it is looked whether anybody still waits for answers
	shareRest = 100 * time.Millisecond
)

// sharing is what this process does of the reads that processes make together:
// whoever takes what was asked reads for all, and each hears what it asked for.
type sharing struct {
	id string // this process

	mu      sync.Mutex
	last    uint64
	waiting map[string]*mergeWaiter // by the number of their read
	hearing bool
	tenants map[string]*sharedLanes
}

// sharedLanes are the reads that this process makes for all, of one tenant.
type sharedLanes struct {
	lanes
	again bool // something was asked since a lane last looked
}

// readShared reads one device, together with those that other processes ask for.
// asked is false where it could not be asked for.
func (c *Client) readShared(ctx context.Context, p place, dev action.Ref) (l looked, asked bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*c.timeout+c.merging.busy) // who took it may be gone
	defer cancel()
	w := newWaiter(ctx, dev)
	since := c.now()
	number := c.sharing.add(w)
	defer c.sharing.drop(number)
	if c.shared.Ask(ctx, p.tenantID, action.AskedRead{Asker: c.sharing.id, Number: number, EndpointID: dev.EndpointID}) != nil {
		return looked{}, false
	}
	if c.sharing.open(p.tenantID) {
		c.aside.Go(func() { c.sharedLane(p) }) //nolint:contextcheck // it reads for others too, and outlives who began it
	}
	if c.sharing.hear() {
		c.aside.Go(c.hearAnswers)
	}
	select {
	case l = <-w.got:
		// The clock of who read is not this one, which is what is held against
		// Central's; it was read after this.
		l.live.At = since
		return l, true
	case <-ctx.Done():
	case <-c.ending.Done(): // nobody here reads any more, or hears
	}
	trouble := ownTime(whatDevice)
	return looked{c.failed(trouble), trouble}, true
}

// sharedLane takes what was asked and reads it, until nothing is asked. While it is
// another's turn it stands by: that one may be gone. Reads that come while one is
// under way are made together, so one process at a time reads, unless that is slow.
func (c *Client) sharedLane(p place) {
	full := false
	for {
		if !full {
			_ = pause(c.ending, c.merging.busy, whatDevice)
		}
		c.sharing.begin(p.tenantID)
		most := c.merging.most(p.tenantID)
		waiting, mine, _ := c.shared.Claim(c.ending, p.tenantID, c.sharing.id, mergeSlow) // those who asked have an end, and ask again
		full = waiting >= most
		if waiting == 0 { // or it is not our turn
			if c.sharing.close(p.tenantID, mine) {
				return
			}
			continue
		}
		trouble := c.due(c.sharing.patience(p.tenantID))
		c.sharing.begin(p.tenantID)
		turn, f := c.now(), paid
		taken, _ := c.shared.Take(c.ending, p.tenantID, c.sharing.id, most, mergeSlow)
		if c.now().Sub(turn) > missedTurn {
			f = single
		}
		c.serve(p, c.sharing.waiters(p.tenantID, taken), f, trouble)
	}
}

// tell hands what was read to the processes that asked for it. One that can't be
// told asks again.
func (c *Client) tell(some []*mergeWaiter) {
	answers := map[string][]action.ReadAnswer{}
	for _, w := range some {
		if w.from.Asker == "" { // who waits is here
			continue
		}
		select {
		case l := <-w.got:
			answers[w.from.Asker] = append(answers[w.from.Asker], action.ReadAnswer{Number: w.from.Number, Live: l.live, Trouble: l.trouble})
		default: // it is read alone
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ending), shareTell)
	defer cancel()
	for asker, these := range answers {
		_ = c.shared.Answer(ctx, asker, these)
	}
}

// hearAnswers hands on what others read for this process, as long as anybody waits.
func (c *Client) hearAnswers() {
	for c.ending.Err() == nil && c.sharing.listens() {
		answers, err := c.shared.Answers(c.ending, c.sharing.id, shareWait)
		if err != nil {
			_ = pause(c.ending, shareRest, whatDevice)
		}
		for _, a := range answers {
			if w := c.sharing.drop(a.Number); w != nil {
				w.got <- c.heardFor(w.dev, a)
			}
		}
	}
}

// heardFor is the answer for a device. One that is of another device is none.
func (c *Client) heardFor(dev action.Ref, a action.ReadAnswer) looked {
	id := a.Live.Device.ID
	switch {
	case a.Trouble != nil:
		return looked{c.failed(a.Trouble), a.Trouble}
	case a.Live.Status == policy.LiveNotFound:
		return looked{policy.Live{Status: policy.LiveNotFound, At: c.now(), CentralTime: a.Live.CentralTime}, nil}
	case a.Live.Status == policy.LiveFound && id.Known() && strings.EqualFold(id.Value, dev.EndpointID):
		return looked{a.Live, nil}
	}
	trouble := unusable(whatDevice, "it is of another device")
	trouble.Own = true
	return looked{c.failed(trouble), trouble}
}

// add enters a waiter, and gives its read a number.
func (s *sharing) add(w *mergeWaiter) (number string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == nil {
		s.waiting, s.tenants = map[string]*mergeWaiter{}, map[string]*sharedLanes{}
	}
	s.last++
	number = strconv.FormatUint(s.last, 10)
	s.waiting[number] = w
	return number
}

// drop takes a waiter out and returns it; nil = it waits no longer.
func (s *sharing) drop(number string) *mergeWaiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.waiting[number]
	delete(s.waiting, number)
	return w
}

// waiters are those who wait for what was taken: this process's own that have not
// given up, and those of others.
func (s *sharing) waiters(tenantID string, taken []action.AskedRead) []*mergeWaiter {
	var out []*mergeWaiter
	for _, a := range taken {
		if a.Asker != s.id {
			out = append(out, &mergeWaiter{dev: action.Ref{TenantID: tenantID, EndpointID: a.EndpointID}, got: make(chan looked, 1), from: a})
		} else if w := s.drop(a.Number); w != nil {
			out = append(out, w)
		}
	}
	return out
}

// open notes that something is asked, and begins a lane like [lanes.open].
func (s *sharing) open(tenantID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.tenants[tenantID]
	if l == nil {
		l = &sharedLanes{}
		s.tenants[tenantID] = l
	}
	l.again = true
	return l.open()
}

// begin says that a lane takes what was asked: while that is new, no other opens.
func (s *sharing) begin(tenantID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tenants[tenantID].begun = time.Now()
}

// patience is till when the most patient of this process waits, and until then no other
// lane opens. Those of others are taken to be alike. Where nobody here waits it is as
// long as a turn lasts: the others have an end too, and are to hear before it when to
// come again.
func (s *sharing) patience(tenantID string) (till time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.tenants[tenantID].stand(till) }()
	var ours []*mergeWaiter
	for _, w := range s.waiting {
		if strings.EqualFold(w.dev.TenantID, tenantID) {
			ours = append(ours, w)
		}
	}
	if len(ours) == 0 {
		return time.Now().Add(mergeSlow)
	}
	return latest(ours)
}

// close ends a lane that took nothing: on its turn, unless something was asked
// meanwhile; on another's, unless anybody still waits.
func (s *sharing) close(tenantID string, mine bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.tenants[tenantID]
	if mine && l.again || !mine && len(s.waiting) > 0 {
		l.again = false
		return false
	}
	l.n--
	return true
}

// hear reports whether answers are to be listened for from now on.
func (s *sharing) hear() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	begin := !s.hearing
	s.hearing = true
	return begin
}

// listens reports whether anybody waits for answers; where not, nobody listens.
func (s *sharing) listens() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hearing = len(s.waiting) > 0
	return s.hearing
}
