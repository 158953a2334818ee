package central

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

// took is what a reading of the inventory brought.
type took struct {
	devices []action.Listed
	pages   []action.InventoryPage
	skipped []action.InventoryPage
	trouble *action.Trouble
}

func (g took) ids() (out []string) {
	for _, d := range g.devices {
		out = append(out, d.ID.Value)
	}
	return out
}

// inventory reads it, and checks what must hold of every reading.
func (r *rig) inventory(ctx context.Context, tb testing.TB, want action.Wanted) (got took) {
	tb.Helper()
	for page, trouble := range r.Inventory(ctx, want) {
		if got.trouble != nil {
			tb.Fatal("the sequence goes on after a trouble")
		}
		switch got.trouble = trouble; {
		case trouble != nil:
			discreet(tb, trouble)
			if page.Devices != nil || page.TenantID != "" {
				tb.Errorf("a trouble comes with a page: %+v", page)
			}
		case page.Skipped != nil:
			discreet(tb, page.Skipped)
			got.skipped = append(got.skipped, page)
		default:
			got.pages = append(got.pages, page)
			got.devices = append(got.devices, page.Devices...)
		}
	}
	return got
}

// fill puts so many devices into a tenant, each seen one day before the one before it.
func (r *rig) fill(tenant string, devices int) (ids []string) {
	for n := range devices {
		m := machine(numbered(n), fmt.Sprintf("PC-%d", n), r.clock().Add(-time.Duration(n)*24*time.Hour))
		m["tenant"] = map[string]any{"id": tenant}
		r.sim.Put(tenant, m)
		ids = append(ids, numbered(n))
	}
	return ids
}

func TestInventoryReadsEveryDeviceOnceWhateverTheOrder(t *testing.T) {
	r := newRig(t, func(o *centralsim.Options) { o.Disorder = true }, nil)
	want := append(r.fill(tenantID, 1100), deviceID, "aaaaaaaa-0000-4000-8000-000000000000")
	got := r.inventory(t.Context(), t, action.Wanted{})
	ids := got.ids()
	slices.Sort(ids)
	slices.Sort(want)
	if got.trouble != nil || !slices.Equal(ids, want) || len(got.pages) != 3 {
		t.Errorf("%d devices on %d pages, %+v; want %d on 3", len(ids), len(got.pages), got.trouble, len(want))
	}
	last := got.pages[2]
	if last.Read != 1102 || last.Announced != 1102 || last.Next != "" || last.Number != 1 || last.Of != 1 || last.TenantID != tenantID {
		t.Errorf("the last page: %+v", last)
	}
	for _, e := range r.sim.Journal() {
		if q := e.Query; strings.HasPrefix(e.Path, devices) && (q.Get("view") != "full" || q.Get("sort") != "id" ||
			q.Get("pageSize") != "500" || q.Get("pageTotal") != "true" || q.Has("lastSeenBefore") || q.Has("type")) {
			t.Errorf("asked with %v", q)
		}
	}
}

func TestInventoryListsWhatIsInactiveAndWhatIsUnknown(t *testing.T) {
	r := newRig(t, nil, nil)
	r.fill(tenantID, 60)
	for n, seen := range map[int]any{100: nil, 101: "last week", 102: 7, 103: r.clock().Add(time.Hour).Format(centralLayout), 104: "1601-01-01T00:00:00Z"} {
		m := machine(numbered(n), "PC-ODD", r.clock())
		if m["lastSeenAt"] = seen; seen == nil {
			delete(m, "lastSeenAt")
		}
		r.sim.Put(tenantID, m)
	}
	got := r.inventory(t.Context(), t, action.Wanted{InactiveDays: 30})
	old, odd := 0, map[string]action.LastSeen{}
	for _, d := range got.devices {
		if !d.InactiveDays.Known() {
			odd[d.ID.Value] = d.LastSeen
			continue
		}
		if old++; d.InactiveDays.Value < 30 || d.LastSeen != action.LastSeenKnown {
			t.Errorf("%s is listed: %v days, %s", d.ID.Value, d.InactiveDays.Value, d.LastSeen)
		}
	}
	if old != 31 || got.trouble != nil { // 30 to 59 days, and the rig's old one
		t.Errorf("%d old devices, %+v; want 31", old, got.trouble)
	}
	for n, want := range map[int]action.LastSeen{100: action.LastSeenMissing, 101: action.LastSeenUnreadable, 102: action.LastSeenUnreadable, 103: action.LastSeenFuture, 104: action.LastSeenUnreadable} {
		if got := odd[numbered(n)]; got != want {
			t.Errorf("device %d is %q, want %q", n, got, want)
		}
	}
	if page := got.pages[0]; page.Read != 67 || len(page.IDs) != 67 {
		t.Errorf("%d read, %d ids; want 67", page.Read, len(page.IDs))
	}
}

