package centralsim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	tenantID = "3f6c1a52-8d0e-4b7a-9c11-5e2a7d904b10"
	device1  = "1a0b6f2c-5d3e-4a71-8c94-0e7f1b2d3a46"
	device2  = "2b1c7a3d-6e4f-4b82-9da5-1f80c3e4b57a"
	nobody   = "00000000-0000-4000-8000-000000000000"
)

// bench is a simulator behind a real server, with a clock that a test moves.
type bench struct {
	*Sim
	tb  testing.TB
	srv *httptest.Server
	ms  atomic.Int64 // the clock
}

func (b *bench) now() time.Time { return time.UnixMilli(b.ms.Load()).UTC() }

func (b *bench) pass(d time.Duration) { b.ms.Add(d.Milliseconds()) }

func newBench(tb testing.TB, change func(*Options)) *bench {
	tb.Helper()
	b := &bench{tb: tb}
	b.ms.Store(time.Date(2026, 10, 5, 9, 42, 0, 0, time.UTC).UnixMilli())
	o := Options{Now: b.now, ClientID: "app", ClientSecret: "s3cret",
		ReadOnlyClientID: "reader", ReadOnlyClientSecret: "r3ader", ID: tenantID}
	if change != nil {
		change(&o)
	}
	b.Sim = New(o)
	b.AddTenant(Tenant{ID: tenantID, Name: "Example Manufacturing"})
	b.srv = httptest.NewServer(b.Sim)
	tb.Cleanup(b.srv.Close)
	return b
}

// answered is a status with a decoded body.
type answered struct {
	status int
	header http.Header
	raw    string
	doc    map[string]any
}

func (b *bench) send(method, path, body string, header ...string) answered {
	b.tb.Helper()
	req, err := http.NewRequestWithContext(b.tb.Context(), method, b.srv.URL+path, strings.NewReader(body))
	if err != nil {
		b.tb.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := b.srv.Client().Do(req)
	if err != nil {
		b.tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.tb.Fatal(err)
	}
	a := answered{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &a.doc)
	return a
}

func (b *bench) token(id, secret string) string {
	b.tb.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}, "scope": {"token"}}
	a := b.send(http.MethodPost, "/api/v2/oauth2/token", form.Encode(), "Content-Type", formType)
	if a.status != http.StatusOK || a.doc["errorCode"] != "success" || a.doc["token_type"] != "bearer" {
		b.tb.Fatalf("token: %d %s", a.status, a.raw)
	}
	return text(a.doc["access_token"])
}

// as sends a request of the tenant with a token.
func (b *bench) as(token, method, path, body string) answered {
	b.tb.Helper()
	return b.send(method, path, body, "Authorization", "Bearer "+token, "X-Tenant-ID", tenantID, "Content-Type", "application/json")
}

func (b *bench) app(method, path, body string) answered {
	b.tb.Helper()
	return b.as(b.token("app", "s3cret"), method, path, body)
}

func fleet(b *bench, n int) {
	for i := range n {
		b.Put(tenantID, map[string]any{"id": fmt.Sprintf("aaaaaaaa-0000-4000-8000-%012x", i), "type": "computer",
			"tenant": map[string]any{"id": tenantID}, "hostname": fmt.Sprintf("WS-FLEET-%04d", i),
			"lastSeenAt": stamp(b.now().Add(-time.Duration(i) * time.Hour)), "cloned": false})
	}
}

