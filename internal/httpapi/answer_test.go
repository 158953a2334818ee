package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"rollcall/api"
	"rollcall/internal/action"
	"rollcall/internal/policy"
)

func TestAnAnswerShowsWhatIsKnownAndNullForTheRest(t *testing.T) {
	yes := true
	at := time.Date(2026, 11, 20, 7, 5, 1, 123456789, time.FixedZone("", 3600))
	full := action.Result{
		Action: "verify-live", Outcome: "mismatch", OK: true, Summary: "s",
		Reasons: []policy.Reason{{Code: "A", Verdict: policy.Manual, Text: "One."}, {Code: "B", Verdict: policy.Keep, Text: "Two."}},
		Mode:    "live", Dev: action.Ref{TenantID: tenantID, EndpointID: endpointID}, Hostname: "H",
		Activity:   policy.Activity{LastSeenAt: policy.Is(at), InactiveDays: policy.Is(12.345678), Active: policy.Is(false)},
		VerifiedAt: at, Deleted: &yes, NeedsReview: true, TicketID: "T", TicketState: "open", RequestID: "r",
		EvaluatedAt: at, PolicyVersion: "p", EligibleAt: at, Retryable: true, RetryAfter: 1001 * time.Millisecond, Next: "retry", Token: "t",
		Device: &policy.Device{Hostname: policy.Is("H"), Build: policy.Is(22631), Online: policy.Garbled[bool](), Tamper: policy.Is(true)},
	}
	stamped := `"2026-11-20T06:05:01.123Z"`
	for name, c := range map[string]struct {
		in   action.Result
		want string
	}{
		"all known": {full, `{"action":"verify-live","outcome":"mismatch","ok":true,"reasonCode":"A","reasonsText":"One. Two.",
			"reasons":[{"code":"A","verdict":"manual","text":"One."},{"code":"B","verdict":"keep","text":"Two."}],"summary":"s","mode":"live",
			"tenantId":"` + tenantID + `","endpointId":"` + endpointID + `","hostname":"H","lastSeenAt":` + stamped + `,"inactiveDays":12.3457,
			"active":false,"verifiedAt":` + stamped + `,"deleted":true,"needsReview":true,"ticketId":"T","ticketState":"open","requestId":"r",
			"evaluatedAt":` + stamped + `,"policyVersion":"p","eligibleAt":` + stamped + `,"retryable":true,"retryAfterSeconds":2,"next":"retry","token":"t",
			"device":{"endpointId":"` + endpointID + `","tenantId":"` + tenantID + `","hostname":"H","type":null,"platform":null,"osName":null,"isServer":null,
			"build":22631,"lastSeenAt":null,"registeredAt":null,"online":null,"isolated":null,"healthOverall":null,"healthThreats":null,"cloned":null,
			"personName":null,"viaLogin":null,"serialNumber":null,"tamperProtectionEnabled":true}}`},
		"nothing known": {action.Result{Activity: policy.Activity{InactiveDays: policy.Is(math.NaN()), LastSeenAt: policy.Is(time.Unix(1e12, 0))}},
			`{"action":"","outcome":"","ok":false,"reasonCode":null,"reasonsText":null,"reasons":[],"summary":"","mode":"","tenantId":null,
			"endpointId":null,"hostname":null,"lastSeenAt":null,"inactiveDays":null,"active":null,"verifiedAt":null,"deleted":null,"needsReview":false,
			"ticketId":null,"ticketState":null,"requestId":"","evaluatedAt":"0001-01-01T00:00:00Z","policyVersion":"","eligibleAt":null,
			"retryable":false,"retryAfterSeconds":null,"next":"","token":null,"device":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := json.Marshal(answer(c.in))
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if err := errors.Join(json.Unmarshal(b, &got), json.Unmarshal([]byte(c.want), &want)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEveryVerdictHasItsName(t *testing.T) {
	for v, want := range map[policy.Verdict]string{
		policy.Delete: "delete", policy.Manual: "manual", policy.Skip: "skip", policy.Keep: "keep", policy.Verdict(99): "manual",
	} {
		if got := verdict(v); got != want {
			t.Errorf("verdict(%d) = %q, want %q", v, got, want)
		}
	}
}

func TestVerifyLiveShowsTheDevice(t *testing.T) {
	w := newEdge(t).send(t, "POST", verifyPath, bodyFile(t, "verify-live"))
	a := into[api.Answer](t, w)
	if w.Code != 200 || a.Outcome != "inactive" || a.Device == nil || a.Token == nil || a.InactiveDays == nil || *a.InactiveDays != 100 {
		t.Fatalf("%d %+v", w.Code, a)
	}
	if a.RequestID != "req-0427-1" || w.Header().Get("X-Request-ID") != "req-0427-1" {
		t.Errorf("requestId %q, X-Request-ID %q", a.RequestID, w.Header().Get("X-Request-ID"))
	}
	if kind := w.Header().Get("Content-Type"); kind != "application/json" {
		t.Errorf("Content-Type %q", kind)
	}
}

func TestTheRequestIDIsEchoedOrMade(t *testing.T) {
	e := newEdge(t)
	long := strings.Repeat("a", 129)
	body := func(id string) string { return fmt.Sprintf(`{"event":{},"requestId":%s}`, id) }
	for _, c := range []struct {
		name, header, body, want string // want empty: made
		status                   int
	}{
		{"neither", "", `{"event":{}}`, "", 200},
		{"in the body", "", body(`"b-1"`), "b-1", 200},
		{"in the header", "h-1", `{"event":{}}`, "h-1", 200},
		{"in both the body counts", "h-1", body(`"b-1"`), "b-1", 200},
		{"empty in the body the header counts", "h-1", body(`""`), "h-1", 200},
		{"blank in both", "  ", body("null"), "", 200},
		{"a header too long", long, `{"event":{}}`, "", 422},
		{"a header too long and one in the body", long, body(`"b-1"`), "b-1", 200},
		{"a header with control characters", "a\x01b", `{"event":{}}`, "", 422},
		{"a header that is no UTF-8", "a\xffb", `{"event":{}}`, "", 422},
		{"a body's too long", "h-1", body(`"` + long + `"`), "h-1", 422},
		{"on an error of the text", "h-1", `{`, "h-1", 400},
		{"in a body with an unknown field", "h-1", `{"requestId":"b-1","x":1}`, "b-1", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := e.send(t, "POST", evaluatePath, c.body, header("X-Request-ID", c.header))
			var got struct{ RequestID string }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != c.status {
				t.Fatalf("%d %s, want %d", w.Code, w.Body, c.status)
			}
			made := uuid.Validate(got.RequestID) == nil
			if got.RequestID != w.Header().Get("X-Request-ID") || (c.want == "" && !made) || (c.want != "" && got.RequestID != c.want) {
				t.Errorf("requestId %q, header %q, want %q", got.RequestID, w.Header().Get("X-Request-ID"), c.want)
			}
		})
	}
	got := wantError(t, e.send(t, "GET", "/v1/me", "", header("X-Request-ID", long)), 422, "invalid")
	if got.Errors[0].Field != "requestId" {
		t.Errorf("errors %v", got.Errors)
	}
	wantError(t, e.send(t, "GET", "/v1/me", "", header("X-Request-ID", long), as("wrong")), 401, "unauthorized")
}

func TestErrorsBecomeWhatTheTableSays(t *testing.T) {
	secret := "redis://user:hunter2@redis.example.test"
	e := newEdge(t)
	for _, c := range []struct {
		name   string
		err    error
		status int
		code   string
		retry  string
	}{
		{"the store is away", fmt.Errorf("dial %s: %w", secret, action.ErrState), 503, "state_unavailable", "5"},
		{"the store is slow", fmt.Errorf("%s: %w", secret, context.DeadlineExceeded), 503, "state_unavailable", "5"},
		{"the caller is gone", fmt.Errorf("%s: %w", secret, context.Canceled), 503, "state_unavailable", "5"},
		{"not on record", fmt.Errorf("x: %w", action.ErrNotFound), 404, "not_found", ""},
		{"a ticket that is taken", fmt.Errorf("x: %w", action.ErrConflict), 409, "conflict", ""},
		{"a scope", fmt.Errorf("%w: approve", action.ErrForbidden), 403, "forbidden", ""},
		{"a scope that nobody knows", fmt.Errorf("%w: %s", action.ErrForbidden, secret), 403, "forbidden", ""},
		{"an envelope", fmt.Errorf("x: %w", &action.Invalid{Field: "token", Problem: "is cut"}), 422, "invalid", ""},
		{"anything else", errors.New(secret), 500, "internal", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e.log.Reset()
			e.books.err = c.err
			w := e.send(t, "GET", "/v1/tickets/1", "")
			wantError(t, w, c.status, c.code)
			if got := w.Header().Get("Retry-After"); got != c.retry {
				t.Errorf("Retry-After %q, want %q", got, c.retry)
			}
			if strings.Contains(w.Body.String(), "hunter2") || strings.Contains(w.Body.String(), "redis") {
				t.Errorf("the answer shows what went wrong inside: %s", w.Body)
			}
			if logged := strings.Contains(e.log.String(), "hunter2"); logged != (c.status >= 500) {
				t.Errorf("the real error is in the log: %t, with status %d: %s", logged, c.status, e.log)
			}
		})
	}
}

func TestEveryActionIs503WhenTheStoreIsAway(t *testing.T) {
	e := newEdge(t)
	evidence := into[api.Answer](t, e.send(t, "POST", evaluatePath, bodyFile(t, "evaluate")))
	e.ledger.err = fmt.Errorf("ledger: %w", action.ErrState)
	for path, body := range map[string]string{
		verifyPath: bodyFile(t, "verify-live"), evaluatePath: bodyFile(t, "evaluate"), deletePath: `{"token":"` + *evidence.Token + `"}`,
		openPath: `{"ticketId":1,"token":"` + *evidence.Token + `"}`, closePath: bodyFile(t, "ticket-close"),
	} {
		wantError(t, e.send(t, "POST", path, body), 503, "state_unavailable")
	}
}

func TestProblemJSONComesOnlyWhenItIsNamed(t *testing.T) {
	e := newEdge(t)
	for accept, want := range map[string]string{
		"": "application/json", "*/*": "application/json", "application/*": "application/json",
		"application/json": "application/json", "application/problem+json;q=0": "application/json",
		"application/problem+json":                         "application/problem+json",
		"application/json, Application/Problem+JSON;q=0.5": "application/problem+json",
	} {
		w := e.send(t, "GET", "/v1/nothing", "", header("Accept", accept))
		wantError(t, w, 404, "not_found")
		if got := w.Header().Get("Content-Type"); got != want {
			t.Errorf("Accept %q: Content-Type %q, want %q", accept, got, want)
		}
	}
	if got := e.send(t, "GET", "/v1/me", "", header("Accept", "application/problem+json")).Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("a good answer has Content-Type %q", got)
	}
}

func TestAPanicIsAnInternalErrorAndNoMore(t *testing.T) {
	e := newEdge(t, func(c *Config) { c.Weak = func() []string { panic("boom hunter2") } })
	w := e.send(t, "GET", "/v1/me", "")
	wantError(t, w, 500, "internal")
	if strings.Contains(w.Body.String(), "boom") || !strings.Contains(e.log.String(), "boom") || !strings.Contains(e.log.String(), "health.go") {
		t.Errorf("answer %s, log %s", w.Body, e.log)
	}
	if w := e.send(t, "GET", "/livez", ""); w.Code != 200 {
		t.Errorf("afterwards: %d", w.Code)
	}
}

func TestEveryErrorCodeOfTheContractIsInTheTable(t *testing.T) {
	want := []string{
		api.CodeBadJSON, api.CodeUnknownField, api.CodeDuplicateKey, api.CodeUnauthorized, api.CodeForbidden, api.CodeNotFound,
		api.CodeMethodNotAllowed, api.CodeConflict, api.CodeTooLarge, api.CodeUnsupportedMediaType, api.CodeInvalid,
		api.CodeRateLimited, api.CodeInternal, api.CodeStateUnavailable, api.CodeCentralUnavailable,
	}
	var got []string
	for _, f := range faults() {
		if !slices.Contains(got, f.code) {
			got = append(got, f.code)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
