package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/api"
	"rollcall/internal/action"
	"rollcall/internal/centralsim"
)

const (
	fleetTenant = "3f6c1a52-8d0e-4b7a-9c11-5e2a7d904b10"
	shutTenant  = "20000000-0000-4000-8000-000000000000"
)

// fleetSim is a simulated Central of a partner, with one tenant of so many devices,
// every tenth of them seen two hundred days ago, and one that is refused.
func fleetSim(devices int) *centralsim.Sim {
	s := centralsim.New(centralsim.Options{ClientID: "id", ClientSecret: "central-secret", IDType: "partner", ID: "b81d7c3e-0f42-4a96-8e5d-6c9a1f2b3d40",
		Switches: centralsim.Switches{Disorder: true}})
	s.AddTenant(centralsim.Tenant{ID: fleetTenant, Name: "Example"})
	s.AddTenant(centralsim.Tenant{ID: shutTenant, Name: "Shut Ltd", Refused: true})
	base := centralsim.Sample(time.Now())[0].Record
	for n := range devices {
		r := map[string]any{}
		for k, v := range base {
			r[k] = v
		}
		r["id"], r["hostname"], r["tenant"] = fleetID(n), fmt.Sprintf("WS-%06d", n), map[string]any{"id": fleetTenant}
		r["lastSeenAt"] = time.Now().Add(-time.Hour).UTC().Format("2006-01-02T15:04:05.000Z")
		switch {
		case n%10 == 0:
			r["lastSeenAt"] = time.Now().AddDate(0, 0, -200).UTC().Format("2006-01-02T15:04:05.000Z")
		case n == 1:
			delete(r, "lastSeenAt")
		}
		s.Put(fleetTenant, r)
	}
	return s
}

// fleetID is the id of the n-th device; their order is not that of n.
func fleetID(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(n)*2654435761, n) }

// inventoryEnv is the environment that inventory needs.
func inventoryEnv(t *testing.T, h http.Handler, more ...string) []string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return append([]string{
		"ROLLCALL_CENTRAL_CLIENT_ID=id", "ROLLCALL_CENTRAL_CLIENT_SECRET=central-secret", "ROLLCALL_CENTRAL_ID_URL=" + srv.URL, "ROLLCALL_CENTRAL_API_URL=" + srv.URL,
		"ROLLCALL_CENTRAL_LIMITS=1000/s",
	}, more...)
}

// rowsOf reads rows of NDJSON.
func rowsOf(t *testing.T, text string) (rows []api.InventoryDevice) {
	t.Helper()
	for line := range strings.Lines(text) {
		var d api.InventoryDevice
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		rows = append(rows, d)
	}
	return rows
}

// devicesOf are the ids of the rows that are devices; one that comes twice fails the test.
func devicesOf(t *testing.T, rows []api.InventoryDevice) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	for _, r := range rows {
		if r.Skipped != nil {
			continue
		}
		if ids[*r.ID] {
			t.Errorf("%s is listed twice", *r.ID)
		}
		ids[*r.ID] = true
	}
	return ids
}

