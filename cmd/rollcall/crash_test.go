package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/centralsim"
)

// crashSeed makes what is drawn by lot the same in every run; what processes and
// the network make of it is not.
const crashSeed = 20261120

// The DELETE of an intent may leave within sendWindow. The intent is left alone for
// settleWindow: that, the time of one call to Central, and a margin.
const (
	sendWindow   = 2 * time.Second
	settleWindow = sendWindow + time.Second + 3*time.Second
)

// crashForm is how much of everything a run does.
type crashForm struct {
	name       string
	whole      bool // killed on both sides of every step and stopped at each, else at the worst
	shortStops int  // how often it is also woken early
	kills      int  // at random moments
	apart      time.Duration
	storeKills int
	stops      int // at random moments
	playbooks  int
	deletes    int           // the least that must have been sent
	bound      time.Duration // of one that hangs; on an idle machine the short form takes about a minute, the long one about eight
}

func crashForms() map[string]crashForm {
	return map[string]crashForm{
		"":     {"short", false, 0, 8, 600 * time.Millisecond, 2, 0, 2, 40, 6 * time.Minute},
		"long": {"long", true, 1, 200, 1400 * time.Millisecond, 20, 4, 10, 1000, 14 * time.Minute},
	}
}

// crash is one run.
type crash struct {
	form     crashForm
	ctx      context.Context
	load     context.Context // of the playbooks and the operator
	sim      *centralsim.Sim
	cases    map[string]centralsim.SampleDevice
	store    *crashStore
	environ  []string // of commands, with an undisturbed way to the store
	keys     struct{ playbook, approver, admin string }
	replicas [2]*replica
	tally    tally
	dice     dice
	diary    diary
	work     sync.WaitGroup

	numbers, requests, deletes, reads atomic.Int64
	circuit                           atomic.Bool // it stood in a playbook's way
	shy                               atomic.Bool // the load leaves the first replica alone
	steps                             []step
	missed                            []string
}

// tally counts what really happened.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (t *tally) add(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n[what]++
}

func (t *tally) of(what string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n[what]
}

// dice draw lots, for any goroutine.
type dice struct {
	mu sync.Mutex
	*rand.Rand
}

func (d *dice) oneIn(n int) bool { return d.below(n) == 0 }

func (d *dice) below(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.IntN(n)
}

func (d *dice) between(least, most time.Duration) time.Duration {
	return least + time.Duration(d.below(int(most-least)))
}

// What is done to processes.
const (
	killRandom = "replica: SIGKILL at a random moment"
	killStore  = "Redis: SIGKILL and restart"
	stopStep   = "replica: SIGSTOP at a step, longer than every timeout, and SIGCONT"
	stopShort  = "replica: SIGSTOP at a step, past the time to send only, and SIGCONT"
	stopRandom = "replica: SIGSTOP at a random moment, as long, and SIGCONT"
)

func killStep(at side) string { return "replica: SIGKILL at a step, " + at.String() }

// TestCrash runs the program as two processes on a real Redis and a simulated
// Central under a load of playbooks, and lets everything that can go wrong go
// wrong. Then it counts. CRASH=long is the long form.
func TestCrash(t *testing.T) {
	form, ok := crashForms()[os.Getenv("CRASH")]
	if !ok {
		t.Fatalf("CRASH=%s is no form of this test", os.Getenv("CRASH"))
	}
	c := newCrash(t, form)
	begun := time.Now()
	said := func(what string) { t.Logf("%6.1f s: %s", time.Since(begun).Seconds(), what) }
	t.Logf("%s form, seed %d", form.name, crashSeed)
	var stop func()
	c.load, stop = context.WithCancel(c.ctx)
	defer c.work.Wait()
	defer stop()
	c.begin()
	c.learn(t)
	said(fmt.Sprintf("a delete has %d steps", len(c.steps)))
	c.walk(t)
	said("a process was killed at each")
	c.disturb()
	c.freeze(t)
	said("a process was stopped in the middle")
	c.atRandom(t)
	said("killed at random")
	stop()
	c.work.Wait()
	c.quiet(t)
	said("quiet")
	c.report(t)
}

// newCrash sets everything up, and starts both replicas.
func newCrash(t *testing.T, form crashForm) *crash {
	t.Helper()
	c := &crash{form: form, store: newStore(t)}
	c.tally.n, c.dice.Rand = map[string]int{}, rand.New(rand.NewPCG(crashSeed, 0))
	c.diary = diary{devices: map[string]*device{}, closing: map[string]bool{}, strange: map[string]int{}}
	ctx, cancel := context.WithTimeout(t.Context(), form.bound)
	t.Cleanup(cancel)
	c.ctx = ctx
	c.sim, c.cases = sim()
	c.environ, c.keys.playbook = setUp(t, c.store.url(), c.sim)
	c.rules(t)
	if code, _, errs := ran(t, c.environ, "state", "init"); code != exitDone {
		t.Fatalf("state init: %s", errs)
	}
	for i, name := range []string{"A", "B"} {
		c.replicas[i] = newReplica(t, c, name, c.environ)
		c.replicas[i].up(t)
	}
	c.trouble()
	return c
}

