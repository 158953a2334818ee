package central

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

const (
	tenantID = "3f6c1a52-8d0e-4b7a-9c11-5e2a7d904b10"
	other    = "e7d3b950-2c64-4f18-9b0a-1d6f8c4e7a23"
	partner  = "b81d7c3e-0f42-4a96-8e5d-6c9a1f2b3d40"
	deviceID = "1a0b6f2c-5d3e-4a71-8c94-0e7f1b2d3a46"
	devices  = "/endpoint/v1/endpoints"
	tokens   = "/api/v2/oauth2/token"
	secret   = "s3cret-never-shown"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a client before a simulated Central, with a clock that tests move.
type rig struct {
	*Client
	sim *centralsim.Sim
	srv *httptest.Server
	ns  atomic.Int64
}

func (r *rig) clock() time.Time     { return time.Unix(0, r.ns.Load()).UTC() }
func (r *rig) pass(d time.Duration) { r.ns.Add(int64(d)) }

var dev = action.Ref{TenantID: tenantID, EndpointID: deviceID}

// newRig starts a simulator with one device, seen long ago, and one seen just
// now. The options of both sides may be changed.
func newRig(tb testing.TB, sim func(*centralsim.Options), client func(*Options)) *rig {
	tb.Helper()
	r := &rig{}
	r.ns.Store(time.Now().Truncate(time.Millisecond).UnixNano())
	so := centralsim.Options{Now: r.clock, ClientID: "app", ClientSecret: secret, ReadOnlyClientID: "reader", ReadOnlyClientSecret: secret + "2", ID: tenantID}
	if sim != nil {
		sim(&so)
	}
	r.sim = centralsim.New(so)
	r.sim.AddTenant(centralsim.Tenant{ID: tenantID, Name: "Example"})
	r.sim.Put(tenantID, machine(deviceID, "PC-OLD-17", r.clock().Add(-200*24*time.Hour)))
	fresh := machine("aaaaaaaa-0000-4000-8000-000000000000", "PC-FRESH", time.Time{})
	fresh["lastSeenAt"] = centralsim.Ago(2 * time.Minute)
	r.sim.Put(tenantID, fresh)
	r.srv = httptest.NewServer(r.sim)
	tb.Cleanup(r.srv.Close)
	r.Client = r.another(tb, client)
	return r
}

// another makes one more client of the same simulator.
func (r *rig) another(tb testing.TB, change func(*Options)) *Client {
	tb.Helper()
	o := Options{IDURL: r.srv.URL, APIURL: r.srv.URL, Read: Credential{"app", secret}, Timeout: 5 * time.Second, Now: r.clock}
	if change != nil {
		change(&o)
	}
	return mustNew(tb, o)
}

func mustNew(tb testing.TB, o Options) *Client {
	tb.Helper()
	c, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

func machine(id, hostname string, seen time.Time) map[string]any {
	return map[string]any{"id": id, "type": "computer", "tenant": map[string]any{"id": tenantID}, "hostname": hostname,
		"lastSeenAt": seen.UTC().Format(centralLayout), "online": false, "serialNumber": "SYN1",
		"tamperProtection": map[string]any{"password": "0123", "previousPasswords": []any{}}}
}

// look looks at the one device and checks what must hold of every answer.
func (r *rig) look(ctx context.Context, tb testing.TB) (policy.Live, *action.Trouble) {
	tb.Helper()
	live, trouble := r.Look(ctx, dev, time.Hour, action.AskAll)
	sound(tb, live, trouble)
	return live, trouble
}

// sound checks that a status and its trouble fit, and that nothing is shown that
// must not be.
func sound(tb testing.TB, live policy.Live, trouble *action.Trouble) {
	tb.Helper()
	found := live.Status == policy.LiveFound || live.Status == policy.LiveNotFound
	if found == (trouble != nil) {
		tb.Errorf("status %d with trouble %+v", live.Status, trouble)
	}
	if trouble == nil {
		return
	}
	if live.Status == policy.LiveFailed && (live.Problem != trouble.Text || live.Own != trouble.Own || live.Problem == "") {
		tb.Errorf("live result %+v does not tell the trouble %+v", live, trouble)
	}
	if d := live.Device; d.ID.Known() || live.SameNamed != nil {
		tb.Errorf("a failed look shows a device: %+v", live)
	}
	discreet(tb, trouble)
}

// discreet checks that a trouble shows no host, secret, token or body.
func discreet(tb testing.TB, trouble *action.Trouble) {
	tb.Helper()
	shown := fmt.Sprintf("%+v", *trouble)
	for _, s := range []string{secret, "127.0.0.1", "eyJ", "<html", "elsewhere"} {
		if strings.Contains(shown, s) {
			tb.Errorf("trouble shows %q: %s", s, shown)
		}
	}
	if trouble.Text == "" || trouble.Class == "" {
		tb.Errorf("trouble says nothing: %s", shown)
	}
}

// raw is a client before a handler of the test's own, which gets what is not the
// token route, whoami or what it leaves to Central.
func raw(tb testing.TB, h func(w http.ResponseWriter, r *http.Request) (handled bool)) *rig {
	tb.Helper()
	r := newRig(tb, nil, nil)
	mine := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if !strings.HasPrefix(q.URL.Path, devices) || !h(w, q) {
			r.sim.ServeHTTP(w, q)
		}
	})
	srv := httptest.NewServer(mine)
	tb.Cleanup(srv.Close)
	r.srv = srv
	r.Client = r.another(tb, nil)
	return r
}

func writeJSON(w http.ResponseWriter, status int, body string) bool {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
	return true
}

// closedPort is an address at which nobody listens. It is no port that was free a
// moment ago: somebody else's test may get that one.
func closedPort() string { return "http://127.0.0.1:1" }
