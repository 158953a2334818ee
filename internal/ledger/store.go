// Package ledger keeps in Redis what rollcall remembers: the state of each
// device, tickets, intents, limits, failures and the audit trail. It decides
// what may happen at the same time and what may not; one script is one arrow of
// the table of states. It refuses to know why a device should be deleted, and
// whether.
package ledger

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
)

//go:embed lua/*.lua
var sources embed.FS

var (
	_ action.Ledger = (*Store)(nil)
	_ action.Books  = (*Store)(nil)
)

// Options says where the store is. Only URL is needed.
type Options struct {
	URL     string        // redis://, rediss:// or unix://
	Timeout time.Duration // of dialling, one read and one write; 2 s if zero
	Keep    Retention     // how long what is over stays on record
	// Offset is added to Redis's own time in everything that is stored or
	// compared. Only tests set it, so that days can pass.
	Offset func() time.Duration
}

// Store is the ledger. It is safe for concurrent use; replicas share it through
// Redis alone.
type Store struct {
	rdb     *redis.Client
	offset  func() time.Duration
	scripts map[string]*redis.Script
	keep    Retention
	tenants sync.Map // tenant ids that are in the set of tenants already
}

// Open connects to Redis. It does not wait for it: a store that is away answers
// ErrState until it is back.
func Open(_ context.Context, o Options) (*Store, error) {
	opt, err := redis.ParseURL(o.URL)
	if err != nil {
		return nil, errors.New("redis URL: must be redis://, rediss:// or unix://")
	}
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = 2 * time.Second
	}
	opt.ContextTimeoutEnabled = true // or a deadline would not interrupt a stalled read
	opt.MaxRetries = -1              // or a write could be sent twice unseen
	opt.DialerRetries = 1
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout, opt.PoolTimeout = timeout, timeout, timeout, timeout
	s := &Store{rdb: redis.NewClient(opt), offset: o.Offset, keep: o.Keep.orDefault()}
	if s.offset == nil {
		s.offset = func() time.Duration { return 0 }
	}
	return s, s.load()
}

// load builds the scripts: the table of arrows, the prelude, the script.
func (s *Store) load() error {
	s.scripts = map[string]*redis.Script{}
	prelude, err := sources.ReadFile("lua/prelude.lua")
	if err != nil {
		return err
	}
	for _, name := range []string{"note", "begin", "settle", "open", "close", "switch", "ack", "forget", "age", "replay"} {
		src, err := sources.ReadFile("lua/" + name + ".lua")
		if err != nil {
			return err
		}
		s.scripts[name] = redis.NewScript(luaTable() + string(prelude) + string(src))
	}
	for _, name := range []string{"release", "retake", "exported", "trim"} { // of few keys, without the prelude
		src, err := sources.ReadFile("lua/" + name + ".lua")
		if err != nil {
			return err
		}
		s.scripts[name] = redis.NewScript(string(src))
	}
	return nil
}

// Close ends all connections.
func (s *Store) Close() error { return s.rdb.Close() }

// Ping reports whether Redis answers.
func (s *Store) Ping(ctx context.Context) error { return away(s.rdb.Ping(ctx).Err()) }

// away turns any error of Redis into ErrState: what it did is not known. A store
// that answers and refuses to write is told apart: it needs an operator.
func away(err error) error {
	if err == nil {
		return nil
	}
	for _, refusal := range []string{"OOM", "MISCONF", "READONLY", "NOREPLICAS"} {
		if redis.HasErrorPrefix(err, refusal) || strings.Contains(err.Error(), ": "+refusal+" ") {
			return fmt.Errorf("%w: %w: %w", action.ErrState, action.ErrStateFull, err)
		}
	}
	return fmt.Errorf("%w: %w", action.ErrState, err)
}

// reply is what the scripts answer.
type reply struct {
	Seq     int64   `json:"seq"`
	State   string  `json:"state"`
	Now     int64   `json:"now"`
	Fails   int     `json:"fails"`
	Code    string  `json:"code"`
	Text    string  `json:"text"`
	Retry   float64 `json:"retry"` // milliseconds
	Outcome string  `json:"outcome"`
	Ticket  string  `json:"ticket"`
	Gone    int     `json:"gone"`

	Untrusted bool `json:"untrusted"`

	installation string
	paused       string // why the global switch is on; empty = it is not
}

// args are a script's argument.
type args map[string]any

