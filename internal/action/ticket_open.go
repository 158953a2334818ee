package action

import (
	"context"
	"encoding/json"
	"fmt"

	"rollcall/internal/policy"
)

// TicketOpen records that a person was asked about the device of a verdict, and
// keeps it out of the next run meanwhile. It returns *Invalid for a token that
// can't be used, ErrConflict when the ticket id is open for another device.
func (r *Runner) TicketOpen(ctx context.Context, call Call, in TicketOpenInput) (Result, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	_, c, err := r.open(ctx, "token", in.Token, kindVerdict)
	if err != nil {
		return Result{}, err
	}
	p, now := r.rules().Params, r.now()
	mode := r.modeFor(c.Dev.TenantID, p)
	st, err := r.standing(ctx, c.Dev, mode, claims{})
	if err != nil {
		return Result{}, err
	}
	if st.Unverified != "" && c.Installation == st.Installation {
		return Result{}, fmt.Errorf("%w: %w: %s", ErrState, ErrUntrusted, st.Unverified)
	}
	res := r.result(call, "ticket-open", c.Dev, mode, p, now)
	res.Hostname, res.TicketID = name(policy.Live{}, c.Event, st), in.TicketID
	d := &deletion{r: r, call: call, c: c, st: st, mode: mode, res: res}
	if d.staleForTicket() {
		return d.record(ctx, Note{})
	}
	if c.TwoPersons && in.OpenedBy == "" {
		return Result{}, &Invalid{Field: "openedBy", Problem: "is required: for a VIP's device or a server two persons are needed, the one who opens the ticket and another who decides"}
	}
	claimed, err := json.Marshal(c)
	if err != nil {
		return Result{}, fmt.Errorf("claims: %w", err)
	}
	res.Outcome = "opened"
	step, err := r.ledger.OpenTicket(ctx, Opening{
		Mark: res.mark(call), TicketID: in.TicketID, TicketSystem: in.TicketSystem, TicketURL: in.TicketURL,
		OpenedBy: in.OpenedBy, TokenID: c.ID, Seq: c.Seq, TwoPersons: c.TwoPersons, Claims: claimed,
	})
	if err != nil {
		return Result{}, err
	}
	r.seen.saw(c.Dev.TenantID, step.Receipt)
	return res.ticketed(step)
}

// staleForTicket refuses a token that no longer says anything, or that says
// that no person is needed.
func (d *deletion) staleForTicket() bool {
	switch c := d.c; {
	case d.outdated():
	case c.Verdict != policy.Manual && c.Verdict != policy.Delete:
		d.res.Reasons = c.Reasons
	default:
		return false
	}
	d.res.end("refused")
	return true
}

// ticketed finishes the answer to opening or closing a ticket.
func (res Result) ticketed(step TicketStep) (Result, error) {
	switch step.Outcome {
	case "conflict":
		return Result{}, ErrConflict
	case "forbidden":
		return Result{}, fmt.Errorf("%w: approve", ErrForbidden)
	case "refused":
		res.because(step.Code, refusals(step.Code))
	}
	if step.Ticket.TicketID != "" {
		res.TicketID, res.TicketState = step.Ticket.TicketID, step.Ticket.State
		res.Dev, res.Hostname = step.Ticket.Dev(), step.Ticket.Hostname
	}
	res.end(step.Outcome)
	res.Deleted = known(step.Code == policy.AlreadyDeleted)
	res.Next = "stop"
	if step.Outcome == "not_found" { // the word is verify-live's too, of a device
		res.Summary, res.NeedsReview = "No ticket of this id was ever opened.", true
	}
	return res, nil
}

// refusals says why a ticket's step was refused.
func refusals(code policy.Code) string {
	switch code {
	case policy.AlreadyDeleted:
		return "The device was already deleted."
	case policy.InFlight:
		return "A delete of the device is under way."
	case policy.ApprovalUsed:
		return "The approval was already used."
	case policy.TokenExpired:
		return "What the person was shown was lost with the store: close with none, evaluate again and open a new ticket."
	case policy.SecondPersonNeeded:
		return "A VIP's device or a server needs openedBy and decidedBy, and they must differ."
	case policy.TicketDecidedKeep:
		return "A person decided that the device stays."
	case policy.ApprovalPending:
		return "A person has approved the delete, and the approval is waiting to be used."
	case policy.TicketOpen:
		return "Another ticket is open for the device."
	default:
		return "The device's state does not allow it."
	}
}
