package action

import (
	"context"
	"time"

	"rollcall/internal/policy"
)

// VerifyLive reads the event's device in Central and says whether it is in use.
// It returns *Invalid when the event names no device, ErrState when the ledger
// does not answer.
func (r *Runner) VerifyLive(ctx context.Context, call Call, in VerifyLiveInput) (Result, error) {
	dev, ok := refOf(in.Event)
	if !ok {
		return Result{}, missingIDs(in.Event)
	}
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	p, now := r.rules().Params, r.now()
	mode := r.modeFor(dev.TenantID, p)
	st, err := r.standing(ctx, dev, mode, claims{})
	if err != nil {
		return Result{}, err
	}
	live, trouble := r.lookBy(ctx, in.LookBy, dev, p, AskDevice)
	p = r.rules().Params // the look took time: what was learnt meanwhile counts
	v := policy.Verify(policy.Facts{Event: in.Event, Live: live, Standing: st.Standing}, p, now)
	res := r.result(call, "verify-live", dev, mode, p, now)
	res.Hostname, res.Reasons, res.RetryAfter = name(live, in.Event, st), v.Reasons, live.RetryAfter
	res.sawLive(live, v.Activity)
	if live.Status == policy.LiveFound {
		res.Device = &live.Device
	}
	res.end(v.Outcome)
	if v.Outcome == "unverified" && live.Status == policy.LiveFound {
		res.Next = "evaluate" // reading it again gives the same; evaluate sends it to a person
	}
	return r.recordVerify(ctx, call, res, st, live, trouble, p)
}

// recordVerify puts the verification on record and seals the evidence.
func (r *Runner) recordVerify(ctx context.Context, call Call, res Result, st Standing, live policy.Live,
	trouble *Trouble, p policy.Params,
) (Result, error) {
	n := Note{Mark: res.mark(call)}
	n.cameBack(st, live)
	if res.Outcome == "unverified" && live.Status == policy.LiveFound {
		// Read, but it says nothing: for the row of failures that is a failure.
		live.Status, trouble = policy.LiveFailed, &Trouble{Class: Permanent, Text: res.Reasons[0].Text}
	}
	r.verified(&n, live, trouble, p)
	at, err := r.note(ctx, st, n)
	if err != nil {
		return Result{}, err
	}
	if res.Outcome == "unverified" {
		res.NeedsReview = at.VerifyFails >= p.Failures.ManualAfter
		return res, nil
	}
	if live.Status == policy.LiveForeignTenant {
		return res, nil
	}
	c := r.newClaims(res.Dev, res.Mode, res.EvaluatedAt, p.EvidenceTTL, at)
	if c.Live = live; !live.BesideAt.IsZero() { // what comes from a snapshot answers no longer than that does
		c.Till = earlier(c.Till, live.BesideAt.Add(SnapshotFresh))
	}
	res.Token, err = r.seal(ctx, kindEvidence, c)
	return res, err
}

// earlier is the first of two times.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// missingIDs names the id that could not be read.
func missingIDs(e policy.Event) error {
	if !e.Central.ID.Known() {
		return &Invalid{Field: "event.central.id", Problem: "must be the device's UUID in Central"}
	}
	return &Invalid{Field: "event.central.tenant.id", Problem: "must be the UUID of the device's tenant"}
}
