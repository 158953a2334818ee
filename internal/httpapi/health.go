package httpapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/api"
)

// readyTime bounds a readiness probe; probes give up after a second or more.
const readyTime = 2 * time.Second

type health struct {
	Status string `json:"status"`
}

// livez says that the process runs, whatever it can reach.
func (s *server) livez(x *exchange) error { return x.ok(health{"alive"}) }

// stopping reports whether the process is ending.
func (s *server) stopping() bool {
	select {
	case <-s.cfg.Stopping:
		return true
	default:
		return false
	}
}

// readyz says whether requests should be sent here. Central does not count: a
// service that is up must say that it could not verify, not vanish.
func (s *server) readyz(x *exchange) error {
	if s.stopping() {
		return fmt.Errorf("%w: %w", errNotReady, errors.New("stopping"))
	}
	ctx, cancel := context.WithTimeout(x.c.Request.Context(), readyTime)
	defer cancel()
	if err := s.cfg.Ready(ctx); err != nil {
		return fmt.Errorf("%w: %w", errNotReady, err)
	}
	return x.ok(health{"ready"})
}

// me tells a key's holder who the service takes it for, and how it is set up.
func (s *server) me(x *exchange) error {
	return x.ok(api.Me{
		Name: x.key.Name, Scopes: x.key.Scopes, Mode: s.cfg.Mode, Version: s.cfg.Version,
		PolicyVersion: s.cfg.PolicyVersion(), WeakSpots: append([]string{}, s.cfg.Weak()...),
		RequestID: x.requestID,
	})
}
