package action

import (
	"context"
	"errors"
	"time"

	"rollcall/internal/policy"
)

// How long another's delete of the same device is waited for, and how often it
// is looked at meanwhile.
const (
	leasePoll   = 50 * time.Millisecond
	leaseMargin = 300 * time.Millisecond
	inFlightFor = 15 * time.Second
)

// lease takes the device, if no other has it, and reads its record: under the
// lease nobody else changes it. The record is read in either case.
func (d *deletion) lease(ctx context.Context) (bool, error) {
	was := d.r.seen.of(d.c.Dev.TenantID)
	st, ok, err := d.r.ledger.Lease(ctx, d.c.Dev, d.owner, d.r.set.ActionTimeout+d.r.set.CentralTimeout, d.c.ID)
	if err != nil {
		return false, err
	}
	if d.st, err = d.r.trusted(ctx, st, d.c.Dev, d.mode, d.c, was); err != nil {
		if ok {
			d.release(ctx)
		}
		return false, err
	}
	d.res.Hostname = name(policy.Live{}, d.event, d.st)
	return ok, nil
}

// awaitLease waits for another that has the device, as long as the answer may
// take. Not held: the answer is in d.res.
func (d *deletion) awaitLease(ctx context.Context) (bool, error) {
	deadline, _ := ctx.Deadline()
	waiting := time.NewTicker(leasePoll)
	defer waiting.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-waiting.C:
		}
		if ctx.Err() != nil || time.Until(deadline) < leaseMargin {
			return false, d.inFlight(ctx)
		}
		if ok, err := d.lease(ctx); err != nil || ok {
			return ok, err
		}
	}
}

// inFlight answers that another delete of the device is under way.
func (d *deletion) inFlight(ctx context.Context) error {
	d.res.because(policy.InFlight, "Another delete of this device is under way.")
	d.res.RetryAfter = inFlightFor
	d.res.end("pending")
	var err error
	d.res, err = d.record(ctx, Note{})
	return err
}

// underLease does what may only be done by one at a time for a device, on the
// record that was read with the lease.
func (d *deletion) underLease(ctx context.Context) (Result, error) {
	handed := false
	defer func() {
		if !handed {
			d.release(ctx)
		}
	}()
	if done, err := d.settledBefore(ctx); err != nil || done {
		return d.res, err
	}
	if d.st.Intent != nil {
		return d.res, d.inFlight(ctx)
	}
	if d.deferEarly() || d.revoked() {
		return d.record(ctx, Note{})
	}
	var ready Prepared
	if d.isLive() {
		var trouble *Trouble
		if ready, trouble = d.r.central.Prepare(ctx, d.c.Dev); trouble != nil {
			return d.unprepared(ctx, trouble)
		}
	}
	clear, err := d.check(ctx)
	if err != nil || !clear {
		return d.res, err
	}
	handed = true
	return d.send(ctx, ready)
}

// release frees the lease; if that fails it runs out by itself.
func (d *deletion) release(ctx context.Context) {
	ctx, cancel := d.r.bookkeeping(ctx)
	defer cancel()
	_ = d.r.ledger.Release(ctx, d.c.Dev, d.owner)
}

// deferEarly defers without asking Central where nothing may be deleted at all.
func (d *deletion) deferEarly() bool {
	switch {
	case d.st.Paused != "":
		d.res.because(policy.KillSwitch, "Deletes are paused: "+d.st.Paused+".")
	case d.st.Unverified != "":
		d.res.because(policy.StateUnverified, "The store can't be trusted: "+d.st.Unverified+".")
	case d.isLive() && d.rules.Broken:
		d.res.because(policy.PolicyInvalid, "A newer policy or keys file could not be loaded; mend it first.")
	default:
		return false
	}
	d.res.RetryAfter = 5 * time.Minute
	d.res.end("deferred")
	return true
}

// revoked refuses an approval that no longer stands: another decision was made,
// or another question asked.
func (d *deletion) revoked() bool {
	if d.c.TicketID == "" || d.st.ApprovalID == d.c.ID {
		return false
	}
	d.res.because(policy.ApprovalUsed, "The approval was used or revoked.")
	d.res.end("refused")
	return true
}

