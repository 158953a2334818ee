package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Largest bodies that the client reads, in bytes.
const (
	maxAnswer = 1 << 20
	maxList   = 256 << 20
)

// ErrTooLong is returned for an answer that is longer than the client reads.
var ErrTooLong = errors.New("answer is too long")

// Client calls one rollcall. It never retries: whether to is the playbook's
// choice, and every action may safely be sent again. Redirects are not followed.
// It is safe for concurrent use.
type Client struct {
	base string
	key  string
	http *http.Client
}

// New returns a client of the service at baseURL (scheme and host, perhaps with a
// path before /v1) that shows key. A nil hc means one with a 30 s time-out.
func New(baseURL, key string, hc *http.Client) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil {
		return nil, fmt.Errorf("base URL: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("base URL %q: must be http or https with a host", u.Redacted())
	}
	own := http.Client{Timeout: 30 * time.Second}
	if hc != nil {
		own = *hc
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{base: strings.TrimRight(baseURL, "/"), key: key, http: &own}, nil
}

// VerifyLive asks whether Central says that the device is in use.
func (c *Client) VerifyLive(ctx context.Context, in VerifyLiveRequest) (*Answer, error) {
	return c.act(ctx, "verify-live", in)
}

// Evaluate asks for the verdict.
func (c *Client) Evaluate(ctx context.Context, in EvaluateRequest) (*Answer, error) {
	return c.act(ctx, "evaluate", in)
}

// Delete asks for the deletion that was decided.
func (c *Client) Delete(ctx context.Context, in DeleteRequest) (*Answer, error) {
	return c.act(ctx, "delete", in)
}

// TicketOpen records that a person has been asked.
func (c *Client) TicketOpen(ctx context.Context, in TicketOpenRequest) (*Answer, error) {
	return c.act(ctx, "ticket-open", in)
}

// TicketClose records what the person decided.
func (c *Client) TicketClose(ctx context.Context, in TicketCloseRequest) (*Answer, error) {
	return c.act(ctx, "ticket-close", in)
}

// VerifyLiveBatch asks for many devices whether they are in use. An item's fault
// stands in its place in the answer; the error is one of the whole batch.
func (c *Client) VerifyLiveBatch(ctx context.Context, in VerifyLiveBatchRequest) (*BatchAnswer, error) {
	return receive[BatchAnswer](ctx, c, "/v1/actions/verify-live/batch", nil, in, maxList)
}

// EvaluateBatch asks for the verdicts on many devices. An item's fault stands in
// its place in the answer; the error is one of the whole batch.
func (c *Client) EvaluateBatch(ctx context.Context, in EvaluateBatchRequest) (*BatchAnswer, error) {
	return receive[BatchAnswer](ctx, c, "/v1/actions/evaluate/batch", nil, in, maxList)
}

func (c *Client) act(ctx context.Context, action string, in any) (*Answer, error) {
	return call[Answer](ctx, c, "/v1/actions/"+action, nil, in)
}

// call sends in as JSON (nil: a GET) and decodes the answer. Any status but 2xx
// is an *Error.
func call[T any](ctx context.Context, c *Client, path string, q url.Values, in any) (*T, error) {
	limit := int64(maxAnswer)
	if in == nil {
		limit = maxList
	}
	return receive[T](ctx, c, path, q, in, limit)
}

// receive is call for an answer of at most limit bytes.
func receive[T any](ctx context.Context, c *Client, path string, q url.Values, in any, limit int64) (*T, error) {
	res, err := c.send(ctx, path, q, in)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := readAll(res.Body, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	out := new(T)
	if err := json.Unmarshal(b, out); err != nil {
		return nil, fmt.Errorf("%s: answer: %w", path, err)
	}
	return out, nil
}

// send returns a 2xx response with its body open, or an error.
func (c *Client) send(ctx context.Context, path string, q url.Values, in any) (*http.Response, error) {
	method, body, u := http.MethodGet, io.Reader(nil), c.base+path
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("%s: request: %w", path, err)
		}
		method, body = http.MethodPost, bytes.NewReader(b)
	}
	if len(q) > 0 {
		u += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		defer func() { _ = res.Body.Close() }()
		return nil, asError(res)
	}
	return res, nil
}

// asError reads the body of a refusal. What is no body of ours (a proxy's page)
// still becomes an *Error, with the status alone.
func asError(res *http.Response) error {
	e := new(Error)
	b, err := readAll(res.Body, maxAnswer)
	if err != nil || json.Unmarshal(b, e) != nil {
		e = &Error{Title: http.StatusText(res.StatusCode)}
	}
	e.Status = res.StatusCode
	return e
}

// readAll reads at most limit bytes; more is ErrTooLong.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, ErrTooLong
	}
	return b, nil
}
