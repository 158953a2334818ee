package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"rollcall/api"
	"rollcall/internal/action"
	"rollcall/internal/policy"
	"rollcall/internal/seal"
)

const (
	verifyBatch   = verifyPath + "/batch"
	evaluateBatch = evaluatePath + "/batch"
)

// many answers for many devices at once, and counts.
type many struct {
	action.Central
	look  func(ctx context.Context, dev action.Ref) policy.Live
	looks atomic.Int64
}

func (m *many) Look(ctx context.Context, dev action.Ref, _ time.Duration, _ action.Ask) (policy.Live, *action.Trouble) {
	m.looks.Add(1)
	return m.look(ctx, dev), nil
}

// shared is a ledger that may be asked from many sides.
type shared struct {
	fakeLedger
	mu    sync.Mutex
	notes map[string]int // by request id
	slow  time.Duration
}

func (l *shared) Standing(ctx context.Context, _ action.Ref, _ string) (action.Standing, error) {
	if l.slow > 0 {
		select {
		case <-ctx.Done():
			return action.Standing{}, fmt.Errorf("%w: %w", action.ErrState, ctx.Err())
		case <-time.After(l.slow):
		}
	}
	return action.Standing{Installation: "inst-1", Seq: 7}, l.err
}

func (l *shared) Note(_ context.Context, n action.Note) (action.Receipt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes[n.RequestID]++
	return action.Receipt{Installation: "inst-1", Seq: 8}, l.err
}

// crowd is an edge whose Central and ledger stand being asked from many sides.
func crowd(tb testing.TB, change ...func(*Config)) (*edge, *many, *shared) {
	tb.Helper()
	m := &many{look: func(_ context.Context, dev action.Ref) policy.Live { return liveOf(dev, 100) }}
	l := &shared{notes: map[string]int{}}
	sealer, err := seal.New([][]byte{bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		tb.Fatal(err)
	}
	rules, log := func() action.Rules { return action.Rules{Params: testParams()} }, &bytes.Buffer{}
	stand := func(c *Config) {
		c.Now, c.Log = time.Now, zerolog.New(zerolog.SyncWriter(log))
		c.Runner = action.New(m, l, sealer, rules, theTime, action.Settings{
			Mode: action.DryRun, ActionTimeout: 4 * time.Second, CentralTimeout: 10 * time.Second,
		})
	}
	e := newEdge(tb, append([]func(*Config){stand}, change...)...)
	e.log = log
	return e, m, l
}

// liveOf is a device that Central has not seen for so many days.
func liveOf(dev action.Ref, days int) policy.Live {
	live := liveDevice()
	live.Device.ID, live.Device.TenantID = policy.Is(dev.EndpointID), policy.Is(dev.TenantID)
	live.Device.LastSeenAt = policy.Is(theTime().AddDate(0, 0, -days))
	live.SameNamed = []policy.Device{live.Device}
	return live
}

// nth is the item of the nth device.
func nth(n int) string {
	return fmt.Sprintf(`{"event":{"observedAt":"2026-11-20T06:00:00Z","directory":{"hostname":"WS-FIN-0427","domain":"corp.example.test",
		"distinguishedName":"CN=WS-FIN-0427,OU=Disabled,DC=corp,DC=example,DC=test","operatingSystemVersion":"10.0 (22631)","enabled":false},
		"central":{"id":%q,"tenant":{"id":%q},"hostname":"WS-FIN-0427","lastSeenAt":"2026-08-12T06:05:01.000Z"}}}`, idOf(n), tenantID)
}

func idOf(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func batchOf(items ...string) string { return `{"items":[` + strings.Join(items, ",") + `]}` }

func nths(n int) string {
	items := make([]string, n)
	for i := range items {
		items[i] = nth(i)
	}
	return batchOf(items...)
}

// answered sends a batch, which must be answered, an item for an item.
func (e *edge) answered(tb testing.TB, path, body string, want int, edit ...func(*http.Request)) api.BatchAnswer {
	tb.Helper()
	w := e.send(tb, "POST", path, body, edit...)
	if w.Code != http.StatusOK {
		tb.Fatalf("%d %s", w.Code, w.Body)
	}
	a := into[api.BatchAnswer](tb, w)
	if len(a.Items) != want || a.Count != want || a.RequestID != w.Header().Get("X-Request-ID") {
		tb.Fatalf("%d items, count %d, request id %s in the body and %s in the header; want %d items", len(a.Items), a.Count, a.RequestID, w.Header().Get("X-Request-ID"), want)
	}
	return a
}

func outcomes(a api.BatchAnswer) map[string]int {
	out := map[string]int{}
	for _, i := range a.Items {
		out[i.Outcome+" "+codeOfItem(i)]++
	}
	return out
}

func TestABatchAnswersInTheOrderOfItsItems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in which so many take no time of the batch's
		e, m, l := crowd(t)
		m.look = func(_ context.Context, dev action.Ref) policy.Live {
			n, err := strconv.Atoi(dev.EndpointID[24:])
			if err != nil {
				t.Error(err)
			}
			return liveOf(dev, n)
		}
		a := e.answered(t, verifyBatch, nths(mostItems), mostItems)
		for i, item := range a.Items {
			if item.Action != "verify-live" || *item.EndpointID != idOf(i) || item.Device.EndpointID != idOf(i) || item.Error != nil {
				t.Fatalf("item %d: %+v", i, item)
			}
			if days := *item.InactiveDays; days != float64(i) {
				t.Fatalf("item %d: inactive for %v days", i, days)
			}
		}
		if len(l.notes) != mostItems || m.looks.Load() != mostItems {
			t.Errorf("%d request ids on record, %d looks", len(l.notes), m.looks.Load())
		}
	})
}

