package action

import (
	"context"
	"time"

	"rollcall/internal/policy"
)

// The clocks of one DELETE.
const (
	// sendWindow is how long after its intent a DELETE may still leave. A
	// process that was stopped in between must not wake up and send.
	sendWindow = 2 * time.Second
	// settleMargin is added to the window and Central's time before anybody may
	// conclude from a device that is still there that its DELETE failed.
	settleMargin = 3 * time.Second
	// restoreFor is how long Central's console can restore a deleted device.
	restoreFor = 30 * 24 * time.Hour
)

// settleAfter is how long an intent must be left alone.
func (r *Runner) settleAfter() time.Duration { return sendWindow + r.set.CentralTimeout + settleMargin }

// send writes the intent, sends the one DELETE and reads back. In dry-run, and
// outside the window, nothing is written but the answer.
func (d *deletion) send(ctx context.Context, ready Prepared) (Result, error) {
	if done := d.notNow(); done {
		d.release(ctx)
		return d.record(ctx, Note{Verified: true})
	}
	start := d.r.now()
	begun, err := d.r.ledger.Begin(ctx, d.intent(ready))
	if err != nil {
		// It may have been written and the answer lost. Nothing was sent, and only
		// this process knows; if this can't be written either, reading settles it.
		d.undo(ctx)
		return Result{}, err
	}
	if begun.Code != "" {
		d.release(ctx)
		d.notBegun(begun)
		return d.record(ctx, Note{Verified: true})
	}
	return d.await(ctx, start.Add(sendWindow))
}

// undo takes back an intent that may or may not have been written.
func (d *deletion) undo(ctx context.Context) {
	ctx, cancel := d.r.bookkeeping(ctx)
	defer cancel()
	m := d.res.mark(d.call)
	m.Outcome = "unsent"
	_, _ = d.r.ledger.Settle(ctx, Settlement{Mark: m, Owner: d.owner, TokenID: d.c.ID, TicketID: d.c.TicketID, As: SettleUnsent})
}

// notNow answers in dry-run, and where the policy's window is shut.
func (d *deletion) notNow() bool {
	if !d.isLive() {
		d.res.end("would_delete")
		return true
	}
	open, wait := d.rules.Params.Window.Open(d.res.EvaluatedAt)
	if open {
		return false
	}
	d.res.because(policy.OutOfWindow, "Deletes are not allowed at this time by the policy's window.")
	d.res.RetryAfter = seconds(wait)
	d.res.end("deferred")
	return true
}

// intent is what is put on record before the call.
func (d *deletion) intent(ready Prepared) Intent {
	in := Intent{
		Mark: d.res.mark(d.call), Owner: d.owner, TokenID: d.c.ID, TicketID: d.c.TicketID, Seq: d.c.Seq,
		Limits: d.rules.Params.Limits, Population: ready.Population, Record: ready.Record,
		Settle: d.r.settleAfter(),
	}
	in.Outcome, in.Installation = "intent", d.c.Installation
	in.Seq = max(d.c.Seq, d.st.Seq) // a store set back since the lease is set back, whatever the token knows
	if d.c.TicketID != "" {
		in.ApprovalID = d.c.ID
	}
	return in
}

// notBegun answers where the intent was not allowed to stand.
func (d *deletion) notBegun(b Begun) {
	d.res.because(b.Code, b.Text)
	d.res.RetryAfter = seconds(b.RetryAfter)
	if b.Code == policy.StateUnverified {
		d.st.Unverified = b.Text
	}
	switch b.Code {
	case policy.KillSwitch, policy.StateUnverified, policy.LimitDay, policy.LimitPercent, policy.Spacing, policy.CircuitOpen:
		d.res.end("deferred")
	case policy.AlreadyDeleted:
		d.res.end("already_deleted")
	case policy.InFlight:
		d.res.end("pending")
	default:
		d.res.end("refused")
	}
}

