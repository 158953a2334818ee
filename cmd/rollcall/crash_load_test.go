package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"rollcall/internal/centralsim"
)

// crashIDs begins the id of every device that the run makes.
const crashIDs = "c4a5e000-"

// impatience is how long a playbook waits for an answer. It is longer than an
// action may take, and shorter than a process is stopped.
const impatience = 3 * time.Second

// device is one device of the run, and when nothing may delete it.
type device struct {
	id, name string
	event    map[string]any
	mu       sync.Mutex
	bans     []span
}

// The two people.
const opener, decider = "anna", "ben"

// span is a time; an open end is zero.
type span struct{ from, to time.Time }

func (s span) has(at time.Time) bool { return !at.Before(s.from) && (s.to.IsZero() || at.Before(s.to)) }

// ban says that from now on nothing may delete the device.
func (d *device) ban() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bans = append(d.bans, span{from: time.Now()})
}

// allow ends every ban.
func (d *device) allow() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.bans {
		if d.bans[i].to.IsZero() {
			d.bans[i].to = time.Now()
		}
	}
}

// device makes a device like the sample's of a case, and puts it into Central.
func (c *crash) device(label string) *device {
	sample := c.cases[label]
	n := int(c.numbers.Add(1))
	id := fmt.Sprintf("%s0000-4000-8000-%012x", crashIDs, n)
	name := sample.Name[:strings.LastIndex(sample.Name, "-")+1] + fmt.Sprintf("%06d", n)
	anew := strings.NewReplacer(sample.ID, id, sample.Name, name)
	record := copied(sample.Record, anew)
	record["serialNumber"] = fmt.Sprintf("CR%08d", n)
	record["macAddresses"] = []any{fmt.Sprintf("02:00:5F:%02X:%02X:%02X", n>>16&255, n>>8&255, n&255)}
	d := &device{id: id, name: name, event: copied(sample.Event, anew)}
	c.sim.Put(centralsim.SampleTenant, record)
	c.diary.mu.Lock()
	defer c.diary.mu.Unlock()
	c.diary.devices[id] = d
	return d
}

// copied is a document with other names in it.
func copied(doc map[string]any, names *strings.Replacer) map[string]any {
	b, err := json.Marshal(doc)
	var out map[string]any
	if err == nil {
		err = json.Unmarshal([]byte(names.Replace(string(b))), &out)
	}
	if err != nil {
		panic(err) // a sample is JSON
	}
	return out
}

// diary is what the playbooks were told.
type diary struct {
	mu      sync.Mutex
	devices map[string]*device
	answers []told
	closing map[string]bool // tickets that somebody tried to close
	strange map[string]int  // statuses that no playbook should see
	pauses  []span          // when deletes were certainly paused
}

// told is one answer that came.
type told struct {
	action, outcome, code, device, ticket, requestID string
}

func (d *diary) write(t told) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answers = append(d.answers, t)
}

// says is an answer's field as text.
func says(a map[string]any, name string) string {
	s, _ := a[name].(string)
	return s
}

// call calls an action on a replica, once; nil where no answer came that can be
// used. Every answer is put down.
func (c *crash) call(ctx context.Context, r *replica, key, name string, dev *device, body map[string]any) map[string]any {
	ctx, cancel := context.WithTimeout(ctx, impatience)
	defer cancel()
	sent := map[string]any{"requestId": fmt.Sprintf("crash-%d", c.requests.Add(1))}
	for k, v := range body {
		sent[k] = v
	}
	status, a, err := tryPost(ctx, r.address(), key, "/v1/actions/"+name, sent)
	switch {
	case err != nil:
		c.tally.add(noAnswer)
		return nil
	case status == http.StatusServiceUnavailable:
		c.tally.add(stateAway)
		return nil
	case status != http.StatusOK:
		c.diary.mu.Lock()
		c.diary.strange[fmt.Sprintf("%s: %d %v", name, status, a["detail"])]++
		c.diary.mu.Unlock()
		return nil
	}
	c.diary.write(told{name, says(a, "outcome"), says(a, "reasonCode"), dev.id, says(a, "ticketId"), says(a, "requestId")})
	if says(a, "reasonCode") == "CIRCUIT_OPEN" {
		c.circuit.Store(true)
	}
	return a
}

