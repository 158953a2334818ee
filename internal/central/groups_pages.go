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

// The pages of groups and of their members: how large, and how many at most.
const (
	groupsSize   = 100
	groupsPages  = 100
	membersSize  = 500
	membersPages = 200
)

// groupList is a list below the groups' route. It is read by the numbers of its pages
// or, where Central hands out keys, by these.
type groupList struct {
	c    *Client
	p    place
	kind action.CallKind
	what string
	path []string
	size int
	most int
	// endless lists are of a kind that need not say how many pages they have: a page
	// that brings nothing new ends them.
	endless bool
	take    func(id string, raw json.RawMessage) *action.Trouble

	seen     map[string]bool
	idless   int
	promised int // the fewest that any page announced
	byKey    bool
}

// groupPage is one page of such a list.
type groupPage struct {
	Items *[]json.RawMessage `json:"items"`
	Pages struct {
		NextKey *string      `json:"nextKey"`
		Total   *json.Number `json:"total"` // of pages
		Items   *json.Number `json:"items"` // of all pages
	} `json:"pages"`
}

// read reads page by page. Where the list does not say how many pages it has, it ends
// at an empty one.
func (n *groupList) read(ctx context.Context) *action.Trouble {
	n.seen = map[string]bool{}
	keys := map[string]bool{}
	query := url.Values{"page": {"1"}, "pageSize": {strconv.Itoa(n.size)}, "pageTotal": {"true"}}
	for i := 1; i <= n.most; i++ {
		in, trouble := n.page(ctx, query)
		if trouble != nil {
			return trouble
		}
		fresh, trouble := n.items(*in.Items)
		if trouble != nil {
			return trouble
		}
		total := whole(in.Pages.Total)
		n.promised = fewest(n.promised, whole(in.Pages.Items))
		switch key := in.Pages.NextKey; {
		case key != nil && *key != "":
			if keys[*key] {
				return unusable(n.what, "its pages go round in a circle")
			}
			keys[*key] = true
			n.byKey = true
			query.Del("page")
			query.Set("pageFromKey", *key)
			continue
		case n.byKey, total > 0 && i >= total, total == 0 && len(*in.Items) == 0, total == 0 && fresh == 0 && n.endless:
			return n.whole()
		case fresh == 0:
			return unusable(n.what, "a page of it brings none that was not there before")
		}
		query.Set("page", strconv.Itoa(i+1))
	}
	return unusable(n.what, "it has too many pages")
}

// items takes the items of a page, each once.
func (n *groupList) items(items []json.RawMessage) (fresh int, trouble *action.Trouble) {
	for _, raw := range items {
		var in struct {
			ID any `json:"id"`
		}
		_ = json.Unmarshal(raw, &in) // what is no object has no id
		id := strings.ToLower(text(in.ID).Value)
		if id == "" {
			n.idless++
		} else if n.seen[id] {
			continue
		}
		n.seen[id] = true
		fresh++
		if trouble := n.take(id, raw); trouble != nil {
			return 0, trouble
		}
	}
	return fresh, nil
}

// whole is the trouble of a list that ended before all had come.
func (n *groupList) whole() *action.Trouble {
	if len(n.seen)+n.idless < n.promised {
		return unusable(n.what, "fewer came than were announced")
	}
	return nil
}

// page asks for one page.
func (n *groupList) page(ctx context.Context, query url.Values) (groupPage, *action.Trouble) {
	u := n.p.base.JoinPath(append([]string{"endpoint/v1/endpoint-groups"}, n.path...)...)
	u.RawQuery = query.Encode()
	r, trouble := n.c.reads.get(ctx, request{what: n.what, url: u, header: n.p.header(), limit: maxList, kind: n.kind})
	if trouble == nil && r.status == http.StatusNotFound {
		trouble = r.refusedList(n.what)
	}
	var in groupPage
	if trouble == nil {
		trouble = r.decode(n.what, &in)
	}
	if trouble == nil && in.Items == nil {
		trouble = unusable(n.what, "it has no items")
	}
	return in, trouble
}
