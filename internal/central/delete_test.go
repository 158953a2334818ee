package central

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
)

// toSend is the time that a DELETE of these tests has to leave. It is longer than
// that of the service: a busy machine may take as long for the connection.
const toSend = time.Minute

// send deletes the one device.
func (r *rig) send(ctx context.Context, tb testing.TB) action.Sent {
	tb.Helper()
	sent := r.Delete(ctx, dev, r.clock().Add(toSend))
	if (sent.Kind == action.SentAccepted) != (sent.Trouble == nil) {
		tb.Errorf("sent %+v", sent)
	}
	if sent.Trouble != nil {
		discreet(tb, sent.Trouble)
	}
	return sent
}

func TestWhatAnAnswerToADeleteMeans(t *testing.T) {
	const json, html = "application/json", "text/html"
	page := func(status int, kind, body string) *centralsim.Fault {
		return &centralsim.Fault{Status: status, ContentType: kind, Body: body}
	}
	for _, tt := range []struct {
		name    string
		fault   *centralsim.Fault
		unknown centralsim.UnknownDelete
		absent  bool
		kind    action.SentKind
		class   action.Class
		gone    bool // from Central, afterwards
	}{
		{"deleted", nil, 0, false, action.SentAccepted, "", true},
		{"an absent id, 404", nil, centralsim.UnknownNotFound, true, action.SentRefused, action.Permanent, true},
		{"an absent id, 200 with false", nil, centralsim.UnknownFalse, true, action.SentRefused, action.Permanent, true},
		{"an absent id, 200 with true", nil, centralsim.UnknownTrue, true, action.SentAccepted, "", true},
		{"an absent id, 500", nil, centralsim.UnknownFails, true, action.SentUnclear, action.Ambiguous, true},
		{"200 without the word", page(200, json, `{}`), 0, false, action.SentRefused, action.Permanent, false},
		{"200 with the word as text", page(200, json, `{"deleted":"true"}`), 0, false, action.SentRefused, action.Permanent, false},
		{"200 with null", page(200, json, `{"deleted":null}`), 0, false, action.SentRefused, action.Permanent, false},
		{"200 as a page", page(200, html, `<html>{"deleted":true}</html>`), 0, false, action.SentUnclear, action.Ambiguous, false},
		{"200 of cut JSON", page(200, json, `{"deleted":true`), 0, false, action.SentUnclear, action.Ambiguous, false},
		{"200 of a list", page(200, json, `[{"deleted":true}]`), 0, false, action.SentUnclear, action.Ambiguous, false},
		{"200 that says text", page(200, "text/plain", `{"deleted":true}`), 0, false, action.SentUnclear, action.Ambiguous, false},
		{"202", page(202, json, `{"deleted":true}`), 0, false, action.SentUnclear, action.Ambiguous, false},
		{"204", page(204, json, ""), 0, false, action.SentUnclear, action.Ambiguous, false},
		{"a redirect", &centralsim.Fault{Status: 307, Header: http.Header{"Location": {"/endpoint/v1/endpoints/" + deviceID}}}, 0, false, action.SentRefused, action.Permanent, false},
		{"400", &centralsim.Fault{Status: 400}, 0, false, action.SentRefused, action.Permanent, false},
		{"401", &centralsim.Fault{Status: 401}, 0, false, action.SentRefused, action.Permanent, false},
		{"403", &centralsim.Fault{Status: 403}, 0, false, action.SentRefused, action.Permanent, false},
		{"a proxy's 404", page(404, html, "<html>"), 0, false, action.SentRefused, action.Permanent, false},
		{"a proxy's 408", page(408, html, "<html>"), 0, false, action.SentUnclear, action.Ambiguous, false},
		{"429", &centralsim.Fault{Status: 429, RetryAfter: "7"}, 0, false, action.SentLimited, action.Transient, false},
		{"500", &centralsim.Fault{Status: 500}, 0, false, action.SentUnclear, action.Ambiguous, false},
		{"500 but applied", &centralsim.Fault{Status: 500, ApplyAnyway: true}, 0, false, action.SentUnclear, action.Ambiguous, true},
		{"503 as a page", page(503, html, "<html>"), 0, false, action.SentUnclear, action.Ambiguous, false},
		{"cut before an answer", &centralsim.Fault{Drop: true}, 0, false, action.SentUnclear, action.Ambiguous, false},
		{"cut before an answer, applied", &centralsim.Fault{Drop: true, ApplyAnyway: true}, 0, false, action.SentUnclear, action.Ambiguous, true},
		{"cut in the answer", &centralsim.Fault{CutBody: true}, 0, false, action.SentUnclear, action.Ambiguous, true},
		{"429 cut in the answer", &centralsim.Fault{Status: 429, CutBody: true}, 0, false, action.SentUnclear, action.Ambiguous, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, func(o *centralsim.Options) { o.UnknownDelete = tt.unknown }, nil)
			if tt.absent {
				r.sim.Remove(tenantID, deviceID)
			}
			if tt.fault != nil {
				f := *tt.fault
				f.Method, f.Times = http.MethodDelete, centralsim.Always
				r.sim.Fault(f)
			}
			sent := r.send(t.Context(), t)
			if sent.Kind != tt.kind || sent.Trouble != nil && (sent.Trouble.Class != tt.class || sent.Trouble.Own) {
				t.Errorf("got kind %d, %+v; want %d, %s", sent.Kind, sent.Trouble, tt.kind, tt.class)
			}
			if tt.kind == action.SentLimited && (!sent.Trouble.Limited || sent.Trouble.RetryAfter != 7*time.Second) {
				t.Errorf("the wish is lost: %+v", sent.Trouble)
			}
			if n := r.sim.Deletes(); n != 1 {
				t.Errorf("%d DELETEs reached Central, want 1", n)
			}
			if _, there := r.sim.Get(tenantID, deviceID); there == tt.gone {
				t.Errorf("the device is there: %v", there)
			}
		})
	}
}

