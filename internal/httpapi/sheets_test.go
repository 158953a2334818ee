package httpapi

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/api"
	"rollcall/internal/action"
	"rollcall/internal/policy"
	"rollcall/internal/policyfile"
)

func (f *fakeBooks) Decisions(_ context.Context, since time.Time) iter.Seq2[[]byte, error] {
	f.asked = []any{since}
	return thenErr(f.decisions, f.err)
}

// candidate reads a policy as the process does.
func candidate(text []byte) (policy.Params, []PolicyFault) {
	p, err := policyfile.Parse(text)
	var faults policyfile.Faults
	errors.As(err, &faults)
	var out []PolicyFault
	for _, f := range faults {
		out = append(out, PolicyFault(f))
	}
	return p, out
}

// recorded is a decision on record about a device last seen 100 days before; edit
// may alter it.
func recorded(tb testing.TB, id, verdict, code string, edit ...func(map[string]any)) []byte {
	tb.Helper()
	live := liveDevice()
	live.Device.ID, live.Device.PersonName = policy.Is(id), policy.Is("=J. Doe")
	line := map[string]any{
		"hostname": "WS-FIN-0427", "verdict": verdict, "reasonCode": code, "mode": "dry-run", "policyVersion": "4f1c9a2e7b30",
		"reasons":     []policy.Reason{{Code: policy.Code(code), Verdict: policy.Keep, Text: "One."}, {Code: "VIP", Text: "Two."}},
		"evaluatedAt": theTime(), "live": live, "standing": policy.Standing{OpenTicket: "HELP-1"},
		"event": policy.Event{
			Central: policy.Device{ID: policy.Is(id), TenantID: policy.Is(tenantID), ViaLogin: policy.Is(`CORPEX\j.doe`)},
			Directory: policy.Directory{
				Present: true, Domain: policy.Is("corp.example.test"), OperatingSystem: policy.Is("Windows 11 Pro"),
				DistinguishedName: policy.Is(policy.DN{{"cn=WS-FIN-0427"}, {"dc=test"}}), DisabledAt: policy.Is(theTime().AddDate(0, 0, -90)),
			},
		},
	}
	for _, f := range edit {
		f(line)
	}
	b, err := json.Marshal(line)
	if err != nil {
		tb.Fatal(err)
	}
	return append(fmt.Appendf(nil, `{"tenantId":%q,"endpointId":%q,"at":"2026-11-20T06:05:01Z",`, tenantID, id), b[1:]...)
}

