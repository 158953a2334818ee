package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
)

// How long what is over stays on record. What still bears on a decision never ages
// out: open tickets, the state of a device, intents; nor does an audit entry that
// was not exported.
const (
	keepTickets   = 400 * 24 * time.Hour // closed ones, since they were closed
	keepDecisions = 90 * 24 * time.Hour  // the latest of a device
	keepDeleted   = 400 * 24 * time.Hour // the exclusion set, and Central's record
	keepAudit     = 400 * 24 * time.Hour // entries that were exported
)

// agePiece is how much one script takes away, so that none holds Redis up.
const agePiece = 200

// Age takes away what has outlived its retention, for all tenants. It is safe to
// run in every replica at once, and to break off: the next run goes on.
func (s *Store) Age(ctx context.Context) error {
	tenants, err := s.tenantIDs(ctx)
	if err != nil {
		return err
	}
	for _, t := range tenants {
		if err := s.ageSets(ctx, t); err != nil {
			return err
		}
		if err := s.ageTickets(ctx, t); err != nil {
			return err
		}
		if err := s.ageTrail(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// ageSets ages decisions and the deleted set, a piece at a time.
func (s *Store) ageSets(ctx context.Context, tenant string) error {
	for {
		r, err := s.run(ctx, call{script: "age", dev: action.Ref{TenantID: tenant}, args: args{
			"decisions": keepDecisions.Milliseconds(), "deleted": keepDeleted.Milliseconds(), "piece": agePiece,
		}})
		if err != nil || r.Gone < agePiece {
			return err
		}
	}
}

// ageTrail trims what is old of a tenant's trail.
func (s *Store) ageTrail(ctx context.Context, tenant string) error {
	now, err := s.clock(ctx, keyMeta.of(tenant))
	if err != nil {
		return err
	}
	return s.trimTrail(ctx, tenant, now.Add(-keepAudit))
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
	keys := []string{keyChain.of(tenant), keyAudit.of(tenant)}
	return away(s.scripts["trim"].Run(ctx, s.rdb, keys, base.seq, to.seq, to.digest).Err())
}

// ageTickets ages closed tickets. The record goes first: an index that leads
// nowhere heals by itself, a record that nothing leads to does not.
func (s *Store) ageTickets(ctx context.Context, tenant string) error {
	now, err := s.clock(ctx, keyMeta.of(tenant))
	if err != nil {
		return err
	}
	before := now.Add(-keepTickets)
	for rows, err := range s.pages(ctx, keyTickets.of(tenant), time.Time{}) {
		if err != nil {
			return err
		}
		page, err := s.ticketPage(ctx, tenant, "closed", rows)
		if err != nil {
			return err
		}
		for _, t := range page {
			if t.ClosedAt.After(before) {
				continue
			}
			if err := s.forget(ctx, t); err != nil {
				return err
			}
		}
		if rows[len(rows)-1].Score > float64(before.UnixMilli()) {
			return nil // opened after that, so closed after that
		}
	}
	return nil
}

// forget takes one closed ticket away, unless the device's state still rests on it.
func (s *Store) forget(ctx context.Context, t action.Ticket) error {
	r, err := s.run(ctx, call{script: "forget", dev: t.Dev(), ticketID: t.TicketID, args: args{
		"ticket": t.TicketID, "age": keepTickets.Milliseconds(),
	}})
	if err != nil || r.Gone == 0 {
		return err
	}
	has, err := s.rdb.Get(ctx, indexKey(t.TicketID)).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return away(err)
	}
	if tenant, endpoint, _ := indexed(has); tenant != t.TenantID || endpoint != t.EndpointID {
		return nil
	}
	return away(s.scripts["release"].Run(ctx, s.rdb, []string{indexKey(t.TicketID)}, has).Err())
}
