package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rollcall/api"
	"rollcall/internal/action"
	"rollcall/internal/policy"
	"rollcall/internal/policyfile"
)

// The bounds of trying again.
const (
	retireTries   = 4 // deletes asked for one device: not now, or not known
	retireAnew    = 2 // verdicts that are asked for anew
	retireStrikes = 3 // devices of a tenant in a row that could not be settled
)

// What stands beside the outcomes of delete.
const (
	leftOver = "left over" // for another run, whatever the outcome so far
	notAsked = "not asked"
)

// retireTurn says how it goes on after an answer to delete.
type retireTurn uint8

// What can follow an answer.
const (
	turnDone  retireTurn = iota // the device is settled
	turnStop                    // nothing of the tenant can be deleted now
	turnQueue                   // its turn comes: spacing, or Central's limits
	turnAgain                   // not now, or not known yet
	turnAnew                    // the token says nothing any more
)

// turnAfter reads an answer to delete.
func turnAfter(res action.Result) retireTurn {
	code := retireCode(res)
	stops := []policy.Code{
		policy.LimitDay, policy.LimitPercent, policy.CircuitOpen, policy.KillSwitch, policy.StateUnverified, policy.OutOfWindow, policy.PolicyInvalid,
	}
	switch {
	case res.Outcome == api.OutcomePending:
		return turnAgain
	case res.Outcome == api.OutcomeRefused && code == policy.TokenExpired:
		return turnAnew
	case res.Outcome != api.OutcomeDeferred:
		return turnDone
	case slices.Contains(stops, code):
		return turnStop
	case res.Next == "evaluate":
		return turnAnew
	case code == policy.Spacing || code == policy.RateLimited:
		return turnQueue
	}
	return turnAgain
}

// deleteAll deletes one device after another. A tenant in which nothing can be
// deleted any more is asked nothing more; the others go on.
func (r *retireRun) deleteAll(ctx context.Context) error {
	bar := newRetireProgress(r.p, "dealt with", len(r.doomed))
	defer bar.end()
	stopped, strikes := map[string]bool{}, map[string]int{}
	for _, it := range r.doomed {
		tenant := it.dev.TenantID
		switch {
		case ctx.Err() != nil:
			return errInterrupted
		case stopped[tenant]:
			continue
		}
		turn, err := r.deleteOne(ctx, it)
		if err != nil {
			return err
		}
		bar.step()
		if strikes[tenant]++; turn == turnDone {
			strikes[tenant] = 0
		}
		if turn == turnStop || strikes[tenant] == retireStrikes {
			stopped[tenant] = true
			bar.say("tenant %s: nothing more is asked for (%s)", tenant, it.is.ReasonCode)
		}
	}
	return nil
}

// samePolicy reports whether the policy file still says what the table was made
// by: a run may take hours, and an operator may have protected a device meanwhile.
// One that can't be read is another.
func (r *retireRun) samePolicy() bool {
	params, err := policyfile.Load(r.policyFile)
	return err == nil && params.Version == r.rules.Version
}

// deleteOne takes a device through delete. The token is sent again only after an
// answer that says that the delete was not sent, or that it is not known; the
// service then never sends another for that token.
func (r *retireRun) deleteOne(ctx context.Context, it *retireItem) (retireTurn, error) {
	patience := r.cmd.Wait
	for tries, anew, changed := 1, 0, false; ; {
		res, err := r.askDelete(ctx, it)
		if err != nil {
			return turnStop, err
		}
		wait, turn := res.RetryAfter, turnAfter(res)
		if !changed && it.onlyRecordChanged(res) {
			changed, turn = true, turnAnew
		}
		switch turn {
		case turnDone, turnStop:
			return turn, nil
		case turnAnew:
			if anew++; anew > retireAnew {
				return turnAgain, nil
			}
			switch still, err := r.evaluateAnew(ctx, it); {
			case err != nil:
				return turnStop, err
			case !still && it.is.Outcome == api.OutcomeDeferred:
				return turnAgain, nil
			case !still:
				return turnDone, nil
			}
			continue
		case turnQueue:
			if wait > patience {
				return turnStop, nil // so would the next have to
			}
		case turnAgain:
			if tries++; tries > retireTries || wait > patience {
				return turnAgain, nil
			}
		}
		patience -= wait
		if !pause(ctx, wait) {
			return turnAgain, errInterrupted
		}
	}
}