func TestTokens(t *testing.T) {
	b := newBench(t, nil)
	good := "grant_type=client_credentials&client_id=app&client_secret=s3cret&scope=token"
	for _, tt := range []struct {
		name, body, kind string
		status           int
		code             string
	}{
		{"the right secret gives a token", good, formType, 200, "success"},
		{"a wrong secret is unauthorized in the identity envelope", strings.Replace(good, "s3cret", "nope", 1), formType, 401, "oauth.invalid_client_secret"},
		{"a body that is no form is refused", `{"grant_type":"client_credentials"}`, "application/json", 400, "oauth.invalid_request"},
		{"another grant is refused", strings.Replace(good, "client_credentials", "password", 1), formType, 400, "oauth.invalid_grant_type"},
		{"a missing scope is refused", strings.TrimSuffix(good, "&scope=token"), formType, 400, "oauth.invalid_scope"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := b.send(http.MethodPost, "/api/v2/oauth2/token", tt.body, "Content-Type", tt.kind)
			if a.status != tt.status || a.doc["errorCode"] != tt.code || a.doc["trackingId"] == nil {
				t.Errorf("got %d %s, want %d %s", a.status, a.raw, tt.status, tt.code)
			}
		})
	}
	for _, e := range b.Journal() {
		if strings.Contains(e.Body, "s3cret") {
			t.Errorf("the journal holds the secret: %s", e.Body)
		}
	}
}

func TestTokenLife(t *testing.T) {
	b := newBench(t, func(o *Options) { o.TokenLife = time.Minute })
	token := b.token("app", "s3cret")
	if a := b.as(token, "GET", "/whoami/v1", ""); a.status != 200 {
		t.Fatalf("a fresh token answers %d", a.status)
	}
	b.pass(time.Minute)
	if a := b.as(token, "GET", "/whoami/v1", ""); a.status != 401 || a.doc["message"] != nil || a.doc["error"] != "Unauthorized" {
		t.Errorf("an expired token answers %d %s, want a minimal 401", a.status, a.raw)
	}
	token = b.token("app", "s3cret")
	b.RevokeTokens()
	if a := b.as(token, "GET", "/whoami/v1", ""); a.status != 401 {
		t.Errorf("a revoked token answers %d, want 401", a.status)
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	b := newBench(t, nil)
	b.Put(tenantID, map[string]any{"id": device1})
	app, reader := b.token("app", "s3cret"), b.token("reader", "r3ader")
	const one = "/endpoint/v1/endpoints/" + device1
	for _, tt := range []struct {
		name, token, tenant, method, path string
		prepare                           func(*Switches)
		status                            int
		message                           any
	}{
		{"no token is unauthorized", "", tenantID, "GET", one, nil, 401, nil},
		{"a made-up token is unauthorized", "abc", tenantID, "GET", one, nil, 401, nil},
		{"no tenant is unauthorized", app, "", "GET", one, nil, 401, nil},
		{"no tenant is a bad request where so switched", app, "", "GET", one, func(w *Switches) { w.MissingTenant = 400 }, 400, "Bad request."},
		{"another tenant is forbidden", app, nobody, "GET", one, nil, 403, "Forbidden"},
		{"the tenant is compared case-blind", app, strings.ToUpper(tenantID), "GET", one, nil, 200, nil},
		{"a reader may read", reader, tenantID, "GET", one, nil, 200, nil},
		{"a reader may not delete", reader, tenantID, "DELETE", one, nil, 403, "Access is denied"},
		{"a reader may not delete in bulk", reader, tenantID, "POST", "/endpoint/v1/endpoints/delete", nil, 403, "Access is denied"},
		{"an unknown route says nothing of a device", app, tenantID, "GET", "/endpoint/v9/endpoints", nil, 403, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b.Switch(func(w *Switches) {
				*w = Switches{}
				if tt.prepare != nil {
					tt.prepare(w)
				}
			})
			a := b.send(tt.method, tt.path, "{}", "Authorization", "Bearer "+tt.token, "X-Tenant-ID", tt.tenant)
			if a.status != tt.status || a.doc["message"] != tt.message {
				t.Errorf("got %d %s, want %d %v", a.status, a.raw, tt.status, tt.message)
			}
			if got, want := a.header.Get("Date"), b.now().Format(http.TimeFormat); got != want {
				t.Errorf("Date is %q, want the simulator's clock %q", got, want)
			}
		})
	}
}

