package httpapi

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rollcall/api"
	"rollcall/internal/action"
)

// What the edge itself refuses.
var (
	errBadJSON      = errors.New("body is not one JSON object")
	errUnknownField = errors.New("unknown field")
	errDuplicateKey = errors.New("duplicate key")
	errUnauthorized = errors.New("no valid key")
	errForbidden    = errors.New("scope missing")
	errNotFound     = errors.New("no such route")
	errMethod       = errors.New("method not allowed")
	errTooLarge     = errors.New("body too large")
	errMediaType    = errors.New("not JSON by its content type")
	errInvalid      = errors.New("request cannot be used")
	errRateLimited  = errors.New("too many requests")
	errNotReady     = errors.New("not ready")
	errCentral      = errors.New("central can't be read")
)

// refusal is a fault of the request with a sentence for the caller.
type refusal struct {
	kind   error
	detail string
	fields problems
}

func (r *refusal) Error() string { return r.kind.Error() + ": " + r.detail }
func (r *refusal) Unwrap() error { return r.kind }

func refuse(kind error, detail string) error { return &refusal{kind: kind, detail: detail} }

// problems are the fields that can't be used, at most one problem for each.
type problems []api.FieldError

func (p *problems) add(field, problem string) {
	if !slices.ContainsFunc(*p, func(e api.FieldError) bool { return e.Field == field }) {
		*p = append(*p, api.FieldError{Field: field, Problem: problem})
	}
}

// refusal is the error that the problems make, nil when there are none.
func (p problems) refusal() error {
	if len(p) == 0 {
		return nil
	}
	texts := make([]string, len(p))
	for i, e := range p {
		texts[i] = e.Field + " " + e.Problem
	}
	return &refusal{kind: errInvalid, detail: strings.Join(texts, "; "), fields: p}
}

// fault is how a kind of error looks to callers.
type fault struct {
	of     error // nil matches all
	status int
	code   string
	retry  int // seconds; 0 = asking again gives the same
	title  string
	detail string // where the error has no sentence for the caller
	fix    string
}

// faults is the table of errors: the first row that matches counts, and what
// no row knows is internal.
func faults() []fault {
	return []fault{
		{errUnauthorized, 401, api.CodeUnauthorized, 0, "No valid key", "a valid API key is needed", "Send the key as Authorization: Bearer KEY, or as X-API-Key: KEY."},
		{errRateLimited, 429, api.CodeRateLimited, 1, "Too many requests", "this key sends too many requests", "Wait the seconds that Retry-After gives, then send the same again."},
		{errForbidden, 403, api.CodeForbidden, 0, "Scope missing", "the key lacks a scope that this needs", "Use a key with that scope, or have the scope added to this key."},
		{action.ErrForbidden, 403, api.CodeForbidden, 0, "Scope missing", "the key lacks a scope that this needs", "Use a key with that scope, or have the scope added to this key."},
		{errMediaType, 415, api.CodeUnsupportedMediaType, 0, "Not JSON", "the body must be sent as application/json, in UTF-8, not compressed", "Set the header Content-Type: application/json."},
		{errTooLarge, 413, api.CodeTooLarge, 0, "Body too large", "the body is larger than 1 MiB", "Send less at once: one device in each request, fewer in each batch."},
		{errBadJSON, 400, api.CodeBadJSON, 0, "Not one JSON object", "the body is not one JSON object", "Send exactly one JSON object; check quotes and commas in the playbook's template."},
		{errDuplicateKey, 400, api.CodeDuplicateKey, 0, "Key comes twice", "a key comes twice in one object", "Send every key once; which of the two was meant can't be guessed."},
		{errUnknownField, 400, api.CodeUnknownField, 0, "Unknown field", "a field is not known here", "Remove or rename the field; GET /openapi.yaml lists those that are known."},
		{errInvalid, 422, api.CodeInvalid, 0, "Request cannot be used", "the request cannot be used", "Mend the fields that errors names, then send again."},
		{action.ErrConflict, 409, api.CodeConflict, 0, "Ticket is open for another device", "this ticketId is open for another device", "Open a ticket of its own for this device, or close the other first."},
		{action.ErrNotFound, 404, api.CodeNotFound, 0, "Not on record", "there is no such ticket or device on record", "Check the id, and for a device the tenantId."},
		{errNotFound, 404, api.CodeNotFound, 0, "No such route", "there is no such route", "GET /openapi.yaml lists the routes."},
		{errMethod, 405, api.CodeMethodNotAllowed, 0, "Method not allowed", "this route does not take that method", "Use a method that the header Allow lists."},
		{
			action.ErrUntrusted, 503, api.CodeStateUnavailable, 300, "State was set back",
			"the service's store was set back to an older state; nothing was changed, and nothing will be until its operator has said what holds",
			"Run `rollcall state restore --audit FILE` with the audit lines, or `rollcall state init --accept-rollback` to give up what was lost.",
		},
		{
			action.ErrStateFull, 503, api.CodeStateUnavailable, 60, "State can't be written",
			"the service's store answers but takes no writes: it is at its maxmemory, can't save to disk, or is a replica; nothing was changed",
			"Ask it why with `redis-cli INFO memory persistence replication`; where it is full, give it more with `redis-cli CONFIG SET maxmemory`, and in redis.conf.",
		},
		{action.ErrState, 503, api.CodeStateUnavailable, 5, "State unavailable", "the service's store does not answer", "Wait the seconds that Retry-After gives, then send the same again."},
		{context.DeadlineExceeded, 503, api.CodeStateUnavailable, 5, "State unavailable", "the service's store did not answer in time", "Wait the seconds that Retry-After gives, then send the same again."},
		{context.Canceled, 503, api.CodeStateUnavailable, 5, "State unavailable", "the request was given up before it was answered", "Wait the seconds that Retry-After gives, then send the same again."},
		{errCentral, 503, api.CodeCentralUnavailable, 30, "Central unavailable", "Sophos Central can't be read now; the log has why under this requestId", "Wait the seconds that Retry-After gives, then send the same again."},
		{errNotReady, 503, api.CodeStateUnavailable, 5, "Not ready", "the service is not ready", "Wait the seconds that Retry-After gives; the log says what is missing."},
		{nil, 500, api.CodeInternal, 0, "Internal error", "an internal error happened; the log has it under this requestId", "Give the operator of this service the requestId."},
	}
}

