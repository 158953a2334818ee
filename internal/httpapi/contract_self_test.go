package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// madeUp is an exchange that no server had. An answer that is no string goes out as JSON.
func madeUp(tb testing.TB, method, path string, sent any, status int, kind string, answer any) (*http.Request, *http.Response) {
	tb.Helper()
	body, err := json.Marshal(sent)
	if err != nil {
		tb.Fatal(err)
	}
	req, err := http.NewRequestWithContext(tb.Context(), method, "http://rollcall.example.test"+path, bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	rec.Header().Set("Content-Type", kind)
	text, ok := answer.(string)
	if fields, isMap := answer.(map[string]any); isMap {
		if id, given := fields["requestId"].(string); given {
			rec.Header().Set("X-Request-ID", id)
		}
		if after := fields["retryAfterSeconds"]; after != nil && fields["code"] != nil {
			rec.Header().Set("Retry-After", fmt.Sprint(after))
		}
	}
	if !ok {
		b, err := json.Marshal(answer)
		if err != nil {
			tb.Fatal(err)
		}
		text = string(b)
	}
	rec.WriteHeader(status)
	if _, err := io.WriteString(rec, text); err != nil {
		tb.Fatal(err)
	}
	return req, rec.Result()
}

// TestContractKnowsWhatItHasSeen plays the document's own examples: they fit, and
// leave nothing missing but the reason codes that they do not hold.
func TestContractKnowsWhatItHasSeen(t *testing.T) {
	c := newContract(t)
	if n := len(c.Missing()); n < 150 {
		t.Fatalf("%d things to be shown, which can't be all", n)
	}
	for path, item := range c.doc.Paths.Map() {
		path = strings.NewReplacer("{ticketId}", "HELP-1", "{endpointId}", "6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3").Replace(path)
		path += map[string]string{"/v1/devices": "?hostname=H"}[path]
		if strings.HasPrefix(path, "/v1/devices/") {
			path += "?tenantId=t"
		}
		for method, op := range item.Operations() {
			c.play(t, method, path, op)
		}
	}
	req, resp := madeUp(t, "PUT", "/livez", nil, 405, "application/json", c.doc.Components.Examples["MethodNotAllowed"].Value.Value) //nolint:bodyclose // made up: there is no connection
	c.Check(t, req, resp)
	left := slices.DeleteFunc(c.Missing(), func(s string) bool { return strings.HasPrefix(s, "reason ") })
	if len(left) > 0 {
		t.Errorf("missing after every example: %q", left)
	}
}

// play makes exchanges of an operation's examples.
func (c *contract) play(t *testing.T, method, path string, op *openapi3.Operation) {
	t.Helper()
	requests := []any{nil}
	if op.RequestBody != nil {
		requests = nil
		for _, e := range op.RequestBody.Value.Content["application/json"].Examples {
			requests = append(requests, e.Value.Value)
		}
	}
	for status, ref := range op.Responses.Map() {
		code, err := strconv.Atoi(status)
		if err != nil {
			t.Fatal(err)
		}
		for kind, media := range ref.Value.Content {
			answers := []any{map[string]any{}}
			if media.Schema.Value.Type.Is("string") {
				answers = []any{"text"}
			}
			if len(media.Examples) > 0 {
				answers = nil
			}
			for _, e := range media.Examples {
				answers = append(answers, e.Value.Value)
			}
			for _, sent := range requests {
				for _, answer := range answers {
					req, resp := madeUp(t, method, path, sent, code, kind, answer) //nolint:bodyclose // made up: there is no connection
					c.Check(t, req, resp)
				}
			}
		}
	}
}

func TestContractFindsWhatIsAgainstIt(t *testing.T) {
	c := newContract(t)
	good := c.doc.Paths.Value("/v1/actions/delete").Post.Responses.Value("200").Value.Content["application/json"].Examples["deferred"].Value.Value.(map[string]any)
	fault := c.doc.Components.Examples["RateLimited"].Value.Value.(map[string]any)
	change := func(of map[string]any, field string, value any) map[string]any {
		out := maps.Clone(of)
		if out[field] = value; value == "gone" {
			delete(out, field)
		}
		return out
	}
	token := map[string]any{"token": "t"}
	method, missing := c.doc.Components.Examples["MethodNotAllowed"].Value.Value, c.doc.Components.Examples["NotFound"].Value.Value
	for _, tt := range []struct {
		name   string
		path   string
		sent   any
		status int
		kind   string
		answer any
		ok     bool
	}{
		{"as it should be", "/v1/actions/delete", token, 200, "application/json", good, true},
		{"a number for a ticket", "/v1/actions/delete", map[string]any{"ticketId": 12}, 200, "application/json", good, true},
		{"an error as it should be", "/v1/actions/delete", token, 429, "application/problem+json", fault, true},
		{"an unknown field taken", "/v1/actions/delete", map[string]any{"token": "t", "Event": 1}, 200, "application/json", good, false},
		{"an unknown field refused", "/v1/actions/delete", map[string]any{"Event": 1}, 400, "application/json", change(c.doc.Components.Examples["UnknownField"].Value.Value.(map[string]any), "instance", "x"), true},
		{"a field missing", "/v1/actions/delete", token, 200, "application/json", change(good, "eligibleAt", "gone"), false},
		{"a field too many", "/v1/actions/delete", token, 200, "application/json", change(good, "extra", 1), false},
		{"null where it must not be", "/v1/actions/delete", token, 200, "application/json", change(good, "ok", nil), false},
		{"an outcome that is none", "/v1/actions/delete", token, 200, "application/json", change(good, "outcome", "done"), false},
		{"a reason code that is none", "/v1/actions/delete", token, 200, "application/json", change(good, "reasons", []any{map[string]any{"code": "X", "verdict": "skip", "text": ""}}), false},
		{"a reason code of another reason", "/v1/actions/delete", token, 200, "application/json", change(good, "reasonCode", "ELIGIBLE"), false},
		{"a page", "/v1/actions/delete", token, 200, "text/html", "<html>", false},
		{"a status of no description", "/v1/actions/delete", token, 418, "application/json", fault, false},
		{"an error of another status", "/v1/actions/delete", token, 503, "application/json", fault, false},
		{"an error code that is none", "/v1/actions/delete", token, 429, "application/json", change(fault, "code", "oops"), false},
		{"two sentences in an error", "/v1/actions/delete", token, 429, "application/json", change(fault, "message", "x"), false},
		{"a method that is none of a route with an id", "/v1/tickets/a%2Fb", token, 405, "application/json", method, true},
		{"a method that is none, called no route", "/v1/tickets/a%2Fb", token, 404, "application/json", missing, false},
		{"an answer from beyond", "/v1/nowhere", token, 404, "application/json", missing, true},
		{"a route that is none", "/v1/actions/undelete", token, 200, "application/json", good, false},
	} {
		req, resp := madeUp(t, "POST", tt.path, tt.sent, tt.status, tt.kind, tt.answer) //nolint:bodyclose // made up: there is no connection
		if err := c.check(req, resp); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
