package rollcall_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
)

// eachExample calls f with every example of every body in the contract.
func eachExample(tb testing.TB, doc *openapi3.T, f func(where string, media *openapi3.MediaType, value any)) {
	tb.Helper()
	visit := func(where string, content openapi3.Content) {
		for kind, media := range content {
			for name, example := range media.Examples {
				f(where+" "+kind+" "+name, media, example.Value.Value)
			}
		}
	}
	for id, op := range operations(tb, doc) {
		if op.RequestBody != nil {
			visit(id+" request", op.RequestBody.Value.Content)
		}
		for status, res := range op.Responses.Map() {
			visit(id+" "+status, res.Value.Content)
		}
	}
}

func TestEveryExampleFitsItsSchema(t *testing.T) {
	doc := loadSpec(t)
	event := doc.Components.Schemas["Event"].Value
	count := 0
	eachExample(t, doc, func(where string, media *openapi3.MediaType, value any) {
		count++
		if err := media.Schema.Value.VisitJSON(value); err != nil {
			t.Errorf("%s: %v", where, err)
		}
		if body, ok := value.(map[string]any); ok && body["event"] != nil {
			if err := event.VisitJSON(eventOf(t, body["event"])); err != nil {
				t.Errorf("%s: event: %v", where, err)
			}
		}
		if ref, ok := media.Extensions["x-item"].(string); ok {
			checkLines(t, where, doc, ref, value.(string))
		}
	})
	if count < 60 {
		t.Errorf("found %d examples, which can't be all", count)
	}
}

// eventOf reads an event that may be a string.
func eventOf(tb testing.TB, v any) any {
	tb.Helper()
	s, ok := v.(string)
	if !ok {
		return v
	}
	var out map[string]any
	if err := json.Unmarshal([]byte(s), &out); err != nil {
		tb.Fatalf("event %q: %v", s, err)
	}
	return out
}

func checkLines(t *testing.T, where string, doc *openapi3.T, ref, text string) {
	t.Helper()
	schema := doc.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
	if schema == nil {
		t.Fatalf("%s: x-item names %s, which is not there", where, ref)
	}
	for line := range strings.Lines(text) {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Errorf("%s: %v", where, err)
		} else if err := schema.Value.VisitJSON(v); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
}

// TestExamplesForEveryOutcomeAndError also holds the examples to the rule that
// an outcome comes with: what is ok, deleted, for a person, to be tried again.
func TestExamplesForEveryOutcomeAndError(t *testing.T) {
	doc := loadSpec(t)
	outcomes, codes := map[string][]string{}, map[string]bool{}
	eachExample(t, doc, func(where string, _ *openapi3.MediaType, value any) {
		body, _ := value.(map[string]any)
		switch {
		case strings.Contains(where, " 200 ") && body["action"] != nil && body["ok"] != nil:
			action, outcome := body["action"].(string), body["outcome"].(string)
			outcomes[action] = append(outcomes[action], outcome)
			checkOutcome(t, where, body)
			if !strings.HasSuffix(where, " "+outcome) {
				t.Errorf("%s: is named otherwise than its outcome %s", where, outcome)
			}
		case body["code"] != nil:
			checkError(t, where, body)
			codes[body["code"].(string)] = true
		}
	})
	for _, list := range outcomes {
		slices.Sort(list)
	}
	want := map[string][]string{
		"verify-live":  {"active", "inactive", "mismatch", "not_found", "unverified"},
		"evaluate":     {"delete", "keep", "manual", "skip"},
		"delete":       {"already_deleted", "deferred", "deleted", "failed", "gone", "pending", "refused", "would_delete"},
		"ticket-open":  {"already_open", "opened", "refused"},
		"ticket-close": {"already_closed", "changed", "closed", "not_found", "refused"},
	}
	if diff := cmp.Diff(want, outcomes); diff != "" {
		t.Errorf("outcomes with an example (-want +got):\n%s", diff)
	}
	codes["method_not_allowed"] = doc.Components.Responses["MethodNotAllowed"] != nil // of no operation
	for _, code := range enumOf(doc.Components.Schemas["Error"].Value.Properties["code"].Value) {
		if !codes[code] {
			t.Errorf("error code %s has no example", code)
		}
	}
}

