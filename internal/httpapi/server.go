// Package httpapi is the edge. It decides who may call what, what a request
// must look like, and which status an error has. It refuses to know any rule of
// deciding or deleting, any key of the store and any field of Central's; and it
// is the only package that knows Gin.
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-playground/validator/v10"
	"github.com/rs/zerolog"

	"rollcall/api"
	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// Config is what the edge needs. All is required but where it says otherwise.
type Config struct {
	Runner        *action.Runner
	Books         action.Books
	Keys          func() *Keys                // the API keys in force
	Ready         func(context.Context) error // nil while the store answers and may be trusted
	Stopping      <-chan struct{}             // optional: closed once the process is ending
	Log           zerolog.Logger
	Spec          []byte // openapi.yaml
	Version       string
	Mode          string
	PolicyVersion func() string    // optional: of the policy in force
	Weak          func() []string  // optional: sentences on the set-up's weak spots
	KeyRate       int              // requests per second and key; as many items of batches
	BatchTime     time.Duration    // optional: how long a batch may ask Central
	Now           func() time.Time // optional: the time
	// Candidate reads the text of a policy that is not in force. The faults are
	// empty where the policy can be used.
	Candidate func(text []byte) (policy.Params, []PolicyFault)
	Inventory action.Inventory // optional: without, GET /v1/inventory answers 503
}

type server struct {
	cfg     Config
	valid   *validator.Validate
	rates   *rates
	items   *rates // of batches: they take nothing from single requests
	docs    *docs
	metrics *metrics
	reading atomic.Int32 // inventories under way
}

// New returns the handler of the whole service. It fails where the config lacks
// something, or its spec can't be read and converted.
func New(cfg Config) (http.Handler, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	d, err := newDocs(cfg.Spec)
	if err != nil {
		return nil, err
	}
	s := &server{
		cfg: cfg, valid: newValidator(), rates: &rates{perSecond: cfg.KeyRate}, items: &rates{perSecond: cfg.KeyRate},
		docs: d, metrics: newMetrics(cfg.Books),
	}
	return s.engine()
}

// complete fills in what is optional and names what is missing.
func (cfg *Config) complete() error {
	if cfg.Weak == nil {
		cfg.Weak = func() []string { return nil }
	}
	if cfg.PolicyVersion == nil {
		cfg.PolicyVersion = func() string { return "" }
	}
	if cfg.BatchTime <= 0 {
		cfg.BatchTime = batchTime
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Runner == nil || cfg.Books == nil || cfg.Keys == nil || cfg.Ready == nil || cfg.Candidate == nil {
		return errors.New("http: runner, books, keys, ready and candidate are needed")
	}
	if cfg.KeyRate < 1 {
		return fmt.Errorf("http: %d requests per second and key would let nobody in", cfg.KeyRate)
	}
	return nil
}

// route is one line of the list below.
type route struct {
	method, path string
	access       access
	handle       func(*exchange) error
	probe        bool // asked every few seconds by machines
}

// access says who may use a route. Its zero value asks for a key.
type access struct {
	open   bool     // no key
	scopes []string // any one of them; none = any key
}

func needs(scopes ...string) access { return access{scopes: scopes} }

// routes is every route of the service, with who may use it.
func (s *server) routes() []route {
	anyKey, noKey := access{}, access{open: true}
	return []route{
		{"POST", "/v1/actions/verify-live", needs(api.ScopeVerify), s.verifyLive, false},
		{"POST", "/v1/actions/evaluate", needs(api.ScopeEvaluate), s.evaluate, false},
		{"POST", "/v1/actions/verify-live/batch", needs(api.ScopeVerify), s.verifyLiveBatch, false},
		{"POST", "/v1/actions/evaluate/batch", needs(api.ScopeEvaluate), s.evaluateBatch, false},
		{"POST", "/v1/actions/delete", needs(api.ScopeDelete), s.delete, false},
		{"POST", "/v1/actions/ticket-open", needs(api.ScopeTicket), s.ticketOpen, false},
		{"POST", "/v1/actions/ticket-close", needs(api.ScopeTicket), s.ticketClose, false},

		{"GET", "/v1/exclusions", needs(api.ScopeRead), s.exclusions, false},
		{"GET", "/v1/tickets", needs(api.ScopeRead), s.tickets, false},
		{"GET", "/v1/tickets/:ticketId", needs(api.ScopeRead), s.ticket, false},
		{"GET", "/v1/failures", needs(api.ScopeRead), s.failures, false},
		{"POST", "/v1/failures/:endpointId/ack", needs(api.ScopeTicket), s.ackFailure, false},
		{"GET", "/v1/audit", needs(api.ScopeRead), s.audit, false},
		{"GET", "/v1/devices", needs(api.ScopeRead), s.devices, false},
		{"GET", "/v1/devices/:endpointId", needs(api.ScopeRead), s.device, false},
		{"GET", "/v1/devices/:endpointId/recovery", needs(api.ScopeRead), s.recovery, false},
		{"GET", "/v1/decisions", needs(api.ScopeRead), s.decisions, false},
		{"GET", "/v1/inventory", needs(api.ScopeRead), s.inventory, false},
		{"POST", "/v1/policy/replay", needs(api.ScopeAdmin), s.replay, false},
		{"POST", "/v1/admin/pause", needs(api.ScopeAdmin, api.ScopeDelete), s.pause, false},
		{"POST", "/v1/admin/resume", needs(api.ScopeAdmin), s.resume, false},
		{"POST", "/v1/admin/circuit-reset", needs(api.ScopeAdmin), s.resetCircuit, false},
		{"GET", "/v1/me", anyKey, s.me, false},

		{"GET", "/livez", noKey, s.livez, true},
		{"GET", "/readyz", noKey, s.readyz, true},
		{"GET", "/metrics", noKey, s.showMetrics, true},
		{"GET", "/openapi.yaml", noKey, s.docs.yaml, false},
		{"GET", "/openapi.json", noKey, s.docs.openAPI, false},
		{"GET", "/swagger.json", noKey, s.docs.swagger, false},
		{"GET", "/docs", noKey, s.docs.page, false},
		{"GET", "/docs/*asset", noKey, s.docs.page, false},
	}
}

// engine mounts the routes. Nothing is trusted to say where a request comes
// from, and no path is guessed at.
func (s *server) engine() (http.Handler, error) {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	if err := e.SetTrustedProxies(nil); err != nil {
		return nil, fmt.Errorf("http: %w", err)
	}
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.UseRawPath = true // a ticket's id may hold an escaped slash
	for _, r := range s.routes() {
		e.Handle(r.method, r.path, s.serve(r))
		if r.method == http.MethodGet {
			e.HEAD(r.path, s.serve(r))
		}
	}
	nowhere := access{open: true} // the handlers below ask for a key themselves
	e.NoRoute(s.serve(route{path: "none", access: nowhere, handle: s.beyond(errNotFound)}))
	e.NoMethod(s.serve(route{path: "none", access: nowhere, handle: s.beyond(errMethod)}))
	return e, nil
}

// beyond answers for what is no route. Below /v1 a key comes first all the
// same: who has none is told nothing, not even what is not there.
func (s *server) beyond(kind error) func(*exchange) error {
	return func(x *exchange) error {
		if path := x.c.Request.URL.Path; path == "/v1" || strings.HasPrefix(path, "/v1/") {
			if err := s.authenticate(x); err != nil {
				return err
			}
		}
		return kind
	}
}
