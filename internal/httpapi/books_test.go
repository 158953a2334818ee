package httpapi

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/api"
	"rollcall/internal/action"
)

func someExclusions() []action.Exclusion {
	restoreBy := theTime().AddDate(0, 0, 30)
	return []action.Exclusion{
		{TenantID: tenantID, EndpointID: endpointID, Hostname: "WS-FIN-0427", Kind: "deleted", Since: theTime(), RestoreBy: &restoreBy},
		{TenantID: tenantID, EndpointID: otherID, Kind: "ticket", Since: theTime(), TicketID: `=HYPERLINK("x","y")`},
	}
}

func TestExclusionsComeInThreeForms(t *testing.T) {
	e := newEdge(t)
	e.books.exclusions = someExclusions()
	list := into[api.List[api.Exclusion]](t, e.send(t, "GET", "/v1/exclusions", ""))
	if list.Count != 2 || len(list.Items) != 2 || list.Next != nil || list.Items[1].Hostname != nil || list.Items[0].RestoreBy == nil {
		t.Errorf("list %+v", list)
	}
	w := e.send(t, "GET", "/v1/exclusions?format=ndjson", "")
	if kind := w.Header().Get("Content-Type"); kind != "application/x-ndjson" {
		t.Errorf("Content-Type %q", kind)
	}
	lines := strings.Split(strings.TrimSuffix(w.Body.String(), "\n"), "\n")
	for i, line := range lines {
		var got api.Exclusion
		if err := json.Unmarshal([]byte(line), &got); err != nil || !cmp.Equal(got, list.Items[i]) {
			t.Errorf("line %q: %v, want %+v", line, err, list.Items[i])
		}
	}
	w = e.send(t, "GET", "/v1/exclusions?format=csv", "")
	if kind := w.Header().Get("Content-Type"); kind != "text/csv; charset=utf-8" {
		t.Errorf("Content-Type %q", kind)
	}
	want := "tenantId,endpointId,hostname,kind,since,ticketId,restoreBy\n" +
		tenantID + "," + endpointID + ",WS-FIN-0427,deleted,2026-11-20T06:05:01.123Z,,2026-12-20T06:05:01.123Z\n" +
		tenantID + "," + otherID + `,,ticket,2026-11-20T06:05:01.123Z,"'=HYPERLINK(""x"",""y"")",` + "\n"
	if diff := cmp.Diff(want, w.Body.String()); diff != "" {
		t.Error(diff)
	}
}

func TestAnEmptyListIsAList(t *testing.T) {
	e := newEdge(t)
	for path, want := range map[string]string{
		"/v1/exclusions":               `{"items":[],"count":0,"next":null}`,
		"/v1/exclusions?format=ndjson": "",
		"/v1/exclusions?format=csv":    "tenantId,endpointId,hostname,kind,since,ticketId,restoreBy",
		"/v1/tickets":                  `{"items":[],"count":0,"next":null}`,
		"/v1/failures":                 `{"items":[],"count":0,"next":null}`,
		"/v1/devices?hostname=ws-1":    `{"items":[],"count":0,"next":null}`,
		"/v1/audit":                    "",
	} {
		w := e.send(t, "GET", path, "")
		if got := strings.TrimSpace(w.Body.String()); w.Code != 200 || got != want || w.Header().Get("X-Request-ID") == "" {
			t.Errorf("%s: %d %q, want %q", path, w.Code, got, want)
		}
	}
}

