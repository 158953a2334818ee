package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
)

// Gone implements action.Ledger.
func (s *Store) Gone(ctx context.Context, since time.Time) iter.Seq2[action.Gone, error] {
	return func(yield func(action.Gone, error) bool) {
		tenants, err := s.tenantIDs(ctx)
		if err != nil {
			yield(action.Gone{}, err)
			return
		}
		for _, t := range tenants {
			if !s.goneOf(ctx, t, since, yield) {
				return
			}
		}
	}
}

// goneOf yields one tenant's deleted devices; false ends the iteration.
func (s *Store) goneOf(ctx context.Context, tenant string, since time.Time, yield func(action.Gone, error) bool) bool {
	for rows, err := range s.pages(ctx, tenantKey(tenant, "deleted"), since) {
		var page []action.Gone
		if err == nil {
			page, err = s.gonePage(ctx, tenant, rows)
		}
		if err != nil {
			yield(action.Gone{}, err)
			return false
		}
		for _, g := range page {
			if !yield(g, nil) {
				return false
			}
		}
	}
	return true
}

// gonePage reads what else is known of a page of deleted devices. Who came back
// since the page was read is left out.
func (s *Store) gonePage(ctx context.Context, tenant string, rows []redis.Z) ([]action.Gone, error) {
	ids := make([]string, len(rows))
	devices := make([]*redis.SliceCmd, len(rows))
	pipe := s.rdb.Pipeline()
	for i, z := range rows {
		ids[i] = fmt.Sprint(z.Member)
		devices[i] = pipe.HMGet(ctx, deviceKey(tenant, ids[i]), "state", "hostname", "restoreBy", "deletedAt")
	}
	records := pipe.HMGet(ctx, tenantKey(tenant, "records"), ids...)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, away(err)
	}
	var out []action.Gone
	for i := range rows {
		v := make([]string, 4)
		for j, x := range devices[i].Val() {
			v[j], _ = x.(string)
		}
		if v[0] != StateDeleted {
			continue
		}
		g := action.Gone{
			Ref: action.Ref{TenantID: tenant, EndpointID: ids[i]}, Hostname: v[1],
			DeletedAt: at(v[3]), RestoreBy: at(v[2]),
		}
		if record, ok := records.Val()[i].(string); ok {
			g.Record = []byte(record)
		}
		out = append(out, g)
	}
	return out, nil
}

// Rest implements action.Ledger.
func (s *Store) Rest(ctx context.Context, task string, ttl time.Duration) error {
	return away(s.rdb.Set(ctx, turnKey(task), "1", ttl).Err())
}

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
}

// addVitals adds those of some tenants, in one round trip.
func (s *Store) addVitals(ctx context.Context, v *action.Vitals, tenants []string) error {
	pipe := s.rdb.Pipeline()
	asked := make([]vital, len(tenants))
	for i, t := range tenants {
		asked[i] = vital{
			failures: pipe.HKeys(ctx, tenantKey(t, "failures")),
			meta:     pipe.HMGet(ctx, metaKey(t), "circuit", "paused", "seq"),
			inflight: pipe.ZCard(ctx, tenantKey(t, "inflight")),
			exported: pipe.HGet(ctx, chainKey(t), "seq"),
		}
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return away(err)
	}
	for _, a := range asked {
		if err := a.add(v); err != nil {
			return away(err)
		}
	}
	return nil
}

// add adds one tenant's numbers. Each command has an error of its own: that of the
// pipeline is only the first one's.
func (a vital) add(v *action.Vitals) error {
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
	exported, err := a.exported.Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	done, err := number(exported)
	if err != nil {
		return err
	}
	v.Unexported += max(0, written-done)
	return nil
}

// number reads a sequence; one that does not exist is 0.
func number(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	return strconv.ParseInt(s, 10, 64)
}
