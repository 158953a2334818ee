package central

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"rollcall/internal/action"
)

// memo keeps what was fetched, by key, and fetches once for all who ask at the
// same time.
type memo[T any] struct {
	mu      sync.Mutex
	entries map[string]kept[T]
	flights singleflight.Group
}

// kept is a value with the time until which it is good.
type kept[T any] struct {
	value T
	until time.Time
}

// fetched is what a flight brings home.
type fetched[T any] struct {
	value   T
	trouble *action.Trouble
}

// get returns the kept value, or fetches it. keep says how long a fetched one is
// good; zero keeps nothing.
func (m *memo[T]) get(ctx context.Context, c *Client, key string, fetch func(context.Context) (value T, keep time.Duration, t *action.Trouble)) (T, *action.Trouble) {
	if value, ok := m.kept(c, key); ok {
		return value, nil
	}
	return share(ctx, c, &m.flights, key, func(ctx context.Context) (T, *action.Trouble) {
		// Another flight may have landed since.
		if value, ok := m.kept(c, key); ok {
			return value, nil
		}
		value, keep, trouble := fetch(ctx)
		if trouble == nil && keep > 0 {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.entries == nil {
				m.entries = map[string]kept[T]{}
			}
			m.entries[key] = kept[T]{value, c.now().Add(keep)}
		}
		return value, trouble
	})
}

// kept returns a value that is still good.
func (m *memo[T]) kept(c *Client, key string) (value T, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.entries[key]
	if !ok || !c.now().Before(k.until) {
		return value, false
	}
	return k.value, true
}

// drop forgets a value.
func (m *memo[T]) drop(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
}

// share runs fetch once for all who ask for key at the same time. The flight
// has a time of its own, so one caller who gives up does not take it from the
// others; it ends by itself within twice the time of one call (one try again).
func share[T any](ctx context.Context, c *Client, g *singleflight.Group, key string, fetch func(context.Context) (T, *action.Trouble)) (T, *action.Trouble) {
	landed := launch(ctx, c, g, key, fetch)
	var none T
	select {
	case <-ctx.Done():
		return none, ownTime("this step")
	case r := <-landed:
		f, ok := r.Val.(fetched[T])
		switch {
		case !ok:
			return none, unusable("this step", "none came")
		case f.trouble != nil:
			return none, f.trouble
		}
		return f.value, nil
	}
}

// launch starts a flight, or joins the one that is under way.
func launch[T any](ctx context.Context, c *Client, g *singleflight.Group, key string, fetch func(context.Context) (T, *action.Trouble)) <-chan singleflight.Result {
	return g.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*c.timeout)
		defer cancel()
		value, trouble := fetch(ctx)
		return fetched[T]{value, trouble}, nil
	})
}