// run runs a script for a device and adds what all of them need. The mark, and
// the index of host names, lie beside it and go along in the same round trip. A
// pipeline has no fall-back for a script that Redis has forgotten, so that is
// here: such a script did not run.
func (s *Store) run(ctx context.Context, name string, dev action.Ref, ticketID string, a args) (reply, error) {
	if err := s.enrol(ctx, dev.TenantID); err != nil {
		return reply{}, err
	}
	a["offset"], a["endpoint"] = s.offset().Milliseconds(), dev.EndpointID
	// What is only stored goes beside the JSON: it would be decoded for nothing.
	texts := []any{a["entry"], ""}
	if a["stored"] != nil {
		texts[1] = a["stored"]
	}
	delete(a, "entry")
	delete(a, "stored")
	b, err := json.Marshal(a)
	if err != nil {
		return reply{}, fmt.Errorf("script %s: %w", name, err)
	}
	argv := append([]any{string(b)}, texts...)
	keys := scriptKeys(dev.TenantID, dev.EndpointID, ticketID)
	host, _ := a["hostname"].(string)
	r, err := s.exec(ctx, s.scripts[name], keys, argv, dev, host)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		if err := s.scripts[name].Load(ctx, s.rdb).Err(); err != nil {
			return reply{}, away(err)
		}
		r, err = s.exec(ctx, s.scripts[name], keys, argv, dev, host)
	}
	if err != nil {
		return reply{}, away(fmt.Errorf("script %s: %w", name, err))
	}
	if r.Untrusted {
		return reply{}, fmt.Errorf("%w: %w", action.ErrState, action.ErrUntrusted)
	}
	if r.Seq != 1 {
		return r, nil
	}
	// A trail that begins: the store is new, or was flushed or set back since the
	// tenant was enrolled, and has forgotten it; whoever goes through all tenants
	// would pass it over.
	s.tenants.Delete(dev.TenantID)
	if err := s.enrol(ctx, dev.TenantID); err != nil {
		return reply{}, err
	}
	if r.paused == "" || name == "replay" { // where the trail tells what it told before
		return r, nil
	}
	// Nothing that is exported tells of a global switch that was thrown before there
	// was a trail to tell it in.
	return r, s.tell(ctx, []string{dev.TenantID}, action.Mark{Action: "pause", Outcome: "holds", By: "rollcall"}, "",
		map[string]any{"reason": r.paused, "global": true})
}

// exec is the round trip of run.
func (s *Store) exec(ctx context.Context, script *redis.Script, keys []string, argv []any, dev action.Ref, host string) (reply, error) {
	pipe := s.rdb.Pipeline()
	ran := pipe.EvalSha(ctx, script.Hash(), keys, argv...)
	id, pause := pipe.Get(ctx, keyMark), pipe.HGet(ctx, keyPause, "paused")
	if short := shortName(host); short != "" {
		pipe.SAdd(ctx, hostKey(dev.TenantID, short), dev.EndpointID)
	}
	_, _ = pipe.Exec(ctx) // each command's own error says more
	raw, err := ran.Text()
	if err != nil {
		return reply{}, err
	}
	for _, c := range []*redis.StringCmd{id, pause} {
		if err := c.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return reply{}, err
		}
	}
	r := reply{installation: id.Val()}
	if pause.Err() == nil {
		r.paused = reasonOf(pause.Val())
	}
	return r, json.Unmarshal([]byte(raw), &r)
}

// shortName is a host name up to its first dot, in lower case.
func shortName(host string) string {
	short, _, _ := strings.Cut(strings.ToLower(host), ".")
	return short
}

// enrol puts a tenant into the set of tenants, once per process.
func (s *Store) enrol(ctx context.Context, tenantID string) error {
	if _, ok := s.tenants.Load(tenantID); ok {
		return nil
	}
	if err := s.rdb.SAdd(ctx, keyTenants, tenantID).Err(); err != nil {
		return away(err)
	}
	s.tenants.Store(tenantID, true)
	return nil
}

// Mark is the installation id; empty when the store has none.
func (s *Store) Mark(ctx context.Context) (string, error) {
	id, err := s.rdb.Get(ctx, keyMark).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return id, away(err)
}

// InitMark marks the store as rollcall's. A store that is marked keeps its id.
func (s *Store) InitMark(ctx context.Context) (id string, existed bool, err error) {
	id = newMark()
	ok, err := s.rdb.SetNX(ctx, keyMark, id, 0).Result()
	if err != nil || ok {
		return id, false, away(err)
	}
	id, err = s.Mark(ctx)
	return id, true, err
}

// newMark is a new installation's id.
func newMark() string { return uuid.NewString() }

// Weak lists the settings under which Redis may lose an acknowledged write or
// evict a key, each with what it should be. A setting that can't be read is weak.
func (s *Store) Weak(ctx context.Context) ([]string, error) {
	if err := s.Ping(ctx); err != nil {
		return nil, err
	}
	var weak []string
	for _, want := range [][2]string{{"appendonly", "yes"}, {"appendfsync", "always"}, {"maxmemory-policy", "noeviction"}} {
		got, err := s.rdb.ConfigGet(ctx, want[0]).Result()
		switch {
		case err != nil:
			weak = append(weak, want[0]+" can't be read, should be "+want[1])
		case !strings.EqualFold(got[want[0]], want[1]):
			weak = append(weak, want[0]+" is "+got[want[0]]+", should be "+want[1])
		}
	}
	return weak, nil
}

// at is a time kept in milliseconds; none is the zero time.
func at(ms string) time.Time {
	var n int64
	if _, err := fmt.Sscan(ms, &n); err != nil || n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

// entry is the audit entry of a step.
func entry(m action.Mark, more map[string]any) (string, error) {
	e := map[string]any{
		"action": m.Action, "outcome": m.Outcome, "reasonCode": string(m.Code), "tenantId": m.Dev.TenantID,
		"endpointId": m.Dev.EndpointID, "hostname": m.Hostname, "by": m.By, "requestId": m.RequestID,
		"mode": m.Mode, "policyVersion": m.PolicyVersion,
	}
	for k, v := range more {
		e[k] = v
	}
	b, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("audit entry: %w", err)
	}
	return string(b), nil
}

// failed is a trouble as the scripts take it; false for none, since a null is
// true to Redis's Lua.
func failed(t *action.Trouble) any {
	if t == nil {
		return false
	}
	return args{"class": string(t.Class), "text": t.Text, "correlation": t.CorrelationID, "outage": t.Outage}
}
