package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"rollcall"
	"rollcall/api"
	"rollcall/internal/action"
)

func TestHealth(t *testing.T) {
	stopping := make(chan struct{})
	e := newEdge(t, func(c *Config) { c.Stopping = stopping })
	noKey := header("Authorization", "")
	status := func(path string) int { return e.send(t, "GET", path, "", noKey).Code }
	if status("/livez") != 200 || status("/readyz") != 200 {
		t.Error("a service that is well is not alive and ready")
	}
	e.ready = errors.New("dial redis.example.test: refused")
	w := e.send(t, "GET", "/readyz", "", noKey)
	wantError(t, w, 503, "state_unavailable")
	if strings.Contains(w.Body.String(), "redis") || !strings.Contains(e.log.String(), "redis.example.test") {
		t.Errorf("answer %s, log %s", w.Body, e.log)
	}
	e.ready = nil
	close(stopping)
	wantError(t, e.send(t, "GET", "/readyz", "", noKey), 503, "state_unavailable")
	if status("/livez") != 200 {
		t.Error("a service that stops is not alive")
	}
}

func TestMeTellsTheKeyAndTheSetUp(t *testing.T) {
	e := newEdge(t, func(c *Config) { c.Weak = func() []string { return []string{"appendfsync is not always."} } })
	got := into[api.Me](t, e.send(t, "GET", "/v1/me", "", as(meKey), header("X-Request-ID", "r-1")))
	if got.Name != "me" || strings.Join(got.Scopes, " ") != "ingest" || got.Mode != "dry-run" || got.Version != "1.2.3" ||
		got.PolicyVersion != "sha256:abc" || len(got.WeakSpots) != 1 || got.RequestID != "r-1" {
		t.Errorf("%+v", got)
	}
	if body := newEdge(t).send(t, "GET", "/v1/me", "").Body.String(); !strings.Contains(body, `"weakSpots":[]`) {
		t.Errorf("no weak spots: %s", body)
	}
}

func TestDocumentsAreServed(t *testing.T) {
	e := newEdge(t, func(c *Config) { c.Spec = rollcall.OpenAPI() })
	noKey := header("Authorization", "")
	w := e.send(t, "GET", "/openapi.yaml", "", noKey)
	if w.Body.String() != string(rollcall.OpenAPI()) || w.Header().Get("Content-Type") != "application/yaml" {
		t.Errorf("openapi.yaml: %d bytes of %s", w.Body.Len(), w.Header().Get("Content-Type"))
	}
	w = e.send(t, "GET", "/openapi.json", "", noKey)
	doc, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	if err != nil || !json.Valid(w.Body.Bytes()) || doc.OpenAPI != "3.0.3" || doc.Paths.Find(deletePath) == nil {
		t.Errorf("openapi.json: %v", err)
	}
	var v2 struct {
		Swagger string
		Paths   map[string]any
	}
	if err := json.Unmarshal(e.send(t, "GET", "/swagger.json", "", noKey).Body.Bytes(), &v2); err != nil || v2.Swagger != "2.0" || v2.Paths[deletePath] == nil {
		t.Errorf("swagger.json: %v, version %q", err, v2.Swagger)
	}
}

func TestTheDocsPageNeedsNobodyElse(t *testing.T) {
	e := newEdge(t)
	noKey := header("Authorization", "")
	w := e.send(t, "GET", "/docs", "", noKey)
	page := w.Body.String()
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") || !strings.Contains(page, "/openapi.json") {
		t.Fatalf("%d %s %s", w.Code, w.Header(), page)
	}
	if outside := regexp.MustCompile(`(?:https?:)?//[a-z0-9-]+\.[a-z]`).FindString(page); outside != "" {
		t.Errorf("the page names the outside host %q", outside)
	}
	if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'self';") {
		t.Errorf("Content-Security-Policy %q", csp)
	}
	assets := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(assets) < 3 {
		t.Fatalf("the page loads %v", assets)
	}
	for _, a := range assets {
		w := e.send(t, "GET", a[1], "", noKey)
		if w.Code != 200 || w.Body.Len() == 0 || strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d, %s", a[1], w.Code, w.Header().Get("Content-Type"))
		}
	}
	if w := e.send(t, "GET", "/docs/nothing.js", "", noKey); w.Code != 404 {
		t.Errorf("a missing asset: %d", w.Code)
	}
}

