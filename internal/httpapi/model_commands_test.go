package httpapi_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/policy"
)

// deed is something that callers, devices, Central, people or time do.
type deed struct {
	name   string
	weight int
	do     func(*rapid.T)
}

// deeds are those that are possible now.
func (m *machine) deeds() []deed {
	paused, tokens, gone := m.pausedHere || m.pausedAll, len(m.tokens) > 0, 0
	for _, d := range m.devs {
		if !d.present && d.intent == "" {
			gone++
		}
	}
	when := func(ok bool, weight int) int {
		if !ok {
			return 0
		}
		return weight
	}
	return []deed{
		{"verify-live", 2, m.doVerify},
		{"evaluate", 2, m.doEvaluate},
		{"walk", 5, m.doWalk},
		{"delete", when(tokens, 5), m.doDelete},
		{"delete by ticket", when(len(m.ticket) > 0, 3), m.doDeleteByTicket},
		{"two deletes at once", when(tokens, 3), m.doTwo},
		{"delete beside something else", when(tokens, 3), m.doBeside},
		{"ticket-open", when(tokens, 2), m.doOpen},
		{"ticket-close", when(len(m.ticket) > 0, 3), m.doClose},
		{"ticket walk", 3, m.doTicketWalk},
		{"pause", when(!paused, 1), m.doPause},
		{"resume", when(paused, 15), m.doResume},
		{"circuit-reset", when(m.circuit, 8), m.doReset},
		{"policy", when(!m.odd(), 2), m.doPolicy},
		{"policy back", when(m.odd(), 10), m.doPolicyBack},
		{"check-in", 1, m.doCheckIn},
		{"goes offline", 1, m.doOffline},
		{"vanishes", 1, m.doVanish},
		{"comes back", when(gone > 0, 2), m.doComeBack},
		{"a fault of DELETE", 3, m.doDeleteFault},
		{"a fault of GET", 2, m.doReadFault},
		{"heals", when(m.faulty, 5), m.doHeal},
		{"time passes", 4, m.doPass},
		{"reconcile", 1, m.doReconcile},
	}
}

// fair draws a number below n, each as often; rapid's own prefer small ones.
func fair(n int) *rapid.Generator[int] {
	return rapid.Custom(func(t *rapid.T) int {
		v := 0
		for range 12 {
			v <<= 1
			if rapid.Bool().Draw(t, "bit") {
				v++
			}
		}
		return v % n
	})
}

// step does one deed, by weight.
func (m *machine) step(t *rapid.T) {
	var all []deed
	for _, d := range m.deeds() {
		for range d.weight {
			all = append(all, d)
		}
	}
	d := all[fair(len(all)).Draw(t, "deed")]
	t.Log(d.name)
	d.do(t)
}

// one is one of several, each as often.
func one[T any](t *rapid.T, what string, of ...T) T { return of[fair(len(of)).Draw(t, what)] }

// anyDevice is any of them.
func (m *machine) anyDevice(t *rapid.T) *modelled {
	return m.devs[fair(len(m.devs)).Draw(t, "device")]
}

// anyToken is one of a kind, mostly a young one; old ones are replayed too.
func anyToken(t *rapid.T, tokens []*held, like func(h *held) bool) *held {
	var of []*held
	for _, h := range tokens {
		if like(h) {
			of = append(of, h)
		}
	}
	if len(of) == 0 {
		t.Skip("no such token yet")
	}
	back := rapid.OneOf(fair(min(3, len(of))), fair(len(of))).Draw(t, "tokens back")
	return of[len(of)-1-back]
}

// aVerdict is any verdict, to open a ticket with.
func (m *machine) aVerdict(t *rapid.T) *held {
	return anyToken(t, m.tokens, func(h *held) bool { return h.kind == "verdict" })
}

// aYes is an approval or a verdict to delete; now and then any other verdict.
func (m *machine) aYes(t *rapid.T) *held {
	other, approved := fair(8).Draw(t, "another verdict") == 0, fair(3).Draw(t, "an approval") == 0
	if approved && slices.ContainsFunc(m.tokens, func(h *held) bool { return h.kind == "approval" }) {
		return anyToken(t, m.tokens, func(h *held) bool { return h.kind == "approval" })
	}
	return anyToken(t, m.tokens, func(h *held) bool { return h.kind == "verdict" && (h.verdict == policy.Delete) != other })
}

