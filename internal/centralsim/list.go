package centralsim

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxPage is the largest page of devices.
const maxPage = 500

// list is a page of the tenant's devices.
func (s *Sim) list(c *call, t *tenant) answer {
	size, fine := number(c.query, "pageSize", 50)
	if size > maxPage && s.switches.ClampPages {
		size = maxPage
	}
	keys, known := viewKeys(c.query.Get("view"))
	total, isBool := boolean(c.query, "pageTotal")
	pass, readable := s.filters(c.query)
	from, opaque := openKey(c.query.Get("pageFromKey"))
	if !fine || size > maxPage || !known || !isBool || !readable || !opaque {
		return s.failure(http.StatusBadRequest)
	}
	order := sortFields(c.query)
	byID := len(order) > 0 && order[0] == order[len(order)-1]
	var all []map[string]any
	for _, d := range t.wanted(lists(c.query, "ids"), byID) {
		if r := s.render(d); pass(r) {
			all = append(all, r)
		}
	}
	if !byID || c.query.Has("ids") {
		s.arrange(all, order)
	}
	rest := after(all, order, from)
	pages := map[string]any{"size": size, "maxSize": maxPage}
	if key := c.query.Get("pageFromKey"); key != "" {
		pages["fromKey"] = key
	}
	if total == "true" {
		pages["total"], pages["items"] = (len(all)+size-1)/size, len(all)
	}
	if len(rest) > size {
		pages["nextKey"] = nextKey(order, rest[size-1], len(all)-len(rest)+size)
		rest = rest[:size]
	}
	items := make([]any, len(rest))
	for i, r := range rest {
		items[i] = project(r, fieldsOr(c.query, keys))
	}
	return ok200(map[string]any{"items": items, "pages": pages})
}

// fieldsOr narrows a view to the fields that were asked for.
func fieldsOr(q url.Values, view []string) []string {
	if !q.Has("fields") {
		return view
	}
	return append([]string{"id"}, lists(q, "fields")...)
}

// order is one field to sort by.
type order struct {
	field string
	down  bool
}

// sortFields reads sort; the id settles ties, so that an order is total.
func sortFields(q url.Values) []order {
	fields := lists(q, "sort")
	if len(fields) == 0 {
		return nil
	}
	var out []order
	for _, f := range fields {
		name, way, _ := strings.Cut(f, ":")
		out = append(out, order{name, strings.EqualFold(way, "desc")})
	}
	return append(out, order{field: "id"})
}

// arrange sorts the records. Without an order they stay as they were put, or,
// with the disorder switch, come in another order every time.
func (s *Sim) arrange(all []map[string]any, by []order) {
	if by != nil {
		slices.SortStableFunc(all, func(a, b map[string]any) int { return compare(by, values(by, a), values(by, b)) })
		return
	}
	if s.switches.Disorder {
		s.shuffles++
		dice := rand.New(rand.NewPCG(s.shuffles, 7)) //nolint:gosec // the same disorder in every run
		dice.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
}

// values are a record's values of the fields to sort by, made comparable.
func values(by []order, record map[string]any) []string {
	out := make([]string, len(by))
	for i, o := range by {
		v := at(record, strings.Split(o.field, ".")...)
		if t, isTime := instant(v); isTime {
			out[i] = t.UTC().Format("2006-01-02T15:04:05.000000000Z")
			continue
		}
		if out[i] = strings.ToLower(text(v)); out[i] == "" && v != nil {
			out[i] = string(encode(v))
		}
	}
	return out
}

// compare compares values, field by field.
func compare(by []order, a, b []string) int {
	for i, o := range by {
		if n := cmp.Compare(a[i], b[i]); n != 0 {
			if o.down {
				return -n
			}
			return n
		}
	}
	return 0
}

// place is what a page key holds: where the last page ended, by the values of
// its last record, or by count where there is no order to hold on to.
type place struct {
	Values []string `json:"v,omitempty"`
	Count  int      `json:"n"`
}

// keyTail makes every key one that breaks when it is not escaped.
const keyTail = "+/="

func nextKey(by []order, last map[string]any, count int) string {
	p := place{Count: count}
	if by != nil {
		p.Values = values(by, last)
	}
	return base64.StdEncoding.EncodeToString(encode(p)) + keyTail
}

// openKey opens a page key; false for what is none.
func openKey(key string) (*place, bool) {
	if key == "" {
		return nil, true
	}
	raw, tailed := strings.CutSuffix(key, keyTail)
	b, err := base64.StdEncoding.DecodeString(raw)
	var p place
	if !tailed || err != nil || json.Unmarshal(b, &p) != nil {
		return nil, false
	}
	return &p, true
}

// after are the records that come after a place. A device that moved meanwhile,
// since it was sorted by what changed, is lost or doubled: as in life.
func after(all []map[string]any, by []order, p *place) []map[string]any {
	switch {
	case p == nil:
		return all
	case by == nil || len(p.Values) != len(by):
		return all[min(p.Count, len(all)):]
	}
	i, _ := slices.BinarySearchFunc(all, p.Values, func(r map[string]any, last []string) int {
		if compare(by, values(by, r), last) > 0 {
			return 1
		}
		return -1
	})
	return all[i:]
}

// lists reads a list parameter: commas, or given several times.
func lists(q url.Values, name string) []string {
	var out []string
	for _, v := range q[name] {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}