func TestInventoryRowsSayWhatTheRecordSays(t *testing.T) {
	page := `{"items":[{"id":"` + strings.ToUpper(numbered(1)) + `","tenant":{"id":"` + tenantID + `"},"hostname":"PC-1","group":{"id":"g1","name":"Desks"}},` +
		`{"hostname":"NAMELESS","group":"odd"},` +
		`{"id":"` + numbered(2) + `","tenant":{"id":"` + other + `"},"group":{"id":7}},` +
		`{"id":"` + numbered(3) + `"}],"pages":{"items":4}}`
	got := pagesOf(t, []string{page}).inventory(t.Context(), t, action.Wanted{})
	if len(got.devices) != 4 || got.trouble != nil {
		t.Fatalf("%+v, %+v", got.devices, got.trouble)
	}
	one, nameless, stray, bare := got.devices[0], got.devices[1], got.devices[2], got.devices[3]
	if one.ID.Value != numbered(1) || one.GroupName.Value != "Desks" || one.GroupID.Value != "g1" || one.Stray {
		t.Errorf("%+v", one)
	}
	if nameless.ID.Known() || nameless.Hostname.Value != "NAMELESS" || nameless.GroupName.Known() || nameless.TenantID != policy.Is(tenantID) {
		t.Errorf("without an id: %+v", nameless)
	}
	if !stray.Stray || stray.TenantID.Value != other || stray.GroupID.Known() {
		t.Errorf("of another tenant: %+v", stray)
	}
	if bare.Stray || bare.TenantID != policy.Is(tenantID) { // it was asked for there, and is there
		t.Errorf("of no tenant: %+v", bare)
	}
}

func TestInventoryOfSeveralTenantsLeavesOutThoseThatCannotBeAsked(t *testing.T) {
	for _, kind := range []string{"partner", "organization"} {
		r := newRig(t, partnerOf(kind), nil)
		noHost, refused := "10000000-0000-4000-8000-000000000000", "20000000-0000-4000-8000-000000000000"
		r.sim.AddTenant(centralsim.Tenant{ID: noHost, Name: "Hostless", NoAPIHost: true})
		r.sim.AddTenant(centralsim.Tenant{ID: refused, Name: "Shut", Refused: true})
		r.fill(other, 3)
		got := r.inventory(t.Context(), t, action.Wanted{})
		if got.trouble != nil || len(got.devices) != 5 || len(got.skipped) != 2 {
			t.Fatalf("%s: %d devices, %+v skipped, %+v", kind, len(got.devices), got.skipped, got.trouble)
		}
		if s := got.skipped[0]; s.TenantID != noHost || s.TenantName != "Hostless" || s.Number != 2 || s.Of != 4 || !strings.Contains(s.Skipped.Text, "without a host") {
			t.Errorf("%s: %+v, %+v", kind, s, s.Skipped)
		}
		if s := got.skipped[1]; s.TenantID != refused || s.Skipped.Status != 403 {
			t.Errorf("%s: %+v, %+v", kind, s, s.Skipped)
		}
		r.counts(t, map[string]int{"/" + kind + "/v1/tenants": 1, devices: 3})
		for _, e := range r.sim.Journal() {
			if e.Tenant != "" && (slices.Contains(e.Headers, "X-Partner-Id") || slices.Contains(e.Headers, "X-Organization-Id")) {
				t.Errorf("%s went out with both headers: %v", e.Path, e.Headers)
			}
		}
	}
}

func TestInventoryOfNamedTenants(t *testing.T) {
	r := newRig(t, partnerOf("partner"), nil)
	r.fill(other, 3)
	got := r.inventory(t.Context(), t, action.Wanted{Tenants: []string{strings.ToUpper(other), other, numbered(9)}})
	if got.trouble != nil || len(got.devices) != 3 || len(got.skipped) != 1 || got.skipped[0].TenantID != numbered(9) {
		t.Errorf("%d devices, %+v, %+v", len(got.devices), got.skipped, got.trouble)
	}
	mine := newRig(t, nil, nil)
	got = mine.inventory(t.Context(), t, action.Wanted{Tenants: []string{other}})
	if got.trouble != nil || len(got.devices) != 0 || len(got.skipped) != 1 || !strings.Contains(got.skipped[0].Skipped.Text, "does not serve") {
		t.Errorf("of another's: %+v", got)
	}
}

