package central

import (
	"context"
	"net/url"
	"strings"
	"time"

	"rollcall/internal/action"
)

// How long is kept who we are, and where a tenant lives.
const (
	keepIdentity = time.Hour
	keepPlace    = 10 * time.Minute
)

// What people read about these calls.
const (
	whatWhoami = "asking which account the credential is of"
	whatTenant = "looking up the tenant"
)

// identity is what whoami says of a credential.
type identity struct {
	id, kind string
	region   *url.URL // a tenant's own host; nil for other kinds
}

// header names a partner's or an organization's account.
func (i identity) header() map[string]string {
	if i.kind == "organization" {
		return map[string]string{"X-Organization-ID": i.id}
	}
	return map[string]string{"X-Partner-ID": i.id}
}

// place is where a tenant's devices are asked for.
type place struct {
	base     *url.URL
	tenantID string // as Central writes it
	foreign  bool   // the credential does not serve the tenant
}

// url is an address at the place, with its query.
func (p place) url(query url.Values, path ...string) *url.URL {
	u := p.base.JoinPath(append([]string{"endpoint/v1/endpoints"}, path...)...)
	u.RawQuery = query.Encode()
	return u
}

// header names the tenant.
func (p place) header() map[string]string { return map[string]string{"X-Tenant-ID": p.tenantID} }

// place finds out where a tenant lives. Its troubles are no device's.
func (a *account) place(ctx context.Context, tenantID string) (place, *action.Trouble) {
	who, trouble := a.who.get(ctx, a.c, "", a.whoami)
	if trouble != nil {
		return place{}, outage(trouble)
	}
	if who.kind == "tenant" {
		return place{base: who.region, tenantID: who.id, foreign: !strings.EqualFold(who.id, tenantID)}, nil
	}
	p, trouble := a.places.get(ctx, a.c, tenantID, func(ctx context.Context) (place, time.Duration, *action.Trouble) {
		return a.lookUp(ctx, who, tenantID)
	})
	return p, outage(trouble)
}

// distrust forgets what was kept of the account, after an answer that may mean
// that it no longer holds.
func (a *account) distrust(tenantID string) {
	a.who.drop("")
	a.places.drop(tenantID)
}

// whoami asks which account the credential is of.
func (a *account) whoami(ctx context.Context) (identity, time.Duration, *action.Trouble) {
	r, trouble := a.get(ctx, request{what: whatWhoami, url: a.c.hosts.api.JoinPath("whoami/v1"), limit: maxSingle})
	if trouble != nil {
		return identity{}, 0, trouble
	}
	var in struct {
		ID       string `json:"id"`
		IDType   string `json:"idType"`
		APIHosts struct {
			DataRegion string `json:"dataRegion"`
		} `json:"apiHosts"`
	}
	if trouble := r.decode(whatWhoami, &in); trouble != nil {
		return identity{}, 0, trouble
	}
	who := identity{id: in.ID, kind: in.IDType}
	switch {
	case !isUUID(in.ID):
		return identity{}, 0, unusable(whatWhoami, "it names no account")
	case in.IDType == "partner", in.IDType == "organization":
		return who, keepIdentity, nil
	case in.IDType != "tenant":
		return identity{}, 0, unusable(whatWhoami, "it is of a kind that is not known")
	case in.APIHosts.DataRegion == "":
		return identity{}, 0, unusable(whatWhoami, "it names no host of the tenant's region")
	}
	region, err := a.c.hosts.allow(in.APIHosts.DataRegion)
	if err != nil {
		return identity{}, 0, strangeHost("the tenant")
	}
	who.region = region
	return who, keepIdentity, nil
}

// lookUp asks a partner's or organization's account for one of its tenants.
func (a *account) lookUp(ctx context.Context, who identity, tenantID string) (place, time.Duration, *action.Trouble) {
	r, trouble := a.get(ctx, request{what: whatTenant, url: a.c.hosts.api.JoinPath(who.kind, "v1/tenants", tenantID),
		header: who.header(), limit: maxSingle})
	switch {
	case trouble != nil:
		return place{}, 0, trouble
	case r.notFound():
		return place{foreign: true}, 0, nil
	}
	var in struct {
		ID      string `json:"id"`
		APIHost string `json:"apiHost"`
	}
	if trouble := r.decode(whatTenant, &in); trouble != nil {
		return place{}, 0, trouble
	}
	switch {
	case !strings.EqualFold(in.ID, tenantID):
		return place{}, 0, unusable(whatTenant, "it is of another tenant")
	case in.APIHost == "":
		return place{}, 0, hostless()
	}
	base, err := a.c.hosts.allow(in.APIHost)
	if err != nil {
		return place{}, 0, strangeHost("the tenant")
	}
	return place{base: base, tenantID: in.ID}, keepPlace, nil
}

// hostless is the trouble of a tenant that is listed without a host.
func hostless() *action.Trouble {
	return &action.Trouble{Class: action.Permanent, Text: "Central lists the tenant without a host for its API, so nothing of it can be read."}
}
