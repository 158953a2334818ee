package action

import (
	"context"
	"errors"

	"rollcall/internal/policy"
)

// settled settles an intent whose time has come, by reading the device, and
// returns the record as it stands then, for the caller's token c. An intent that
// can't be settled yet stays.
func (r *Runner) settled(ctx context.Context, dev Ref, mode string, st Standing, c claims) (Standing, error) {
	if st.Intent == nil {
		return st, nil
	}
	done, err := r.settleByReading(ctx, dev, st)
	if err != nil || !done {
		return st, err
	}
	return r.standing(ctx, dev, mode, c)
}

// settleByReading reads the device and ends its intent if that tells how: gone
// is deleted at any time; still there is failed, but not before the intent's
// DELETE can no longer be on its way.
func (r *Runner) settleByReading(ctx context.Context, dev Ref, st Standing) (bool, error) {
	due := !st.Now.Before(st.Intent.SettleAfter)
	if !due && !sentLongEnough(st) {
		return false, nil
	}
	live, trouble := r.central.Present(ctx, dev)
	s := Settlement{TokenID: st.Intent.TokenID, Trouble: trouble}
	s.Mark = Mark{
		Dev: dev, Hostname: st.Hostname, Action: "settle", By: "rollcall",
		Mode: LiveMode, PolicyVersion: r.rules().Params.Version,
	}
	switch {
	case live.Status == policy.LiveNotFound:
		// Central's own time to restore it began when its DELETE took effect, which
		// may be days ago.
		s.As, s.Outcome, s.RestoreBy = SettleDeleted, "deleted", st.Intent.At.Add(restoreFor)
	case live.Status == policy.LiveFound && due:
		s.As, s.Outcome, s.Code = SettleFailed, "failed", policy.DeleteFailed
		s.Trouble = &Trouble{Class: Permanent, Text: "The device was still in Central long after its DELETE."}
	default:
		return false, nil
	}
	ctx, cancel := r.bookkeeping(ctx)
	defer cancel()
	at, err := r.ledger.Settle(ctx, s)
	if err != nil {
		return false, err
	}
	r.seen.saw(dev.TenantID, at)
	return true, nil
}

// sentLongEnough reports whether the DELETE's send window is over, before which
// another process is still at work on it.
func sentLongEnough(st Standing) bool { return st.Now.Sub(st.Intent.At) > sendWindow }

// Reconcile settles every intent whose time has come, by reading the device in
// Central; it is the same code as the next call for the device would run.
func (r *Runner) Reconcile(ctx context.Context) error {
	if err := r.recheck(ctx); err != nil {
		return err
	}
	devs, err := r.ledger.Unsettled(ctx)
	if err != nil {
		return err
	}
	var faults []error
	for _, dev := range devs {
		faults = append(faults, r.reconcile(ctx, dev))
	}
	return errors.Join(faults...)
}

// recheck holds the store against what this process has seen of each tenant: a
// replica that has seen less would not notice that it was set back.
func (r *Runner) recheck(ctx context.Context) error {
	for _, tenantID := range r.seen.tenants() {
		if _, err := r.standing(ctx, Ref{TenantID: tenantID}, r.modeFor(tenantID, r.rules().Params), claims{}); err != nil {
			return err
		}
	}
	return nil
}

// reconcile settles one device.
func (r *Runner) reconcile(ctx context.Context, dev Ref) error {
	ctx, cancel := context.WithTimeout(ctx, r.set.CentralTimeout+r.set.BookTime)
	defer cancel()
	st, err := r.ledger.Standing(ctx, dev, "")
	if err != nil || st.Intent == nil || st.Now.Before(st.Intent.SettleAfter) {
		return err
	}
	_, err = r.settleByReading(ctx, dev, st)
	return err
}

// Wait returns when every delete that was under way is settled or given up, or
// when ctx ends. Call it when no more requests come in.
func (r *Runner) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		r.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
