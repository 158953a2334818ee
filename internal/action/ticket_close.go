package action

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"rollcall/internal/policy"
)

// TicketClose records what a person decided and takes the ticket off the open
// set. It never deletes: with delete it answers with an approval. It returns
// ErrForbidden when a decision is to be changed without the scope for it.
func (r *Runner) TicketClose(ctx context.Context, call Call, in TicketCloseInput) (Result, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	p, now := r.rules().Params, r.now()
	t, err := r.ledger.Ticket(ctx, in.TicketID)
	if isNotFound(err) {
		res := r.result(call, "ticket-close", Ref{}, r.modeFor("", p), p, now)
		res.TicketID = in.TicketID
		return res.ticketed(TicketStep{Outcome: "not_found"})
	}
	if err != nil {
		return Result{}, err
	}
	if err := r.mayDecide(ctx, t.Dev(), p); err != nil {
		return Result{}, err
	}
	if len(t.Claims) == 0 && in.Decision == "delete" {
		return r.unshown(call, t, p, now)
	}
	closing, err := r.closing(call, in, t, p, now)
	if err != nil {
		return Result{}, err
	}
	step, err := r.ledger.CloseTicket(ctx, closing)
	if err != nil {
		return Result{}, err
	}
	r.seen.saw(t.TenantID, step.Receipt)
	res := r.result(call, "ticket-close", t.Dev(), r.modeFor(t.TenantID, p), p, now)
	res.Hostname = t.Hostname
	if res, err = res.ticketed(step); err != nil {
		return Result{}, err
	}
	if step.Ticket.Decision != "delete" || step.Outcome == "refused" {
		return res, nil
	}
	approved, err := approvalOf(step.Ticket)
	if err != nil {
		return Result{}, err
	}
	res.Next = "delete"
	res.Token, err = r.seal(ctx, kindApproval, approved)
	return res, err
}

// mayDecide returns ErrUntrusted where what a person says would be written into a
// store that can't be trusted, and lost when that is mended.
func (r *Runner) mayDecide(ctx context.Context, dev Ref, p policy.Params) error {
	st, err := r.standing(ctx, dev, r.modeFor(dev.TenantID, p), claims{})
	if err == nil && st.Unverified != "" {
		err = fmt.Errorf("%w: %w: %s", ErrState, ErrUntrusted, st.Unverified)
	}
	return err
}

// unshown refuses a yes to a ticket that was rebuilt from the audit trail: what
// the person was shown is not on record any more, so there is nothing that the
// approval could be bound to.
func (r *Runner) unshown(call Call, t Ticket, p policy.Params, now time.Time) (Result, error) {
	res := r.result(call, "ticket-close", t.Dev(), r.modeFor(t.TenantID, p), p, now)
	res.Hostname = t.Hostname
	return res.ticketed(TicketStep{Outcome: "refused", Code: policy.TokenExpired, Ticket: t})
}

// closing is what the ledger is asked to write.
func (r *Runner) closing(call Call, in TicketCloseInput, t Ticket, p policy.Params, now time.Time) (Closing, error) {
	shown, err := shownFor(t)
	if err != nil {
		return Closing{}, err
	}
	res := r.result(call, "ticket-close", t.Dev(), r.modeFor(t.TenantID, p), p, now)
	res.Hostname, res.Outcome = t.Hostname, "closed"
	c := Closing{
		Mark: res.mark(call), TicketID: in.TicketID, Decision: in.Decision, DecidedBy: in.DecidedBy, Note: in.Note,
		TicketState: in.TicketState, OpenedBy: t.OpenedBy, SamePerson: samePerson(t, in.DecidedBy, call.Key, p), MayChange: slices.Contains(call.Scopes, "approve"),
		ApprovalID: uuid.NewString(), ApprovalTTL: p.ApprovalTTL,
	}
	if in.Decision == "keep" {
		c.Keep = &policy.KeepUntil{
			TicketID: in.TicketID, Until: now.AddDate(0, 0, p.KeepDays),
			DN: shown.Event.Directory.DistinguishedName, Enabled: shown.Event.Directory.Enabled,
		}
	}
	return c, nil
}

// samePerson reports whether the decider may be the opener of the ticket: by name or,
// where the policy asks for it, by API key. An opener that is not on record may be
// anybody.
func samePerson(t Ticket, decidedBy, key string, p policy.Params) bool {
	return t.OpenedBy == "" || policy.SamePerson(t.OpenedBy, decidedBy) || p.SeparateKeys && (t.OpenedKey == "" || t.OpenedKey == key)
}

// shownFor is what the person who decided the ticket was shown.
func shownFor(t Ticket) (claims, error) {
	var c claims
	if len(t.Claims) == 0 {
		return c, nil // rebuilt from the audit trail
	}
	if err := json.Unmarshal(t.Claims, &c); err != nil {
		return claims{}, fmt.Errorf("ticket's claims: %w", err)
	}
	return c, nil
}

// approvalOf is the approval of a ticket closed with delete: bound to what was
// shown, named by the ledger, and valid as long as the ledger says.
func approvalOf(t Ticket) (claims, error) {
	c, err := shownFor(t)
	if err != nil {
		return claims{}, err
	}
	c.ID, c.Till, c.TicketID, c.OpenedAt = t.ApprovalID, t.ApprovalTill, t.TicketID, t.OpenedAt
	return c, nil
}
