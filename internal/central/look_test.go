package central

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

func TestLookFindsTheDevice(t *testing.T) {
	r := newRig(t, nil, nil)
	live, trouble := r.look(t.Context(), t)
	if live.Status != policy.LiveFound {
		t.Fatalf("look: %+v", trouble)
	}
	if live.Device.ID.Value != deviceID || live.Device.Hostname.Value != "PC-OLD-17" || live.Device.TenantID.Value != tenantID {
		t.Errorf("device %+v", live.Device)
	}
	if len(live.SameNamed) != 1 || live.SameNamed[0].ID.Value != deviceID {
		t.Errorf("same-named %+v", live.SameNamed)
	}
	if want := r.clock().Add(-2 * time.Minute).Truncate(time.Millisecond); !live.NewestSeenAt.Value.Equal(want) {
		t.Errorf("newest sign of life %v, want %v", live.NewestSeenAt, want)
	}
	if !live.At.Equal(r.clock()) || !live.CentralTime.Value.Equal(r.clock().Truncate(time.Second)) {
		t.Errorf("read at %v, Central's clock %v", live.At, live.CentralTime)
	}
	r.counts(t, map[string]int{devices: 3})
	for _, e := range r.sim.Journal() {
		if e.Path == devices+"/"+deviceID && e.Query.Get("view") != "full" || e.Path == devices && !e.Query.Has("sort") {
			t.Errorf("asked %s with %v", e.Path, e.Query)
		}
	}
}

func TestLookIsCaseBlindInIDs(t *testing.T) {
	r := newRig(t, nil, nil)
	r.sim.Remove(tenantID, deviceID)
	r.sim.Put(tenantID, machine(strings.ToUpper(deviceID), "PC-OLD-17", r.clock()))
	if live, trouble := r.look(t.Context(), t); live.Status != policy.LiveFound || len(live.SameNamed) != 1 {
		t.Errorf("look: %+v, %+v", live, trouble)
	}
}

func TestLookNotFound(t *testing.T) {
	r := newRig(t, nil, nil)
	r.sim.Remove(tenantID, deviceID)
	for _, ask := range []func() (policy.Live, *action.Trouble){
		func() (policy.Live, *action.Trouble) { return r.look(t.Context(), t) },
		func() (policy.Live, *action.Trouble) { return r.Present(t.Context(), dev) },
	} {
		if live, _ := ask(); live.Status != policy.LiveNotFound || live.At.IsZero() || !live.CentralTime.Known() {
			t.Errorf("got %+v, want not found", live)
		}
	}
}

