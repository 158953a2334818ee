package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/rs/zerolog"

	"rollcall/internal/action"
	"rollcall/internal/central"
	"rollcall/internal/centralsim"
	"rollcall/internal/httpapi"
	"rollcall/internal/ledger"
	"rollcall/internal/policy"
	"rollcall/internal/seal"
)

// system is the whole service but its process: the real edge, actions, policy,
// ledger and Central client, over an embedded Redis and a simulated Central.
type system struct {
	t      testing.TB
	url    string
	fake   string // the simulated Central's address
	http   *http.Client
	sim    *centralsim.Sim
	store  *ledger.Store
	redis  *miniredis.Miniredis
	runner *action.Runner
	lists  action.Inventory
	offset *atomic.Int64
	apart  atomic.Int64 // how far the store's clock is ahead of this process's
	rules  *atomic.Pointer[action.Rules]
	sample map[string]centralsim.SampleDevice
	tokens string       // key for seal
	booked atomic.Int64 // calls to Central that the budget gave
}

// counted is a budget that counts what it gives.
type counted struct {
	action.Budget
	booked *atomic.Int64
}

func (c counted) Book(ctx context.Context, credential string, kind action.CallKind, most time.Duration) (time.Duration, bool, error) {
	wait, booked, err := c.Budget.Book(ctx, credential, kind, most)
	if booked {
		c.booked.Add(1)
	}
	return wait, booked, err
}

// setup is what tests may choose.
type setup struct {
	redisURL      string             // a real one, instead of redis
	edge          func(http.Handler) // is given the edge
	mode          string
	keyRate       int
	books         func(action.Books) action.Books
	contract      *contract
	redis         *miniredis.Miniredis
	central       time.Duration
	actionTimeout time.Duration
	tokens        string
	sameClock     *atomic.Int64
	sim           *centralsim.Sim
	apart         time.Duration // how far the store's clock is ahead of the process's
	rates         []ledger.Rate // a budget of calls to Central; none = unlimited
	snapshot      bool          // whether the snapshot may answer
	spec          []byte        // the contract, where it is asked for; none = a small one, since that takes longer to read than most tests
}

// storeTime is what the store may take. On a busy machine, where many come at once, a
// connection takes its time.
const storeTime = 10 * time.Second

// params is the policy of the tests: roomy limits, and what the sample needs.
func params() policy.Params {
	dn := func(parts ...string) (d policy.DN) {
		for _, p := range parts {
			d = append(d, []string{p})
		}
		return d
	}
	p := policy.DefaultParams()
	p.Version = "test"
	p.DisabledOUs = []policy.DN{dn("ou=Disabled", "dc=corp", "dc=example", "dc=test")}
	p.Domains = map[string]string{"CORPEX": "corp.example.test"}
	p.VIP.Groups = []policy.DN{dn("cn=VIP", "ou=Groups", "dc=corp", "dc=example", "dc=test")}
	p.VIP.Users = []string{`corpex\ceo`}
	p.VIP.Hostnames = []string{"exec-*"}
	p.Exclusions = []policy.Exclusion{{ID: "lab", Hostnames: []string{"lab-*"}, Reason: "shared lab", Owner: "it-ops"}}
	p.Limits = policy.Limits{PerDay: []int{100}, CleanDays: 3, PercentPerDay: 100}
	return p
}

// labGroupToo is a further exclusion, which the sample's device below a group needs.
func labGroupToo(r *action.Rules) {
	r.Params.Exclusions = append(slices.Clone(r.Params.Exclusions),
		policy.Exclusion{ID: "lab-group", CentralGroups: []string{"shared lab"}, Reason: "shared lab", Owner: "it-ops"})
}

// now is the tests' clock.
func (s *system) now() time.Time { return time.Now().Add(time.Duration(s.offset.Load())) }

// pass lets time pass, for everything.
func (s *system) pass(d time.Duration) { s.offset.Add(int64(d)) }

