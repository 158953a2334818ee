package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall"
	"rollcall/internal/action"
	"rollcall/internal/centralsim"
)

// The whole contract is driven against the running service: every route, every
// example, every reason code and error must be shown at least once, and each
// answer fits its schema.
func TestTheContractIsShownWhole(t *testing.T) {
	c := newContract(t)
	for name, scene := range map[string]func(t *testing.T, c *contract){
		"verdicts": sceneVerdicts, "deletes": sceneDeletes, "tickets": sceneTickets, "books": sceneBooks,
		"deferred": sceneDeferred, "limits": sceneLimits, "batch": sceneBatch, "verify": sceneVerify, "errors": sceneErrors,
		"sheets": sceneSheets, "inventory": sceneInventory,
	} {
		t.Run(name, func(t *testing.T) { scene(t, c) })
	}
	for _, m := range c.Missing() {
		t.Errorf("never shown: %s", m)
	}
}

// want fails the test unless the answer has the outcome.
func (s *system) want(a answer, outcome, code string) answer {
	s.t.Helper()
	if a.is("outcome") != outcome || code != "" && a.is("reasonCode") != code {
		s.t.Errorf("%s %s %q, want %s %s", a.is("outcome"), a.is("reasonCode"), a.codes(), outcome, code)
	}
	return a
}

func sceneVerdicts(t *testing.T, c *contract) {
	s := newSystem(t, setup{contract: c})
	s.change(labGroupToo)
	for _, d := range s.sample {
		s.want(s.act("evaluate", map[string]any{"event": d.Event}), d.Verdict, d.Want)
	}
	silent := newSystem(t, setup{contract: c})
	silent.change(func(r *action.Rules) { r.Params.NewestWithin = time.Nanosecond })
	silent.want(silent.evaluate("eligible"), "skip", "FLEET_SILENT")
}

func sceneVerify(t *testing.T, c *contract) {
	s := newSystem(t, setup{contract: c})
	for label, outcome := range map[string]string{
		"eligible": "inactive", "online": "active", "active-since-event": "active", "gone": "not_found", "renamed": "mismatch",
	} {
		s.want(s.act("verify-live", map[string]any{"event": s.sample[label].Event, "requestId": "r-1"}), outcome, "")
	}
	text, err := json.Marshal(s.sample["eligible"].Event)
	if err != nil {
		t.Fatal(err)
	}
	s.want(s.act("verify-live", map[string]any{"event": string(text)}), "inactive", "")
	s.fault(centralsim.Fault{Method: "GET", Status: 500})
	s.want(s.act("verify-live", map[string]any{"event": s.sample["eligible"].Event}), "unverified", "VERIFY_FAILED")
}

func sceneDeletes(t *testing.T, c *contract) {
	s := newSystem(t, setup{contract: c})
	seen := s.act("verify-live", map[string]any{"event": s.sample["eligible"].Event})
	verdict := s.act("evaluate", map[string]any{"event": s.sample["eligible"].Event, "evidence": seen.is("token"), "requestId": "r-2"})
	record, _ := s.sim.Get(tenant, s.device())
	s.want(s.act("delete", map[string]any{"token": verdict.is("token"), "requestId": "r-3"}), "deleted", "ELIGIBLE")
	s.want(s.remove(verdict.is("token")), "already_deleted", "ALREADY_DELETED")
	s.sim.Put(tenant, record)
	s.want(s.remove(verdict.is("token")), "refused", "CAME_BACK")
	late := s.act("delete", map[string]any{"token": s.evaluate("vip").is("token"), "event": s.sample["vip"].Event})
	s.want(late, "refused", "VIP")
	vip := s.approved("INC-1", s.evaluate("vip").is("token"))
	s.want(s.evaluate("vip"), "skip", "APPROVAL_PENDING")
	s.want(s.remove(vip), "deferred", "CIRCUIT_OPEN")

	failing := newSystem(t, setup{contract: c})
	failing.sim.Fault(centralsim.Fault{Method: http.MethodDelete, Path: "/endpoint/", Status: 403})
	failing.want(failing.remove(failing.eligible()), "failed", "DELETE_FAILED")
	failing.sim.Fault(centralsim.Fault{Method: http.MethodDelete, Path: "/endpoint/", Status: 500})
	token := failing.approved("INC-2", failing.evaluate("vip").is("token"))
	failing.want(failing.act("delete", map[string]any{"ticketId": "INC-2"}), "pending", "DELETE_UNCONFIRMED")
	failing.want(failing.evaluate("vip"), "skip", "IN_FLIGHT")
	failing.pass(time.Minute)
	failing.want(failing.remove(token), "refused", "APPROVAL_USED")
}