// told notes an outcome and keeps the token that came with it.
func (m *machine) told(a answer, sight string) *held {
	m.tally[a.is("action")+" "+a.is("outcome")]++
	return m.learn(a.is("token"), sight)
}

// seenBy is what a look that is told in an answer saw.
func (m *machine) seenBy(a answer, d *modelled) string {
	if a["verifiedAt"] == nil {
		return "no look"
	}
	return d.sight()
}

func (m *machine) doVerify(t *rapid.T) {
	d := m.anyDevice(t)
	a := m.act("verify-live", map[string]any{"event": m.eventOf(d, false)})
	m.told(a, m.seenBy(a, d))
}

func (m *machine) doEvaluate(t *rapid.T) {
	d := m.anyDevice(t)
	fresh, old := rapid.Bool().Draw(t, "fresh last-seen time"), fair(5).Draw(t, "evidence") == 0
	m.judge(t, d, fresh, old)
}

// judge evaluates a device, if asked on the newest evidence that there is of it,
// and checks that a verdict to delete is one that the model knows nothing against.
func (m *machine) judge(t *rapid.T, d *modelled, fresh, old bool) *held {
	event, sight := m.eventOf(d, fresh), ""
	if fair(6).Draw(t, "an event of yesterday") == 0 {
		put(event, "observedAt", m.now().Add(-20*time.Hour).UTC().Format(time.RFC3339))
	}
	body := map[string]any{"event": event}
	for _, h := range m.tokens {
		if old && h.kind == "evidence" && h.dev == d {
			body["evidence"], sight = h.token, h.sight
		}
	}
	before := m.now()
	a := m.act("evaluate", body)
	at, err := time.Parse(time.RFC3339, a.is("verifiedAt"))
	if used := err == nil && at.Before(before.Truncate(time.Millisecond)); !used {
		sight = m.seenBy(a, d)
	}
	h := m.told(a, sight)
	if h == nil || a.is("outcome") != "delete" || sight != d.sight() {
		return h
	}
	against := m.against(d, h.seen)
	if d.deleted || d.cameBack || d.open != "" || d.state == "keep" || d.state == "none" || d.approval != "" && m.now().Before(d.till) {
		against = append(against, fmt.Sprintf("what is decided: %+v", *d))
	}
	if m.pausedHere || m.pausedAll || len(against) > 0 {
		m.rt.Fatalf("%s: verdict delete, though there stands against it: %v", d.label, against)
	}
	return h
}

// use deletes with a token, and reports what became of it. A delete that nothing
// bars must come about.
func (m *machine) use(h *held, body map[string]any, observed, seen time.Time) answer {
	why, sure := m.barred(h, observed, seen)
	m.may[h.id] = why
	m.tally["barred: "+why]++
	a := m.act("delete", body)
	m.told(a, m.seenBy(a, h.dev))
	if a.is("outcome") == "deleted" {
		m.tally["deleted with "+h.kind]++
	}
	if why == "" && sure {
		m.tally["had to be deleted"]++
	}
	if why == "" && sure && a.is("outcome") != "deleted" {
		m.rt.Fatalf("%s: %s %s %q, and nothing stands against a delete", h.dev.label, a.is("outcome"), a.is("reasonsText"), a.codes())
	}
	if why != "" && a.is("outcome") == "deleted" {
		m.rt.Fatalf("%s: deleted, though %s", h.dev.label, why)
	}
	return a
}

func (m *machine) doDelete(t *rapid.T) {
	h := m.aYes(t)
	body, observed, seen := map[string]any{"token": h.token}, h.observed, h.seen
	if fair(5).Draw(t, "a fresh event") == 0 {
		body["event"], observed, seen = m.eventOf(h.dev, true), m.now(), h.dev.lastSeen
	}
	m.use(h, body, observed, seen)
}

// doWalk evaluates and deletes, as a playbook does.
func (m *machine) doWalk(t *rapid.T) {
	d := m.anyDevice(t)
	h := m.judge(t, d, false, false)
	m.check()
	if h != nil {
		m.use(h, map[string]any{"token": h.token}, h.observed, h.seen)
	}
}

func (m *machine) doDeleteByTicket(t *rapid.T) {
	id := m.anyTicket(t)
	k := m.ticket[id]
	if k == nil || k.open || k.decision != "delete" {
		a := m.act("delete", map[string]any{"ticketId": id})
		m.told(a, "")
		if a.is("outcome") != "refused" {
			m.rt.Fatalf("delete by a ticket that is no yes: %v", a)
		}
		return
	}
	h := m.byID[k.approval]
	m.use(h, map[string]any{"ticketId": id}, h.observed, h.seen)
}

