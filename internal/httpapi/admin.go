package httpapi

import (
	"context"

	"rollcall/api"
	"rollcall/internal/action"
)

func (s *server) pause(x *exchange) error  { return s.throw(x, s.cfg.Books.Pause) }
func (s *server) resume(x *exchange) error { return s.throw(x, s.cfg.Books.Resume) }

func (s *server) resetCircuit(x *exchange) error { return s.throw(x, s.cfg.Books.ResetCircuit) }

// throw throws a switch and answers with the state that holds now.
func (s *server) throw(x *exchange, do func(context.Context, action.Switch) (action.SwitchState, error)) error {
	var b adminBody
	if err := s.decode(x, &b); err != nil {
		return err
	}
	var q query
	tenantID := q.id("tenantId", b.TenantID)
	if err := q.found.refusal(); err != nil {
		return err
	}
	x.result.Dev.TenantID = tenantID
	now, err := do(x.c.Request.Context(), action.Switch{
		TenantID: tenantID, Reason: b.Reason, By: b.By, RequestID: x.requestID,
	})
	if err != nil {
		return err
	}
	return x.ok(api.AdminState{
		TenantID: word(now.TenantID), Paused: now.Paused, Reason: word(now.Reason), By: word(now.By),
		CircuitOpen: now.CircuitOpen, RequestID: x.requestID,
	})
}
