package central

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

// hear reads all pages: the ids as they came, the pages, and the trouble at the end.
func (r *rig) hear(ctx context.Context, tb testing.TB, tenant string, since time.Time, at pace) (ids []string, pages int, last *action.Trouble) {
	tb.Helper()
	for devices, trouble := range r.heard(ctx, tenant, since, at) {
		if last != nil {
			tb.Fatal("the sequence goes on after a trouble")
		}
		if last = trouble; trouble != nil {
			discreet(tb, trouble)
			if devices != nil {
				tb.Error("a trouble comes with devices")
			}
			continue
		}
		pages++
		for _, d := range devices {
			ids = append(ids, d.ID.Value)
		}
	}
	return ids, pages, last
}

// brisk is a pace without rests.
func brisk() pace { return pace{most: 20, free: 20} }

// numbered is the id of the n-th device.
func numbered(n int) string { return fmt.Sprintf("0000%04x-0000-4000-8000-000000000000", n) }

func TestHeardReadsEveryPageOfThoseThatWereHeardFrom(t *testing.T) {
	r := newRig(t, nil, nil)
	since := r.clock().Add(-time.Hour)
	var want []string
	for n := range 1100 {
		seen := r.clock()
		if n%10 == 0 {
			seen = since.Add(-time.Millisecond) // before it: not asked for
		} else {
			want = append(want, numbered(n))
		}
		r.sim.Put(tenantID, machine(numbered(n), fmt.Sprintf("PC-%d", n), seen))
	}
	want = append(want, "aaaaaaaa-0000-4000-8000-000000000000") // the rig's fresh one
	ids, pages, trouble := r.hear(t.Context(), t, tenantID, since, brisk())
	if trouble != nil || pages != 2 || !slices.Equal(ids, want) {
		t.Errorf("%d devices on %d pages, %+v; want %d on 2", len(ids), pages, trouble, len(want))
	}
	for _, e := range r.sim.Journal() {
		if q := e.Query; strings.HasPrefix(e.Path, devices) && (q.Get("view") != "full" || q.Get("sort") != "id" ||
			q.Get("pageSize") != "500" || q.Get("pageTotal") != "true" || !strings.HasSuffix(q.Get("lastSeenAfter"), "Z")) {
			t.Errorf("asked with %v", q)
		}
	}
}

func TestHeardGivesWholeRecords(t *testing.T) {
	r := newRig(t, nil, nil)
	m := machine(numbered(1), "PC-1", r.clock())
	m["registeredAt"], m["macAddresses"] = m["lastSeenAt"], []any{"02:00:5E:10:00:01"}
	r.sim.Put(tenantID, m)
	for page, trouble := range r.Heard(t.Context(), tenantID, r.clock()) {
		if trouble != nil || len(page) != 1 {
			t.Fatalf("%+v, %+v", page, trouble)
		}
		if d := page[0]; d.SerialNumber.Value != "SYN1" || !d.RegisteredAt.Known() || len(d.MACAddresses) != 1 || d.Hostname.Value != "PC-1" {
			t.Errorf("%+v", d)
		}
	}
}

func TestHeardOfNobodyIsOneEmptyPage(t *testing.T) {
	r := newRig(t, nil, nil)
	if ids, pages, trouble := r.hear(t.Context(), t, tenantID, r.clock(), brisk()); len(ids) != 0 || pages != 1 || trouble != nil {
		t.Errorf("%q on %d pages, %+v", ids, pages, trouble)
	}
}

func TestHeardEndsWhenItsReaderHasEnough(t *testing.T) {
	r := newRig(t, nil, nil)
	for n := range 501 {
		r.sim.Put(tenantID, machine(numbered(n), "PC", r.clock()))
	}
	for range r.Heard(t.Context(), tenantID, r.clock()) {
		break
	}
	r.counts(t, map[string]int{devices: 1})
}

