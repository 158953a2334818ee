package action

import (
	"cmp"
	"iter"
	"slices"

	"rollcall/internal/policy"
)

// Replayed is what a candidate policy makes of the decisions on record.
type Replayed struct {
	PolicyVersion string         // the candidate's
	Replayed      int            // decisions that were asked again
	Unreadable    int            // records that could not be, and stand in no other count
	Before, After map[string]int // decisions by verdict: as recorded, and under the candidate
	Versions      map[string]int // decisions by the policy version that they were made under
	Changes       []ReasonChange // where the deciding code changes, most frequent first
	ToDelete      []Flip         // every device that only the candidate would delete, by tenant and name
	FromDelete    []Flip         // every device that the candidate would no longer delete
}

// Ruling is a verdict with the code that decided.
type Ruling struct {
	Verdict string // delete, manual, skip or keep
	Code    policy.Code
}

// ReasonChange counts the decisions that went from one ruling to another.
type ReasonChange struct {
	From, To Ruling
	Count    int
}

// Flip is one device whose verdict becomes, or stops to be, delete.
type Flip struct {
	Ref
	Hostname string
	From, To Ruling
}

// Replay asks a candidate policy about the decisions on record: the same facts,
// at the time at which they were judged, without any approval. What was recorded
// is what it is compared with. A record that can't be read is counted, never
// passed over; a device that comes twice, since it was judged again while the
// decisions were read, counts once. The error is that of the sequence: half a
// replay looks like a whole one, so there is none beside it.
func Replay(lines iter.Seq2[[]byte, error], p policy.Params) (Replayed, error) {
	r := Replayed{PolicyVersion: p.Version, Before: map[string]int{}, After: map[string]int{}, Versions: map[string]int{}}
	changes, seen := map[ReasonChange]int{}, map[Ref]bool{}
	for line, err := range lines {
		if err != nil {
			return Replayed{}, err
		}
		was, ok := ReadDecision(line)
		if dev := was.Ref(); dev != (Ref{}) {
			if seen[dev] {
				continue
			}
			seen[dev] = true
		}
		if !ok {
			r.Unreadable++
			continue
		}
		r.add(was, p, changes)
	}
	for c, n := range changes {
		c.Count = n
		r.Changes = append(r.Changes, c)
	}
	slices.SortFunc(r.Changes, func(a, b ReasonChange) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), a.From.compare(b.From), a.To.compare(b.To))
	})
	slices.SortFunc(r.ToDelete, Flip.compare)
	slices.SortFunc(r.FromDelete, Flip.compare)
	return r, nil
}

// add asks the candidate about one decision.
func (r *Replayed) add(was Recorded, p policy.Params, changes map[ReasonChange]int) {
	d := policy.Evaluate(policy.Facts{Event: was.Event, Live: was.Live, Standing: was.Standing}, p, was.EvaluatedAt)
	from, to := Ruling{was.Verdict, was.ReasonCode}, Ruling{outcomeOf(d.Verdict), d.Code()}
	r.Replayed++
	r.Before[from.Verdict]++
	r.After[to.Verdict]++
	r.Versions[was.PolicyVersion]++
	if from != to {
		changes[ReasonChange{From: from, To: to}]++
	}
	flip, deletes := Flip{was.Ref(), was.Hostname, from, to}, outcomeOf(policy.Delete)
	switch {
	case from.Verdict == to.Verdict:
	case to.Verdict == deletes:
		r.ToDelete = append(r.ToDelete, flip)
	case from.Verdict == deletes:
		r.FromDelete = append(r.FromDelete, flip)
	}
}

func (a Ruling) compare(b Ruling) int {
	return cmp.Or(cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Code, b.Code))
}

func (a Flip) compare(b Flip) int {
	return cmp.Or(cmp.Compare(a.TenantID, b.TenantID), cmp.Compare(a.Hostname, b.Hostname), cmp.Compare(a.EndpointID, b.EndpointID))
}
