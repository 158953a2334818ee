package httpapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
)

// bodyOf reads what was sent, and makes a request of it to be checked. A number
// for ticketId is the one thing that is taken without being in a schema.
func bodyOf(req *http.Request) (map[string]any, *http.Request, error) {
	again := req.Clone(req.Context())
	if req.GetBody == nil {
		return nil, again, nil
	}
	r, err := req.GetBody()
	if err != nil {
		return nil, nil, err
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, nil, err
	}
	var sent map[string]any
	if json.Unmarshal(b, &sent) == nil {
		if n, ok := sent["ticketId"].(float64); ok {
			sent["ticketId"] = fmt.Sprintf("%.0f", n)
			if b, err = json.Marshal(sent); err != nil {
				return nil, nil, err
			}
		}
	}
	again.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
	again.Body, again.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	return sent, again, nil
}

// find routes by the path as it was sent: an id may hold an escaped slash.
func (c *contract) find(req *http.Request, method string) (*routers.Route, map[string]string, error) {
	sent := req.Clone(req.Context())
	sent.Method, sent.URL.Path, sent.URL.RawPath = method, req.URL.EscapedPath(), ""
	return c.router.FindRoute(sent)
}

// beyond checks the answer of what is no route of the contract.
func (c *contract) beyond(req *http.Request, resp *http.Response, answer []byte) error {
	if strings.HasPrefix(req.URL.Path, "/docs/") && resp.StatusCode == http.StatusOK {
		return nil // what the page loads
	}
	want := http.StatusNotFound
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if _, _, err := c.find(req, method); err == nil {
			want = http.StatusMethodNotAllowed
		}
	}
	if resp.StatusCode != want && resp.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("no such route: want %d", want)
	}
	var v any
	if err := json.Unmarshal(answer, &v); err != nil {
		return err
	}
	schema := c.doc.Components.Schemas["Error"]
	if err := schema.Value.VisitJSON(v); err != nil {
		return err
	}
	return c.note(nil, &openapi3.MediaType{Schema: schema}, resp, nil, answer)
}

// note checks what a schema can't say, and marks what the exchange has shown.
func (c *contract) note(op *openapi3.Operation, media *openapi3.MediaType, resp *http.Response, sent map[string]any, answer []byte) error {
	var body map[string]any
	if item, ok := media.Extensions["x-item"].(string); ok {
		if err := c.lines(item, answer); err != nil {
			return err
		}
	} else if json.Unmarshal(answer, &body) == nil {
		if err := errors.Join(known(media, body), echoed(resp, body), c.codes(body)); err != nil {
			return err
		}
	}
	if op == nil || resp.StatusCode != http.StatusOK {
		return nil
	}
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	c.show("operation %s", op.OperationID)
	c.show("%s", exampleKey(op, kind, "", body))
	c.show("%s", exampleKey(op, "", "", sent))
	return nil
}

// known refuses fields that the contract does not name.
func known(media *openapi3.MediaType, body map[string]any) error {
	if media.Schema == nil || len(media.Schema.Value.Properties) == 0 {
		return nil
	}
	for field := range body {
		if media.Schema.Value.Properties[field] == nil {
			return fmt.Errorf("the field %s is not in the contract", field)
		}
	}
	return nil
}

// echoed compares headers with the fields that repeat them.
func echoed(resp *http.Response, body map[string]any) error {
	if id, ok := body["requestId"].(string); ok && resp.Header.Get("X-Request-ID") != id {
		return fmt.Errorf("X-Request-ID is %q, requestId %q", resp.Header.Get("X-Request-ID"), id)
	}
	if body["code"] == nil {
		return nil
	}
	if body["status"] != float64(resp.StatusCode) {
		return fmt.Errorf("status in the body is %v", body["status"])
	}
	if body["error"] != body["detail"] || body["message"] != body["detail"] {
		return errors.New("error and message must repeat detail")
	}
	after := ""
	if n, ok := body["retryAfterSeconds"].(float64); ok {
		after = strconv.Itoa(int(n))
	}
	if got := resp.Header.Get("Retry-After"); got != after {
		return fmt.Errorf("Retry-After is %q, retryAfterSeconds %q", got, after)
	}
	return nil
}

// codes marks error and reason codes, and holds the short forms of the reasons
// to the list.
func (c *contract) codes(body map[string]any) error {
	if code, ok := body["code"].(string); ok {
		c.show("error %s", code)
	}
	reasons, ok := body["reasons"].([]any)
	if !ok {
		return nil
	}
	var first any
	for i, r := range reasons {
		reason, _ := r.(map[string]any)
		c.show("reason %v", reason["code"])
		if i == 0 {
			first = reason["code"]
		}
	}
	if body["reasonCode"] != first {
		return fmt.Errorf("reasonCode is %v, the first reason's is %v", body["reasonCode"], first)
	}
	return nil
}

// lines checks each line of what is JSON by the line.
func (c *contract) lines(ref string, answer []byte) error {
	schema := c.doc.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")].Value
	for line := range bytes.Lines(answer) {
		var v any
		if err := json.Unmarshal(line, &v); err != nil {
			return fmt.Errorf("line %q: %w", line, err)
		}
		if err := schema.VisitJSON(v); err != nil {
			return fmt.Errorf("line %q: %w", line, err)
		}
	}
	return nil
}
