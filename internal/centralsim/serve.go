package centralsim

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// maxBody is as much of a request's body as is read.
const maxBody = 1 << 20

// call is one request on its way to an answer.
type call struct {
	*http.Request
	body  []byte
	query url.Values
	entry *Entry
	who   grant
	came  time.Time // before it waited for others: a gateway counts arrivals
}

// answer is what a request gets, before a fault may spoil it.
type answer struct {
	status int
	kind   string // content type; empty = JSON
	body   []byte
	header http.Header
}

// ServeHTTP implements [http.Handler].
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	came := s.opt.Now()
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxBody))
	c := &call{Request: r, body: body, query: r.URL.Query(), came: came}
	s.mu.Lock()
	c.entry = s.write(c)
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		hook(r)
	}
	s.mu.Lock()
	fault := s.strike(r)
	s.mu.Unlock()
	s.spoil(w, c, fault) //nolint:contextcheck // the call carries its request, and that its context
}

// respond finds the route and gives its answer.
func (s *Sim) respond(c *call) answer {
	var a answer
	s.routes.ServeHTTP(carrier{&a, http.Header{}}, c.withSelf())
	return a
}

// send writes an answer with Central's own clock in Date.
func (s *Sim) send(w http.ResponseWriter, c *call, a answer) {
	h := w.Header()
	for k, v := range a.header {
		h[k] = v
	}
	kind := a.kind
	if kind == "" {
		kind = "application/json"
	}
	h.Set("Content-Type", kind)
	if h.Get("Date") == "" { // a fault may have put another clock there
		h.Set("Date", s.opt.Now().UTC().Format(http.TimeFormat))
	}
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	s.mu.Lock()
	c.entry.Status = a.status
	s.mu.Unlock()
	w.WriteHeader(a.status)
}

// mux is the list of routes. What is none of them gets a gateway's answer,
// which says nothing of a device.
func (s *Sim) mux() http.Handler {
	m := http.NewServeMux()
	m.Handle("POST /api/v2/oauth2/token", route(s.issue))
	m.Handle("GET /whoami/v1", route(s.account(s.whoami)))
	for _, kind := range []string{PartnerCredential, OrganizationCredential} {
		m.Handle("GET /"+kind+"/v1/tenants", route(s.account(s.owner(kind, s.listTenants))))
		m.Handle("GET /"+kind+"/v1/tenants/{id}", route(s.account(s.owner(kind, s.oneTenant))))
	}
	const devices = "/endpoint/v1/endpoints"
	m.Handle("GET "+devices, route(s.account(s.inTenant(s.list))))
	m.Handle("GET "+devices+"/{id}", route(s.account(s.inTenant(s.one))))
	m.Handle("DELETE "+devices+"/{id}", route(s.account(s.inTenant(s.writes(s.delete)))))
	m.Handle("POST "+devices+"/delete", route(s.account(s.inTenant(s.writes(s.bulkDelete)))))
	m.Handle("GET "+devices+"/{id}/tamper-protection", route(s.account(s.inTenant(s.tamper))))
	m.Handle("POST "+devices+"/{id}/tamper-protection", route(s.account(s.inTenant(s.writes(s.setTamper)))))
	m.Handle("GET "+devices+"/{id}/isolation", route(s.account(s.inTenant(s.isolationOf))))
	m.Handle("PATCH "+devices+"/{id}/isolation", route(s.account(s.inTenant(s.writes(s.isolate)))))
	m.Handle("POST "+devices+"/isolation", route(s.account(s.inTenant(s.writes(s.bulkIsolate)))))
	const groups = "/endpoint/v1/endpoint-groups"
	m.Handle("GET "+groups, route(s.account(s.inTenant(s.listGroups))))
	m.Handle("GET "+groups+"/{id}/endpoints", route(s.account(s.inTenant(s.listMembers))))
	m.Handle("GET /endpoint/v1/settings/tamper-protection", route(s.account(s.inTenant(s.tamperSetting))))
	m.Handle("/", route(func(*call) answer { return gateway(http.StatusForbidden, "Forbidden") }))
	return m
}

