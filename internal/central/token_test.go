package central

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

// present must find the device.
func (r *rig) present(tb testing.TB) {
	tb.Helper()
	live, trouble := r.Present(tb.Context(), dev)
	sound(tb, live, trouble)
	if live.Status != policy.LiveFound {
		tb.Fatalf("present: %+v, %+v", live, trouble)
	}
}

func (r *rig) counts(tb testing.TB, want map[string]int) {
	tb.Helper()
	for path, n := range want {
		if got := r.sim.Count("", path); got != n {
			tb.Errorf("%d requests to %s, want %d", got, path, n)
		}
	}
}

func TestManyCallersShareOneToken(t *testing.T) {
	r := newRig(t, nil, nil)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if live, trouble := r.Present(t.Context(), dev); live.Status != policy.LiveFound {
				t.Errorf("present: %+v", trouble)
			}
		})
	}
	all.Wait()
	r.counts(t, map[string]int{tokens: 1, "/whoami/v1": 1, devices: 50})
}

// A caller that found nothing kept must not fetch what another one fetched
// before this one's own flight began.
func TestWhoComesLateFetchesNothingAgain(t *testing.T) {
	r := newRig(t, nil, nil)
	together := func(ask func() *action.Trouble) {
		t.Helper()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if trouble := ask(); trouble != nil {
					t.Errorf("%+v", trouble)
				}
			})
		}
		all.Wait()
	}

	var fetches atomic.Int64
	var m memo[int64]
	fetch := func(context.Context) (int64, time.Duration, *action.Trouble) {
		return fetches.Add(1), time.Hour, nil
	}
	const values = 2000
	for i := range values {
		together(func() *action.Trouble {
			_, trouble := m.get(t.Context(), r.Client, strconv.Itoa(i), fetch)
			return trouble
		})
	}
	if got := fetches.Load(); got != values {
		t.Errorf("%d fetches of %d values", got, values)
	}

	const ends = 200
	for range ends {
		r.reads.forget(r.reads.token.value)
		together(func() *action.Trouble {
			_, trouble := r.reads.bearer(t.Context())
			return trouble
		})
	}
	r.counts(t, map[string]int{tokens: ends})
}

func TestTokenIsRenewedEarlyAndAside(t *testing.T) {
	for _, tt := range []struct {
		name         string
		life, before time.Duration // renewed at life - before
		later        time.Duration // when the new one is still good
	}{
		{"a long-lived token a minute before its end", time.Hour, time.Minute, 2 * time.Minute},
		{"a short-lived token at half its life", 40 * time.Second, 20 * time.Second, 19 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, func(o *centralsim.Options) { o.TokenLife = tt.life }, nil)
			asked := make(chan struct{}, 16)
			r.sim.OnRequest(func(q *http.Request) {
				if q.URL.Path == tokens {
					asked <- struct{}{}
				}
			})
			r.present(t)
			<-asked
			r.pass(tt.life - tt.before - time.Second)
			r.present(t)
			r.counts(t, map[string]int{tokens: 1})
			r.pass(time.Second)
			r.present(t)
			<-asked // comes by itself, beside the call that still used the old one
			// Joins the renewal if it is still under way.
			_, _, _ = r.reads.flights.Do("", func() (any, error) { return nil, nil })
			r.pass(tt.later)
			r.present(t)
			r.counts(t, map[string]int{tokens: 2})
		})
	}
}

func TestFailedRenewalLeavesTheOldToken(t *testing.T) {
	r := newRig(t, nil, nil)
	r.present(t)
	lift := r.sim.Fault(centralsim.Fault{Path: tokens, Status: 500, Times: centralsim.Always})
	r.pass(59*time.Minute + time.Second)
	r.present(t)
	r.pass(time.Minute)
	for range 2 {
		if live, trouble := r.Present(t.Context(), dev); live.Status != policy.LiveFailed || !trouble.Outage || trouble.Class != action.Transient {
			t.Errorf("after its end: %+v, %+v; want an outage", live, trouble)
		}
	}
	r.counts(t, map[string]int{"/whoami/v1": 1, devices: 2}) // an ended token is not tried
	lift()
	r.present(t)
}

func TestRefusedTokenIsRenewedOnce(t *testing.T) {
	r := newRig(t, nil, nil)
	r.present(t)
	r.sim.RevokeTokens()
	r.present(t)
	r.counts(t, map[string]int{tokens: 2, devices: 3})

	r.sim.Fault(centralsim.Fault{Path: devices, Status: 401, Times: centralsim.Always})
	live, trouble := r.Present(t.Context(), dev)
	sound(t, live, trouble)
	if live.Status != policy.LiveFailed || trouble.Status != 401 || trouble.Class != action.Permanent || trouble.Outage {
		t.Errorf("refused twice: %+v", trouble)
	}
	r.counts(t, map[string]int{devices: 5})
}