func TestDeleteThatHangsIsUnclear(t *testing.T) {
	r := newRig(t, nil, nil)
	r.present(t)            // signed in
	r.timeout = time.Second // for the DELETE alone, which must come to Central within it
	r.sim.Fault(centralsim.Fault{Method: http.MethodDelete, Hang: true})
	start := time.Now()
	sent := r.Delete(t.Context(), dev, r.clock().Add(time.Minute))
	if sent.Kind != action.SentUnclear || !sent.Trouble.Own || sent.Trouble.Class != action.Ambiguous {
		t.Errorf("got %+v, %+v", sent, sent.Trouble)
	}
	if waited := time.Since(start); waited > 30*time.Second {
		t.Errorf("waited %v for an answer, longer than one call may take", waited)
	}
	if n := r.sim.Deletes(); n != 1 {
		t.Errorf("%d DELETEs reached Central, want 1", n)
	}
}

func TestAnswerIsWaitedForAfterTheCallerLeft(t *testing.T) {
	r := newRig(t, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	r.sim.OnRequest(func(q *http.Request) {
		if q.Method == http.MethodDelete {
			cancel()
		}
	})
	if sent := r.send(ctx, t); sent.Kind != action.SentAccepted {
		t.Errorf("got %+v, %+v; want accepted", sent, sent.Trouble)
	}
}

func TestEachDeleteHasAConnectionOfItsOwn(t *testing.T) {
	r := newRig(t, nil, nil)
	for range 3 {
		r.look(t.Context(), t)
		r.send(t.Context(), t)
	}
	users := map[string]int{}
	deletes := 0
	for _, e := range r.sim.Journal() {
		users[e.Remote]++
		if e.Method == http.MethodDelete {
			deletes++
		}
	}
	for _, e := range r.sim.Journal() {
		if e.Method == http.MethodDelete && users[e.Remote] != 1 {
			t.Errorf("the connection of a DELETE bore %d requests", users[e.Remote])
		}
	}
	if deletes != 3 {
		t.Errorf("%d DELETEs, want 3", deletes)
	}
}

func TestDeleteWithAReadOnlyCredential(t *testing.T) {
	r := newRig(t, nil, func(o *Options) { o.Read = Credential{"reader", secret + "2"} })
	if sent := r.send(t.Context(), t); sent.Kind != action.SentRefused || sent.Trouble.Status != 403 || sent.Trouble.Class != action.Permanent {
		t.Errorf("got %+v, %+v; want refused", sent, sent.Trouble)
	}
	r.Client = r.another(t, func(o *Options) { o.Read, o.Delete = Credential{"reader", secret + "2"}, Credential{"app", secret} })
	if sent := r.send(t.Context(), t); sent.Kind != action.SentAccepted {
		t.Errorf("with a credential of its own: %+v", sent.Trouble)
	}
}

func TestRefusedTokenIsNotUsedForTheNextDelete(t *testing.T) {
	r := newRig(t, nil, nil)
	r.present(t)
	r.sim.RevokeTokens()
	for i, want := range []action.SentKind{action.SentRefused, action.SentAccepted} {
		if sent := r.send(t.Context(), t); sent.Kind != want {
			t.Errorf("DELETE %d: %+v, %+v", i+1, sent, sent.Trouble)
		}
	}
	if n := r.sim.Deletes(); n != 2 {
		t.Errorf("%d DELETEs, want 2", n)
	}
}

// wire counts the bytes that the client hands to the network for DELETEs, and
// may do something at its n-th write.
type wire struct {
	armed  atomic.Bool // count from now on
	writes atomic.Int64
	bytes  atomic.Int64
	dials  atomic.Int64
	hook   func(nth int64)
}

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil || !w.armed.Load() {
		return conn, err
	}
	w.dials.Add(1)
	if w.hook != nil {
		w.hook(0)
	}
	return &tapped{conn, w}, nil
}

