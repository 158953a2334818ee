package httpapi

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"rollcall/api"
	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// fakeInventory hands on pages, then a trouble.
type fakeInventory struct {
	pages   []action.InventoryPage
	trouble *action.Trouble
	asked   action.Wanted
	wait    func(context.Context) // before the end
}

func (f *fakeInventory) Inventory(ctx context.Context, want action.Wanted) iter.Seq2[action.InventoryPage, *action.Trouble] {
	f.asked = want
	return func(yield func(action.InventoryPage, *action.Trouble) bool) {
		for _, p := range f.pages {
			if !yield(p, nil) {
				return
			}
		}
		if f.wait != nil {
			f.wait(ctx)
		}
		if ctx.Err() != nil && f.trouble == nil {
			f.trouble = &action.Trouble{Own: true, Text: "given up"}
		}
		if f.trouble != nil {
			yield(action.InventoryPage{}, f.trouble)
		}
	}
}

func withInventory(f action.Inventory) func(*Config) { return func(c *Config) { c.Inventory = f } }

// inventoryPages are a device of which all is known, one of which nothing is, one
// that belongs elsewhere, and a tenant that can't be read.
func inventoryPages() []action.InventoryPage {
	d := policy.Device{
		ID: policy.Is(endpointID), TenantID: policy.Is(tenantID), Hostname: policy.Is("=WS"), Type: policy.Is("computer"),
		Platform: policy.Is("windows"), OSName: policy.Is("Windows 11 Pro"), IsServer: policy.Is(false), Build: policy.Is(22631),
		LastSeenAt: policy.Is(theTime().AddDate(0, 0, -100)), Online: policy.Is(false), HealthOverall: policy.Is("good"),
		PersonName: policy.Is("J. Doe"), ViaLogin: policy.Is(`CORPEX\j.doe`), SerialNumber: policy.Is("SYN1"),
	}
	known := action.NewListed(d, theTime())
	known.GroupID, known.GroupName = policy.Is("g"), policy.Is("Desks")
	bare := action.NewListed(policy.Device{TenantID: policy.Is(tenantID)}, theTime())
	stray := action.NewListed(policy.Device{ID: policy.Is(otherID), TenantID: policy.Is(otherID)}, theTime())
	stray.Stray = true
	return []action.InventoryPage{
		{TenantID: tenantID, Devices: []action.Listed{known, bare}},
		{TenantID: tenantID, Devices: []action.Listed{stray}},
		{TenantID: otherID, TenantName: "Shut Ltd", Skipped: &action.Trouble{Text: "Central forbids it."}},
	}
}

