package policy

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// eligibleText is what an operator reads when nothing stands against a delete.
const eligibleText = "Every check passed."

// Evaluate decides what is to be done with a device. Every rule runs and every
// hit is returned; the first tier that hits decides, and within a tier the code
// that stands first. It reads no clock and remembers nothing: the same facts
// give the same decision.
func Evaluate(f Facts, p Params, now time.Time) Decision {
	return foldRules(ranking(table()), f, p, now)
}

// hitRule is one rule's hit, with what the fold needs of it.
type hitRule struct {
	Reason
	rule  ranked
	retry time.Duration
}

// foldRules runs the rules and folds what they say into one decision. A rule that
// can't tell counts as a hit that a person must look at; so does a table that
// has nothing to say. Delete is only what is left when every rule passed on a
// record that was read.
func foldRules(rules []ranked, f Facts, p Params, now time.Time) Decision {
	d := Decision{Activity: activity(f, p, now)}
	var all []hitRule
	mute := len(rules) == 0 || !f.found()
	var silences [][]Code
	for _, r := range rules {
		said := r.eval(f, p, now)
		switch said.kind {
		case passed:
		case silent:
			silences = append(silences, said.by)
		case hit:
			if waived(f.Approval, r.code) {
				d.Waived = append(d.Waived, r.code)
				continue
			}
			all = append(all, hitRule{Reason{r.code, verdictOf(r.rule, said), said.text}, r, said.retry})
		default: // unknown, or no answer that there is
			all = append(all, hitRule{Reason{r.code, Manual, r.why}, r, 0})
		}
	}
	if len(all) == 0 {
		return d.unopposed(mute, silences)
	}
	return d.decided(all, f, p)
}

// verdictOf is the verdict of a rule's hit.
func verdictOf(r rule, said finding) Verdict {
	if said.own {
		return said.verdict
	}
	return r.verdict
}

// waived reports whether an approval waives a code.
func waived(a *Approval, c Code) bool {
	return a != nil && Waivable(c) && slices.Contains(a.Waives, c)
}

// unopposed is the decision when no hit stands: a delete if the device was read
// and every rule could speak, or its silence was waived by name; else a person's.
func (d Decision) unopposed(mute bool, silences [][]Code) Decision {
	for _, by := range silences {
		mute = mute || !slices.ContainsFunc(by, func(c Code) bool { return slices.Contains(d.Waived, c) })
	}
	if mute {
		d.Verdict, d.Tier = Manual, 2
		d.Reasons = []Reason{{InputInvalid, Manual, "Not every check could be made."}}
		return d
	}
	d.Verdict, d.Tier = Delete, 11
	d.Reasons = []Reason{{Eligible, Delete, eligibleText}}
	return d
}

// decided is the decision when at least one rule hit: the first tier decides,
// and in it the rule that stands first in the table, in whatever order they ran.
func (d Decision) decided(all []hitRule, f Facts, p Params) Decision {
	slices.SortStableFunc(all, func(a, b hitRule) int {
		return cmp.Or(cmp.Compare(a.rule.tier, b.rule.tier), cmp.Compare(a.rule.rank, b.rule.rank))
	})
	for _, h := range all {
		d.Reasons = append(d.Reasons, h.Reason)
	}
	first := all[0]
	d.Verdict, d.Tier, d.RetryAfter = first.Verdict, first.rule.tier, wholeSeconds(first.retry)
	if onlyTime(all) {
		d.EligibleAt = eligibleAt(f, p)
		for _, h := range all {
			d.RetryAfter = max(d.RetryAfter, wholeSeconds(h.retry))
		}
	}
	return d
}

// timeTier is the tier of the rules that pass by themselves as time passes.
const timeTier = 8

// onlyTime reports whether nothing but time stands against a delete.
func onlyTime(all []hitRule) bool {
	for _, h := range all {
		if h.rule.tier != timeTier {
			return false
		}
	}
	return true
}

// eligibleAt is when time alone makes the verdict delete, for an event that is
// fresh then and a device that stays unseen.
func eligibleAt(f Facts, p Params) time.Time {
	last, _, _ := f.newestSeen()
	at := last.Add(p.Threshold(f))
	if grace, ok := eligibleByGrace(f, p); ok && grace.After(at) {
		at = grace
	}
	return at
}

// wholeSeconds rounds a waiting time up.
func wholeSeconds(d time.Duration) time.Duration {
	return time.Duration(math.Ceil(d.Seconds())) * time.Second
}