func TestInventoryGoesOnWhereItBrokeOff(t *testing.T) {
	r := newRig(t, partnerOf("partner"), nil)
	all := append(r.fill(tenantID, 1100), deviceID, "aaaaaaaa-0000-4000-8000-000000000000")
	r.fill(other, 3)
	var from action.Halt
	var ids []string
	for page, trouble := range r.Inventory(t.Context(), action.Wanted{}) { // the second page is the last that comes
		if trouble != nil {
			t.Fatal(trouble)
		}
		for _, d := range page.Devices {
			ids = append(ids, d.ID.Value)
		}
		from.TenantID, from.Key, from.Read, from.Announced = page.TenantID, page.Next, page.Read, page.Announced
		if from.IDs = append(from.IDs, page.IDs...); len(from.IDs) == 1000 {
			break
		}
	}
	r.sim.Put(tenantID, machine("00000000-0000-4000-8000-00000000ffff", "PC-LATE", r.clock())) // behind the place: it is not read any more
	got := r.inventory(t.Context(), t, action.Wanted{From: from})
	ids = append(ids, got.ids()...)
	if got.trouble != nil || len(ids) != len(all)+3 || len(got.pages) != 2 || got.pages[0].Read != 1102 {
		t.Errorf("%d devices, %d pages, %+v", len(ids), len(got.pages), got.trouble)
	}
	from = action.Halt{Done: []string{tenantID}}
	if got := r.inventory(t.Context(), t, action.Wanted{From: from}); len(got.devices) != 3 || got.trouble != nil {
		t.Errorf("behind a whole tenant: %d devices, %+v", len(got.devices), got.trouble)
	}
}

// What can't be trusted to be whole ends in a trouble, and is never called finished.
func TestInventoryThatCannotBeTrusted(t *testing.T) {
	one := func(n int) string { return `{"id":"` + numbered(n) + `"}` }
	for _, tt := range []struct {
		name  string
		pages []string
		came  int
	}{
		{"no items", []string{`{"pages":{}}`}, 0},
		{"no pages", []string{`{"items":[` + one(1) + `]}`}, 0},
		{"an item is no record", []string{`{"items":[7],"pages":{"items":1}}`}, 0},
		{"fewer than announced", []string{`{"items":[` + one(1) + `],"pages":{"items":2}}`}, 0},
		{"one twice instead of two", []string{`{"items":[` + one(1) + `,` + one(1) + `],"pages":{"items":2}}`}, 0},
		{"nobody says how many there are", []string{`{"items":[` + one(1) + `],"pages":{}}`}, 0},
		{"a circle", []string{`{"items":[` + one(1) + `],"pages":{"items":1,"nextKey":"a"}}`}, 1},
		{"the second page is HTML", []string{`{"items":[` + one(1) + `],"pages":{"items":2,"nextKey":"a"}}`, `<html>`}, 1},
	} {
		got := pagesOf(t, tt.pages).inventory(t.Context(), t, action.Wanted{})
		if got.trouble == nil || len(got.devices) != tt.came || len(got.skipped) > 0 {
			t.Errorf("%s: %d devices, %+v, %+v", tt.name, len(got.devices), got.skipped, got.trouble)
		}
		for _, p := range got.pages {
			if p.Next == "" {
				t.Errorf("%s: is called finished", tt.name)
			}
		}
	}
}

