package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/centralsim"
)

// fieldRow is one file as people have it, and what is right for it.
type fieldRow struct {
	name string
	// file is the name of a file of testdata/field, or text of its own where as is set.
	file, text string
	ou         string
	more       []string
	code       int
	// found are the host names of the devices that make an event.
	found []string
	// says are words that standard error must hold, and silent those that it must not.
	says, silent []string
	// held are words of the reason why an account made no event.
	held []string
}

const fieldFolder = "testdata/field"

// input is the file that a row is about.
func (r fieldRow) input(t *testing.T) string {
	t.Helper()
	if r.file != "" {
		return filepath.Join(fieldFolder, r.file)
	}
	return file(t, "given", r.text)
}

// sifted runs candidates on the row's export, or on its inventory where that is the
// row's file, and holds what came out against the row.
func (r fieldRow) sifted(t *testing.T, asInventory bool) {
	t.Helper()
	ad, fleet, ou := r.input(t), filepath.Join(fieldFolder, "fleet.ndjson"), r.ou
	if asInventory {
		ad, fleet = filepath.Join(fieldFolder, "00-control.csv"), ad
	}
	if ou == "" {
		ou = "OU=Disabled,DC=x,DC=test"
	}
	left := filepath.Join(t.TempDir(), "left.ndjson")
	args := append([]string{"candidates", "--ad", ad, "--ou", ou, "--inventory", fleet, "--unmatched", left, "--observed-at", "now"}, r.more...)
	code, out, errs := ran(t, nil, args...)
	var found []string
	for host, all := range events(t, out) {
		for range all {
			found = append(found, host)
		}
	}
	slices.Sort(found)
	if diff := cmp.Diff(r.found, found); diff != "" || code != r.code {
		t.Errorf("exit %d, want %d\n%s\n%s", code, r.code, diff, errs)
	}
	r.told(t, errs)
	why, err := os.ReadFile(left)
	if len(r.held) > 0 && err != nil {
		t.Fatal(err)
	}
	for _, word := range r.held {
		if !strings.Contains(string(why), word) {
			t.Errorf("held back without %q: %s", word, why)
		}
	}
}

// told holds standard error against the row.
func (r fieldRow) told(t *testing.T, errs string) {
	t.Helper()
	for _, word := range r.says {
		if !strings.Contains(errs, word) {
			t.Errorf("nothing says %q: %s", word, errs)
		}
	}
	for _, word := range r.silent {
		if strings.Contains(errs, word) {
			t.Errorf("something says %q: %s", word, errs)
		}
	}
	if lines := strings.Count(errs, "\n") - strings.Count(errs, " evaluated\n"); lines > 8 {
		t.Errorf("%d lines are told for one file: %s", lines, errs)
	}
}

// fieldRig is a service's surroundings with the two devices of central.json.
func fieldRig(t *testing.T) (environ []string) {
	t.Helper()
	central := centralsim.New(centralsim.Options{ClientID: "id", ClientSecret: "central-secret", ID: centralsim.SampleTenant})
	raw, err := os.ReadFile(filepath.Join(fieldFolder, "central.json"))
	if err != nil {
		t.Fatal(err)
	}
	var devices []map[string]any
	if err := json.Unmarshal(raw, &devices); err != nil {
		t.Fatal(err)
	}
	for i, d := range devices { // the first is long silent, the second was just seen
		d["lastSeenAt"] = time.Now().UTC().Add(-[]time.Duration{200 * 24 * time.Hour, time.Minute}[i]).Format("2006-01-02T15:04:05.000Z")
		central.Put(centralsim.SampleTenant, d)
	}
	policy, err := os.ReadFile(filepath.Join(fieldFolder, "policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	environ, _ = setUp(t, redisServer(t, strong()...), central, "ROLLCALL_CENTRAL_LIMITS=1000/s")
	environ = append(environ, "ROLLCALL_POLICY_FILE="+file(t, "policy.yaml", string(policy)))
	if code, _, errs := ran(t, environ, "state", "init"); code != exitDone {
		t.Fatal(errs)
	}
	return environ
}

// retired takes a file through retire in dry-run, and returns the devices of its
// report.
func retired(t *testing.T, environ []string, path string) (code int, devices []retireEntry, errs string) {
	t.Helper()
	dir := t.TempDir()
	report := filepath.Join(dir, "report.json")
	code, _, errs = ran(t, environ, "retire", "--file", path, "--journal", filepath.Join(dir, "journal"), "--report", report)
	raw, err := os.ReadFile(report)
	if err != nil {
		return code, nil, errs
	}
	var told retireReport
	if err := json.Unmarshal(raw, &told); err != nil {
		t.Fatal(err)
	}
	return code, told.Devices, errs
}

// toTheEnd makes events of an export against Central and retires them in dry-run. It
// returns the verdicts by host name; nil where there was no candidate.
func toTheEnd(t *testing.T, environ []string, ad, ou string) map[string]string {
	t.Helper()
	into := filepath.Join(t.TempDir(), "events.ndjson")
	args := []string{"candidates", "--ad", ad, "--out", into, "--observed-at", "now"}
	if ou != "" {
		args = append(args, "--ou", ou)
	}
	if code, _, errs := ran(t, environ, args...); code != exitDone {
		t.Fatalf("%d %s", code, errs)
	}
	raw, err := os.ReadFile(into)
	if err != nil || len(raw) == 0 {
		return nil
	}
	code, devices, errs := retired(t, environ, into)
	if code != exitDone {
		t.Fatalf("%d %s", code, errs)
	}
	verdicts := map[string]string{}
	for _, d := range devices {
		verdicts[d.Hostname] = fmt.Sprintf("%s %s", d.Verdict, d.ReasonCode)
	}
	return verdicts
}
