package centralsim

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDelete(t *testing.T) {
	b := newBench(t, nil)
	const one = "/endpoint/v1/endpoints/" + device1
	b.Put(tenantID, map[string]any{"id": device1})
	if a := b.app("DELETE", one, ""); a.status != 200 || a.doc["deleted"] != true {
		t.Fatalf("delete: %d %s", a.status, a.raw)
	}
	if a := b.app("GET", one, ""); a.status != 404 || a.doc["error"] != "resourceNotFound" {
		t.Errorf("read back: %d %s, want 404", a.status, a.raw)
	}
	if ids, _ := walk(b, "sort=id"); len(ids) != 0 {
		t.Errorf("the list still has %v", ids)
	}
	for _, tt := range []struct {
		as     UnknownDelete
		status int
		said   any
	}{{UnknownNotFound, 404, nil}, {UnknownFalse, 200, false}, {UnknownTrue, 200, true}, {UnknownFails, 500, nil}} {
		b.Switch(func(w *Switches) { w.UnknownDelete = tt.as })
		if a := b.app("DELETE", one, ""); a.status != tt.status || a.doc["deleted"] != tt.said {
			t.Errorf("deleting again, switch %d: %d %s", tt.as, a.status, a.raw)
		}
	}
	if a := b.app("DELETE", "/endpoint/v1/endpoints/7", ""); a.status != 400 {
		t.Errorf("an id that is no UUID: %d, want 400", a.status)
	}
	var gone []string
	for _, e := range b.Journal() {
		gone = append(gone, e.Deleted...)
	}
	if d := cmp.Diff([]string{device1}, gone); d != "" {
		t.Errorf("the journal's deletes: %s", d)
	}
	if b.Deletes() != 6 || b.Count("DELETE", one) != 5 {
		t.Errorf("counted %d and %d DELETEs, want 6 and 5", b.Deletes(), b.Count("DELETE", one))
	}
}

func TestBulkDelete(t *testing.T) {
	b := newBench(t, func(o *Options) { o.BulkLimit = 2 })
	b.Put(tenantID, map[string]any{"id": device1})
	for _, tt := range []struct {
		body   string
		status int
		want   []any
	}{
		{`{"ids":["` + device1 + `"]}`, 400, nil},
		{`{"endpointIds":["7"]}`, 400, nil},
		{`{"endpointIds":["` + device1 + `","` + device2 + `","` + nobody + `"]}`, 400, nil},
		{`{"endpointIds":["` + device1 + `","` + device2 + `"]}`, 200, []any{device1}},
		{`{"endpointIds":["` + device1 + `"]}`, 200, []any{}},
	} {
		a := b.app("POST", "/endpoint/v1/endpoints/delete", tt.body)
		got, _ := a.doc["endpointIds"].([]any)
		if d := cmp.Diff(tt.want, got); a.status != tt.status || d != "" {
			t.Errorf("%s: %d %s", tt.body, a.status, a.raw)
		}
	}
}

func TestTamperProtection(t *testing.T) {
	b := newBench(t, nil)
	b.Put(tenantID, map[string]any{"id": device1, "tamperProtectionEnabled": false})
	const path = "/endpoint/v1/endpoints/" + device1 + "/tamper-protection"
	first := b.app("GET", path, "")
	password := text(first.doc["password"])
	if first.status != 200 || len(password) != 12 || strings.Trim(password, "0123456789") != "" || password[0] != '0' {
		t.Fatalf("read: %d %s", first.status, first.raw)
	}
	second := b.app("POST", path, `{"enabled":"true","regeneratePassword":true}`)
	if second.status != 201 || second.doc["enabled"] != true || second.doc["password"] == password {
		t.Errorf("set: %d %s", second.status, second.raw)
	}
	if old := at(second.doc["previousPasswords"].([]any)[0], "password"); old != password {
		t.Errorf("previous password %v, want %v", old, password)
	}
	if a := b.app("GET", "/endpoint/v1/settings/tamper-protection", ""); a.doc["enabled"] != true {
		t.Errorf("the tenant's setting: %d %s", a.status, a.raw)
	}
	b.Remove(tenantID, device1)
	if a := b.app("GET", path, ""); a.status != 404 {
		t.Errorf("after the delete: %d, want 404", a.status)
	}
}