// Each bad item is answered as the action alone answers it, between two good ones.
func TestABadItemHasItsErrorAndNoOtherHas(t *testing.T) {
	forged := func(s string) string { return strings.TrimSuffix(s, "}") + `,"evidence":"v1.forged"}` }
	for _, c := range []struct{ name, path, item, code, field string }{
		{"a number", evaluatePath, `1`, "bad_json", ""},
		{"null", evaluatePath, `null`, "bad_json", ""},
		{"a text", evaluatePath, `"{}"`, "bad_json", ""},
		{"a list", evaluatePath, `[{}]`, "bad_json", ""},
		{"nothing in it", evaluatePath, `{}`, "invalid", "event"},
		{"an event that is none", evaluatePath, `{"event":7}`, "invalid", "event"},
		{"an unknown field", evaluatePath, `{"event":{},"Event":{}}`, "unknown_field", ""},
		{"a bare event", evaluatePath, `{"central":{}}`, "unknown_field", ""},
		{"evidence for verify-live", verifyPath, forged(nth(1)), "unknown_field", ""},
		{"a key twice", evaluatePath, `{"event":{},"event":{}}`, "duplicate_key", ""},
		{"a key twice deep in the event", evaluatePath, `{"event":{"central":{"id":"a","id":"b"}}}`, "duplicate_key", ""},
		{"no UTF-8", evaluatePath, "{\"event\":{\"x\":\"\xff\"}}", "bad_json", ""},
		{"nested too deep", evaluatePath, nested(101), "bad_json", ""},
		{"larger than a body may be", evaluatePath, padded(maxBody + 1), "too_large", ""},
		{"a request id that is too long", evaluatePath, `{"event":{},"requestId":"` + strings.Repeat("x", 129) + `"}`, "invalid", "requestId"},
		{"forged evidence", evaluatePath, forged(nth(1)), "invalid", "evidence"},
		{"no device for verify-live", verifyPath, `{"event":{}}`, "invalid", "event.central.id"},
		{"no tenant for verify-live", verifyPath, `{"event":{"central":{"id":"` + endpointID + `"}}}`, "invalid", "event.central.tenant.id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, _, _ := crowd(t)
			a := e.answered(t, c.path+"/batch", batchOf(nth(1), c.item, nth(2)), 3)
			for i, id := range map[int]string{0: idOf(1), 2: idOf(2)} {
				if good := a.Items[i]; good.Error != nil || good.Outcome == api.OutcomeError || *good.EndpointID != id {
					t.Errorf("the good item %d is %+v", i, good)
				}
			}
			bad := a.Items[1]
			if bad.Error == nil || bad.Error.Code != c.code || bad.Outcome != api.OutcomeError || bad.OK || !bad.NeedsReview || bad.Next != "stop" || bad.Token != nil {
				t.Fatalf("the bad item is %+v", bad)
			}
			if c.field != "" && (len(bad.Error.Errors) != 1 || bad.Error.Errors[0].Field != c.field) {
				t.Errorf("fields %v, want %s", bad.Error.Errors, c.field)
			}
			alone := into[api.Error](t, e.send(t, "POST", c.path, c.item))
			if alone.Code != c.code {
				t.Fatalf("alone it is %s", alone.Code)
			}
			alone.Instance, alone.RequestID = c.path+"/batch", bad.RequestID
			if c.code == "too_large" {
				alone.Detail = strings.Replace(alone.Detail, "body", "item", 1)
				alone.ErrorText, alone.Message = alone.Detail, alone.Detail
			}
			if diff := cmp.Diff(alone, *bad.Error); diff != "" {
				t.Errorf("error (-alone +in the batch):\n%s", diff)
			}
		})
	}
}

