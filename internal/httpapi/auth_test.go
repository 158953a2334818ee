package httpapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/api"
)

func TestKeysArriveInFourWays(t *testing.T) {
	e := newEdge(t)
	basic := func(user, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(user, password) }
	}
	for name, c := range map[string]struct {
		edit []func(*http.Request)
		ok   bool
	}{
		"bearer":                        {[]func(*http.Request){header("Authorization", "Bearer "+allKey)}, true},
		"bearer in another case":        {[]func(*http.Request){header("Authorization", "bEARER  "+allKey+" ")}, true},
		"the bare header":               {[]func(*http.Request){header("Authorization", allKey)}, true},
		"a header of its own":           {[]func(*http.Request){header("Authorization", ""), header("X-API-Key", allKey)}, true},
		"basic's password":              {[]func(*http.Request){basic("anyone", allKey)}, true},
		"basic with a proxy in between": {[]func(*http.Request){basic("proxy", "x"), header("X-API-Key", allKey)}, true},
		"none":                          {[]func(*http.Request){header("Authorization", "")}, false},
		"an empty bearer":               {[]func(*http.Request){header("Authorization", "Bearer ")}, false},
		"a wrong key":                   {[]func(*http.Request){as("wrong")}, false},
		"the key cut by one":            {[]func(*http.Request){as(allKey[:len(allKey)-1])}, false},
		"the key in another case":       {[]func(*http.Request){as(strings.ToUpper(allKey))}, false},
		"the key's digest":              {[]func(*http.Request){as(Digest(allKey))}, false},
		"basic's user":                  {[]func(*http.Request){basic(allKey, "")}, false},
		"basic that is no base64":       {[]func(*http.Request){header("Authorization", "Basic "+allKey)}, false},
		"a key in the query":            {[]func(*http.Request){header("Authorization", ""), func(r *http.Request) { r.URL.RawQuery = "token=" + allKey }}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := e.send(t, "GET", "/v1/me", "", c.edit...)
			if c.ok {
				if got := into[api.Me](t, w); got.Name != "all" {
					t.Errorf("taken for %q", got.Name)
				}
				return
			}
			wantError(t, w, 401, "unauthorized")
			if w.Header().Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("WWW-Authenticate = %q", w.Header().Get("WWW-Authenticate"))
			}
		})
	}
}

func TestWithoutAKeyNothingElseIsLookedAt(t *testing.T) {
	e := newEdge(t)
	for _, c := range []struct{ name, method, path, body string }{
		{"a route", "GET", "/v1/tickets", ""},
		{"a bad query", "GET", "/v1/exclusions?kind=x", ""},
		{"no JSON", "POST", evaluatePath, "{"},
		{"a body that is too large", "POST", evaluatePath, padded(1<<20 + 1)},
		{"another media type", "POST", evaluatePath, ""},
		{"no such route", "GET", "/v1/nothing", ""},
		{"the base path", "GET", "/v1", ""},
		{"a wrong method", "PUT", evaluatePath, ""},
		{"an escaped path", "GET", "/v1/%6de", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := e.send(t, c.method, c.path, c.body, as("wrong"))
			wantError(t, w, 401, "unauthorized")
			if w.Header().Get("Allow") != "" {
				t.Errorf("Allow = %q", w.Header().Get("Allow"))
			}
		})
	}
}

func TestWhatIsNoRoute(t *testing.T) {
	e := newEdge(t)
	for _, path := range []string{"/", "/v2/me", "/favicon.ico", "/v1x", "/livez/", "/..", "/v1/me/", "/v1/", "/v1/%6de", "/v1/actions/%64elete", "/v1//me"} {
		wantError(t, e.send(t, "GET", path, ""), 404, "not_found")
	}
	for _, c := range []struct{ method, path, allow string }{
		{"GET", deletePath, "POST"}, {"DELETE", "/v1/devices/" + endpointID, "GET, HEAD"}, {"PUT", "/livez", "GET, HEAD"}, {"POST", "/v1/me", "GET, HEAD"},
	} {
		w := e.send(t, c.method, c.path, "")
		wantError(t, w, 405, "method_not_allowed")
		if got := w.Header().Get("Allow"); got != c.allow {
			t.Errorf("%s %s: Allow %q, want %q", c.method, c.path, got, c.allow)
		}
	}
}