func TestInventoryListsTheInactiveInEveryForm(t *testing.T) {
	env := inventoryEnv(t, fleetSim(1200))
	code, out, errs := ran(t, env, "inventory", "--inactive-days", "30")
	rows := rowsOf(t, out)
	if code != exitDone || len(rows) != 122 || len(devicesOf(t, rows)) != 121 { // 120 old, one unknown; and the tenant that was skipped
		t.Fatalf("%d, %d rows: %s", code, len(rows), errs)
	}
	for _, r := range rows {
		switch {
		case r.Skipped != nil:
			if *r.Tenant.ID != shutTenant || !strings.Contains(*r.Skipped, "Shut Ltd") || r.ID != nil {
				t.Errorf("skipped: %+v", r)
			}
		case *r.LastSeenState == "missing":
			if r.InactiveDays != nil || r.LastSeenAt != nil || *r.ID != fleetID(1) {
				t.Errorf("unknown: %+v", r)
			}
		case *r.InactiveDays < 199 || *r.InactiveDays > 201:
			t.Errorf("%v days", *r.InactiveDays)
		}
	}
	for _, want := range []string{"skipped: tenant Shut Ltd", "tenant 1 of 2, Example: 1,200 of 1,200 devices read", "of 1 listed devices the age is not known", "1 tenants skipped"} {
		if !strings.Contains(errs, want) {
			t.Errorf("standard error lacks %q:\n%s", want, errs)
		}
	}
	if strings.Contains(errs, "\r") {
		t.Errorf("a bar, and this is no terminal: %q", errs)
	}

	_, out, _ = ran(t, env, "inventory", "--inactive-days", "30", "--format", "json")
	var list api.List[api.InventoryDevice]
	if err := json.Unmarshal([]byte(out), &list); err != nil || list.Count != 122 || len(list.Items) != 122 || strings.Count(out, "\n") != 124 {
		t.Errorf("json: %v, %d items, %d lines", err, len(list.Items), strings.Count(out, "\n"))
	}
	_, out, _ = ran(t, env, "inventory", "--format", "csv", "--tenant", fleetTenant)
	if all, err := csv.NewReader(strings.NewReader(out)).ReadAll(); err != nil || len(all) != 1201 || all[0][1] != "endpointId" {
		t.Errorf("csv: %v, %d rows", err, len(all))
	}
	for _, kind := range []string{"computer", "server"} {
		_, out, _ := ran(t, env, "inventory", "--type", kind)
		if got := len(devicesOf(t, rowsOf(t, out))); got != map[string]int{"computer": 1200, "server": 0}[kind] {
			t.Errorf("%s: %d devices", kind, got)
		}
	}
}

func TestInventoryOfNothingThatCouldBeRead(t *testing.T) {
	env := inventoryEnv(t, fleetSim(1))
	file := filepath.Join(t.TempDir(), "list")
	code, _, errs := ran(t, env, "inventory", "--tenant", shutTenant, "--out", file)
	if left, _ := filepath.Glob(file + "*"); code != exitFailed || !strings.Contains(errs, "no tenant could be read") || len(left) > 0 {
		t.Errorf("%d %s, left %q", code, errs, left)
	}
	for _, args := range [][]string{{"--tenant", "x"}, {"--inactive-days", "-1"}, {"--resume"}, {"--type", "phone"}, {"--format", "xml"}} {
		if code, _, errs := ran(t, env, append([]string{"inventory"}, args...)...); code != exitUsage {
			t.Errorf("%q: %d %s", args, code, errs)
		}
	}
	if code, _, errs := ran(t, nil, "inventory"); code != exitUsage || !strings.Contains(errs, "ROLLCALL_CENTRAL_CLIENT_SECRET") || strings.Contains(errs, "REDIS") {
		t.Errorf("without a credential: %d %s", code, errs)
	}
	if code, _, errs := ran(t, append(env, "ROLLCALL_REDIS_URL=unix:///nowhere/at/all"), "inventory"); code != exitFailed || !strings.Contains(errs, "budget") {
		t.Errorf("a budget that can't be read is spent: %d %s", code, errs)
	}
}