// doTwo sends two deletes at once: of one token, of one device, or of two.
func (m *machine) doTwo(t *rapid.T) {
	pair := []*held{m.aYes(t), m.aYes(t)}
	if rapid.Bool().Draw(t, "the same") {
		pair[1] = pair[0]
	}
	m.atOnce(pair[0], func() answer { return m.remove(pair[1].token) }, pair[1])
}

// atOnce deletes with a token while something else happens.
func (m *machine) atOnce(h *held, other func() answer, also ...*held) (first, second answer) {
	for _, x := range append(also, h) {
		m.may[x.id], _ = m.barred(x, x.observed, x.seen)
	}
	var both sync.WaitGroup
	both.Go(func() { first = m.remove(h.token) })
	both.Go(func() { second = other() })
	both.Wait()
	m.readJournal()
	m.readAudit()
	m.told(first, m.seenBy(first, h.dev))
	if len(also) > 0 {
		m.told(second, m.seenBy(second, also[0].dev))
	}
	return first, second
}

// doBeside deletes while a ticket is opened for the device, deletes are paused,
// the device is evaluated, or what is unsettled is reconciled.
func (m *machine) doBeside(t *rapid.T) {
	h := m.aYes(t)
	switch fair(4).Draw(t, "beside") {
	case 0:
		m.atOnce(h, func() answer { m.admin("pause", tenant); return nil })
		m.pausedHere = true
	case 1:
		d := h.dev
		e := m.eventOf(d, false)
		_, a := m.atOnce(h, func() answer { return m.act("evaluate", map[string]any{"event": e}) })
		m.tally["evaluate beside a delete: "+a.is("outcome")]++
	case 2:
		m.atOnce(h, func() answer { _ = m.runner.Reconcile(m.t.Context()); return nil })
	case 3:
		v := m.aVerdict(t)
		id := fmt.Sprint("INC-", v.dev.label, "-beside")
		_, a := m.atOnce(h, func() answer {
			status, a := m.call(http.MethodPost, "/v1/actions/ticket-open", map[string]any{"token": v.token, "ticketId": id, "openedBy": "ann"})
			a["status"] = status
			return a
		})
		m.opened(v, id, "ann", a)
	}
}

// anyTicket is the id of a ticket, mostly one that was opened.
func (m *machine) anyTicket(t *rapid.T) string {
	ids := slices.Sorted(maps.Keys(m.ticket))
	if len(ids) == 0 || fair(10).Draw(t, "no ticket") == 0 {
		return "INC-unknown"
	}
	return ids[fair(len(ids)).Draw(t, "ticket")]
}

func (m *machine) doOpen(t *rapid.T) {
	h := m.aVerdict(t)
	whose := h.dev
	if fair(10).Draw(t, "another's ticket") == 0 {
		whose = m.anyDevice(t)
	}
	m.ask(t, h, fmt.Sprint("INC-", whose.label, "-", fair(3).Draw(t, "which")))
}

// ask opens a ticket with a verdict.
func (m *machine) ask(t *rapid.T, h *held, id string) {
	by := one(t, "opener", "ann", "ann", "bob", "")
	status, a := m.call(http.MethodPost, "/v1/actions/ticket-open", map[string]any{"token": h.token, "ticketId": id, "openedBy": by})
	a["status"] = status
	if by == "" && status == http.StatusUnprocessableEntity {
		m.tally["ticket-open without a person"]++
		if h.dev.label != "vip" && h.dev.label != "server" {
			m.rt.Fatalf("ticket-open %s for %s: %v", id, h.dev.label, a)
		}
		return
	}
	m.opened(h, id, by, a)
}

