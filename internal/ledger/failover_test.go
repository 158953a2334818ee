package ledger_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
	"rollcall/internal/ledger"
)

// started is a redis-server that ends with the test.
func started(tb testing.TB, settings ...string) *server {
	tb.Helper()
	s, err := startServer(settings...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.end)
	return s
}

// following starts a replica and waits until it follows its master.
func following(tb testing.TB, master *server, settings ...string) *server {
	tb.Helper()
	s := started(tb, append([]string{"--save", "", "--replicaof", "127.0.0.1 " + master.port, "--repl-diskless-sync-delay", "0"}, settings...)...)
	s.inStep(tb)
	return s
}

// inStep waits until a replica follows its master.
func (s *server) inStep(tb testing.TB) {
	tb.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: s.addr})
	defer func() { _ = rdb.Close() }()
	until(tb, "the replica follows", func() bool {
		return strings.Contains(rdb.Info(tb.Context(), "replication").Val(), "master_link_status:up")
	})
}

// watching starts a sentinel that watches a master, and waits until it knows a
// replica. It has so much patience that a test which ends a master must call the failover.
func watching(tb testing.TB, master *server) (at string, failover func()) {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor main 127.0.0.1 %s 1\nsentinel down-after-milliseconds main %s\nsentinel failover-timeout main 5000\n", master.port, patience)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	s := started(tb, file, "--sentinel")
	rdb := redis.NewSentinelClient(&redis.Options{Addr: s.addr})
	tb.Cleanup(func() { _ = rdb.Close() })
	until(tb, "the sentinel knows the replica", func() bool {
		replicas, err := rdb.Replicas(tb.Context(), "main").Result()
		return err == nil && len(replicas) == 1 && replicas[0]["flags"] == "slave" && replicas[0]["master-link-status"] == "ok"
	})
	return s.addr, func() {
		tb.Helper()
		until(tb, "the sentinel calls a failover", func() bool { return rdb.Failover(tb.Context(), "main").Err() == nil })
	}
}

// strong are the settings that live mode asks for of one that may be replaced.
func strong() []string {
	return []string{
		"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", "--min-replicas-to-write", "1", "--min-replicas-max-lag", "10",
	}
}

// beginSpread begins the intent of "token". A replica that is too busy to have it in time
// makes it fail, as it should; then it is settled and begun again, as a caller does.
func (r *rig) beginSpread(tb testing.TB) {
	tb.Helper()
	in := intent("token")
	until(tb, "a replica has the intent", func() bool {
		if _, _, err := r.Lease(tb.Context(), in.Dev, in.Owner, time.Minute, ""); err != nil {
			tb.Fatal(err)
		}
		b, err := r.Begin(tb.Context(), in)
		switch {
		case errors.Is(err, action.ErrState):
			r.settle(tb, "token", action.SettleUnsent)
			return false
		case err != nil || b.Code != "":
			tb.Fatalf("with a replica: %+v, %v", b, err)
		}
		return true
	})
}

func TestTheStoreGoesOnWithTheMasterThatSentinelNames(t *testing.T) {
	t.Parallel()
	master := started(t, append([]string{"--save", ""}, strong()...)...)
	replica := following(t, master, strong()...)
	sentinel, failover := watching(t, master)
	o := ledger.Options{URL: "redis://127.0.0.1:1", Nodes: ledger.Nodes{SentinelMaster: "main", Addresses: []string{sentinel}, Replicas: 1}}
	r := openAt(t, o, new(atomic.Int64))
	r.rdb = everywhere{redis.NewClient(&redis.Options{Addr: replica.addr})} // to be asked once it is the master
	r.marked(t)
	if weak, err := r.Weak(t.Context()); err != nil || len(weak) > 0 {
		t.Errorf("all is well: %q, %v", weak, err)
	}
	r.rdb.ConfigSet(t.Context(), "appendfsync", "everysec")
	if weak, err := r.Weak(t.Context()); err != nil || len(weak) != 1 || weak[0] != "appendfsync of "+replica.addr+" is everysec, should be always" {
		t.Errorf("the replica is weak: %q, %v", weak, err)
	}
	r.beginSpread(t)
	was := r.standing(t, "token")

	master.end()
	failover()
	until(t, "the replica is the master", func() bool {
		_, err := r.Standing(t.Context(), dev, "")
		return err == nil && r.Ping(t.Context()) == nil && strings.Contains(r.rdb.Info(t.Context(), "replication").Val(), "role:master")
	})
	if st := r.standing(t, "token"); st.Seq != was.Seq || st.State != ledger.StateDeleting || st.Spent == nil || st.Installation != was.Installation {
		t.Errorf("the intent was lost: %+v", st)
	}
	if _, err := r.Note(t.Context(), action.Note{Mark: mark("evaluate")}); !errors.Is(err, action.ErrStateFull) {
		t.Errorf("a master without a replica writes: %v, want ErrStateFull", err)
	}
	r.rdb.ConfigSet(t.Context(), "min-replicas-to-write", "0")
	if at := r.settle(t, "token", action.SettleDeleted); at.Seq != was.Seq+1 {
		t.Errorf("sequence %d after %d", at.Seq, was.Seq)
	}
}

