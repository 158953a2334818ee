package centralsim

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Always is for Fault.Times: until it is lifted.
const Always = -1

// Fault spoils requests. Without Status, Hang, Drop or ApplyAnyway the request
// is answered as ever, and then cut or decorated.
type Fault struct {
	Method, Path string                   // path prefix; empty = any
	When         func(*http.Request) bool // further condition, such as chance; nil = always
	Skip, Times  int                      // let so many pass first; strike so often (0 = once)

	Status      int    // answer this status instead
	Body        string // with it; empty = Central's envelope
	ContentType string
	RetryAfter  string // the header, as it stands
	Header      http.Header

	Hang        bool // answer nothing until the client gives up or the fault is lifted
	CutBody     bool // promise the whole body, send half of it and cut the connection
	Drop        bool // cut the connection without an answer
	ApplyAnyway bool // do what was asked before answering otherwise
}

// standing is a fault in force.
type standing struct {
	Fault
	lifted chan struct{}
	once   sync.Once
}

// Fault puts a fault in force. The function that it returns lifts it and lets
// go what hangs in it; it may be called more than once.
func (s *Sim) Fault(f Fault) (lift func()) {
	if f.Times == 0 {
		f.Times = 1
	}
	st := &standing{Fault: f, lifted: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, st)
	return func() { s.lift(st) }
}

// ClearFaults lifts all faults.
func (s *Sim) ClearFaults() {
	s.mu.Lock()
	all := slices.Clone(s.faults)
	s.mu.Unlock()
	for _, st := range all {
		s.lift(st)
	}
}

func (s *Sim) lift(st *standing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.DeleteFunc(s.faults, func(f *standing) bool { return f == st })
	st.once.Do(func() { close(st.lifted) })
}

// strike finds the fault that hits a request and counts it. The lock is held.
func (s *Sim) strike(r *http.Request) *standing {
	for _, f := range s.faults {
		switch {
		case f.Times == 0, f.Method != "" && f.Method != r.Method, !strings.HasPrefix(r.URL.Path, f.Path),
			f.When != nil && !f.When(r):
			continue
		case f.Skip > 0:
			f.Skip--
			continue
		case f.Times > 0:
			f.Times--
		}
		return f
	}
	return nil
}

// spoil answers a request, through a fault if there is one.
func (s *Sim) spoil(w http.ResponseWriter, c *call, f *standing) {
	if f == nil {
		a := s.respond(c)
		s.send(w, c, a)
		_, _ = w.Write(a.body)
		return
	}
	replaced := f.Status != 0 || f.Hang || f.Drop
	var a answer
	if !replaced || f.ApplyAnyway {
		a = s.respond(c)
	}
	if f.Hang && !f.wait(c.Request) {
		return
	}
	if f.Drop || f.Hang && f.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	if f.Status != 0 {
		a = s.failure(f.Status)
		if f.Body != "" || f.ContentType != "" {
			a.body, a.kind = []byte(f.Body), f.ContentType
		}
	}
	a.header = f.headers(a.header)
	s.send(w, c, a)
	if f.CutBody {
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(a.body)
}

// wait hangs; false when the client went away first.
func (f *standing) wait(r *http.Request) bool {
	select {
	case <-r.Context().Done():
		return false
	case <-f.lifted:
		return true
	}
}

// headers are an answer's headers with the fault's own.
func (f *standing) headers(h http.Header) http.Header {
	h = h.Clone()
	if h == nil {
		h = http.Header{}
	}
	for k, v := range f.Header {
		h[http.CanonicalHeaderKey(k)] = v
	}
	if f.RetryAfter != "" {
		h.Set("Retry-After", f.RetryAfter)
	}
	return h
}

// Rate is a limit of calls per credential. With a Burst it is a bucket that
// holds Burst calls and fills by Limit in Per; without, a sliding window.
type Rate struct {
	Limit int
	Per   time.Duration
	Burst int
}

// StrictRates are the stricter of the two published limits.
func StrictRates() []Rate {
	return []Rate{{Limit: 10, Per: time.Second}, {Limit: 100, Per: time.Minute}, {Limit: 1000, Per: time.Hour}, {Limit: 200_000, Per: 24 * time.Hour}}
}

// BurstRates are the laxer: a hundred a minute with bursts of three hundred.
func BurstRates() []Rate {
	return []Rate{{Limit: 100, Per: time.Minute, Burst: 300}, {Limit: 200_000, Per: 24 * time.Hour}}
}

// overRate counts a call, and says whether it is one too many and after how
// many seconds to come again. The lock is held.
func (s *Sim) overRate(client string, now time.Time, valid bool) (int, bool) {
	if !valid || len(s.switches.Rates) == 0 {
		return 0, false
	}
	// Some came before others that were counted already.
	i, _ := slices.BinarySearchFunc(s.used[client], now, func(a, b time.Time) int {
		if a.After(b) {
			return 1
		}
		return -1
	})
	calls := slices.Insert(slices.Clone(s.used[client]), i, now)
	for _, r := range s.switches.Rates {
		if r.full(calls[:i], now) {
			return max(1, int(r.Per/time.Duration(r.Limit)/time.Second)), true
		}
	}
	s.used[client] = calls
	return 0, false
}

// full reports whether the calls so far leave no room for one more.
func (r Rate) full(calls []time.Time, now time.Time) bool {
	if r.Burst == 0 {
		since := now.Add(-r.Per)
		i, _ := slices.BinarySearchFunc(calls, since, func(a, b time.Time) int { return a.Compare(b) })
		return len(calls)-i >= r.Limit
	}
	level, last := 0.0, now
	for i, t := range calls {
		if i > 0 {
			level = max(0, level-float64(t.Sub(last))*float64(r.Limit)/float64(r.Per))
		}
		level, last = level+1, t
	}
	level = max(0, level-float64(now.Sub(last))*float64(r.Limit)/float64(r.Per))
	return level+1 > float64(r.Burst)
}