func TestIsolation(t *testing.T) {
	b := newBench(t, nil)
	b.Put(tenantID, map[string]any{"id": device1})
	const path = "/endpoint/v1/endpoints/" + device1 + "/isolation"
	if a := b.app("PATCH", path, `{"enabled":true,"comment":"case 7"}`); a.status != 200 || a.doc["comment"] != "case 7" {
		t.Errorf("patch: %d %s", a.status, a.raw)
	}
	if r, _ := b.Get(tenantID, device1); at(r, "isolation", "status") != "isolated" {
		t.Errorf("the record says %v", r["isolation"])
	}
	if a := b.app("GET", path, ""); a.doc["enabled"] != true {
		t.Errorf("read: %d %s", a.status, a.raw)
	}
	bulk := `{"enabled":false,"ids":["` + device1 + `"]}`
	for _, want := range []int{202, 409} {
		if a := b.app("POST", "/endpoint/v1/endpoints/isolation", bulk); a.status != want {
			t.Errorf("bulk: %d, want %d", a.status, want)
		}
	}
	b.CheckIn(tenantID, device1, b.now())
	if a := b.app("POST", "/endpoint/v1/endpoints/isolation", bulk); a.status != 202 {
		t.Errorf("bulk after a check-in: %d, want 202", a.status)
	}
}

func TestCheckInBetweenReadAndDelete(t *testing.T) {
	b := newBench(t, nil)
	b.Put(tenantID, map[string]any{"id": device1, "lastSeenAt": "2026-01-02T03:04:05Z", "online": false})
	b.OnRequest(func(r *http.Request) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, device1) {
			b.CheckIn(tenantID, device1, b.now())
		}
	})
	a := b.app("GET", "/endpoint/v1/endpoints/"+device1, "")
	if a.doc["lastSeenAt"] != stamp(b.now()) || a.doc["online"] != true {
		t.Errorf("the device reads %s", a.raw)
	}
}

func TestFaults(t *testing.T) {
	const one = "/endpoint/v1/endpoints/" + device1
	for _, tt := range []struct {
		name    string
		fault   Fault
		status  int
		holds   string // part of the body
		applied bool
	}{
		{"500 plain is not applied", Fault{Status: 500}, 500, "internalServerError", false},
		{"500 but applied", Fault{Status: 500, ApplyAnyway: true}, 500, "internalServerError", true},
		{"429 with a wish", Fault{Status: 429, RetryAfter: "7"}, 429, "tooManyRequests", false},
		{"503 as a proxy's page", Fault{Status: 503, Body: "<html>away</html>", ContentType: "text/html"}, 503, "<html>", false},
		{"401 in the middle of a run", Fault{Status: 401}, 401, "error", false},
		{"an error in another spelling", Fault{Status: 429, Body: `{"error":"TooManyRequests"}`}, 429, "TooManyRequests", false},
		{"a redirect", Fault{Status: 307, Header: http.Header{"Location": {"http://elsewhere.example.test/"}}}, 307, "", false},
		{"only others are struck", Fault{Status: 500, Path: "/endpoint/v1/endpoints/" + device2}, 200, "true", true},
		{"other methods are let be", Fault{Status: 500, Method: "GET"}, 200, "true", true},
		{"a condition is asked", Fault{Status: 500, When: func(*http.Request) bool { return false }}, 200, "true", true},
		{"the first pass is let be", Fault{Status: 500, Skip: 1}, 200, "true", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, nil)
			b.srv.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			b.Put(tenantID, map[string]any{"id": device1})
			token := b.token("app", "s3cret")
			b.Fault(tt.fault)
			a := b.as(token, "DELETE", one, "")
			_, there := b.Get(tenantID, device1)
			if a.status != tt.status || !strings.Contains(a.raw, tt.holds) || there == tt.applied {
				t.Errorf("got %d %s, still there %v", a.status, a.raw, there)
			}
			if got := a.header.Get("Retry-After"); got != tt.fault.RetryAfter {
				t.Errorf("Retry-After %q, want %q", got, tt.fault.RetryAfter)
			}
		})
	}
}

func TestFaultsRunOutAndAreLifted(t *testing.T) {
	b := newBench(t, nil)
	token := b.token("app", "s3cret")
	b.Fault(Fault{Status: 500, Times: 2})
	lift := b.Fault(Fault{Status: 503, Times: Always})
	var got []int
	for range 4 {
		got = append(got, b.as(token, "GET", "/whoami/v1", "").status)
	}
	lift()
	got = append(got, b.as(token, "GET", "/whoami/v1", "").status)
	if d := cmp.Diff([]int{500, 500, 503, 503, 200}, got); d != "" {
		t.Error(d)
	}
}