// odd are answers to reading the device that must never pass for found or gone.
func TestAnswersThatSayNothing(t *testing.T) {
	const one = devices + "/" + deviceID
	always := func(f centralsim.Fault) centralsim.Fault {
		f.Path, f.Times = one, centralsim.Always
		return f
	}
	page := func(status int, kind, body string) centralsim.Fault {
		return always(centralsim.Fault{Status: status, ContentType: kind, Body: body})
	}
	const json, html = "application/json", "text/html"
	for _, tt := range []struct {
		name                  string
		fault                 centralsim.Fault
		tries                 int
		class                 action.Class
		own, limited, outages bool
	}{
		{"a proxy's 404", page(404, html, "<html>not here</html>"), 1, action.Transient, false, false, false},
		{"an empty 404", page(404, json, ""), 1, action.Transient, false, false, false},
		{"a 404 whose JSON has no error word", page(404, json, `{"message":"no route"}`), 1, action.Transient, false, false, false},
		{"a 404 that is a list", page(404, json, `[{"error":"resourceNotFound"}]`), 1, action.Transient, false, false, false},
		{"a 404 that says plain text", page(404, "text/plain", `{"error":"resourceNotFound"}`), 1, action.Transient, false, false, false},
		{"a 404 whose error is no word", page(404, json, `{"error":404}`), 1, action.Transient, false, false, false},
		{"500", always(centralsim.Fault{Status: 500}), 2, action.Transient, false, false, false},
		{"503 as a page", page(503, html, "<html>away</html>"), 2, action.Transient, false, false, false},
		{"200 as a page", page(200, html, "<html>welcome</html>"), 1, action.Transient, false, false, false},
		{"200 of cut JSON", page(200, json, `{"id":"`+deviceID), 1, action.Transient, false, false, false},
		{"200 with more behind", page(200, json, `{"id":"`+deviceID+`"}{}`), 1, action.Transient, false, false, false},
		{"200 of another device", page(200, json, `{"id":"`+other+`","hostname":"X"}`), 1, action.Transient, false, false, false},
		{"200 of no device", page(200, json, `{}`), 1, action.Transient, false, false, false},
		{"200 of null", page(200, json, `null`), 1, action.Transient, false, false, false},
		{"200 of a list", page(200, json, `[]`), 1, action.Transient, false, false, false},
		{"200 without an end", page(200, json, `{"id":"`+strings.Repeat("x", maxSingle)+`"}`), 2, action.Transient, false, false, false},
		{"204", page(204, json, ""), 1, action.Permanent, false, false, false},
		{"400", always(centralsim.Fault{Status: 400}), 1, action.Permanent, false, false, false},
		{"403", always(centralsim.Fault{Status: 403}), 1, action.Permanent, false, false, false},
		{"451", page(451, json, `{"error":"x"}`), 1, action.Permanent, false, false, false},
		{"a cut body", always(centralsim.Fault{CutBody: true}), 2, action.Transient, false, false, false},
		{"a cut connection", always(centralsim.Fault{Drop: true}), 0, action.Transient, false, false, false},
		{"429 with a long wish", always(centralsim.Fault{Status: 429, RetryAfter: "3600"}), 1, action.Transient, false, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			r.sim.Fault(tt.fault)
			live, trouble := r.look(t.Context(), t)
			if live.Status != policy.LiveFailed {
				t.Fatalf("status %d, want a failure", live.Status)
			}
			if trouble.Class != tt.class || trouble.Own != tt.own || trouble.Limited != tt.limited || trouble.Outage != tt.outages {
				t.Errorf("trouble %+v", trouble)
			}
			if n := r.sim.Count("GET", one); tt.tries != 0 && n != tt.tries {
				t.Errorf("%d tries, want %d", n, tt.tries)
			}
			if tt.limited && (live.RetryAfter != time.Hour || trouble.RetryAfter != time.Hour) {
				t.Errorf("the wish is lost: %+v", trouble)
			}
			if live, trouble := r.Present(t.Context(), dev); live.Status != policy.LiveFailed {
				t.Errorf("present: status %d, %+v", live.Status, trouble)
			}
		})
	}
}

func TestOneFailureIsTriedAgain(t *testing.T) {
	for _, f := range []centralsim.Fault{{Status: 500}, {Status: 502, Body: "<html>", ContentType: "text/html"}, {CutBody: true}} {
		r := newRig(t, nil, nil)
		f.Path = devices + "/" + deviceID
		r.sim.Fault(f)
		if live, trouble := r.look(t.Context(), t); live.Status != policy.LiveFound {
			t.Errorf("after %+v: %+v", f, trouble)
		}
	}
}

func TestCorrelationIsKeptAndTamed(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":"forbidden","correlationId":"a3b4-c5","requestId":"b4"}`: "a3b4-c5",
		`{"error":"forbidden","requestId":"b4"}`:                           "b4",
		`{"error":"forbidden","correlationId":"<script>"}`:                 "",
		`{"error":"forbidden","correlationId":7}`:                          "",
		`{"correlationId":"` + strings.Repeat("a", 65) + `"}`:              "",
	} {
		r := newRig(t, nil, nil)
		r.sim.Fault(centralsim.Fault{Path: devices + "/", Status: 403, Body: body, ContentType: "application/json"})
		if _, trouble := r.look(t.Context(), t); trouble == nil || trouble.CorrelationID != want {
			t.Errorf("%s: %+v, want %q", body, trouble, want)
		}
	}
}

func TestOwnTimes(t *testing.T) {
	for _, path := range []string{tokens, "/whoami/v1", devices} {
		t.Run("Central hangs longer than one call may take at "+path, func(t *testing.T) {
			r := newRig(t, nil, func(o *Options) { o.Timeout = 100 * time.Millisecond })
			r.sim.Fault(centralsim.Fault{Path: path, Hang: true, Times: centralsim.Always})
			live, trouble := r.look(t.Context(), t)
			if live.Status != policy.LiveFailed || !trouble.Own || trouble.Outage {
				t.Errorf("got %+v, want a time-out of our own", trouble)
			}
			r.sim.ClearFaults()
		})
		t.Run("the caller's time is up at "+path, func(t *testing.T) {
			r := newRig(t, nil, nil)
			lift := r.sim.Fault(centralsim.Fault{Path: path, Hang: true, Times: centralsim.Always})
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			live, trouble := r.look(ctx, t)
			if live.Status != policy.LiveFailed || !trouble.Own {
				t.Errorf("got %+v, want a time-out of our own", trouble)
			}
			lift()
		})
	}
}