func TestABatchThatIsNoneIsRefusedWhole(t *testing.T) {
	e, m, _ := crowd(t)
	for _, c := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"no items", `{}`, 422, "invalid"},
		{"items that are null", `{"items":null}`, 422, "invalid"},
		{"items that are no list", `{"items":{}}`, 422, "invalid"},
		{"one item too many", nths(mostItems + 1), 422, "invalid"},
		{"a request id that is too long", `{"items":[],"requestId":"` + strings.Repeat("x", 129) + `"}`, 422, "invalid"},
		{"an unknown field", `{"items":[],"events":[]}`, 400, "unknown_field"},
		{"a list", `[]`, 400, "bad_json"},
		{"a cut body", `{"items":[` + nth(1), 400, "bad_json"},
		{"something behind it", batchOf() + `1`, 400, "bad_json"},
		{"items twice", `{"items":[],"items":[]}`, 400, "duplicate_key"},
		{"a body that is too large", `{"items":["` + strings.Repeat("x", maxBatch) + `"]}`, 413, "too_large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := wantError(t, e.send(t, "POST", evaluateBatch, c.body), c.status, c.code)
			if c.code == "too_large" && !strings.Contains(got.Detail, "8 MiB") {
				t.Errorf("detail %q", got.Detail)
			}
		})
	}
	wantError(t, e.send(t, "POST", evaluateBatch, batchOf(), header("X-Request-ID", strings.Repeat("x", 129))), 422, "invalid")
	wantError(t, e.send(t, "POST", evaluateBatch, batchOf(), header("Content-Type", "text/plain")), 415, "unsupported_media_type")
	if n := m.looks.Load(); n != 0 {
		t.Errorf("%d looks", n)
	}
}

