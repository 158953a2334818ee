package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// reported is a run with devices whose names are meant to do harm.
func reported(dir string) *retireRun {
	age, seen := 99.5, time.Date(2026, 7, 2, 8, 14, 55, 0, time.UTC)
	r := &retireRun{cmd: &retireCmd{File: "<b>f</b>.csv"}, mode: "live", id: "run", begun: seen}
	for _, e := range []retireEntry{
		{TenantID: tenantA, EndpointID: deviceA, Hostname: `<script src="https://example.test/x.js"></script>`, Verdict: "delete", Outcome: "deleted", Step: stepDelete, InactiveDays: &age, LastSeenAt: &seen},
		{TenantID: tenantA, EndpointID: deviceB, Hostname: "=HYPERLINK(1)", Verdict: "manual", ReasonCode: "VIP", Step: stepEvaluated},
	} {
		r.items = append(r.items, &retireItem{is: e})
	}
	for _, ending := range []string{"json", "csv", "html"} {
		r.cmd.Report = append(r.cmd.Report, filepath.Join(dir, "r."+ending))
	}
	return r
}

func TestTheReportIsThereInThreeForms(t *testing.T) {
	dir := t.TempDir()
	if err := reported(dir).report(errors.New("cut <short>")); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var told retireReport
	if err := json.Unmarshal(read("r.json"), &told); err != nil {
		t.Fatal(err)
	}
	want := []retireCount{{What: "deleted", Count: 1}, {What: "manual", Count: 1}}
	if diff := cmp.Diff(want, told.Verdicts); diff != "" || told.Ended != "cut <short>" || len(told.Devices) != 2 {
		t.Errorf("JSON: %s%+v", diff, told)
	}
	for _, a := range told.Ages {
		if want := map[string]int{"under 180": 1, "unknown": 1}[a.What]; a.Count != want {
			t.Errorf("age %s: %d, want %d", a.What, a.Count, want)
		}
	}
	rows, err := csv.NewReader(bytes.NewReader(read("r.csv"))).ReadAll()
	if err != nil || len(rows) != 3 || rows[2][3] != "'=HYPERLINK(1)" {
		t.Errorf("CSV: %v %q", err, rows)
	}
	if got, err := filepath.Glob(filepath.Join(dir, ".rollcall-*")); err != nil || len(got) != 0 {
		t.Errorf("left behind: %v %v", got, err)
	}
	page := string(read("r.html"))
	for _, bad := range []string{`<script`, `<b>f`, `(?i)href=`, `(?i)\bsrc="`, `(?i)<link`, `(?i)@import`, `(?i)url\(`, `(?i)\son[a-z]+=`, "ZgotmplZ"} {
		if regexp.MustCompile(bad).MatchString(page) {
			t.Errorf("the page holds %s", bad)
		}
	}
	for _, want := range []string{"<svg", `width="340"`, "under 180", "&lt;script", "cut &lt;short&gt;", "99"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestAReportThatCannotBeWrittenIsTold(t *testing.T) {
	r := reported(filepath.Join(t.TempDir(), "nowhere"))
	if err := r.report(nil); err == nil {
		t.Error("no error")
	}
}
