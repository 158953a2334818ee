package main

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
	"rollcall/internal/ledger"
)

// storeSettings are the fields without which a command can't open the store.
func storeSettings() []string { return []string{"RedisURL", "RedisAddresses"} }

// store says where the store is. Live mode asks that a replica has an intent before
// its DELETE leaves, unless the operator lets the store lose things.
func (c Config) store() ledger.Options {
	o := ledger.Options{URL: c.RedisURL.Reveal(), Nodes: ledger.Nodes{
		SentinelMaster: c.RedisSentinelMaster, SentinelPassword: c.RedisSentinelPassword.Reveal(), Cluster: c.RedisCluster,
		Addresses: split(c.RedisAddresses),
	}}
	if c.severalRedis() && c.Mode == action.LiveMode && !c.AllowWeakRedis {
		o.Replicas = 1
	}
	return o
}

// severalRedis reports whether the store is more than one Redis.
func (c Config) severalRedis() bool { return c.RedisCluster || c.RedisSentinelMaster != "" }

// storeFaults checks the store's settings against each other.
func (c Config) storeFaults(add func(name, text string)) {
	switch {
	case c.RedisCluster && c.RedisSentinelMaster != "":
		add("REDIS_CLUSTER", "and ROLLCALL_REDIS_SENTINEL_MASTER exclude each other")
	case c.RedisAddresses != "" && !c.severalRedis():
		add("REDIS_ADDRESSES", "says nothing without ROLLCALL_REDIS_SENTINEL_MASTER or ROLLCALL_REDIS_CLUSTER")
	}
	if c.RedisSentinelPassword.Reveal() != "" && c.RedisSentinelMaster == "" {
		add("REDIS_SENTINEL_PASSWORD", "says nothing without ROLLCALL_REDIS_SENTINEL_MASTER")
	}
	opt, err := redis.ParseURL(c.RedisURL.Reveal())
	switch {
	case err != nil || !c.severalRedis(): // told elsewhere, where it is a fault
	case opt.Network == "unix":
		add("REDIS_URL", "must be redis:// or rediss:// with ROLLCALL_REDIS_SENTINEL_MASTER and ROLLCALL_REDIS_CLUSTER")
	case c.RedisCluster && opt.DB != 0:
		add("REDIS_URL", "must not name a database: a cluster has only one")
	}
}

// redisURL leaves the syntax to the client that will use it; its error is
// dropped, since it may hold the password.
func redisURL(s string) bool {
	_, err := redis.ParseURL(s)
	return err == nil
}

// split takes a list of addresses apart.
func split(list string) []string {
	var out []string
	for addr := range strings.SplitSeq(list, ",") {
		if addr = strings.TrimSpace(addr); addr != "" {
			out = append(out, addr)
		}
	}
	return out
}

// addresses reports whether all of a list can be dialled.
func addresses(list string) bool {
	return !slices.ContainsFunc(strings.Split(list, ","), func(addr string) bool {
		host, port, err := net.SplitHostPort(strings.TrimSpace(addr))
		n, bad := strconv.ParseUint(port, 10, 16)
		return err != nil || bad != nil || host == "" || n == 0
	})
}
