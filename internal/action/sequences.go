package action

import (
	"maps"
	"slices"
	"sync"
)

// sequences remembers, per tenant, the highest audit sequence that this process
// has seen, and the store's installation. A store that shows less was rolled
// back, one that bears another mark is another. The zero value is ready.
type sequences struct {
	mu    sync.Mutex
	high  map[string]Receipt
	first string // the installation of the store
}

// installation is the one that was seen first, or adopted since.
func (s *sequences) installation(now string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == "" {
		s.first = now
	}
	return s.first
}

// tenants are those of which something was seen.
func (s *sequences) tenants() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.high))
}

// adopt takes another installation for the one of the store.
func (s *sequences) adopt(installation string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first = installation
}

// of returns what was seen of a tenant. Read it before asking the store: what
// another request has seen in between may not be held against the answer.
func (s *sequences) of(tenantID string) Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.high[tenantID]
}

// saw notes a sequence. A new installation begins anew; a step that wrote
// nothing says nothing.
func (s *sequences) saw(tenantID string, at Receipt) {
	if at.Seq == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.high == nil {
		s.high = map[string]Receipt{}
	}
	if was := s.high[tenantID]; was.Installation == at.Installation && was.Seq > at.Seq {
		return
	}
	s.high[tenantID] = at
}

// behind reports whether a store at is older than one that showed was.
func behind(at, was Receipt) bool {
	return at.Installation == was.Installation && at.Seq < was.Seq
}