func TestQueriesReachTheBooks(t *testing.T) {
	six := time.Date(2026, 11, 20, 6, 0, 0, 0, time.UTC)
	dev := action.Ref{TenantID: tenantID, EndpointID: endpointID}
	e := newEdge(t)
	for path, want := range map[string][]any{
		"/v1/exclusions": {"", time.Time{}},
		"/v1/exclusions?kind=kept&since=2026-11-20T06:00:00Z":       {"kept", six},
		"/v1/exclusions?kind=&since=1795154400&format=json":         {"", six},
		"/v1/exclusions?since=2026-11-20T07:00:00%2B01:00":          {"", six},
		"/v1/exclusions?since=2026-11-20T07:00:00+0100":             {"", six},
		"/v1/exclusions?since=0":                                    {"", time.Time{}},
		"/v1/tickets?state=closed":                                  {"closed"},
		"/v1/tickets/A%2FB%20%C3%A4":                                {"A/B ä"},
		"/v1/tickets/1207":                                          {"1207"},
		"/v1/devices?hostname=%20WS-FIN-0427.corp.example.test.%20": {"WS-FIN-0427.corp.example.test"},
		"/v1/devices/" + strings.ToUpper(endpointID) + "?tenantId=%7B" + strings.ToUpper(tenantID) + "%7D": {dev},
		"/v1/audit?since=1795154400&endpointId=" + endpointID:                                              {six, "", endpointID},
	} {
		e.books.asked = nil
		e.send(t, "GET", path, "")
		if diff := cmp.Diff(want, e.books.asked); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

func TestBadQueriesAre422(t *testing.T) {
	e := newEdge(t)
	for path, field := range map[string]string{
		"/v1/exclusions?kind=Deleted":                      "kind",
		"/v1/exclusions?kind=deleted&kind=ticket":          "kind",
		"/v1/exclusions?format=xml":                        "format",
		"/v1/exclusions?since=yesterday":                   "since",
		"/v1/exclusions?since=2026-11-20T06:00:00":         "since",
		"/v1/exclusions?since=NaN":                         "since",
		"/v1/exclusions?since=-5":                          "since",
		"/v1/exclusions?kind=%zz":                          "query",
		"/v1/tickets?state=done":                           "state",
		"/v1/audit?tenantId=t":                             "tenantId",
		"/v1/audit?endpointId=" + strings.Repeat("7", 300): "endpointId",
		"/v1/devices":                                      "hostname",
		"/v1/devices?hostname=%00":                         "hostname",
		"/v1/devices/" + endpointID:                        "tenantId",
		"/v1/devices/" + endpointID + "?tenantId=x":        "tenantId",
	} {
		if got := wantError(t, e.send(t, "GET", path, ""), 422, "invalid"); got.Errors[0].Field != field {
			t.Errorf("%s: errors %v, want of %s", path, got.Errors, field)
		}
	}
	if e.books.asked != nil {
		t.Errorf("the books were asked %v", e.books.asked)
	}
}

func TestWhatIsNotOnRecordIs404(t *testing.T) {
	e := newEdge(t)
	for _, path := range []string{"/v1/tickets/HELP-9", "/v1/devices/" + endpointID + "?tenantId=" + tenantID, "/v1/devices/7?tenantId=" + tenantID} {
		wantError(t, e.send(t, "GET", path, ""), 404, "not_found")
	}
}

func TestCellsAreHarmless(t *testing.T) {
	for cell, want := range map[string]string{
		"": "", "WS-1": "WS-1", "a=b": "a=b", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\t=1": "'\t=1", "\r=1": "'\r=1",
	} {
		if got := Harmless(cell); got != want {
			t.Errorf("Harmless(%q) = %q, want %q", cell, got, want)
		}
	}
	e := newEdge(t)
	for _, evil := range []string{"=cmd|' /C calc'!A0", "+1", "-2", "@SUM(1)"} {
		e.books.exclusions = append(e.books.exclusions, action.Exclusion{Hostname: evil, TicketID: evil, Since: theTime()})
	}
	rows, err := csv.NewReader(e.send(t, "GET", "/v1/exclusions?format=csv", "").Body).ReadAll()
	if err != nil || len(rows) != 5 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, row := range rows[1:] {
		if row[2][0] != '\'' || row[5][0] != '\'' {
			t.Errorf("row %q can be taken for a formula", row)
		}
	}
}

func TestAListThatFailsMidwayDoesNotLookComplete(t *testing.T) {
	for _, path := range []string{"/v1/exclusions", "/v1/exclusions?format=ndjson", "/v1/exclusions?format=csv", "/v1/tickets", "/v1/failures", "/v1/audit"} {
		for _, rows := range []int{1, flushRows, 5000} {
			t.Run(fmt.Sprintf("%s after %d rows", path, rows), func(t *testing.T) {
				// An edge of its own: a cut stream's handler may outlive the answer.
				e := newEdge(t)
				server := httptest.NewServer(e)
				defer server.Close()
				*e.books = fakeBooks{err: errors.New("the store went away")}
				for range rows {
					e.books.exclusions = append(e.books.exclusions, someExclusions()[0])
					e.books.tickets = append(e.books.tickets, action.Ticket{TicketID: "1", OpenedAt: theTime()})
					e.books.failures = append(e.books.failures, action.Failure{Text: "x"})
					e.books.audit = append(e.books.audit, []byte(`{"seq":1}`))
				}
				req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("X-API-Key", allKey)
				resp, err := server.Client().Do(req)
				if err != nil {
					return // cut before the first byte
				}
				defer func() { _ = resp.Body.Close() }()
				if b, err := io.ReadAll(resp.Body); err == nil {
					t.Fatalf("%d bytes came without an error, the last %q", len(b), b[max(0, len(b)-40):])
				}
			})
		}
	}
}

func TestAListThatFailsAtOnceIsAnError(t *testing.T) {
	e := newEdge(t)
	for _, path := range []string{"/v1/exclusions", "/v1/exclusions?format=csv", "/v1/tickets", "/v1/failures", "/v1/audit", "/v1/devices?hostname=a"} {
		e.books.err = fmt.Errorf("x: %w", action.ErrState)
		w := e.send(t, "GET", path, "")
		wantError(t, w, 503, "state_unavailable")
		if kind := w.Header().Get("Content-Type"); kind != "application/json" {
			t.Errorf("%s: Content-Type %q", path, kind)
		}
	}
}

func TestRowsComeBeforeTheListIsWhole(t *testing.T) {
	e := newEdge(t)
	more, seen := make(chan struct{}), make(chan struct{})
	e.books.exclusions = make([]action.Exclusion, flushRows)
	rest := e.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest.ServeHTTP(&watched{ResponseWriter: w, flushed: func() { close(seen); <-more }}, r)
	}))
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/v1/exclusions?format=ndjson", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", allKey)
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	<-seen
	first := make([]byte, 10)
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != `{"tenantId` {
		t.Errorf("read %q, %v while the server still writes", first, err)
	}
	close(more)
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Error(err)
	}
}

