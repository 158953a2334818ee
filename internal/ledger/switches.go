package ledger

import (
	"context"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
)

// Pause implements action.Books.
func (s *Store) Pause(ctx context.Context, w action.Switch) (action.SwitchState, error) {
	return s.throw(ctx, "pause", w)
}

// Resume implements action.Books.
func (s *Store) Resume(ctx context.Context, w action.Switch) (action.SwitchState, error) {
	return s.throw(ctx, "resume", w)
}

// ResetCircuit implements action.Books. Without a tenant it resets every one's.
func (s *Store) ResetCircuit(ctx context.Context, w action.Switch) (action.SwitchState, error) {
	return s.throw(ctx, "circuit-reset", w)
}

// throw changes a switch and answers what holds then. The global switch has no
// tenant's trail to stand in, so it has a small stream of its own beside an
// entry in the trail of every tenant that is known.
func (s *Store) throw(ctx context.Context, what string, w action.Switch) (action.SwitchState, error) {
	if what == "pause" {
		w.Reason = reasonOf(w.Reason)
	}
	tenants := []string{w.TenantID}
	if w.TenantID == "" {
		if err := s.global(ctx, what, w); err != nil {
			return action.SwitchState{}, err
		}
		var err error
		if tenants, err = s.tenantIDs(ctx); err != nil {
			return action.SwitchState{}, err
		}
	}
	scope := what
	if w.TenantID == "" && what != "circuit-reset" {
		scope = "global" // only put on record: the tenants' own switches stay
	}
	for _, t := range tenants {
		e, err := entry(action.Mark{
			Dev: action.Ref{TenantID: t}, Action: what, Outcome: "done", By: w.By, RequestID: w.RequestID,
		}, map[string]any{"reason": w.Reason, "global": w.TenantID == ""})
		if err != nil {
			return action.SwitchState{}, err
		}
		c := call{script: "switch", dev: action.Ref{TenantID: t}, entry: e, args: args{"trust": true, "what": scope, "reason": w.Reason, "by": w.By}}
		if _, err := s.run(ctx, c); err != nil {
			return action.SwitchState{}, err
		}
	}
	if err := s.thrown(ctx, what, w.TenantID); err != nil {
		return action.SwitchState{}, err
	}
	return s.switchState(ctx, w.TenantID)
}

// thrown makes sure that a kill switch outlives the master on which it was thrown.
// It is on before that, and stays on if this fails.
func (s *Store) thrown(ctx context.Context, what, tenantID string) error {
	if what != "pause" || s.nodes.Replicas == 0 {
		return nil
	}
	key := globalSpread
	if tenantID != "" {
		key = keySpread.of(tenantID)
	}
	return s.spread(ctx, key, func(redis.Pipeliner) {})
}

// global throws the switch of all tenants; the switch first, the log after: a
// fault between leaves deletes stopped.
func (s *Store) global(ctx context.Context, what string, w action.Switch) error {
	var err error
	switch what {
	case "pause":
		err = s.rdb.HSet(ctx, keyPause, "paused", w.Reason, "pausedBy", w.By).Err()
	case "resume":
		err = s.rdb.Del(ctx, keyPause).Err()
	}
	if err != nil {
		return away(err)
	}
	return away(s.rdb.XAdd(ctx, &redis.XAddArgs{Stream: globalSwitch, MaxLen: 10000, Approx: true, Values: map[string]any{
		"what": what, "reason": w.Reason, "by": w.By, "requestId": w.RequestID,
	}}).Err())
}

// switchState reads what holds for a tenant, or for all.
func (s *Store) switchState(ctx context.Context, tenantID string) (action.SwitchState, error) {
	out := action.SwitchState{TenantID: tenantID}
	key := keyPause
	if tenantID != "" {
		key = keyMeta.of(tenantID)
	}
	v, err := s.rdb.HMGet(ctx, key, "paused", "pausedBy", "circuit").Result()
	if err != nil {
		return out, away(err)
	}
	out.Reason, _ = v[0].(string)
	out.By, _ = v[1].(string)
	out.Paused, out.CircuitOpen = v[0] != nil, v[2] != nil
	paused, err := s.Paused(ctx, tenantID)
	if err != nil {
		return out, err
	}
	if paused != "" {
		out.Paused, out.Reason = true, paused
	}
	return out, nil
}