// account lets a request through that bears a token in force and is within the
// rates of its credential.
func (s *Sim) account(next func(*call) answer) func(*call) answer {
	return func(c *call) answer {
		token, ok := strings.CutPrefix(c.Header.Get("Authorization"), "Bearer ")
		s.mu.Lock()
		g, known := s.tokens[token]
		now := s.opt.Now()
		valid := ok && known && now.Before(g.until)
		wait, over := s.overRate(g.client, c.came, valid)
		s.mu.Unlock()
		switch {
		case !valid:
			return gateway(http.StatusUnauthorized, "Unauthorized")
		case over:
			a := s.failure(http.StatusTooManyRequests)
			a.header = http.Header{"Retry-After": {strconv.Itoa(wait)}}
			return a
		}
		c.who = g
		return next(c)
	}
}

// inTenant lets a request through that names a tenant which the credential
// serves. The lock is held while next runs.
func (s *Sim) inTenant(next func(*call, *tenant) answer) func(*call) answer {
	return func(c *call) answer {
		s.mu.Lock()
		defer s.mu.Unlock()
		if u, err := url.Parse(s.opt.RegionURL); err == nil && u.Host != "" && u.Host != c.Host {
			return gateway(http.StatusForbidden, "Forbidden")
		}
		id := c.Header.Get("X-Tenant-ID")
		if id == "" {
			if s.switches.MissingTenant == http.StatusBadRequest {
				return s.failure(http.StatusBadRequest)
			}
			return gateway(http.StatusUnauthorized, "Unauthorized")
		}
		t := s.known(id)
		if t == nil || t.Refused || s.opt.IDType == TenantCredential && !strings.EqualFold(id, s.opt.ID) {
			return s.failure(http.StatusForbidden)
		}
		return next(c, t)
	}
}

// writes refuses a credential that may only read.
func (s *Sim) writes(next func(*call, *tenant) answer) func(*call, *tenant) answer {
	return func(c *call, t *tenant) answer {
		if c.who.readOnly {
			a := s.failure(http.StatusForbidden)
			a.body = encode(map[string]any{"error": "forbidden", "message": "Access is denied",
				"correlationId": uuid.NewString(), "requestId": uuid.NewString()})
			return a
		}
		return next(c, t)
	}
}

// failure is Central's error envelope for a status.
func (s *Sim) failure(status int) answer {
	word, sentence := envelope(status)
	body := map[string]any{"error": word, "message": sentence, "correlationId": uuid.NewString(), "requestId": uuid.NewString()}
	if status != http.StatusInternalServerError {
		body["createdAt"] = stamp(s.opt.Now())
	}
	if status == http.StatusBadRequest {
		body["code"] = word
	}
	return answer{status: status, body: encode(body)}
}

// envelope is an error's word and sentence.
func envelope(status int) (word, sentence string) {
	switch status {
	case http.StatusBadRequest:
		return "badRequest", "Bad request."
	case http.StatusForbidden:
		return "forbidden", "Forbidden"
	case http.StatusNotFound:
		return "resourceNotFound", "Resource not found."
	case http.StatusConflict:
		return "resourceConflict", "Resource conflict."
	case http.StatusTooManyRequests:
		return "tooManyRequests", "Too many requests."
	}
	return "internalServerError", "Internal Server Error."
}

// gateway is the short envelope of the gateway before the API.
func gateway(status int, word string) answer {
	return answer{status: status, body: encode(map[string]any{
		"error": word, "correlationId": uuid.NewString(), "requestId": uuid.NewString()})}
}

// ok200 is a 200 with a JSON body.
func ok200(v any) answer { return answer{status: http.StatusOK, body: encode(v)} }
