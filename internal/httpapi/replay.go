package httpapi

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/api"
	"rollcall/internal/action"
	"rollcall/internal/record"
)

// mostFaults bounds how many faults of a policy one answer names.
const mostFaults = 100

// PolicyFault is one thing that is wrong with a candidate policy.
type PolicyFault struct {
	Line    int    // from 1
	Path    string // such as exclusions[0].id; empty where the text as a whole is meant
	Problem string
}

// replay asks a candidate policy about the decisions on record.
func (s *server) replay(x *exchange) error {
	var b replayBody
	if err := s.decode(x, &b); err != nil {
		return err
	}
	since, ok := ParseSince(b.Since, s.cfg.Now())
	if !ok {
		return problems{{Field: "since", Problem: "must be RFC 3339 with a zone, Unix seconds, or how long ago, as in 30d, 12h or 90m"}}.refusal()
	}
	params, faults := s.cfg.Candidate([]byte(b.Policy))
	if len(faults) > 0 {
		return faulty(faults).refusal()
	}
	found, err := action.Replay(s.cfg.Books.Decisions(x.c.Request.Context(), since), params)
	if err != nil {
		return err
	}
	report := ReplayReport(found, since)
	report.RequestID = x.requestID
	return x.ok(report)
}

// faulty names each fault with its line. Two of one field are two.
func faulty(faults []PolicyFault) problems {
	var out problems
	for i, f := range faults {
		if i == mostFaults {
			return append(out, api.FieldError{Field: "policy", Problem: fmt.Sprintf("has %d more faults", len(faults)-i)})
		}
		field := "policy"
		if f.Path != "" {
			field += "." + f.Path
		}
		out = append(out, api.FieldError{Field: field, Problem: fmt.Sprintf("%s (line %d)", f.Problem, f.Line)})
	}
	return out
}

var ago = regexp.MustCompile(`^([0-9]{1,6})([dhm])$`)

// ParseSince reads a time as ParseTime of events does, or how long ago: a number
// of days, hours or minutes, as in 30d, 12h or 90m. Empty, and the digit 0, is
// the zero time, which is "from the beginning".
func ParseSince(s string, now time.Time) (time.Time, bool) {
	s = strings.TrimSpace(s)
	if s == "" || s == "0" {
		return time.Time{}, true
	}
	m := ago.FindStringSubmatch(s)
	if m == nil {
		return record.ParseTime(s)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return time.Time{}, false
	}
	unit := map[string]time.Duration{"d": 24 * time.Hour, "h": time.Hour, "m": time.Minute}[m[2]]
	if time.Duration(n) > 200*365*24*time.Hour/unit { // beyond what a duration holds it would lie ahead
		return time.Time{}, false
	}
	return now.Add(-time.Duration(n) * unit).UTC(), true
}

// ReplayReport puts what a replay found on the wire; the zero since is null.
func ReplayReport(r action.Replayed, since time.Time) api.Replay {
	out := api.Replay{
		PolicyVersion: r.PolicyVersion, Since: stamp(since), Replayed: r.Replayed, Unreadable: r.Unreadable,
		Baselines: []api.ReplayBaseline{}, Changes: make([]api.ReplayChange, len(r.Changes)),
		ToDelete: flips(r.ToDelete), FromDelete: flips(r.FromDelete),
	}
	for _, v := range action.Verdicts() {
		out.Verdicts = append(out.Verdicts, api.ReplayVerdict{Verdict: v, Before: r.Before[v], After: r.After[v]})
	}
	for _, v := range slices.Sorted(maps.Keys(r.Versions)) {
		out.Baselines = append(out.Baselines, api.ReplayBaseline{PolicyVersion: v, Count: r.Versions[v]})
	}
	slices.SortStableFunc(out.Baselines, func(a, b api.ReplayBaseline) int { return cmp.Compare(b.Count, a.Count) })
	for i, c := range r.Changes {
		out.Changes[i] = api.ReplayChange{
			FromVerdict: c.From.Verdict, FromReasonCode: string(c.From.Code), ToVerdict: c.To.Verdict,
			ToReasonCode: string(c.To.Code), Count: c.Count,
		}
	}
	return out
}

func flips(all []action.Flip) []api.ReplayFlip {
	out := make([]api.ReplayFlip, len(all))
	for i, f := range all {
		out[i] = api.ReplayFlip{
			TenantID: f.TenantID, EndpointID: f.EndpointID, Hostname: word(f.Hostname),
			FromVerdict: f.From.Verdict, FromReasonCode: string(f.From.Code), ToVerdict: f.To.Verdict, ToReasonCode: string(f.To.Code),
		}
	}
	return out
}
