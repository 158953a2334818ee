package action

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall/internal/policy"
)

// deletion is one delete on its way through the steps. The steps run in the
// order in which they stand in this file; each either ends with an answer or
// hands on to the next.
type deletion struct {
	r     *Runner
	call  Call
	token string // as given; empty for a ticket
	c     claims // what the token or the ticket says
	event policy.Event
	rules Rules
	mode  string
	owner string // of the lease
	st    Standing
	res   Result
}

// Delete deletes the device that a sealed verdict, an approval or a decided
// ticket names, if a fresh look and the policy in force still say so. It
// returns *Invalid for a token or event that can't be used, ErrState when the
// ledger does not answer before anything was sent.
func (r *Runner) Delete(ctx context.Context, call Call, in DeleteInput) (Result, error) {
	res, err := r.attempt(ctx, call, in)
	if res.Outcome == "deferred" || res.Outcome == "pending" {
		res.Token = in.Token // a playbook that keeps only the last answer needs it to ask again
	}
	return res, err
}

// attempt is [Runner.Delete] up to the token that it gives back.
func (r *Runner) attempt(ctx context.Context, call Call, in DeleteInput) (Result, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	d := &deletion{r: r, call: call, rules: r.rules(), owner: uuid.NewString(), token: in.Token}
	done, err := d.identify(ctx, in)
	if err != nil || done {
		return d.res, err
	}
	held, err := d.lease(ctx)
	if err == nil && !held {
		if done, err := d.settledBefore(ctx); err != nil || done {
			return d.res, err
		}
		held, err = d.awaitLease(ctx)
	}
	if err != nil || !held {
		return d.res, err
	}
	return d.underLease(ctx)
}

// identify finds out which device is meant, by token or ticket; done when that
// alone gives the answer.
func (d *deletion) identify(ctx context.Context, in DeleteInput) (bool, error) {
	if in.Token == "" && in.TicketID == "" {
		return false, &Invalid{Field: "token", Problem: "is needed: evaluate's, ticket-close's, or a ticketId instead"}
	}
	var err error
	if in.Token != "" {
		_, d.c, err = d.r.open(ctx, "token", in.Token, kindVerdict, kindApproval)
		if err == nil && in.TicketID != "" && in.TicketID != d.c.TicketID {
			err = &Invalid{Field: "ticketId", Problem: "is not the ticket of the token; give one of the two"}
		}
	} else {
		var done bool
		if done, err = d.byTicket(ctx, in.TicketID); done {
			return true, err
		}
	}
	if err != nil {
		return false, err
	}
	d.event = d.c.Event
	if in.Event != nil {
		if dev, ok := refOf(*in.Event); !ok || dev != d.c.Dev {
			return false, &Invalid{Field: "event", Problem: "is of another device than the token's"}
		}
		d.event = *in.Event
	}
	d.begin(d.c.Dev)
	return false, nil
}

// begin starts the answer for dev.
func (d *deletion) begin(dev Ref) {
	d.mode = d.r.modeFor(dev.TenantID, d.rules.Params)
	d.res = d.r.result(d.call, "delete", dev, d.mode, d.rules.Params, d.r.now())
	d.res.TicketID, d.res.TokenTill = d.c.TicketID, d.c.Till
}

// byTicket takes the approval of a ticket that was closed with delete. Any other
// ticket is refused: silence is never yes.
func (d *deletion) byTicket(ctx context.Context, ticketID string) (bool, error) {
	t, err := d.r.ledger.Ticket(ctx, ticketID)
	if err != nil && !isNotFound(err) {
		return false, err
	}
	if err == nil && t.State == "closed" && t.Decision == "delete" {
		d.c, err = approvalOf(t)
		return false, err
	}
	d.begin(t.Dev())
	d.res.TicketID, d.res.TicketState, d.res.Hostname = ticketID, t.State, t.Hostname
	code, text := undecided(t)
	d.res.because(code, text)
	d.res.end("refused")
	if t.EndpointID == "" {
		d.res.Next = "stop"
		return true, nil
	}
	d.res, err = d.record(ctx, Note{})
	return true, err
}

// undecided says why a ticket is no yes.
func undecided(t Ticket) (policy.Code, string) {
	switch {
	case t.TicketID == "":
		return policy.InputInvalid, "No ticket of this id was ever opened."
	case t.State == "open":
		return policy.TicketOpen, "The ticket is still open: nobody has decided yet."
	case t.Decision == "keep":
		return policy.TicketDecidedKeep, "The ticket was decided: keep."
	}
	return policy.TicketUndecided, "The ticket was closed without a decision to delete."
}

