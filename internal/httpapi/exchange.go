package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"rollcall/internal/action"
)

// exchange is one request and what is learnt on its way to the answer. All of
// it that may be told ends in one log line.
type exchange struct {
	c         *gin.Context
	route     route
	began     time.Time
	requestID string
	badHeader bool // X-Request-ID was given and can't be used
	key       Key
	result    action.Result // of an action; else empty
	items     int           // of a batch
	code      string        // of the error answered
	err       error         // the real one
	stack     string        // of a panic
}

// serve makes a gin handler of a route. It is all that stands around a handler:
// headers, key, scope, error answer, panic, log line, metrics.
func (s *server) serve(r route) gin.HandlerFunc {
	return func(c *gin.Context) {
		x := s.begin(c, r)
		defer func() { s.end(x, recover()) }()
		err := s.admit(x)
		if err == nil {
			err = r.handle(x)
		}
		if err != nil {
			s.answerError(x, err)
		}
	}
}

func (s *server) begin(c *gin.Context, r route) *exchange {
	x := &exchange{c: c, route: r, began: s.cfg.Now(), requestID: uuid.NewString()}
	h := c.Writer.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if given := strings.TrimSpace(c.GetHeader("X-Request-ID")); given != "" {
		x.badHeader = !fitRequestID(given)
		x.take(given)
	}
	return x
}

// fitRequestID reports whether an id from outside may be echoed and logged.
func fitRequestID(id string) bool {
	return utf8.ValidString(id) && utf8.RuneCountInString(id) <= longRequest && !strings.ContainsFunc(id, unicode.IsControl)
}

// take makes id the request's, if it is one that can be used.
func (x *exchange) take(id string) {
	if id != "" && fitRequestID(id) {
		x.requestID = id
	}
}

// admit lets a request through to its handler: a key first, then its scope.
func (s *server) admit(x *exchange) error {
	if x.route.access.open {
		return nil
	}
	if err := s.authenticate(x); err != nil {
		return err
	}
	if need := x.route.access.scopes; len(need) > 0 && !x.key.Has(need...) {
		return refuse(errForbidden, "the key lacks the scope "+strings.Join(need, " or "))
	}
	if method := x.c.Request.Method; x.badHeader && (method == http.MethodGet || method == http.MethodHead) {
		return problems{{Field: "requestId", Problem: badRequestID}}.refusal()
	}
	return x.knowsParameters()
}

// answerError answers with err, unless an answer has begun: then the only honest
// thing left is to cut it off, so that nobody takes it for complete.
func (s *server) answerError(x *exchange, err error) {
	if x.c.Writer.Written() {
		x.err = err
		panic(http.ErrAbortHandler)
	}
	x.fail(err)
}

// end catches what a handler panicked with, and writes the request down.
func (s *server) end(x *exchange, p any) {
	abort := p == http.ErrAbortHandler //nolint:errorlint // a panic's value is that very error, or not
	if p != nil && !abort {
		x.stack = string(debug.Stack())
		if abort = x.c.Writer.Written(); abort {
			x.err = fmt.Errorf("panic: %v", p)
		} else {
			x.fail(fmt.Errorf("panic: %v", p))
		}
	}
	took := s.cfg.Now().Sub(x.began)
	s.metrics.observe(x, took, abort)
	s.log(x, took, abort)
	if abort {
		panic(http.ErrAbortHandler)
	}
}

// write marshals before it begins to answer, so that what can't be marshalled
// can still become an error.
func (x *exchange) write(status int, kind string, body any) error {
	text, err := Line(body)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	x.head(kind)
	x.c.Data(status, kind, text)
	return nil
}

// Line is a value as a line of JSON, as it stands in answers and lists: what HTML
// would escape is left as it is.
func Line(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return out.Bytes(), err
}

// head sets the headers of an answer that is about to begin.
func (x *exchange) head(kind string) {
	x.c.Writer.Header().Set("X-Request-ID", x.requestID)
	x.c.Writer.Header().Set("Content-Type", kind)
}

func (x *exchange) ok(body any) error {
	return x.write(http.StatusOK, "application/json", body)
}

// log writes the one line of a request. It holds names, ids and codes; never a
// header, a body, a query or a token. What a caller got wrong stands there as its
// code only: the sentence may quote what was sent.
func (s *server) log(x *exchange, took time.Duration, cut bool) {
	status := x.c.Writer.Status()
	e := s.cfg.Log.WithLevel(x.level(status, cut)).
		Str("method", x.c.Request.Method).Str("route", x.route.path).Int("status", status).
		Float64("ms", float64(took.Microseconds())/1000).Str("requestId", x.requestID)
	for _, f := range [][2]string{
		{"key", x.key.Name},
		{"action", x.result.Action},
		{"outcome", x.result.Outcome},
		{"reasonCode", codeOf(x.result)},
		{"tenantId", x.result.Dev.TenantID},
		{"endpointId", x.result.Dev.EndpointID},
		{"code", x.code},
		{"stack", x.stack},
	} {
		if f[1] != "" {
			e = e.Str(f[0], f[1])
		}
	}
	if x.items > 0 {
		e = e.Int("items", x.items)
	}
	if cut {
		e = e.Bool("cut", true)
	}
	if x.err != nil && (status >= http.StatusInternalServerError || cut) {
		e = e.AnErr("error", x.err)
	}
	e.Msg("request")
}

// level is debug for probes that find nothing wrong: they come every few seconds.
func (x *exchange) level(status int, cut bool) zerolog.Level {
	switch {
	case x.route.probe && status == http.StatusServiceUnavailable:
		return zerolog.WarnLevel
	case status >= http.StatusInternalServerError || cut:
		return zerolog.ErrorLevel
	case x.route.probe:
		return zerolog.DebugLevel
	}
	return zerolog.InfoLevel
}
