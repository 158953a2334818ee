package httpapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"rollcall/api"
)

const (
	verifyPath   = "/v1/actions/verify-live"
	evaluatePath = "/v1/actions/evaluate"
	deletePath   = "/v1/actions/delete"
	openPath     = "/v1/actions/ticket-open"
	closePath    = "/v1/actions/ticket-close"
)

// ids is an event that names the device and nothing else.
func ids() string {
	return fmt.Sprintf(`{"central":{"id":%q,"tenant":{"id":%q}}}`, endpointID, tenantID)
}

// padded is a body of exactly n bytes.
func padded(n int) string {
	head, tail := `{"event":{"x":"`, `"}}`
	return head + strings.Repeat("a", n-len(head)-len(tail)) + tail
}

// nested is an event with objects in each other, n deep in the body.
func nested(n int) string {
	return `{"event":` + strings.Repeat(`{"a":`, n-1) + `1` + strings.Repeat(`}`, n-1) + `}`
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestBadInputGetsItsStatusAndCode(t *testing.T) {
	long := strings.Repeat("a", 129)
	cases := []struct {
		name, path, body string
		status           int
		code             string
		field            string // of the first of errors
		says             string // in detail
	}{
		{"an empty body", evaluatePath, " ", 400, "bad_json", "", "is empty"},
		{"no JSON", evaluatePath, "event=1", 400, "bad_json", "", "not valid JSON"},
		{"JSON that is cut", evaluatePath, `{"event":{"central":`, 400, "bad_json", "", ""},
		{"JSON with a comma too many", evaluatePath, `{"event":{},}`, 400, "bad_json", "", ""},
		{"a word of another language", evaluatePath, `{"event":None}`, 400, "bad_json", "", ""},
		{"a second object", evaluatePath, `{"event":{}}{"event":{}}`, 400, "bad_json", "", "follows"},
		{"trailing text", evaluatePath, `{"event":{}} x`, 400, "bad_json", "", "follows"},
		{"a list", evaluatePath, `[{"event":{}}]`, 400, "bad_json", "", "not a JSON object"},
		{"a string", evaluatePath, `"event"`, 400, "bad_json", "", "not a JSON object"},
		{"null", evaluatePath, `null`, 400, "bad_json", "", "not a JSON object"},
		{"a byte order mark in the middle", evaluatePath, `{"event":` + "\ufeff" + `{}}`, 400, "bad_json", "", ""},
		{"invalid UTF-8", evaluatePath, "{\"event\":{\"x\":\"\xff\"}}", 400, "bad_json", "", ""},
		{"half a surrogate pair", evaluatePath, `{"event":{"x":"\ud800"}}`, 400, "bad_json", "", ""},
		{"a raw control character in a string", evaluatePath, "{\"event\":{\"x\":\"a\x00b\"}}", 400, "bad_json", "", ""},
		{"nesting of 101", evaluatePath, nested(101), 400, "bad_json", "", "nested deeper"},
		{"nesting of 100,000", evaluatePath, strings.Repeat("[", 100000), 400, "bad_json", "", "nested deeper"},
		{"deep nesting in an event given as a string", evaluatePath, `{"event":` + quoted(nested(102)) + `}`, 400, "bad_json", "", "nested deeper"},

		{"a key twice", evaluatePath, `{"event":{},"event":{}}`, 400, "duplicate_key", "", "/event"},
		{"a key twice deep down", evaluatePath, `{"event":{"directory":{"enabled":false,"enabled":true}}}`, 400, "duplicate_key", "", "/event/directory/enabled"},
		{"a key twice, once escaped", evaluatePath, `{"event":{"a":1,"\u0061":2}}`, 400, "duplicate_key", "", ""},
		{"a key twice in an event given as a string", evaluatePath, `{"event":"{\"central\":{\"id\":1,\"id\":2}}"}`, 400, "duplicate_key", "", "/central/id"},

		{"an unknown field", evaluatePath, `{"event":{},"force":true}`, 400, "unknown_field", "", `"force"`},
		{"a field in another case", evaluatePath, `{"Event":{}}`, 400, "unknown_field", "", `"Event"`},
		{"a field of another action", verifyPath, `{"event":` + ids() + `,"evidence":"x"}`, 400, "unknown_field", "", `"evidence"`},
		{"a device named beside the token", deletePath, `{"token":"x","endpointId":"` + endpointID + `"}`, 400, "unknown_field", "", `"endpointId"`},
		{"a very long unknown field", evaluatePath, `{"` + strings.Repeat("k", 5000) + `":1}`, 400, "unknown_field", "", "..."},
		{"an unknown field after a wrong type", evaluatePath, `{"event":1,"force":true}`, 400, "unknown_field", "", ""},
		{"trailing text after a wrong type", evaluatePath, `{"event":1} x`, 400, "bad_json", "", ""},

		{"no event", evaluatePath, `{}`, 422, "invalid", "event", "is required"},
		{"event null", evaluatePath, `{"event":null}`, 422, "invalid", "event", "is required"},
		{"event empty text", evaluatePath, `{"event":"  "}`, 422, "invalid", "event", "is required"},
		{"event a number", evaluatePath, `{"event":7}`, 422, "invalid", "event", "must be a JSON object"},
		{"event a list", evaluatePath, `{"event":[{}]}`, 422, "invalid", "event", "must be a JSON object"},
		{"event text that is no JSON", evaluatePath, `{"event":"WS-FIN-0427"}`, 422, "invalid", "event", "must be a JSON object"},
		{"event text that holds a list", evaluatePath, `{"event":"[]"}`, 422, "invalid", "event", "must be a JSON object"},
		{"event text with something after the object", evaluatePath, `{"event":"{} {}"}`, 422, "invalid", "event", "must be a JSON object"},
		{"verify-live without central", verifyPath, `{"event":{}}`, 422, "invalid", "event.central.id", ""},
		{"verify-live without a tenant", verifyPath, `{"event":{"central":{"id":"` + endpointID + `"}}}`, 422, "invalid", "event.central.tenant.id", ""},
		{"verify-live with an id that is no UUID", verifyPath, `{"event":{"central":{"id":"7","tenant":{"id":"` + tenantID + `"}}}}`, 422, "invalid", "event.central.id", ""},
		{"evidence of a wrong type", evaluatePath, `{"event":{},"evidence":{}}`, 422, "invalid", "evidence", "must be a string"},
		{"evidence that is no token", evaluatePath, `{"event":` + ids() + `,"evidence":"rc1.AAAA"}`, 422, "invalid", "evidence", ""},
		{"evidence that is too long", evaluatePath, `{"event":{},"evidence":"` + strings.Repeat("a", 4097) + `"}`, 422, "invalid", "evidence", "4096"},

		{"delete without a token or ticket", deletePath, `{}`, 422, "invalid", "token", "ticketId"},
		{"delete with both empty", deletePath, `{"token":"","ticketId":" "}`, 422, "invalid", "token", ""},
		{"delete with a forged token", deletePath, `{"token":"let me"}`, 422, "invalid", "token", ""},
		{"delete with NUL in the token", deletePath, `{"token":"rc1.\u0000"}`, 422, "invalid", "token", "control characters"},
		{"a ticket id that is no whole number", deletePath, `{"ticketId":1.5}`, 422, "invalid", "ticketId", "whole number"},
		{"a ticket id with an exponent", deletePath, `{"ticketId":1e3}`, 422, "invalid", "ticketId", "whole number"},
		{"a ticket id that is true", deletePath, `{"ticketId":true}`, 422, "invalid", "ticketId", "whole number"},
		{"a ticket id with a line end", deletePath, `{"ticketId":"HELP-1\n"}`, 422, "invalid", "ticketId", "line end"},
		{"a ticket id that is too long", deletePath, `{"ticketId":"` + strings.Repeat("7", 257) + `"}`, 422, "invalid", "ticketId", "256"},
		{"ticket-open without a ticket id", openPath, `{"token":"x"}`, 422, "invalid", "ticketId", "is required"},
		{"ticket-open without a token", openPath, `{"ticketId":"HELP-1"}`, 422, "invalid", "token", "is required"},
		{"ticket-open with a forged token", openPath, `{"token":"rc1.AAAA","ticketId":"HELP-1"}`, 422, "invalid", "token", ""},
		{"ticket-close without anything", closePath, `{}`, 422, "invalid", "ticketId", "decidedBy is required"},
		{"a decision that there isn't", closePath, `{"ticketId":1,"decision":"yes","decidedBy":"a"}`, 422, "invalid", "decision", "delete, keep, none"},
		{"a decision in another case", closePath, `{"ticketId":1,"decision":"Delete","decidedBy":"a"}`, 422, "invalid", "decision", ""},
		{"nobody decided", closePath, `{"ticketId":1,"decision":"keep","decidedBy":" "}`, 422, "invalid", "decidedBy", "is required"},
		{"a note that is too long", closePath, `{"ticketId":1,"decision":"keep","decidedBy":"a","note":"` + strings.Repeat("n", 4001) + `"}`, 422, "invalid", "note", "4000"},
		{"a request id that is too long", evaluatePath, `{"event":{},"requestId":"` + long + `"}`, 422, "invalid", "requestId", "128"},
		{"a request id with a control character", evaluatePath, `{"event":{},"requestId":"a\u0007"}`, 422, "invalid", "requestId", "control"},
		{"a request id that is a number", evaluatePath, `{"event":{},"requestId":7}`, 422, "invalid", "requestId", "must be a string"},

		{"ack without who", "/v1/failures/" + endpointID + "/ack", `{"tenantId":"` + tenantID + `"}`, 422, "invalid", "by", ""},
		{"ack of a tenant that is no UUID", "/v1/failures/" + endpointID + "/ack", `{"tenantId":"t","by":"a"}`, 422, "invalid", "tenantId", "UUID"},
		{"ack of a device that is no UUID", "/v1/failures/7/ack", `{"tenantId":"` + tenantID + `","by":"a"}`, 422, "invalid", "endpointId", "UUID"},
		{"pause without a reason", "/v1/admin/pause", `{"by":"a"}`, 422, "invalid", "reason", "is required"},
		{"pause of a tenant that is no UUID", "/v1/admin/pause", `{"tenantId":"all","reason":"r","by":"a"}`, 422, "invalid", "tenantId", "UUID"},
		{"resume with an unknown field", "/v1/admin/resume", `{"reason":"r","by":"a","tenantID":"x"}`, 400, "unknown_field", "", ""},
	}
	e := newEdge(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := wantError(t, e.send(t, "POST", c.path, c.body), c.status, c.code)
			field := ""
			if len(got.Errors) > 0 {
				field = got.Errors[0].Field
			}
			if field != c.field || !strings.Contains(got.Detail, c.says) {
				t.Errorf("errors %v, detail %q, want field %q and %q", got.Errors, got.Detail, c.field, c.says)
			}
		})
	}
	if e.ledger.notes > 0 {
		t.Errorf("%d steps were recorded for requests that can't be used", e.ledger.notes)
	}
}

