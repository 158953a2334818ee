package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// Nodes says how to find the Redis that is in charge, where there is more than one.
// The zero value is one Redis, that of the URL.
type Nodes struct {
	// SentinelMaster is the name under which Sentinel knows the master. The URL's
	// host is a sentinel then; its user, password and database are the master's.
	SentinelMaster   string
	SentinelPassword string   // of the sentinels themselves
	Cluster          bool     // the URL's host is a node of a cluster
	Addresses        []string // further sentinels, or nodes of the cluster: host:port
	// Replicas is how many must have an intent before its DELETE may leave, and a
	// kill switch before it counts as thrown. A master that died, or was cut off from
	// the others, takes what only it had with it.
	Replicas int
}

// several reports whether another Redis can come to be in charge.
func (n Nodes) several() bool { return n.Cluster || n.SentinelMaster != "" }

// stateReload is how old a cluster's map of slots may be. A master that died names
// no successor, so the map alone tells of it.
const stateReload = 2 * time.Second

// connections is how many a process opens at most where the URL names none
// (pool_size): as many as a batch has items under way, and some for all else. Whoever
// waited for one would be told that the store is away.
const connections = 128

// connect makes the client. It reads from masters alone: a replica may be behind,
// and what it has not heard of yet would let a second DELETE out.
func (s *Store) connect(o Options) error {
	opt, err := redis.ParseURL(o.URL)
	if err != nil {
		return errors.New("redis URL: must be redis://, rediss:// or unix://")
	}
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = 2 * time.Second
	}
	opt.ContextTimeoutEnabled = true // or a deadline would not interrupt a stalled read
	opt.MaxRetries = -1              // or a write could be sent twice unseen
	opt.DialerRetries = 1
	if opt.PoolSize == 0 {
		opt.PoolSize = connections
	}
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout, opt.PoolTimeout = timeout, timeout, timeout, timeout
	switch {
	case o.several() && opt.Network == "unix":
		return errors.New("redis URL: Sentinel and Cluster need redis:// or rediss://")
	case o.Cluster && o.SentinelMaster != "":
		return errors.New("redis: Sentinel and Cluster exclude each other")
	case o.Cluster && opt.DB != 0:
		return errors.New("redis URL: a cluster has no database but 0")
	case o.Cluster:
		c := o.universal(opt).Cluster()
		c.ClusterStateReloadInterval = stateReload
		rdb := redis.NewClusterClient(c)
		rdb.AddHook(once{})
		s.rdb = rdb
	case o.SentinelMaster != "":
		s.rdb = redis.NewFailoverClient(o.universal(opt).Failover())
		s.replica = func(addr string) *redis.Client {
			one := *opt
			one.Addr, one.PoolSize, one.TLSConfig = addr, 1, o.universal(opt).TLSConfig
			return redis.NewClient(&one)
		}
	default:
		s.rdb = redis.NewClient(opt)
	}
	return nil
}

// universal is what was set for one Redis, for several.
func (n Nodes) universal(opt *redis.Options) *redis.UniversalOptions {
	u := &redis.UniversalOptions{
		Addrs: append([]string{opt.Addr}, n.Addresses...), MasterName: n.SentinelMaster, SentinelPassword: n.SentinelPassword,
		ClientName: opt.ClientName, DB: opt.DB, Protocol: opt.Protocol, Username: opt.Username, Password: opt.Password,
		MaxRetries: opt.MaxRetries, DialerRetries: opt.DialerRetries, ContextTimeoutEnabled: opt.ContextTimeoutEnabled,
		DialTimeout: opt.DialTimeout, ReadTimeout: opt.ReadTimeout, WriteTimeout: opt.WriteTimeout, PoolTimeout: opt.PoolTimeout,
		PoolFIFO: opt.PoolFIFO, PoolSize: opt.PoolSize, MinIdleConns: opt.MinIdleConns, MaxIdleConns: opt.MaxIdleConns,
		MaxActiveConns: opt.MaxActiveConns, ConnMaxIdleTime: opt.ConnMaxIdleTime, ConnMaxLifetime: opt.ConnMaxLifetime,
		ConnMaxLifetimeJitter: opt.ConnMaxLifetimeJitter,
	}
	if opt.TLSConfig != nil {
		u.TLSConfig = opt.TLSConfig.Clone()
		u.TLSConfig.ServerName = "" // each proves the name under which it was found
	}
	return u
}

// once keeps a cluster's client from sending a command again after a cut connection
// or a time-out: it may have taken effect. Where a node says that it did not, since
// the slot is another's, the client goes there all the same.
type once struct{}

var _ redis.Hook = once{}

// DialHook implements redis.Hook.
func (once) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (once) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return next(ctx, oneShot{cmd}) }
}

// ProcessPipelineHook implements redis.Hook.
func (once) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		shots := make([]redis.Cmder, len(cmds))
		for i, cmd := range cmds {
			shots[i] = oneShot{cmd}
		}
		return next(ctx, shots)
	}
}

// oneShot is a command that is sent once.
type oneShot struct{ redis.Cmder }

// NoRetry implements redis.Cmder.
func (oneShot) NoRetry() bool { return true }

// moment is a time that was asked for.
type moment func() (time.Time, error)

// askClock asks for the time by which what lies in a key's slot is stored and
// compared. TIME names no key, so that any node of a cluster would answer it.
func (s *Store) askClock(ctx context.Context, c redis.Cmdable, key string) moment {
	if !s.nodes.Cluster {
		t := c.Time(ctx)
		return func() (time.Time, error) { return t.Val().Add(s.offset()), t.Err() }
	}
	t := c.Eval(ctx, "return redis.call('TIME')", []string{key})
	return func() (time.Time, error) {
		parts, err := t.Int64Slice()
		if err == nil && len(parts) != 2 {
			err = errors.New("a time that can't be read")
		}
		if err != nil {
			return time.Time{}, err
		}
		return time.Unix(parts[0], parts[1]*int64(time.Microsecond)).Add(s.offset()), nil
	}
}

// clock is the time of a key's slot, now.
func (s *Store) clock(ctx context.Context, key string) (time.Time, error) {
	now, err := s.askClock(ctx, s.rdb, key)()
	return now, away(err)
}
