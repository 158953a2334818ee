package action

import (
	"fmt"
	"math"
	"time"

	"rollcall/internal/policy"
)

// result starts an answer with what is known from the outset.
func (r *Runner) result(call Call, action string, dev Ref, mode string, p policy.Params, now time.Time) Result {
	return Result{
		Action: action, Mode: mode, Dev: dev, RequestID: call.RequestID,
		EvaluatedAt: now, PolicyVersion: p.Version,
	}
}

// mark is what the audit trail keeps of an answer.
func (res *Result) mark(call Call) Mark {
	m := Mark{
		Dev: res.Dev, Hostname: res.Hostname, Action: res.Action, Outcome: res.Outcome, By: call.Key,
		RequestID: call.RequestID, Mode: res.Mode, PolicyVersion: res.PolicyVersion,
	}
	if len(res.Reasons) > 0 {
		m.Code = res.Reasons[0].Code
	}
	return m
}

// name takes the first host name that is known.
func name(live policy.Live, e policy.Event, s Standing) string {
	for _, f := range []policy.Field[string]{live.Device.Hostname, e.Central.Hostname, e.Directory.Hostname} {
		if f.Known() {
			return f.Value
		}
	}
	return s.Hostname
}

// sawLive copies what the live read says into the answer.
func (res *Result) sawLive(live policy.Live, a policy.Activity) {
	if live.Status == policy.LiveFound {
		res.VerifiedAt, res.Activity = live.At, a
	}
}

// end sets the outcome with the flags that belong to it. It is the one place
// that holds the table of outcomes.
func (res *Result) end(outcome string) {
	res.Outcome, res.OK = outcome, true
	res.Deleted = known(false)
	code := res.code()
	switch outcome {
	case "inactive", "active", "not_found":
		res.Deleted, res.Next = nil, "evaluate"
		if outcome == "not_found" {
			res.Next = "stop"
		}
	case "mismatch":
		res.Deleted, res.NeedsReview, res.Next = nil, true, "evaluate"
	case "unverified":
		res.Deleted, res.OK, res.Next = nil, false, "retry"
	case "delete":
		res.Next = "delete"
	case "manual":
		res.NeedsReview, res.Next = true, "ticket-open"
	case "skip", "keep":
		res.Deleted, res.Next = known(code == policy.AlreadyDeleted), "stop"
		if res.RetryAfter > 0 {
			res.Next = "retry"
		}
	case "deleted", "already_deleted":
		res.Deleted, res.Next = known(true), "stop"
	case "gone", "would_delete":
		res.Next = "stop"
	case "refused":
		res.Deleted = known(code == policy.AlreadyDeleted)
		res.NeedsReview = code != policy.TokenExpired && code != policy.ModeChanged
		res.Next = "evaluate"
	case "deferred":
		res.OK, res.Next = false, "retry"
	case "pending":
		res.OK, res.Deleted, res.Next = false, nil, "retry"
	case "failed":
		res.OK, res.NeedsReview, res.Next = false, true, "ticket-open"
	}
	res.wait()
	res.Retryable = res.RetryAfter > 0
	res.Summary = res.sentence()
}

// longestWait is how long a playbook may be told to wait: it can't be parked for days,
// and the next search finds the device again.
const longestWait = time.Hour

// wait settles when asking again makes sense, and whether to wait for it: only where
// that is soon, and the token that is asked with still counts then.
func (res *Result) wait() {
	if res.Next == "retry" && res.RetryAfter <= 0 {
		res.RetryAfter = defaultRetry
	}
	switch res.Outcome {
	case "manual", "skip", "keep", "deferred", "pending", "unverified":
	default:
		res.RetryAfter = 0
	}
	ends := !res.TokenTill.IsZero() && !res.EvaluatedAt.Add(res.RetryAfter).Before(res.TokenTill)
	if res.Next == "retry" && (res.RetryAfter > longestWait || ends) {
		res.Next = "stop"
	}
}

// code is the code that decided; empty when there is none.
func (res *Result) code() policy.Code {
	if len(res.Reasons) == 0 {
		return ""
	}
	return res.Reasons[0].Code
}

// because puts a reason of the action's own before what the policy found.
func (res *Result) because(code policy.Code, text string) {
	res.Reasons = append([]policy.Reason{{Code: code, Verdict: policy.VerdictOf(code), Text: text}}, res.Reasons...)
}

// sentence is the summary for a person.
func (res *Result) sentence() string {
	who := res.Hostname
	if who == "" {
		who = res.Dev.EndpointID
	}
	if who == "" {
		who = "the device"
	}
	said := map[string]string{
		"inactive": "is inactive in Central", "active": "is in use according to Central",
		"not_found": "is not in Central", "mismatch": "is not the device that the event describes",
		"unverified": "could not be verified in Central", "delete": "may be deleted",
		"manual": "needs a person's decision", "skip": "is left alone for now", "keep": "must stay",
		"deleted": "was deleted from Central", "already_deleted": "had already been deleted",
		"gone": "is gone from Central, but not by this service", "would_delete": "would be deleted if this were live",
		"refused": "was not dealt with: refused", "deferred": "was not deleted: not now",
		"pending": "has a delete whose outcome is not known yet", "failed": "could not be deleted",
		"opened": "has an open ticket now", "already_open": "already has an open ticket",
		"closed": "has its ticket closed", "already_closed": "had its ticket closed before",
		"changed": "has its ticket's decision changed",
	}[res.Outcome]
	s := fmt.Sprintf("%s %s.", who, said)
	if len(res.Reasons) > 0 {
		s += " " + res.Reasons[0].Text
	}
	return s
}

// known returns a pointer to b: a fact, where nil would be none.
func known(b bool) *bool { return &b }

// seconds rounds a waiting time up, so that nobody comes back too early.
func seconds(d time.Duration) time.Duration {
	return time.Duration(math.Ceil(d.Seconds())) * time.Second
}
