package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
)

// enrol puts a tenant into the set of tenants, once per process. Who has begun a
// trail and has none any more was lost: a node of a cluster was emptied, and the
// mark lies on another.
func (s *Store) enrol(ctx context.Context, tenantID string) error {
	if _, ok := s.tenants.Load(tenantID); ok {
		return nil
	}
	if err := s.rdb.SAdd(ctx, keyTenants, tenantID).Err(); err != nil {
		return away(err)
	}
	lost, begun, err := s.lost(ctx, tenantID)
	if err != nil {
		return err
	}
	if lost {
		return errors.Join(fmt.Errorf("%w: %w", action.ErrState, action.ErrUntrusted), s.Distrust(ctx, tenantID, goneRecords))
	}
	s.tenants.Store(tenantID, begun)
	return nil
}

// goneRecords is why a tenant can't be trusted whose records are gone.
const goneRecords = "its records are gone, so the store was emptied in part: " +
	"run `rollcall state restore --audit FILE`, or `rollcall state init --accept-rollback` to give up what it lost"

// lost reports whether a tenant has begun a trail, and has it no more. The trail
// comes before the note that there is one, so it is looked for after that.
func (s *Store) lost(ctx context.Context, tenantID string) (lost, begun bool, err error) {
	if begun, err = s.rdb.SIsMember(ctx, keyBegun, tenantID).Result(); err != nil || !begun {
		return false, false, away(err)
	}
	has, err := s.rdb.HExists(ctx, keyMeta.of(tenantID), "seq").Result()
	return err == nil && !has, true, away(err)
}

// hasBegun notes that a tenant has a trail, once per process.
func (s *Store) hasBegun(ctx context.Context, tenantID string, seq int64) error {
	if noted, _ := s.tenants.Load(tenantID); noted == true || seq == 0 {
		return nil
	}
	if err := s.rdb.SAdd(ctx, keyBegun, tenantID).Err(); err != nil {
		return away(err)
	}
	s.tenants.Store(tenantID, true)
	return nil
}

// spreadWait is how long replicas are waited for. It is a part of the two seconds
// within which a DELETE must leave.
const spreadWait = 500 * time.Millisecond

// errAlone is of a master without replicas that follow it.
var errAlone = errors.New("too few replicas have what was written")

// spread waits until as many replicas as are asked for have what was written up to
// now in the slot of a key. Redis waits for what came by the same connection, and
// replicas take everything in order: so the key is written first, by one connection.
// What also asks goes along, and is of the master that the replicas follow.
func (s *Store) spread(ctx context.Context, key string, also func(redis.Pipeliner)) error {
	master, err := s.master(ctx, key)
	if err != nil {
		return away(err)
	}
	pipe := master.Pipeline()
	wrote := pipe.Set(ctx, key, "1", time.Minute)
	also(pipe)
	have := pipe.Do(ctx, "wait", s.nodes.Replicas, spreadWait.Milliseconds())
	_, _ = pipe.Exec(ctx) // each command's own error says more
	n, err := have.Int()
	switch err := cmp.Or(wrote.Err(), err); {
	case err != nil:
		return away(err)
	case n < s.nodes.Replicas:
		return away(errAlone)
	}
	return nil
}

// master is the client of the node that has a key.
func (s *Store) master(ctx context.Context, key string) (*redis.Client, error) {
	switch rdb := s.rdb.(type) {
	case *redis.ClusterClient:
		return rdb.MasterForKey(ctx, key)
	case *redis.Client:
		return rdb, nil
	}
	return nil, fmt.Errorf("a client of kind %T", s.rdb)
}

// confirm makes sure of an intent where another Redis can come to be in charge: it
// is still on record there, and replicas have it. And in a cluster the mark and the
// global switch, which lie on another node, are read once more, behind the intent.
func (s *Store) confirm(ctx context.Context, in action.Intent, r *reply) error {
	if s.nodes.Replicas > 0 {
		var token *redis.StringCmd
		err := s.spread(ctx, keySpread.of(in.Dev.TenantID), func(p redis.Pipeliner) {
			token = p.HGet(ctx, keyDevice.of(in.Dev.TenantID, in.Dev.EndpointID), "intentToken")
		})
		if err == nil && token.Val() != in.TokenID {
			err = away(errors.New("the intent is not on record any more"))
		}
		if err != nil {
			return err
		}
	}
	if !s.nodes.Cluster {
		return nil
	}
	pipe := s.rdb.Pipeline()
	mark, pause := pipe.Get(ctx, keyMark), pipe.HGet(ctx, keyPause, "paused")
	_, _ = pipe.Exec(ctx) // each command's own error says more
	return r.beside(mark, pause)
}