// change changes the policy in force.
func (s *system) change(edit func(r *action.Rules)) {
	r := *s.rules.Load()
	edit(&r)
	s.rules.Store(&r)
}

// newSystem starts a service.
func newSystem(t testing.TB, opt setup) *system {
	t.Helper()
	if opt.keyRate == 0 {
		opt.keyRate = 100000
	}
	if opt.mode == "" {
		opt.mode = action.LiveMode
	}
	if opt.redis == nil && opt.redisURL == "" {
		opt.redis = miniredis.RunT(t)
	}
	if opt.redisURL == "" {
		opt.redisURL = "redis://" + opt.redis.Addr()
	}
	if opt.tokens == "" {
		opt.tokens = seal.NewKey()
	}
	if opt.central == 0 {
		opt.central = 10 * time.Second
	}
	if opt.actionTimeout == 0 {
		opt.actionTimeout = 20 * time.Second // a busy machine takes its time
		if opt.rates != nil {
			opt.actionTimeout = 4 * time.Second // who would wait for a call's turn is told to come again
		}
	}
	s := &system{t: t, redis: opt.redis, offset: opt.sameClock, rules: &atomic.Pointer[action.Rules]{}, sample: map[string]centralsim.SampleDevice{}, tokens: opt.tokens}
	if s.offset == nil {
		s.offset = &atomic.Int64{}
	}
	s.apart.Store(int64(opt.apart))
	s.rules.Store(&action.Rules{Params: params()})
	s.startSim(opt.sim)
	s.open(opt)
	return s
}

// startSim starts a simulated Central, or takes another system's.
func (s *system) startSim(sim *centralsim.Sim) {
	if s.sim = sim; sim == nil {
		s.sim = centralsim.New(centralsim.Options{Now: s.now, ClientID: "id", ClientSecret: "secret", ID: centralsim.SampleTenant})
	}
	sample := centralsim.Sample(s.now())
	if sim == nil {
		s.sim.Load(sample)
	}
	for _, d := range sample {
		s.sample[d.Case] = d
	}
}

