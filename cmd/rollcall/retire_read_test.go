package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/policy"
)

// The ids of these tests.
const (
	tenantA = "c0a8f1d2-57be-4a39-8e14-2b9d6f70a5c1"
	deviceA = "6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3"
	deviceB = "7f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e4"
)

// written writes a file of these tests.
func written(tb testing.TB, name, text string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func TestAFileOfDevicesIsReadInEveryForm(t *testing.T) {
	central := func(id string) string {
		return fmt.Sprintf(`{"id":%q,"tenant":{"id":%q},"hostname":"WS-1"}`, id, tenantA)
	}
	event := func(id string) string {
		return fmt.Sprintf(`{"directory":{"hostname":"WS-1"},"central":%s}`, central(id))
	}
	header := "tenantId,endpointId,hostname,type,osName,platform,build,lastSeenAt,inactiveDays,lastSeenState,online,health,associatedPerson,viaLogin,group,serialNumber,skipped\n"
	for _, tt := range []struct {
		name, text string
		lines      []int    // of the rows
		bad        []string // of the lines that can't be used
	}{
		{"events, one a line, with a blank one", event(deviceA) + "\n\n" + event(deviceB) + "\n", []int{1, 3}, nil},
		{"the bodies of requests", `{"event":` + event(deviceA) + `,"requestId":"r"}` + "\n" + `{"event":` + event(deviceB) + "}", []int{1, 2}, nil},
		{"an event that came as a string", fmt.Sprintf(`{"event":%q}`, event(deviceA)), []int{1}, nil},
		{"one event over several lines", "{\n\"event\":\n" + event(deviceA) + "\n}\n", []int{1}, nil},
		{"rows of the inventory", central(deviceA) + "\n" + central(deviceB), []int{1, 2}, nil},
		{"a list", "[\n" + event(deviceA) + ",\n\n" + event(deviceB) + "]\n", []int{2, 4}, nil},
		{"the items of a list", "{\n\"items\": [\n" + central(deviceA) + ",\n" + central(deviceB) + "],\"count\":2,\"next\":null}", []int{3, 4}, nil},
		{"CSV with a mark at its begin", "\ufeff" + header + tenantA + "," + deviceA + ",WS-1,computer,,,22631,2026-07-02T08:14:55Z,,,,,J. Doe,'@j,,,\n", []int{2}, nil},
		{"CSV with semicolons", strings.ReplaceAll(header, ",", ";") + tenantA + ";" + deviceA + ";WS-1;;;;;;;;;;;;;;\n", []int{2}, nil},
		{"what is no JSON is told by its line", event(deviceA) + "\nnonsense\n" + event(deviceB), []int{1, 3}, []string{"line 2: is not one JSON object, or has a name twice in one object"}},
		{"a name twice", `{"id":"x","id":"y"}` + "\n" + event(deviceA), []int{2}, []string{"line 1: is not one JSON object, or has a name twice in one object"}},
		{"a device without an id", `{"central":{"tenant":{"id":"` + tenantA + `"}}}`, nil, []string{"line 1: the device's id in Central is missing or is no UUID"}},
		{"a device without a tenant", `{"central":{"id":"` + deviceA + `"}}`, nil, []string{"line 1: the tenant's id is missing or is no UUID"}},
		{"a device twice is none", event(deviceA) + "\n" + event(deviceB) + "\n" + central(deviceA), []int{2}, []string{
			"line 1: the device stands in the file 2 times", "line 3: is the device of line 1 again: leave one of them",
		}},
		{"two ids in one row", fmt.Sprintf(`{"id":%q,"endpointId":%q,"tenantId":%q}`, deviceA, deviceB, tenantA), nil, []string{"line 1: names the device or its tenant twice"}},
		{"an event with another beside it", fmt.Sprintf(`{"event":%s,"central":%s}`, event(deviceA), central(deviceB)), nil, []string{"line 1: holds an event, and parts of one beside it"}},
		{"what the inventory skipped", fmt.Sprintf(`{"id":%q,"tenant":{"id":%q},"skipped":"stray"}`, deviceA, tenantA), nil, []string{"line 1: is no device to work on: the inventory skipped it"}},
		{"what the inventory skipped, as CSV", header + tenantA + ",,,,,,,,,,,,,,,,not read\n", nil, []string{"line 2: is no device to work on: the inventory skipped it"}},
		{"a row whose last cells a spreadsheet left out", header + tenantA + "," + deviceA + ",WS-1\n", []int{2}, nil},
		{"a row with empty cells behind it", header + tenantA + "," + deviceA + ",WS-1" + strings.Repeat(",", 20) + "\n", []int{2}, nil},
		{"a row of too many cells", header + tenantA + "," + deviceA + ",WS-1" + strings.Repeat(",", 20) + "x\n", nil, []string{"line 2: has 23 columns, and the header has 17"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := readRetireFile(written(t, "f", tt.text))
			if err != nil {
				t.Fatal(err)
			}
			var lines []int
			for _, r := range f.rows {
				lines = append(lines, r.line)
				if r.event.Central.Hostname != policy.Is("WS-1") || r.dev.TenantID != tenantA {
					t.Errorf("line %d: %+v", r.line, r.event)
				}
			}
			var bad []string
			for _, b := range f.bad {
				bad = append(bad, b.String())
			}
			if diff := cmp.Diff(tt.lines, lines) + cmp.Diff(tt.bad, bad); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestACellOfTheInventoryIsTheFactThatItWas(t *testing.T) {
	header := "endpointId,tenantId,hostname,lastSeenAt,build,online,associatedPerson,viaLogin,isServer,comment\n"
	f, err := readRetireFile(written(t, "f.csv", header+deviceA+","+tenantA+",WS-1,2026-07-02 08:14,22631,FALSE,J. Doe,'@x,,gone\n"))
	if err != nil || len(f.rows) != 1 {
		t.Fatal(err, f)
	}
	d := f.rows[0].event.Central
	if d.LastSeenAt.State != policy.Unreadable { // a spreadsheet took its zone: it may be anything
		t.Errorf("last seen: %+v", d.LastSeenAt)
	}
	if d.Build != policy.Is(22631) || d.Online != policy.Is(false) || d.PersonName != policy.Is("J. Doe") || d.ViaLogin != policy.Is("@x") || d.IsServer.State != policy.Absent {
		t.Errorf("%+v", d)
	}
	if f.rows[0].event.Directory.Present {
		t.Error("a row of the inventory has no directory")
	}
}

func TestTheSameCellsBelowAnotherHeaderAreAnotherRow(t *testing.T) {
	digest := func(header string) string {
		f, err := readRetireFile(written(t, "f.csv", header+"\n"+deviceA+","+tenantA+",2026-07-02T08:14:55Z,WS-1\n"))
		if err != nil || len(f.rows) != 1 {
			t.Fatal(err, f)
		}
		return f.rows[0].digest
	}
	a, b := digest("endpointId,tenantId,lastSeenAt,hostname"), digest("endpointId,tenantId,comment,hostname")
	if a == b {
		t.Errorf("both are %s", a)
	}
}

func TestAFileThatIsNotWholeIsNoFile(t *testing.T) {
	row := fmt.Sprintf(`{"id":%q,"tenant":{"id":%q}}`, deviceA, tenantA)
	for name, text := range map[string]string{
		"empty": " \n", "a list that breaks off": "[" + row + ",\n", "more after a list": "[" + row + "]\n[]", "a page of a list": `{"items":[` + row + `],"next":"abc"}`,
		"items that are none": `{"items":3}`, "CSV without ids": "hostname\nWS-1\n", "CSV with two ids": "id,endpointId,tenantId\n,,\n",
		"CSV that breaks off in a cell": "endpointId,tenantId\n\"" + deviceA,
	} {
		if f, err := readRetireFile(written(t, "f", text)); err == nil {
			t.Errorf("%s: taken: %+v", name, f)
		}
	}
	if _, err := readRetireFile(filepath.Join(t.TempDir(), "nowhere")); err == nil {
		t.Error("a file that is not there was read")
	}
}