// faultOf finds the row for err, and the caller's form of what err says.
func faultOf(err error) (f fault, fields problems) {
	var unusable *action.Invalid
	if errors.As(err, &unusable) {
		fields.add(unusable.Field, unusable.Problem)
		err = fields.refusal()
	}
	rows := faults()
	f = rows[slices.IndexFunc(rows, func(r fault) bool { return r.of == nil || errors.Is(err, r.of) })]
	var r *refusal
	switch {
	case f.status >= 500: // what went wrong inside is nobody's business outside
	case errors.As(err, &r):
		f.detail, fields = r.detail, r.fields
	case f.code == api.CodeForbidden:
		f.detail = scopeDetail(err)
	}
	return f, fields
}

// scopeDetail names the scope that an action missed.
func scopeDetail(err error) string {
	text := err.Error()
	for _, scope := range Scopes() {
		if strings.HasSuffix(text, ": "+scope) {
			return "the key lacks the scope " + scope
		}
	}
	return "the key lacks a scope that this needs"
}

// fail answers with err. The real error goes to the log line, and only there.
func (x *exchange) fail(err error) {
	body := x.errorBody(err, x.requestID)
	x.code, x.err = body.Code, err
	h := x.c.Writer.Header()
	if body.RetryAfterSeconds != nil {
		h.Set("Retry-After", strconv.Itoa(*body.RetryAfterSeconds))
	}
	if body.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
		h.Del("Allow") // not before the caller is known
	}
	kind := "application/json"
	if wantsProblem(x.c.Request.Header) {
		kind = "application/problem+json"
	}
	if err := x.write(body.Status, kind, body); err != nil {
		x.err = fmt.Errorf("%w; then: %w", x.err, err)
	}
}

// errorBody is err as callers see it.
func (x *exchange) errorBody(err error, requestID string) api.Error {
	f, fields := faultOf(err)
	body := api.Error{
		Type: "urn:rollcall:error:" + f.code, Title: f.title, Status: f.status, Detail: f.detail,
		Instance: x.c.Request.URL.EscapedPath(), Code: f.code, RequestID: requestID,
		Retryable: f.retry > 0, Errors: append([]api.FieldError{}, fields...), Fixes: fixes(f, fields),
		ErrorText: f.detail, Message: f.detail,
	}
	if f.retry > 0 {
		body.RetryAfterSeconds = &f.retry
	}
	return body
}

// fixes says what to do: for each field that can't be used, by its name on the wire,
// or else for the kind of error.
func fixes(f fault, fields problems) []string {
	if len(fields) == 0 {
		return []string{f.fix}
	}
	out := make([]string, len(fields))
	for i, e := range fields {
		out[i] = "Mend " + e.Field + ", which " + e.Problem + ", then send again."
	}
	return out
}

// wantsProblem reports whether the caller names the problem type itself: many
// clients that accept anything can't read it.
func wantsProblem(h http.Header) bool {
	for _, part := range strings.Split(strings.Join(h.Values("Accept"), ","), ",") {
		kind, params, err := mime.ParseMediaType(part)
		if err == nil && kind == "application/problem+json" && params["q"] != "0" {
			return true
		}
	}
	return false
}