// settledBefore answers where the record already says what became of the
// device, or of this token's one DELETE, or the token says nothing any more.
func (d *deletion) settledBefore(ctx context.Context) (bool, error) {
	if d.st.Intent != nil {
		st, err := d.r.settled(ctx, d.c.Dev, d.mode, d.st, d.c)
		if err != nil {
			return true, err
		}
		d.st = st
	}
	var err error
	switch {
	case !d.st.DeletedAt.IsZero():
		d.res, err = d.alreadyDeleted(ctx)
	case d.st.Intent != nil && d.st.Intent.TokenID == d.c.ID:
		d.unconfirmed(d.st.Intent)
		d.res, err = d.record(ctx, Note{})
	case d.st.Spent != nil && d.st.Spent.Outcome != string(SettleUnsent):
		d.spent()
		d.res, err = d.record(ctx, Note{})
	case d.refuseStale():
		d.res, err = d.record(ctx, Note{})
	default:
		return false, nil
	}
	return true, err
}

// alreadyDeleted answers for a device that was deleted before: gone still, or
// back again. A failed look leaves it gone: that was read back once.
func (d *deletion) alreadyDeleted(ctx context.Context) (Result, error) {
	live, _ := d.r.central.Present(ctx, d.c.Dev)
	var n Note
	n.cameBack(d.st, live)
	n.reenabled(&d.st, d.event, d.r.now())
	if live.Status != policy.LiveFound && d.st.CameBackAt.IsZero() {
		d.res.because(policy.AlreadyDeleted, "It was deleted at "+stamp(d.st.DeletedAt)+".")
		d.res.end("already_deleted")
		return d.record(ctx, Note{})
	}
	text := "It was deleted at " + stamp(d.st.DeletedAt) + " and there was a sign that it is in use: it is probably unprotected."
	if live.Status == policy.LiveFound {
		text = "It was deleted at " + stamp(d.st.DeletedAt) + " and Central has it again: it is probably in use and unprotected."
	}
	d.res.because(policy.CameBack, text)
	d.res.end("refused")
	return d.record(ctx, n)
}

// unconfirmed answers for a DELETE that was sent and has not been settled.
func (d *deletion) unconfirmed(in *IntentState) {
	d.res.because(policy.DeleteUnconfirmed,
		"A DELETE was sent and its outcome is not known yet; it is read back before anything else happens.")
	d.res.RetryAfter = seconds(max(in.SettleAfter.Sub(d.st.Now), time.Second))
	d.res.end("pending")
}

// spent answers for a token whose one DELETE was sent and did not end in the
// device being gone.
func (d *deletion) spent() {
	if d.c.TicketID != "" {
		d.res.because(policy.ApprovalUsed, "The approval was used: its DELETE was sent, and the device is still there.")
		d.res.end("refused")
		return
	}
	switch d.st.Spent.Outcome {
	case string(SettleDeleted): // and a person has said since that the device stays
		d.res.because(policy.CameBack, "This token's DELETE took effect at "+stamp(d.st.Spent.At)+"; the device has come back since.")
		d.res.end("refused")
	case string(SettleLimited):
		d.res.because(policy.RateLimited, "Central refused this token's DELETE as one too many; evaluate again for a new one.")
		d.res.end("deferred")
		d.res.Next = "evaluate"
	default:
		d.res.because(policy.DeleteFailed, "This token's DELETE failed; a new attempt needs a new verdict.")
		d.res.end("failed")
	}
}

// refuseStale refuses a token that no longer says anything: of another
// installation or mode, too old, or of another verdict than delete.
func (d *deletion) refuseStale() bool {
	c, approved := d.c, d.c.TicketID != ""
	switch {
	case d.outdated():
	case !approved && c.Verdict != policy.Delete:
		d.res.Reasons, d.res.Token = c.Reasons, d.token
	default:
		return false
	}
	d.res.end("refused")
	if !approved && c.Verdict == policy.Manual && d.res.NeedsReview {
		d.res.Next = "ticket-open"
	}
	return true
}

// outdated reports, with the reason, that a token is of another installation or
// mode, or too old.
func (d *deletion) outdated() bool {
	switch c := d.c; {
	case c.Installation != d.st.Installation:
		d.res.because(policy.TokenExpired, "The token was sealed for another installation of the store: evaluate again. "+
			"If the store should be the same, it was lost: see `rollcall state restore`.")
	case c.Mode != d.mode:
		d.res.because(policy.ModeChanged, "The token was sealed in "+c.Mode+", and the service is in "+d.mode+".")
	case !d.r.now().Before(c.Till):
		d.res.because(policy.TokenExpired, "The token was valid until "+stamp(c.Till)+".")
	default:
		return false
	}
	return true
}

// isLive reports whether a DELETE would really be sent.
func (d *deletion) isLive() bool { return d.mode == LiveMode }

// record writes the answer down; n may say more than the answer does.
func (d *deletion) record(ctx context.Context, n Note) (Result, error) {
	n.Mark = d.res.mark(d.call)
	if _, err := d.r.note(ctx, d.st, n); err != nil {
		return Result{}, err
	}
	return d.res, nil
}

// stamp writes a time for a person.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
