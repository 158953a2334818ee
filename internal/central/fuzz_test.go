package central

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// FuzzReply reads any answer in every way in which answers are read: nothing
// panics, and only what plainly says so is a yes, gone, or a token.
func FuzzReply(f *testing.F) {
	seeds, err := filepath.Glob("testdata/*.json")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range seeds {
		body, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, status := range []int{200, 404, 429, 500} {
			f.Add(status, "application/json", "7", body)
		}
	}
	f.Fuzz(func(t *testing.T, status int, kind, retry string, body []byte) {
		r := reply{status: status, header: http.Header{"Content-Type": {kind}, "Retry-After": {retry}}, body: body}
		now := time.Date(2026, 11, 20, 6, 0, 0, 0, time.UTC)
		if r.notFound() && (status != http.StatusNotFound || !strings.Contains(string(body), "rror")) {
			t.Errorf("%d %q counts as not found", status, body)
		}
		sent := r.sent(now)
		if sent.Kind == action.NotSent || sent.Kind == action.SentAccepted && (status != http.StatusOK || !strings.Contains(string(body), "true")) {
			t.Errorf("%d %q is %d", status, body, sent.Kind)
		}
		for _, trouble := range []*action.Trouble{r.refused(whatDevice, now), sent.Trouble} {
			if trouble == nil {
				continue
			}
			if trouble.RetryAfter < 0 || trouble.RetryAfter > maxWish || trouble.CorrelationID != "" && !sane.MatchString(trouble.CorrelationID) {
				t.Errorf("%+v", trouble)
			}
		}
		if device, trouble := parse(body); trouble != nil && device.ID.State != policy.Absent {
			t.Errorf("a device beside a trouble: %+v", device)
		}
		if kept, trouble := withoutPasswords(body); trouble == nil && strings.Contains(strings.ToLower(string(kept)), `password":`) {
			t.Errorf("a password is kept: %s", kept)
		}
		var in page
		if trouble := r.decode(whatSearch, &in); trouble == nil && in.Items != nil {
			if devices, trouble := parseAll(*in.Items); trouble == nil && len(devices) != len(*in.Items) {
				t.Errorf("%d devices of %d items", len(devices), len(*in.Items))
			}
		}
	})
}
