// Package central decides how Sophos Central is asked: which host may see a
// token, what counts as an answer, what may be tried again, which reads are made
// together or answered from the roll, and when a DELETE may leave. It refuses to
// know what an answer means for a device: whatever is not plainly found or plainly
// not found is handed on as a failure.
package central

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

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
	TLS           *tls.Config   // nil = the system's roots
	Budget        action.Budget // of calls per credential; nil = unlimited
	Roll          action.Roll   // the inventories as they were last read; nil = Central is always asked itself
	// Shared are the reads of single devices that are made together with other
	// processes; nil = each makes its own. MergeWindow is how long a read waits for
	// others where many ask, and MergeSize how many devices one call may name; zero =
	// 500 ms and 100.
	Shared      action.SharedReads
	MergeWindow time.Duration
	MergeSize   int
	// Groups are the globs over groups of Central's that the policy in force names;
	// nil = none. Only where there are some are groups read.
	Groups func() []string
	// Told is told how each reading of an inventory for the roll ended; nil = nobody is.
	Told func(Reading)
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
	roll    action.Roll
	told    func(Reading)
	aside   sync.WaitGroup  // readings of inventories, and reads for many
	ending  context.Context // ends them
	end     context.CancelFunc
	merging merger
	shared  action.SharedReads
	sharing sharing
	reads   *account
	deletes *account

	groups  func() []string
	tenants memo[*policy.TenantGroups] // by tenant and globs

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
	c := &Client{hosts: h, timeout: o.Timeout, now: o.Now, tls: o.TLS, dial: o.Dial, budget: o.Budget, roll: o.Roll, told: o.Told, shared: o.Shared, groups: o.Groups}
	c.merging = merger{busy: cmp.Or(o.MergeWindow, mergeWindow), size: cmp.Or(o.MergeSize, mergeSize)}
	c.sharing.id = uuid.NewString()
	c.ending, c.end = context.WithCancel(context.Background())
	if c.now == nil {
		c.now = time.Now
	}
	if c.groups == nil {
		c.groups = func() []string { return nil }
	}
	if c.told == nil {
		c.told = func(Reading) {}
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

// Close ends readings of inventories and reads for many, and frees idle
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