func sceneDeferred(t *testing.T, c *contract) {
	for _, tc := range []struct {
		outcome, code string
		spoil         func(s *system)
	}{
		{"refused", "EVIDENCE_CHANGED", func(s *system) { s.sim.CheckIn(tenant, s.device(), s.now()) }},
		{"refused", "TOKEN_EXPIRED", func(s *system) { s.pass(25 * time.Hour) }},
		{"refused", "MODE_CHANGED", func(s *system) {
			s.change(func(r *action.Rules) { r.Params.LiveTenants = []string{centralsim.ForeignTenant} })
		}},
		{"deferred", "POLICY_INVALID", func(s *system) { s.change(func(r *action.Rules) { r.Broken = true }) }},
		{"deferred", "OUT_OF_WINDOW", func(s *system) { s.change(func(r *action.Rules) { r.Params.Window = shut() }) }},
		{"deferred", "RATE_LIMITED", func(s *system) { s.fault(centralsim.Fault{Method: "GET", Status: 429, RetryAfter: "9"}) }},
		{"deferred", "VERIFY_FAILED", func(s *system) { s.fault(centralsim.Fault{Method: "GET", Status: 500}) }},
		{"gone", "GONE_ELSEWHERE", func(s *system) { s.sim.Remove(tenant, s.device()) }},
		{"deferred", "KILL_SWITCH", func(s *system) {
			s.call(http.MethodPost, "/v1/admin/pause", map[string]any{"tenantId": tenant, "reason": "x", "by": "ann"})
		}},
		{"deferred", "STATE_UNVERIFIED", func(s *system) {
			s.redis.HSet("rollcall:{"+tenant+"}:meta", "seq", "0")
			s.redis.Del("rollcall:{" + tenant + "}:audit")
		}},
	} {
		s := newSystem(t, setup{contract: c})
		token := s.eligible()
		tc.spoil(s)
		s.want(s.remove(token), tc.outcome, tc.code)
	}
	dry := newSystem(t, setup{contract: c, mode: "dry-run"})
	dry.want(dry.remove(dry.eligible()), "would_delete", "ELIGIBLE")
}

func sceneLimits(t *testing.T, c *contract) {
	for code, edit := range map[string]func(r *action.Rules){
		"LIMIT_DAY":     func(r *action.Rules) { r.Params.Limits.PerDay = []int{0} },
		"LIMIT_PERCENT": func(r *action.Rules) { r.Params.Limits.PercentPerDay = 0 },
	} {
		s := newSystem(t, setup{contract: c})
		token := s.eligible()
		s.change(edit)
		s.want(s.remove(token), "deferred", code)
	}
	s := newSystem(t, setup{contract: c})
	s.change(func(r *action.Rules) { r.Params.Limits.Spacing = time.Hour })
	s.want(s.remove(s.eligible()), "deleted", "")
	s.want(s.remove(s.approved("INC-1", s.evaluate("vip").is("token"))), "deferred", "SPACING")
}

func sceneTickets(t *testing.T, c *contract) {
	s := newSystem(t, setup{contract: c})
	token := s.eligible()
	open := map[string]any{
		"token": token, "ticketId": "INC-1", "ticketSystem": "servicenow", "ticketUrl": "https://tickets.example.test/INC-1",
		"openedBy": "ann", "requestId": "r",
	}
	s.want(s.act("ticket-open", open), "opened", "")
	s.want(s.act("ticket-open", open), "already_open", "")
	s.want(s.evaluate("eligible"), "skip", "TICKET_OPEN")
	if status, a := s.call(http.MethodPost, "/v1/actions/ticket-open", map[string]any{"token": s.evaluate("vip").is("token"), "ticketId": "INC-1", "openedBy": "ann"}); status != 409 {
		t.Errorf("conflict: %d %v", status, a)
	}
	s.want(s.act("ticket-open", map[string]any{"token": s.evaluate("online").is("token"), "ticketId": "INC-7"}), "opened", "")
	s.want(s.act("ticket-open", map[string]any{"token": s.evaluate("grace").is("token"), "ticketId": "INC-8"}), "refused", "")
	close := map[string]any{"ticketId": "INC-1", "decision": "keep", "decidedBy": "bob", "note": "in use", "ticketState": "resolved", "requestId": "r"}
	s.want(s.act("ticket-close", close), "closed", "")
	s.want(s.act("ticket-close", close), "already_closed", "")
	s.want(s.evaluate("eligible"), "keep", "TICKET_DECIDED_KEEP")
	s.pass(91 * 24 * time.Hour)
	s.want(s.evaluate("eligible"), "skip", "EVENT_STALE")
	s.change(func(r *action.Rules) { r.Params.EventMaxAge = 1e6 * time.Hour })
	s.want(s.evaluate("eligible"), "manual", "KEEP_LAPSED")
	s.want(s.decided("INC-1", "none"), "changed", "")
	s.want(s.evaluate("eligible"), "manual", "TICKET_UNDECIDED")
	if a := s.want(s.decided("INC-404", "none"), "not_found", ""); !strings.HasPrefix(a.is("summary"), "No ticket") {
		t.Errorf("summary: %s", a.is("summary"))
	}
	s.act("ticket-open", map[string]any{"token": s.evaluate("vip").is("token"), "ticketId": "INC-2", "openedBy": "ann"})
	s.want(s.act("ticket-close", map[string]any{"ticketId": "INC-2", "decision": "delete", "decidedBy": "ann"}), "refused", "SECOND_PERSON_NEEDED")
	s.want(s.act("ticket-close", map[string]any{"ticketId": "INC-2", "decision": "delete", "decidedBy": "bob", "note": "gone"}), "closed", "")
}

