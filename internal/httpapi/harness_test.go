package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"rollcall/api"
	"rollcall/internal/action"
	"rollcall/internal/policy"
	"rollcall/internal/seal"
)

const (
	tenantID   = "c0a8f1d2-57be-4a39-8e14-2b9d6f70a5c1"
	endpointID = "6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3"
	otherID    = "1a0b6f2c-5d3e-4a71-8c94-0e7f1b2d3a46"
	allKey     = "key-with-every-scope"
	meKey      = "key-with-scope-ingest-only"
)

// smallSpec stands in for the contract where a test is not about it: converting
// that takes longer than most tests.
const smallSpec = `{openapi: 3.0.3, info: {title: t, version: "1"}, paths: {}, components: {}}`

// theTime is when the tests happen.
func theTime() time.Time { return time.Date(2026, 11, 20, 6, 5, 1, 123456789, time.UTC) }

// fakeCentral answers every look with live.
type fakeCentral struct {
	action.Central
	live policy.Live
}

func (f *fakeCentral) Look(context.Context, action.Ref, time.Duration, action.Ask) (policy.Live, *action.Trouble) {
	return f.live, nil
}

// fakeLedger remembers one device's tickets. What it does not have panics.
type fakeLedger struct {
	action.Ledger
	err     error
	tickets map[string]action.Ticket
	notes   int
}

func (f *fakeLedger) Standing(context.Context, action.Ref, string) (action.Standing, error) {
	return action.Standing{Installation: "inst-1", Seq: 7}, f.err
}

func (f *fakeLedger) Lease(ctx context.Context, dev action.Ref, _ string, _ time.Duration, token string) (action.Standing, bool, error) {
	st, err := f.Standing(ctx, dev, token)
	return st, err == nil, err
}

func (f *fakeLedger) Follows(context.Context, string, string) (bool, error) { return false, f.err }

func (f *fakeLedger) Release(context.Context, action.Ref, string) error { return f.err }

func (f *fakeLedger) Note(context.Context, action.Note) (action.Receipt, error) {
	f.notes++
	return action.Receipt{Installation: "inst-1", Seq: 8}, f.err
}

func (f *fakeLedger) Paused(context.Context, string) (string, error) { return "", f.err }

func (f *fakeLedger) Ticket(_ context.Context, id string) (action.Ticket, error) {
	t, ok := f.tickets[id]
	if f.err == nil && !ok {
		return action.Ticket{}, action.ErrNotFound
	}
	return t, f.err
}

func (f *fakeLedger) OpenTicket(_ context.Context, o action.Opening) (action.TicketStep, error) {
	t, ok := f.tickets[o.TicketID]
	if ok && t.EndpointID != o.Dev.EndpointID {
		return action.TicketStep{Outcome: "conflict"}, f.err
	}
	t = action.Ticket{
		TicketID: o.TicketID, TenantID: o.Dev.TenantID, EndpointID: o.Dev.EndpointID, State: "open",
		Hostname: o.Hostname, OpenedAt: theTime(), Claims: o.Claims, OpenedBy: o.OpenedBy,
	}
	f.tickets[o.TicketID] = t
	return action.TicketStep{Outcome: "opened", Ticket: t}, f.err
}

func (f *fakeLedger) CloseTicket(_ context.Context, c action.Closing) (action.TicketStep, error) {
	t := f.tickets[c.TicketID]
	outcome := "closed"
	if t.Decision != "" && t.Decision != c.Decision {
		if outcome = "changed"; !c.MayChange {
			return action.TicketStep{Outcome: "forbidden"}, f.err
		}
	}
	t.State, t.Decision, t.ApprovalID, t.ApprovalTill = "closed", c.Decision, c.ApprovalID, theTime().Add(c.ApprovalTTL)
	f.tickets[c.TicketID] = t
	return action.TicketStep{Outcome: outcome, Ticket: t}, f.err
}

// fakeBooks shows what it is given, then err.
type fakeBooks struct {
	action.Books
	err        error
	exclusions []action.Exclusion
	tickets    []action.Ticket
	failures   []action.Failure
	audit      [][]byte
	decisions  [][]byte
	devices    []action.DeviceRecord
	asked      []any // what the last call was asked for
}

