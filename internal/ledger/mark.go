package ledger

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
)

// Mark is the installation id; empty when the store has none.
func (s *Store) Mark(ctx context.Context) (string, error) {
	id, err := s.rdb.Get(ctx, keyMark).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return id, away(err)
}

// InitMark marks the store as rollcall's. A store that is marked keeps its id.
func (s *Store) InitMark(ctx context.Context) (id string, existed bool, err error) {
	id = newMark()
	ok, err := s.rdb.SetNX(ctx, keyMark, id, 0).Result()
	if err != nil || ok {
		return id, false, away(err)
	}
	id, err = s.Mark(ctx)
	return id, true, err
}

// newMark is a new installation's id.
func newMark() string { return uuid.NewString() }

// AcceptRollback begins a new installation: what the store lost is given up, and
// tokens that were sealed before say nothing any more. It is put on record in
// every trail, from where their numbers go on. A process that knew the installation
// before learns that this one follows it.
func (s *Store) AcceptRollback(ctx context.Context, by string) (string, error) {
	was, err := s.Mark(ctx)
	if err != nil {
		return "", err
	}
	tenants, err := s.tenantIDs(ctx)
	if err != nil {
		return "", err
	}
	// Without a mark nobody trusts what is half accepted.
	if err := s.rdb.Del(ctx, keyMark).Err(); err != nil {
		return "", away(err)
	}
	id := newMark()
	err = s.tell(ctx, tenants, action.Mark{Action: actionInit, Outcome: rollbackAccepted, By: by}, "trust", map[string]any{"installation": id})
	if err != nil {
		return "", err
	}
	_, err = s.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, keyMark, id, 0)
		p.Set(ctx, keyMarkBefore, was, 0)
		return nil
	})
	return id, away(err)
}

// Follows implements action.Ledger.
func (s *Store) Follows(ctx context.Context, installation, before string) (bool, error) {
	pipe := s.rdb.Pipeline()
	mark, was := pipe.Get(ctx, keyMark), pipe.Get(ctx, keyMarkBefore)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return false, away(err)
	}
	return mark.Val() == installation && was.Val() == before && before != "", nil
}

// tell puts an entry about the store itself into the trails of tenants.
func (s *Store) tell(ctx context.Context, tenants []string, m action.Mark, what string, more map[string]any) error {
	for _, t := range tenants {
		m.Dev = action.Ref{TenantID: t}
		e, err := entry(m, more)
		if err != nil {
			return err
		}
		if _, err := s.run(ctx, call{script: "switch", dev: m.Dev, entry: e, args: args{"trust": true, "what": what}}); err != nil {
			return err
		}
	}
	return nil
}
