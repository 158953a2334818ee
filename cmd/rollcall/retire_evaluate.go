package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"rollcall/api"
	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// errInterrupted ends a run that was asked to end.
var errInterrupted = errors.New("interrupted; run it again to go on where it stopped")

// retireWaits bounds how long evaluations wait for their turn: a device no longer
// than allowed, and none once for so long no device got an answer.
type retireWaits struct {
	most time.Duration
	last atomic.Int64 // when some device got its answer, Unix nanoseconds
}

// allows reports whether a device that has been waiting since begun may wait so
// much more.
func (w *retireWaits) allows(begun time.Time, more time.Duration) bool {
	till := time.Now().Add(more)
	return till.Sub(begun) <= w.most && till.Sub(time.Unix(0, w.last.Load())) <= w.most
}

// evaluateAll evaluates every device that is not settled already. After ctx ends
// those under way are finished, and no other is begun.
func (r *retireRun) evaluateAll(ctx context.Context) error {
	waits := &retireWaits{most: r.cmd.Wait}
	waits.last.Store(time.Now().UnixNano())
	bar := newRetireProgress(r.p, "evaluated", len(r.items))
	defer bar.end()
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(r.cmd.Parallel)
	for _, it := range r.items {
		if inner.Err() != nil {
			break
		}
		if it.passed {
			bar.step()
			continue
		}
		group.Go(func() error {
			if inner.Err() != nil {
				return errInterrupted
			}
			defer bar.step()
			return r.evaluate(inner, it, waits)
		})
	}
	err := group.Wait()
	if err == nil && ctx.Err() != nil {
		err = errInterrupted
	}
	return err
}

// evaluate gets the verdict on a device, and writes it down. Where the answer is
// "ask again", because of Central's limits or of another's work, it does.
func (r *retireRun) evaluate(ctx context.Context, it *retireItem, waits *retireWaits) error {
	begun := time.Now()
	for {
		res, err := r.runner.Evaluate(context.WithoutCancel(ctx), r.call(), action.EvaluateInput{Event: it.event})
		if err != nil {
			return fmt.Errorf("evaluate line %d: %w", it.line, err)
		}
		if !comesBack(res) || !waits.allows(begun, res.RetryAfter) {
			if !comesBack(res) {
				waits.last.Store(time.Now().UnixNano())
			}
			it.verdict(res)
			return r.note(it, stepEvaluated)
		}
		if !pause(ctx, res.RetryAfter) {
			return errInterrupted // nothing is on record: it is evaluated anew
		}
	}
}

// comesBack reports whether a verdict is none yet: the device could not be read
// now, or a delete of it is being settled.
func comesBack(res action.Result) bool {
	code := retireCode(res)
	return res.Outcome == api.OutcomeSkip && res.RetryAfter > 0 && (code == policy.VerifyFailed || code == policy.InFlight)
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// retireCode is the code that decided.
func retireCode(res action.Result) policy.Code {
	if len(res.Reasons) == 0 {
		return ""
	}
	return res.Reasons[0].Code
}

// verdict takes over what evaluate answered.
func (it *retireItem) verdict(res action.Result) {
	it.answer(res)
	it.is.Verdict, it.token = res.Outcome, res.Token
	it.is.LastSeenAt, it.is.InactiveDays = nil, nil
	if f := res.Activity.LastSeenAt; f.Known() {
		it.is.LastSeenAt = &f.Value
	}
	if f := res.Activity.InactiveDays; f.Known() {
		it.is.InactiveDays = &f.Value
	}
}

// answer takes over what any action answered.
func (it *retireItem) answer(res action.Result) {
	it.is.Mode, it.is.Outcome, it.is.ReasonCode, it.is.PolicyVersion = res.Mode, res.Outcome, string(retireCode(res)), res.PolicyVersion
	if res.Hostname != "" {
		it.is.Hostname = res.Hostname
	}
	it.is.ReasonsText = ""
	for i, reason := range res.Reasons {
		if i > 0 {
			it.is.ReasonsText += " "
		}
		it.is.ReasonsText += reason.Text
	}
}

// choose finds what may be deleted, in the order in which it will be: what Central
// has not heard from for the longest time first, since it is the surest to be dead.
// In a live run these are the devices of tenants in which deletes are real.
func (r *retireRun) choose() {
	for _, it := range r.items {
		if it.is.Verdict == api.OutcomeDelete && !it.is.settled() && it.is.Mode == r.mode && it.is.LastSeenAt != nil {
			it.shownAs = it.is.Hostname
			r.doomed = append(r.doomed, it)
		}
	}
	slices.SortStableFunc(r.doomed, func(a, b *retireItem) int {
		return cmp.Or(a.is.LastSeenAt.Compare(*b.is.LastSeenAt), cmp.Compare(a.is.TenantID, b.is.TenantID), cmp.Compare(a.is.EndpointID, b.is.EndpointID))
	})
}