// onlyRecordChanged reports a delete that was refused because Central's record, or
// the set of devices of its name, is not what the verdict rests on, while the policy
// still says delete and the device gave no new sign of life. The verdict may rest on
// an inventory some minutes old, so it is worth one more; delete holds that against
// Central as strictly as the first.
func (it *retireItem) onlyRecordChanged(res action.Result) bool {
	seen := res.Activity.LastSeenAt
	return res.Outcome == api.OutcomeRefused && retireCode(res) == policy.EvidenceChanged && res.Next == "evaluate" &&
		seen.Known() && seen.Value.Equal(*it.is.LastSeenAt)
}

// askDelete asks for the delete, in between two lines of the journal. Once begun it
// is finished, whatever ends meanwhile.
func (r *retireRun) askDelete(ctx context.Context, it *retireItem) (action.Result, error) {
	if !r.samePolicy() { // the device may have waited for its turn since the last look
		return action.Result{}, fmt.Errorf("the policy file has changed since the table was shown: %w", errLeft)
	}
	it.is.Outcome, it.is.ReasonCode, it.is.ReasonsText = "", "", ""
	if err := r.note(it, stepDeleting); err != nil {
		return action.Result{}, err
	}
	res, err := r.runner.Delete(context.WithoutCancel(ctx), r.call(), action.DeleteInput{Token: it.token})
	if err != nil {
		err = fmt.Errorf("delete line %d: %w", it.line, err)
		it.is.Outcome, it.is.ReasonsText = api.OutcomeError, err.Error()
		return action.Result{}, errors.Join(err, r.note(it, stepDelete))
	}
	it.answer(res)
	return res, r.note(it, stepDelete)
}

// evaluateAnew asks for a new verdict in place of a token that says nothing any more.
// Still means that it is what the operator has confirmed: delete, for the same host
// name and on the same sign of life.
func (r *retireRun) evaluateAnew(ctx context.Context, it *retireItem) (still bool, err error) {
	seen, host := *it.is.LastSeenAt, it.shownAs
	waits := &retireWaits{most: r.cmd.Wait}
	waits.last.Store(time.Now().UnixNano())
	if err := r.evaluate(ctx, it, waits); err != nil {
		return false, err
	}
	same := it.is.LastSeenAt != nil && it.is.LastSeenAt.Equal(seen) && it.is.Hostname == host
	if same && it.is.Verdict == api.OutcomeDelete && it.is.Mode == action.LiveMode {
		return true, nil
	}
	if it.is.Verdict == api.OutcomeSkip { // not now: the next run asks again
		it.is.Outcome, it.token = api.OutcomeDeferred, ""
		return false, r.note(it, stepDelete)
	}
	if it.is.Verdict == api.OutcomeDelete {
		it.is.ReasonCode, it.is.ReasonsText = string(policy.EvidenceChanged), "Central's record is not what it was when the table was shown."
	}
	it.is.Outcome, it.token = api.OutcomeRefused, ""
	return false, r.note(it, stepDelete)
}

// outcomes puts on record and shows what became of what was to be deleted. Done
// means that all of it is settled, and none failed.
func (r *retireRun) outcomes() (done bool, err error) {
	counts := map[string]int{}
	for _, it := range r.doomed {
		counts[it.outcome()]++
		if it.is.settled() {
			continue
		}
		counts[leftOver]++
		if err := r.note(it, stepLeft); err != nil {
			return false, err
		}
	}
	return counts[leftOver] == 0 && counts[api.OutcomeFailed] == 0, r.showOutcomes(counts)
}

// outcome names what became of a device that was to be deleted.
func (it *retireItem) outcome() string {
	switch {
	case it.is.settled():
		return it.is.Outcome
	case it.is.Outcome == "" || it.is.Outcome == api.OutcomeDelete:
		return notAsked
	}
	return it.is.Outcome
}
