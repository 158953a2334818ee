package ledger

import (
	"context"
	"iter"
	"time"

	"rollcall/internal/action"
)

// Gone implements action.Ledger.
func (s *Store) Gone(ctx context.Context, since time.Time) iter.Seq2[action.Gone, error] {
	return func(yield func(action.Gone, error) bool) {}
}

// Vitals implements action.Books.
func (s *Store) Vitals(ctx context.Context) (action.Vitals, error) {
	return action.Vitals{}, nil
}
