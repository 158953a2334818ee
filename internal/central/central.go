// Package central decides how Sophos Central is asked: which host may see a
// token, what counts as an answer, what may be tried again, which reads are made
// together or answered from the snapshot, and when a DELETE may leave. It refuses to
// know what an answer means for a device: whatever is not plainly found or plainly
// not found is handed on as a failure.
package central

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// Credential is a client of Central's API.
type Credential struct{ ClientID, ClientSecret string }

// String hides the secret from anything that prints a Credential.
func (c Credential) String() string { return c.ClientID }

// GoString hides the secret from %#v.
func (c Credential) GoString() string { return "central.Credential{" + c.ClientID + "}" }

// Options are a Client's fixed choices.
type Options struct {
	// IDURL is the base of the token route; the secret is sent to no other host.
	// APIURL is the global API's base; a token is sent only to its host or to
	// hosts under its registered domain. Both are https, or both are loopback
	// addresses, where http will do.
	IDURL, APIURL string
	Read          Credential
	Delete        Credential    // used only for deletes; empty = Read
	Timeout       time.Duration // of one call
	Now           func() time.Time
	TLS           *tls.Config      // nil = the system's roots
	Budget        action.Budget    // of calls per credential; nil = unlimited
	Snapshots     action.Snapshots // the inventories as they were last read; nil = Central is always asked itself
	// Groups are the globs over groups of Central's that the policy in force names;
	// nil = none. Only where there are some are groups read.
	Groups func() []string
	// OnReading is called when a reading of an inventory has ended; nil = nothing is.
	OnReading func(Reading)
	// Dial opens connections; nil = a plain dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client asks Central. It is safe for concurrent use and holds nothing but
// tokens, hosts and counts that it can ask for again.
type Client struct {
	hosts   hosts
	timeout time.Duration
	now     func() time.Time
	tls     *tls.Config
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	http    *http.Client
	budget  action.Budget
	snaps   action.Snapshots
	onRead  func(Reading)
	aside   sync.WaitGroup  // readings of inventories, and reads for several callers
	ending  context.Context // ends them
	end     context.CancelFunc
	batches sync.Map // tenant -> *batch
	reads   *account
	deletes *account

	groups  func() []string
	tenants memo[*policy.TenantGroups] // by tenant and globs; for looks without a snapshot
	kept    sync.Map                   // tenant -> keptGroups, as the snapshot has them

	newest memo[time.Time] // newest last-seen time by tenant
	counts memo[int]       // number of devices by tenant
}

var _ action.Central = (*Client)(nil)

// New returns a Client, or an error for a setting that can't be used. It sends
// nothing.
func New(o Options) (*Client, error) {
	h, err := newHosts(o.IDURL, o.APIURL)
	if err != nil {
		return nil, err
	}
	if o.Read.ClientID == "" || o.Read.ClientSecret == "" {
		return nil, errors.New("credential for reads is missing")
	}
	if o.Timeout <= 0 {
		return nil, errors.New("timeout must be positive")
	}
	c := &Client{hosts: h, timeout: o.Timeout, now: o.Now, tls: o.TLS, dial: o.Dial, budget: o.Budget, snaps: o.Snapshots, onRead: o.OnReading, groups: o.Groups}
	c.ending, c.end = context.WithCancel(context.Background())
	if c.now == nil {
		c.now = time.Now
	}
	if c.groups == nil {
		c.groups = func() []string { return nil }
	}
	if c.onRead == nil {
		c.onRead = func(Reading) {}
	}
	if c.dial == nil {
		c.dial = (&net.Dialer{Timeout: o.Timeout}).DialContext
	}
	c.http = &http.Client{Transport: c.transport(), CheckRedirect: noRedirects}
	c.reads = c.account(o.Read)
	c.deletes = c.reads
	if o.Delete != (Credential{}) && o.Delete != o.Read {
		c.deletes = c.account(o.Delete)
	}
	return c, nil
}

// Close ends readings of inventories and reads for several callers, and frees idle
// connections. Other calls under way end by themselves.
func (c *Client) Close() {
	c.end()
	c.aside.Wait()
	c.http.CloseIdleConnections()
}

// transport is the shared transport of all calls but the DELETE.
func (c *Client) transport() *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: c.dial, TLSClientConfig: c.tls.Clone(),
		ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second,
		TLSHandshakeTimeout: c.timeout, MaxResponseHeaderBytes: 64 << 10,
	}
}

// noRedirects leaves a redirect as it is: a token must not travel by itself.
func noRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
