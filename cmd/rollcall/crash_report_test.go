package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/centralsim"
)

// quiet lifts every fault, starts both replicas anew, and waits until nothing is
// unsettled any more, which the replicas see to by themselves.
func (c *crash) quiet(t *testing.T) {
	t.Helper()
	c.sim.ClearFaults()
	for _, r := range c.replicas {
		r.disturbed.Store(false)
		r.kill()
	}
	for _, r := range c.replicas {
		r.up(t)
	}
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: c.store.socket()})
	defer func() { _ = rdb.Close() }()
	ctx, cancel := context.WithTimeout(c.ctx, settleWindow+reconcileEvery+patience)
	defer cancel()
	left := func() int64 { return rdb.ZCard(c.ctx, "rollcall:{"+centralsim.SampleTenant+"}:inflight").Val() }
	t.Logf("unsettled at the end of the trouble: %d", left())
	for left() > 0 && wait(ctx, 100*time.Millisecond) {
	}
}

// fetch gets a route's answer.
func (c *crash) fetch(t *testing.T, path string) []byte {
	t.Helper()
	status, b, err := get(c.ctx, c.replicas[0].address(), c.keys.playbook, path)
	if err != nil {
		t.Fatal(err)
	}
	if status == http.StatusNotFound {
		return nil
	}
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", path, status, b)
	}
	return b
}

// lines reads one JSON object after the other.
func lines[T any](t *testing.T, b []byte) []T {
	t.Helper()
	var out []T
	dec := json.NewDecoder(bytes.NewReader(b))
	for {
		var v T
		if err := dec.Decode(&v); err == io.EOF {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
}

// gather reads all that is left after the run.
func (c *crash) gather(t *testing.T) evidence {
	t.Helper()
	e := evidence{
		journal: c.sim.Journal(), answers: c.diary.answers, closing: c.diary.closing, pauses: c.diary.pauses,
		bans: map[string][]span{}, open: map[string]bool{}, excluded: map[string]bool{},
		present: map[string]bool{}, states: map[string]string{},
	}
	const tenant = centralsim.SampleTenant
	e.audit = lines[auditLine](t, c.fetch(t, "/v1/audit?tenantId="+tenant))
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: c.store.socket()})
	defer func() { _ = rdb.Close() }()
	var err error
	if e.last, err = rdb.HGet(c.ctx, "rollcall:{"+tenant+"}:meta", "seq").Int64(); err != nil {
		t.Fatal(err)
	}
	type row struct{ TicketID, EndpointID string }
	for _, v := range lines[struct{ Items []row }](t, c.fetch(t, "/v1/tickets?state=open"))[0].Items {
		e.open[v.TicketID] = true
	}
	for _, v := range lines[row](t, c.fetch(t, "/v1/exclusions?kind=ticket&format=ndjson")) {
		e.excluded[v.EndpointID] = true
	}
	for id, d := range c.diary.devices {
		e.bans[id] = d.bans
		_, e.present[id] = c.sim.Get(tenant, id)
		e.states[id], _ = rdb.HGet(c.ctx, "rollcall:{"+tenant+"}:device:"+id, "state").Result() // none: nothing was ever written
		if e.states[id] == "" || e.states[id] == "deleted" {
			continue
		}
		if b := c.fetch(t, "/v1/devices/"+id+"?tenantId="+tenant); b != nil { // the way that an operator sees it
			e.states[id] = lines[struct{ State string }](t, b)[0].State
		}
	}
	return e
}

// chain lets the program itself check the audit chain.
func (c *crash) chain(t *testing.T) finding {
	t.Helper()
	f := finding{invariant: "audit entries out of chain"}
	code, out, errs := ran(t, c.environ, "audit", "verify")
	t.Logf("audit verify: exit %d %s%s", code, out, errs)
	if code != exitDone {
		f.add("exit %d: %s%s", code, out, errs)
	}
	return f
}

// written is what all processes wrote to standard output, whole lines only: a
// process that is killed may leave a part of one.
func (c *crash) written() []byte {
	var out bytes.Buffer
	for _, r := range c.replicas {
		r.mu.Lock()
		for _, p := range r.all {
			text := p.stdout.String()
			out.WriteString(text[:strings.LastIndex(text, "\n")+1])
		}
		r.mu.Unlock()
	}
	return out.Bytes()
}