func TestAnEmptyBatchHasNoAnswers(t *testing.T) {
	e, _, _ := crowd(t)
	if w := e.send(t, "POST", evaluateBatch, batchOf()); !strings.Contains(w.Body.String(), `"items":[],"oldestFirst":[]`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestEachItemHasARequestID(t *testing.T) {
	e, _, l := crowd(t)
	own := strings.TrimSuffix(nth(2), "}") + `,"requestId":"mine"}`
	a := e.answered(t, evaluateBatch, `{"requestId":"b-1","items":[`+nth(1)+`,`+own+`,{}]}`, 3)
	for i, want := range []string{"b-1.0", "mine", "b-1.2"} {
		if got := a.Items[i].RequestID; got != want {
			t.Errorf("item %d: %s, want %s", i, got, want)
		}
	}
	if a.Items[2].Error.RequestID != "b-1.2" {
		t.Errorf("error %+v", a.Items[2].Error)
	}
	if diff := cmp.Diff(map[string]int{"b-1.0": 1, "mine": 1}, l.notes); diff != "" {
		t.Errorf("on record (-want +got):\n%s", diff)
	}
	long := strings.Repeat("r", longRequest)
	if a := e.answered(t, evaluateBatch, batchOf(nth(1)), 1, header("X-Request-ID", long)); a.RequestID != long || a.Items[0].RequestID != long {
		t.Errorf("a long one became %s and %s", a.RequestID, a.Items[0].RequestID)
	}
}

func TestTheOldestComesFirst(t *testing.T) {
	at := func(days int) *time.Time { d := theTime().AddDate(0, 0, -days); return &d }
	item := func(outcome string, seen *time.Time) api.BatchItem {
		return api.BatchItem{Answer: api.Answer{Outcome: outcome, LastSeenAt: seen}}
	}
	got := oldestFirst([]api.BatchItem{
		item("delete", at(40)), item("manual", at(900)), item("delete", at(400)), item("error", nil),
		item("delete", at(40)), item("delete", nil), item("delete", at(41)),
	})
	if diff := cmp.Diff([]int{2, 6, 0, 4}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Central hangs: each item has the action's time, until the batch's is over; after
// that nothing is asked of Central, and every item still has its answer.
func TestABatchEndsThoughCentralHangs(t *testing.T) {
	for _, path := range []string{verifyBatch, evaluateBatch} {
		synctest.Test(t, func(t *testing.T) {
			e, m, l := crowd(t)
			m.look = func(ctx context.Context, _ action.Ref) policy.Live {
				<-ctx.Done()
				return policy.Live{Status: policy.LiveFailed, At: theTime(), Own: true, Problem: "The time was up."}
			}
			began := time.Now()
			a := e.answered(t, path, nths(mostItems), mostItems)
			if took := time.Since(began); took < batchTime || took > batchTime+time.Second {
				t.Errorf("it took %s", took)
			}
			if n := m.looks.Load(); n != 500 { // 100 at once, for 4 s each, for 20 s
				t.Errorf("%d looks", n)
			}
			for i, item := range a.Items {
				if codeOfItem(item) != "VERIFY_FAILED" || !item.Retryable || *item.RetryAfterSeconds < 1 || item.Next != "retry" ||
					item.NeedsReview || path == evaluateBatch && item.Outcome != "skip" || path == verifyBatch && item.Outcome != "unverified" {
					t.Fatalf("item %d: %+v", i, item)
				}
			}
			if len(l.notes) != mostItems {
				t.Errorf("%d items on record", len(l.notes))
			}
		})
	}
}

// The store hangs: nothing can be decided, but the batch ends.
func TestABatchEndsThoughTheStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, m, l := crowd(t)
		l.slow = time.Hour
		began := time.Now()
		a := e.answered(t, evaluateBatch, nths(mostItems), mostItems)
		if took := time.Since(began); took > batchTime+batchGrace+time.Second {
			t.Errorf("it took %s", took)
		}
		for i, item := range a.Items {
			if item.Outcome != api.OutcomeError || item.Error.Code != "state_unavailable" || !item.Retryable || item.NeedsReview || item.Next != "retry" || *item.RetryAfterSeconds != 5 {
				t.Fatalf("item %d: %+v", i, item)
			}
		}
		if m.looks.Load() != 0 || len(l.notes) != 0 {
			t.Errorf("%d looks, %d on record", m.looks.Load(), len(l.notes))
		}
	})
}

// A batch is no way around a key's rate, and takes nothing from its single requests.
func TestItemsCountTowardsTheKeysRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, _ := crowd(t, func(c *Config) { c.KeyRate = 10 })
		began := time.Now()
		done := make(chan api.BatchAnswer)
		for range 2 { // together they are no faster
			go func() { done <- e.answered(t, verifyBatch, nths(50), 50) }()
		}
		<-time.After(time.Second) // in the bubble's own time: the batches are under way
		if w := e.send(t, "GET", "/v1/me", ""); w.Code != 200 {
			t.Errorf("a single request meanwhile: %d", w.Code)
		}
		for range 2 {
			if got := outcomes(<-done); got["inactive INACTIVE"] != 50 {
				t.Errorf("outcomes %v", got)
			}
		}
		if took := time.Since(began); took != 9*time.Second { // 10 at once, 90 at 10 a second
			t.Errorf("it took %s", took)
		}
	})
}

func TestAnItemThatWouldWaitTooLongIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, _ := crowd(t, func(c *Config) { c.KeyRate = 1 })
		began := time.Now()
		a := e.answered(t, verifyBatch, nths(100), 100)
		if took := time.Since(began); took > batchTime+time.Second {
			t.Errorf("it took %s", took)
		}
		for i, item := range a.Items {
			want := "INACTIVE"
			switch second := time.Duration(i) * time.Second; {
			case second == batchTime: // its turn comes as the time ends
				want = "VERIFY_FAILED"
			case second > batchTime:
				want = "rate_limited"
			}
			if codeOfItem(item) != want || item.Retryable != (want != "INACTIVE") {
				t.Errorf("item %d: %s %s, want %s", i, item.Outcome, codeOfItem(item), want)
			}
		}
		if got := outcomes(e.answered(t, verifyBatch, nths(1), 1)); got["inactive INACTIVE"] != 1 {
			t.Errorf("what was refused took the turns of those who come later: %v", got)
		}
	})
}

func TestAProcessThatEndsAsksCentralNoMore(t *testing.T) {
	stopping := make(chan struct{})
	close(stopping)
	e, m, l := crowd(t, func(c *Config) { c.Stopping = stopping })
	a := e.answered(t, evaluateBatch, nths(3), 3)
	if got := outcomes(a); got["skip VERIFY_FAILED"] != 3 || m.looks.Load() != 0 || len(l.notes) != 3 {
		t.Errorf("%v, %d looks, %d on record", got, m.looks.Load(), len(l.notes))
	}
}

func TestAFaultInOneItemIsNoOthers(t *testing.T) {
	e, m, _ := crowd(t)
	m.look = func(_ context.Context, dev action.Ref) policy.Live {
		if dev.EndpointID == idOf(1) {
			panic("secret detail")
		}
		return liveOf(dev, 100)
	}
	w := e.send(t, "POST", verifyBatch, nths(3))
	if strings.Contains(w.Body.String(), "secret") {
		t.Errorf("the answer shows what went wrong inside: %s", w.Body)
	}
	a := into[api.BatchAnswer](t, w)
	if diff := cmp.Diff(map[string]int{"inactive INACTIVE": 2, "error internal": 1}, outcomes(a)); diff != "" || a.Items[1].Error.Status != 500 {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if log := e.log.String(); !strings.Contains(log, "secret detail") || !strings.Contains(log, "batch_test.go") || !strings.Contains(log, `"items":3`) {
		t.Errorf("log %s", log)
	}
}

func TestMetricsCountEachItem(t *testing.T) {
	e, _, _ := crowd(t)
	e.answered(t, verifyBatch, batchOf(nth(1), nth(2), `{}`), 3)
	text := e.send(t, "GET", "/metrics", "", header("Authorization", "")).Body.String()
	for _, want := range []string{
		`rollcall_action_outcomes_total{action="verify-live",outcome="inactive",reason_code="INACTIVE"} 2`,
		`rollcall_action_outcomes_total{action="verify-live",outcome="error",reason_code="invalid"} 1`,
		`rollcall_http_requests_total{route="/v1/actions/verify-live/batch",status="200"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
}

// FuzzBatch: whatever arrives, there is one answer of the right form, and as many
// items as were sent.
func FuzzBatch(f *testing.F) {
	for _, seed := range []string{nths(2), batchOf(), batchOf(`1`, `"x"`, `{"event":{"central":{"id":"a","id":"b"}}}`), `{"items":[[[[]]]]}`, `{"items":[`, "{\"items\":[\"\xff\"]}"} {
		f.Add([]byte(seed))
	}
	e, _, _ := crowd(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequestWithContext(t.Context(), "POST", evaluateBatch, strings.NewReader(string(body)))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+allKey)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			if w.Code >= 500 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			return
		}
		var sent struct{ Items []json.RawMessage }
		a := into[api.BatchAnswer](t, w)
		if json.Unmarshal(body, &sent) == nil && len(a.Items) != len(sent.Items) {
			t.Errorf("%d items sent, %d answered", len(sent.Items), len(a.Items))
		}
		for _, item := range a.Items {
			if (item.Error != nil) != (item.Outcome == api.OutcomeError) || item.Outcome == "" {
				t.Errorf("%+v", item)
			}
		}
	})
}