func TestCentralIsAway(t *testing.T) {
	r := newRig(t, nil, nil)
	gone := closedPort()
	r.Client = r.another(t, func(o *Options) { o.IDURL, o.APIURL = gone, gone })
	if live, trouble := r.look(t.Context(), t); live.Status != policy.LiveFailed || !trouble.Outage || trouble.Own {
		t.Errorf("got %+v, want an outage", trouble)
	}
	r = newRig(t, func(o *centralsim.Options) { o.RegionURL = gone }, nil)
	if live, trouble := r.look(t.Context(), t); live.Status != policy.LiveFailed || !trouble.Outage || trouble.Own {
		t.Errorf("the region away: %+v, want an outage", trouble)
	}
}

func TestAgain(t *testing.T) {
	const call = 10 * time.Second
	for _, tt := range []struct {
		name    string
		trouble action.Trouble
		left    time.Duration // of the caller's time; 0 = no bound
		want    bool
		atLeast time.Duration
	}{
		{"what may pass is tried again soon", action.Trouble{Class: action.Transient, Status: 503}, 4 * time.Second, true, 50 * time.Millisecond},
		{"what is settled is not", action.Trouble{Class: action.Permanent}, 4 * time.Second, false, 0},
		{"nor with no time left", action.Trouble{Class: action.Transient}, 200 * time.Millisecond, false, 0},
		{"a wish that fits is kept", action.Trouble{Class: action.Transient, Limited: true, RetryAfter: 3 * time.Second}, 4 * time.Second, true, 3 * time.Second},
		{"a wish that does not fit is refused at once", action.Trouble{Class: action.Transient, Limited: true, RetryAfter: 4 * time.Second}, 4 * time.Second, false, 0},
		{"nobody waits longer than a call", action.Trouble{Class: action.Transient, RetryAfter: 11 * time.Second}, 0, false, 0},
		{"a limit without a wish waits a second", action.Trouble{Class: action.Transient, Limited: true}, 4 * time.Second, true, time.Second},
		{"a 404 in the wrong form stays one", action.Trouble{Class: action.Transient, Status: 404}, 4 * time.Second, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tt.left > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.left)
					defer cancel()
				}
				start := time.Now()
				got := again(ctx, &tt.trouble, call)
				waited := time.Since(start)
				if got != tt.want || waited < tt.atLeast || !got && waited != 0 {
					t.Errorf("again = %v after %v, want %v after at least %v", got, waited, tt.want, tt.atLeast)
				}
			})
		})
	}
}

