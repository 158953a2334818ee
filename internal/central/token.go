package central

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"rollcall/internal/action"
)

// The times of a token.
const (
	renewBefore   = time.Minute      // a long-lived token is renewed so long before its end
	unstatedLife  = 5 * time.Minute  // of a token whose life was not stated
	longestLife   = 24 * time.Hour   // whatever is stated
	renewalPause  = 10 * time.Second // after a renewal that failed while the old one still holds
	whatSigningIn = "signing in"
)

// account is one credential with its token and what it gives access to.
//
// The token is kept here and not by golang.org/x/oauth2: that one binds a fetch
// to the context of the caller who came first, knows nothing of an error code
// inside a 200, puts the answer's body into its errors, and can't be told to
// drop a token that was refused.
type account struct {
	c       *Client
	cred    Credential
	flights singleflight.Group
	who     memo[identity]
	places  memo[place]
	strikes atomic.Int64 // 429s in a row

	mu    sync.Mutex
	token token
}

// token is a bearer token with the times at which to renew it and at which it ends.
type token struct {
	value         string
	renew, expiry time.Time
}

func (c *Client) account(cred Credential) *account { return &account{c: c, cred: cred} }

// bearer returns a token that is in force. One that nears its end is renewed
// aside, while it is still used.
func (a *account) bearer(ctx context.Context) (string, *action.Trouble) {
	t, now := a.held(), a.c.now()
	switch {
	case t.value != "" && now.Before(t.renew):
		return t.value, nil
	case t.value != "" && now.Before(t.expiry):
		launch(ctx, a.c, &a.flights, "", a.renewal)
		return t.value, nil
	}
	t, trouble := share(ctx, a.c, &a.flights, "", a.renewal)
	if trouble != nil {
		return "", trouble
	}
	return t.value, nil
}

func (a *account) held() token {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.token
}

// forget drops a token that was refused, unless it was replaced already.
func (a *account) forget(value string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token.value == value {
		a.token = token{}
	}
}

// renewal fetches a token, trying once more on a failure that may pass, and
// keeps it; unless one was fetched since it was asked for.
func (a *account) renewal(ctx context.Context) (token, *action.Trouble) {
	if t := a.held(); t.value != "" && a.c.now().Before(t.renew) {
		return t, nil
	}
	t, trouble := a.fetch(ctx)
	if trouble != nil && again(ctx, trouble, a.c.timeout) {
		t, trouble = a.fetch(ctx)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if trouble != nil {
		if pause := a.c.now().Add(renewalPause); pause.Before(a.token.expiry) { // an ended one is not tried
			a.token.renew = pause
		}
		return token{}, outage(trouble)
	}
	a.token = t
	return t, nil
}

// tokenAnswer is the identity host's answer.
type tokenAnswer struct {
	AccessToken string  `json:"access_token"`
	TokenType   string  `json:"token_type"`
	ExpiresIn   float64 `json:"expires_in"`
	ErrorCode   string  `json:"errorCode"`
}

// fetch asks for a token. The secret goes to the configured identity host and to
// no other.
func (a *account) fetch(ctx context.Context) (token, *action.Trouble) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {a.cred.ClientID}, "client_secret": {a.cred.ClientSecret}, "scope": {"token"}}
	asked := a.c.now()
	r, trouble := a.c.once(ctx, request{what: whatSigningIn, method: http.MethodPost, limit: maxSingle,
		url: a.c.hosts.id.JoinPath("api/v2/oauth2/token"), form: form.Encode()})
	if trouble != nil {
		return token{}, trouble
	}
	if r.status != http.StatusOK {
		return token{}, r.signInRefused(a.c.now())
	}
	var in tokenAnswer
	if trouble := r.decode(whatSigningIn, &in); trouble != nil {
		return token{}, trouble
	}
	switch {
	case in.ErrorCode != "" && in.ErrorCode != "success":
		return token{}, r.signInRefused(a.c.now())
	case !fit(in.AccessToken), in.TokenType != "" && !strings.EqualFold(in.TokenType, "bearer"):
		return token{}, unusable(whatSigningIn, "it holds no bearer token")
	}
	life := min(time.Duration(in.ExpiresIn*float64(time.Second)), longestLife)
	if in.ExpiresIn <= 0 {
		life = unstatedLife
	}
	return token{value: in.AccessToken, renew: asked.Add(life - min(renewBefore, life/2)), expiry: asked.Add(life)}, nil
}

// signInRefused is a refused credential: 400 and 401 mean the credential itself,
// and so does an error code inside a 200.
func (r reply) signInRefused(now time.Time) *action.Trouble {
	t := r.refused(whatSigningIn, now)
	switch r.status {
	case http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		t.Class = action.Permanent
		t.Text = "Central does not accept the client id and secret."
	}
	return t
}

// fit reports whether a token can stand in a header.
func fit(token string) bool {
	return token != "" && len(token) <= 16<<10 && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}
