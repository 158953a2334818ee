package httpapi_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/google/uuid"

	"rollcall"
)

// contract holds exchanges with a server to openapi.yaml, and notes what of the
// contract they have shown. It is safe for concurrent use.
type contract struct {
	doc    *openapi3.T
	router routers.Router
	mu     sync.Mutex
	left   map[string]bool // what no exchange has shown yet
}

func newContract(tb testing.TB) *contract {
	tb.Helper()
	openapi3.DefineStringFormatValidator("uuid", openapi3.NewCallbackValidator(uuid.Validate))
	for _, kind := range []string{"application/x-ndjson", "text/html"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.PlainBodyDecoder)
	}
	doc, err := openapi3.NewLoader().LoadFromData(rollcall.OpenAPI())
	if err != nil {
		tb.Fatal(err)
	}
	doc.Servers = nil // the server under test has an address of its own
	router, err := legacy.NewRouter(doc)
	if err != nil {
		tb.Fatal(err)
	}
	c := &contract{doc: doc, router: router, left: map[string]bool{}}
	for _, code := range doc.Components.Schemas["ReasonCode"].Value.Enum {
		c.left[fmt.Sprint("reason ", code)] = true
	}
	for _, code := range doc.Components.Schemas["Error"].Value.Properties["code"].Value.Enum {
		c.left[fmt.Sprint("error ", code)] = true
	}
	c.eachExample(func(op *openapi3.Operation, kind, name string, value any) {
		c.left["operation "+op.OperationID] = true
		if name != "" {
			c.left[exampleKey(op, kind, name, value)] = true
		}
	})
	return c
}

// eachExample visits the examples of requests (kind "") and of answers with 200
// (kind = media type), and each operation once with no name.
func (c *contract) eachExample(f func(op *openapi3.Operation, kind, name string, value any)) {
	for _, item := range c.doc.Paths.Map() {
		for _, op := range item.Operations() {
			f(op, "", "", nil)
			if op.RequestBody != nil {
				for name, e := range op.RequestBody.Value.Content["application/json"].Examples {
					f(op, "", name, e.Value.Value)
				}
			}
			for kind, media := range op.Responses.Value("200").Value.Content {
				for name, e := range media.Examples {
					f(op, kind, name, e.Value.Value)
				}
			}
		}
	}
}

// exampleKey names what shows an example: a request of the same fields and
// types, an answer of the same outcome, or else of the same media type.
func exampleKey(op *openapi3.Operation, kind, name string, value any) string {
	body, _ := value.(map[string]any)
	switch outcome, ok := body["outcome"].(string); {
	case kind == "":
		var fields []string
		for field, v := range body {
			if field != "requestId" {
				fields = append(fields, fmt.Sprintf("%s:%T", field, v))
			}
		}
		slices.Sort(fields)
		return fmt.Sprintf("example %s request %s", op.OperationID, strings.Join(fields, " "))
	case ok:
		return fmt.Sprintf("example %s %s", op.OperationID, outcome)
	}
	return fmt.Sprintf("example %s %s", op.OperationID, kind)
}

// Missing lists what of the contract no exchange has shown yet.
func (c *contract) Missing() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.left))
}

func (c *contract) show(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.left, fmt.Sprintf(format, args...))
}

// Watch returns a client that checks every exchange that it makes.
func (c *contract) Watch(tb testing.TB, hc *http.Client) *http.Client {
	watched := *hc
	watched.Transport = roundTrip(func(req *http.Request) (*http.Response, error) {
		base := hc.Transport
		if base == nil {
			base = http.DefaultTransport
		}
		resp, err := base.RoundTrip(req)
		if err == nil {
			c.Check(tb, req, resp)
		}
		return resp, err
	})
	return &watched
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Check fails the test where the exchange is not as the contract says. It leaves
// the answer's body to be read. The request's is read again through GetBody.
func (c *contract) Check(tb testing.TB, req *http.Request, resp *http.Response) {
	tb.Helper()
	if err := c.check(req, resp); err != nil {
		tb.Errorf("%s %s: %d is against the contract: %v", req.Method, req.URL.Path, resp.StatusCode, err)
	}
}

func (c *contract) check(req *http.Request, resp *http.Response) error {
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	route, params, err := c.find(req, req.Method)
	if err != nil {
		return c.beyond(req, resp, answer)
	}
	sent, again, err := bodyOf(req)
	if err != nil {
		return err
	}
	in := &openapi3filter.RequestValidationInput{
		Request: again, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true},
	}
	if resp.StatusCode == http.StatusOK {
		if err := openapi3filter.ValidateRequest(req.Context(), in); err != nil {
			return fmt.Errorf("the request was taken: %w", err)
		}
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header, Options: in.Options}
	if err := openapi3filter.ValidateResponse(req.Context(), out.SetBodyBytes(answer)); err != nil {
		return err
	}
	media := route.Operation.Responses.Status(resp.StatusCode).Value.Content.Get(resp.Header.Get("Content-Type"))
	return c.note(route.Operation, media, resp, sent, answer)
}