func TestSameNamed(t *testing.T) {
	id := func(n int) string { return fmt.Sprintf("bbbbbbbb-0000-4000-8000-%012x", n) }
	for _, tt := range []struct {
		name  string
		sim   centralsim.Switches
		mine  string   // the device's host name
		names []string // of others
		more  int      // further devices that share the first characters
		want  int      // same-named, the device among them
	}{
		{"alone", centralsim.Switches{}, "PC-OLD-17", nil, 0, 1},
		{"in another case and with a domain", centralsim.Switches{}, "PC-OLD-17", []string{"pc-old-17", "Pc-Old-17.corp.example.test", "PC-OLD-17$"}, 0, 4},
		{"names that only contain it are others", centralsim.Switches{}, "PC-OLD-17", []string{"PC-OLD-171", "XPC-OLD-17", "PC-OLD-17-B"}, 0, 1},
		{"the device has a domain", centralsim.Switches{}, "app01.corp.example.test", []string{"APP01", "app01.other.example.test", "app011"}, 0, 3},
		{"beyond one page", centralsim.Switches{}, "PC-OLD-17", []string{"PC-OLD-17"}, 1200, 2},
		{"with a filter of ten characters", centralsim.Switches{TenCharacters: true}, "WS-MARKETING-LISBON", []string{"WS-MARKETING-LISBON", "WS-MARKETING-PORTO"}, 0, 2},
		{"with a filter of ten characters, beyond one page", centralsim.Switches{TenCharacters: true}, "PC-OLD-17-LONGNAME", []string{"PC-OLD-17-LONGNAME"}, 1200, 2},
		{"while unsorted pages come in disorder", centralsim.Switches{Disorder: true}, "PC-OLD-17", []string{"PC-OLD-17"}, 1200, 2},
		{"with blanks and an apostrophe", centralsim.Switches{}, "Mary's Mac+Book & Co", []string{"MARY'S MAC+BOOK & CO"}, 0, 2},
		{"in another script", centralsim.Switches{TenCharacters: true}, "Büro-Gerät-Größe-Süd", []string{"BÜRO-GERÄT-GRÖSSE-SÜD", "büro-gerät-größe-süd"}, 0, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, func(o *centralsim.Options) { o.Switches = tt.sim }, nil)
			r.sim.Put(tenantID, machine(deviceID, tt.mine, r.clock().Add(-time.Hour)))
			for i := range tt.more {
				r.sim.Put(tenantID, machine(id(i), fmt.Sprintf("%s-%04d", tt.mine, i), r.clock().Add(-time.Hour)))
			}
			for i, name := range tt.names {
				r.sim.Put(tenantID, machine(id(0xffff+i), name, r.clock().Add(-time.Hour)))
			}
			live, trouble := r.look(t.Context(), t)
			if live.Status != policy.LiveFound || len(live.SameNamed) != tt.want {
				t.Errorf("%d same-named (%+v), want %d", len(live.SameNamed), trouble, tt.want)
			}
		})
	}
}

func TestFilterThatLooksElsewhereFallsBackToTenCharacters(t *testing.T) {
	r := raw(t, func(w http.ResponseWriter, q *http.Request) bool {
		if len(q.URL.Query().Get("hostnameContains")) > 10 {
			return writeJSON(w, 200, `{"items":[],"pages":{"size":500,"items":0}}`)
		}
		return false
	})
	r.sim.Put(tenantID, machine(deviceID, "WS-MARKETING-LISBON", r.clock()))
	r.sim.Put(tenantID, machine(other, "ws-marketing-lisbon", r.clock()))
	if live, trouble := r.look(t.Context(), t); live.Status != policy.LiveFound || len(live.SameNamed) != 2 {
		t.Errorf("got %+v, %+v", live, trouble)
	}
}

func TestDeviceWithoutHostnameIsAlone(t *testing.T) {
	for _, name := range []any{nil, "", ".", "$"} {
		r := newRig(t, nil, nil)
		m := machine(deviceID, "", r.clock())
		m["hostname"] = name
		r.sim.Put(tenantID, m)
		if live, trouble := r.look(t.Context(), t); live.Status != policy.LiveFound || len(live.SameNamed) != 1 || live.SameNamed[0].ID.Value != deviceID {
			t.Errorf("host name %v: %+v, %+v", name, live, trouble)
		}
	}
}

func TestListsThatCannotBeTrusted(t *testing.T) {
	self := `{"id":"` + deviceID + `","hostname":"PC-OLD-17"}`
	for name, body := range map[string]string{
		"no items":                        `{"pages":{"size":500}}`,
		"items are null":                  `{"items":null,"pages":{"size":500}}`,
		"items are no list":               `{"items":{},"pages":{"size":500}}`,
		"an item is no record":            `{"items":[` + self + `,7],"pages":{"size":500}}`,
		"nothing on the pages":            `{"items":[` + self + `]}`,
		"the device itself is missing":    `{"items":[],"pages":{"size":500}}`,
		"another of that name only":       `{"items":[{"id":"` + other + `","hostname":"PC-OLD-17"}],"pages":{"size":500}}`,
		"fewer than announced":            `{"items":[` + self + `],"pages":{"size":500,"items":2}}`,
		"one twice instead of two":        `{"items":[` + self + `,` + self + `],"pages":{"size":500,"items":2}}`,
		"the next page is the same again": `{"items":[` + self + `],"pages":{"size":500,"nextKey":"again+/="}}`,
		"the next page's key is a number": `{"items":[` + self + `],"pages":{"size":500,"nextKey":7}}`,
		"a page":                          `<html>welcome</html>`,
		"cut":                             `{"items":[` + self,
	} {
		for _, param := range []string{"hostnameContains", "lastSeenAfter"} {
			if param == "lastSeenAfter" && !slices.Contains([]string{"no items", "items are null", "items are no list", "an item is no record", "nothing on the pages", "a page", "cut"}, name) {
				continue // says nothing wrong of who was heard from
			}
			t.Run(name+", by "+param, func(t *testing.T) {
				r := raw(t, func(w http.ResponseWriter, q *http.Request) bool {
					return q.URL.Query().Has(param) && writeJSON(w, 200, body)
				})
				if live, trouble := r.look(t.Context(), t); live.Status != policy.LiveFailed {
					t.Errorf("got %+v, %+v; want a failure", live, trouble)
				}
			})
		}
	}
}

