package action

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rollcall/internal/policy"
)

// Evaluate decides what is to be done with the event's device: delete, manual,
// skip or keep. It returns *Invalid for evidence that can't be used, ErrState
// when the ledger does not answer. It never deletes.
func (r *Runner) Evaluate(ctx context.Context, call Call, in EvaluateInput) (Result, error) {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	rules := r.rules()
	dev, named := refOf(in.Event)
	if !named {
		return r.evaluateUnnamed(ctx, call, in.Event, dev, rules.Params)
	}
	mode := r.modeFor(dev.TenantID, rules.Params)
	evidence, err := r.evidence(ctx, in.Evidence, dev)
	if err != nil {
		return Result{}, err
	}
	st, err := r.standing(ctx, dev, mode, evidence)
	if err != nil {
		return Result{}, err
	}
	if st, err = r.settled(ctx, dev, mode, st, evidence); err != nil {
		return Result{}, err
	}
	live, trouble, fresh := evidence.Live, (*Trouble)(nil), false
	if !r.usable(evidence, mode, st) {
		ask := AskNothing
		if !st.DeletedAt.IsZero() {
			ask = AskDevice // the snapshot may show it as it was before
		}
		live, trouble = r.lookBy(ctx, in.LookBy, dev, rules.Params, ask)
		fresh, rules = true, r.rules() // the look took time: what was learnt meanwhile counts
	}
	f := policy.Facts{Event: in.Event, Live: live, Standing: st.Standing}
	return r.decide(ctx, call, f, st, trouble, fresh, mode, rules.Params)
}

// evidence opens verify-live's token; no token is no evidence. Playbooks that hand on
// the newest token they have may give a verdict of the device, which is none either.
func (r *Runner) evidence(ctx context.Context, token string, dev Ref) (claims, error) {
	if token == "" {
		return claims{}, nil
	}
	kind, c, err := r.open(ctx, "evidence", token, kindEvidence, kindVerdict)
	switch {
	case err != nil:
		return claims{}, err
	case c.Dev != dev:
		return claims{}, &Invalid{Field: "evidence", Problem: "is of another device than the event's"}
	case kind == kindVerdict:
		return claims{}, nil
	}
	return c, nil
}

// usable reports whether evidence may stand in for a look-up: of this mode and
// installation, and still fresh. Of a device that was deleted it may be from
// before that, and would show it as having come back.
func (r *Runner) usable(c claims, mode string, st Standing) bool {
	return st.DeletedAt.IsZero() && c.ID != "" && c.Mode == mode && c.Installation == st.Installation && r.now().Before(c.Till)
}

// decide asks the policy, writes the decision down and seals it.
func (r *Runner) decide(ctx context.Context, call Call, f policy.Facts, st Standing, trouble *Trouble, fresh bool,
	mode string, p policy.Params,
) (Result, error) {
	now := r.now()
	var n Note
	n.cameBack(st, f.Live)
	n.reenabled(&st, f.Event, now)
	f.Standing.CameBackAt = st.CameBackAt
	d := policy.Evaluate(f, p, now)
	dev, _ := refOf(f.Event)
	res := r.result(call, "evaluate", dev, mode, p, now)
	res.Hostname, res.Reasons = name(f.Live, f.Event, st), d.Reasons
	res.EligibleAt, res.RetryAfter = d.EligibleAt, d.RetryAfter
	res.TicketID, res.TokenTill = f.Standing.OpenTicket, now.Add(p.VerdictTTL)
	res.sawLive(f.Live, d.Activity)
	res.end(outcomeOf(d.Verdict))
	n.Mark, n.Eligible = res.mark(call), d.Verdict == policy.Delete
	if fresh {
		r.verified(&n, f.Live, trouble, p)
	}
	var err error
	if n.Decision, err = decisionRecord(res, f, d); err != nil {
		return Result{}, err
	}
	at, err := r.note(ctx, st, n)
	if err != nil {
		return Result{}, err
	}
	res.Token, err = r.sealVerdict(ctx, f, d, res, p, at)
	return res, err
}

// outcomeOf names a verdict on the wire. What is no verdict goes to a person.
func outcomeOf(v policy.Verdict) string {
	switch v {
	case policy.Delete:
		return "delete"
	case policy.Skip:
		return "skip"
	case policy.Keep:
		return "keep"
	case policy.Manual:
	}
	return "manual"
}

// sealVerdict seals what was decided, and on what.
func (r *Runner) sealVerdict(ctx context.Context, f policy.Facts, d policy.Decision, res Result, p policy.Params,
	at Receipt,
) (string, error) {
	c := r.newClaims(res.Dev, res.Mode, res.EvaluatedAt, p.VerdictTTL, at)
	c.Event, c.Verdict, c.Reasons = f.Event, d.Verdict, d.Reasons
	c.Digest = policy.EvidenceDigest(f.Live)
	c.TwoPersons = policy.TwoPersons(f, p, res.EvaluatedAt)
	for _, reason := range d.Reasons {
		c.Shown = append(c.Shown, reason.Code)
	}
	c.Shown = append(c.Shown, d.Waived...)
	return r.seal(ctx, kindVerdict, c)
}

// decided is a decision as it is kept, with the facts that it rests on.
type decided struct {
	Hostname      string          `json:"hostname"`
	Verdict       string          `json:"verdict"`
	ReasonCode    policy.Code     `json:"reasonCode"`
	Reasons       []policy.Reason `json:"reasons"`
	Mode          string          `json:"mode"`
	PolicyVersion string          `json:"policyVersion"`
	EvaluatedAt   time.Time       `json:"evaluatedAt"`
	EligibleAt    time.Time       `json:"eligibleAt,omitzero"`
	Event         policy.Event    `json:"event"`
	Live          policy.Live     `json:"live"`
	Standing      policy.Standing `json:"standing"`
}

// decisionRecord is what is kept as the device's latest decision, with the
// facts that it rests on, so that another policy can be asked about them later.
func decisionRecord(res Result, f policy.Facts, d policy.Decision) ([]byte, error) {
	b, err := json.Marshal(decided{
		Hostname: res.Hostname, Verdict: outcomeOf(d.Verdict), ReasonCode: d.Code(), Reasons: d.Reasons, Mode: res.Mode,
		PolicyVersion: res.PolicyVersion, EvaluatedAt: res.EvaluatedAt, EligibleAt: d.EligibleAt,
		Event: f.Event, Live: f.Live, Standing: f.Standing,
	})
	if err != nil {
		return nil, fmt.Errorf("decision record: %w", err)
	}
	return b, nil
}

// evaluateUnnamed answers for an event that names no device: there is no record
// to read or write and nothing to look up, but a person should see it. The kill
// switch is read all the same, and that the ledger answers.
func (r *Runner) evaluateUnnamed(ctx context.Context, call Call, e policy.Event, dev Ref, p policy.Params) (Result, error) {
	paused, err := r.ledger.Paused(ctx, dev.TenantID)
	if err != nil {
		return Result{}, err
	}
	now := r.now()
	f := policy.Facts{Event: e, Standing: policy.Standing{Paused: paused}}
	d := policy.Evaluate(f, p, now)
	res := r.result(call, "evaluate", dev, r.modeFor(dev.TenantID, p), p, now)
	res.Hostname, res.Reasons, res.RetryAfter = name(f.Live, e, Standing{}), d.Reasons, d.RetryAfter
	res.end(outcomeOf(d.Verdict))
	if res.Next == "ticket-open" {
		res.Next = "stop" // no device, so no token, so no ticket here
	}
	return res, nil
}
