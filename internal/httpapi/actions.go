package httpapi

import (
	"context"
	"encoding/json"
	"time"

	"rollcall/api"
	"rollcall/internal/action"
	"rollcall/internal/policy"
	"rollcall/internal/record"
)

func (s *server) verifyLive(x *exchange) error {
	var b verifyLiveBody
	if err := s.decode(x, &b); err != nil {
		return err
	}
	return x.settle(s.runVerifyLive(x.c.Request.Context(), x.call(), &b, time.Time{}))
}

// runVerifyLive takes a body that was checked through the action.
func (s *server) runVerifyLive(ctx context.Context, call action.Call, b *verifyLiveBody, lookBy time.Time) (action.Result, error) {
	event, err := rowOf(b.Event)
	if err != nil {
		return action.Result{}, err
	}
	return s.cfg.Runner.VerifyLive(ctx, call, action.VerifyLiveInput{Event: event, LookBy: lookBy})
}

func (s *server) evaluate(x *exchange) error {
	var b evaluateBody
	if err := s.decode(x, &b); err != nil {
		return err
	}
	return x.settle(s.runEvaluate(x.c.Request.Context(), x.call(), &b, time.Time{}))
}

// runEvaluate takes a body that was checked through the action.
func (s *server) runEvaluate(ctx context.Context, call action.Call, b *evaluateBody, lookBy time.Time) (action.Result, error) {
	event, err := rowOf(b.Event)
	if err != nil {
		return action.Result{}, err
	}
	return s.cfg.Runner.Evaluate(ctx, call, action.EvaluateInput{Event: event, Evidence: b.Evidence, LookBy: lookBy})
}

func (s *server) delete(x *exchange) error {
	var b deleteBody
	if err := s.decode(x, &b); err != nil {
		return err
	}
	in := action.DeleteInput{Token: b.Token, TicketID: string(b.TicketID)}
	if b.Event != nil {
		event, err := rowOf(b.Event)
		if err != nil {
			return err
		}
		in.Event = &event
	}
	return x.settle(s.cfg.Runner.Delete(x.c.Request.Context(), x.call(), in))
}

func (s *server) ticketOpen(x *exchange) error {
	var b ticketOpenBody
	if err := s.decode(x, &b); err != nil {
		return err
	}
	in := action.TicketOpenInput{
		Token: b.Token, TicketID: string(b.TicketID), TicketSystem: b.TicketSystem,
		TicketURL: b.TicketURL, OpenedBy: b.OpenedBy,
	}
	return x.settle(s.cfg.Runner.TicketOpen(x.c.Request.Context(), x.call(), in))
}

func (s *server) ticketClose(x *exchange) error {
	var b ticketCloseBody
	if err := s.decode(x, &b); err != nil {
		return err
	}
	if b.Decision == "delete" && !x.key.Has(api.ScopeApprove) {
		return refuse(errForbidden, "the key lacks the scope "+api.ScopeApprove+", which the decision delete needs")
	}
	in := action.TicketCloseInput{
		TicketID: string(b.TicketID), Decision: b.Decision, DecidedBy: b.DecidedBy,
		Note: b.Note, TicketState: b.TicketState,
	}
	return x.settle(s.cfg.Runner.TicketClose(x.c.Request.Context(), x.call(), in))
}

// call says who calls.
func (x *exchange) call() action.Call {
	return action.Call{RequestID: x.requestID, Key: x.key.Name, Scopes: x.key.Scopes}
}

// settle answers with what an action came to.
func (x *exchange) settle(res action.Result, err error) error {
	if err != nil {
		return err
	}
	x.result = res
	return x.ok(answer(res))
}

// rowOf reads an event. That it is one JSON object is known by now; what its
// fields hold is for the policy to judge.
func rowOf(raw json.RawMessage) (policy.Event, error) {
	event, err := record.ParseEvent(raw)
	if err != nil {
		return policy.Event{}, problems{{Field: "event", Problem: "cannot be read as an event"}}.refusal()
	}
	return event, nil
}