// beside takes what lies in other slots than the tenant.
func (r *reply) beside(mark, pause *redis.StringCmd) error {
	for _, c := range []*redis.StringCmd{mark, pause} {
		if err := c.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return away(err)
		}
	}
	r.installation, r.paused = mark.Val(), ""
	if pause.Err() == nil {
		r.paused = reasonOf(pause.Val())
	}
	return nil
}

// setting is one of Redis that live mode asks for.
type setting struct {
	name, want string
	ok         func(got string) bool
}

// settings are all of them. Where another Redis can come to be in charge, what a
// master acknowledged alone is lost with it; so it must have a replica that was
// heard of lately, or refuse to write.
func (n Nodes) settings() []setting {
	out := []setting{}
	for _, want := range [][2]string{{"appendonly", "yes"}, {"appendfsync", "always"}, {"maxmemory-policy", "noeviction"}} {
		out = append(out, setting{want[0], want[1], func(got string) bool { return strings.EqualFold(got, want[1]) }})
	}
	between := func(least, most int) func(string) bool {
		return func(got string) bool {
			n, err := strconv.Atoi(got)
			return err == nil && n >= least && n <= most
		}
	}
	if n.several() {
		out = append(out, setting{"min-replicas-to-write", "1 or more", between(1, 1<<30)},
			setting{"min-replicas-max-lag", "from 1 to 10", between(1, 10)})
	}
	return out
}

// weakOf lists what is weak of one node; its name is empty where it is the only one.
func (n Nodes) weakOf(ctx context.Context, name string, rdb *redis.Client) (weak []string) {
	of := ""
	if name != "" {
		of = " of " + name
	}
	for _, want := range n.settings() {
		got, err := rdb.ConfigGet(ctx, want.name).Result()
		switch {
		case err != nil:
			weak = append(weak, want.name+of+" can't be read, should be "+want.want)
		case !want.ok(got[want.name]):
			weak = append(weak, want.name+of+" is "+got[want.name]+", should be "+want.want)
		}
	}
	return weak
}

// Weak lists the settings under which Redis may lose an acknowledged write or
// evict a key, each with what it should be. A setting that can't be read is weak.
// Every node is asked, replicas too: they are there to take over.
func (s *Store) Weak(ctx context.Context) ([]string, error) {
	if err := s.Ping(ctx); err != nil {
		return nil, err
	}
	switch rdb := s.rdb.(type) {
	case *redis.ClusterClient:
		return s.weakCluster(ctx, rdb), nil
	case *redis.Client:
		if s.nodes.SentinelMaster == "" {
			return s.nodes.weakOf(ctx, "", rdb), nil
		}
		return s.weakSentinel(ctx, rdb), nil
	}
	return []string{fmt.Sprintf("the settings of a client of kind %T can't be read", s.rdb)}, nil
}

// weakCluster asks all nodes of a cluster.
func (s *Store) weakCluster(ctx context.Context, rdb *redis.ClusterClient) []string {
	var mu sync.Mutex
	asked, weak := 0, []string{}
	err := rdb.ForEachShard(ctx, func(ctx context.Context, node *redis.Client) error {
		of := s.nodes.weakOf(ctx, node.Options().Addr, node)
		mu.Lock()
		defer mu.Unlock()
		asked, weak = asked+1, append(weak, of...)
		return nil
	})
	if err != nil || asked == 0 {
		weak = append(weak, "the nodes of the cluster can't be listed, so their settings can't be read")
	}
	slices.Sort(weak)
	return weak
}

// weakSentinel asks the master and the replicas that it knows.
func (s *Store) weakSentinel(ctx context.Context, rdb *redis.Client) []string {
	weak := s.nodes.weakOf(ctx, "the master", rdb)
	info, err := rdb.Info(ctx, "replication").Result()
	if err != nil {
		return append(weak, "the replicas can't be listed, so their settings can't be read")
	}
	for _, addr := range replicas(info) {
		node := s.replica(addr)
		weak = append(weak, s.nodes.weakOf(ctx, addr, node)...)
		_ = node.Close()
	}
	return weak
}

// replicas are the addresses of a master's replicas, by what it says of itself.
func replicas(info string) (out []string) {
	for line := range strings.Lines(info) {
		name, fields, _ := strings.Cut(strings.TrimSpace(line), ":")
		if _, err := strconv.Atoi(strings.TrimPrefix(name, "slave")); err != nil || !strings.HasPrefix(name, "slave") {
			continue
		}
		of := map[string]string{}
		for field := range strings.SplitSeq(fields, ",") {
			k, v, _ := strings.Cut(field, "=")
			of[k] = v
		}
		out = append(out, net.JoinHostPort(of["ip"], of["port"]))
	}
	return out
}
