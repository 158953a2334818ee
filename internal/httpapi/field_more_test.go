package httpapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"rollcall/internal/action"
)

// Probes and proxies ask with HEAD.
func TestHeadIsAnsweredWhereverGetIs(t *testing.T) {
	s := newSystem(t, setup{})
	token := s.eligible()
	s.act("ticket-open", map[string]any{"token": token, "ticketId": "INC-1"})
	dev := "/v1/devices/" + s.sample["eligible"].ID
	tenant := "?tenantId=c0a8f1d2-57be-4a39-8e14-2b9d6f70a5c1"
	for _, path := range []string{
		"/livez", "/readyz", "/metrics", "/openapi.yaml", "/openapi.json", "/swagger.json", "/docs", "/v1/me", "/v1/exclusions", "/v1/exclusions?format=csv",
		"/v1/tickets", "/v1/tickets/INC-1", "/v1/failures", "/v1/audit", "/v1/decisions", "/v1/devices?hostname=WS-FIN-0427", dev + tenant, "/v1/inventory",
	} {
		want, _ := s.raw(http.MethodGet, path, nil)
		got, body := s.raw(http.MethodHead, path, nil)
		if got != want || len(body) > 0 {
			t.Errorf("HEAD %s: %d with %d bytes, GET: %d", path, got, len(body), want)
		}
	}
	if status, _ := s.raw(http.MethodHead, "/v1/actions/evaluate", nil); status != http.StatusMethodNotAllowed {
		t.Errorf("HEAD of an action: %d", status)
	}
	if status, _ := s.raw(http.MethodHead, "/v1/tickets/INC-404", nil); status != http.StatusNotFound {
		t.Errorf("HEAD of no ticket: %d", status)
	}
}

