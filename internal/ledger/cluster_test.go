package ledger_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
	"rollcall/internal/ledger"
	"rollcall/internal/policy"
)

const (
	tenantMeta = "rollcall:{c0a8f1d2-57be-4a39-8e14-2b9d6f70a5c1}:meta"
	markKey    = "rollcall:{global}:mark"
)

// node is the client of the node that has a key.
func (r *rig) node(tb testing.TB, key string) *redis.Client {
	tb.Helper()
	rdb, err := r.rdb.UniversalClient.(*redis.ClusterClient).MasterForKey(tb.Context(), key)
	if err != nil {
		tb.Fatal(err)
	}
	return rdb
}

// standIn is a cluster of one node, that does not outlive a command which writes: it
// takes it, and is gone before it answers.
type standIn struct {
	net.Listener
	writes atomic.Int64
}

func newStandIn(tb testing.TB) *standIn {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	s := &standIn{Listener: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

func (s *standIn) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	_, port, _ := net.SplitHostPort(s.Addr().String())
	in := bufio.NewReader(c)
	for {
		words, err := command(in)
		if err != nil {
			return
		}
		answer := "-ERR unknown command\r\n"
		switch verb := strings.ToLower(words[0]); {
		case verb == "cluster":
			answer = fmt.Sprintf("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%s\r\n", port)
		case slices.Contains([]string{"set", "sadd", "evalsha", "rpush"}, verb):
			s.writes.Add(1)
			return
		}
		if _, err := c.Write([]byte(answer)); err != nil {
			return
		}
	}
}

// command reads one command as clients send it.
func command(in *bufio.Reader) ([]string, error) {
	number := func() (int, error) {
		line, err := in.ReadString('\n')
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	n, err := number()
	if err != nil || n < 1 {
		return nil, errors.Join(err, errors.New("no command"))
	}
	words := make([]string, n)
	for i := range words {
		if _, err := number(); err != nil {
			return nil, err
		}
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		words[i] = strings.TrimSuffix(line, "\r\n")
	}
	return words, nil
}

func TestAWriteIsNotSentToAClusterAgainWhenItsAnswerIsLost(t *testing.T) {
	for name, write := range map[string]func(context.Context, *ledger.Store) error{
		"alone":       func(ctx context.Context, s *ledger.Store) error { return s.Rest(ctx, "x", time.Minute) },
		"in a row":    func(ctx context.Context, s *ledger.Store) error { return s.Distrust(ctx, dev.TenantID, "x") },
		"as a script": func(ctx context.Context, s *ledger.Store) error { return s.Release(ctx, dev, "x") },
	} {
		t.Run(name, func(t *testing.T) {
			in := newStandIn(t)
			r := openAt(t, ledger.Options{URL: "redis://" + in.Addr().String(), Nodes: ledger.Nodes{Cluster: true}}, new(atomic.Int64))
			if err := write(t.Context(), r.Store); !errors.Is(err, action.ErrState) {
				t.Errorf("error = %v, want ErrState", err)
			}
			if n := in.writes.Load(); n != 1 {
				t.Errorf("sent %d times, want once", n)
			}
		})
	}
}

// slotInMotion begins to move a slot from one node to another; what it returns says that
// it stays after all.
func (r *rig) slotInMotion(t *testing.T, key string) (stay func()) {
	t.Helper()
	from := r.node(t, key)
	slot := from.ClusterKeySlot(t.Context(), key).Val()
	var to *redis.Client
	for _, k := range []string{"a", "b", "c", "d", "e", "f"} { // of three nodes' slots
		if to = r.node(t, k); to.Options().Addr != from.Options().Addr {
			break
		}
	}
	set := func(rdb *redis.Client, args ...any) {
		if err := rdb.Do(t.Context(), append([]any{"CLUSTER", "SETSLOT", slot}, args...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	id := func(rdb *redis.Client) string { return rdb.Do(t.Context(), "CLUSTER", "MYID").Val().(string) }
	set(to, "IMPORTING", id(from))
	set(from, "MIGRATING", id(to))
	return func() { set(from, "STABLE"); set(to, "STABLE") }
}

// A script that deletes a key of a slot that is being moved is sent away in the
// middle when it next asks for it, and what it did until then stays.
func TestInASlotThatIsBeingMovedNoStepBeginsAndNoneIsHalfDone(t *testing.T) {
	r := inCluster(t)
	r.into(t, ledger.StateTicket)
	// So that there is nothing that the step would lack.
	tenant := "rollcall:{" + dev.TenantID + "}:"
	for _, set := range []string{"attempts", "inflight", "tickets:open", "deleted", "kept", "decided", "tickets", "eligible"} {
		r.rdb.ZAdd(t.Context(), tenant+set, redis.Z{Score: 9e12, Member: "other"})
	}
	for _, hash := range []string{"failures", "decisions", "records", "eligible-days", "device:" + dev.EndpointID, "ticket:t0"} {
		r.rdb.HSet(t.Context(), tenant+hash, "1", "1")
	}
	r.rdb.ZRem(t.Context(), tenant+"tickets:open", "other") // the ticket's device is the last: with it the key goes
	r.rdb.Set(t.Context(), tenant+"lease:"+dev.EndpointID, "me", 0)
	was := r.standing(t, "")
	closing := action.Closing{Mark: mark("closed"), TicketID: "t0", Decision: "none", DecidedBy: "b"}
	opening := action.Opening{Mark: mark("opened"), TicketID: "t0", Seq: 1 << 40}
	r.rdb.HSet(t.Context(), tenant+"device:"+dev.EndpointID, "state", ledger.StateUndecided)
	stay := r.slotInMotion(t, tenantMeta)
	if _, err := r.OpenTicket(t.Context(), opening); !errors.Is(err, action.ErrState) {
		t.Errorf("a ticket is opened while the slot is moved: %v, want ErrState", err)
	}
	if _, err := r.CloseTicket(t.Context(), closing); !errors.Is(err, action.ErrState) {
		t.Errorf("a ticket is closed while the slot is moved: %v, want ErrState", err)
	}
	stay()
	if ticket := r.rdb.HGetAll(t.Context(), tenant+"ticket:t0").Val(); ticket["state"] != "open" {
		t.Errorf("the ticket is half written: %v", ticket)
	}
	if st := r.standing(t, ""); st.Seq != was.Seq || st.State != ledger.StateUndecided {
		t.Errorf("after that: %s at %d, want undecided at %d", st.State, st.Seq, was.Seq)
	}
	if step, err := r.OpenTicket(t.Context(), opening); err != nil || step.Outcome != "opened" {
		t.Errorf("once the slot stays: %+v, %v", step, err)
	}
}

// The mark tells of a store that was emptied; of a cluster only a part may have been.
func TestATenantWhoseNodeWasEmptiedIsNotTrusted(t *testing.T) {
	r := inCluster(t)
	r.into(t, ledger.StateKept)
	if a, b := r.node(t, tenantMeta).Options().Addr, r.node(t, markKey).Options().Addr; a == b {
		t.Fatal("the tenant lies beside the mark: this test says nothing")
	}
	if err := r.node(t, tenantMeta).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	later := r.replica(t) // it has seen nothing of what there was
	if _, err := later.Note(t.Context(), action.Note{Mark: mark("evaluate")}); !errors.Is(err, action.ErrUntrusted) {
		t.Fatalf("a step: %v, want ErrUntrusted", err)
	}
	if st := later.standing(t, ""); st.Unverified == "" || st.Seq != 0 {
		t.Errorf("the tenant is trusted: %+v", st)
	}
	if _, _, err := later.Lease(t.Context(), dev, "me", time.Minute, ""); err != nil {
		t.Fatal(err)
	}
	if b, err := later.Begin(t.Context(), intent("token")); !errors.Is(err, action.ErrUntrusted) {
		t.Errorf("a delete of a device that a person keeps: %+v, %v; want ErrUntrusted", b, err)
	}
	var broken *ledger.BrokenLinkError
	if _, err := later.VerifyAudit(t.Context()); !errors.As(err, &broken) {
		t.Errorf("audit verify: %v, want a broken link", err)
	}
	mustSwitch(t)(later.Pause(t.Context(), action.Switch{TenantID: dev.TenantID, Reason: "x"}))
	if st := later.standing(t, ""); st.Paused != "x" || st.Unverified == "" {
		t.Errorf("a switch was thrown meanwhile: %+v", st)
	}
	if _, err := later.AcceptRollback(t.Context(), "tester"); err != nil {
		t.Fatal(err)
	}
	again := r.replica(t)
	if at := again.note(t, action.Note{}); at.Seq == 0 {
		t.Errorf("after an operator's word: %+v", at)
	}
	if st := again.standing(t, ""); st.Unverified != "" {
		t.Errorf("after an operator's word: %s", st.Unverified)
	}
}

func TestTheKillSwitchIsNotLostWithoutTheMark(t *testing.T) {
	r := inCluster(t)
	r.note(t, action.Note{})
	mustSwitch(t)(r.Pause(t.Context(), action.Switch{Reason: "x"}))
	for _, key := range r.rdb.Keys(t.Context(), "*pause").Val() {
		if err := r.node(t, key).FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if b := r.begin(t, intent("token")); b.Code != policy.StateUnverified {
		t.Errorf("a delete when the switch was lost: %q, want STATE_UNVERIFIED", b.Code)
	}
}

func TestEveryNodeOfAClusterIsAskedForItsSettings(t *testing.T) {
	r := inCluster(t)
	strong := map[string]string{"appendonly": "yes", "appendfsync": "always", "min-replicas-to-write": "1", "min-replicas-max-lag": "10"}
	soft := map[string]string{"appendonly": "no", "appendfsync": "everysec", "min-replicas-to-write": "0", "min-replicas-max-lag": "10"}
	everywhere := func(settings map[string]string) {
		if err := r.rdb.each(t.Context(), func(rdb *redis.Client) error {
			var err error
			for name, value := range settings {
				err = errors.Join(err, rdb.ConfigSet(t.Context(), name, value).Err())
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	defer everywhere(soft)
	everywhere(strong)
	if weak, err := r.Weak(t.Context()); err != nil || len(weak) > 0 {
		t.Fatalf("all is well: %q, %v", weak, err)
	}
	one := r.node(t, "a")
	at := one.Options().Addr
	one.ConfigSet(t.Context(), "appendfsync", "everysec")
	one.ConfigSet(t.Context(), "min-replicas-to-write", "0")
	one.ConfigSet(t.Context(), "min-replicas-max-lag", "11")
	want := []string{
		"appendfsync of " + at + " is everysec, should be always", "min-replicas-max-lag of " + at + " is 11, should be from 1 to 10",
		"min-replicas-to-write of " + at + " is 0, should be 1 or more",
	}
	if weak, err := r.Weak(t.Context()); err != nil || !slices.Equal(weak, want) {
		t.Errorf("one is weak: %q, %v; want %q", weak, err, want)
	}
}

func TestWithoutAReplicaThatHasItAnIntentSendsNothing(t *testing.T) {
	r := inCluster(t)
	o := r.at
	o.Replicas = 1
	alone := openAt(t, o, r.offset)
	if _, _, err := alone.Lease(t.Context(), dev, "me", time.Minute, ""); err != nil {
		t.Fatal(err)
	}
	if b, err := alone.Begin(t.Context(), intent("token")); !errors.Is(err, action.ErrState) {
		t.Errorf("begun: %+v, %v; want ErrState", b, err)
	}
	alone.settle(t, "token", action.SettleUnsent) // as the caller does then
	if st := r.standing(t, ""); st.State != ledger.StateNone {
		t.Errorf("state = %s, want none", st.State)
	}
	for _, tenant := range []string{"", dev.TenantID} {
		if _, err := alone.Pause(t.Context(), action.Switch{TenantID: tenant, Reason: "x"}); !errors.Is(err, action.ErrState) {
			t.Errorf("a switch that may be lost: %v, want ErrState", err)
		}
		if st := r.standing(t, ""); st.Paused != "x" {
			t.Errorf("it is off: %+v", st)
		}
		mustSwitch(t)(alone.Resume(t.Context(), action.Switch{TenantID: tenant}))
	}
}

func TestAStoreThatCantBeFoundIsAFault(t *testing.T) {
	for name, o := range map[string]ledger.Options{
		"a socket for a cluster":      {URL: "unix:///x", Nodes: ledger.Nodes{Cluster: true}},
		"a socket for Sentinel":       {URL: "unix:///x", Nodes: ledger.Nodes{SentinelMaster: "m"}},
		"a database of a cluster":     {URL: "redis://127.0.0.1/1", Nodes: ledger.Nodes{Cluster: true}},
		"a cluster that is not clear": {URL: "redis://127.0.0.1", Nodes: ledger.Nodes{Cluster: true, SentinelMaster: "m"}},
	} {
		if s, err := ledger.Open(o); err == nil || s != nil {
			t.Errorf("%s: opened", name)
		}
	}
}
