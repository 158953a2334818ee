package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// exportLease is how long one process has the export of a tenant's trail. Who
// sleeps over it writes lines that another has written too: the same lines.
const exportLease = 10 * time.Second

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
	last, err := s.rdb.HGet(ctx, keyMeta.of(tenant), "seq").Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return away(err)
	}
	if last <= from.seq {
		return nil
	}
	key, owner := keyExporter.of(tenant), uuid.NewString()
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
		err := s.scripts["exported"].Run(ctx, s.rdb, []string{keyChain.of(tenant), keyMeta.of(tenant)}, from.seq, to.seq, to.digest).Err()
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