type tapped struct {
	net.Conn
	wire *wire
}

func (t *tapped) Write(b []byte) (int, error) {
	n, err := t.Conn.Write(b)
	t.wire.bytes.Add(int64(n))
	if nth := t.wire.writes.Add(1); t.wire.hook != nil {
		t.wire.hook(nth)
	}
	return n, err
}

// ready is a rig whose client has its token and place already; from then on its
// wire is tapped.
func ready(tb testing.TB, w *wire) *rig {
	tb.Helper()
	r := newRig(tb, nil, func(o *Options) { o.Dial = w.dial })
	r.present(tb)
	r.Close() // no idle connection is left
	w.armed.Store(true)
	return r
}

func TestNothingLeavesWhenItsTimeIsOver(t *testing.T) {
	w := &wire{}
	r := ready(t, w)
	for _, by := range []time.Time{r.clock(), r.clock().Add(-time.Second), r.clock().Add(-24 * time.Hour), {}} {
		if sent := r.Delete(t.Context(), dev, by); sent.Kind != action.NotSent || !sent.Trouble.Own {
			t.Errorf("send by %v: %+v, %+v", by, sent, sent.Trouble)
		}
	}
	if w.dials.Load() != 0 || w.bytes.Load() != 0 || r.sim.Deletes() != 0 {
		t.Errorf("%d dials, %d bytes", w.dials.Load(), w.bytes.Load())
	}
}

func TestProcessThatWakesUpTooLateSendsNothing(t *testing.T) {
	for name, step := range map[string]func(*rig){
		"time ran on":            func(r *rig) { r.pass(toSend) },
		"the wall clock ran on":  func(r *rig) { r.pass(24 * time.Hour) },
		"time ran on by minutes": func(r *rig) { r.pass(5 * time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			w := &wire{}
			r := ready(t, w)
			w.hook = func(int64) { step(r) } // the connection stands, then the process is stopped
			sent := r.send(t.Context(), t)
			if sent.Kind != action.NotSent || !sent.Trouble.Own {
				t.Errorf("got %+v, %+v; want not sent", sent, sent.Trouble)
			}
			if w.dials.Load() != 1 || w.bytes.Load() != 0 || r.sim.Deletes() != 0 {
				t.Errorf("%d dials, %d bytes, %d DELETEs; want one dial and nothing more", w.dials.Load(), w.bytes.Load(), r.sim.Deletes())
			}
		})
	}
}

// stepped is a time whose monotonic reading alone is moved, as when the wall
// clock was set meanwhile or the machine slept.
func stepped(tb testing.TB, at time.Time, d time.Duration) time.Time {
	tb.Helper()
	was := at
	*(*int64)(unsafe.Add(unsafe.Pointer(&at), 8)) += int64(d) // time.Time.ext
	if at.Sub(was) != d || !at.Round(0).Equal(was.Round(0)) {
		tb.Fatal("time.Time is laid out otherwise than this test believes")
	}
	return at
}