// A list that breaks off is never taken for whole, and what goes on from there is
// the list that one run would have made.
func TestInventoryGoesOnWhereItBrokeOff(t *testing.T) {
	sim := fleetSim(2600)
	env := inventoryEnv(t, sim)
	for _, form := range []string{"ndjson", "json", "csv"} {
		_, want, _ := ran(t, env, "inventory", "--format", form)
		file := filepath.Join(t.TempDir(), "list")
		args := []string{"inventory", "--format", form, "--out", file, "--resume"}
		for _, skip := range []int{2, 1, 0} { // pages that come before each break
			lift := sim.Fault(centralsim.Fault{Path: "/endpoint/", Status: 500, Skip: skip, Times: centralsim.Always})
			code, _, errs := ran(t, env, args...)
			lift()
			if _, err := os.Stat(file); code != exitFailed || !strings.Contains(errs, "--resume") || err == nil {
				t.Fatalf("%s: %d %s, %v", form, code, errs, err)
			}
			spoil(t, partOf(file), "half a li")
			spoil(t, journalOf(file), `{"tenantId":"`)
		}
		before := sim.Count("GET", "/endpoint/")
		if code, _, errs := ran(t, env, args...); code != exitDone {
			t.Fatalf("%s: %d %s", form, code, errs)
		}
		if n := sim.Count("GET", "/endpoint/") - before; n != 4 { // three pages, and the tenant that is refused
			t.Errorf("%s: %d calls for what was left, want 4", form, n)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if ageless(form, string(got)) != ageless(form, want) {
			t.Errorf("%s: the list in pieces is not the list in one", form)
		}
		if left, _ := filepath.Glob(file + "*"); len(left) != 1 {
			t.Errorf("%s: left %q", form, left)
		}
		if code, _, errs := ran(t, env, args...); code != exitUsage || !strings.Contains(errs, "not written over") {
			t.Errorf("%s: once more: %d %s", form, code, errs)
		}
	}
}

// spoil adds to a file what a run that is killed may leave there.
func spoil(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// ageless is a list without the ages of the devices: they are of the time of reading.
func ageless(form, text string) string {
	var out []string
	for line := range strings.Lines(text) {
		if form == "csv" {
			cells := strings.Split(line, ",")
			out = append(out, strings.Join(slices.Delete(cells, 8, 9), ","))
			continue
		}
		before, rest, _ := strings.Cut(line, `"inactiveDays":`)
		_, after, _ := strings.Cut(rest, `"lastSeenState":`)
		out = append(out, before+after)
	}
	return strings.Join(out, "")
}

func TestInventoryDoesNotMixTwoLists(t *testing.T) {
	sim := fleetSim(1100)
	env := inventoryEnv(t, sim)
	file := filepath.Join(t.TempDir(), "list")
	sim.Fault(centralsim.Fault{Path: "/endpoint/", Status: 500, Skip: 1, Times: 2})
	if code, _, errs := ran(t, env, "inventory", "--out", file); code != exitFailed {
		t.Fatalf("%d %s", code, errs)
	}
	if code, _, errs := ran(t, env, "inventory", "--out", file, "--inactive-days", "1", "--resume"); code != exitUsage || !strings.Contains(errs, "other options") {
		t.Errorf("other options: %d %s", code, errs)
	}
	if err := os.Truncate(partOf(file), 10); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := ran(t, env, "inventory", "--out", file, "--resume"); code != exitFailed || !strings.Contains(errs, "shorter") {
		t.Errorf("a list that was cut: %d %s", code, errs)
	}
	if code, _, errs := ran(t, env, "inventory", "--out", file); code != exitDone {
		t.Errorf("anew: %d %s", code, errs)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(devicesOf(t, rowsOf(t, string(b)))); got != 1100 {
		t.Errorf("%d devices", got)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestProgressOnATerminalIsOneLine(t *testing.T) {
	var out bytes.Buffer
	g := &progress{w: &out, bar: true}
	page := action.InventoryPage{TenantID: fleetTenant, TenantName: "Exa\x1b[31mmple " + strings.Repeat("x", 60), Number: 1, Of: 2, Read: 500, Announced: 1000, Next: "k"}
	g.page(page, 7)
	page.Read, page.Next = 1000, ""
	g.page(page, 9)
	g.page(action.InventoryPage{TenantID: shutTenant, Number: 2, Of: 2, Skipped: &action.Trouble{Text: "Shut."}}, 9)
	g.end(10)
	text := out.String()
	if strings.Count(text, "\r") != 2 || strings.Count(text, "\n") != 3 || strings.Contains(text, "\x1b[31m") {
		t.Errorf("%q", text)
	}
	if !strings.Contains(text, "[############............] tenant 1 of 2") || !strings.Contains(text, "[########################]") ||
		!strings.Contains(text, "500 of 1,000 devices read, 7 listed") || strings.Contains(text, strings.Repeat("x", 33)) {
		t.Errorf("%q", text)
	}
	if terminal(&out) {
		t.Error("a buffer is no terminal")
	}
}

func TestAnOwnBudgetKeepsEveryRate(t *testing.T) {
	now := time.Unix(0, 0)
	b := &ownBudget{rates: budget{{Calls: 10, Per: time.Second}, {Calls: 30, Per: time.Minute}}, now: func() time.Time { return now }}
	var made []time.Time
	for range 60 {
		wait, booked, err := b.Book(t.Context(), "", action.CallBulk, time.Hour)
		if err != nil || !booked {
			t.Fatal(wait, booked, err)
		}
		now = now.Add(wait)
		made = append(made, now)
	}
	for _, r := range (budget{{Calls: 7, Per: time.Second}, {Calls: 21, Per: time.Minute}}) {
		for i := range made[:len(made)-r.Calls] {
			if d := made[i+r.Calls].Sub(made[i]); d <= r.Per {
				t.Fatalf("%d calls within %s", r.Calls+1, d)
			}
		}
	}
	if len(b.calls) > 21 {
		t.Errorf("%d calls kept", len(b.calls))
	}
	now = now.Add(time.Hour)
	for n := range 8 { // of ten a second, seven are ours
		wait, booked, _ := b.Book(t.Context(), "", action.CallBulk, 0)
		if booked != (n < 7) || booked != (wait == 0) {
			t.Errorf("call %d at once: %s, %v", n, wait, booked)
		}
	}
	if err := b.Slow(t.Context(), "", 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	if wait, booked, _ := b.Book(t.Context(), "", action.CallBulk, 3*time.Hour); !booked || wait < 2*time.Hour {
		t.Errorf("after a 429: %s, %v", wait, booked)
	}
}

// peak is the most memory that a process has held so far, in bytes; 0 when it is gone.
func peak(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		return 0
	}
	return n << 10
}

// Fifty thousand devices are read in constant memory, none lost and none doubled.
func TestInventoryOfAFleetNeedsLittleMemory(t *testing.T) {
	fleet, most := 50_000, 100<<20
	if raced { // its own bookkeeping alone takes more; what is lost or doubled is looked for all the same
		fleet, most = 3_000, 1<<40
	}
	sim := fleetSim(fleet)
	env := inventoryEnv(t, sim)
	file := filepath.Join(t.TempDir(), "list")
	c := launch(t, env, "inventory", "--tenant", fleetTenant, "--out", file)
	highest := 0
	until(t, "the list is whole", func() bool {
		highest = max(highest, peak(c.cmd.Process.Pid))
		_, err := os.Stat(file)
		return err == nil || len(c.code) > 0
	})
	if code := <-c.code; code != exitDone {
		t.Fatalf("%d %s", code, c.stderr)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ids := devicesOf(t, rowsOf(t, string(b)))
	for n := range fleet {
		if !ids[fleetID(n)] {
			t.Errorf("device %d is lost", n)
		}
	}
	t.Logf("%d devices, %d MiB at most, %d MiB of list", len(ids), highest>>20, len(b)>>20)
	if len(ids) != fleet || highest == 0 || highest > most {
		t.Errorf("%d devices, %d bytes of memory at most", len(ids), highest)
	}

	env, key := setUp(t, redisServer(t), sim, "ROLLCALL_CENTRAL_LIMITS=1000/s")
	s := launch(t, env, "serve")
	client, err := api.New("http://"+s.address(t), key, &http.Client{})
	if err != nil {
		t.Fatal(err)
	}
	clear(ids)
	for d, err := range client.Inventory(t.Context(), api.InventoryQuery{TenantIDs: []string{fleetTenant}}) {
		if err != nil || d.Skipped != nil || ids[*d.ID] {
			t.Fatalf("%+v, %v", d, err)
		}
		ids[*d.ID] = true
	}
	highest = peak(s.cmd.Process.Pid)
	t.Logf("by the service: %d devices, %d MiB at most", len(ids), highest>>20)
	if len(ids) != fleet || highest == 0 || highest > most {
		t.Errorf("by the service: %d devices, %d bytes of memory at most", len(ids), highest)
	}
}