func TestTheInventoryInEachForm(t *testing.T) {
	e := newEdge(t, withInventory(&fakeInventory{pages: inventoryPages()}))
	w := e.send(t, "GET", "/v1/inventory", "")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%d %s", w.Code, w.Header())
	}
	var lines []api.InventoryDevice
	for line := range strings.Lines(w.Body.String()) {
		var d api.InventoryDevice
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, d)
	}
	seen := theTime().AddDate(0, 0, -100).Truncate(time.Millisecond)
	want := api.InventoryDevice{
		ID: new(endpointID), Tenant: api.InventoryTenant{ID: new(tenantID)}, Hostname: new("=WS"), Type: new("computer"),
		OS:         api.InventoryOS{Name: new("Windows 11 Pro"), Platform: new("windows"), IsServer: new(false), Build: new(22631)},
		LastSeenAt: &seen, Online: new(false), Health: api.InventoryHealth{Overall: new("good")},
		AssociatedPerson: api.InventoryPerson{Name: new("J. Doe"), ViaLogin: new(`CORPEX\j.doe`)},
		Group:            api.InventoryGroup{ID: new("g"), Name: new("Desks")}, SerialNumber: new("SYN1"), InactiveDays: new(100.0), LastSeenState: new("known"),
	}
	if len(lines) != 4 {
		t.Fatalf("%d lines", len(lines))
	}
	if diff := cmp.Diff(want, lines[0]); diff != "" {
		t.Errorf("a device (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(api.InventoryDevice{Tenant: api.InventoryTenant{ID: new(tenantID)}, LastSeenState: new("missing")}, lines[1]); diff != "" {
		t.Errorf("a bare one (-want +got):\n%s", diff)
	}
	if s := lines[2]; s.Skipped == nil || *s.Tenant.ID != otherID || !strings.Contains(*s.Skipped, tenantID) {
		t.Errorf("a stray one: %+v", s)
	}
	if diff := cmp.Diff(api.InventoryDevice{Tenant: api.InventoryTenant{ID: new(otherID)}, Skipped: new("Shut Ltd: Central forbids it.")}, lines[3]); diff != "" {
		t.Errorf("a tenant that was skipped (-want +got):\n%s", diff)
	}
	list := into[api.List[api.InventoryDevice]](t, e.send(t, "GET", "/v1/inventory?format=json", ""))
	if diff := cmp.Diff(lines, list.Items); diff != "" || list.Count != 4 {
		t.Errorf("%d items (-ndjson +json):\n%s", list.Count, diff)
	}
	rows, err := csv.NewReader(e.send(t, "GET", "/v1/inventory?format=csv", "").Body).ReadAll()
	if err != nil || len(rows) != 5 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if diff := cmp.Diff([]string{
		tenantID, endpointID, "'=WS", "computer", "Windows 11 Pro", "windows", "22631", "2026-08-12T06:05:01.123Z", "100", "known",
		"false", "good", "J. Doe", `CORPEX\j.doe`, "Desks", "SYN1", "",
	}, rows[1]); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string(rows[1]), InventoryCells(lines[0])); diff != "" || !slices.Equal(InventoryColumns(), rows[0]) {
		t.Errorf("the command line's row (-http +cmd):\n%s", diff)
	}
}

func TestWhatTheInventoryIsAskedFor(t *testing.T) {
	f := &fakeInventory{}
	e := newEdge(t, withInventory(f))
	q := "?inactiveDays=30&type=server&tenantId=" + strings.ToUpper(tenantID) + "," + otherID + "&tenantId=" + endpointID
	if w := e.send(t, "GET", "/v1/inventory"+q, ""); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if diff := cmp.Diff(action.Wanted{Tenants: []string{tenantID, otherID, endpointID}, InactiveDays: 30, Type: "server"}, f.asked); diff != "" {
		t.Error(diff)
	}
	for _, q := range []string{"inactiveDays=-1", "inactiveDays=1.5", "inactiveDays=x", "inactiveDays=36501", "inactiveDays=1&inactiveDays=2",
		"type=phone", "format=xml", "tenantId=x", "tenantId=" + tenantID + ",x", "tenantId=%zz"} {
		wantError(t, e.send(t, "GET", "/v1/inventory?"+q, ""), 422, api.CodeInvalid)
	}
	wantError(t, e.send(t, "GET", "/v1/inventory", "", as(meKey)), 403, api.CodeForbidden)
	wantError(t, e.send(t, "GET", "/v1/inventory", "", as("without-read")), 403, api.CodeForbidden)
}

func TestAnInventoryThatFailsIsNeverTakenForWhole(t *testing.T) {
	trouble := &action.Trouble{Class: action.Transient, Text: "Central failed at reading."}
	e := newEdge(t, withInventory(&fakeInventory{trouble: trouble}))
	if got := wantError(t, e.send(t, "GET", "/v1/inventory", ""), 503, api.CodeCentralUnavailable); strings.Contains(got.Detail, "failed") {
		t.Errorf("detail %q", got.Detail)
	}
	if !strings.Contains(e.log.String(), trouble.Text) {
		t.Errorf("the log does not say why: %s", e.log)
	}
	wantError(t, newEdge(t).send(t, "GET", "/v1/inventory", ""), 503, api.CodeCentralUnavailable)

	e = newEdge(t, withInventory(&fakeInventory{pages: inventoryPages(), trouble: trouble}))
	srv := httptest.NewServer(e)
	defer srv.Close()
	for _, format := range []string{"ndjson", "json", "csv"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL+"/v1/inventory?format="+format, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-API-Key", allKey)
		resp, err := srv.Client().Do(req)
		if err != nil { // cut before the first byte
			continue
		}
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v, want that it was cut off", format, err)
		}
	}
	c, err := api.New(srv.URL, allKey, srv.Client())
	if err != nil {
		t.Fatal(err)
	}
	var last error
	for _, last = range c.Inventory(t.Context(), api.InventoryQuery{}) { // only the end counts
	}
	if last == nil {
		t.Error("the client takes it for whole")
	}
}