func TestEveryFaultOfAnEnvelopeIsToldOnce(t *testing.T) {
	got := wantError(t, newEdge(t).send(t, "POST", closePath, `{"ticketId":{},"decision":"yes","note":7}`), 422, "invalid")
	var fields []string
	for _, f := range got.Errors {
		fields = append(fields, f.Field)
	}
	if want := "ticketId note decision decidedBy"; strings.Join(fields, " ") != want {
		t.Errorf("errors of %q, want %q", fields, want)
	}
}

func TestTheBodyMayHaveOneMiB(t *testing.T) {
	e := newEdge(t)
	if w := e.send(t, "POST", evaluatePath, padded(1<<20)); w.Code != 200 {
		t.Errorf("1 MiB: %d %s", w.Code, w.Body)
	}
	wantError(t, e.send(t, "POST", evaluatePath, padded(1<<20+1)), 413, "too_large")
	wantError(t, e.send(t, "POST", evaluatePath, strings.Repeat(" ", 1<<21)), 413, "too_large")
}

func TestABodyThatBreaksOffIsNotUsed(t *testing.T) {
	e := newEdge(t)
	broken := io.MultiReader(strings.NewReader(`{"event":`+ids()), iotest.ErrReader(io.ErrUnexpectedEOF))
	r := httptest.NewRequestWithContext(t.Context(), "POST", evaluatePath, broken)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-API-Key", allKey)
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	wantError(t, w, 400, "bad_json")
}