func TestTheSheetSaysWhatWasDecidedAndWhatItWouldHaveCome(t *testing.T) {
	e := newEdge(t)
	e.books.decisions = [][]byte{recorded(t, endpointID, "keep", "EXCLUDED")}
	list := into[api.List[api.Decision]](t, e.send(t, "GET", "/v1/decisions", ""))
	str := func(s string) *string { return &s }
	now, seen, off, days := theTime().Truncate(time.Millisecond), theTime().AddDate(0, 0, -100).Truncate(time.Millisecond), theTime().AddDate(0, 0, -90).Truncate(time.Millisecond), 100.0
	want := api.List[api.Decision]{Count: 1, Items: []api.Decision{{
		TenantID: tenantID, EndpointID: endpointID, Hostname: str("WS-FIN-0427"), Verdict: "keep", WouldHave: "left_alone",
		ReasonCode: str("EXCLUDED"), ReasonsText: str("One. Two."),
		Reasons:    []api.Reason{{Code: "EXCLUDED", Verdict: "keep", Text: "One."}, {Code: "VIP", Verdict: "manual", Text: "Two."}},
		LastSeenAt: &seen, InactiveDays: &days, EvaluatedAt: now, Mode: str("dry-run"), PolicyVersion: str("4f1c9a2e7b30"),
		Type: str("computer"), OSName: str("Windows 11 Pro"), Domain: str("corp.example.test"), DistinguishedName: str("cn=WS-FIN-0427,dc=test"),
		DisabledAt: &off, Person: str("=J. Doe"), Login: str(`CORPEX\j.doe`), TicketID: str("HELP-1"),
	}}}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Error(diff)
	}
	rows, err := csv.NewReader(e.send(t, "GET", "/v1/decisions?format=csv", "").Body).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("%v, %v", rows, err)
	}
	got := map[string]string{}
	for i, name := range rows[0] {
		got[name] = rows[1][i]
	}
	for name, want := range map[string]string{
		"verdict": "keep", "wouldHave": "left_alone", "reasonCodes": "EXCLUDED VIP", "inactiveDays": "100", "person": "'=J. Doe",
		"evaluatedAt": "2026-11-20T06:05:01.123Z", "eligibleAt": "", "ticketId": "HELP-1", "distinguishedName": "cn=WS-FIN-0427,dc=test",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

func TestEachVerdictHasItsWord(t *testing.T) {
	for verdict, want := range map[string]string{
		"delete": "deleted", "manual": "asked_person", "skip": "left_alone", "keep": "left_alone", "archive": "asked_person",
	} {
		if got := wouldHave(verdict); got != want {
			t.Errorf("%s: %s, want %s", verdict, got, want)
		}
	}
}

func TestTheSheetIsNarrowed(t *testing.T) {
	e := newEdge(t)
	e.books.decisions = [][]byte{
		recorded(t, endpointID, "delete", "ELIGIBLE"), recorded(t, otherID, "manual", "VIP"), recorded(t, otherID, "manual", "SERVER"),
	}
	for query, want := range map[string]int{
		"": 3, "?verdict=delete": 1, "?verdict=manual": 2, "?verdict=keep": 0, "?reasonCode=VIP": 1, "?reasonCode=CLONED": 0,
		"?verdict=delete&reasonCode=VIP": 0, "?verdict=&reasonCode=&format=&since=": 3,
	} {
		if got := into[api.List[api.Decision]](t, e.send(t, "GET", "/v1/decisions"+query, "")); got.Count != want || len(got.Items) != want {
			t.Errorf("%s: %d, want %d", query, got.Count, want)
		}
	}
	e.send(t, "GET", "/v1/decisions?since=2026-11-20T06:00:00Z", "")
	if diff := cmp.Diff([]any{time.Date(2026, 11, 20, 6, 0, 0, 0, time.UTC)}, e.books.asked); diff != "" {
		t.Error(diff)
	}
}

func TestADecisionThatCannotBeReadIsARow(t *testing.T) {
	e := newEdge(t)
	e.books.decisions = [][]byte{recorded(t, endpointID, "delete", "ELIGIBLE", func(m map[string]any) { delete(m, "standing") })}
	list := into[api.List[api.Decision]](t, e.send(t, "GET", "/v1/decisions", ""))
	if list.Count != 1 {
		t.Fatalf("%+v", list)
	}
	got := list.Items[0]
	if got.EndpointID != endpointID || got.Verdict != "manual" || got.WouldHave != "asked_person" || got.ReasonCode != nil || !strings.Contains(*got.ReasonsText, "can't be read") {
		t.Errorf("%+v", got)
	}
}

func TestAnEmptySheetIsASheet(t *testing.T) {
	e := newEdge(t)
	for path, want := range map[string]string{
		"/v1/decisions":               `{"items":[],"count":0,"next":null}`,
		"/v1/decisions?format=ndjson": "",
	} {
		if got := strings.TrimSpace(e.send(t, "GET", path, "").Body.String()); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
	if got := e.send(t, "GET", "/v1/decisions?format=csv", "").Body.String(); !strings.HasPrefix(got, "tenantId,endpointId,hostname,verdict,wouldHave,") {
		t.Errorf("csv: %q", got)
	}
}

func TestBadQueriesForSheetsAre422(t *testing.T) {
	e := newEdge(t)
	for path, field := range map[string]string{
		"/v1/decisions?verdict=Delete":                       "verdict",
		"/v1/decisions?reasonCode=eligible":                  "reasonCode",
		"/v1/decisions?format=xlsx":                          "format",
		"/v1/decisions?since=30d":                            "since",
		"/v1/devices/" + endpointID + "/recovery":            "tenantId",
		"/v1/devices/" + endpointID + "/recovery?tenantId=x": "tenantId",
	} {
		if got := wantError(t, e.send(t, "GET", path, ""), 422, "invalid"); got.Errors[0].Field != field {
			t.Errorf("%s: errors %v, want of %s", path, got.Errors, field)
		}
	}
	if e.books.asked != nil {
		t.Errorf("the books were asked %v", e.books.asked)
	}
}

func TestASheetFailsLikeAnyList(t *testing.T) {
	e := newEdge(t)
	e.books.err = fmt.Errorf("x: %w", action.ErrState)
	wantError(t, e.send(t, "GET", "/v1/decisions", ""), 503, "state_unavailable")
	e.books.decisions = [][]byte{recorded(t, endpointID, "delete", "ELIGIBLE")}
	wantError(t, e.send(t, "POST", "/v1/policy/replay", bodyFile(t, "replay")), 503, "state_unavailable")
}

func TestRecoveryIsOfWhatIsOnRecord(t *testing.T) {
	e := newEdge(t)
	path := "/v1/devices/" + strings.ToUpper(endpointID) + "/recovery?tenantId=" + tenantID
	wantError(t, e.send(t, "GET", path, ""), 404, "not_found")
	wantError(t, e.send(t, "GET", "/v1/devices/7/recovery?tenantId="+tenantID, ""), 404, "not_found")
	deleted := theTime().AddDate(0, 0, -1)
	e.books.devices = []action.DeviceRecord{{TenantID: tenantID, EndpointID: endpointID, Hostname: "WS-1", State: "deleted", DeletedAt: &deleted}}
	got := into[api.Recovery](t, e.send(t, "GET", path, ""))
	if got.Route != api.RouteRestore || got.RestoreBy == nil || got.Platform != nil || got.LosesProtection != nil || len(got.Steps) < 4 || got.State != "deleted" {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]any{action.Ref{TenantID: tenantID, EndpointID: endpointID}}, e.books.asked); diff != "" {
		t.Error(diff)
	}
	for a, b := range map[string]string{
		api.RouteCheck: action.RouteCheck, api.RouteWait: action.RouteWait, api.RouteRestore: action.RouteRestore,
		api.RouteTamper: action.RouteTamper, api.RouteReinstall: action.RouteReinstall, api.RouteNone: action.RouteNone,
	} {
		if a != b {
			t.Errorf("on the wire the route %s is %s", b, a)
		}
	}
}

func TestAFailureTellsCentralsOwnID(t *testing.T) {
	e := newEdge(t)
	e.books.failures = []action.Failure{{Text: "x", CorrelationID: "b7d1"}, {Text: "y"}}
	list := into[api.List[api.Failure]](t, e.send(t, "GET", "/v1/failures", ""))
	if id := list.Items[0].CorrelationID; id == nil || *id != "b7d1" || list.Items[1].CorrelationID != nil {
		t.Errorf("%+v", list.Items)
	}
}

func TestReplayTellsWhatWouldChange(t *testing.T) {
	e := newEdge(t)
	e.books.decisions = [][]byte{
		recorded(t, endpointID, "delete", "ELIGIBLE"), recorded(t, otherID, "manual", "VIP"), []byte(`{"tenantId":"` + tenantID + `",}`),
	}
	w := e.send(t, "POST", "/v1/policy/replay", bodyFile(t, "replay"))
	got := into[api.Replay](t, w)
	if got.Replayed != 2 || got.Unreadable != 1 || got.RequestID != "req-0427-10" || len(got.FromDelete) != 1 || len(got.ToDelete) != 0 || got.PolicyVersion == "" {
		t.Errorf("%d %+v", w.Code, got)
	}
	if len(got.Verdicts) != 4 || got.Verdicts[0] != (api.ReplayVerdict{Verdict: "delete", Before: 1, After: 0}) {
		t.Errorf("verdicts %+v", got.Verdicts)
	}
	if diff := cmp.Diff([]api.ReplayBaseline{{PolicyVersion: "4f1c9a2e7b30", Count: 2}}, got.Baselines); diff != "" {
		t.Error(diff)
	}
	want := theTime().AddDate(0, 0, -30)
	if diff := cmp.Diff([]any{want}, e.books.asked); diff != "" || !got.Since.Equal(want.Truncate(time.Millisecond)) {
		t.Errorf("since %v: %s", got.Since, diff)
	}
}

func TestTheVersionOfACandidateIsThatOfItsFile(t *testing.T) {
	text := "\n disabledOUs: [\"OU=Disabled,DC=corp,DC=example,DC=test\"]\n  "
	p, err := policyfile.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := into[api.Replay](t, newEdge(t).send(t, "POST", "/v1/policy/replay", `{"policy":`+quoted(text)+`}`)); got.PolicyVersion != p.Version || got.Since != nil {
		t.Errorf("%+v, want version %s", got, p.Version)
	}
}

func TestEachFaultOfACandidateIsNamedWithItsLine(t *testing.T) {
	e := newEdge(t)
	got := wantError(t, e.send(t, "POST", "/v1/policy/replay", `{"policy":`+quoted("graceDay: 1\nkeepDays: 0\nkeepDays: 0\n")+`}`), 422, "invalid")
	lines := map[string]bool{}
	for _, f := range got.Errors {
		if !strings.HasPrefix(f.Field, "policy") {
			t.Errorf("fault of %q", f.Field)
		}
		for _, n := range []string{"1", "2", "3"} {
			lines[n] = lines[n] || strings.HasSuffix(f.Problem, "(line "+n+")")
		}
	}
	if len(got.Errors) < 4 || !lines["1"] || !lines["2"] || !lines["3"] {
		t.Errorf("errors %v", got.Errors)
	}
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, "k%d: 1\n", i)
	}
	got = wantError(t, e.send(t, "POST", "/v1/policy/replay", `{"policy":`+quoted(many.String())+`}`), 422, "invalid")
	if n := len(got.Errors); n != mostFaults+1 || !strings.Contains(got.Errors[n-1].Problem, "more faults") {
		t.Errorf("%d errors, the last %v", n, got.Errors[n-1])
	}
	if e.books.asked != nil {
		t.Errorf("the books were asked %v", e.books.asked)
	}
}

