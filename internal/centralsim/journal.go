package centralsim

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Entry is one request in the journal. Header values and secrets are never kept.
type Entry struct {
	At      time.Time
	Method  string
	Path    string
	Query   url.Values
	Headers []string // names, sorted
	Tenant  string   // X-Tenant-ID
	Body    string
	Remote  string // the client's address: another one is another connection
	Status  int    // of the answer; 0 = none was sent
	// Deleted are the ids that the request took away, whatever it was answered.
	Deleted []string
}

// write opens a journal entry for a request. The lock is held.
func (s *Sim) write(c *call) *Entry {
	names := make([]string, 0, len(c.Header))
	for name := range c.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	e := &Entry{
		At: s.opt.Now(), Method: c.Method, Path: c.URL.Path, Query: c.query, Headers: names,
		Tenant: c.Header.Get("X-Tenant-ID"), Body: withoutSecrets(c), Remote: c.RemoteAddr,
	}
	s.journal = append(s.journal, e)
	return e
}

// withoutSecrets is a body as the journal may keep it.
func withoutSecrets(c *call) string {
	if !strings.HasSuffix(c.URL.Path, "/oauth2/token") {
		return string(c.body)
	}
	form, err := url.ParseQuery(string(c.body))
	if err != nil || c.Header.Get("Content-Type") != formType {
		return "not kept"
	}
	for _, name := range []string{"client_secret", "refresh_token"} {
		if form.Has(name) {
			form.Set(name, "not kept")
		}
	}
	return form.Encode()
}

// Journal returns all requests so far, in the order in which they came.
func (s *Sim) Journal() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Entry, len(s.journal))
	for i, e := range s.journal {
		out[i] = *e
		out[i].Deleted = slices.Clone(e.Deleted)
	}
	return out
}

// Count counts the requests of a method (empty = any) under a path prefix.
func (s *Sim) Count(method, pathPrefix string) int {
	n := 0
	for _, e := range s.Journal() {
		if (method == "" || e.Method == method) && strings.HasPrefix(e.Path, pathPrefix) {
			n++
		}
	}
	return n
}

// Deletes counts the DELETE requests, applied or not.
func (s *Sim) Deletes() int { return s.Count(http.MethodDelete, "/") }
