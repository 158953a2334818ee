package httpapi

import (
	"math"
	"strings"
	"time"

	"rollcall/api"
	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// answer is an action's result on the wire: what is not known becomes null.
func answer(r action.Result) api.Answer {
	a := api.Answer{
		Action: r.Action, Outcome: r.Outcome, OK: r.OK,
		ReasonCode: word(codeOf(r)), ReasonsText: word(textOf(r)), Reasons: reasons(r),
		Summary: r.Summary, Mode: r.Mode,
		TenantID: word(r.Dev.TenantID), EndpointID: word(r.Dev.EndpointID), Hostname: word(r.Hostname),
		LastSeenAt: fact(r.Activity.LastSeenAt, stamp), InactiveDays: fact(r.Activity.InactiveDays, days),
		Active: fact(r.Activity.Active, same), VerifiedAt: stamp(r.VerifiedAt),
		Deleted: r.Deleted, NeedsReview: r.NeedsReview,
		TicketID: word(r.TicketID), TicketState: word(r.TicketState), RequestID: r.RequestID,
		PolicyVersion: r.PolicyVersion, EligibleAt: stamp(r.EligibleAt),
		Retryable: r.Retryable, RetryAfterSeconds: wholeSeconds(r.RetryAfter), Next: r.Next, Token: word(r.Token),
	}
	if at := stamp(r.EvaluatedAt); at != nil {
		a.EvaluatedAt = *at
	}
	if r.Device != nil {
		a.Device = device(r.Dev, *r.Device)
	}
	return a
}

func codeOf(r action.Result) string {
	if len(r.Reasons) == 0 {
		return ""
	}
	return string(r.Reasons[0].Code)
}

func textOf(r action.Result) string {
	texts := make([]string, len(r.Reasons))
	for i, reason := range r.Reasons {
		texts[i] = reason.Text
	}
	return strings.Join(texts, " ")
}

func reasons(r action.Result) []api.Reason {
	out := make([]api.Reason, len(r.Reasons))
	for i, reason := range r.Reasons {
		out[i] = api.Reason{Code: string(reason.Code), Verdict: verdict(reason.Verdict), Text: reason.Text}
	}
	return out
}

// verdict names a verdict; what is none goes to a person.
func verdict(v policy.Verdict) string {
	switch v {
	case policy.Delete:
		return api.OutcomeDelete
	case policy.Skip:
		return api.OutcomeSkip
	case policy.Keep:
		return api.OutcomeKeep
	case policy.Manual:
	}
	return api.OutcomeManual
}

// device is Central's record as verify-live shows it.
func device(ref action.Ref, d policy.Device) *api.Device {
	return &api.Device{
		EndpointID: ref.EndpointID, TenantID: ref.TenantID,
		Hostname: fact(d.Hostname, word), Type: fact(d.Type, word), Platform: fact(d.Platform, word),
		OSName: fact(d.OSName, word), IsServer: fact(d.IsServer, same), Build: fact(d.Build, same),
		LastSeenAt: fact(d.LastSeenAt, stamp), RegisteredAt: fact(d.RegisteredAt, stamp),
		Online: fact(d.Online, same), Isolated: fact(d.Isolated, same),
		HealthOverall: fact(d.HealthOverall, word), HealthThreats: fact(d.HealthThreats, word),
		Cloned: fact(d.Cloned, same), PersonName: fact(d.PersonName, word), ViaLogin: fact(d.ViaLogin, word),
		SerialNumber: fact(d.SerialNumber, word), TamperProtectionEnabled: fact(d.Tamper, same),
	}
}

// fact puts a known field on the wire, and null for any other.
func fact[T, W any](f policy.Field[T], put func(T) *W) *W {
	if !f.Known() {
		return nil
	}
	return put(f.Value)
}

func same[T any](v T) *T { return &v }

func word(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// stamp is a time to the millisecond in UTC. RFC 3339 has four digits for the
// year: what lies outside is as good as unknown.
func stamp(t time.Time) *time.Time {
	t = t.UTC().Truncate(time.Millisecond)
	if t.IsZero() || t.Year() < 0 || t.Year() > 9999 {
		return nil
	}
	return &t
}

// days keeps four decimals, which is ten seconds.
func days(d float64) *float64 {
	if math.IsNaN(d) || math.IsInf(d, 0) {
		return nil
	}
	d = math.Round(d*1e4) / 1e4
	return &d
}

// wholeSeconds rounds up, so that nobody comes back too early.
func wholeSeconds(d time.Duration) *int {
	if d <= 0 {
		return nil
	}
	n := int(math.Ceil(d.Seconds()))
	return &n
}