// watched tells of the first flush after it happened.
type watched struct {
	http.ResponseWriter
	flushed func()
}

func (w *watched) Flush() {
	w.ResponseWriter.(http.Flusher).Flush()
	if w.flushed != nil {
		told := w.flushed
		w.flushed = nil
		told()
	}
}

func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestTicketsFailuresAndDevicesAreShownWhole(t *testing.T) {
	e := newEdge(t)
	e.books.tickets = []action.Ticket{{TicketID: "HELP-1", TenantID: tenantID, EndpointID: endpointID, State: "open", OpenedAt: theTime(), ApprovalID: "secret-approval", Claims: []byte("secret-claims")}}
	e.books.failures = []action.Failure{{TenantID: tenantID, EndpointID: endpointID, Kind: "verify", Class: action.Transient, Count: 3, FirstAt: theTime(), LastAt: theTime(), Text: "x"}}
	deleted := theTime()
	e.books.devices = []action.DeviceRecord{{
		TenantID: tenantID, EndpointID: endpointID, Hostname: "WS-1", State: "deleted", DeletedAt: &deleted,
		Failures: e.books.failures, Decision: map[string]any{"verdict": "delete"},
	}}
	one := into[api.Ticket](t, e.send(t, "GET", "/v1/tickets/HELP-1", ""))
	log := into[api.List[api.Ticket]](t, e.send(t, "GET", "/v1/tickets", ""))
	if one.TicketID != "HELP-1" || one.ClosedAt != nil || one.Decision != nil || log.Count != 1 || !cmp.Equal(log.Items[0], one) {
		t.Errorf("ticket %+v, log %+v", one, log)
	}
	if f := into[api.List[api.Failure]](t, e.send(t, "GET", "/v1/failures", "")); f.Count != 1 || f.Items[0].Class != "transient" {
		t.Errorf("failures %+v", f)
	}
	d := into[api.DeviceRecord](t, e.send(t, "GET", "/v1/devices/"+endpointID+"?tenantId="+tenantID, ""))
	if d.State != "deleted" || string(d.Decision) != `{"verdict":"delete"}` || string(d.Record) != "null" || len(d.Failures) != 1 || d.RestoreBy != nil {
		t.Errorf("device %+v", d)
	}
	if body := e.send(t, "GET", "/v1/tickets", "").Body.String(); strings.Contains(body, "secret") {
		t.Errorf("tickets show what is not for readers: %s", body)
	}
}

func TestAuditIsOneEntryALine(t *testing.T) {
	e := newEdge(t)
	e.books.audit = [][]byte{[]byte("{\"seq\":1,\n \"text\":\"a < b\"}"), []byte(`{"seq":2}`)}
	w := e.send(t, "GET", "/v1/audit", "")
	if got, want := w.Body.String(), "{\"seq\":1,\"text\":\"a < b\"}\n{\"seq\":2}\n"; got != want {
		t.Errorf("audit %q, want %q", got, want)
	}
}

func TestSwitchesAnswerWithTheStateThatHolds(t *testing.T) {
	e := newEdge(t)
	for _, name := range []string{"pause", "resume", "circuit-reset"} {
		body := `{"tenantId":"` + strings.ToUpper(tenantID) + `","reason":"Fire drill.","by":"a.berg","requestId":"r-1"}`
		got := into[api.AdminState](t, e.send(t, "POST", "/v1/admin/"+name, body))
		want := []any{name, action.Switch{TenantID: tenantID, Reason: "Fire drill.", By: "a.berg", RequestID: "r-1"}}
		if diff := cmp.Diff(want, e.books.asked); diff != "" {
			t.Error(diff)
		}
		if got.TenantID == nil || *got.TenantID != tenantID || got.Paused != (name == "pause") || got.RequestID != "r-1" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := into[api.AdminState](t, e.send(t, "POST", "/v1/admin/pause", bodyFile(t, "pause"))); got.TenantID != nil || !got.Paused {
		t.Errorf("pause of all: %+v", got)
	}
}

func TestAFailureIsAcknowledged(t *testing.T) {
	e := newEdge(t)
	path := "/v1/failures/" + strings.ToUpper(endpointID) + "/ack"
	if got := into[api.Ack](t, e.send(t, "POST", path, bodyFile(t, "ack"))); got.Acknowledged {
		t.Errorf("none waited: %+v", got)
	}
	e.books.failures = make([]action.Failure, 1)
	got := into[api.Ack](t, e.send(t, "POST", path, bodyFile(t, "ack"), header("X-Request-ID", "r-2")))
	if !got.Acknowledged || got.EndpointID != endpointID || got.TenantID != tenantID {
		t.Errorf("%+v", got)
	}
	want := []any{action.Ref{TenantID: tenantID, EndpointID: endpointID}, "a.berg", "Credential mended.", "r-2"}
	if diff := cmp.Diff(want, e.books.asked); diff != "" {
		t.Error(diff)
	}
}
