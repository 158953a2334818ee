package httpapi

import (
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/api"
	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// unreadable stands in the sheet for the reasons of a decision that can't be read.
const unreadable = "The record of this decision can't be read: ask again."

// recovery answers with the way back for a device that was deleted while in use.
func (s *server) recovery(x *exchange) error {
	d, err := s.onRecord(x)
	if err != nil {
		return err
	}
	r := action.RecoverySteps(d, s.cfg.Now())
	return x.ok(api.Recovery{
		TenantID: r.TenantID, EndpointID: r.EndpointID, Hostname: word(r.Hostname), State: r.State, Platform: word(r.Platform),
		DeletedAt: known(r.DeletedAt), RestoreBy: known(r.RestoreBy), PasswordsUntil: known(r.PasswordsUntil),
		LosesProtection: r.LosesProtection, Route: r.Route, Summary: r.Summary, Steps: r.Steps,
	})
}

// known is a time that may not be known.
func known(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return stamp(*t)
}

// decisions answers with the sheet of the latest decisions.
func (s *server) decisions(x *exchange) error {
	q := x.query()
	verdict := q.word("verdict", append([]string{""}, action.Verdicts()...)...)
	code := q.reasonCode()
	format := q.word("format", formatJSON, formatNDJSON, formatCSV)
	since := q.since()
	if err := q.found.refusal(); err != nil {
		return err
	}
	rows := only(mapped(s.cfg.Books.Decisions(x.c.Request.Context(), since), decision), func(d api.Decision) bool {
		return (verdict == "" || d.Verdict == verdict) && (code == "" || plain(d.ReasonCode) == code)
	})
	return stream(x, format, rows, decisionSheet())
}

// reasonCode is a code that there is, or empty when not given.
func (q *query) reasonCode() string {
	s := q.text("reasonCode")
	if s != "" && !slices.ContainsFunc(policy.Codes(), func(c policy.CodeInfo) bool { return string(c.Code) == s }) {
		q.found.add("reasonCode", "is no reason code; GET /openapi.yaml lists them")
	}
	return s
}

// only leaves rows out; errors stay.
func only[T any](rows iter.Seq2[T, error], wanted func(T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for row, err := range rows {
			if (err != nil || wanted(row)) && !yield(row, err) {
				return
			}
		}
	}
}

// decision puts a line of the books on the wire. One that can't be read is a row
// too: somebody must look, and a sheet that leaves it out looks complete.
func decision(line []byte) (api.Decision, error) {
	d, ok := action.ReadDecision(line)
	if !ok {
		return api.Decision{
			TenantID: d.TenantID, EndpointID: d.EndpointID, Verdict: api.OutcomeManual, WouldHave: api.WouldHaveAsked,
			ReasonsText: word(unreadable), Reasons: []api.Reason{}, EvaluatedAt: moment(d.At),
		}, nil
	}
	found := action.Result{Reasons: d.Reasons}
	dir, dev, seen := d.Event.Directory, d.Live.Device, d.LastSeenAt()
	return api.Decision{
		TenantID: d.TenantID, EndpointID: d.EndpointID, Hostname: word(d.Hostname),
		Verdict: d.Verdict, WouldHave: wouldHave(d.Verdict),
		ReasonCode: word(string(d.ReasonCode)), ReasonsText: word(textOf(found)), Reasons: reasons(found),
		LastSeenAt: fact(seen, stamp),
		InactiveDays: fact(seen, func(at time.Time) *float64 {
			return days(d.EvaluatedAt.Sub(at).Hours() / 24)
		}),
		EligibleAt: stamp(d.EligibleAt), EvaluatedAt: moment(d.EvaluatedAt), Mode: word(d.Mode), PolicyVersion: word(d.PolicyVersion),
		Type: told(dev.Type, d.Event.Central.Type), OSName: told(dev.OSName, d.Event.Central.OSName, dir.OperatingSystem),
		Domain:            told(dir.Domain),
		DistinguishedName: fact(dir.DistinguishedName, func(dn policy.DN) *string { return word(dn.String()) }),
		DisabledAt:        fact(dir.DisabledAt, stamp),
		Person:            told(dev.PersonName, d.Event.Central.PersonName),
		Login:             told(dev.ViaLogin, d.Event.Central.ViaLogin, d.Event.Owner.Login),
		TicketID:          word(d.Standing.OpenTicket),
	}, nil
}

// told is the first of the facts that is known.
func told(facts ...policy.Field[string]) *string {
	for _, f := range facts {
		if f.Known() && f.Value != "" {
			return word(f.Value)
		}
	}
	return nil
}

// wouldHave is what live mode makes of a verdict.
func wouldHave(verdict string) string {
	switch verdict {
	case api.OutcomeDelete:
		return api.WouldHaveDeleted
	case api.OutcomeSkip, api.OutcomeKeep:
		return api.WouldHaveLeftAlone
	}
	return api.WouldHaveAsked
}

// decisionSheet is the sheet as CSV: what to sort and filter by comes first.
func decisionSheet() *sheet[api.Decision] {
	return &sheet[api.Decision]{
		columns: []string{
			"tenantId", "endpointId", "hostname", "verdict", "wouldHave", "reasonCode", "reasonsText", "reasonCodes",
			"lastSeenAt", "inactiveDays", "eligibleAt", "evaluatedAt", "mode", "policyVersion",
			"type", "osName", "domain", "distinguishedName", "disabledAt", "person", "login", "ticketId",
		},
		cells: func(d api.Decision) []string {
			return []string{
				d.TenantID, d.EndpointID, plain(d.Hostname), d.Verdict, d.WouldHave, plain(d.ReasonCode), plain(d.ReasonsText), codes(d),
				at(d.LastSeenAt), number(d.InactiveDays), at(d.EligibleAt), at(&d.EvaluatedAt), plain(d.Mode), plain(d.PolicyVersion),
				plain(d.Type), plain(d.OSName), plain(d.Domain), plain(d.DistinguishedName), at(d.DisabledAt),
				plain(d.Person), plain(d.Login), plain(d.TicketID),
			}
		},
	}
}

// codes are the codes of all reasons, to filter by.
func codes(d api.Decision) string {
	out := make([]string, len(d.Reasons))
	for i, r := range d.Reasons {
		out[i] = r.Code
	}
	return strings.Join(out, " ")
}

func number(n *float64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatFloat(*n, 'f', -1, 64)
}