// unprepared defers because Central did not let the delete be made ready.
func (d *deletion) unprepared(ctx context.Context, t *Trouble) (Result, error) {
	n := Note{VerifyFailed: t, CountFailure: counts(t), Apart: d.rules.Params.Failures.Apart}
	d.deferFor(t)
	return d.record(ctx, n)
}

// deferFor defers for a trouble with Central.
func (d *deletion) deferFor(t *Trouble) {
	code := policy.VerifyFailed
	if t.Limited {
		code = policy.RateLimited
	}
	d.res.because(code, t.Text)
	d.res.RetryAfter = seconds(max(t.RetryAfter, 0))
	d.res.end("deferred")
}

// check looks at the device once more and asks the policy in force. clear means
// that nothing stands against the delete; else the answer is in d.res.
func (d *deletion) check(ctx context.Context) (clear bool, err error) {
	p := d.rules.Params
	live, trouble := d.r.look(ctx, d.c.Dev, p, AskAll)
	// The look took time: what was learnt meanwhile counts.
	d.rules = d.r.rules()
	p = d.rules.Params
	d.res.PolicyVersion = p.Version
	f := policy.Facts{Event: d.event, Live: live, Standing: d.st.Standing, Approval: d.c.approval()}
	f.Standing.InFlight = false // the lease is ours, and no intent is on record
	d.res.EvaluatedAt = d.r.now()
	dec := policy.Evaluate(f, p, d.res.EvaluatedAt)
	d.res.Hostname = name(live, d.event, d.st)
	d.res.sawLive(live, dec.Activity)
	var n Note
	n.cameBack(d.st, live)
	d.r.verified(&n, live, trouble, p)
	switch {
	case d.r.modeFor(d.c.Dev.TenantID, p) != d.mode:
		d.res.because(policy.ModeChanged, "The mode changed while the device was looked at.")
		d.res.end("refused")
	case d.deferEarly():
	case live.Status == policy.LiveNotFound:
		d.res.because(policy.GoneElsewhere, "Central no longer has the device, and it was not deleted by this service.")
		d.res.end("gone")
	case live.Status != policy.LiveFound && live.Status != policy.LiveForeignTenant:
		d.unverified(live, trouble)
	case policy.EvidenceDigest(live) != d.c.Digest:
		d.res.Reasons = dec.Reasons
		d.res.because(policy.EvidenceChanged, "Central's record is not what it was when the token was sealed.")
		return false, d.refuse(ctx, n, f, dec)
	case dec.Verdict != policy.Delete:
		d.res.Reasons, d.res.RetryAfter = dec.Reasons, dec.RetryAfter
		if defers(dec) {
			d.res.end("deferred")
			break
		}
		return false, d.refuse(ctx, n, f, dec)
	default:
		d.res.Reasons = dec.Reasons
		return true, nil
	}
	d.res, err = d.record(ctx, n)
	return false, err
}

// defers reports whether the reason is one of the service's state or sources,
// which passes without the device having changed.
func defers(dec policy.Decision) bool {
	return (dec.Tier == 0 || dec.Tier == 3) && dec.Code() != policy.EventStale
}

// unverified defers because the device could not be read again.
func (d *deletion) unverified(live policy.Live, t *Trouble) {
	text := "The device could not be read again in Central: " + live.Problem
	if t != nil && t.Limited {
		d.deferFor(t)
		return
	}
	d.res.because(policy.VerifyFailed, text)
	d.res.RetryAfter = seconds(live.RetryAfter)
	d.res.end("deferred")
}

// refuse refuses with what was found now, and hands on a token of that verdict,
// with which a ticket can be opened.
func (d *deletion) refuse(ctx context.Context, n Note, f policy.Facts, dec policy.Decision) error {
	d.res.EligibleAt = dec.EligibleAt
	d.res.end("refused")
	switch dec.Verdict {
	case policy.Manual:
		d.res.Next = "ticket-open"
	case policy.Delete:
		d.res.Next = "evaluate"
	case policy.Skip, policy.Keep:
		d.res.Next = "stop"
	}
	n.Mark = d.res.mark(d.call)
	at, err := d.r.note(ctx, d.st, n)
	if err != nil {
		return err
	}
	d.res.Token, err = d.r.sealVerdict(ctx, f, dec, d.res, d.rules.Params, at)
	return err
}

// isNotFound reports whether nothing is on record.
func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }
