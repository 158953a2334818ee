package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func newReady() func(context.Context) error { return func(context.Context) error { return nil } }

// FuzzDecode sends bodies to the actions: whatever they hold, the answer is a
// verdict or the caller's fault, and JSON.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/bodies/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	paths := []string{verifyPath, evaluatePath, deletePath, openPath, closePath, "/v1/admin/pause", "/v1/failures/" + endpointID + "/ack", "/v1/policy/replay"}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for i := range paths {
			f.Add(uint8(i), string(b))
		}
	}
	e := newEdge(f, func(c *Config) { c.KeyRate, c.Log = 1<<30, zerolog.New(io.Discard) })
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		e.ledger.tickets = nil
		r := httptest.NewRequestWithContext(t.Context(), "POST", paths[int(which)%len(paths)], strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+allKey)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code != http.StatusOK && (w.Code < 400 || w.Code > 499) {
			t.Fatalf("%d %s for %q", w.Code, w.Body, body)
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Fatalf("the answer is no JSON: %q", w.Body)
		}
		var got map[string]any
		if w.Code == http.StatusOK && (json.Unmarshal([]byte(body), &got) != nil || got == nil) {
			t.Fatalf("taken, but no JSON object: %q", body)
		}
	})
}