func TestTheClientReadsTheInventory(t *testing.T) {
	f := &fakeInventory{pages: inventoryPages()}
	srv := httptest.NewServer(newEdge(t, withInventory(f)))
	defer srv.Close()
	c, err := api.New(srv.URL, allKey, srv.Client())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for d, err := range c.Inventory(t.Context(), api.InventoryQuery{TenantIDs: []string{tenantID, otherID}, InactiveDays: 30, Type: "computer"}) {
		if n++; err != nil || d.Tenant.ID == nil {
			t.Errorf("%+v, %v", d, err)
		}
	}
	if diff := cmp.Diff(action.Wanted{Tenants: []string{tenantID, otherID}, InactiveDays: 30, Type: "computer"}, f.asked); n != 4 || diff != "" {
		t.Errorf("%d devices; asked: %s", n, diff)
	}
	for _, err := range c.Inventory(t.Context(), api.InventoryQuery{Type: "phone"}) {
		if e := (*api.Error)(nil); !errors.As(err, &e) || e.Code != api.CodeInvalid {
			t.Errorf("%v", err)
		}
	}
}

// A page may take longer than the server gives a single answer, where Central's
// limits are used up.
func TestAnInventoryMayTakeLongerThanAnAnswer(t *testing.T) {
	f := &fakeInventory{pages: inventoryPages(), wait: func(ctx context.Context) {
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}}
	srv := httptest.NewUnstartedServer(newEdge(t, withInventory(f)))
	srv.Config.WriteTimeout = 50 * time.Millisecond
	srv.Start()
	defer srv.Close()
	c, err := api.New(srv.URL, allKey, srv.Client())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range c.Inventory(t.Context(), api.InventoryQuery{}) {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != 4 {
		t.Errorf("%d rows", n)
	}
}

// An inventory may take longer than the process has to end.
func TestAnInventoryEndsWithTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ending := make(chan struct{})
		f := &fakeInventory{wait: func(ctx context.Context) { <-ctx.Done() }}
		e := newEdge(t, withInventory(f), func(c *Config) { c.Stopping = ending })
		done := make(chan *httptest.ResponseRecorder, 1)
		go func() { done <- e.send(t, "GET", "/v1/inventory", "") }()
		synctest.Wait()
		select {
		case w := <-done:
			t.Fatalf("it ended by itself: %d", w.Code)
		default:
		}
		close(ending)
		wantError(t, <-done, 503, api.CodeCentralUnavailable)
	})
}

func TestOnlySoManyInventoriesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		quiet := func(c *Config) { c.Log = zerolog.Nop() } // the edge's log takes one request at a time
		e := newEdge(t, withInventory(&waiting{free}), quiet)
		for range inventoriesAtOnce {
			go e.send(t, "GET", "/v1/inventory", "")
		}
		synctest.Wait()
		wantError(t, e.send(t, "GET", "/v1/inventory", ""), 429, api.CodeRateLimited)
		close(free)
		synctest.Wait()
		if w := e.send(t, "GET", "/v1/inventory", ""); w.Code != 200 {
			t.Errorf("when the others are done: %d", w.Code)
		}
	})
}

// waiting has no device, once it is free.
type waiting struct{ free chan struct{} }

func (w *waiting) Inventory(context.Context, action.Wanted) iter.Seq2[action.InventoryPage, *action.Trouble] {
	return func(func(action.InventoryPage, *action.Trouble) bool) { <-w.free }
}