func (f *fakeBooks) Exclusions(_ context.Context, kind string, since time.Time) iter.Seq2[action.Exclusion, error] {
	f.asked = []any{kind, since}
	return thenErr(f.exclusions, f.err)
}

func (f *fakeBooks) TicketLog(_ context.Context, state string) iter.Seq2[action.Ticket, error] {
	f.asked = []any{state}
	return thenErr(f.tickets, f.err)
}

func (f *fakeBooks) Failures(context.Context) iter.Seq2[action.Failure, error] {
	return thenErr(f.failures, f.err)
}

func (f *fakeBooks) Audit(_ context.Context, since time.Time, tenant, endpoint string) iter.Seq2[[]byte, error] {
	f.asked = []any{since, tenant, endpoint}
	return thenErr(f.audit, f.err)
}

func (f *fakeBooks) Ticket(_ context.Context, id string) (action.Ticket, error) {
	f.asked = []any{id}
	if f.err != nil || len(f.tickets) == 0 {
		return action.Ticket{}, first(f.err, action.ErrNotFound)
	}
	return f.tickets[0], nil
}

func (f *fakeBooks) DeviceRecord(_ context.Context, dev action.Ref) (action.DeviceRecord, error) {
	f.asked = []any{dev}
	if f.err != nil || len(f.devices) == 0 {
		return action.DeviceRecord{}, first(f.err, action.ErrNotFound)
	}
	return f.devices[0], nil
}

func (f *fakeBooks) DevicesNamed(_ context.Context, hostname string) ([]action.DeviceRecord, error) {
	f.asked = []any{hostname}
	return f.devices, f.err
}

func (f *fakeBooks) AckFailure(_ context.Context, dev action.Ref, by, note, requestID string) (bool, error) {
	f.asked = []any{dev, by, note, requestID}
	return len(f.failures) > 0, f.err
}

func (f *fakeBooks) Pause(_ context.Context, s action.Switch) (action.SwitchState, error) {
	f.asked = []any{"pause", s}
	return action.SwitchState{TenantID: s.TenantID, Paused: true, Reason: s.Reason, By: s.By}, f.err
}

func (f *fakeBooks) Resume(_ context.Context, s action.Switch) (action.SwitchState, error) {
	f.asked = []any{"resume", s}
	return action.SwitchState{TenantID: s.TenantID}, f.err
}

func (f *fakeBooks) ResetCircuit(_ context.Context, s action.Switch) (action.SwitchState, error) {
	f.asked = []any{"circuit-reset", s}
	return action.SwitchState{TenantID: s.TenantID}, f.err
}

func thenErr[T any](rows []T, err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
		if err != nil {
			var none T
			yield(none, err)
		}
	}
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// edge is a service over fakes.
type edge struct {
	http.Handler
	central *fakeCentral
	ledger  *fakeLedger
	books   *fakeBooks
	sealer  *seal.Sealer
	log     *bytes.Buffer
	ready   error
	now     time.Time
}