func TestSignInRefused(t *testing.T) {
	page := func(status int, body string) centralsim.Fault {
		return centralsim.Fault{Path: tokens, Times: centralsim.Always, Status: status, Body: body, ContentType: "application/json"}
	}
	for _, tt := range []struct {
		name  string
		fault centralsim.Fault
		class action.Class
		calls int
	}{
		{"a wrong secret", page(401, `{"errorCode":"oauth.invalid_client_secret","trackingId":"7c1e9a30"}`), action.Permanent, 1},
		{"a bad request", page(400, `{"errorCode":"oauth.invalid_grant_type"}`), action.Permanent, 1},
		{"an error code inside a 200", page(200, `{"errorCode":"oauth.gone","access_token":"abc","expires_in":3600}`), action.Permanent, 1},
		{"no token inside a 200", page(200, `{"errorCode":"success","expires_in":3600}`), action.Transient, 2},
		{"a token that fits no header", page(200, `{"access_token":"a\nb","expires_in":3600}`), action.Transient, 2},
		{"another kind of token", page(200, `{"access_token":"abc","token_type":"mac","expires_in":3600}`), action.Transient, 2},
		{"a page", centralsim.Fault{Path: tokens, Times: centralsim.Always, Status: 200, Body: "<html>", ContentType: "text/html"}, action.Transient, 2},
		{"a failure", centralsim.Fault{Path: tokens, Times: centralsim.Always, Status: 503, Body: "<html>", ContentType: "text/html"}, action.Transient, 2},
		{"a cut connection", centralsim.Fault{Path: tokens, Times: centralsim.Always, Drop: true}, action.Transient, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			r.sim.Fault(tt.fault)
			live, trouble := r.look(t.Context(), t)
			if live.Status != policy.LiveFailed || !trouble.Outage || trouble.Class != tt.class {
				t.Errorf("got %+v, want an outage that is %s", trouble, tt.class)
			}
			r.counts(t, map[string]int{tokens: tt.calls, devices: 0})
			if strings.Contains(tt.fault.Body, "7c1e9a30") && trouble.CorrelationID != "7c1e9a30" {
				t.Errorf("tracking id %q is lost", trouble.CorrelationID)
			}
		})
	}
}

func TestOneCallerGivingUpFailsNoOther(t *testing.T) {
	r := newRig(t, nil, nil)
	arrived := make(chan struct{}, 16)
	r.sim.OnRequest(func(*http.Request) { arrived <- struct{}{} })
	lift := r.sim.Fault(centralsim.Fault{Path: tokens, Hang: true})
	first, giveUp := context.WithCancel(t.Context())
	failed := make(chan *action.Trouble, 1)
	go func() {
		_, trouble := r.Present(first, dev)
		failed <- trouble
	}()
	<-arrived
	second := make(chan policy.LiveStatus, 1)
	go func() {
		live, _ := r.Present(t.Context(), dev)
		second <- live.Status
	}()
	giveUp()
	if trouble := <-failed; trouble == nil || !trouble.Own {
		t.Errorf("who gave up got %+v, want a trouble of its own", trouble)
	}
	lift()
	if status := <-second; status != policy.LiveFound {
		t.Errorf("the other got status %d, want found", status)
	}
}

func TestSecretGoesToTheIdentityHostAlone(t *testing.T) {
	r := newRig(t, nil, nil)
	got := make(chan string, 16)
	id := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		got <- q.URL.Path
		r.sim.ServeHTTP(w, q)
	}))
	defer id.Close()
	r.Client = r.another(t, func(o *Options) { o.IDURL = id.URL })
	if live, trouble := r.look(t.Context(), t); live.Status != policy.LiveFound {
		t.Fatalf("look: %+v", trouble)
	}
	close(got)
	for path := range got {
		if path != tokens {
			t.Errorf("the identity host was asked for %s", path)
		}
	}
}

func TestCredentialHidesItsSecret(t *testing.T) {
	r := newRig(t, nil, nil)
	r.present(t)
	c := Credential{"app", secret}
	if s := c.String() + c.GoString(); strings.Contains(s, secret) || !strings.Contains(s, "app") {
		t.Errorf("printed as %s", s)
	}
	for _, e := range r.sim.Journal() {
		if e.Path == tokens && (e.Query.Encode() != "" || !strings.Contains(e.Body, "grant_type=client_credentials") || !strings.Contains(e.Body, "scope=token")) {
			t.Errorf("token request %+v", e)
		}
	}
}
