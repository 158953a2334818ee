// Package ledger keeps in Redis what rollcall remembers: the state of each
// device, tickets, intents, limits, failures and the audit trail; and what
// replicas share of Central: the budget of calls, and the snapshots of inventories.
// It decides what may happen at the same time and what may not; a
// script takes one arrow of the table of states, whole or not at all. It refuses
// to know why a device should be deleted, and whether.
package ledger

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

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
	Nodes
	// Offset is added to Redis's own time in everything that is stored or
	// compared. Only tests set it, so that days can pass.
	Offset func() time.Duration
}

// Store is the ledger. It is safe for concurrent use; replicas share it through
// Redis alone.
type Store struct {
	rdb     redis.UniversalClient
	nodes   Nodes
	replica func(addr string) *redis.Client // for one visit; nil without Sentinel
	offset  func() time.Duration
	scripts map[string]*redis.Script
	tenants sync.Map // tenant ids that are in the set of tenants already: whether also in that of those begun
}

// Open connects to Redis. It does not wait for it: a store that is away answers
// ErrState until it is back.
func Open(o Options) (*Store, error) {
	s := &Store{nodes: o.Nodes, offset: o.Offset}
	if err := s.connect(o); err != nil {
		return nil, err
	}
	if s.offset == nil {
		s.offset = func() time.Duration { return 0 }
	}
	return s, s.load()
}

// load builds the scripts: each behind what those of its kind share. Those of a
// device's state have the table of arrows, the names of the keys and the prelude.
func (s *Store) load() error {
	s.scripts = map[string]*redis.Script{}
	return errors.Join(
		s.scriptsOf(luaTable()+luaKeys(), "prelude", "note", "begin", "settle", "open", "close", "switch", "ack", "forget", "age", "replay"),
		s.scriptsOf("", "snapshot", "snapshot_find", "snapshot_begin", "snapshot_write", "snapshot_end", "snapshot_put"),
		s.scriptsOf("", "", "release", "retake", "exported", "trim", "book", "slow"),
	)
}

// scriptsOf builds scripts of one kind, behind a text and a shared file; empty = none.
func (s *Store) scriptsOf(before, shared string, names ...string) error {
	if shared != "" {
		src, err := sources.ReadFile("lua/" + shared + ".lua")
		if err != nil {
			return err
		}
		before += string(src)
	}
	for _, name := range names {
		src, err := sources.ReadFile("lua/" + name + ".lua")
		if err != nil {
			return err
		}
		s.scripts[name] = redis.NewScript(before + string(src))
	}
	return nil
}

// Close ends all connections.
func (s *Store) Close() error { return s.rdb.Close() }

// Ping reports whether Redis answers, of a cluster the node that has the mark: one
// that is down may still answer PING.
func (s *Store) Ping(ctx context.Context) error { return away(s.rdb.Exists(ctx, keyMark).Err()) }

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

// args are what a script is told, by name.
type args map[string]any

// call is one run of a script. What is only stored goes beside the JSON of the
// arguments: it would be decoded for nothing.
type call struct {
	script   string
	dev      action.Ref
	ticketID string // empty = no ticket's
	entry    string // of the audit trail, JSON
	stored   string // one more text
	args     args
}

// argv is the call as the prelude takes it apart, with what all scripts need.
func (s *Store) argv(c call) ([]any, error) {
	all := args{"offset": s.offset().Milliseconds(), "endpoint": c.dev.EndpointID}
	maps.Copy(all, c.args)
	b, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("script %s: %w", c.script, err)
	}
	return []any{string(b), c.entry, c.stored}, nil
}

// run runs a script for a device. The mark, and the index of host names, lie
// beside it and go along in the same round trip. A pipeline has no fall-back for a
// script that Redis has forgotten, so that is here: such a script did not run.
func (s *Store) run(ctx context.Context, c call) (reply, error) {
	trust, _ := c.args["trust"].(bool)
	if err := s.enrol(ctx, c.dev.TenantID); err != nil && (!trust || !errors.Is(err, action.ErrUntrusted)) {
		return reply{}, err
	}
	argv, err := s.argv(c)
	if err != nil {
		return reply{}, err
	}
	r, err := s.exec(ctx, c, argv, s.scripts[c.script].EvalSha)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		r, err = s.exec(ctx, c, argv, s.scripts[c.script].Eval) // the whole script, to whichever node has the keys
	}
	if err != nil {
		return reply{}, away(fmt.Errorf("script %s: %w", c.script, err))
	}
	if r.Untrusted {
		return reply{}, fmt.Errorf("%w: %w", action.ErrState, action.ErrUntrusted)
	}
	if r.Seq == 1 {
		if err := s.begun(ctx, c, r); err != nil {
			return reply{}, err
		}
	}
	if err := s.hasBegun(ctx, c.dev.TenantID, r.Seq); err != nil {
		return reply{}, err
	}
	return r, nil
}

// begun sees to a trail that begins with this call.
func (s *Store) begun(ctx context.Context, c call, r reply) error {
	// A trail that begins: the store is new, or was flushed or set back since the
	// tenant was enrolled, and has forgotten it; whoever goes through all tenants
	// would pass it over.
	s.tenants.Delete(c.dev.TenantID)
	if err := s.enrol(ctx, c.dev.TenantID); err != nil {
		return err
	}
	if r.paused == "" || c.script == "replay" { // where the trail tells what it told before
		return nil
	}
	// Nothing that is exported tells of a global switch that was thrown before there
	// was a trail to tell it in.
	return s.tell(ctx, []string{c.dev.TenantID}, action.Mark{Action: "pause", Outcome: "holds", By: "rollcall"}, "",
		map[string]any{"reason": r.paused, "global": true})
}

// evaluation is how a script is sent: by its digest, or whole.
type evaluation func(ctx context.Context, c redis.Scripter, keys []string, argv ...any) *redis.Cmd

// exec is the round trip of run.
func (s *Store) exec(ctx context.Context, c call, argv []any, eval evaluation) (reply, error) {
	pipe := s.rdb.Pipeline()
	var keys []string
	for _, k := range scriptKeys(c) {
		keys = append(keys, k.key)
	}
	ran := eval(ctx, pipe, keys, argv...)
	id, pause := pipe.Get(ctx, keyMark), pipe.HGet(ctx, keyPause, "paused")
	host, _ := c.args["hostname"].(string)
	if short := shortName(host); short != "" {
		pipe.SAdd(ctx, keyHost.of(c.dev.TenantID, short), c.dev.EndpointID)
	}
	_, _ = pipe.Exec(ctx) // each command's own error says more
	raw, err := ran.Text()
	if err != nil {
		return reply{}, err
	}
	var r reply
	if err := r.beside(id, pause); err != nil {
		return reply{}, err
	}
	return r, json.Unmarshal([]byte(raw), &r)
}

// shortName is a host name up to its first dot, in lower case.
func shortName(host string) string {
	short, _, _ := strings.Cut(strings.ToLower(host), ".")
	return short
}

// at is a time kept in milliseconds; none is the zero time.
func at(ms string) time.Time {
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil || n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

// texts are the fields that an HMGET asked for; one that does not exist is empty.
func texts(c *redis.SliceCmd) []string {
	out := make([]string, len(c.Args())-2) // but the command and the key
	for i, v := range c.Val() {
		out[i], _ = v.(string)
	}
	return out
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
