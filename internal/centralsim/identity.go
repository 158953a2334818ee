package centralsim

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// formType is the only content type that the token route takes.
const formType = "application/x-www-form-urlencoded"

// grant is what a token stands for.
type grant struct {
	client   string
	readOnly bool
	until    time.Time
}

// RevokeTokens ends every token that is out, at once.
func (s *Sim) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// issue gives a token for a client's id and secret, sent as a form.
func (s *Sim) issue(c *call) answer {
	kind, _, _ := mime.ParseMediaType(c.Header.Get("Content-Type"))
	form, err := url.ParseQuery(string(c.body))
	switch {
	case kind != formType, err != nil:
		return identityError(http.StatusBadRequest, "oauth.invalid_request", "Bad Request")
	case form.Get("grant_type") != "client_credentials":
		return identityError(http.StatusBadRequest, "oauth.invalid_grant_type", "Bad Request")
	case form.Get("scope") != "token":
		return identityError(http.StatusBadRequest, "oauth.invalid_scope", "Bad Request")
	}
	g, ok := s.grantFor(form.Get("client_id"), form.Get("client_secret"))
	if !ok {
		return identityError(http.StatusUnauthorized, "oauth.invalid_client_secret", "Unauthorized")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	life := s.switches.TokenLife
	if life == 0 {
		life = time.Hour
	}
	g.until = s.opt.Now().Add(life)
	token := "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString(random(48)) + "." + base64.RawURLEncoding.EncodeToString(random(32))
	s.tokens[token] = g
	return ok200(map[string]any{
		"access_token": token, "errorCode": "success", "expires_in": int(life / time.Second), "message": "OK",
		"refresh_token": hex.EncodeToString(random(32)), "token_type": "bearer", "trackingId": uuid.NewString(),
	})
}

// grantFor knows the two credentials.
func (s *Sim) grantFor(id, secret string) (grant, bool) {
	switch {
	case id == "":
		return grant{}, false
	case id == s.opt.ClientID && secret == s.opt.ClientSecret:
		return grant{client: id}, true
	case id == s.opt.ReadOnlyClientID && secret == s.opt.ReadOnlyClientSecret:
		return grant{client: id, readOnly: true}, true
	}
	return grant{}, false
}

// identityError is the identity host's envelope, which differs from the API's.
func identityError(status int, code, message string) answer {
	return answer{status: status, body: encode(map[string]any{
		"errorCode": code, "message": message, "trackingId": uuid.NewString()})}
}

// random returns n random bytes.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// whoami says which account the credential belongs to and which hosts serve it.
func (s *Sim) whoami(c *call) answer {
	hosts := map[string]any{"global": s.base(c, s.opt.GlobalURL)}
	if s.opt.IDType == TenantCredential {
		hosts["dataRegion"] = s.base(c, s.opt.RegionURL)
	}
	return ok200(map[string]any{"id": s.opt.ID, "idType": s.opt.IDType, "apiHosts": hosts})
}

// base is a base URL to hand out: the one that was set, else that of the request.
func (s *Sim) base(c *call, set string) string {
	switch {
	case set != "":
		return set
	case c.TLS != nil:
		return "https://" + c.Host
	}
	return "http://" + c.Host
}

// owner lets a request through whose credential is of the kind and whose header
// names its account.
func (s *Sim) owner(kind string, next func(*call) answer) func(*call) answer {
	name := "X-Partner-ID"
	if kind == OrganizationCredential {
		name = "X-Organization-ID"
	}
	return func(c *call) answer {
		id := c.Header.Get(name)
		switch {
		case id == "":
			return gateway(http.StatusUnauthorized, "Unauthorized")
		case s.opt.IDType != kind, !strings.EqualFold(id, s.opt.ID):
			return s.failure(http.StatusForbidden)
		}
		return next(c)
	}
}

// listTenants is a page of the tenants, by page number.
func (s *Sim) listTenants(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	page, ok1 := number(c.query, "page", 1)
	size, ok2 := number(c.query, "pageSize", 50)
	total, ok3 := boolean(c.query, "pageTotal")
	if !ok1 || !ok2 || !ok3 || size > 100 {
		return s.failure(http.StatusBadRequest)
	}
	items := []any{}
	for i := (page - 1) * size; i < min(page*size, len(s.tenants)); i++ {
		items = append(items, s.tenantItem(c, s.tenants[i]))
	}
	pages := map[string]any{"current": page, "size": size, "maxSize": 100}
	if total == "true" {
		pages["total"], pages["items"] = (len(s.tenants)+size-1)/size, len(s.tenants)
	}
	return ok200(map[string]any{"items": items, "pages": pages})
}

// oneTenant is one tenant, 404 for one that the account does not have.
func (s *Sim) oneTenant(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.known(c.PathValue("id"))
	if t == nil {
		return s.failure(http.StatusNotFound)
	}
	return ok200(s.tenantItem(c, t))
}

// tenantItem is a tenant as the lists show it.
func (s *Sim) tenantItem(c *call, t *tenant) map[string]any {
	item := map[string]any{
		"id": t.ID, "name": t.Name, "showAs": t.Name, "dataGeography": "IE", "dataRegion": "eu01", "billingType": "term",
		s.opt.IDType: map[string]any{"id": s.opt.ID}, "apiHost": s.base(c, s.opt.RegionURL), "status": "active",
	}
	if t.NoAPIHost {
		delete(item, "apiHost")
		delete(item, "dataRegion")
	}
	return item
}

// number reads a positive whole number; false for anything else that is given.
func number(q url.Values, name string, otherwise int) (int, bool) {
	if !q.Has(name) {
		return otherwise, true
	}
	n, err := strconv.Atoi(q.Get(name))
	return n, err == nil && n > 0
}

// boolean reads true or false in any case, as real clients send both; empty when
// it is not given, false for anything else.
func boolean(q url.Values, name string) (string, bool) {
	v := strings.ToLower(q.Get(name))
	return v, !q.Has(name) || v == "true" || v == "false"
}