func TestAQueryParameterThatNoRouteKnowsIsRefused(t *testing.T) {
	s := newSystem(t, setup{})
	for path, want := range map[string]string{
		"/v1/exclusions?knd=deleted": "knd is no parameter here: this route takes kind, format, since", "/v1/exclusions?Kind=deleted": "Kind is no parameter",
		"/v1/tickets?status=open": "this route takes state", "/v1/audit?tenant=x": "takes since, tenantId, endpointId", "/v1/decisions?code=VIP": "verdict, reasonCode",
		"/v1/me?verbose=1": "this route takes none", "/v1/failures?kind=delete": "this route takes none", "/v1/inventory?tenant=x": "takes tenantId",
		"/v1/devices?name=x": "takes hostname",
	} {
		status, a := s.call(http.MethodGet, path, nil)
		if status != http.StatusUnprocessableEntity || !strings.Contains(a.is("detail"), want) {
			t.Errorf("%s: %d %s", path, status, a.is("detail"))
		}
	}
	if status, _ := s.call(http.MethodPost, "/v1/actions/evaluate?dryRun=true", map[string]any{"event": s.sample["eligible"].Event}); status != http.StatusUnprocessableEntity {
		t.Errorf("a parameter of an action: %d", status)
	}
	for _, path := range []string{"/livez?x=1", "/readyz?x=1"} {
		if status, _ := s.raw(http.MethodGet, path, nil); status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestNamesThatTemplatesLeaveBehindAreRefusedWhereverAPersonOrATicketIsNamed(t *testing.T) {
	s := newSystem(t, setup{})
	token := s.evaluate("vip").is("token")
	s.act("ticket-open", map[string]any{"token": token, "ticketId": "INC-1", "openedBy": "ann"})
	for _, left := range []string{"None", "null", "undefined", "N/A", "NaN", "-", "[object Object]", "{{ticket.number}}", "${by}", "$exec.by", "nil", "<no value>", "None None"} {
		for _, c := range []struct {
			path, field string
			body        map[string]any
		}{
			{"/v1/actions/ticket-open", "ticketId", map[string]any{"token": token, "ticketId": left, "openedBy": "ann"}},
			{"/v1/actions/ticket-open", "openedBy", map[string]any{"token": token, "ticketId": "INC-2", "openedBy": left}},
			{"/v1/actions/ticket-close", "ticketId", map[string]any{"ticketId": left, "decision": "keep", "decidedBy": "bob"}},
			{"/v1/actions/ticket-close", "decidedBy", map[string]any{"ticketId": "INC-1", "decision": "keep", "decidedBy": left}},
			{"/v1/actions/delete", "ticketId", map[string]any{"ticketId": left}},
			{"/v1/admin/pause", "by", map[string]any{"reason": "works", "by": left}},
			{"/v1/failures/" + s.sample["vip"].ID + "/ack", "by", map[string]any{"tenantId": "c0a8f1d2-57be-4a39-8e14-2b9d6f70a5c1", "by": left}},
		} {
			status, a := s.call(http.MethodPost, c.path, c.body)
			if status != http.StatusUnprocessableEntity || !strings.HasPrefix(a.is("detail"), c.field+" is what a template leaves") {
				t.Errorf("%s of %q: %d %s", c.field, left, status, a.is("detail"))
			}
			fixes, _ := a["fixes"].([]any)
			if len(fixes) != 1 || !strings.Contains(fixes[0].(string), "Mend "+c.field+",") {
				t.Errorf("%s of %q: fixes %v", c.field, left, fixes)
			}
		}
	}
}

func TestFixesSpellFieldsAsTheWireDoes(t *testing.T) {
	s := newSystem(t, setup{})
	_, a := s.call(http.MethodPost, "/v1/actions/delete", map[string]any{})
	if detail := a.is("detail"); !strings.Contains(detail, "token is required, or else ticketId") || strings.Contains(detail, "ticketID") {
		t.Errorf("detail %q", detail)
	}
}

func TestWhatATokenLooksLikeAfterFilesAndTemplates(t *testing.T) {
	s := newSystem(t, setup{mode: action.DryRun})
	token := s.eligible()
	for name, c := range map[string]struct{ token, want string }{
		"a line end":            {token + "\n", "token holds a line end"},
		"a line end of Windows": {token + "\r\n", "token holds a line end"},
		"lines of 64":           {token[:64] + "\n" + token[64:], "token holds a line end"},
		"a tab":                 {token + "\t", "token holds control characters"},
		"quotes":                {`"` + token + `"`, "token is not a token of this service, or is damaged or cut"},
		"a blank inside":        {token[:9] + " " + token[9:], "token is not a token of this service, or is damaged or cut"},
	} {
		status, a := s.call(http.MethodPost, "/v1/actions/delete", map[string]any{"token": c.token})
		if status != http.StatusUnprocessableEntity || !strings.HasPrefix(a.is("detail"), c.want) {
			t.Errorf("%s: %d %s", name, status, a.is("detail"))
		}
	}
	for _, blanks := range []string{" " + token, token + "  "} {
		if a := s.act("delete", map[string]any{"token": blanks}); a.is("outcome") != "would_delete" {
			t.Errorf("blanks at its ends: %v", a)
		}
	}
}

func TestAByteOrderMarkAndTheOtherNameOfUTF8AreTaken(t *testing.T) {
	s := newSystem(t, setup{})
	body := mustJSON(t, map[string]any{"event": s.sample["eligible"].Event})
	for name, c := range map[string]struct{ body, kind string }{
		"a byte order mark":  {"\ufeff" + body, "application/json"},
		"charset=utf8":       {body, "application/json; charset=utf8"},
		"charset=\"UTF8\"":   {body, `application/json;charset="UTF8"`},
		"both":               {"\ufeff" + body, "application/json; charset=UTF-8"},
		"blanks around both": {" \r\n" + body + "\n", "application/json ; charset=utf-8"},
	} {
		status, a := s.send(t, fieldStep{Method: http.MethodPost, Path: "/v1/actions/evaluate", Headers: map[string]string{"Content-Type": c.kind}, Body: &c.body}, "")
		if status != http.StatusOK || a.is("outcome") != "delete" {
			t.Errorf("%s: %d %v", name, status, a)
		}
	}
}

func TestAVerdictGivenAsEvidenceCountsAsNone(t *testing.T) {
	s := newSystem(t, setup{})
	event := s.sample["eligible"].Event
	verdict := s.eligible()
	s.sim.CheckIn("c0a8f1d2-57be-4a39-8e14-2b9d6f70a5c1", s.sample["eligible"].ID, s.now())
	a := s.act("evaluate", map[string]any{"event": event, "evidence": verdict})
	if a.is("outcome") != "manual" || !slices.Contains(a.codes(), "ACTIVE_SINCE_EVENT") {
		t.Errorf("the device was not read: %v", a)
	}
}

// next asks a playbook to wait only where the wait is short.
func TestAPlaybookIsToldToWaitOnlyWhereTheWaitIsShort(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(s *system) answer
		outcome string
		next    string
		token   bool
	}{
		"eleven days of grace":  {func(s *system) answer { return s.evaluate("grace") }, "skip", "stop", true},
		"twenty days too young": {func(s *system) answer { return s.evaluate("too-young") }, "skip", "stop", true},
		"a pause": {func(s *system) answer {
			s.call(http.MethodPost, "/v1/admin/pause", map[string]any{"reason": "works", "by": "ann"})
			return s.evaluate("eligible")
		}, "skip", "retry", true},
		"Central does not answer": {func(s *system) answer { return s.evaluate("verify-failed") }, "skip", "retry", true},
		"a delete that waits for the spacing": {func(s *system) answer {
			s.change(func(r *action.Rules) { r.Params.Limits.Spacing = 10 * time.Minute })
			return s.second()
		}, "deferred", "retry", true},
		"a delete that waits for tomorrow": {func(s *system) answer {
			s.change(func(r *action.Rules) { r.Params.Limits.PerDay = []int{1} })
			return s.second()
		}, "deferred", "stop", true},
		"a wait that outlasts the token": {func(s *system) answer {
			s.change(func(r *action.Rules) { r.Params.Limits.Spacing, r.Params.ApprovalTTL = 30*time.Minute, 20*time.Minute })
			return s.second()
		}, "deferred", "stop", true},
		"Central has no last-seen time": {func(s *system) answer {
			return s.act("verify-live", map[string]any{"event": s.sample["last-seen-missing"].Event})
		}, "unverified", "evaluate", false},
		"Central's last-seen time lies in the future": {func(s *system) answer {
			return s.act("verify-live", map[string]any{"event": s.sample["last-seen-future"].Event})
		}, "unverified", "evaluate", false},
		"Central does not answer a verification": {func(s *system) answer {
			return s.act("verify-live", map[string]any{"event": s.sample["verify-failed"].Event})
		}, "unverified", "retry", false},
	} {
		a := c.prepare(newSystem(t, setup{}))
		if a.is("outcome") != c.outcome || a.is("next") != c.next || (a.is("token") != "") != c.token {
			t.Errorf("%s: %s, next %s, token %v: %v", name, a.is("outcome"), a.is("next"), a.is("token") != "", a)
		}
		if a["retryable"] != true || a["retryAfterSeconds"] == nil {
			t.Errorf("%s: retryable %v after %v", name, a["retryable"], a["retryAfterSeconds"])
		}
	}
}

// second deletes one device and then asks for another, whose token comes back with the
// answer where that is not now.
func (s *system) second() answer {
	s.t.Helper()
	token := s.approved("INC-1", s.evaluate("macos").is("token"))
	s.remove(s.eligible())
	a := s.remove(token)
	if a.is("outcome") == "deferred" && a.is("token") != token {
		s.t.Errorf("the caller's token does not come back: %v", a)
	}
	return a
}

func TestATicketThatNobodyOpenedIsForAPerson(t *testing.T) {
	s := newSystem(t, setup{})
	a := s.act("ticket-close", map[string]any{"ticketId": "INC-404", "decision": "none", "decidedBy": "bob"})
	if a.is("outcome") != "not_found" || a["needsReview"] != true {
		t.Errorf("%v", a)
	}
}

func TestTwoPersonsAreTwoByNameAndByKeyWhereThePolicyAsksForIt(t *testing.T) {
	for name, c := range map[string]struct {
		opened, decided string
		separate        bool
		want            string
	}{
		"two names":                  {"ann", "bob", false, "closed"},
		"one name":                   {"ann", "Ann", false, "refused"},
		"a login and a UPN":          {`CORPEX\ann`, "ann@corp.example.test", false, "refused"},
		"a name with a department":   {"Ann (IT)", `CORPEX\ann`, false, "refused"},
		"a name in another order":    {"Ann Smith", "Smith, Ann", false, "refused"},
		"a part of the other's name": {"ann", "ann.smith", false, "refused"},
		"two names, one key":         {"ann", "bob", true, "refused"},
	} {
		s := newSystem(t, setup{})
		s.change(func(r *action.Rules) { r.Params.SeparateKeys = c.separate })
		s.act("ticket-open", map[string]any{"token": s.evaluate("vip").is("token"), "ticketId": "INC-1", "openedBy": c.opened})
		if a := s.act("ticket-close", map[string]any{"ticketId": "INC-1", "decision": "delete", "decidedBy": c.decided}); a.is("outcome") != c.want {
			t.Errorf("%s: %v", name, a)
		}
	}
}

func TestOpenedByIsNeededWhereTwoPersonsAre(t *testing.T) {
	s := newSystem(t, setup{})
	for _, label := range []string{"vip", "server"} {
		status, a := s.call(http.MethodPost, "/v1/actions/ticket-open", map[string]any{"token": s.evaluate(label).is("token"), "ticketId": "INC-" + label})
		if status != http.StatusUnprocessableEntity || !strings.HasPrefix(a.is("detail"), "openedBy is required") {
			t.Errorf("%s: %d %v", label, status, a)
		}
	}
	if a := s.act("ticket-open", map[string]any{"token": s.evaluate("online").is("token"), "ticketId": "INC-3"}); a.is("outcome") != "opened" {
		t.Errorf("an ordinary device: %v", a)
	}
}

func TestMetricsFollowPrometheussConventions(t *testing.T) {
	s := newSystem(t, setup{})
	s.eligible()
	_, text := s.raw(http.MethodGet, "/metrics", nil)
	problems, err := promlint.New(strings.NewReader(string(text))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if !strings.Contains(string(text), `reason_code="ELIGIBLE"`) {
		t.Error("no outcome is counted by its reason_code")
	}
}