func checkOutcome(t *testing.T, where string, body map[string]any) {
	t.Helper()
	type flags struct {
		OK, Deleted, NeedsReview string
		Retryable                bool
	}
	// "" is left to the case.
	rules := map[string]flags{
		"inactive": {"true", "null", "false", false}, "active": {"true", "null", "false", false},
		"mismatch": {"true", "null", "true", false}, "unverified": {"false", "null", "", true},
		"delete": {"true", "false", "false", false}, "manual": {"true", "false", "true", false},
		"keep": {"true", "false", "false", false}, "skip": {"true", "", "false", true},
		"deleted": {"true", "true", "false", false}, "already_deleted": {"true", "true", "false", false},
		"gone": {"true", "false", "false", false}, "would_delete": {"true", "false", "false", false},
		"refused": {"true", "false", "true", false}, "deferred": {"false", "false", "false", true},
		"pending": {"false", "null", "false", true}, "failed": {"false", "false", "true", false},
	}
	rule, ok := rules[body["outcome"].(string)]
	if !ok {
		rule = flags{"true", "", strconv.FormatBool(body["outcome"] == "not_found" && body["action"] == "ticket-close"), false}
	}
	for field, want := range map[string]string{"ok": rule.OK, "deleted": rule.Deleted, "needsReview": rule.NeedsReview} {
		got := "null"
		if body[field] != nil {
			got = fmt.Sprint(body[field])
		}
		if want != "" && got != want {
			t.Errorf("%s: %s is %s, want %s", where, field, got, want)
		}
	}
	if body["retryable"] != rule.Retryable || (body["retryAfterSeconds"] != nil) != rule.Retryable {
		t.Errorf("%s: retryable %v after %v, want %v", where, body["retryable"], body["retryAfterSeconds"], rule.Retryable)
	}
	checkReasons(t, where, body)
}

// checkReasons holds the short forms to the list that they stand for.
func checkReasons(t *testing.T, where string, body map[string]any) {
	t.Helper()
	var code any
	var texts []string
	for i, r := range body["reasons"].([]any) {
		reason := r.(map[string]any)
		if i == 0 {
			code = reason["code"]
		}
		texts = append(texts, reason["text"].(string))
	}
	var joined any
	if texts != nil {
		joined = strings.Join(texts, " ")
	}
	if body["reasonCode"] != code || body["reasonsText"] != joined {
		t.Errorf("%s: reasonCode or reasonsText is not what reasons say", where)
	}
}

func checkError(t *testing.T, where string, body map[string]any) {
	t.Helper()
	if body["error"] != body["detail"] || body["message"] != body["detail"] {
		t.Errorf("%s: error and message must repeat detail", where)
	}
	if status := fmt.Sprintf(" %v ", body["status"]); !strings.Contains(where, status) {
		t.Errorf("%s: says status%s", where, status)
	}
}

func enumOf(s *openapi3.Schema) []string {
	var out []string
	for _, v := range s.Enum {
		out = append(out, v.(string))
	}
	return out
}

func TestEveryFieldOfAnAnswerIsAlwaysThere(t *testing.T) {
	doc := loadSpec(t)
	for _, name := range []string{"Answer", "Reason", "Error", "FieldError", "Exclusion", "Ticket", "Failure", "Ack", "DeviceRecord", "AdminState", "Me", "ExclusionList", "TicketList", "FailureList", "DeviceRecordList", "Decision", "DecisionList", "Recovery", "Replay", "ReplayVerdict", "ReplayBaseline", "ReplayChange", "ReplayFlip", "InventoryDevice", "InventoryDeviceList"} {
		s := doc.Components.Schemas[name].Value
		required := slices.Sorted(slices.Values(s.Required))
		if diff := cmp.Diff(slices.Sorted(maps.Keys(s.Properties)), required); diff != "" {
			t.Errorf("%s (-properties +required):\n%s", name, diff)
		}
	}
}