// cut sends a DELETE that is to fail without a whole answer.
func cut(t *testing.T, b *bench, token string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, b.srv.URL+"/endpoint/v1/endpoints/"+device1, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("X-Tenant-ID", tenantID)
	resp, err := b.srv.Client().Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.ReadAll(resp.Body)
	return err
}

func TestCutAnswers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fault   Fault
		half    bool
		applied bool
	}{
		{"a body cut in half, applied", Fault{CutBody: true}, true, true},
		{"a connection dropped before", Fault{Drop: true}, false, false},
		{"a connection dropped after it was applied", Fault{Drop: true, ApplyAnyway: true}, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, nil)
			b.Put(tenantID, map[string]any{"id": device1})
			token := b.token("app", "s3cret")
			b.Fault(tt.fault)
			err := cut(t, b, token)
			if _, there := b.Get(tenantID, device1); err == nil || there == tt.applied {
				t.Errorf("error %v, still there %v", err, there)
			}
			if tt.half && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("error %v, want a body that ends early", err)
			}
		})
	}
}

func TestHangsUntilLifted(t *testing.T) {
	b := newBench(t, nil)
	b.Put(tenantID, map[string]any{"id": device1})
	token := b.token("app", "s3cret")
	arrived := make(chan struct{})
	lift := b.Fault(Fault{Hang: true, Status: 504, When: func(*http.Request) bool {
		close(arrived)
		return true
	}})
	got := make(chan int, 1)
	go func() { got <- b.as(token, "DELETE", "/endpoint/v1/endpoints/"+device1, "").status }()
	<-arrived
	select {
	case status := <-got:
		t.Fatalf("answered %d while it should hang", status)
	default:
	}
	lift()
	if status := <-got; status != 504 {
		t.Errorf("answered %d after it was lifted, want 504", status)
	}
}

func TestRates(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rates []Rate
		pass  int // calls in a row that pass
		after time.Duration
	}{
		{"the strict profile gives ten a second", StrictRates(), 10, time.Second + time.Millisecond},
		{"the burst profile gives three hundred at once", BurstRates(), 300, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, func(o *Options) { o.Rates = tt.rates })
			token := b.token("app", "s3cret")
			for i := range tt.pass {
				if a := b.as(token, "GET", "/whoami/v1", ""); a.status != 200 {
					t.Fatalf("call %d answers %d", i+1, a.status)
				}
			}
			if a := b.as(token, "GET", "/whoami/v1", ""); a.status != 429 || a.header.Get("Retry-After") == "" {
				t.Errorf("one more answers %d %v, want 429", a.status, a.header)
			}
			b.pass(tt.after)
			if a := b.as(token, "GET", "/whoami/v1", ""); a.status != 200 {
				t.Errorf("after a wait it answers %d, want 200", a.status)
			}
		})
	}
}

func TestSampleIsWhole(t *testing.T) {
	b := newBench(t, func(o *Options) { o.ID = SampleTenant })
	sample := Sample(b.now())
	b.Load(sample)
	cases, ids := map[string]bool{}, map[string]bool{}
	for _, d := range sample {
		if cases[d.Case] || ids[d.ID] || d.Want == "" || d.Verdict == "" || text(at(d.Event, "central", "id")) != d.ID {
			t.Errorf("case %s is named twice or lacks something: %+v", d.Case, d)
		}
		cases[d.Case], ids[d.ID] = true, true
		r, there := b.Get(text(at(d.Event, "central", "tenant", "id")), d.ID)
		if there != (d.Case != "gone" && d.Case != "verify-failed") || there && text(r["id"]) != d.ID {
			t.Errorf("case %s: in Central %v", d.Case, there)
		}
	}
	if first := sample[0]; first.Name != "WS-FIN-0427" || first.ID != "6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3" || first.Want != "ELIGIBLE" {
		t.Errorf("the first device is %+v", first)
	}
	b.pass(1000 * time.Hour)
	token := b.token("app", "s3cret")
	a := b.send("GET", "/endpoint/v1/endpoints?lastSeenAfter=-PT1H&lastSeenBefore="+b.now().Format(time.RFC3339)+"&view=basic", "",
		"Authorization", "Bearer "+token, "X-Tenant-ID", SampleTenant)
	if len(a.doc["items"].([]any)) < 2 {
		t.Errorf("after weeks nobody is fresh: %s", a.raw)
	}
}