// What can't be trusted to be whole ends in a trouble, after what did come.
func TestHeardThatCannotBeTrusted(t *testing.T) {
	one := func(n int) string { return `{"id":"` + numbered(n) + `"}` }
	for _, tt := range []struct {
		name  string
		pages []string // the last one again and again
		came  int
	}{
		{"no items", []string{`{"pages":{}}`}, 0},
		{"no pages", []string{`{"items":[` + one(1) + `]}`}, 0},
		{"an item is no record", []string{`{"items":[7],"pages":{"items":1}}`}, 0},
		{"fewer than announced", []string{`{"items":[` + one(1) + `],"pages":{"items":2}}`}, 1},
		{"one twice instead of two", []string{`{"items":[` + one(1) + `,` + one(1) + `],"pages":{"items":2}}`}, 1},
		{"nobody says how many there are", []string{`{"items":[` + one(1) + `],"pages":{}}`}, 1},
		{"nobody comes, and nobody says so", []string{`{"items":[],"pages":{}}`}, 0},
		{"the second page announces next to none", []string{`{"items":[` + one(1) + `],"pages":{"items":100,"nextKey":"a"}}`, `{"items":[` + one(2) + `],"pages":{"items":2}}`}, 2},
		{"a circle", []string{`{"items":[` + one(1) + `],"pages":{"items":1,"nextKey":"a"}}`}, 1},
		{"the second page is HTML", []string{`{"items":[` + one(1) + `],"pages":{"items":2,"nextKey":"a"}}`, `<html>`}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := pagesOf(t, tt.pages)
			if ids, _, trouble := r.hear(t.Context(), t, tenantID, time.Unix(0, 0), brisk()); trouble == nil || len(ids) != tt.came {
				t.Errorf("%q, %+v; want %d devices and a trouble", ids, trouble, tt.came)
			}
		})
	}
}

// pagesOf is a client before a Central that answers these pages, the last one
// again and again.
func pagesOf(tb testing.TB, pages []string) *rig {
	tb.Helper()
	var n atomic.Int64
	return raw(tb, func(w http.ResponseWriter, _ *http.Request) bool {
		return writeJSON(w, 200, pages[min(int(n.Add(1)), len(pages))-1])
	})
}

// While pages are read, devices check in and go: neither makes a read look cut.
func TestHeardBearsThatDevicesComeAndGo(t *testing.T) {
	one := func(n int) string { return `{"id":"` + numbered(n) + `"}` }
	for _, tt := range []struct {
		name  string
		pages []string
		want  int
	}{
		{"one checks in behind the read", []string{`{"items":[` + one(5) + `],"pages":{"items":2,"nextKey":"a"}}`, `{"items":[` + one(6) + `],"pages":{"items":3}}`}, 2},
		{"one goes before it was read", []string{`{"items":[` + one(5) + `],"pages":{"items":3,"nextKey":"a"}}`, `{"items":[` + one(6) + `],"pages":{"items":2}}`}, 2},
		{"one stands on two pages", []string{`{"items":[` + one(5) + `],"pages":{"items":2,"nextKey":"a"}}`, `{"items":[` + one(5) + `,` + one(6) + `],"pages":{"items":2}}`}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := pagesOf(t, tt.pages)
			if ids, pages, trouble := r.hear(t.Context(), t, tenantID, time.Unix(0, 0), brisk()); trouble != nil || pages != 2 || len(ids) != tt.want {
				t.Errorf("%q on %d pages, %+v; want %d devices", ids, pages, trouble, tt.want)
			}
		})
	}
}

// The filter narrows, the record decides; what can't be read there goes on.
func TestHeardLooksAtTheRecordAgain(t *testing.T) {
	r := pagesOf(t, []string{`{"items":[{"id":"` + numbered(1) + `","lastSeenAt":"2026-01-01T00:00:00Z"},{"id":"` + numbered(2) +
		`","lastSeenAt":"2026-03-01T00:00:00Z"},{"id":"` + numbered(3) + `"},{"lastSeenAt":7}],"pages":{"items":4}}`})
	ids, _, trouble := r.hear(t.Context(), t, tenantID, time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), brisk())
	if want := []string{numbered(2), numbered(3), ""}; trouble != nil || !slices.Equal(ids, want) {
		t.Errorf("%q, %+v; want %q", ids, trouble, want)
	}
}

