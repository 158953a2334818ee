package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"rollcall/internal/ledger"
)

// clusterAt is the variable of the environment that names the nodes of the cluster
// on which all tests of the package run one after another.
const clusterAt = "LEDGER_TEST_CLUSTER"

func TestMain(m *testing.M) {
	logging.Disable() // servers that die are a part of the tests, and what failed should be seen
	nodes, err := startCluster(3)
	if err == nil {
		err = os.Setenv(clusterAt, strings.Join([]string{nodes[0].addr, nodes[1].addr, nodes[2].addr}, ","))
	}
	code := 1
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, "a cluster of redis-server:", err)
	}
	for _, s := range nodes {
		s.end()
	}
	os.Exit(code)
}

// patience is how long a node of a cluster, or a master that a sentinel watches, may be
// silent, in milliseconds, before it is called dead: longer than a test waits, since on
// a busy machine one that lives is silent, too.
const patience = "60000"

// startCluster starts the nodes of a cluster, each with a part of the slots. They
// find each other while the first tests run.
func startCluster(n int) (nodes []*server, err error) {
	for range n {
		s, err := startServer("--save", "", "--cluster-enabled", "yes", "--cluster-node-timeout", patience)
		if err != nil {
			return nodes, err
		}
		nodes = append(nodes, s)
	}
	return nodes, joined(nodes)
}

// joined deals out the slots and introduces the nodes to each other.
func joined(nodes []*server) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for i, s := range nodes {
		rdb := redis.NewClient(&redis.Options{Addr: s.addr})
		defer func() { _ = rdb.Close() }()
		first, last := i*16384/len(nodes), (i+1)*16384/len(nodes)-1
		err := errors.Join(rdb.ClusterAddSlotsRange(ctx, first, last).Err(), rdb.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		if i > 0 {
			err = errors.Join(err, rdb.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", nodes[0].port, nodes[0].bus).Err())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// server is a redis-server on a port of loopback.
type server struct {
	addr, port, bus, dir string
	cmd                  *exec.Cmd
}

// startServer starts one and waits until it answers. A port that was free a moment
// ago may have been taken since: then others are tried.
func startServer(settings ...string) (*server, error) {
	var err error
	for range 5 {
		var s *server
		if s, err = tryServer(settings); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func tryServer(settings []string) (*server, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "ledger")
	if err != nil {
		return nil, err
	}
	s := &server{addr: "127.0.0.1:" + ports[0], port: ports[0], bus: ports[1], dir: dir}
	args := append(slices.Clone(settings), "--bind", "127.0.0.1", "--port", s.port, "--dir", dir)
	if slices.Contains(settings, "--cluster-enabled") {
		args = append(args, "--cluster-port", s.bus)
	}
	s.cmd = exec.Command("redis-server", args...)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	rdb := redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: -1})
	defer func() { _ = rdb.Close() }()
	answers := func() bool { // this one, and not who was there before
		return strings.Contains(rdb.Info(ctx, "server").Val(), fmt.Sprintf("process_id:%d\r\n", s.cmd.Process.Pid))
	}
	if err := waitUntil(ctx, answers); err != nil {
		s.end()
		return nil, fmt.Errorf("redis-server on port %s does not answer: %w", s.port, err)
	}
	return s, nil
}

// end kills the server, and takes away what it wrote.
func (s *server) end() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	_ = os.RemoveAll(s.dir)
}

// freePorts are ports that were free a moment ago.
func freePorts(n int) (ports []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }()
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// waitUntil waits until ok holds.
func waitUntil(ctx context.Context, ok func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// until is waitUntil with the patience of a test.
func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	if waitUntil(ctx, ok) != nil {
		tb.Fatalf("never: %s", what)
	}
}

// inCluster opens a store in the package's cluster, empty but for its mark.
func inCluster(tb testing.TB) *rig {
	tb.Helper()
	r := openCluster(tb, strings.Split(os.Getenv(clusterAt), ","))
	if err := r.rdb.FlushAll(tb.Context()).Err(); err != nil {
		tb.Fatal(err)
	}
	return r.marked(tb)
}

// openCluster opens a store in a cluster once all of it is there.
func openCluster(tb testing.TB, nodes []string) *rig {
	tb.Helper()
	for _, addr := range nodes {
		rdb := redis.NewClient(&redis.Options{Addr: addr})
		until(tb, "the cluster is whole", func() bool {
			info := rdb.ClusterInfo(tb.Context()).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_size:%d\r\n", len(nodes)))
		})
		_ = rdb.Close()
	}
	o := ledger.Options{URL: "redis://" + nodes[0], Nodes: ledger.Nodes{Cluster: true, Addresses: nodes[1:]}}
	return openAt(tb, o, new(atomic.Int64))
}

// everywhere is a client whose questions about all keys are about all nodes.
type everywhere struct{ redis.UniversalClient }

// each asks every master.
func (e everywhere) each(ctx context.Context, ask func(rdb *redis.Client) error) error {
	if cluster, ok := e.UniversalClient.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(_ context.Context, rdb *redis.Client) error { return ask(rdb) })
	}
	return ask(e.UniversalClient.(*redis.Client))
}

// FlushAll empties every node.
func (e everywhere) FlushAll(ctx context.Context) *redis.StatusCmd {
	cmd := redis.NewStatusCmd(ctx)
	cmd.SetErr(e.each(ctx, func(rdb *redis.Client) error { return rdb.FlushAll(ctx).Err() }))
	return cmd
}

// Keys lists those of every node.
func (e everywhere) Keys(ctx context.Context, pattern string) *redis.StringSliceCmd {
	cmd := redis.NewStringSliceCmd(ctx)
	var mu sync.Mutex
	var all []string
	cmd.SetErr(e.each(ctx, func(rdb *redis.Client) error {
		keys, err := rdb.Keys(ctx, pattern).Result()
		mu.Lock()
		defer mu.Unlock()
		all = append(all, keys...)
		return err
	}))
	cmd.SetVal(all)
	return cmd
}
