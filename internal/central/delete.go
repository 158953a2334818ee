package central

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"rollcall/internal/action"
)

// whatDelete is what people read about the DELETE.
const whatDelete = "deleting the device"

// Delete implements [action.Central]: exactly one DELETE or none. It goes out on
// a connection of its own, since Go's transport sends again what failed on a
// connection used before, and through a guard that lets no byte pass once sendBy
// is over. From then on the caller's context no longer ends it: the answer is
// waited for as long as one call may take.
func (c *Client) Delete(ctx context.Context, dev action.Ref, sendBy time.Time) action.Sent {
	p, _, trouble := c.locate(ctx, c.deletes, dev)
	if trouble != nil {
		return action.Sent{Kind: action.NotSent, Trouble: trouble}
	}
	rq := request{what: whatDelete, method: http.MethodDelete, header: p.header(), url: p.url(url.Values{}, url.PathEscape(dev.EndpointID))}
	if _, _, trouble := c.deletes.sign(ctx, rq); trouble != nil {
		return action.Sent{Kind: action.NotSent, Trouble: trouble}
	}
	most := sendBy.Sub(c.now()) - answerTime
	if trouble := c.deletes.spendWithin(ctx, whatDelete, action.CallSingle, most); trouble != nil {
		return action.Sent{Kind: action.NotSent, Trouble: trouble}
	}
	rq, token, trouble := c.deletes.sign(ctx, rq) // its turn may come after the first token's end
	if trouble != nil {
		return action.Sent{Kind: action.NotSent, Trouble: trouble}
	}
	once := &sendOnce{by: sendBy, now: c.now}
	r, trouble := c.sendOnce(ctx, rq, once)
	switch {
	case trouble == nil:
		c.deletes.heed(ctx, r)
		if r.status == http.StatusUnauthorized {
			c.deletes.forget(token)
		}
		return r.sent(c.now())
	case once.bar():
		return action.Sent{Kind: action.NotSent, Trouble: trouble}
	}
	trouble.Class = action.Ambiguous
	return action.Sent{Kind: action.SentUnclear, Trouble: trouble}
}

// sendOnce makes the one call.
func (c *Client) sendOnce(ctx context.Context, rq request, once *sendOnce) (reply, *action.Trouble) {
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), once.by.Sub(c.now())+c.timeout)
	defer cancel()
	answer := time.AfterFunc(time.Hour, cancel) // set to the time of one call when the first byte leaves
	defer answer.Stop()
	once.onLeft = func() { answer.Reset(c.timeout) }
	// Until the first byte has left, the caller and the clock may still call it off.
	callOff := func() {
		if once.bar() {
			cancel()
		}
	}
	defer context.AfterFunc(ctx, callOff)()
	defer time.AfterFunc(once.by.Sub(c.now()), callOff).Stop()
	if once.late() {
		once.bar()
		return reply{}, tooLate()
	}
	req, err := rq.build(whole)
	if err != nil {
		once.bar()
		return reply{}, &action.Trouble{Class: action.Permanent, Text: "The request for " + whatDelete + " could not be made."}
	}
	transport := c.singleUse(once)
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return reply{}, c.undelivered(ctx, whole, once, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxSingle))
	if err != nil {
		return reply{}, c.undelivered(ctx, whole, once, err)
	}
	return reply{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// singleUse is a transport for one request: one connection, HTTP/1.1, never
// used again.
func (c *Client) singleUse(once *sendOnce) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, Protocols: protocols, TLSClientConfig: c.tls.Clone(),
		DialContext: once.plain(c.dial), DialTLSContext: once.secure(c.dial, c.tls),
		TLSHandshakeTimeout: c.timeout, MaxResponseHeaderBytes: 64 << 10,
	}
}

// undelivered says why no answer came. Nothing can leave after it was called
// for a request of which no byte has left: the guard is shut first.
func (c *Client) undelivered(ctx, whole context.Context, once *sendOnce, err error) *action.Trouble {
	switch {
	case once.bar() && once.late():
		return tooLate()
	case once.bar() && ctx.Err() != nil:
		return ownTime(whatDelete)
	case whole.Err() != nil:
		return &action.Trouble{Class: action.Transient, Own: true, Text: fmt.Sprintf("Central did not answer %s within %s.", whatDelete, c.timeout)}
	}
	return unanswered(whole, whatDelete, err, c.timeout)
}

// tooLate is the trouble of a DELETE whose time to leave is over.
func tooLate() *action.Trouble {
	return &action.Trouble{Class: action.Transient, Own: true, Text: "The DELETE could not be sent in time, so it was not sent."}
}

// sent says what an answer to the DELETE means.
func (r reply) sent(now time.Time) action.Sent {
	switch {
	case r.status == http.StatusOK:
		return r.said()
	case r.status == http.StatusTooManyRequests:
		return action.Sent{Kind: action.SentLimited, Trouble: r.refused(whatDelete, now)}
	case r.status >= 300 && r.status < 500 && r.status != http.StatusRequestTimeout:
		t := r.refused(whatDelete, now)
		t.Class = action.Permanent
		if r.status == http.StatusNotFound {
			t.Text = "Central answered the DELETE with 404."
		}
		return action.Sent{Kind: action.SentRefused, Trouble: t}
	}
	t := r.refused(whatDelete, now)
	t.Class = action.Ambiguous
	t.Text = fmt.Sprintf("Central answered the DELETE with status %d, which does not say whether it took effect.", r.status)
	return action.Sent{Kind: action.SentUnclear, Trouble: t}
}

// said reads a 200: yes, no, or nothing that can be understood.
func (r reply) said() action.Sent {
	var in struct {
		Deleted *json.RawMessage `json:"deleted"`
	}
	if trouble := r.decode(whatDelete, &in); trouble != nil {
		trouble.Class, trouble.Status = action.Ambiguous, r.status
		return action.Sent{Kind: action.SentUnclear, Trouble: trouble}
	}
	if in.Deleted != nil && string(*in.Deleted) == "true" {
		return action.Sent{Kind: action.SentAccepted}
	}
	return action.Sent{Kind: action.SentRefused, Trouble: &action.Trouble{Class: action.Permanent, Status: r.status,
		CorrelationID: r.correlation(), Text: "Central answered the DELETE without saying that the device was deleted."}}
}