func TestPagesThatGoRoundInACircleStopAtOnce(t *testing.T) {
	var n atomic.Int64
	r := raw(t, func(w http.ResponseWriter, q *http.Request) bool {
		if !q.URL.Query().Has("hostnameContains") {
			return false
		}
		key := "a"
		if n.Add(1)%2 == 0 {
			key = "b"
		}
		return writeJSON(w, 200, `{"items":[],"pages":{"nextKey":"`+key+`"}}`)
	})
	if live, _ := r.look(t.Context(), t); live.Status != policy.LiveFailed || n.Load() != 3 {
		t.Errorf("status %d after %d pages, want a failure after 3", live.Status, n.Load())
	}
}

func TestEndlessPagesEnd(t *testing.T) {
	var n atomic.Int64
	r := raw(t, func(w http.ResponseWriter, q *http.Request) bool {
		if !q.URL.Query().Has("hostnameContains") {
			return false
		}
		return writeJSON(w, 200, fmt.Sprintf(`{"items":[],"pages":{"nextKey":"k%d"}}`, n.Add(1)))
	})
	if live, _ := r.look(t.Context(), t); live.Status != policy.LiveFailed || n.Load() != maxPages {
		t.Errorf("status %d after %d pages, want a failure after %d", live.Status, n.Load(), maxPages)
	}
}

func TestAnyFailedPartFailsTheLook(t *testing.T) {
	for _, param := range []string{"hostnameContains", "lastSeenAfter"} {
		for _, status := range []int{400, 403, 404, 429, 500} {
			r := newRig(t, nil, nil)
			r.sim.Fault(centralsim.Fault{Status: status, Times: centralsim.Always, RetryAfter: "3600",
				When: func(q *http.Request) bool { return q.URL.Query().Has(param) }})
			live, trouble := r.look(t.Context(), t)
			if live.Status != policy.LiveFailed || trouble.Limited != (status == 429) {
				t.Errorf("%d for %s: %+v, %+v", status, param, live, trouble)
			}
		}
	}
}

func TestSignsOfLife(t *testing.T) {
	r := newRig(t, nil, nil)
	asked := func() int {
		n := 0
		for _, e := range r.sim.Journal() {
			if e.Query.Has("lastSeenAfter") {
				n++
			}
		}
		return n
	}
	const fresh = "aaaaaaaa-0000-4000-8000-000000000000"
	newest := func() policy.Field[time.Time] {
		live, trouble := r.look(t.Context(), t)
		if live.Status != policy.LiveFound {
			t.Fatalf("look: %+v", trouble)
		}
		return live.NewestSeenAt
	}
	first, second := newest(), newest()
	if !first.Known() || !second.Known() || asked() != 1 {
		t.Errorf("a sign of life was asked for %d times, want once", asked())
	}
	r.pass(newestKept)
	if !newest().Known() || asked() != 2 {
		t.Errorf("after a minute it was asked for %d times, want twice", asked())
	}
	r.pass(newestKept)
	r.sim.Remove(tenantID, fresh)
	r.sim.Put(tenantID, machine(other, "PC-AHEAD", r.clock().Add(6*time.Minute)))
	first, second = newest(), newest()
	if first.Known() || second.Known() || asked() != 4 {
		t.Errorf("silence, but for a clock that is ahead, was asked for %d times in all, want 4", asked())
	}
	r.sim.Put(tenantID, machine(fresh, "PC-FRESH", r.clock().Add(-time.Hour)))
	if !newest().Known() {
		t.Error("a sign of life exactly as old as allowed does not count")
	}
	r.pass(time.Millisecond)
	if newest().Known() {
		t.Error("a kept sign of life counts although it is too old by now")
	}
}
