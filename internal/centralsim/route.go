package centralsim

import (
	"context"
	"net/http"
)

// selfKey keys the call in its own request's context, from where the mux's
// handlers take it up again.
type selfKey struct{}

// withSelf is the request with the call inside, for the mux.
func (c *call) withSelf() *http.Request {
	return c.WithContext(context.WithValue(c.Context(), selfKey{}, c))
}

// route makes a handler of a function that answers.
func route(f func(*call) answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _ := r.Context().Value(selfKey{}).(*call)
		c.Request = r // the mux has put the path's values in
		if to, ok := w.(carrier); ok {
			*to.answer = f(c)
		}
	})
}

// carrier takes an answer out of the mux. Whatever the mux writes by itself (it
// redirects paths that are not clean) is kept too.
type carrier struct {
	answer *answer
	header http.Header
}

func (c carrier) Header() http.Header { return c.header }

func (c carrier) WriteHeader(status int) {
	c.answer.status, c.answer.header, c.answer.kind = status, c.header, "text/html"
}

func (c carrier) Write(b []byte) (int, error) {
	if c.answer.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	c.answer.body = append(c.answer.body, b...)
	return len(b), nil
}
