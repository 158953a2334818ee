package ledger

import (
	"context"
	"iter"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// pageSize is how many rows are read at a time, so that no reply is unbounded.
const pageSize = 500

// pages walks a sorted set upwards from a time on, inclusive. Each page begins at
// the score where the last one ended, not at a rank: ranks shift when others leave
// the set meanwhile, and who stayed would be passed over.
func (s *Store) pages(ctx context.Context, key string, since time.Time) iter.Seq2[[]redis.Z, error] {
	return func(yield func([]redis.Z, error) bool) {
		from, last := "-inf", 0.0
		if !since.IsZero() {
			from = strconv.FormatInt(since.UnixMilli(), 10)
		}
		seen := map[any]bool{} // of the score where the last page ended
		for {
			count := pageSize + len(seen)
			rows, err := s.rdb.ZRangeByScoreWithScores(ctx, key, &redis.ZRangeBy{Min: from, Max: "+inf", Count: int64(count)}).Result()
			if err != nil {
				yield(nil, away(err))
				return
			}
			if page := unseen(rows, last, seen); len(page) > 0 && !yield(page, nil) {
				return
			}
			if len(rows) < count {
				return
			}
			if end := rows[len(rows)-1].Score; end != last {
				last, seen = end, map[any]bool{}
			}
			from = strconv.FormatFloat(last, 'f', -1, 64)
			for _, z := range rows {
				if z.Score == last {
					seen[z.Member] = true
				}
			}
		}
	}
}

// unseen leaves out the rows of one score that were there before.
func unseen(rows []redis.Z, score float64, seen map[any]bool) []redis.Z {
	out := rows[:0:0]
	for _, z := range rows {
		if z.Score != score || !seen[z.Member] {
			out = append(out, z)
		}
	}
	return out
}

// eachTenant yields what of yields, one tenant after another. After an error,
// which comes without a value, the sequence ends.
func eachTenant[T any](ctx context.Context, s *Store, of func(tenant string) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		tenants, err := s.tenantIDs(ctx)
		if err != nil {
			var none T
			yield(none, err)
			return
		}
		for _, t := range tenants {
			for x, err := range of(t) {
				if !yield(x, err) || err != nil {
					return
				}
			}
		}
	}
}

// asPage makes of a page of a tenant's sorted set what is to be yielded.
type asPage[T any] func(ctx context.Context, tenant string, rows []redis.Z) ([]T, error)

// eachRow yields what page makes of one tenant's sorted set, from a time on. After
// an error, which comes without a value, the sequence ends.
func eachRow[T any](ctx context.Context, s *Store, tenant string, set tenantKey, since time.Time, page asPage[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for rows, err := range s.pages(ctx, set.of(tenant), since) {
			var out []T
			if err == nil {
				out, err = page(ctx, tenant, rows)
			}
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, x := range out {
				if !yield(x, nil) {
					return
				}
			}
		}
	}
}

// each is eachRow of every tenant.
func each[T any](ctx context.Context, s *Store, set tenantKey, since time.Time, page asPage[T]) iter.Seq2[T, error] {
	return eachTenant(ctx, s, func(tenant string) iter.Seq2[T, error] { return eachRow(ctx, s, tenant, set, since, page) })
}
