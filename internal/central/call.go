package central

import (
	"context"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rollcall/internal/action"
)

// The most that is read of a body.
const (
	maxList   = 8 << 20
	maxSingle = 1 << 20
)

// answerTime is what must be left of a caller's time to make another try worth it.
const answerTime = 250 * time.Millisecond

// request is one call to be made.
type request struct {
	what   string // for people: "reading the device"
	method string
	url    *url.URL
	header map[string]string
	form   string // body of a POST
	limit  int64
	kind   action.CallKind // whose share of the budget it takes; empty = CallSingle
}

// paid is the kind of a call whose first try was taken from the budget already; a
// second one is of the kind check.
const paid action.CallKind = "paid"

// reply is an answer that came whole.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// once makes one call within the time of one call.
func (c *Client) once(parent context.Context, rq request) (reply, *action.Trouble) {
	ctx, cancel := context.WithTimeout(parent, c.timeout)
	defer cancel()
	req, err := rq.build(ctx)
	if err != nil {
		return reply{}, &action.Trouble{Class: action.Permanent, Text: "The request for " + rq.what + " could not be made."}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return reply{}, unanswered(parent, rq.what, err, c.timeout)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, rq.limit+1))
	switch {
	case err != nil:
		return reply{}, unanswered(parent, rq.what, err, c.timeout)
	case int64(len(body)) > rq.limit:
		return reply{}, unusable(rq.what, "it is too long")
	}
	return reply{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// build makes the HTTP request.
func (rq request) build(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, rq.method, rq.url.String(), strings.NewReader(rq.form))
	if err != nil {
		return nil, err
	}
	if rq.form == "" {
		req.Body, req.GetBody, req.ContentLength = http.NoBody, nil, 0
	} else {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "rollcall")
	for k, v := range rq.header {
		req.Header.Set(k, v)
	}
	return req, nil
}

// authorised is a request that bears a token. It is the only place where a token
// is put into a request, so the host is checked here once more.
func (c *Client) authorised(rq request, token string) (request, *action.Trouble) {
	base := url.URL{Scheme: rq.url.Scheme, Host: rq.url.Host}
	if u, err := c.hosts.allow(base.String()); err != nil || u.Scheme != rq.url.Scheme {
		return rq, strangeHost(rq.what)
	}
	header := map[string]string{}
	maps.Copy(header, rq.header)
	header["Authorization"] = "Bearer " + token // in the place of any before
	rq.header = header
	return rq, nil
}

// strangeHost is the trouble of a host that no token may be sent to.
func strangeHost(what string) *action.Trouble {
	return &action.Trouble{Class: action.Permanent, Outage: true,
		Text: "Central named a host for " + what + " that is not under the domain of the configured one; nothing was sent to it."}
}

// sign gives a request a token that is in force now.
func (a *account) sign(ctx context.Context, rq request) (signed request, token string, trouble *action.Trouble) {
	if token, trouble = a.bearer(ctx); trouble != nil {
		return rq, "", outage(trouble)
	}
	signed, trouble = a.c.authorised(rq, token)
	return signed, token, trouble
}

// pay takes a try from the budget, unless that was done.
func (a *account) pay(ctx context.Context, rq *request) *action.Trouble {
	if rq.kind == paid {
		rq.kind = action.CallCheck
		return nil
	}
	if _, _, trouble := a.sign(ctx, *rq); trouble != nil { // what can't be sent takes nothing of the budget
		return trouble
	}
	return a.spend(ctx, *rq)
}

// get makes a read with the account's token. Its reply is a 200 or Central's own
// 404; all else is a trouble. A token that is refused is renewed once, and a
// failure that may pass is tried once more if the caller's time allows.
func (a *account) get(ctx context.Context, rq request) (reply, *action.Trouble) {
	rq.method = http.MethodGet
	renewed, tried := false, false
	for {
		if trouble := a.pay(ctx, &rq); trouble != nil {
			return reply{}, trouble
		}
		signed, token, trouble := a.sign(ctx, rq) // its turn may come after the first token's end
		if trouble != nil {
			return reply{}, trouble
		}
		r, trouble := a.c.once(ctx, signed)
		a.heed(ctx, r)
		if trouble == nil {
			if r.status == http.StatusOK || r.notFound() {
				return r, nil
			}
			trouble = r.refused(rq.what, a.c.now())
		}
		if r.status == http.StatusUnauthorized {
			a.forget(token)
			if !renewed {
				renewed = true
				continue
			}
		}
		if tried || !again(ctx, trouble, a.c.timeout) {
			return reply{}, trouble
		}
		tried = true
	}
}

// again waits before another try, and reports whether one makes sense: for
// failures that may pass, and only if the caller's time allows both the wait
// and an answer.
func again(ctx context.Context, t *action.Trouble, timeout time.Duration) bool {
	passes := t.Class == action.Transient && t.Status != http.StatusNotFound
	if !passes || ctx.Err() != nil {
		return false
	}
	wait := 50*time.Millisecond + rand.N(100*time.Millisecond) //nolint:gosec // jitter is no secret
	switch {
	case t.RetryAfter > 0:
		wait = t.RetryAfter
	case t.Limited:
		wait = time.Second + rand.N(500*time.Millisecond) //nolint:gosec // jitter is no secret
	}
	deadline, bounded := ctx.Deadline()
	if wait > timeout || bounded && time.Until(deadline) < wait+answerTime {
		return false
	}
	return pause(ctx, wait, "") == nil
}
