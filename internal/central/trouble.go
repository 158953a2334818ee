package central

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/action"
)

// maxWish bounds what Central may ask us to wait.
const maxWish = 24 * time.Hour

// sane is what an id of Central's may look like to be shown.
var sane = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)

// unusable is an answer that can't be used although it came.
func unusable(what, why string) *action.Trouble {
	return &action.Trouble{Class: action.Transient, Text: fmt.Sprintf("Central's answer to %s can't be used: %s.", what, why)}
}

// outage marks a trouble as one of Central as a whole, or of the credential.
func outage(t *action.Trouble) *action.Trouble {
	if t == nil || t.Own || t.Limited {
		return t
	}
	marked := *t
	marked.Outage = true
	return &marked
}

// ownTime is the trouble of a caller whose time is up.
func ownTime(what string) *action.Trouble {
	return &action.Trouble{Class: action.Transient, Own: true, Text: "The time for " + what + " was up before Central answered."}
}

// unanswered says what a failed call was. parent is the caller's context, before
// the time of one call was put on it.
func unanswered(parent context.Context, what string, err error, timeout time.Duration) *action.Trouble {
	var timeoutErr net.Error
	switch {
	case parent.Err() != nil:
		return ownTime(what)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeoutErr) && timeoutErr.Timeout():
		return &action.Trouble{Class: action.Transient, Own: true, Text: fmt.Sprintf("Central did not answer %s within %s.", what, timeout)}
	case unreachable(err):
		return &action.Trouble{Class: action.Transient, Outage: true, Text: "Central could not be reached for " + what + "."}
	}
	return &action.Trouble{Class: action.Transient, Text: "The connection to Central was cut during " + what + "."}
}

// unreachable reports whether no connection came about at all.
func unreachable(err error) bool {
	var op *net.OpError
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	var handshake tls.RecordHeaderError
	var alert tls.AlertError
	return errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns) || errors.As(err, &cert) ||
		errors.As(err, &handshake) || errors.As(err, &alert)
}

// refused says what an answer of another status than 200 is. The words are ours:
// nothing of the body but an id ever leaves this package.
func (r reply) refused(what string, now time.Time) *action.Trouble {
	t := &action.Trouble{Class: action.Permanent, Status: r.status, CorrelationID: r.correlation()}
	switch {
	case r.status == http.StatusTooManyRequests:
		t.Class, t.Limited, t.RetryAfter = action.Transient, true, wish(r.header, now)
		t.Text = "Central refused " + what + " as one call too many."
	case r.status == http.StatusUnauthorized:
		t.Text = "Central did not accept the credential's token for " + what + "."
	case r.status == http.StatusForbidden:
		t.Text = "Central forbids the credential " + what + "."
	case r.status >= 500:
		t.Class, t.RetryAfter = action.Transient, wish(r.header, now)
		t.Text = fmt.Sprintf("Central failed at %s with status %d.", what, r.status)
	case r.status >= 300 && r.status < 400:
		t.Text = fmt.Sprintf("Central answered %s with a redirect, which is not followed.", what)
	case r.status == http.StatusNotFound:
		t.Class = action.Transient
		t.Text = fmt.Sprintf("A 404 to %s is not in Central's own form and says nothing.", what)
	default:
		t.Text = fmt.Sprintf("Central refused %s with status %d.", what, r.status)
	}
	return t
}

// wish is Retry-After, in seconds or as a date; zero when there is none.
func wish(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	d := time.Duration(0)
	if n, err := strconv.Atoi(v); err == nil {
		d = time.Duration(min(max(n, 0), int(maxWish/time.Second))) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxWish)
}

// correlation is the id by which Central's support finds a call; empty when the
// body has none, or one that is not fit to be shown.
func (r reply) correlation() string {
	var ids struct {
		CorrelationID any `json:"correlationId"`
		RequestID     any `json:"requestId"`
		TrackingID    any `json:"trackingId"`
	}
	if !r.isJSON() || json.Unmarshal(r.body, &ids) != nil {
		return ""
	}
	for _, id := range []any{ids.CorrelationID, ids.RequestID, ids.TrackingID} {
		if s, ok := id.(string); ok && sane.MatchString(s) {
			return s
		}
	}
	return ""
}

// isJSON reports whether the answer says that it is JSON.
func (r reply) isJSON() bool {
	kind, _, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}

// notFound reports whether this is Central's own 404: JSON, with one of its two
// words for it. A page, an empty body or a gateway's JSON says nothing of a device.
func (r reply) notFound() bool {
	var e struct {
		Error string `json:"error"`
	}
	return r.status == http.StatusNotFound && r.isJSON() && json.Unmarshal(r.body, &e) == nil &&
		(strings.EqualFold(e.Error, "notFound") || strings.EqualFold(e.Error, "resourceNotFound"))
}

// decode reads a 200's JSON object into v.
func (r reply) decode(what string, v any) *action.Trouble {
	switch {
	case r.status != http.StatusOK:
		return unusable(what, fmt.Sprintf("status %d is not expected", r.status))
	case !r.isJSON():
		return unusable(what, "it is not JSON")
	case len(r.body) == 0 || r.body[0] != '{' && !strings.HasPrefix(strings.TrimSpace(string(r.body[:min(len(r.body), 64)])), "{"):
		return unusable(what, "it is no JSON object")
	case json.Unmarshal(r.body, v) != nil:
		return unusable(what, "its JSON is broken or of another shape")
	}
	return nil
}
