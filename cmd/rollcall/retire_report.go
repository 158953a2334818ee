package main

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/httpapi"
)

//go:embed retire.html
var retirePage string

// barMost is how wide the page draws its longest bar.
const barMost = 340

// retireReport is what a run was asked, and what became of it.
type retireReport struct {
	Run           string        `json:"run"`
	File          string        `json:"file"`
	Mode          string        `json:"mode"`
	PolicyVersion string        `json:"policyVersion"`
	StartedAt     time.Time     `json:"startedAt"`
	EndedAt       time.Time     `json:"endedAt"`
	Ended         string        `json:"ended"` // complete, or why not
	Verdicts      []retireCount `json:"verdicts"`
	Reasons       []retireCount `json:"reasons"`
	Ages          []retireCount `json:"inactiveDays"`
	Devices       []retireEntry `json:"devices"` // in the order of the file
}

// retireCount is one row of a count, and a bar of the page.
type retireCount struct {
	What  string `json:"what"`
	Count int    `json:"count"`
	Width int    `json:"-"` // of its bar; the longest has barMost
}

// report writes the reports that were asked for. It is told why the run ended.
func (r *retireRun) report(ended error) error {
	if len(r.cmd.Report) == 0 {
		return nil
	}
	what := r.summary(ended)
	var faults []error
	for _, file := range r.cmd.Report {
		text, err := what.as(strings.ToLower(filepath.Ext(file)))
		if err == nil {
			err = writeWhole(file, text)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("report %s: %w", file, err))
		}
	}
	return errors.Join(faults...)
}

// writeWhole puts a file in its place in one step, so that there is never half of it.
func writeWhole(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".rollcall-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// summary is the report on the run as it stands.
func (r *retireRun) summary(ended error) retireReport {
	verdicts, reasons := r.counts()
	out := retireReport{
		Run: r.id, File: r.cmd.File, Mode: r.mode, PolicyVersion: r.rules.Version, StartedAt: r.begun.UTC(), EndedAt: time.Now().UTC(),
		Ended: "complete", Verdicts: bars(verdicts), Reasons: bars(reasons), Ages: r.ages(), Devices: make([]retireEntry, len(r.items)),
	}
	if ended != nil {
		out.Ended = ended.Error()
	}
	for i, it := range r.items {
		out.Devices[i] = it.is
	}
	return out
}

// bars are counts with the widths of their bars.
func bars(all []count) []retireCount {
	out, most := make([]retireCount, len(all)), 1
	for _, c := range all {
		most = max(most, c.n)
	}
	for i, c := range all {
		out[i] = retireCount{strings.TrimSpace(strings.Join(c.what, " ")), c.n, barMost * c.n / most}
	}
	return out
}

// ages counts the devices by how long Central has not heard from them.
func (r *retireRun) ages() []retireCount {
	bounds := []float64{14, 30, 60, 90, 180, 365}
	all := make([]count, len(bounds)+2)
	for i, b := range bounds {
		all[i].what = []string{"under " + strconv.Itoa(int(b))}
	}
	all[len(bounds)].what, all[len(bounds)+1].what = []string{"365 and more"}, []string{"unknown"}
	for _, it := range r.items {
		i := len(bounds) + 1
		if days := it.is.InactiveDays; days != nil {
			for i = 0; i < len(bounds) && *days >= bounds[i]; i++ {
			}
		}
		all[i].n++
	}
	return bars(all)
}

// as puts the report in the form of a file's ending.
func (r retireReport) as(ending string) ([]byte, error) {
	switch ending {
	case ".csv":
		return r.csv()
	case ".html":
		return r.html()
	}
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}

// csv is a row for each device.
func (r retireReport) csv() ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{{
		"line", "tenantId", "endpointId", "hostname", "verdict", "outcome", "step", "reasonCode", "reasonsText", "lastSeenAt", "inactiveDays", "mode", "at",
	}}
	for _, d := range r.Devices {
		seen, days := "", ""
		if d.LastSeenAt != nil {
			seen = d.LastSeenAt.UTC().Format(time.RFC3339)
		}
		if d.InactiveDays != nil {
			days = strconv.FormatFloat(*d.InactiveDays, 'f', 4, 64)
		}
		rows = append(rows, []string{
			strconv.Itoa(d.Line), d.TenantID, d.EndpointID, d.Hostname, d.Verdict, d.Outcome, d.Step, d.ReasonCode, d.ReasonsText, seen, days, d.Mode,
			d.At.UTC().Format(time.RFC3339),
		})
	}
	for _, row := range rows {
		for i, cell := range row {
			row[i] = httpapi.Harmless(cell)
		}
	}
	err := w.WriteAll(rows)
	return b.Bytes(), err
}

// html is a page that needs nothing else: no script, no picture, no link.
func (r retireReport) html() ([]byte, error) {
	page, err := template.New("report").Funcs(template.FuncMap{"day": retireDay, "age": retireAge, "name": retireName, "row": func(i int) int { return 22 * i }}).Parse(retirePage)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = page.Execute(&b, r)
	return b.Bytes(), err
}