// newEdge builds a service; change may alter its config.
func newEdge(tb testing.TB, change ...func(*Config)) *edge {
	tb.Helper()
	sealer, err := seal.New([][]byte{bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		tb.Fatal(err)
	}
	e := &edge{
		central: &fakeCentral{live: liveDevice()}, ledger: &fakeLedger{tickets: map[string]action.Ticket{}},
		books: &fakeBooks{}, sealer: sealer, log: &bytes.Buffer{}, now: theTime(),
	}
	now, keys := func() time.Time { return e.now }, testKeys(tb)
	rules := func() action.Rules { return action.Rules{Params: testParams()} }
	cfg := Config{
		Runner: action.New(e.central, e.ledger, sealer, rules, now, action.Settings{
			Mode: action.DryRun, ActionTimeout: 4 * time.Second, CentralTimeout: 10 * time.Second,
		}),
		Books: e.books, Keys: func() *Keys { return keys }, Ready: func(context.Context) error { return e.ready },
		Log: zerolog.New(zerolog.SyncWriter(e.log)), Spec: []byte(smallSpec), Version: "1.2.3", Mode: action.DryRun,
		PolicyVersion: func() string { return "sha256:abc" }, KeyRate: 1000, Now: now, Candidate: candidate,
	}
	for _, f := range change {
		f(&cfg)
	}
	if e.Handler, err = New(cfg); err != nil {
		tb.Fatal(err)
	}
	return e
}

func testParams() policy.Params {
	p := policy.DefaultParams()
	p.Version = "sha256:abc"
	p.DisabledOUs = []policy.DN{{{"ou=disabled"}, {"dc=corp"}, {"dc=example"}, {"dc=test"}}}
	return p
}

func liveDevice() policy.Live {
	d := policy.Device{
		ID: policy.Is(endpointID), TenantID: policy.Is(tenantID), Hostname: policy.Is("WS-FIN-0427"),
		Type: policy.Is("computer"), LastSeenAt: policy.Is(theTime().AddDate(0, 0, -100)), Online: policy.Is(false),
	}
	return policy.Live{
		Status: policy.LiveFound, At: theTime(), Device: d, SameNamed: []policy.Device{d},
		NewestSeenAt: policy.Is(theTime()),
	}
}

// testKeys holds a key with every scope, and for each scope one without it.
func testKeys(tb testing.TB) *Keys {
	tb.Helper()
	var file strings.Builder
	file.WriteString("keys:\n")
	entry := func(name, key string, scopes []string) {
		file.WriteString("  - {name: " + name + ", sha256: " + Digest(key) + ", scopes: [" + strings.Join(scopes, ", ") + "]}\n")
	}
	entry("all", allKey, Scopes())
	entry("me", meKey, []string{api.ScopeIngest})
	for _, without := range Scopes() {
		var rest []string
		for _, s := range Scopes() {
			if s != without {
				rest = append(rest, s)
			}
		}
		entry("no-"+without, "without-"+without, rest)
		entry("only-"+without, "only-"+without, []string{without})
	}
	keys, err := ParseKeys([]byte(file.String()))
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// send makes a request with the key that may do everything; edit may alter it.
func (e *edge) send(tb testing.TB, method, path, body string, edit ...func(*http.Request)) *httptest.ResponseRecorder {
	tb.Helper()
	var r *http.Request
	if body == "" {
		r = httptest.NewRequestWithContext(tb.Context(), method, path, nil)
	} else {
		r = httptest.NewRequestWithContext(tb.Context(), method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Authorization", "Bearer "+allKey)
	for _, f := range edit {
		f(r)
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

// header sets one, or takes it away where the value is empty.
func header(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del(name)
		if value != "" {
			r.Header.Set(name, value)
		}
	}
}

func as(key string) func(*http.Request) { return header("Authorization", "Bearer "+key) }

// into decodes an answer and fails on fields that its type does not have.
func into[T any](tb testing.TB, w *httptest.ResponseRecorder) T {
	tb.Helper()
	var out T
	dec := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&out); err != nil {
		tb.Fatalf("answer %d %q: %v", w.Code, w.Body, err)
	}
	return out
}

// wantError fails unless the answer is that error, in full shape.
func wantError(tb testing.TB, w *httptest.ResponseRecorder, status int, code string) api.Error {
	tb.Helper()
	e := into[api.Error](tb, w)
	if w.Code != status || e.Status != status || e.Code != code {
		tb.Fatalf("got %d %s %q, want %d %s", w.Code, e.Code, e.Detail, status, code)
	}
	switch {
	case e.Detail == "" || e.ErrorText != e.Detail || e.Message != e.Detail:
		tb.Errorf("detail %q, error %q, message %q: want the same sentence", e.Detail, e.ErrorText, e.Message)
	case e.Title == "" || e.Type != "urn:rollcall:error:"+code || e.RequestID == "" || len(e.Fixes) == 0 || e.Errors == nil:
		tb.Errorf("a member is missing: %+v", e)
	case w.Header().Get("X-Request-ID") != e.RequestID:
		tb.Errorf("X-Request-ID %q, requestId %q", w.Header().Get("X-Request-ID"), e.RequestID)
	case e.Retryable != (status == 429 || status == 503) || (e.RetryAfterSeconds != nil) != e.Retryable:
		tb.Errorf("retryable %t, retryAfterSeconds %v with %d", e.Retryable, e.RetryAfterSeconds, status)
	}
	return e
}

// bodyFile reads one of the bodies under testdata.
func bodyFile(tb testing.TB, name string) string {
	tb.Helper()
	b, err := os.ReadFile("testdata/bodies/" + name + ".json")
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}