// What is counted of playbooks and people.
const (
	noAnswer   = "playbook's request without an answer"
	stateAway  = "playbook's request answered 503"
	twice      = "same token sent twice at once"
	rivals     = "same device by two playbooks at once"
	gaveUp     = "playbook that gave up in the middle"
	resets     = "circuit reset by the operator"
	pauses     = "kill switch thrown and taken back by the operator"
	approvals  = "approval given by a second person"
	byTicket   = "delete by ticket id and by token at once"
	quarrels   = "delete and ticket-open at once"
	awakenings = "device that came to life before its delete"
	forbiddens = "delete tried of a device that policy forbids"
	decidedNot = "delete tried after keep, none or no decision"
)

// playbook is one goroutine that works through devices.
type playbook struct {
	c    *crash
	ctx  context.Context
	dice *rand.Rand
}

// any picks a replica that the load may use.
func (p *playbook) any() *replica {
	if p.c.shy.Load() {
		return p.c.replicas[1]
	}
	return p.c.replicas[p.dice.IntN(2)]
}

// nap waits up to a time.
func (p *playbook) nap(most time.Duration) bool {
	return wait(p.ctx, time.Duration(1+p.dice.Int64N(int64(most))))
}

// insist calls until an answer comes, some times.
func (p *playbook) insist(key, name string, d *device, body map[string]any) map[string]any {
	for range 12 {
		if a := p.c.call(p.ctx, p.any(), key, name, d, body); a != nil {
			return a
		}
		if !p.nap(300 * time.Millisecond) {
			return nil
		}
	}
	return nil
}

// verdict evaluates until the verdict is not one of a passing trouble.
func (p *playbook) verdict(d *device) map[string]any {
	for range 12 {
		body := map[string]any{"event": d.event}
		if p.dice.IntN(2) == 0 {
			if a := p.insist(p.c.keys.playbook, "verify-live", d, body); says(a, "token") != "" {
				body["evidence"] = a["token"]
			}
		}
		a := p.insist(p.c.keys.playbook, "evaluate", d, body)
		if a == nil || says(a, "outcome") != "skip" {
			return a
		}
		if code := says(a, "reasonCode"); code != "VERIFY_FAILED" && code != "IN_FLIGHT" && code != "FLEET_SILENT" {
			return a
		}
		if !p.nap(500 * time.Millisecond) {
			return nil
		}
	}
	return nil
}

// pursue sends the same delete until its outcome is known, less patiently than
// the answers ask for, and returns the outcome.
func (p *playbook) pursue(d *device, body map[string]any) string {
	for range 25 {
		a := p.c.call(p.ctx, p.any(), p.c.keys.playbook, "delete", d, body)
		switch outcome := says(a, "outcome"); outcome {
		case "deleted", "already_deleted", "gone", "refused", "failed":
			return outcome
		}
		if p.dice.IntN(60) == 0 {
			p.c.tally.add(gaveUp)
			return ""
		}
		if !p.nap(700 * time.Millisecond) {
			return ""
		}
	}
	return ""
}

// both runs two things at once.
func both(a, b func()) {
	var wg sync.WaitGroup
	wg.Go(a)
	wg.Go(b)
	wg.Wait()
}

// twin is a playbook of the same kind for another goroutine.
func (p *playbook) twin() *playbook {
	return &playbook{p.c, p.ctx, rand.New(rand.NewPCG(p.dice.Uint64(), 1))}
}

// run works until the context ends.
func (p *playbook) run() {
	plays := []func(){p.straight, p.straight, p.sameToken, p.sameToken, p.sameDevice, p.sameDevice, p.approved, p.approved,
		p.quarrel, p.undecided, p.awoken, p.forbidden}
	for p.ctx.Err() == nil {
		plays[p.dice.IntN(len(plays))]()
	}
}

// token is the body that names a token.
func token(a map[string]any) map[string]any { return map[string]any{"token": a["token"]} }

// straight is the plain way.
func (p *playbook) straight() {
	d := p.c.device("eligible")
	if a := p.verdict(d); says(a, "outcome") == "delete" {
		p.chase(d, token(a))
	}
}

// chase pursues a delete, and one that failed with a new verdict.
func (p *playbook) chase(d *device, body map[string]any) {
	for range 3 {
		if out := p.pursue(d, body); out != "failed" && out != "refused" {
			return
		}
		a := p.verdict(d)
		if says(a, "outcome") != "delete" {
			return
		}
		body = token(a)
	}
}

// sameToken sends one token twice at once, and pursues both.
func (p *playbook) sameToken() {
	d := p.c.device("eligible")
	a := p.verdict(d)
	if says(a, "outcome") != "delete" {
		return
	}
	p.c.tally.add(twice)
	q := p.twin()
	both(func() { p.pursue(d, token(a)) }, func() { q.pursue(d, token(a)) })
}

