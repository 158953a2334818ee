package api_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/api"
)

// recorded is what a request came to on the service's side.
type recorded struct {
	Method, Path, Query, Auth, Type, Body string
}

// service answers every request with status and body, and notes what came.
func service(tb testing.TB, status int, body string) (*api.Client, *recorded) {
	tb.Helper()
	got := new(recorded)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			tb.Error(err)
		}
		*got = recorded{
			r.Method, r.URL.EscapedPath(), r.URL.RawQuery,
			r.Header.Get("Authorization"), r.Header.Get("Content-Type"), string(b),
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		if _, err := io.WriteString(w, body); err != nil {
			tb.Logf("client left early: %v", err)
		}
	}))
	tb.Cleanup(srv.Close)
	c, err := api.New(srv.URL+"/", "k", srv.Client())
	if err != nil {
		tb.Fatal(err)
	}
	return c, got
}

func TestEachCallGoesToItsRoute(t *testing.T) {
	since := time.Date(2026, 11, 20, 6, 0, 0, 0, time.FixedZone("", 3600))
	event := json.RawMessage(`{"central":{}}`)
	for _, tt := range []struct {
		name string
		call func(*api.Client) error
		want recorded
	}{
		{"verify-live", func(c *api.Client) error {
			_, err := c.VerifyLive(t.Context(), api.VerifyLiveRequest{Event: event})
			return err
		}, recorded{Method: "POST", Path: "/v1/actions/verify-live", Body: `{"event":{"central":{}}}`}},
		{"evaluate", func(c *api.Client) error {
			_, err := c.Evaluate(t.Context(), api.EvaluateRequest{Event: event, Evidence: "e"})
			return err
		}, recorded{Method: "POST", Path: "/v1/actions/evaluate", Body: `{"event":{"central":{}},"evidence":"e"}`}},
		{"a batch of verify-live", func(c *api.Client) error {
			_, err := c.VerifyLiveBatch(t.Context(), api.VerifyLiveBatchRequest{Items: []api.VerifyLiveRequest{{Event: event}}})
			return err
		}, recorded{Method: "POST", Path: "/v1/actions/verify-live/batch", Body: `{"items":[{"event":{"central":{}}}]}`}},
		{"a batch of evaluate", func(c *api.Client) error {
			_, err := c.EvaluateBatch(t.Context(), api.EvaluateBatchRequest{
				Items: []api.EvaluateRequest{{Event: event, Evidence: "e", RequestID: "i"}}, RequestID: "r",
			})
			return err
		}, recorded{Method: "POST", Path: "/v1/actions/evaluate/batch", Body: `{"items":[{"event":{"central":{}},"evidence":"e","requestId":"i"}],"requestId":"r"}`}},
		{"delete without an event", func(c *api.Client) error {
			_, err := c.Delete(t.Context(), api.DeleteRequest{Token: "t"})
			return err
		}, recorded{Method: "POST", Path: "/v1/actions/delete", Body: `{"token":"t"}`}},
		{"ticket-open", func(c *api.Client) error {
			_, err := c.TicketOpen(t.Context(), api.TicketOpenRequest{Token: "t", TicketID: "1"})
			return err
		}, recorded{Method: "POST", Path: "/v1/actions/ticket-open", Body: `{"token":"t","ticketId":"1"}`}},
		{"ticket-close", func(c *api.Client) error {
			_, err := c.TicketClose(t.Context(), api.TicketCloseRequest{TicketID: "1", Decision: "keep", DecidedBy: "a"})
			return err
		}, recorded{Method: "POST", Path: "/v1/actions/ticket-close", Body: `{"ticketId":"1","decision":"keep","decidedBy":"a"}`}},
		{"exclusions with a time in UTC", func(c *api.Client) error {
			_, err := c.Exclusions(t.Context(), "kept", since)
			return err
		}, recorded{Method: "GET", Path: "/v1/exclusions", Query: "kind=kept&since=2026-11-20T05%3A00%3A00Z"}},
		{"exclusions from the beginning", func(c *api.Client) error {
			_, err := c.Exclusions(t.Context(), "", time.Time{})
			return err
		}, recorded{Method: "GET", Path: "/v1/exclusions"}},
		{"tickets", func(c *api.Client) error { _, err := c.Tickets(t.Context(), "open"); return err }, recorded{Method: "GET", Path: "/v1/tickets", Query: "state=open"}},
		{"a ticket with a slash in its id", func(c *api.Client) error { _, err := c.Ticket(t.Context(), "a/b"); return err }, recorded{Method: "GET", Path: "/v1/tickets/a%2Fb"}},
		{"failures", func(c *api.Client) error { _, err := c.Failures(t.Context()); return err }, recorded{Method: "GET", Path: "/v1/failures"}},
		{"ack", func(c *api.Client) error {
			_, err := c.AckFailure(t.Context(), "e", api.AckRequest{TenantID: "t", By: "a"})
			return err
		}, recorded{Method: "POST", Path: "/v1/failures/e/ack", Body: `{"tenantId":"t","by":"a"}`}},
		{"devices", func(c *api.Client) error { _, err := c.Devices(t.Context(), "H"); return err }, recorded{Method: "GET", Path: "/v1/devices", Query: "hostname=H"}},
		{"device", func(c *api.Client) error { _, err := c.Device(t.Context(), "t", "e"); return err }, recorded{Method: "GET", Path: "/v1/devices/e", Query: "tenantId=t"}},
		{"recovery", func(c *api.Client) error { _, err := c.Recovery(t.Context(), "t", "e"); return err }, recorded{Method: "GET", Path: "/v1/devices/e/recovery", Query: "tenantId=t"}},
		{"decisions", func(c *api.Client) error {
			_, err := c.Decisions(t.Context(), api.DecisionsQuery{Verdict: "delete", ReasonCode: "ELIGIBLE", Since: since})
			return err
		}, recorded{Method: "GET", Path: "/v1/decisions", Query: "reasonCode=ELIGIBLE&since=2026-11-20T05%3A00%3A00Z&verdict=delete"}},
		{"all decisions", func(c *api.Client) error {
			_, err := c.Decisions(t.Context(), api.DecisionsQuery{})
			return err
		}, recorded{Method: "GET", Path: "/v1/decisions"}},
		{"replay", func(c *api.Client) error {
			_, err := c.ReplayPolicy(t.Context(), api.ReplayRequest{Policy: "a: 1\n", Since: "30d"})
			return err
		}, recorded{Method: "POST", Path: "/v1/policy/replay", Body: `{"policy":"a: 1\n","since":"30d"}`}},
		{"pause", func(c *api.Client) error {
			_, err := c.Pause(t.Context(), api.AdminRequest{Reason: "r", By: "a"})
			return err
		}, recorded{Method: "POST", Path: "/v1/admin/pause", Body: `{"reason":"r","by":"a"}`}},
		{"resume", func(c *api.Client) error {
			_, err := c.Resume(t.Context(), api.AdminRequest{Reason: "r", By: "a"})
			return err
		}, recorded{Method: "POST", Path: "/v1/admin/resume", Body: `{"reason":"r","by":"a"}`}},
		{"circuit-reset", func(c *api.Client) error {
			_, err := c.ResetCircuit(t.Context(), api.AdminRequest{TenantID: "t", Reason: "r", By: "a"})
			return err
		}, recorded{Method: "POST", Path: "/v1/admin/circuit-reset", Body: `{"tenantId":"t","reason":"r","by":"a"}`}},
		{"me", func(c *api.Client) error { _, err := c.Me(t.Context()); return err }, recorded{Method: "GET", Path: "/v1/me"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, got := service(t, 200, `{}`)
			if err := tt.call(c); err != nil {
				t.Fatal(err)
			}
			tt.want.Auth = "Bearer k"
			if tt.want.Method == "POST" {
				tt.want.Type = "application/json"
			}
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnswersAreRead(t *testing.T) {
	c, _ := service(t, 200, `{"action":"delete","outcome":"pending","ok":false,"deleted":null,"retryAfterSeconds":15,
		"lastSeenAt":"2026-07-02T08:14:55Z","reasons":[{"code":"IN_FLIGHT","verdict":"skip","text":"x"}],"somethingNew":1}`)
	a, err := c.Delete(t.Context(), api.DeleteRequest{Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	if a.Outcome != api.OutcomePending || a.Deleted != nil || *a.RetryAfterSeconds != 15 || a.Reasons[0].Code != "IN_FLIGHT" {
		t.Errorf("answer %+v", a)
	}
	if want := time.Date(2026, 7, 2, 8, 14, 55, 0, time.UTC); !a.LastSeenAt.Equal(want) {
		t.Errorf("lastSeenAt %v, want %v", a.LastSeenAt, want)
	}
}

func TestAnItemOfABatchIsAnAnswerOrAnError(t *testing.T) {
	c, _ := service(t, 200, `{"action":"evaluate","requestId":"r","count":2,"oldestFirst":[0],"items":[
		{"action":"evaluate","outcome":"delete","token":"t","error":null},
		{"action":"evaluate","outcome":"error","error":{"code":"invalid","status":422,"errors":[{"field":"event","problem":"is required"}]}}]}`)
	a, err := c.EvaluateBatch(t.Context(), api.EvaluateBatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if good := a.Items[0]; good.Outcome != api.OutcomeDelete || *good.Token != "t" || good.Error != nil {
		t.Errorf("the first item is %+v", good)
	}
	if bad := a.Items[1]; bad.Outcome != api.OutcomeError || bad.Error.Code != api.CodeInvalid || bad.Error.Errors[0].Field != "event" {
		t.Errorf("the second item is %+v", bad)
	}
	if diff := cmp.Diff([]int{0}, a.OldestFirst); diff != "" {
		t.Errorf("oldestFirst (-want +got):\n%s", diff)
	}
}

func TestABatchsAnswerMayBeLong(t *testing.T) {
	item := `{"outcome":"skip","summary":"` + strings.Repeat("x", 4000) + `"}`
	c, _ := service(t, 200, `{"items":[`+strings.Repeat(item+",", 999)+item+`]}`)
	a, err := c.VerifyLiveBatch(t.Context(), api.VerifyLiveBatchRequest{})
	if err != nil || len(a.Items) != 1000 {
		t.Errorf("%v", err)
	}
}

func TestRefusalsAreErrors(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		status     int
		want       api.Error
	}{
		{
			"one of the service", `{"status":503,"code":"state_unavailable","detail":"d","retryable":true,"retryAfterSeconds":5,"error":"d"}`, 503,
			api.Error{Status: 503, Code: api.CodeStateUnavailable, Detail: "d", Retryable: true, RetryAfterSeconds: new(5), ErrorText: "d"},
		},
		{"a proxy's page", "<html>", 502, api.Error{Status: 502, Title: "Bad Gateway"}},
		{"a redirect, which is not followed", "", 307, api.Error{Status: 307, Title: "Temporary Redirect"}},
		{"a body that claims another status", `{"status":200,"code":"forbidden"}`, 403, api.Error{Status: 403, Code: api.CodeForbidden}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, got := service(t, tt.status, tt.body)
			_, err := c.Delete(t.Context(), api.DeleteRequest{Token: "t"})
			var e *api.Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v, want an *api.Error", err)
			}
			if diff := cmp.Diff(tt.want, *e); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if got.Path != "/v1/actions/delete" {
				t.Errorf("went on to %s", got.Path)
			}
		})
	}
}

func TestBadAnswersAreNoAnswers(t *testing.T) {
	for name, body := range map[string]string{
		"cut off":   `{"outcome":"deleted"`,
		"a page":    `<html>`,
		"very long": `{"summary":"` + strings.Repeat("x", 1<<20) + `"}`,
	} {
		c, _ := service(t, 200, body)
		if a, err := c.Delete(t.Context(), api.DeleteRequest{Token: "t"}); err == nil || a != nil {
			t.Errorf("%s: answer %v, error %v", name, a, err)
		}
	}
}

func TestAReplayMayNameManyDevices(t *testing.T) {
	flip := `{"tenantId":"t","endpointId":"e","hostname":"WS-1","fromVerdict":"manual","fromReasonCode":"VIP","toVerdict":"delete","toReasonCode":"ELIGIBLE"}`
	c, _ := service(t, 200, `{"replayed":20000,"toDelete":[`+strings.Repeat(flip+",", 19999)+flip+`]}`)
	r, err := c.ReplayPolicy(t.Context(), api.ReplayRequest{Policy: "x"})
	if err != nil || len(r.ToDelete) != 20000 {
		t.Errorf("%v", err)
	}
}

func TestAuditStreams(t *testing.T) {
	c, got := service(t, 200, `{"seq":1,"action":"delete"}`+"\n"+`{"seq":2}`+"\n"+`{"seq":`+"\n")
	var seqs []int64
	var last error
	for e, err := range c.Audit(t.Context(), api.AuditQuery{TenantID: "t"}) {
		if last = err; err == nil {
			seqs = append(seqs, e.Seq)
		}
	}
	if diff := cmp.Diff([]int64{1, 2}, seqs); diff != "" || last == nil {
		t.Errorf("entries %v, then %v: want 1, 2 and the error of the line that is cut", seqs, last)
	}
	if got.Path != "/v1/audit" || got.Query != "tenantId=t" {
		t.Errorf("asked %s?%s", got.Path, got.Query)
	}
}

func TestAuditMayBeLeftEarlyAndRefused(t *testing.T) {
	c, _ := service(t, 200, `{"seq":1}`+"\n"+`{"seq":2}`+"\n")
	for e, err := range c.Audit(t.Context(), api.AuditQuery{}) {
		if err != nil || e.Seq != 1 {
			t.Fatalf("entry %v, error %v", e, err)
		}
		break
	}
	c, _ = service(t, 403, `{"code":"forbidden"}`)
	count := 0
	for _, err := range c.Audit(t.Context(), api.AuditQuery{}) {
		count++
		if e := new(api.Error); !errors.As(err, &e) || e.Code != api.CodeForbidden {
			t.Errorf("error %v", err)
		}
	}
	if count != 1 {
		t.Errorf("%d entries", count)
	}
}

func TestBaseURLs(t *testing.T) {
	for base, ok := range map[string]bool{
		"https://rollcall.example.test":      true,
		"http://127.0.0.1:8080/behind/proxy": true,
		"rollcall.example.test":              false,
		"ftp://rollcall.example.test":        false,
		"http://":                            false,
		"http://[":                           false,
	} {
		if _, err := api.New(base, "k", nil); (err == nil) != ok {
			t.Errorf("New(%q): %v", base, err)
		}
	}
}