// open opens everything that a process opens.
func (s *system) open(opt setup) {
	t := s.t
	fake := httptest.NewServer(s.sim)
	t.Cleanup(fake.Close)
	s.fake = fake.URL
	var err error
	s.store, err = ledger.Open(ledger.Options{
		URL: opt.redisURL, Timeout: storeTime, Offset: func() time.Duration { return time.Duration(s.offset.Load() + s.apart.Load()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.store.Close() })
	o := central.Options{
		IDURL: fake.URL, APIURL: fake.URL, Read: central.Credential{ClientID: "id", ClientSecret: "secret"}, Timeout: opt.central, Now: s.now,
		Groups: func() []string { return s.rules.Load().Params.CentralGroups() },
	}
	if opt.rates != nil {
		o.Budget = counted{s.store.Budget(opt.rates), &s.booked}
	}
	if opt.snapshot {
		o.Snapshots = s.store.Snapshots()
	}
	client, err := central.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s.lists = client
	mark, _, err := s.store.InitMark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.ParseKeys(opt.tokens)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(keys)
	if err != nil {
		t.Fatal(err)
	}
	s.runner = action.New(client, s.store, sealer, func() action.Rules { return *s.rules.Load() }, s.now,
		action.Settings{Mode: opt.mode, ActionTimeout: opt.actionTimeout, CentralTimeout: opt.central, BookTime: storeTime, Installation: mark})
	s.serve(opt)
	// A delete that outlives its request must end before what it needs is closed.
	t.Cleanup(func() { _ = s.runner.Wait(context.Background()) })
}

// serve starts the edge.
func (s *system) serve(opt setup) {
	t := s.t
	yaml := "keys:\n"
	for name, scopes := range map[string]string{"dev": strings.Join(httpapi.Scopes(), ", "), "reader": "read"} {
		yaml += fmt.Sprintf("  - {name: %s, sha256: %s, scopes: [%s]}\n", name, httpapi.Digest(name), scopes)
	}
	keys, err := httpapi.ParseKeys([]byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	var books action.Books = s.store
	if opt.books != nil {
		books = opt.books(books)
	}
	if opt.spec == nil {
		opt.spec = []byte(`{openapi: 3.0.3, info: {title: t, version: "1"}, paths: {}, components: {}}`)
	}
	edge, err := httpapi.New(httpapi.Config{
		Runner: s.runner, Books: books, Keys: func() *httpapi.Keys { return keys }, Ready: s.store.Ping, Log: zerolog.Nop(),
		Spec: opt.spec, Version: "test", Mode: opt.mode, KeyRate: opt.keyRate, Now: s.now, Candidate: candidate, Inventory: s.lists,
	})
	if err != nil {
		t.Fatal(err)
	}
	if opt.edge != nil {
		opt.edge(edge)
	}
	server := httptest.NewServer(edge)
	t.Cleanup(server.Close)
	s.url, s.http = server.URL, server.Client()
	if opt.contract != nil {
		s.http = opt.contract.Watch(t, s.http)
	}
}

// answer is an action's answer, or an error's.
type answer map[string]any

// is reads a text field.
func (a answer) is(name string) string { s, _ := a[name].(string); return s }

// codes are the codes of all reasons.
func (a answer) codes() (out []string) {
	reasons, _ := a["reasons"].([]any)
	for _, r := range reasons {
		m, _ := r.(map[string]any)
		out = append(out, fmt.Sprint(m["code"]))
	}
	return out
}

// call sends a request as the key dev and reads the JSON of the answer.
func (s *system) call(method, path string, body any) (int, answer) {
	s.t.Helper()
	status, raw := s.raw(method, path, body)
	a := answer{}
	if err := json.Unmarshal(raw, &a); err != nil {
		s.t.Fatalf("%s %s: %d %s", method, path, status, raw)
	}
	return status, a
}

// raw is call without reading the answer.
func (s *system) raw(method, path string, body any) (int, []byte) {
	s.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	if body == nil {
		b = nil
	}
	req, err := http.NewRequestWithContext(context.Background(), method, s.url+path, bytes.NewReader(b))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer dev")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, out
}

// act calls an action that must answer 200.
func (s *system) act(name string, body map[string]any) answer {
	s.t.Helper()
	status, a := s.call(http.MethodPost, "/v1/actions/"+name, body)
	if status != http.StatusOK {
		s.t.Fatalf("%s: %d %v", name, status, a)
	}
	return a
}

// evaluate evaluates a sample device.
func (s *system) evaluate(label string) answer {
	s.t.Helper()
	d, ok := s.sample[label]
	if !ok {
		s.t.Fatalf("no sample device %s", label)
	}
	return s.act("evaluate", map[string]any{"event": d.Event})
}

// eligible evaluates the eligible device and returns the verdict's token.
func (s *system) eligible() string {
	s.t.Helper()
	a := s.evaluate("eligible")
	if a.is("outcome") != "delete" {
		s.t.Fatalf("the eligible device is %v", a)
	}
	return a.is("token")
}

// remove calls delete.
func (s *system) remove(token string) answer {
	s.t.Helper()
	return s.act("delete", map[string]any{"token": token})
}

// approved opens a ticket with the token and closes it with delete.
func (s *system) approved(ticket, token string) string {
	s.t.Helper()
	a := s.act("ticket-open", map[string]any{"token": token, "ticketId": ticket, "openedBy": "ann"})
	if a.is("outcome") != "opened" {
		s.t.Fatalf("ticket-open: %v", a)
	}
	return s.decided(ticket, "delete").is("token")
}

// decided closes a ticket.
func (s *system) decided(ticket, decision string) answer {
	s.t.Helper()
	return s.act("ticket-close", map[string]any{"ticketId": ticket, "decision": decision, "decidedBy": "bob"})
}