func TestHeardHasNoEndlessPages(t *testing.T) {
	var n atomic.Int64
	r := raw(t, func(w http.ResponseWriter, _ *http.Request) bool {
		return writeJSON(w, 200, fmt.Sprintf(`{"items":[],"pages":{"nextKey":"k%d"}}`, n.Add(1)))
	})
	if _, pages, trouble := r.hear(t.Context(), t, tenantID, r.clock(), brisk()); trouble == nil || pages != 20 || n.Load() != 20 {
		t.Errorf("%d pages, %+v; want a trouble after 20", pages, trouble)
	}
	if calm().most < 200 {
		t.Error("a fleet of 100,000 devices would have too many pages")
	}
}

// Beyond the free pages a read rests, and a rest ends with its reader's time.
func TestHeardRestsBetweenPages(t *testing.T) {
	r := pagesOf(t, []string{`{"items":[],"pages":{"nextKey":"a"}}`, `{"items":[],"pages":{"nextKey":"b"}}`, `{"items":[],"pages":{"items":0}}`})
	if _, pages, trouble := r.hear(t.Context(), t, tenantID, r.clock(), pace{most: 5, free: 1, rest: time.Millisecond}); pages != 3 || trouble != nil {
		t.Errorf("%d pages, %+v; want 3", pages, trouble)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := hearing{pace: pace{rest: time.Hour}, yield: func([]policy.Device, *action.Trouble) bool {
		t.Error("a page was handed on after the reader's time")
		return false
	}}
	if more, trouble := h.take(ctx, nil, 0); more || trouble == nil || !trouble.Own {
		t.Errorf("%t, %+v; want that the time was up", more, trouble)
	}
}

func TestHeardOfATenantThatCannotBeAsked(t *testing.T) {
	for _, tt := range []struct {
		name   string
		sim    func(*centralsim.Options)
		tenant string
		add    centralsim.Tenant
		asked  int // for devices
	}{
		{"a foreign one", nil, other, centralsim.Tenant{ID: other}, 0},
		{"one that a partner does not have", partnerOf("partner"), other, centralsim.Tenant{}, 0},
		{"one without a host", partnerOf("partner"), other, centralsim.Tenant{ID: other, NoAPIHost: true}, 0},
		{"one that is refused", partnerOf("partner"), other, centralsim.Tenant{ID: other, Refused: true}, 1},
		{"no UUID", nil, "../x", centralsim.Tenant{}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, tt.sim, nil)
			if tt.add.ID != "" {
				r.sim.AddTenant(tt.add)
			}
			if ids, pages, trouble := r.hear(t.Context(), t, tt.tenant, r.clock(), brisk()); trouble == nil || pages != 0 || ids != nil {
				t.Errorf("%q, %+v; want a trouble", ids, trouble)
			}
			r.counts(t, map[string]int{devices: tt.asked})
		})
	}
}

func TestHeardDuringAnOutage(t *testing.T) {
	for _, status := range []int{400, 403, 404, 429, 500, 503} {
		r := newRig(t, nil, nil)
		r.sim.Fault(centralsim.Fault{Path: devices, Status: status, Times: centralsim.Always, RetryAfter: "3600"})
		_, pages, trouble := r.hear(t.Context(), t, tenantID, r.clock(), brisk())
		if trouble == nil || pages != 0 || trouble.Limited != (status == 429) {
			t.Errorf("%d: %d pages, %+v", status, pages, trouble)
		}
	}
	r := newRig(t, nil, func(o *Options) { o.IDURL = closedPort() })
	if _, _, trouble := r.hear(t.Context(), t, tenantID, r.clock(), brisk()); trouble == nil || !trouble.Outage {
		t.Errorf("%+v, want an outage", trouble)
	}
}
