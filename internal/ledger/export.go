package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// exportLease is how long one process has the export of a tenant's trail. Who
// sleeps over it writes lines that another has written too: the same lines.
const exportLease = 10 * time.Second

// place is a place in a trail: an entry's number and digest.
type place struct {
	seq    int64
	digest string
}

// chained is one entry of a trail with its line.
type chained struct {
	place
	line     []byte
	when     time.Time
	endpoint string
}

// start is where a tenant's trail begins in the store (what was before has been
// trimmed), and how far it was exported.
func (s *Store) start(ctx context.Context, tenant string) (base, exported place, err error) {
	v, err := s.rdb.HMGet(ctx, chainKey(tenant), "baseSeq", "baseDigest", "seq", "digest").Result()
	if err != nil {
		return base, exported, away(err)
	}
	base, exported = placeOf(v[0], v[1]), placeOf(v[2], v[3])
	if exported.seq < base.seq {
		exported = base
	}
	return base, exported, nil
}

// placeOf reads a place; none is before the first entry.
func placeOf(seq, digest any) place {
	n, _ := strconv.ParseInt(fmt.Sprint(seq), 10, 64)
	d, ok := digest.(string)
	if !ok || n <= 0 {
		return place{0, genesis()}
	}
	return place{n, d}
}

// gapError says that a trail lacks entries: somebody took them out.
type gapError struct {
	tenant      string
	after, next int64
}

func (e *gapError) Error() string {
	return fmt.Sprintf("tenant %s: after audit entry %d comes %d", e.tenant, e.after, e.next)
}

// chain walks a tenant's trail behind a place, and chains it.
func (s *Store) chain(ctx context.Context, tenant string, from place) iter.Seq2[chained, error] {
	return func(yield func(chained, error) bool) {
		at := from
		for {
			page, err := s.rdb.XRangeN(ctx, auditKey(tenant), fmt.Sprintf("(%d-0", at.seq), "+", pageSize).Result()
			if err != nil {
				yield(chained{}, away(err))
				return
			}
			for _, m := range page {
				c, err := follow(tenant, at, m)
				if !yield(c, err) || err != nil {
					return
				}
				at = c.place
			}
			if len(page) < pageSize {
				return
			}
		}
	}
}

// follow chains one entry to the place before it.
func follow(tenant string, at place, m redis.XMessage) (chained, error) {
	entry, seq, when, endpoint := auditEntry(m)
	if seq != at.seq+1 {
		return chained{}, &gapError{tenant, at.seq, seq}
	}
	line, digest, err := link(at.digest, entry)
	return chained{place{seq, digest}, line, when, endpoint}, err
}

// Export writes the audit entries that were not exported yet to w, one JSON line
// each, chained, tenant by tenant. Each tenant is one process's at a time. What
// was written is noted after it was: after a crash between the two, the same
// lines are written again. A tenant's fault does not stop the others.
func (s *Store) Export(ctx context.Context, w io.Writer) error {
	tenants, err := s.tenantIDs(ctx)
	if err != nil {
		return err
	}
	var faults []error
	for _, t := range tenants {
		faults = append(faults, s.export(ctx, t, w))
	}
	return errors.Join(faults...)
}

// export exports one tenant's trail, if there is anything new.
func (s *Store) export(ctx context.Context, tenant string, w io.Writer) error {
	_, from, err := s.start(ctx, tenant)
	if err != nil {
		return err
	}
	last, err := s.rdb.HGet(ctx, metaKey(tenant), "seq").Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return away(err)
	}
	if last <= from.seq {
		return nil
	}
	key, owner := tenantKey(tenant, "exporter"), uuid.NewString()
	took, err := s.rdb.SetNX(ctx, key, owner, exportLease).Result()
	if err != nil || !took {
		return away(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = s.scripts["release"].Run(ctx, s.rdb, []string{key}, owner).Err() // else it runs out by itself
	}()
	if _, from, err = s.start(ctx, tenant); err != nil { // as it stands under the lease
		return err
	}
	return s.exportFrom(ctx, tenant, from, w)
}

