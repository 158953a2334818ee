package central

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"rollcall/internal/action"
)

// whatTenants is what people read about listing the tenants.
const whatTenants = "listing the tenants"

// The largest page of tenants, and how many of them are read at most.
const (
	tenantsPage  = 100
	tenantsPages = 1000
)

// seat is a tenant with the place where it lives, or with the trouble that there
// is none that may be asked.
type seat struct {
	id, name string // as far as known; the id in lower case
	place    place
	trouble  *action.Trouble
}

// seats are the tenants that are asked for; none = all that the credential for
// reads serves. A trouble is one of the credential or of Central; that a tenant has
// no place is no reason to leave the others.
func (c *Client) seats(ctx context.Context, wanted []string) ([]seat, *action.Trouble) {
	if _, trouble := c.reads.bearer(ctx); trouble != nil {
		return nil, trouble
	}
	if len(wanted) > 0 {
		return c.seatsOf(ctx, wanted)
	}
	who, trouble := c.reads.who.get(ctx, c, "", c.reads.whoami)
	switch {
	case trouble != nil:
		return nil, outage(trouble)
	case who.kind == "tenant":
		return []seat{{id: strings.ToLower(who.id), place: place{base: who.region, tenantID: who.id}}}, nil
	}
	l := listing{c: c, who: who, seen: map[string]bool{}}
	if trouble := l.read(ctx); trouble != nil {
		return nil, trouble
	}
	return l.seats, nil
}

// seatsOf looks up tenants by their ids, each once.
func (c *Client) seatsOf(ctx context.Context, wanted []string) ([]seat, *action.Trouble) {
	var out []seat
	seen := map[string]bool{}
	for _, id := range wanted {
		if id = strings.ToLower(id); seen[id] {
			continue
		}
		seen[id] = true
		p, trouble := c.served(ctx, id)
		if trouble != nil && !shut(trouble) {
			return nil, trouble
		}
		out = append(out, seat{id: id, place: p, trouble: trouble})
	}
	return out, nil
}

// shut reports whether a trouble means that this one tenant can't be asked: it is
// not served, has no host, or is forbidden. Others may be asked all the same.
func shut(t *action.Trouble) bool {
	return t.Class == action.Permanent && (t.Status == 0 || t.Status == http.StatusForbidden)
}

// listing reads the list of a partner's or an organization's tenants.
type listing struct {
	c        *Client
	who      identity
	seats    []seat
	seen     map[string]bool
	promised int // the fewest tenants that any page announced
}

// tenantItem is a tenant on the list.
type tenantItem struct {
	ID      any `json:"id"`
	Name    any `json:"name"`
	APIHost any `json:"apiHost"`
}

// tenantPage is one page of the list; its total counts pages.
type tenantPage struct {
	Items *[]json.RawMessage `json:"items"`
	Pages *struct {
		Total *json.Number `json:"total"`
		Items *json.Number `json:"items"`
	} `json:"pages"`
}

// read reads page by page. Where the list does not say how many pages it has, it
// ends at one without tenants; a short page ends nothing, since how large a page
// gets is not ours to say.
func (l *listing) read(ctx context.Context) *action.Trouble {
	for n := 1; n <= tenantsPages; n++ {
		in, trouble := l.page(ctx, n)
		if trouble != nil {
			return trouble
		}
		before := len(l.seats)
		for _, raw := range *in.Items {
			l.add(raw)
		}
		total := 0
		if in.Pages != nil {
			total = whole(in.Pages.Total)
			l.promised = fewest(l.promised, whole(in.Pages.Items))
		}
		switch {
		case total > 0 && n >= total, total == 0 && len(*in.Items) == 0:
			return l.whole()
		case len(l.seats) == before:
			return unusable(whatTenants, "a page of them brings none that was not there before")
		}
	}
	return unusable(whatTenants, "it has too many pages")
}

// page asks for one page.
func (l *listing) page(ctx context.Context, n int) (tenantPage, *action.Trouble) {
	u := l.c.hosts.api.JoinPath(l.who.kind, "v1/tenants")
	u.RawQuery = url.Values{"page": {strconv.Itoa(n)}, "pageSize": {strconv.Itoa(tenantsPage)}, "pageTotal": {"true"}}.Encode()
	r, trouble := l.c.reads.get(ctx, request{what: whatTenants, url: u, header: l.who.header(), limit: maxList, kind: action.CallBulk})
	if trouble != nil {
		return tenantPage{}, trouble
	}
	if r.status == http.StatusNotFound {
		return tenantPage{}, r.refusedList(whatTenants)
	}
	var in tenantPage
	if trouble := r.decode(whatTenants, &in); trouble != nil {
		return tenantPage{}, trouble
	}
	if in.Items == nil {
		return tenantPage{}, unusable(whatTenants, "it has no list of tenants")
	}
	return in, nil
}

// add takes a tenant in, once. One that can't be asked is taken in with the reason.
func (l *listing) add(raw json.RawMessage) {
	var in tenantItem
	_ = json.Unmarshal(raw, &in) // what is no object is a tenant of which nothing is known
	id, _ := in.ID.(string)
	host, _ := in.APIHost.(string)
	s := seat{id: strings.ToLower(id)}
	s.name, _ = in.Name.(string)
	base, err := l.c.hosts.allow(host)
	switch {
	case !isUUID(id):
		s.id, s.trouble = "", &action.Trouble{Class: action.Permanent, Text: "Central lists a tenant without an id that can be read."}
	case l.seen[s.id]:
		return
	case host == "":
		s.trouble = hostless()
	case err != nil:
		s.trouble = strangeHost("the tenant")
	default:
		s.place = place{base: base, tenantID: id}
	}
	l.seen[s.id] = true
	l.seats = append(l.seats, s)
}

// whole is the trouble of a list that ended before all had come.
func (l *listing) whole() *action.Trouble {
	if len(l.seats) < l.promised {
		return unusable(whatTenants, "fewer tenants came than were announced")
	}
	return nil
}