// await runs what follows the intent to its end, come what may, and answers with
// what is known when the caller's time is up.
func (d *deletion) await(ctx context.Context, sendBy time.Time) (Result, error) {
	pending := *d
	done := make(chan Result, 1)
	d.r.running.Go(func() { done <- d.finish(context.WithoutCancel(ctx), sendBy) })
	select {
	case res := <-done:
		return res, nil
	case <-ctx.Done():
		pending.unconfirmed(&IntentState{SettleAfter: pending.st.Now.Add(d.r.settleAfter())})
		return pending.res, nil
	}
}

// finish sends, reads back and settles. It is past the point at which an error
// could undo anything: whatever it can't settle stays on record as deleting.
func (d *deletion) finish(ctx context.Context, sendBy time.Time) Result {
	sent := d.sendOne(ctx, sendBy)
	as := SettleUnsent
	if sent.Kind != NotSent {
		ctx, cancel := context.WithTimeout(ctx, d.r.set.CentralTimeout)
		live, _ := d.r.central.Present(ctx, d.c.Dev)
		cancel()
		as = readBack(sent.Kind, live.Status)
	}
	d.conclude(as, sent.Trouble)
	s := Settlement{Mark: d.res.mark(d.call), Owner: d.owner, TokenID: d.c.ID, TicketID: d.c.TicketID, As: as, Trouble: sent.Trouble}
	if as == SettleDeleted {
		s.RestoreBy = d.r.now().Add(restoreFor)
	}
	ctx, cancel := d.r.bookkeeping(ctx)
	defer cancel()
	at, err := d.r.ledger.Settle(ctx, s)
	if err != nil {
		// The DELETE may have left and nothing more can be written: not known.
		d.res.Reasons = nil
		d.unconfirmed(&IntentState{SettleAfter: d.st.Now.Add(d.r.settleAfter())})
		return d.res
	}
	d.r.seen.saw(d.c.Dev.TenantID, at)
	return d.res
}

// sendOne sends the one DELETE. Both kill switches were read with the intent,
// right before this.
func (d *deletion) sendOne(ctx context.Context, sendBy time.Time) Sent {
	ctx, cancel := context.WithTimeout(ctx, sendWindow+d.r.set.CentralTimeout)
	defer cancel()
	return d.r.central.Delete(ctx, d.c.Dev, sendBy)
}

// readBack says how an intent ends, by the answer to the DELETE and by what
// Central says of the device afterwards. Only a 404 is gone; only a clear no
// with the device still there is a failure; all else is not known yet.
func readBack(kind SentKind, now policy.LiveStatus) SettleAs {
	switch {
	case now == policy.LiveNotFound:
		return SettleDeleted
	case now != policy.LiveFound:
		return SettlePending
	case kind == SentRefused:
		return SettleFailed
	case kind == SentLimited:
		return SettleLimited
	}
	return SettlePending
}

// conclude makes the answer from how the intent ended.
func (d *deletion) conclude(as SettleAs, t *Trouble) {
	switch as {
	case SettleDeleted:
		d.res.end("deleted")
	case SettleFailed:
		d.res.because(policy.DeleteFailed, "Central refused the DELETE and still has the device: "+textOf(t))
		d.res.end("failed")
	case SettleLimited:
		d.res.because(policy.RateLimited, "Central refused the DELETE as one too many; evaluate again for a new one.")
		d.res.RetryAfter = seconds(retryOf(t))
		d.res.end("deferred")
	case SettleUnsent:
		d.unsent(t)
	case SettlePending:
		d.unconfirmed(&IntentState{SettleAfter: d.st.Now.Add(d.r.settleAfter())})
	}
}

// unsent answers for a DELETE that never left.
func (d *deletion) unsent(t *Trouble) {
	if t == nil {
		t = &Trouble{Text: "The DELETE was not sent in time."}
	}
	d.deferFor(t)
}

// textOf is a trouble's sentence.
func textOf(t *Trouble) string {
	if t == nil {
		return "no reason was given."
	}
	return t.Text
}

// retryOf is Central's wish for when to come again.
func retryOf(t *Trouble) time.Duration {
	if t == nil {
		return 0
	}
	return t.RetryAfter
}