// exported holds the audit lines of all processes against the trail: whoever keeps
// them must have them all, and they must be one chain.
func (c *crash) exported(t *testing.T, last int64) finding {
	t.Helper()
	f := finding{invariant: "audit lines that no process wrote, or out of chain"}
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	missing := func() (out []string) {
		there := map[int64]bool{}
		for _, a := range lines[auditLine](t, c.written()) {
			there[a.Seq] = true
		}
		for seq := range last {
			if !there[seq+1] {
				out = append(out, fmt.Sprintf("%d of %d", seq+1, last))
			}
		}
		return out
	}
	for len(missing()) > 0 && wait(ctx, 500*time.Millisecond) {
	}
	f.broken = missing()
	name := filepath.Join(t.TempDir(), "audit")
	if err := os.WriteFile(name, c.written(), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := ran(t, nil, "audit", "verify", "--audit", name)
	t.Logf("audit verify of the lines: exit %d %s%s", code, out, errs)
	if code != exitDone {
		f.add("exit %d: %s%s", code, out, errs)
	}
	return f
}

// row is a fault, how often it was injected, and how often it should have been.
type row struct {
	what        string
	count, want int
}

// rows are the faults, and the load.
func (c *crash) rows() []row {
	kills := map[side]int{}
	for _, k := range c.killings() {
		kills[k.side]++
	}
	all := []row{
		{killStep(before), 0, kills[before]},
		{killStep(after), 0, kills[after]},
		{killRandom, 0, c.form.kills},
		{stopStep, 0, len(c.freezeAt())},
		{stopShort, 0, len(c.freezeAt()) * c.form.shortStops},
		{stopRandom, 0, c.form.stops},
		{killStore, 0, c.form.storeKills},
		{cutRequest, 0, 1}, {cutReply, 0, 1},
	}
	for _, f := range centralFaults() {
		all = append(all, row{"Central: " + f.name, 0, 1})
	}
	for _, what := range []string{haunting, twice, rivals, byTicket, quarrels, approvals, awakenings, forbiddens, decidedNot, pauses} {
		all = append(all, row{what, 0, 1})
	}
	for i := range all {
		all[i].count = c.tally.of(all[i].what)
	}
	return all
}

// unstruck are the faults that were injected less often than they should.
func (c *crash) unstruck() []row {
	var out []row
	for _, r := range c.rows() {
		if r.count < r.want {
			out = append(out, r)
		}
	}
	return out
}

// report prints the table, and fails the test for every invariant that was broken
// and every fault that did not strike.
func (c *crash) report(t *testing.T) {
	t.Helper()
	e := c.gather(t)
	findings := append(e.findings(), c.chain(t), c.exported(t, e.last), c.alive())
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	put := func(n int, what string) { _, _ = fmt.Fprintf(w, "%d\t\t%s\n", n, what) }
	for _, r := range c.rows() {
		if r.want > 0 { // else it is no part of this form
			put(r.count, r.what)
		}
		if r.count < r.want {
			t.Errorf("%s: injected %d times, should be %d", r.what, r.count, r.want)
		}
	}
	for _, what := range []string{noAnswer, stateAway, gaveUp, resets} {
		put(c.tally.of(what), what)
	}
	_, _ = fmt.Fprintln(w, "\t\t")
	if done := c.done(e, put); done < c.form.deletes {
		t.Errorf("only %d DELETEs were applied: that is no load", done)
	}
	_, _ = fmt.Fprintln(w, "\t\t")
	for _, f := range findings {
		put(len(f.broken), f.invariant)
	}
	_ = w.Flush()
	t.Logf("seed %d\n%s", crashSeed, text.String())
	for _, what := range c.missed {
		t.Errorf("no delete came to it: %s", what)
	}
	for _, f := range findings {
		if len(f.broken) > 0 {
			t.Errorf("%s: %d\n  %s\n%s", f.invariant, len(f.broken), strings.Join(f.broken[:min(5, len(f.broken))], "\n  "), e.story(anID.FindString(f.broken[0])))
		}
	}
}

// done puts how much was done, so that nobody takes an idle run for a good one, and
// returns how many DELETEs were applied.
func (c *crash) done(e evidence, put func(int, string)) int {
	outcomes := map[string]int{}
	for _, a := range e.answers {
		outcomes[a.action+" "+a.outcome]++
	}
	applied := 0
	for _, d := range e.attempts() {
		if d.applied {
			applied++
		}
	}
	put(len(e.bans), "devices")
	put(len(e.attempts()), "DELETEs that reached Central")
	put(applied, "DELETEs applied")
	for _, what := range []string{"evaluate delete", "evaluate manual", "delete deleted", "delete already_deleted", "delete pending", "delete deferred",
		"delete refused", "delete failed", "ticket-open opened", "ticket-close closed"} {
		put(outcomes[what], "answers: "+what)
	}
	put(len(e.audit), "audit entries")
	return applied
}

// alive is what no process may do, whatever happens around it.
func (c *crash) alive() finding {
	f := finding{invariant: "processes that panicked, raced, ended by themselves or answered 500"}
	for _, r := range c.replicas {
		for _, text := range r.complaints() {
			f.add("%s", text)
		}
	}
	for what, n := range c.diary.strange {
		f.add("%d times %s", n, what)
	}
	return f
}