// exportFrom writes what is behind a place, a page at a time.
func (s *Store) exportFrom(ctx context.Context, tenant string, from place, w io.Writer) error {
	var page bytes.Buffer
	to, n := from, 0
	flush := func() error {
		if n == 0 {
			return nil
		}
		if n, err := w.Write(page.Bytes()); err != nil {
			if n > 0 {
				_, _ = w.Write([]byte("\n")) // so that what comes next does not stand behind a piece of a line
			}
			return fmt.Errorf("audit lines: %w", err)
		}
		err := s.scripts["exported"].Run(ctx, s.rdb, []string{chainKey(tenant), metaKey(tenant)}, from.seq, to.seq, to.digest).Err()
		page.Reset()
		from, n = to, 0
		return away(err)
	}
	for c, err := range s.chain(ctx, tenant, from) {
		if err != nil {
			return errors.Join(flush(), err)
		}
		page.Write(append(c.line, '\n'))
		if to, n = c.place, n+1; n < pageSize {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
	}
	return flush()
}

// VerifyAudit walks the trail of every tenant as the store has it: no entry is
// missing, the digest that was kept when it was exported is the one that comes
// out, and the last entry bears the last number. It returns the first fault as
// *[BrokenLink].
func (s *Store) VerifyAudit(ctx context.Context) (AuditReport, error) {
	mark, err := s.Mark(ctx)
	if err == nil && mark == "" {
		err = errors.New("the store can't be trusted: " + noMark) // a trail that was lost whole has no broken link
	}
	if err != nil {
		return AuditReport{}, err
	}
	ids, err := s.tenantIDs(ctx)
	if err != nil {
		return AuditReport{}, err
	}
	r := AuditReport{Tenants: len(ids)}
	for _, t := range ids {
		n, err := s.verifyTrail(ctx, t)
		if err != nil {
			return AuditReport{}, err
		}
		r.Entries += n
	}
	return r, nil
}

// verifyTrail walks one tenant's trail. The last number is read first: entries
// may be added meanwhile.
func (s *Store) verifyTrail(ctx context.Context, tenant string) (int, error) {
	last, err := s.rdb.HGet(ctx, metaKey(tenant), "seq").Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, away(err)
	}
	base, exported, err := s.start(ctx, tenant)
	if err != nil {
		return 0, err
	}
	broken := func(seq int64, why string) error { return &BrokenLink{TenantID: tenant, Seq: seq, Why: why} }
	at, n := base, 0
	for c, err := range s.chain(ctx, tenant, base) {
		if gap, ok := errors.AsType[*gapError](err); ok {
			return 0, broken(gap.after+1, fmt.Sprintf("is missing: after %d comes %d", gap.after, gap.next))
		}
		if err != nil {
			return 0, err
		}
		if c.seq == exported.seq && c.digest != exported.digest {
			return 0, broken(c.seq, "or one before it is not what was exported")
		}
		at, n = c.place, n+1
	}
	switch {
	case at.seq < exported.seq:
		return 0, broken(at.seq+1, fmt.Sprintf("is missing: the trail was exported as far as %d", exported.seq))
	case at.seq < last:
		return 0, broken(at.seq+1, fmt.Sprintf("is missing: the last number given is %d", last))
	}
	return n, nil
}

// trimTrail takes entries away that are older than before and were exported.
func (s *Store) trimTrail(ctx context.Context, tenant string, before time.Time) error {
	base, exported, err := s.start(ctx, tenant)
	if err != nil {
		return err
	}
	to := base
	for c, err := range s.chain(ctx, tenant, base) {
		if err != nil {
			return err
		}
		if c.seq > exported.seq || !c.when.Before(before) {
			break
		}
		to = c.place
	}
	if to == base {
		return nil
	}
	keys := []string{chainKey(tenant), auditKey(tenant)}
	return away(s.scripts["trim"].Run(ctx, s.rdb, keys, base.seq, to.seq, to.digest).Err())
}