// needed is what each route that asks for a scope asks for.
func needed() map[string][]string {
	return map[string][]string{
		"POST " + verifyPath:                          {"verify"},
		"POST " + evaluatePath:                        {"evaluate"},
		"POST " + verifyPath + "/batch":               {"verify"},
		"POST " + evaluatePath + "/batch":             {"evaluate"},
		"POST " + deletePath:                          {"delete"},
		"POST " + openPath:                            {"ticket"},
		"POST " + closePath:                           {"ticket"},
		"GET /v1/exclusions":                          {"read"},
		"GET /v1/tickets":                             {"read"},
		"GET /v1/tickets/HELP-1":                      {"read"},
		"GET /v1/failures":                            {"read"},
		"POST /v1/failures/" + endpointID + "/ack":    {"ticket"},
		"GET /v1/audit":                               {"read"},
		"GET /v1/devices":                             {"read"},
		"GET /v1/devices/" + endpointID:               {"read"},
		"GET /v1/devices/" + endpointID + "/recovery": {"read"},
		"GET /v1/decisions":                           {"read"},
		"GET /v1/inventory":                           {"read"},
		"POST /v1/policy/replay":                      {"admin"},
		"POST /v1/admin/pause":                        {"admin", "delete"},
		"POST /v1/admin/resume":                       {"admin"},
		"POST /v1/admin/circuit-reset":                {"admin"},
		"GET /v1/me":                                  nil,
	}
}

func TestEveryRouteHasItsScopeAndNoOther(t *testing.T) {
	e := newEdge(t)
	s := &server{docs: &docs{}}
	if got, want := len(needed()), len(s.routes())-8; got != want {
		t.Fatalf("%d routes are in the table, %d need a key", got, want)
	}
	for route, scopes := range needed() {
		method, path, _ := strings.Cut(route, " ")
		for _, scope := range Scopes() {
			t.Run(route+" with "+scope+" only", func(t *testing.T) {
				w := e.send(t, method, path, "", as("only-"+scope))
				allowed := len(scopes) == 0 || strings.Contains(strings.Join(scopes, " "), scope)
				if allowed == (w.Code == http.StatusForbidden) {
					t.Fatalf("status %d with scope %s, needed is one of %q", w.Code, scope, scopes)
				}
				if !allowed {
					if got := wantError(t, w, 403, "forbidden"); !strings.HasSuffix(got.Detail, " "+strings.Join(scopes, " or ")) {
						t.Errorf("detail %q does not name %q", got.Detail, scopes)
					}
				}
			})
		}
	}
}

func TestADecisionToDeleteNeedsApprove(t *testing.T) {
	e := newEdge(t)
	body := bodyFile(t, "ticket-close")
	if got := wantError(t, e.send(t, "POST", closePath, body, as("without-approve")), 403, "forbidden"); !strings.Contains(got.Detail, "approve") {
		t.Errorf("detail %q does not name approve", got.Detail)
	}
	wantError(t, e.send(t, "POST", closePath, body, as("only-approve")), 403, "forbidden")
	if w := e.send(t, "POST", closePath, body); w.Code != 200 {
		t.Errorf("with both: %d %s", w.Code, w.Body)
	}
	keep := strings.Replace(body, `"delete"`, `"keep"`, 1)
	if w := e.send(t, "POST", closePath, keep, as("without-approve")); w.Code != 200 {
		t.Errorf("keep without approve: %d %s", w.Code, w.Body)
	}
}

func TestAChangeThatNeedsApproveNamesIt(t *testing.T) {
	e := newEdge(t)
	verdict := into[api.Answer](t, e.send(t, "POST", evaluatePath, bodyFile(t, "evaluate")))
	for _, step := range []struct{ path, body string }{
		{openPath, `{"ticketId":"HELP-1","openedBy":"b","token":"` + *verdict.Token + `"}`},
		{closePath, `{"ticketId":"HELP-1","decision":"keep","decidedBy":"a"}`},
	} {
		if w := e.send(t, "POST", step.path, step.body); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	w := e.send(t, "POST", closePath, `{"ticketId":"HELP-1","decision":"none","decidedBy":"a"}`, as("without-approve"))
	if got := wantError(t, w, 403, "forbidden"); !strings.HasSuffix(got.Detail, "approve") {
		t.Errorf("detail %q", got.Detail)
	}
}

func TestAKeyHasARateOfItsOwn(t *testing.T) {
	e := newEdge(t, func(c *Config) { c.KeyRate = 2 })
	for range 2 {
		if w := e.send(t, "GET", "/v1/me", ""); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	w := e.send(t, "GET", "/v1/me", "")
	wantError(t, w, 429, "rate_limited")
	if w.Header().Get("Retry-After") != "1" {
		t.Errorf("Retry-After = %q", w.Header().Get("Retry-After"))
	}
	if w := e.send(t, "GET", "/v1/me", "", as(meKey)); w.Code != 200 {
		t.Errorf("another key: %d", w.Code)
	}
	if w := e.send(t, "GET", "/livez", ""); w.Code != 200 {
		t.Errorf("a route without key: %d", w.Code)
	}
	e.now = e.now.Add(time.Second)
	if w := e.send(t, "GET", "/v1/me", ""); w.Code != 200 {
		t.Errorf("a second later: %d", w.Code)
	}
}
