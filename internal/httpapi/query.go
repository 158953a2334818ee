package httpapi

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"rollcall/api"
	"rollcall/internal/record"
)

// parameters are the query parameters of each route that takes any.
func parameters() map[string][]string {
	return map[string][]string{
		"/v1/exclusions":                   {"kind", "format", "since"},
		"/v1/tickets":                      {"state"},
		"/v1/audit":                        {"since", "tenantId", "endpointId"},
		"/v1/devices":                      {"hostname"},
		"/v1/devices/:endpointId":          {"tenantId"},
		"/v1/devices/:endpointId/recovery": {"tenantId"},
		"/v1/decisions":                    {"verdict", "reasonCode", "since", "format"},
		"/v1/inventory":                    {"tenantId", "inactiveDays", "type", "format"},
	}
}

// knowsParameters refuses a query parameter that the route does not know: one that is
// misspelt would widen the answer in silence.
func (x *exchange) knowsParameters() error {
	known := parameters()[x.route.path]
	var found problems
	for name := range x.c.Request.URL.Query() {
		if !slices.Contains(known, name) {
			takes := "this route takes none"
			if len(known) > 0 {
				takes = "this route takes " + strings.Join(known, ", ")
			}
			found.add(name, "is no parameter here: "+takes)
		}
	}
	slices.SortFunc(found, func(a, b api.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return found.refusal()
}

// query reads a request's query and collects what can't be used of it.
type query struct {
	values map[string][]string
	found  problems
}

func (x *exchange) query() *query {
	values, err := url.ParseQuery(x.c.Request.URL.RawQuery)
	q := &query{values: values}
	if err != nil { // what is lost must not widen the answer
		q.found.add("query", "can't be read: some of it is not escaped rightly")
	}
	return q
}

// text is a parameter's value without blanks around it; empty is not given.
func (q *query) text(name string) string {
	given := q.values[name]
	switch {
	case len(given) == 0:
		return ""
	case len(given) > 1:
		q.found.add(name, "is given more than once")
	case len(given[0]) > longName:
		q.found.add(name, fmt.Sprintf("has more than %d characters", longName))
	default:
		return strings.TrimSpace(given[0])
	}
	return ""
}

// needed is a text that must be given.
func (q *query) needed(name string) string {
	s := q.text(name)
	if s == "" {
		q.found.add(name, "is required")
	}
	return s
}

// word is one of the known words; not given is the first.
func (q *query) word(name string, known ...string) string {
	s := q.text(name)
	if s == "" {
		return known[0]
	}
	if !slices.Contains(known, s) {
		listed := slices.DeleteFunc(slices.Clone(known), func(w string) bool { return w == "" })
		q.found.add(name, "must be one of "+strings.Join(listed, ", "))
	}
	return s
}

// id is a UUID in lower case, or empty when not given.
func (q *query) id(name, s string) string {
	if s == "" {
		return ""
	}
	id, ok := record.ID(s)
	if !ok {
		q.found.add(name, "must be a UUID")
	}
	return id
}

// since is a time, zero when not given.
func (q *query) since() time.Time {
	s := q.text("since")
	if s == "" || s == "0" {
		return time.Time{}
	}
	t, ok := record.ParseTime(strings.ReplaceAll(s, " ", "+")) // a query's plus sign arrives as a blank
	if !ok {
		q.found.add("since", "must be RFC 3339 with a zone, or Unix seconds")
	}
	return t
}
