package httpapi_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policyfile"
)

// fieldFolder holds cases as they come from the field: one file each.
const fieldFolder = "testdata/field"

// fieldCase is one case of the field: a request that people really send, or a record
// as Central really gives it, with every answer that is right.
type fieldCase struct {
	Case, About, Policy string
	Now                 time.Time
	Live                map[string]any
	Event               map[string]any
	Steps               []fieldStep
	Want                []fieldWant
}

// fieldStep is one request. K in a header stands for a valid key.
type fieldStep struct {
	Method, Path, Version string
	Headers               map[string]string
	JSON                  json.RawMessage
	Body, BodyBase64, Raw *string
	NoKey                 bool
}

// fieldWant is one right answer; of a record it is one under a policy.
type fieldWant struct {
	Status                int
	Outcome, Code         string
	Reasons, ReasonsAnyOf []string
	Policy                string
	Verdicts              []string
}

// fieldCases reads the cases of a folder; none is fatal.
func fieldCases(t *testing.T, folder string) []fieldCase {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(fieldFolder, folder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in %s: %v", folder, err)
	}
	out := make([]fieldCase, len(files))
	for i, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(withoutNaN(raw), &out[i]); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	return out
}

// notANumber stands in a case for the NaN of a request, which no JSON can hold.
const notANumber = `"a request's NaN"`

func withoutNaN(raw []byte) []byte {
	return bytes.ReplaceAll(raw, []byte(": NaN"), []byte(": "+notANumber))
}

// fieldSystem is a service in dry-run whose clock is at the cases' time.
func fieldSystem(t *testing.T, at time.Time) *system {
	t.Helper()
	s := newSystem(t, setup{mode: action.DryRun})
	s.pass(at.Sub(s.now()))
	s.sim.Put(centralsim.SampleTenant, map[string]any{
		"id": "00000000-0000-4000-8000-00000000f1e1", "type": "computer", "hostname": "WS-JUST-SEEN", "tenant": map[string]any{"id": centralsim.SampleTenant},
		"lastSeenAt": centralsim.Ago(time.Minute), "online": true,
	})
	return s
}

// policyOf puts a policy file of the cases in force.
func (s *system) policyOf(file string) {
	s.t.Helper()
	raw, err := os.ReadFile(filepath.Join(fieldFolder, file))
	if err != nil {
		s.t.Fatal(err)
	}
	params, err := policyfile.Parse(raw)
	if err != nil {
		s.t.Fatalf("%s: %v", file, err)
	}
	s.change(func(r *action.Rules) { r.Params = params })
}

// send sends a step over a connection of its own, byte for byte, and returns the last
// answer.
func (s *system) send(t *testing.T, step fieldStep, token string) (int, answer) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(step.bytes(t, token)); err != nil {
		t.Fatal(err)
	}
	return lastAnswer(t, conn, step.Method)
}

// lastAnswer reads answers until the connection ends.
func lastAnswer(t *testing.T, conn io.Reader, method string) (status int, a answer) {
	t.Helper()
	in := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return status, a
		}
		if resp.StatusCode < 200 {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		status, a = resp.StatusCode, answer{}
		_ = json.Unmarshal(body, &a) // pages for machines have another form
	}
}

var (
	keySign   = regexp.MustCompile(`\bK\b`)
	basicSign = regexp.MustCompile(`\{\{base64 of ([^}]*)\}\}`)
)

// withKey puts the key in the place of K.
func withKey(text string) string {
	return basicSign.ReplaceAllStringFunc(keySign.ReplaceAllString(text, "dev"), func(m string) string {
		return base64.StdEncoding.EncodeToString([]byte(basicSign.FindStringSubmatch(m)[1]))
	})
}

// bytes are the step as it goes over the wire.
func (step fieldStep) bytes(t *testing.T, token string) []byte {
	t.Helper()
	if step.Raw != nil { // each character is a byte
		var out []byte
		for _, r := range withKey(*step.Raw) {
			out = append(out, byte(r))
		}
		return out
	}
	body := step.body(t, token)
	version := step.Version
	if version == "" {
		version = "HTTP/1.1"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\nHost: rollcall\r\nConnection: close\r\n", step.Method, step.Path, version)
	keyed := step.NoKey
	for name, value := range step.Headers {
		keyed = keyed || strings.EqualFold(name, "Authorization") || strings.EqualFold(name, "X-API-Key")
		fmt.Fprintf(&b, "%s: %s\r\n", name, withKey(value))
	}
	if !keyed {
		b.WriteString("Authorization: Bearer dev\r\n")
	}
	if _, chunked := step.Headers["Transfer-Encoding"]; !chunked && (len(body) > 0 || step.Method == http.MethodPost) {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	return append(b.Bytes(), body...)
}

// body is what stands behind the head.
func (step fieldStep) body(t *testing.T, token string) []byte {
	t.Helper()
	quoted := strings.Trim(mustJSON(t, token), `"`)
	switch {
	case step.Body != nil:
		return []byte(strings.ReplaceAll(*step.Body, "{{token}}", quoted))
	case step.BodyBase64 != nil:
		raw, err := base64.StdEncoding.DecodeString(*step.BodyBase64)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	text := bytes.ReplaceAll(step.JSON, []byte(notANumber), []byte("NaN"))
	return bytes.ReplaceAll(text, []byte("{{token}}"), []byte(quoted))
}

// mustJSON is a value as JSON.
func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// meets reports whether an answer is the one that is right.
func (w fieldWant) meets(status int, a answer) bool {
	codes := a.codes()
	has := func(code string) bool { return slices.Contains(codes, code) }
	return status == w.Status && (w.Outcome == "" || a.is("outcome") == w.Outcome) && (w.Code == "" || a.is("code") == w.Code) &&
		!slices.ContainsFunc(w.Reasons, func(c string) bool { return !has(c) }) &&
		(len(w.ReasonsAnyOf) == 0 || slices.ContainsFunc(w.ReasonsAnyOf, has))
}