func TestOnlyJSONIsTaken(t *testing.T) {
	e := newEdge(t)
	good := `{"event":{}}`
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/problem+json", "json", "application/json; charset=latin1", "application/json;;"} {
		wantError(t, e.send(t, "POST", evaluatePath, good, header("Content-Type", kind)), 415, "unsupported_media_type")
	}
	wantError(t, e.send(t, "POST", evaluatePath, good, header("Content-Encoding", "gzip")), 415, "unsupported_media_type")
	for _, kind := range []string{"application/json", "Application/JSON", "application/json; charset=UTF-8", `application/json;charset="utf-8"`} {
		if w := e.send(t, "POST", evaluatePath, good, header("Content-Type", kind)); w.Code != 200 {
			t.Errorf("%s: %d %s", kind, w.Code, w.Body)
		}
	}
}

func TestWhatMayVaryIsTaken(t *testing.T) {
	e := newEdge(t)
	cases := []struct{ name, path, body string }{
		{"an event as a string", evaluatePath, bodyFile(t, "evaluate-event-as-string")},
		{"values as strings", evaluatePath, bodyFile(t, "evaluate-all-strings")},
		{"a whole record of Central's", evaluatePath, bodyFile(t, "evaluate-whole-record")},
		{"nesting of 100", evaluatePath, nested(100)},
		{"brackets in strings", evaluatePath, `{"event":{"x":"` + strings.Repeat(`[{\"`, 200) + `"}}`},
		{"unknown fields inside the event", evaluatePath, `{"event":{"Central":1,"hostname":"a","Hostname":"b"}}`},
		{"empty optional fields", evaluatePath, `{"event":{},"evidence":"","requestId":null}`},
		{"a ticket id as a number", closePath, `{"ticketId":1207,"decision":"keep","decidedBy":"a.berg"}`},
		{"blanks around a ticket id", closePath, `{"ticketId":" 1207 ","decision":"keep","decidedBy":"a.berg"}`},
		{"a note of several lines", closePath, `{"ticketId":"1","decision":"none","decidedBy":"a.berg","note":"one\ntwo\tthree"}`},
		{"128 characters of several bytes", evaluatePath, `{"event":{},"requestId":"` + strings.Repeat("ä", 128) + `"}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if w := e.send(t, "POST", c.path, c.body); w.Code != 200 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

func TestANumberIsItsDigits(t *testing.T) {
	e := newEdge(t)
	a := into[api.Answer](t, e.send(t, "POST", closePath, `{"ticketId":900719925474099312345,"decision":"keep","decidedBy":"a"}`))
	if a.TicketID == nil || *a.TicketID != "900719925474099312345" || a.Outcome != "not_found" {
		t.Errorf("ticketId %v, outcome %s", a.TicketID, a.Outcome)
	}
}

func TestTokensOfOneStepAreNoTokensOfAnother(t *testing.T) {
	e := newEdge(t)
	evidence := into[api.Answer](t, e.send(t, "POST", verifyPath, bodyFile(t, "verify-live")))
	verdict := into[api.Answer](t, e.send(t, "POST", evaluatePath, bodyFile(t, "evaluate")))
	if evidence.Token == nil || verdict.Token == nil {
		t.Fatalf("no tokens: %+v, %+v", evidence, verdict)
	}
	of := func(format string, args ...any) string { return fmt.Sprintf(format, args...) }
	cut := (*verdict.Token)[:len(*verdict.Token)-1]
	foreign := strings.ReplaceAll(ids(), endpointID, otherID)
	for _, c := range []struct{ name, path, body, field string }{
		{"evidence in delete", deletePath, of(`{"token":%q}`, *evidence.Token), "token"},
		{"evidence in ticket-open", openPath, of(`{"token":%q,"ticketId":"1"}`, *evidence.Token), "token"},
		{"a verdict of another device as evidence", evaluatePath, of(`{"event":%s,"evidence":%q}`, foreign, *verdict.Token), "evidence"},
		{"a token cut by one", deletePath, of(`{"token":%q}`, cut), "token"},
		{"evidence of another device", evaluatePath, of(`{"event":%s,"evidence":%q}`, foreign, *evidence.Token), "evidence"},
		{"a token with an event of another device", deletePath, of(`{"token":%q,"event":%s}`, *verdict.Token, foreign), "event"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := wantError(t, e.send(t, "POST", c.path, c.body), 422, "invalid")
			if len(got.Errors) != 1 || got.Errors[0].Field != c.field {
				t.Errorf("errors %v, want of %s", got.Errors, c.field)
			}
		})
	}
	if w := e.send(t, "POST", openPath, of(`{"token":%q,"ticketId":"1","openedBy":"b"}`, *verdict.Token)); w.Code != http.StatusOK {
		t.Errorf("a verdict in ticket-open: %d %s", w.Code, w.Body)
	}
	other := into[api.Answer](t, e.send(t, "POST", evaluatePath, `{"event":`+foreign+`}`))
	wantError(t, e.send(t, "POST", openPath, of(`{"token":%q,"ticketId":"1","openedBy":"b"}`, *other.Token)), 409, "conflict")
}