func TestInventoryTroublesThatEndIt(t *testing.T) {
	for _, status := range []int{400, 401, 404, 429, 500} {
		r := newRig(t, nil, nil)
		r.sim.Fault(centralsim.Fault{Path: devices, Status: status, Times: centralsim.Always, RetryAfter: "3600"})
		if got := r.inventory(t.Context(), t, action.Wanted{}); got.trouble == nil || len(got.skipped) > 0 {
			t.Errorf("%d: %+v", status, got)
		}
	}
	r := newRig(t, nil, nil)
	r.fill(tenantID, 600)
	r.sim.Fault(centralsim.Fault{Path: devices, Status: 403, Skip: 1})
	if got := r.inventory(t.Context(), t, action.Wanted{}); got.trouble == nil || len(got.devices) != 500 || len(got.skipped) > 0 {
		t.Errorf("403 in the middle: %d devices, %+v, %+v", len(got.devices), got.skipped, got.trouble)
	}
	for _, change := range []func(*Options){
		func(o *Options) { o.Read.ClientSecret = "wrong" },
		func(o *Options) { o.IDURL = closedPort() },
	} {
		r := newRig(t, nil, change)
		for _, want := range []action.Wanted{{}, {Tenants: []string{tenantID}}} {
			if got := r.inventory(t.Context(), t, want); got.trouble == nil || len(got.skipped) > 0 {
				t.Errorf("%+v", got)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := newRig(t, nil, nil).inventory(ctx, t, action.Wanted{}); got.trouble == nil || !got.trouble.Own {
		t.Errorf("given up: %+v", got)
	}
}

func TestInventoryEndsWhenItsReaderHasEnough(t *testing.T) {
	r := newRig(t, partnerOf("partner"), nil)
	r.fill(tenantID, 501)
	r.fill(other, 1)
	for range r.Inventory(t.Context(), action.Wanted{}) {
		break
	}
	r.counts(t, map[string]int{devices: 1})
}

// booked is a budget that notes what for.
type booked struct{ kinds map[action.CallKind]int }

func (b booked) Book(_ context.Context, _ string, kind action.CallKind, _ time.Duration) (time.Duration, bool, error) {
	b.kinds[kind]++
	return 0, true, nil
}
func (booked) Slow(context.Context, string, time.Duration) error { return nil }

func TestInventoryLeavesRoomForOthers(t *testing.T) {
	b := booked{map[action.CallKind]int{}}
	r := newRig(t, partnerOf("partner"), func(o *Options) { o.Budget = b })
	r.fill(tenantID, 501)
	if got := r.inventory(t.Context(), t, action.Wanted{}); got.trouble != nil {
		t.Fatal(got.trouble)
	}
	if b.kinds[action.CallBulk] != 3 || b.kinds[action.CallSingle] != 1 { // the list and two pages; whoami
		t.Errorf("%v", b.kinds)
	}
}

func TestTheListOfTenantsIsReadWhole(t *testing.T) {
	r := newRig(t, partnerOf("partner"), nil)
	for n := range 230 {
		r.sim.AddTenant(centralsim.Tenant{ID: numbered(n)})
	}
	seats, trouble := r.seats(t.Context(), nil)
	if trouble != nil || len(seats) != 231 {
		t.Errorf("%d tenants, %+v; want 231", len(seats), trouble)
	}
	r.counts(t, map[string]int{"/partner/v1/tenants": 3})
}

// tenantsOf is a client of a partner's whose list of tenants is pages, the last one
// again and again.
func tenantsOf(tb testing.TB, pages []string) *rig {
	tb.Helper()
	r := newRig(tb, partnerOf("partner"), nil)
	n := 0
	return r.before(tb, func(w http.ResponseWriter, q *http.Request) bool {
		if !strings.HasPrefix(q.URL.Path, "/partner/") {
			return false
		}
		body := pages[min(n, len(pages)-1)]
		n++
		return writeJSON(w, 200, body)
	})
}

// before puts a handler of the test's own before the simulator.
func (r *rig) before(tb testing.TB, h func(http.ResponseWriter, *http.Request) bool) *rig {
	tb.Helper()
	r.srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if !h(w, q) {
			r.sim.ServeHTTP(w, q)
		}
	})
	return r
}

func TestListsOfTenantsThatAreOdd(t *testing.T) {
	one := func(n int) string { return `{"id":"` + numbered(n) + `","apiHost":"http://127.0.0.1:1"}` }
	for _, tt := range []struct {
		name  string
		pages []string
		came  int // -1 = a trouble
		shut  int // of them, may not be asked
	}{
		{"no items", []string{`{"pages":{"total":1}}`}, -1, 0},
		{"no JSON", []string{`<html>`}, -1, 0},
		{"fewer than announced", []string{`{"items":[` + one(1) + `],"pages":{"total":1,"items":2}}`}, -1, 0},
		{"the same page for ever", []string{`{"items":[` + one(1) + `],"pages":{"total":3}}`}, -1, 0},
		{"an empty page before the last", []string{`{"items":[` + one(1) + `],"pages":{"total":3}}`, `{"items":[],"pages":{"total":3}}`}, -1, 0},
		{"none at all", []string{`{"items":[],"pages":{"total":0,"items":0}}`}, 0, 0},
		{"no count: it ends at an empty page", []string{`{"items":[` + one(1) + `]}`, `{"items":[` + one(2) + `],"pages":{}}`, `{"items":[]}`}, 2, 0},
		{"a page that is cut shorter than asked for is no end", []string{`{"items":[` + one(1) + `],"pages":{"total":2}}`, `{"items":[` + one(2) + `],"pages":{"total":2}}`}, 2, 0},
		{"items that are odd", []string{`{"items":[7,{"id":"x"},{"id":"` + numbered(1) + `","apiHost":"http://elsewhere.example.test"},` + one(2) + `],"pages":{"total":1,"items":4}}`}, 4, 3},
	} {
		seats, trouble := tenantsOf(t, tt.pages).seats(t.Context(), nil)
		if (trouble != nil) != (tt.came < 0) || len(seats) != max(tt.came, 0) {
			t.Errorf("%s: %+v, %+v", tt.name, seats, trouble)
		}
		for _, s := range seats {
			if s.trouble != nil {
				discreet(t, s.trouble)
				tt.shut--
			}
		}
		if tt.came >= 0 && tt.shut != 0 {
			t.Errorf("%s: %d too few may not be asked", tt.name, tt.shut)
		}
	}
}
