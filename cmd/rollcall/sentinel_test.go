package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/centralsim"
)

// redisOn starts a redis-server on a port of loopback. It returns its address, a
// client of it, and what kills it.
func redisOn(t *testing.T, settings ...string) (addr string, rdb *redis.Client, kill func()) {
	t.Helper()
	port := freePort(t) // whoever takes it now makes the test fail
	addr = "127.0.0.1:" + port
	cmd := exec.Command("redis-server", append(slices.Clone(settings), "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir())...)
	if err := cmd.Start(); err != nil {
		t.Fatalf("redis-server: %v", err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	rdb = redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close(); kill() })
	until(t, "redis-server answers", func() bool {
		return strings.Contains(rdb.Info(t.Context(), "server").Val(), fmt.Sprintf("process_id:%d\r\n", cmd.Process.Pid))
	})
	return addr, rdb, kill
}

// watched is a master with a replica, which a sentinel puts in its place.
type watched struct {
	sentinel string
	replica  *redis.Client
	kill     func() // the master, and says so to the sentinel
}

func newWatched(t *testing.T, settings ...string) watched {
	t.Helper()
	settings = append([]string{"--save", "", "--repl-diskless-sync-delay", "0"}, settings...)
	master, _, kill := redisOn(t, settings...)
	_, port, _ := net.SplitHostPort(master)
	_, replica, _ := redisOn(t, append([]string{"--replicaof", "127.0.0.1 " + port}, settings...)...)
	sentinel, addr := startSentinel(t, port)
	return watched{addr, replica, func() {
		t.Helper()
		kill()
		until(t, "the sentinel calls a failover", func() bool { return sentinel.Failover(t.Context(), "main").Err() == nil })
	}}
}

// startSentinel starts one that watches the master on a port and asks for a password,
// and waits until it knows the replica. It calls nobody dead within the time of a test:
// on a busy machine one that lives is silent, too.
func startSentinel(t *testing.T, master string) (rdb *redis.SentinelClient, addr string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor main 127.0.0.1 %s 1\nsentinel down-after-milliseconds main 60000\nsentinel failover-timeout main 5000\n"+
		"requirepass hunter2\n", master)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	addr = "127.0.0.1:" + port
	cmd := exec.Command("redis-server", file, "--sentinel", "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatalf("redis-server --sentinel: %v", err)
	}
	rdb = redis.NewSentinelClient(&redis.Options{Addr: addr, Password: "hunter2"})
	t.Cleanup(func() {
		_ = rdb.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	until(t, "the sentinel knows the replica", func() bool {
		replicas, err := rdb.Replicas(t.Context(), "main").Result()
		return err == nil && len(replicas) == 1 && replicas[0]["flags"] == "slave" && replicas[0]["master-link-status"] == "ok"
	})
	return rdb, addr
}

// The whole way: the service finds the master by Sentinel, the master dies with what
// only it had, and nothing is deleted by what the replica remembers.
func TestAfterAFailoverThatLostWritesNothingIsDeleted(t *testing.T) {
	w := newWatched(t)
	central, sample := sim()
	deletes := atomic.Int64{}
	central.OnRequest(func(r *http.Request) {
		if r.Method == http.MethodDelete {
			deletes.Add(1)
		}
	})
	env, key := setUp(t, "redis://127.0.0.1:1", central, "ROLLCALL_REDIS_SENTINEL_MASTER=main", "ROLLCALL_REDIS_ADDRESSES="+w.sentinel,
		"ROLLCALL_REDIS_SENTINEL_PASSWORD=hunter2", "ROLLCALL_MODE=live")
	if code, out, errs := ran(t, env, "state", "init"); code != exitDone {
		t.Fatalf("state init: %d %s %s", code, out, errs)
	}
	code, _, errs := ran(t, env, "serve")
	for _, want := range []string{"min-replicas-to-write of the master is 0", "appendonly of the master is no", "min-replicas-to-write of 127.0.0.1:"} {
		if code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("live mode on what may lose writes: %d, not told: %s\n%s", code, want, errs)
		}
	}
	r := start(t, append(env, "ROLLCALL_ALLOW_WEAK_REDIS=true"), "serve")
	addr := r.address(t)
	event := map[string]any{"event": sample["eligible"].Event}
	if _, a := post(t, addr, key, "/v1/actions/verify-live", event); a["outcome"] != "inactive" {
		t.Fatalf("verify-live: %v", a)
	}
	until(t, "the replica has it", func() bool {
		return w.replica.HGet(t.Context(), "rollcall:{"+centralsim.SampleTenant+"}:meta", "seq").Val() == "1"
	})
	if err := w.replica.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil { // it hears nothing more
		t.Fatal(err)
	}
	_, verdict := post(t, addr, key, "/v1/actions/evaluate", event)
	if verdict["outcome"] != "delete" {
		t.Fatalf("evaluate: %v", verdict)
	}
	w.kill()
	var answer map[string]any
	until(t, "the service goes on with the replica", func() bool {
		code, a, err := tryPost(t.Context(), addr, key, "/v1/actions/delete", map[string]any{"token": verdict["token"]})
		answer = a
		return err == nil && code == http.StatusOK
	})
	if answer["outcome"] != "deferred" || answer["reasonCode"] != "STATE_UNVERIFIED" || deletes.Load() != 0 {
		t.Errorf("delete: %v %v, %d sent; want deferred, STATE_UNVERIFIED, 0", answer["outcome"], answer["reasonCode"], deletes.Load())
	}
	if role := w.replica.Info(t.Context(), "replication").Val(); !strings.Contains(role, "role:master") {
		t.Error("there was no failover")
	}
	if code := r.end(t); code != exitDone || strings.Contains(r.stderr.String()+errs, "hunter2") {
		t.Errorf("exit code %d: %s", code, r.stderr)
	}
}

// A cluster of one node has all rules of a cluster but the distance.
func TestTheWholeWayInACluster(t *testing.T) {
	addr, node, _ := redisOn(t, "--save", "", "--cluster-enabled", "yes", "--cluster-port", freePort(t))
	if err := node.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	until(t, "the cluster is whole", func() bool { return strings.Contains(node.ClusterInfo(t.Context()).Val(), "cluster_state:ok") })
	central, sample := sim()
	env, key := setUp(t, "redis://"+addr, central, "ROLLCALL_REDIS_CLUSTER=true", "ROLLCALL_MODE=live", "ROLLCALL_ALLOW_WEAK_REDIS=true")
	if code, out, errs := ran(t, env, "state", "init"); code != exitDone {
		t.Fatalf("state init: %d %s %s", code, out, errs)
	}
	r := start(t, env, "serve")
	at := r.address(t)
	_, verdict := post(t, at, key, "/v1/actions/evaluate", map[string]any{"event": sample["eligible"].Event})
	token := map[string]any{"token": verdict["token"]}
	for _, want := range []string{"deleted", "already_deleted"} {
		if _, a := post(t, at, key, "/v1/actions/delete", token); a["outcome"] != want {
			t.Errorf("delete: %v, want %s", a, want)
		}
	}
	for _, args := range [][]string{{"pause", "--by", "x", "--reason", "x"}, {"audit", "verify"}, {"resume", "--by", "x", "--reason", "x"}} {
		if code, out, errs := ran(t, env, args...); code != exitDone {
			t.Errorf("%s: %d %s %s", args[0], code, out, errs)
		}
	}
	if code := r.end(t); code != exitDone {
		t.Errorf("exit code %d: %s", code, r.stderr)
	}
}

// freePort is a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