// rules writes the policy, with limits that let work go on, and the keys.
func (c *crash) rules(t *testing.T) {
	t.Helper()
	c.keys.playbook, c.keys.approver, c.keys.admin = newAPIKey(), newAPIKey(), newAPIKey()
	for name, content := range map[string]string{
		"ROLLCALL_POLICY_FILE": `disabledOUs: ["OU=Disabled,DC=corp,DC=example,DC=test"]
domains: {CORPEX: corp.example.test}
vip: {groups: ["CN=VIP,OU=Groups,DC=corp,DC=example,DC=test"]}
exclusions: [{id: lab, hostnames: ["LAB-*"], reason: "shared lab", owner: "it-ops"}]
limits: {perDay: [100000], cleanDays: 3, percentPerDay: 100, spacing: 0s}
`,
		"ROLLCALL_API_KEYS_FILE": "keys:\n" +
			keyEntry("playbook", c.keys.playbook, []string{"verify", "evaluate", "delete", "ticket", "read"}) +
			keyEntry("approver", c.keys.approver, []string{"ticket", "approve", "read"}) +
			keyEntry("admin", c.keys.admin, []string{"admin"}),
	} {
		i := slices.IndexFunc(c.environ, func(v string) bool { return strings.HasPrefix(v, name+"=") })
		path := strings.TrimPrefix(c.environ[i], name+"=")
		if err := os.WriteFile(filepath.Clean(path), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// begin lets the playbooks and the operator work.
func (c *crash) begin() {
	c.shy.Store(true)
	for i := range c.form.playbooks {
		p := &playbook{c, c.load, rand.New(rand.NewPCG(crashSeed, uint64(i)+1))}
		c.work.Go(p.run)
	}
	c.work.Go(func() { c.operate(c.load) })
}

// trouble puts Central's faults in force; each strikes when its turn comes. The
// simulator asks for one request at a time.
func (c *crash) trouble() {
	nth, haunted := map[string]int{}, map[string]int{}
	turns := map[string]int{http.MethodDelete: deleteTurns, http.MethodGet: readTurns}
	for _, f := range centralFaults() {
		mine, of := nth[f.Method], turns[f.Method]
		nth[f.Method]++
		f.Path, f.Times = "/endpoint/", centralsim.Always
		f.When = func(r *http.Request) bool {
			turn, ok := r.Context().Value(turnKey{}).(int64)
			if !ok || int(turn)%of != mine {
				return false
			}
			if lost := f.Method == http.MethodDelete && !f.ApplyAnyway && !f.CutBody; lost && turn/int64(of)%2 == 0 {
				haunted[r.URL.Path] = hauntings
			}
			c.tally.add("Central: " + f.name)
			return true
		}
		c.sim.Fault(f.Fault)
	}
	f := htmlFault(http.MethodGet, http.StatusNotFound, false)
	f.Path, f.Times = "/endpoint/", centralsim.Always
	f.When = func(r *http.Request) bool {
		if haunted[r.URL.Path] == 0 {
			return false
		}
		haunted[r.URL.Path]--
		c.tally.add(haunting)
		return true
	}
	c.sim.Fault(f)
}

// turn numbers the requests of each kind that may be struck.
func (c *crash) turn(r *replica, req *http.Request) context.Context {
	if !r.disturbed.Load() || !strings.HasPrefix(req.URL.Path, "/endpoint/") {
		return req.Context()
	}
	count := &c.reads
	if req.Method == http.MethodDelete {
		count = &c.deletes
	}
	return context.WithValue(req.Context(), turnKey{}, count.Add(1)-1)
}

// disturb lets connections be cut and Central go wrong, of the replica that bears
// the load.
func (c *crash) disturb() { c.replicas[1].disturbed.Store(true) }

// learn finds the steps of a delete that nothing disturbs: what two deletes in
// fresh processes have in common.
func (c *crash) learn(t *testing.T) {
	t.Helper()
	first := c.observed(t)
	c.replicas[0].kill()
	c.replicas[0].up(t)
	second := c.observed(t)
	for _, s := range first {
		if slices.Contains(second, s) {
			c.steps = append(c.steps, s)
		}
	}
	var text strings.Builder
	for i, s := range c.steps {
		fmt.Fprintf(&text, "\n  %2d. %s", i+1, s)
	}
	t.Logf("the steps of a delete:%s", text.String())
	if i := c.theDelete(); i < 1 || len(c.steps) < 4 {
		t.Fatalf("that can't be a whole delete: first %v, second %v", first, second)
	}
}

// theDelete is the index of the DELETE among the steps.
func (c *crash) theDelete() int {
	return slices.IndexFunc(c.steps, func(s step) bool { return strings.HasPrefix(s.label, "central DELETE") })
}

// observed lists the interactions of one delete in a fresh process.
func (c *crash) observed(t *testing.T) []step {
	t.Helper()
	a := c.replicas[0]
	for range 5 {
		p := c.hand()
		d, body := p.ready(a)
		a.trap.arm(d.id, step{}, before, nil)
		answer := c.call(c.ctx, a, c.keys.playbook, "delete", d, body)
		log, _ := a.trap.disarm()
		if says(answer, "outcome") == "deleted" {
			return log
		}
		t.Logf("a delete that nothing disturbs: %v %v", answer["outcome"], answer["summary"])
		a.kill()
		a.up(t)
	}
	t.Fatal("no delete succeeds")
	return nil
}