func sceneBooks(t *testing.T, c *contract) {
	s := newSystem(t, setup{contract: c, spec: rollcall.OpenAPI()})
	s.remove(s.eligible())
	s.act("ticket-open", map[string]any{"token": s.evaluate("vip").is("token"), "ticketId": "INC-1", "openedBy": "ann"})
	s.sim.Fault(centralsim.Fault{Method: "GET", Path: "/endpoint/", Status: 500, Times: 4})
	s.evaluate("server")
	s.sim.ClearFaults()
	id := s.sample["server"].ID
	for _, path := range []string{
		"/v1/exclusions", "/v1/exclusions?kind=deleted&format=ndjson", "/v1/exclusions?format=csv&since=2026-01-01T00:00:00Z",
		"/v1/tickets", "/v1/tickets?state=open", "/v1/tickets/INC-1", "/v1/failures", "/v1/audit", "/v1/audit?tenantId=" + tenant + "&endpointId=" + s.device(),
		"/v1/devices?hostname=WS-FIN-0427", "/v1/devices/" + s.device() + "?tenantId=" + tenant, "/v1/me",
		"/livez", "/readyz", "/metrics", "/openapi.yaml", "/openapi.json", "/swagger.json", "/docs",
	} {
		if status, b := s.raw(http.MethodGet, path, nil); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, b)
		}
	}
	for _, path := range []string{"/v1/admin/pause", "/v1/admin/resume"} {
		if status, a := s.call(http.MethodPost, path, map[string]any{"reason": "x", "by": "ann"}); status != http.StatusOK {
			t.Errorf("%s: %d %v", path, status, a)
		}
	}
	for path, body := range map[string]map[string]any{
		"/v1/failures/" + id + "/ack": {"tenantId": tenant, "by": "ann", "note": "seen"},
		"/v1/admin/pause":             {"tenantId": tenant, "reason": "x", "by": "ann"},
		"/v1/admin/resume":            {"tenantId": tenant, "reason": "x", "by": "ann"},
		"/v1/admin/circuit-reset":     {"tenantId": tenant, "reason": "x", "by": "ann"},
	} {
		if status, a := s.call(http.MethodPost, path, body); status != http.StatusOK {
			t.Errorf("%s: %d %v", path, status, a)
		}
	}
}

// brokenBooks fails in a way that nobody foresaw.
type brokenBooks struct{ action.Books }

func (brokenBooks) Ticket(context.Context, string) (action.Ticket, error) {
	return action.Ticket{}, errors.New("secret detail")
}

func sceneErrors(t *testing.T, c *contract) {
	s := newSystem(t, setup{contract: c})
	send := func(key, kind, method, path, body string, want int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("Content-Type", kind)
		resp, err := s.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != want {
			t.Errorf("%s %s: %d, want %d", method, path, resp.StatusCode, want)
		}
	}
	const kind, evaluate = "application/json", "/v1/actions/evaluate"
	send("wrong", kind, "POST", evaluate, `{}`, 401)
	send("reader", kind, "POST", evaluate, `{}`, 403)
	send("dev", "text/plain", "POST", evaluate, `{}`, 415)
	send("dev", kind, "POST", evaluate, `{`, 400)
	send("dev", kind, "POST", evaluate, `{"a":1,"a":2}`, 400)
	send("dev", kind, "POST", evaluate, `{"Event":{}}`, 400)
	send("dev", kind, "POST", evaluate, `{}`, 422)
	send("dev", kind, "POST", evaluate, `{"event":"`+strings.Repeat("x", 1<<20)+`"}`, 413)
	send("dev", kind, "GET", evaluate, "", 405)
	send("dev", kind, "GET", "/v1/tickets/nowhere", "", 404)
	s.redis.Close()
	broken := newSystem(t, setup{contract: c, books: func(b action.Books) action.Books { return brokenBooks{b} }})
	if status, a := broken.call(http.MethodGet, "/v1/tickets/INC-1", nil); status != 500 || strings.Contains(a.is("detail"), "secret") {
		t.Errorf("a fault of the service: %d %v", status, a)
	}
	busy := newSystem(t, setup{contract: c, keyRate: 1})
	for range 3 {
		busy.raw(http.MethodGet, "/v1/me", nil)
	}
	send("dev", kind, "GET", "/v1/tickets", "", 503)
	send("dev", kind, "GET", "/readyz", "", 503)
}
