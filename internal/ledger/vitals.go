package ledger

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
)

// Vitals implements action.Books. A number that can't be read is an error: what
// is not known is not 0.
func (s *Store) Vitals(ctx context.Context) (action.Vitals, error) {
	v := action.Vitals{Failures: map[string]int{}}
	tenants, err := s.tenantIDs(ctx)
	if err != nil {
		return action.Vitals{}, err
	}
	paused, err := s.rdb.HExists(ctx, keyPause, "paused").Result()
	if err != nil {
		return action.Vitals{}, away(err)
	}
	if paused {
		v.Paused++
	}
	for some := range slices.Chunk(tenants, pageSize) {
		if err := s.addVitals(ctx, &v, some); err != nil {
			return action.Vitals{}, err
		}
	}
	return v, nil
}

// vital is what is asked of one tenant.
type vital struct {
	failures *redis.StringSliceCmd
	meta     *redis.SliceCmd
	inflight *redis.IntCmd
	exported *redis.StringCmd
	snapshot *redis.StringCmd
}

// readingFails is how long a reading of an inventory that failed counts: one that is
// still wanted is begun again long before, and one that nobody wants fails nobody.
const readingFails = 30 * time.Minute

// addVitals adds those of some tenants, in one round trip.
func (s *Store) addVitals(ctx context.Context, v *action.Vitals, tenants []string) error {
	pipe := s.rdb.Pipeline()
	clock := pipe.Time(ctx)
	asked := make([]vital, len(tenants))
	for i, t := range tenants {
		asked[i] = vital{
			failures: pipe.HKeys(ctx, keyFailures.of(t)),
			meta:     pipe.HMGet(ctx, keyMeta.of(t), "circuit", "paused", "seq"),
			inflight: pipe.ZCard(ctx, keyInflight.of(t)),
			exported: pipe.HGet(ctx, keyChain.of(t), "seq"),
			snapshot: pipe.HGet(ctx, keySnapshot.of(t, "state"), "failed"),
		}
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return away(err)
	}
	now, err := clock.Result()
	if err != nil {
		return away(err)
	}
	for _, a := range asked {
		if err := a.add(v, now.Add(s.offset())); err != nil {
			return away(err)
		}
	}
	return nil
}

// add adds one tenant's numbers. Each command has an error of its own: that of the
// pipeline is only the first one's.
func (a vital) add(v *action.Vitals, now time.Time) error {
	for _, err := range []error{a.failures.Err(), a.meta.Err(), a.inflight.Err()} {
		if err != nil {
			return err
		}
	}
	for _, field := range a.failures.Val() {
		kind, _, _ := strings.Cut(field, ":")
		v.Failures[kind]++
	}
	meta := a.meta.Val()
	if meta[0] != nil {
		v.CircuitsOpen++
	}
	if meta[1] != nil {
		v.Paused++
	}
	v.Unsettled += int(a.inflight.Val())
	seq, _ := meta[2].(string)
	written, err := number(seq)
	if err != nil {
		return err
	}
	exported, err := numberIn(a.exported)
	if err != nil {
		return err
	}
	v.Unexported += max(0, written-exported)
	failed, err := numberIn(a.snapshot)
	if err != nil {
		return err
	}
	if failed > 0 && now.Sub(time.UnixMilli(failed)) < readingFails {
		v.SnapshotsFailing++
	}
	return nil
}

// numberIn reads the number in a field.
func numberIn(cmd *redis.StringCmd) (int64, error) {
	s, err := cmd.Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, err
	}
	return number(s)
}

// number reads a sequence; one that does not exist is 0.
func number(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	return strconv.ParseInt(s, 10, 64)
}
