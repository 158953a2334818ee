package httpapi

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// credentials returns every key that a request presents. Clients differ in
// what they can send, so the key may be a bearer token, the bare header, its
// own header, or Basic's password.
func credentials(h http.Header) []string {
	var out []string
	if v := strings.TrimSpace(h.Get("Authorization")); v != "" {
		scheme, rest, _ := strings.Cut(v, " ")
		rest = strings.TrimSpace(rest)
		switch strings.ToLower(scheme) {
		case "bearer":
			out = append(out, rest)
		case "basic":
			out = append(out, basicPassword(rest))
		default:
			out = append(out, v)
		}
	}
	if v := strings.TrimSpace(h.Get("X-API-Key")); v != "" {
		out = append(out, v)
	}
	return out
}

func basicPassword(encoded string) string {
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return ""
	}
	_, password, _ := strings.Cut(string(b), ":")
	return password
}

// authenticate finds who calls, and holds the caller to the key's rate. It
// looks at nothing else of the request.
func (s *server) authenticate(x *exchange) error {
	keys := s.cfg.Keys()
	for _, presented := range credentials(x.c.Request.Header) {
		key, ok := keys.Find(presented)
		if !ok {
			continue
		}
		x.key = key
		if !s.rates.allow(key.Name, s.cfg.Now()) {
			return errRateLimited
		}
		return nil
	}
	return errUnauthorized
}

// rates holds one token bucket per API key's name.
type rates struct {
	perSecond int
	buckets   sync.Map // name -> *rate.Limiter
}

func (r *rates) of(name string) *rate.Limiter {
	b, ok := r.buckets.Load(name)
	if !ok {
		b, _ = r.buckets.LoadOrStore(name, rate.NewLimiter(rate.Limit(r.perSecond), r.perSecond))
	}
	return b.(*rate.Limiter)
}

func (r *rates) allow(name string, now time.Time) bool { return r.of(name).AllowN(now, 1) }

// await waits for a turn, but no longer than most: where that is too short it
// takes none, and says so at once.
func (r *rates) await(ctx context.Context, name string, now time.Time, most time.Duration) error {
	turn := r.of(name).ReserveN(now, 1)
	wait := turn.DelayFrom(now)
	if wait <= 0 {
		return nil
	}
	if wait > most {
		turn.CancelAt(now)
		return errRateLimited
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return nil
}