func TestAnswersAreNotGuessedAtOrKept(t *testing.T) {
	e := newEdge(t)
	for _, path := range []string{"/v1/me", "/v1/exclusions", "/livez", "/docs", "/nothing"} {
		h := e.send(t, "GET", path, "").Header()
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

func TestMetricsCountRequestsAndOutcomes(t *testing.T) {
	e := newEdge(t)
	e.send(t, "POST", verifyPath, bodyFile(t, "verify-live"))
	e.send(t, "GET", "/v1/devices/"+endpointID+"?tenantId="+tenantID, "")
	e.send(t, "GET", "/nothing/"+otherID, "")
	e.books.exclusions, e.books.err = someExclusions(), errors.New("x")
	mustAbort(t, func() { e.send(t, "GET", "/v1/exclusions", "") })
	w := e.send(t, "GET", "/metrics", "", header("Authorization", ""))
	text := w.Body.String()
	for _, want := range []string{
		`rollcall_http_requests_total{route="/v1/actions/verify-live",status="200"} 1`,
		`rollcall_http_requests_total{route="/v1/devices/:endpointId",status="404"} 1`,
		`rollcall_http_requests_total{route="none",status="404"} 1`,
		`rollcall_http_requests_total{route="/v1/exclusions",status="cut"} 1`,
		`rollcall_http_request_seconds_count{route="/v1/actions/verify-live",status="200"} 1`,
		`rollcall_action_outcomes_total{action="verify-live",outcome="inactive",reason_code="INACTIVE"} 1`,
		"go_goroutines", "process_open_fds",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, id := range []string{endpointID, otherID, tenantID, "WS-FIN"} {
		if strings.Contains(text, id) {
			t.Errorf("the metrics hold %s", id)
		}
	}
	if kind := w.Header().Get("Content-Type"); !strings.HasPrefix(kind, "text/plain") {
		t.Errorf("Content-Type %q", kind)
	}
}

// Vitals is what the store of these tests holds, within the time that a scrape has.
func (f *fakeBooks) Vitals(ctx context.Context) (action.Vitals, error) {
	till, bounded := ctx.Deadline()
	if !bounded || time.Until(till) > time.Second {
		return action.Vitals{}, errors.New("a scrape must not wait for the store for long")
	}
	return action.Vitals{
		Failures:     map[string]int{"verify": 3, "come-back": 1},
		CircuitsOpen: 2, Paused: 4, Unsettled: 5, Unexported: 6, SnapshotsFailing: 7,
	}, f.err
}

func TestMetricsShowWhatAnAlertMayBeSetOn(t *testing.T) {
	w := newEdge(t).send(t, "GET", "/metrics", "", header("Authorization", ""))
	for _, want := range []string{
		`rollcall_failures{kind="verify"} 3`, `rollcall_failures{kind="delete"} 0`, `rollcall_failures{kind="come-back"} 1`,
		"rollcall_circuits_open 2", "rollcall_paused 4", "rollcall_deletes_unsettled 5", "rollcall_audit_unexported 6", "rollcall_rolls_failing 7", "rollcall_state_up 1",
	} {
		if !strings.Contains(w.Body.String(), "\n"+want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}

// What is not known is absent, not 0; the metrics of the process itself are there.
func TestMetricsOfAStoreThatDoesNotAnswerAreAbsent(t *testing.T) {
	e := newEdge(t)
	e.books.err = errors.New("away")
	w := e.send(t, "GET", "/metrics", "", header("Authorization", ""))
	text := w.Body.String()
	if w.Code != 200 || !strings.Contains(text, "\nrollcall_state_up 0\n") || !strings.Contains(text, "go_goroutines") {
		t.Errorf("%d, without rollcall_state_up 0", w.Code)
	}
	for _, name := range []string{"rollcall_failures", "rollcall_circuits_open", "rollcall_paused", "rollcall_deletes_unsettled", "rollcall_audit_unexported", "rollcall_rolls_failing"} {
		if strings.Contains(text, "\n"+name) {
			t.Errorf("%s is shown", name)
		}
	}
}

// mustAbort fails unless f cuts its connection.
func mustAbort(tb testing.TB, f func()) {
	tb.Helper()
	defer func() {
		p := recover()
		if err, ok := p.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			tb.Errorf("recovered %v, want ErrAbortHandler", p)
		}
	}()
	f()
}

func TestEveryRequestIsOneLogLine(t *testing.T) {
	e := newEdge(t)
	e.send(t, "POST", verifyPath, bodyFile(t, "verify-live"))
	var line map[string]any
	if err := json.Unmarshal(e.log.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, e.log)
	}
	for field, want := range map[string]any{
		"level": "info", "route": verifyPath, "method": "POST", "status": 200.0, "requestId": "req-0427-1", "key": "all",
		"action": "verify-live", "outcome": "inactive", "reasonCode": "INACTIVE", "tenantId": tenantID, "endpointId": endpointID, "ms": 0.0,
	} {
		if line[field] != want {
			t.Errorf("%s = %v, want %v", field, line[field], want)
		}
	}
	for path, level := range map[string]string{"/livez": "debug", "/metrics": "debug", "/v1/me": "info", "/v1/tickets/1": "info"} {
		e.log.Reset()
		e.send(t, "GET", path, "")
		if got := e.log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"level":"`+level+`"`) {
			t.Errorf("%s: %s, want one line of level %s", path, got, level)
		}
	}
	e.log.Reset()
	e.books.exclusions, e.books.err = someExclusions(), errors.New("the store went away")
	mustAbort(t, func() { e.send(t, "GET", "/v1/exclusions", "") })
	if got := e.log.String(); !strings.Contains(got, `"cut":true`) || !strings.Contains(got, "the store went away") || !strings.Contains(got, `"level":"error"`) {
		t.Errorf("a cut answer: %s", got)
	}
}

func TestNoLogLineHoldsASecret(t *testing.T) {
	e := newEdge(t)
	answer := into[api.Answer](t, e.send(t, "POST", evaluatePath, bodyFile(t, "evaluate")))
	token := *answer.Token
	wrong := "wrong-key-0427"
	e.send(t, "POST", deletePath, `{"token":"`+token+`"}`)
	e.send(t, "POST", deletePath, `{"token":"`+token[:len(token)-1]+`"}`)
	e.send(t, "POST", openPath, `{"token":"`+token+`","ticketId":"1"}`)
	e.send(t, "POST", deletePath, `{"`+token+`":1}`)
	e.send(t, "POST", deletePath, `{"token":{"`+token+`":1,"`+token+`":2}}`)
	e.send(t, "GET", "/v1/me", "", as(wrong))
	e.send(t, "GET", "/v1/me", "", header("Authorization", "Basic "+wrong))
	e.send(t, "GET", "/v1/tickets/"+wrong+"?key="+wrong, "", header("X-API-Key", wrong))
	e.send(t, "GET", "/"+wrong, "", header("Cookie", wrong))
	if strings.Count(e.log.String(), "\n") != 10 {
		t.Fatalf("want 10 lines: %s", e.log)
	}
	for _, secret := range []string{token[:40], allKey, wrong, Digest(allKey)} {
		if strings.Contains(e.log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestNewRefusesWhatCanNotWork(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no runner": func(c *Config) { c.Runner = nil }, "no books": func(c *Config) { c.Books = nil },
		"no keys": func(c *Config) { c.Keys = nil }, "no readiness": func(c *Config) { c.Ready = nil },
		"no rate": func(c *Config) { c.KeyRate = 0 }, "no spec": func(c *Config) { c.Spec = nil }, "a broken spec": func(c *Config) { c.Spec = []byte("{") },
		"a spec without parts": func(c *Config) { c.Spec = []byte("openapi: 3.0.3") },
	} {
		cfg := Config{
			Runner: &action.Runner{}, Books: &fakeBooks{}, Keys: func() *Keys { return nil }, KeyRate: 1, Spec: rollcall.OpenAPI(),
			Ready: nil,
		}
		cfg.Ready = newReady()
		change(&cfg)
		if h, err := New(cfg); err == nil || h != nil {
			t.Errorf("%s: New = %v, %v, want an error", name, h, err)
		}
	}
}
