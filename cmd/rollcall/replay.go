package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"rollcall/api"
	"rollcall/internal/action"
	"rollcall/internal/httpapi"
)

// policyReplayCmd does what POST /v1/policy/replay does, right on the store.
type policyReplayCmd struct {
	storeFlags `group:"settings"`
	File       string `arg:"" help:"The candidate, a policy file."`
	Since      string `placeholder:"WHEN" help:"Only later decisions: how long ago, as in 30d, 12h or 90m, or a time in RFC 3339; else all on record."`
	JSON       bool   `name:"json" help:"Print what the API answers, for machines."`
}

// Run implements the command.
func (c *policyReplayCmd) Run(ctx context.Context, p *process) error {
	params, err := loadCandidate(c.File)
	if err != nil {
		return err
	}
	since, ok := httpapi.ParseSince(c.Since, time.Now())
	if !ok {
		return usagef("--since must be how long ago, as in 30d, 12h or 90m, or a time in RFC 3339 with its zone")
	}
	store, err := openStore(p)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	found, err := action.Replay(store.Decisions(ctx, since), params)
	if err != nil {
		return fmt.Errorf("decisions on record: %w", err)
	}
	report := httpapi.ReplayReport(found, since)
	if c.JSON {
		return json.NewEncoder(p.stdout).Encode(report)
	}
	return table{w: p.stdout}.write(report)
}

// table writes a report for a person.
type table struct{ w io.Writer }

func (t table) write(r api.Replay) error {
	if err := t.head(r); err != nil {
		return err
	}
	rows := make([][]string, len(r.Verdicts))
	for i, v := range r.Verdicts {
		rows[i] = []string{v.Verdict, fmt.Sprint(v.Before), fmt.Sprint(v.After)}
	}
	if err := t.rows("", []string{"VERDICT", "RECORDED", "CANDIDATE"}, rows); err != nil {
		return err
	}
	rows = make([][]string, len(r.Changes))
	for i, c := range r.Changes {
		rows[i] = []string{fmt.Sprint(c.Count), c.FromVerdict, c.FromReasonCode, c.ToVerdict, c.ToReasonCode}
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(t.w, "\nNo decision changes.")
		return err
	}
	if err := t.rows("What changes:", []string{"COUNT", "RECORDED", "BY", "CANDIDATE", "BY"}, rows); err != nil {
		return err
	}
	if err := t.flips("Would be deleted under the candidate only:", r.ToDelete); err != nil {
		return err
	}
	return t.flips("Would no longer be deleted:", r.FromDelete)
}

// head says what was compared with what.
func (t table) head(r api.Replay) error {
	since := "on record"
	if r.Since != nil {
		since = "since " + r.Since.Format(time.RFC3339)
	}
	var under []string
	for _, b := range r.Baselines {
		under = append(under, fmt.Sprintf("%d under policy %s", b.Count, b.PolicyVersion))
	}
	made := ""
	if len(under) > 0 {
		made = " (" + strings.Join(under, ", ") + ")"
	}
	text := fmt.Sprintf("Candidate policy %s, asked about %d decisions %s%s.", r.PolicyVersion, r.Replayed, since, made)
	if r.Unreadable > 0 {
		text += fmt.Sprintf(" %d more could not be read, and are not counted below.", r.Unreadable)
	}
	_, err := fmt.Fprintf(t.w, "%s\n\n", printable(text))
	return err
}

// flips names every device whose verdict becomes, or stops to be, delete.
func (t table) flips(title string, all []api.ReplayFlip) error {
	rows := make([][]string, len(all))
	for i, f := range all {
		name := "(no name)"
		if f.Hostname != nil {
			name = *f.Hostname
		}
		rows[i] = []string{name, f.TenantID, f.EndpointID, f.FromReasonCode, f.ToReasonCode}
	}
	if len(rows) == 0 {
		rows = [][]string{{"none"}}
		return t.rows(title, nil, rows)
	}
	return t.rows(title, []string{"HOSTNAME", "TENANT", "ENDPOINT", "RECORDED", "CANDIDATE"}, rows)
}

// rows writes columns below a title.
func (t table) rows(title string, header []string, rows [][]string) error {
	if title != "" {
		if _, err := fmt.Fprintln(t.w, "\n"+title); err != nil {
			return err
		}
	}
	w := tabwriter.NewWriter(t.w, 0, 0, 2, ' ', 0)
	if header != nil {
		rows = append([][]string{header}, rows...)
	}
	for _, row := range rows {
		for i := range row {
			row[i] = printable(row[i])
		}
		if _, err := fmt.Fprintln(w, "  "+strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}

// printable takes out what would steer a terminal: host names come from outside.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}