// sameDevice has two playbooks come by the same device, each with its own verdict.
func (p *playbook) sameDevice() {
	d := p.c.device("eligible")
	one := func(p *playbook) func() {
		return func() {
			if a := p.verdict(d); says(a, "outcome") == "delete" {
				p.pursue(d, token(a))
			}
		}
	}
	p.c.tally.add(rivals)
	both(one(p), one(p.twin()))
}

// open opens a ticket on a verdict, if there was one; empty where it was not
// certainly opened.
func (p *playbook) open(d *device, a map[string]any) string {
	if a == nil {
		return ""
	}
	id := fmt.Sprintf("CR-%d", p.c.requests.Add(1))
	a = p.insist(p.c.keys.playbook, "ticket-open", d, map[string]any{"token": a["token"], "ticketId": id, "openedBy": opener})
	if says(a, "outcome") != "opened" && says(a, "outcome") != "already_open" {
		return ""
	}
	d.ban()
	return says(a, "ticketId")
}

// decide closes a ticket with a decision and returns the answer. What the opener
// decides alone must leave the ticket open.
func (p *playbook) decide(d *device, ticket, decision, by string) map[string]any {
	p.c.diary.mu.Lock()
	p.c.diary.closing[ticket] = by != opener
	p.c.diary.mu.Unlock()
	return p.insist(p.c.keys.approver, "ticket-close", d, map[string]any{"ticketId": ticket, "decision": decision, "decidedBy": by})
}

// approved asks a person, who says yes, and deletes by both names of the approval.
func (p *playbook) approved() {
	d := p.c.device([]string{"eligible", "vip", "server"}[p.dice.IntN(3)])
	d.ban()
	a := p.verdict(d)
	ticket := p.open(d, a)
	if ticket == "" {
		return
	}
	p.nap(50 * time.Millisecond)
	d.allow()
	closed := p.decide(d, ticket, "delete", decider)
	if says(closed, "token") == "" {
		return
	}
	p.c.tally.add(approvals)
	p.c.tally.add(byTicket)
	q := p.twin()
	both(func() { p.pursue(d, token(closed)) }, func() { q.pursue(d, map[string]any{"ticketId": ticket}) })
}

// quarrel deletes and opens a ticket at once: one of them is too late.
func (p *playbook) quarrel() {
	d := p.c.device("eligible")
	a := p.verdict(d)
	if says(a, "outcome") != "delete" {
		return
	}
	p.c.tally.add(quarrels)
	q := p.twin()
	both(func() { p.pursue(d, token(a)) }, func() { q.open(d, a) })
}

// undecided opens a ticket that nobody closes, or that is closed without a yes.
func (p *playbook) undecided() {
	d := p.c.device("eligible")
	a := p.verdict(d)
	ticket := p.open(d, a)
	if ticket == "" {
		return
	}
	if decision := []string{"", "keep", "none"}[p.dice.IntN(3)]; decision != "" {
		p.decide(d, ticket, decision, decider)
	}
	p.c.tally.add(decidedNot)
	p.pursue(d, token(a))
	p.pursue(d, map[string]any{"ticketId": ticket})
}

// awoken has the device check in between its verdict and its delete.
func (p *playbook) awoken() {
	d := p.c.device("eligible")
	a := p.verdict(d)
	p.c.sim.CheckIn(centralsim.SampleTenant, d.id, time.Now())
	d.ban()
	if says(a, "outcome") != "delete" {
		return
	}
	p.c.tally.add(awakenings)
	p.pursue(d, token(a))
}

// forbidden tries to delete what must not be, with whatever token it is given; the
// one who opened the ticket also says yes, which is no second person.
func (p *playbook) forbidden() {
	kinds := []string{"vip", "server", "online", "excluded", "enabled-again", "protected-role", "isolated", "outside-ou",
		"active-since-event", "too-young", "grace", "macos", "build-newer"}
	kind := kinds[p.dice.IntN(len(kinds))]
	d := p.c.device(kind)
	d.ban()
	a := p.verdict(d)
	if says(a, "token") == "" {
		return
	}
	p.c.tally.add(forbiddens)
	p.pursue(d, token(a))
	if kind != "vip" && kind != "server" {
		return
	}
	if ticket := p.open(d, a); ticket != "" {
		p.decide(d, ticket, "delete", opener)
		p.pursue(d, map[string]any{"ticketId": ticket})
	}
}
