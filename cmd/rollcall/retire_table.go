package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"rollcall/api"
	"rollcall/internal/action"
)

// table shows the verdicts, and what would be deleted.
func (r *retireRun) table() error {
	t := table{w: r.p.stdout}
	say(r.p.stdout, "%s", printable(r.headline()))
	verdicts, reasons := r.counts()
	if err := t.rows("Verdicts:", []string{"DEVICES", "VERDICT"}, countRows(verdicts)); err != nil {
		return err
	}
	if err := t.rows("By reason:", []string{"DEVICES", "VERDICT", "REASON"}, countRows(reasons)); err != nil {
		return err
	}
	title := "Would be deleted, oldest last-seen first:"
	if r.cmd.Live {
		title = "To be deleted, oldest last-seen first:"
	}
	if n := r.unreal(); n > 0 {
		say(r.p.stdout, "\n%d more have the verdict delete in tenants for which the policy does not make deletes real; they are left alone.", n)
	}
	rows := make([][]string, 0, len(r.doomed)+1)
	for _, it := range r.doomed {
		rows = append(rows, []string{retireName(it.is), retireDay(it.is.LastSeenAt), retireAge(it.is.InactiveDays), it.is.TenantID, it.is.EndpointID})
	}
	if len(rows) == 0 {
		return t.rows(title, nil, [][]string{{"none"}})
	}
	return t.rows(title, []string{"HOSTNAME", "LAST SEEN", "INACTIVE DAYS", "TENANT", "ENDPOINT"}, rows)
}

// headline says what was looked at, and how.
func (r *retireRun) headline() string {
	mode := "Dry-run, nothing is deleted"
	if r.cmd.Live {
		mode = "Live"
	}
	text := fmt.Sprintf("%s: %d devices of %s under policy %s.", mode, len(r.items), r.cmd.File, r.rules.Version)
	passed, settled := 0, 0
	for _, it := range r.items {
		switch {
		case it.passed && it.is.settled():
			settled++
		case it.passed:
			passed++
		}
	}
	if settled > 0 {
		text += fmt.Sprintf(" %d were settled by an earlier run and are passed over.", settled)
	}
	if passed > 0 {
		text += fmt.Sprintf(" The verdicts on %d stand from an earlier run.", passed)
	}
	return text
}

// count is how often something stands there.
type count struct {
	what []string
	n    int
}

// counts counts the devices by verdict, and by verdict and reason.
func (r *retireRun) counts() (verdicts, reasons []count) {
	byVerdict, byReason := map[string]int{}, map[[2]string]int{}
	for _, it := range r.items {
		verdict, code := it.shown()
		byVerdict[verdict]++
		byReason[[2]string{verdict, code}]++
	}
	for v, n := range byVerdict {
		verdicts = append(verdicts, count{[]string{v}, n})
	}
	for v, n := range byReason {
		reasons = append(reasons, count{v[:], n})
	}
	for _, all := range [][]count{verdicts, reasons} {
		slices.SortFunc(all, func(a, b count) int { return cmp.Or(b.n-a.n, slices.Compare(a.what, b.what)) })
	}
	return verdicts, reasons
}

// shown is the verdict by which a device is counted, with its reason: for one that
// is settled, what became of it.
func (it *retireItem) shown() (verdict, code string) {
	switch {
	case it.is.settled():
		return it.is.Outcome, it.is.ReasonCode
	case it.is.Verdict == "":
		return "not evaluated", ""
	}
	return it.is.Verdict, it.is.ReasonCode
}

// countRows are counts as rows.
func countRows(all []count) [][]string {
	rows := make([][]string, len(all))
	for i, c := range all {
		rows[i] = append([]string{strconv.Itoa(c.n)}, c.what...)
	}
	return rows
}

// unreal counts the verdicts of a live run that lead to nothing in their tenants.
func (r *retireRun) unreal() int {
	n := 0
	for _, it := range r.items {
		if r.mode == action.LiveMode && it.is.Mode != r.mode && it.is.Verdict == api.OutcomeDelete {
			n++
		}
	}
	return n
}

// showOutcomes shows what became of what was to be deleted, and what is left.
func (r *retireRun) showOutcomes(counts map[string]int) error {
	t := table{w: r.p.stdout}
	rows := [][]string{}
	for _, outcome := range slices.Sorted(maps.Keys(counts)) {
		if outcome != leftOver {
			rows = append(rows, []string{strconv.Itoa(counts[outcome]), outcome})
		}
	}
	if err := t.rows("What became of them:", []string{"DEVICES", "OUTCOME"}, rows); err != nil {
		return err
	}
	rows = nil
	for _, it := range r.doomed {
		if it.outcome() != api.OutcomeDeleted {
			rows = append(rows, []string{retireName(it.is), retireDay(it.is.LastSeenAt), it.outcome(), it.is.ReasonCode, it.is.TenantID, it.is.EndpointID})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return t.rows("Not deleted:", []string{"HOSTNAME", "LAST SEEN", "OUTCOME", "REASON", "TENANT", "ENDPOINT"}, rows)
}

// retireName is the host name for a person.
func retireName(e retireEntry) string { return cmp.Or(e.Hostname, "(no name)") }

// retireDay is a last-seen time for a person.
func retireDay(t *time.Time) string {
	if t == nil {
		return "unknown"
	}
	return t.UTC().Format(time.RFC3339)
}

// retireAge is an age for a person, in whole days.
func retireAge(days *float64) string {
	if days == nil {
		return "unknown"
	}
	return strconv.Itoa(int(*days))
}