func TestBadReplaysGetTheirStatus(t *testing.T) {
	e := newEdge(t)
	for name, c := range map[string]struct {
		body   string
		status int
		code   string
		field  string
	}{
		"no policy":                {`{}`, 422, "invalid", "policy"},
		"an empty policy":          {`{"policy":""}`, 422, "invalid", "policy"},
		"a policy that is no text": {`{"policy":{}}`, 422, "invalid", "policy"},
		"no YAML":                  {`{"policy":"a: [","since":"1d"}`, 422, "invalid", "policy"},
		"a time without zone":      {`{"policy":"a: 1","since":"2026-11-20T06:00:00"}`, 422, "invalid", "since"},
		"days in words":            {`{"policy":"a: 1","since":"a month"}`, 422, "invalid", "since"},
		"more than a duration":     {`{"policy":"a: 1","since":"999999d"}`, 422, "invalid", "since"},
		"an unknown field":         {`{"policy":"a: 1","mode":"live"}`, 400, "unknown_field", ""},
		"a body that is too large": {`{"policy":"` + strings.Repeat("#", 1<<20) + `"}`, 413, "too_large", ""},
	} {
		got := wantError(t, e.send(t, "POST", "/v1/policy/replay", c.body), c.status, c.code)
		if c.field != "" && (len(got.Errors) == 0 || got.Errors[0].Field != c.field) {
			t.Errorf("%s: errors %v, want of %s", name, got.Errors, c.field)
		}
	}
	if w := e.send(t, "POST", "/v1/policy/replay", bodyFile(t, "replay"), as("without-admin")); w.Code != http.StatusForbidden {
		t.Errorf("without admin: %d", w.Code)
	}
}

func TestSinceIsATimeOrHowLongAgo(t *testing.T) {
	now := theTime()
	for text, want := range map[string]time.Time{
		"": {}, "0": {}, " 30d ": now.AddDate(0, 0, -30), "12h": now.Add(-12 * time.Hour), "90m": now.Add(-90 * time.Minute),
		"2026-11-20T07:00:00+01:00": time.Date(2026, 11, 20, 6, 0, 0, 0, time.UTC), "1795154400": time.Date(2026, 11, 20, 6, 0, 0, 0, time.UTC),
	} {
		if got, ok := ParseSince(text, now); !ok || !got.Equal(want) {
			t.Errorf("%q: %v %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"d", "30", "-30d", "+30d", "1.5d", "30 d", "30D", "30s", "999999d", "1000000d", "NaN"} {
		if got, ok := ParseSince(text, now); ok {
			t.Errorf("%q: %v", text, got)
		}
	}
}
