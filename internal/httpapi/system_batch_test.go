package httpapi_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// batch sends a batch that must be answered, and returns its items' answers.
func (s *system) batch(action string, items []map[string]any) (whole answer, each []answer) {
	s.t.Helper()
	whole = s.act(action+"/batch", map[string]any{"items": items, "requestId": "b"})
	list, _ := whole["items"].([]any)
	for _, item := range list {
		m, _ := item.(map[string]any)
		each = append(each, m)
	}
	if len(each) != len(items) {
		s.t.Fatalf("%d items sent, %d answered", len(items), len(each))
	}
	return whole, each
}

// audited counts the audit entries of a request.
func (s *system) audited(requestID string) int {
	s.t.Helper()
	_, trail := s.raw(http.MethodGet, "/v1/audit", nil)
	return bytes.Count(trail, []byte(`"requestId":"`+requestID+`"`))
}

func sceneBatch(t *testing.T, c *contract) {
	s := newSystem(t, setup{contract: c})
	event := s.sample["eligible"].Event
	_, seen := s.batch("verify-live", []map[string]any{{"event": event}, {"event": map[string]any{"central": nil}}})
	s.want(seen[0], "inactive", "INACTIVE")
	s.want(seen[1], "error", "")
	_, decided := s.batch("evaluate", []map[string]any{{"event": event, "evidence": seen[0].is("token")}, {"event": event, "evidence": "forged"}})
	s.want(decided[0], "delete", "ELIGIBLE")
	s.want(decided[1], "error", "")
	s.want(s.remove(decided[0].is("token")), "deleted", "ELIGIBLE")
}

// Every sample device, some twice, and those of another tenant among them, get in
// one batch what each gets alone; each has its audit entry.
func TestABatchDecidesAsTheSingleActionsDo(t *testing.T) {
	alone, s := newSystem(t, setup{}), newSystem(t, setup{})
	alone.change(labGroupToo)
	s.change(labGroupToo)
	var items []map[string]any
	var want []string
	for _, label := range slices.Sorted(maps.Keys(s.sample)) {
		if label == "verify-failed" {
			continue // its fault strikes once
		}
		for range 2 {
			items = append(items, map[string]any{"event": s.sample[label].Event})
			a := alone.evaluate(label)
			want = append(want, label+" "+a.is("outcome")+" "+strings.Join(a.codes(), " "))
		}
	}
	whole, each := s.batch("evaluate", items)
	labels := slices.DeleteFunc(slices.Sorted(maps.Keys(s.sample)), func(l string) bool { return l == "verify-failed" })
	var got, oldest []string
	for i, a := range each {
		got = append(got, labels[i/2]+" "+a.is("outcome")+" "+strings.Join(a.codes(), " "))
		if a["error"] != nil {
			t.Errorf("%s: %v", labels[i/2], a["error"])
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-alone +in the batch):\n%s", diff)
	}
	order, _ := whole["oldestFirst"].([]any)
	for _, i := range order {
		n, _ := i.(float64)
		oldest = append(oldest, each[int(n)].is("outcome"))
	}
	if diff := cmp.Diff([]string{"delete", "delete"}, oldest); diff != "" {
		t.Errorf("oldestFirst (-want +got):\n%s", diff)
	}
	for i, a := range each {
		if a["tenantId"] != nil && a["endpointId"] != nil && s.audited(fmt.Sprintf("b.%d", i)) != 1 {
			t.Errorf("item %d: %d audit entries", i, s.audited(fmt.Sprintf("b.%d", i)))
		}
	}
	s.nothingSent()
}

// A batch of many devices needs no call to Central for each, and two verdicts on
// one device allow one DELETE. The long form, with BATCH=long, is 1,000 of 50,000.
func TestABatchNeedsNoCallForEachDevice(t *testing.T) {
	devices, candidates := 1200, 300
	if os.Getenv("BATCH") == "long" {
		devices, candidates = 50_000, 1000
	}
	s := newSystem(t, setup{redisURL: benchRedis(t), rates: strict(), snapshot: true})
	events := s.fleet(devices, candidates)
	items := make([]map[string]any, candidates)
	for i, e := range events {
		items[i] = map[string]any{"event": e}
	}
	calls := func() int { return s.sim.Count(http.MethodGet, "/endpoint/") }
	for round, left := 1, candidates; left > 0; round++ {
		before, began := calls(), time.Now()
		_, each := s.batch("evaluate", items)
		took, wait := time.Since(began), 0.0
		var again []map[string]any
		for i, a := range each {
			if a.is("outcome") == "delete" {
				continue
			}
			after, _ := a["retryAfterSeconds"].(float64)
			wait = max(wait, after)
			again = append(again, items[i])
			fault, _ := a["error"].(map[string]any)
			if a.is("reasonCode") != "VERIFY_FAILED" && fault["code"] != "state_unavailable" || after < 1 {
				t.Fatalf("item %d: %v", i, a)
			}
		}
		t.Logf("round %d: %d items, %d to come again after %.0f s, %d calls, %s", round, len(items), len(again), wait, calls()-before, took.Round(time.Millisecond))
		if round > 5 {
			t.Fatal("it does not come to an end")
		}
		if items, left = again, len(again); left > 0 {
			s.rest(time.Duration(wait * float64(time.Second)))
		}
	}
	t.Logf("%d calls for %d devices", calls(), candidates)
	if per := float64(calls()) / float64(candidates); per > 0.3 {
		t.Errorf("%.3f calls a device", per)
	}
	_, each := s.batch("evaluate", []map[string]any{{"event": events[0]}, {"event": events[0]}})
	s.want(s.remove(each[0].is("token")), "deleted", "")
	s.want(s.remove(each[1].is("token")), "already_deleted", "")
	if n := s.sim.Deletes(); n != 1 {
		t.Errorf("%d DELETEs", n)
	}
}
