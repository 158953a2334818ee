package main

import (
	"context"
	"sync"
	"time"

	"rollcall/internal/action"
)

// ownShare is the part of every rate that a command takes that is alone with its
// budget: the service may use the same credential, and can't be seen from here.
const ownShare = 0.7

// ownBudget is the budget of calls of a process that shares it with no other.
type ownBudget struct {
	rates budget
	now   func() time.Time

	mu    sync.Mutex
	calls []time.Time // booked, oldest first
	rest  time.Time   // nobody calls before this
}

var _ action.Budget = (*ownBudget)(nil)

// Book implements [action.Budget].
func (b *ownBudget) Book(_ context.Context, _ string, _ action.CallKind, most time.Duration) (time.Duration, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	at, keep := now, 0
	if b.rest.After(at) {
		at = b.rest
	}
	for _, r := range b.rates {
		n := max(1, int(float64(r.Calls)*ownShare))
		keep = max(keep, n)
		if len(b.calls) < n {
			continue
		}
		if free := b.calls[len(b.calls)-n].Add(r.Per + r.Per/50); free.After(at) {
			at = free
		}
	}
	if wait := at.Sub(now); wait > most {
		return wait, false, nil
	}
	b.calls = append(b.calls, at)
	if len(b.calls) > keep {
		b.calls = b.calls[len(b.calls)-keep:]
	}
	return at.Sub(now), true, nil
}

// Slow implements [action.Budget].
func (b *ownBudget) Slow(_ context.Context, _ string, pause time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until := b.now().Add(pause); until.After(b.rest) {
		b.rest = until
	}
	return nil
}