func TestAWriteThatOnlyADeadMasterHadIsMissedByItsSequence(t *testing.T) {
	t.Parallel()
	master := started(t, "--save", "")
	replica := following(t, master)
	sentinel, failover := watching(t, master)
	o := ledger.Options{URL: "redis://" + sentinel, Nodes: ledger.Nodes{SentinelMaster: "main"}}
	r := openAt(t, o, new(atomic.Int64)).marked(t)
	r.note(t, action.Note{})
	until(t, "the replica has it", func() bool {
		rdb := redis.NewClient(&redis.Options{Addr: replica.addr})
		defer func() { _ = rdb.Close() }()
		return rdb.HGet(t.Context(), tenantMeta, "seq").Val() == "1"
	})
	away := redis.NewClient(&redis.Options{Addr: replica.addr})
	defer func() { _ = away.Close() }()
	if err := away.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil { // it hears nothing more
		t.Fatal(err)
	}
	at := r.begin(t, intent("token"))
	master.end()
	failover()
	until(t, "the store answers", func() bool {
		st, err := r.Standing(t.Context(), dev, "")
		return err == nil && st.Seq == 1 && r.Ping(t.Context()) == nil
	})
	if st := r.standing(t, "token"); st.Seq >= at.Seq || st.Spent != nil {
		t.Errorf("nothing was lost: %+v", st)
	}
	// As whoever sees that does, with a sequence of which it knows.
	in := intent("token")
	in.Seq = at.Seq
	if b := r.begin(t, in); b.Code != "STATE_UNVERIFIED" {
		t.Errorf("a second intent: %+v, want STATE_UNVERIFIED", b)
	}
}

func TestTheStoreGoesOnWithTheReplicaThatTakesOverInACluster(t *testing.T) {
	t.Parallel()
	nodes, err := startCluster(3)
	t.Cleanup(func() {
		for _, s := range nodes {
			s.end()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	r := openCluster(t, []string{nodes[0].addr, nodes[1].addr, nodes[2].addr}).marked(t)
	dying := nodes[0]
	for _, s := range nodes {
		if s.addr == r.node(t, tenantMeta).Options().Addr {
			dying = s
		}
	}
	heir := clusterReplica(t, dying)
	o := r.at
	o.Replicas = 1
	r = openAt(t, o, r.offset)
	r.beginSpread(t)
	was := r.standing(t, "token")
	dying.end()
	// By an operator's word, since an election hangs on who is silent for how long.
	if err := heir.Do(t.Context(), "CLUSTER", "FAILOVER", "TAKEOVER").Err(); err != nil {
		t.Fatal(err)
	}
	until(t, "the store answers", func() bool {
		_, err := r.Standing(t.Context(), dev, "")
		return err == nil && r.Ping(t.Context()) == nil && strings.Contains(heir.Info(t.Context(), "replication").Val(), "role:master")
	})
	if st := r.standing(t, "token"); st.Seq != was.Seq || st.State != ledger.StateDeleting || st.Spent == nil {
		t.Errorf("the intent was lost: %+v", st)
	}
	if at := r.settle(t, "token", action.SettleDeleted); at.Seq != was.Seq+1 {
		t.Errorf("sequence %d after %d", at.Seq, was.Seq)
	}
}

// clusterReplica adds a replica of a node to its cluster.
func clusterReplica(t *testing.T, master *server) *redis.Client {
	t.Helper()
	s := started(t, "--save", "", "--cluster-enabled", "yes", "--cluster-node-timeout", patience, "--repl-diskless-sync-delay", "0")
	rdb, of := redis.NewClient(&redis.Options{Addr: s.addr}), redis.NewClient(&redis.Options{Addr: master.addr})
	t.Cleanup(func() { _ = rdb.Close(); _ = of.Close() })
	id := of.Do(t.Context(), "CLUSTER", "MYID").Val()
	if err := rdb.Do(t.Context(), "CLUSTER", "MEET", "127.0.0.1", master.port, master.bus).Err(); err != nil {
		t.Fatal(err)
	}
	until(t, "it is a replica", func() bool { return rdb.Do(t.Context(), "CLUSTER", "REPLICATE", id).Err() == nil })
	s.inStep(t)
	until(t, "all others know", func() bool {
		return strings.Count(of.ClusterNodes(t.Context()).Val(), "slave") == 1 && strings.Count(rdb.ClusterNodes(t.Context()).Val(), "master") == 3
	})
	return rdb
}