// opened takes in the answer to opening a ticket.
func (m *machine) opened(h *held, id, by string, a answer) {
	d, k := h.dev, m.ticket[id]
	m.tally["ticket-open "+a.is("outcome")]++
	another := k != nil && k.dev != d
	if a["status"] == http.StatusConflict {
		// An id is another's while a step for that one is at work on it, too.
		if c := m.claims[id]; !another && (c.dev == d || m.now().Sub(c.at) > 31*time.Second) {
			m.rt.Fatalf("ticket-open %s for %s: %v", id, d.label, a)
		}
		return
	}
	if m.claims[id].dev != d {
		m.claims[id] = claim{d, m.now()}
	}
	if another && a.is("outcome") == "opened" || a["status"] != http.StatusOK {
		m.rt.Fatalf("ticket-open %s for %s: %v", id, d.label, a)
	}
	if another {
		return
	}
	why := ""
	switch {
	case a.is("outcome") == "already_open" && d.open == "" && (!h.asked || id != a.is("ticketId")):
		why = "none is open"
	case a.is("outcome") == "already_open" && d.open != "" && a.is("ticketId") != d.open:
		why = "another is open"
	case a.is("outcome") == "opened" && (d.open != "" || d.deleted && !d.cameBack || h.asked || !m.now().Before(h.till)):
		why = "one is open, or the device is gone, or the question was asked before, or too long ago"
	case a.is("outcome") == "opened" && h.verdict != policy.Manual && h.verdict != policy.Delete:
		why = "no person is needed"
	}
	if why != "" {
		m.rt.Fatalf("ticket-open %s for %s: %s %s, though %s", id, d.label, a.is("outcome"), a.is("ticketId"), why)
	}
	if a.is("outcome") != "opened" {
		return
	}
	h.asked = true
	m.ticket[id] = &asked{dev: d, open: true, by: by, from: h, opened: m.now()}
	d.open, d.state, d.approval = id, "", ""
}

func (m *machine) doClose(t *rapid.T) { m.decide(t, m.anyTicket(t)) }

// doTicketWalk asks a person and lets another decide.
func (m *machine) doTicketWalk(t *rapid.T) {
	d := m.anyDevice(t)
	h := m.judge(t, d, rapid.Bool().Draw(t, "fresh last-seen time"), false)
	if h == nil {
		return
	}
	m.check()
	id := fmt.Sprint("INC-", d.label, "-", fair(3).Draw(t, "which"))
	m.ask(t, h, id)
	m.decide(t, id)
}

// decide closes a ticket, or changes what was decided.
func (m *machine) decide(t *rapid.T, id string) {
	decision := one(t, "decision", "delete", "delete", "delete", "keep", "none")
	by := one(t, "decider", "bob", "cleo")
	a := m.act("ticket-close", map[string]any{"ticketId": id, "decision": decision, "decidedBy": by})
	m.tally["ticket-close "+a.is("outcome")]++
	k := m.ticket[id]
	if k == nil {
		if a.is("outcome") != "not_found" {
			m.rt.Fatalf("ticket-close of a ticket that nobody opened: %v", a)
		}
		return
	}
	m.closed(id, k, decision, by, a)
}

// closed takes in the answer to closing a ticket.
func (m *machine) closed(id string, k *asked, decision, by string, a answer) {
	d := k.dev
	same := (d.vip || d.server) && decision == "delete" && (k.by == "" || k.by == by)
	switch out := a.is("outcome"); {
	case k.open && same && out != "refused", k.open && !same && out != "closed":
		m.rt.Fatalf("ticket-close %s of %s with %s by %s, opened by %q: %s %s", id, d.label, decision, by, k.by, out, a.is("reasonCode"))
	case !k.open && k.decision == decision && out != "already_closed":
		m.rt.Fatalf("ticket-close %s again: %s", id, out)
	case out == "changed" && (k.used || same):
		m.rt.Fatalf("ticket-close %s: %s, though the approval was used, or the same person asked", id, out)
	case out == "closed", out == "changed":
	default:
		return
	}
	if d.open == id {
		d.open = ""
	}
	k.open, k.decision, k.used, d.state, d.approval = false, decision, false, decision, ""
	if token := a.is("token"); (token != "") != (decision == "delete") {
		m.rt.Fatalf("ticket-close with %s answers the token %q", decision, token)
	}
	switch decision {
	case "delete":
		h := m.learn(a.is("token"), k.from.sight)
		k.approval, d.approval, d.till = h.id, h.id, h.till
		if left := h.till.Sub(m.now()); left > 7*days || h.ticket != id || h.sight != k.from.sight {
			m.rt.Fatalf("the approval of %s: %+v", id, h)
		}
	case "keep":
		d.till = m.now().AddDate(0, 0, 90)
		d.deleted, d.cameBack, d.applied = false, false, false // a person says that it lives
	}
}