func TestEitherClockMakesItLate(t *testing.T) {
	start := time.Now() // with a monotonic reading
	for _, tt := range []struct {
		name    string
		by, now time.Time
		want    bool
	}{
		{"in time by both", start.Add(time.Second), start, false},
		{"late by both", start, start.Add(time.Second), true},
		{"just over", start, start, true},
		{"late by the wall clock, which is all that is known", start.Round(0), start.Round(0).Add(time.Nanosecond), true},
		{"late by the monotonic clock alone: the wall clock was set back", start.Add(time.Second), stepped(t, start, time.Second), true},
		{"late by the wall clock alone: the machine slept", start.Add(time.Second), stepped(t, start.Add(time.Minute), -time.Minute), true},
		{"the wall clock alone says in time", start.Round(0).Add(time.Second), start.Round(0), false},
	} {
		s := &sendOnce{by: tt.by, now: func() time.Time { return tt.now }}
		if got := s.late(); got != tt.want {
			t.Errorf("%s: late = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestOneConnectionAndNoOther(t *testing.T) {
	w := &wire{}
	r := ready(t, w)
	s := &sendOnce{by: r.clock().Add(time.Minute), now: r.clock, onLeft: func() {}}
	for i, want := range []error{nil, errNotSent} {
		conn, err := s.dialOnce(t.Context(), w.dial, "tcp", r.srv.Listener.Addr().String())
		if !errors.Is(err, want) {
			t.Errorf("connection %d: error %v, want %v", i+1, err, want)
		}
		if conn != nil {
			_ = conn.Close()
		}
	}
	if n := w.dials.Load(); n != 1 {
		t.Errorf("%d connections were opened, want 1", n)
	}
}

func TestCallerMayCallItOffUntilItLeaves(t *testing.T) {
	w := &wire{}
	r := ready(t, w)
	ctx, cancel := context.WithCancel(t.Context())
	w.hook = func(int64) { cancel(); <-ctx.Done() }
	// Cancelling and the first write race; either the request is not sent at all,
	// or it is sent whole and its answer is heard.
	sent := r.send(ctx, t)
	switch deletes := r.sim.Deletes(); {
	case sent.Kind == action.NotSent && deletes == 0 && w.bytes.Load() == 0:
	case sent.Kind == action.SentAccepted && deletes == 1:
	default:
		t.Errorf("got %+v, %+v with %d DELETEs and %d bytes", sent, sent.Trouble, deletes, w.bytes.Load())
	}
	dead, die := context.WithCancel(t.Context())
	die()
	if sent := r.send(dead, t); sent.Kind != action.NotSent || !sent.Trouble.Own {
		t.Errorf("called off before: %+v, %+v", sent, sent.Trouble)
	}
}

func TestSlowConnectionIsGivenUpWhenTimeIsOver(t *testing.T) {
	r := newRig(t, nil, nil)
	hang := make(chan struct{})
	armed := atomic.Bool{}
	r.Client = r.another(t, func(o *Options) {
		o.Timeout = time.Minute
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if armed.Load() {
				<-hang
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
	})
	r.present(t)
	armed.Store(true)
	start := time.Now()
	sent := r.Delete(t.Context(), dev, r.clock().Add(50*time.Millisecond))
	if sent.Kind != action.NotSent || time.Since(start) > 30*time.Second {
		t.Errorf("got %+v, %+v after %v; want not sent, soon", sent, sent.Trouble, time.Since(start))
	}
	close(hang) // the connection comes about after all: nothing may go over it
	r.srv.CloseClientConnections()
	if n := r.sim.Deletes(); n != 0 {
		t.Errorf("%d DELETEs reached Central", n)
	}
}

func TestNoWayToCentralIsNotSent(t *testing.T) {
	r := newRig(t, nil, nil)
	r.present(t)
	r.srv.Close()
	if sent := r.send(t.Context(), t); sent.Kind != action.NotSent || !sent.Trouble.Outage {
		t.Errorf("got %+v, %+v; want not sent, an outage", sent, sent.Trouble)
	}
	r = newRig(t, nil, nil)
	r.sim.Fault(centralsim.Fault{Path: tokens, Status: 401, Times: centralsim.Always})
	if sent := r.send(t.Context(), t); sent.Kind != action.NotSent || !sent.Trouble.Outage || r.sim.Deletes() != 0 {
		t.Errorf("without a token: %+v, %+v", sent, sent.Trouble)
	}
}

// secured is a rig over TLS.
func secured(tb testing.TB, w *wire) *rig {
	tb.Helper()
	r := newRig(tb, nil, nil)
	srv := httptest.NewTLSServer(r.sim)
	tb.Cleanup(srv.Close)
	r.srv = srv
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	r.Client = r.another(tb, func(o *Options) {
		o.TLS, o.Dial = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, w.dial
	})
	r.present(tb)
	r.Close()
	w.armed.Store(true)
	return r
}

func TestDeleteOverTLS(t *testing.T) {
	w := &wire{}
	r := secured(t, w)
	if sent := r.send(t.Context(), t); sent.Kind != action.SentAccepted || w.dials.Load() != 1 {
		t.Errorf("got %+v, %+v over %d connections", sent, sent.Trouble, w.dials.Load())
	}
}

func TestStoppedAfterTheHandshakeSendsNothing(t *testing.T) {
	w := &wire{}
	r := secured(t, w)
	w.hook = func(nth int64) {
		if nth == 2 { // the end of the client's part of the handshake
			r.pass(toSend + time.Second)
		}
	}
	sent := r.send(t.Context(), t)
	if sent.Kind != action.NotSent || !sent.Trouble.Own || r.sim.Deletes() != 0 || w.writes.Load() != 2 {
		t.Errorf("got %+v, %+v after %d writes with %d DELETEs", sent, sent.Trouble, w.writes.Load(), r.sim.Deletes())
	}
}

func TestStrangeCertificateIsNotSent(t *testing.T) {
	w := &wire{}
	r := secured(t, w)
	r.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if sent := r.send(t.Context(), t); sent.Kind != action.NotSent || !sent.Trouble.Outage || r.sim.Deletes() != 0 {
		t.Errorf("got %+v, %+v", sent, sent.Trouble)
	}
}