func TestWhoamiByKindOfCredential(t *testing.T) {
	for _, kind := range []string{TenantCredential, PartnerCredential, OrganizationCredential} {
		t.Run(kind, func(t *testing.T) {
			b := newBench(t, func(o *Options) { o.IDType = kind })
			hosts := map[string]any{"global": b.srv.URL}
			if kind == TenantCredential {
				hosts["dataRegion"] = b.srv.URL
			}
			want := map[string]any{"id": tenantID, "idType": kind, "apiHosts": hosts}
			if d := cmp.Diff(want, b.app("GET", "/whoami/v1", "").doc); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestTenantLists(t *testing.T) {
	for kind, header := range map[string]string{PartnerCredential: "X-Partner-ID", OrganizationCredential: "X-Organization-ID"} {
		t.Run(kind, func(t *testing.T) {
			b := newBench(t, func(o *Options) { o.IDType = kind; o.ID = nobody })
			b.AddTenant(Tenant{ID: device1, Name: "Hostless", NoAPIHost: true})
			b.AddTenant(Tenant{ID: device2, Name: "Refused", Refused: true})
			token := b.token("app", "s3cret")
			get := func(path, id string) answered {
				return b.send("GET", "/"+kind+"/v1/tenants"+path, "", "Authorization", "Bearer "+token, header, id)
			}
			page := get("?pageSize=2&page=2&pageTotal=True", nobody)
			want := map[string]any{"current": 2., "size": 2., "total": 2., "items": 3., "maxSize": 100.}
			if d := cmp.Diff(want, page.doc["pages"]); d != "" || len(page.doc["items"].([]any)) != 1 {
				t.Errorf("second page: %s %s", d, page.raw)
			}
			if a := get("/"+tenantID, nobody); a.doc["apiHost"] != b.srv.URL {
				t.Errorf("a tenant: %d %s", a.status, a.raw)
			}
			if a := get("/"+device1, nobody); a.status != 200 || a.doc["apiHost"] != nil {
				t.Errorf("a tenant without a host: %d %s", a.status, a.raw)
			}
			for path, status := range map[string]int{"/" + device2: 200, "/" + nobody: 404, "?pageSize=101": 400} {
				if a := get(path, nobody); a.status != status {
					t.Errorf("%s answers %d, want %d", path, a.status, status)
				}
			}
			if a, b := get("", "").status, get("", tenantID).status; a != 401 || b != 403 {
				t.Errorf("without and with a wrong header: %d and %d, want 401 and 403", a, b)
			}
			refused := b.send("GET", "/endpoint/v1/endpoints", "", "Authorization", "Bearer "+token, "X-Tenant-ID", device2)
			if refused.status != 403 {
				t.Errorf("a listed tenant that is not managed answers %d, want 403", refused.status)
			}
		})
	}
}

func TestRegionServesDevicesAlone(t *testing.T) {
	b := newBench(t, func(o *Options) { o.RegionURL = "http://elsewhere.example.test" })
	if a := b.app("GET", "/endpoint/v1/endpoints", ""); a.status != 403 {
		t.Errorf("devices at the global host answer %d, want 403", a.status)
	}
}

// walk reads all pages; it returns the ids in order and the number of pages.
func walk(b *bench, query string) (ids []string, pages int) {
	b.tb.Helper()
	token, key := b.token("app", "s3cret"), ""
	for pages = 1; ; pages++ {
		a := b.as(token, "GET", "/endpoint/v1/endpoints?"+query+key, "")
		if a.status != 200 {
			b.tb.Fatalf("page %d: %d %s", pages, a.status, a.raw)
		}
		for _, item := range a.doc["items"].([]any) {
			ids = append(ids, text(at(item, "id")))
		}
		next := text(at(a.doc, "pages", "nextKey"))
		if next == "" {
			return ids, pages
		}
		key = "&pageFromKey=" + url.QueryEscape(next)
	}
}

func TestPaging(t *testing.T) {
	b := newBench(t, nil)
	fleet(b, 120)
	ids, pages := walk(b, "sort=id&pageSize=50")
	if len(ids) != 120 || pages != 3 || !slices.IsSorted(ids) {
		t.Errorf("sorted: %d devices on %d pages, want 120 on 3 in order", len(ids), pages)
	}
	newest, _ := walk(b, "sort=lastSeenAt:desc&pageSize=7")
	if len(newest) != 120 || newest[0] != ids[0] || newest[119] != ids[119] {
		t.Errorf("newest first: %d devices from %s to %s", len(newest), newest[0], newest[len(newest)-1])
	}
	first := b.app("GET", "/endpoint/v1/endpoints", "")
	if d := cmp.Diff(map[string]any{"size": 50., "maxSize": 500., "nextKey": at(first.doc, "pages", "nextKey")}, first.doc["pages"]); d != "" {
		t.Errorf("default page: %s", d)
	}
	key := text(at(first.doc, "pages", "nextKey"))
	if !strings.HasSuffix(key, "+/=") {
		t.Errorf("page key %q would survive without escapes", key)
	}
	if a := b.app("GET", "/endpoint/v1/endpoints?pageFromKey="+key, ""); a.status != 400 {
		t.Errorf("a key that was not escaped answers %d, want 400", a.status)
	}
	if a := b.app("GET", "/endpoint/v1/endpoints?pageKey="+url.QueryEscape(key), ""); at(a.doc, "pages", "nextKey") != key {
		t.Errorf("an unknown parameter is not ignored: %s", a.raw)
	}
	total := b.app("GET", "/endpoint/v1/endpoints?pageTotal=true&pageSize=50", "")
	if at(total.doc, "pages", "items") != 120. || at(total.doc, "pages", "total") != 3. {
		t.Errorf("totals: %v", total.doc["pages"])
	}
}

func TestPageSizeOverTheMaximum(t *testing.T) {
	b := newBench(t, nil)
	if a := b.app("GET", "/endpoint/v1/endpoints?pageSize=501", ""); a.status != 400 {
		t.Errorf("refusing: %d, want 400", a.status)
	}
	b.Switch(func(w *Switches) { w.ClampPages = true })
	if a := b.app("GET", "/endpoint/v1/endpoints?pageSize=501", ""); at(a.doc, "pages", "size") != 500. {
		t.Errorf("clamping: %d %s", a.status, a.raw)
	}
}

func TestDisorderLosesDevicesUnlessSorted(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Disorder = true })
	fleet(b, 200)
	unsorted, _ := walk(b, "pageSize=20")
	slices.Sort(unsorted)
	if n := len(slices.Compact(unsorted)); n == 200 {
		t.Errorf("without sort all %d devices came back", n)
	}
	sorted, _ := walk(b, "pageSize=20&sort=id")
	if n := len(slices.Compact(sorted)); n != 200 {
		t.Errorf("with sort %d devices came back, want 200", n)
	}
}

func TestFilters(t *testing.T) {
	b := newBench(t, nil)
	b.Put(tenantID, map[string]any{"id": strings.ToUpper(device1), "type": "computer", "hostname": "WS-FINANCE-01", "online": true,
		"health": map[string]any{"overall": "good"}, "os": map[string]any{"name": "Windows 11 Pro"}, "serialNumber": "SYN77",
		"lastSeenAt": stamp(b.now().Add(-24 * time.Hour)), "macAddresses": []any{"02:00:5E:10:00:01"}, "ipv4Addresses": []any{"10.1.2.3"},
		"associatedPerson": map[string]any{"name": "Anna Berg"}, "isolation": map[string]any{"status": "isolated"}})
	b.Put(tenantID, map[string]any{"id": device2, "type": "server", "hostname": "ws-finance-99", "lastSeenAt": "2026-01-02T03:04:05Z"})
	b.Put(tenantID, map[string]any{"id": nobody})
	for _, tt := range []struct {
		query string
		ten   bool
		want  string // first digits of the ids
	}{
		{"hostnameContains=FINANCE-01", false, "1"},
		{"hostnameContains=WS-FINANCE-01", true, "12"},
		{"hostnameContains=WS-FINANCE-01", false, "1"},
		{"groupNameContains=nothing&groupIds=x&assignedToGroup=true", false, "012"},
		{"nonsense=1", false, "012"},
		{"search=anna", false, "1"},
		{"search=anna&searchFields=hostname", false, ""},
		{"search=windows&searchFields=osName", false, "1"},
		{"ids=" + device1 + "," + strings.ToUpper(device2), false, "12"},
		{"type=server", false, "2"},
		{"online=TRUE", false, "1"},
		{"healthStatus=good,bad", false, "1"},
		{"isolationStatus=isolated", false, "1"},
		{"serialNumberContains=syn7", false, "1"},
		{"associatedPersonContains=berg", false, "1"},
		{"macAddresses=02-00-5e-10-00-01", false, "1"},
		{"ipAddresses=10.1.2.3", false, "1"},
		{"lastSeenBefore=-P90D", false, "2"},
		{"lastSeenAfter=-P90D", false, "1"},
		{"lastSeenAfter=-PT24H", false, "1"},
		{"lastSeenBefore=-P1D", false, "2"},
		{"lastSeenAfter=2026-01-02T03:04:05Z", false, "12"},
		{"lastSeenBefore=2026-01-02T03:04:05.000Z", false, ""},
	} {
		t.Run(tt.query, func(t *testing.T) {
			b.Switch(func(w *Switches) { w.TenCharacters = tt.ten })
			ids, _ := walk(b, "sort=id&"+tt.query)
			got := ""
			for _, id := range ids {
				got += id[:1]
			}
			if got != tt.want {
				t.Errorf("devices %q, want %q", got, tt.want)
			}
		})
	}
	for _, bad := range []string{"lastSeenAfter=2026-01-02T03:04:05", "lastSeenBefore=P", "lastSeenBefore=-PT", "ids=7", "type=toaster",
		"online=perhaps", "view=everything", "pageSize=0", "pageSize=x", "pageTotal=7", "healthStatus=fine"} {
		if a := b.app("GET", "/endpoint/v1/endpoints?"+bad, ""); a.status != 400 || a.doc["error"] != "badRequest" {
			t.Errorf("%s answers %d %s, want 400", bad, a.status, a.raw)
		}
	}
}

func TestViews(t *testing.T) {
	b := newBench(t, nil)
	b.Put(tenantID, map[string]any{"id": device1, "hostname": "A", "online": false, "cloned": true, "unheardOf": 1})
	for query, want := range map[string]map[string]any{
		"view=basic":    {"id": device1, "hostname": "A"},
		"":              {"id": device1, "hostname": "A", "online": false},
		"view=summary":  {"id": device1, "hostname": "A", "online": false},
		"view=full":     {"id": device1, "hostname": "A", "online": false, "cloned": true, "unheardOf": 1.},
		"fields=cloned": {"id": device1, "cloned": true},
	} {
		if d := cmp.Diff(want, b.app("GET", "/endpoint/v1/endpoints/"+device1+"?"+query, "").doc); d != "" {
			t.Errorf("one, %q: %s", query, d)
		}
		list := b.app("GET", "/endpoint/v1/endpoints?"+query, "")
		if d := cmp.Diff([]any{want}, list.doc["items"]); d != "" {
			t.Errorf("list, %q: %s", query, list.raw)
		}
	}
}

func TestAgoMovesWithTheClock(t *testing.T) {
	b := newBench(t, nil)
	b.Put(tenantID, map[string]any{"id": device1, "lastSeenAt": Ago(2 * time.Minute)})
	for range 2 {
		r, _ := b.Get(tenantID, device1)
		if want := stamp(b.now().Add(-2 * time.Minute)); r["lastSeenAt"] != want {
			t.Errorf("last seen %v, want %v", r["lastSeenAt"], want)
		}
		b.pass(time.Hour)
	}
}
