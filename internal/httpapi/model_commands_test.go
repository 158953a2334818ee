package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

// actions are what callers, devices, Central, people and time do.
func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"verify-live": m.doVerify, "evaluate": m.doEvaluate, "evaluate some more": m.doEvaluate,
		"delete": m.doDelete, "delete once more": m.doDelete, "delete by ticket": m.doDeleteByTicket,
		"walk": m.doWalk, "walk on": m.doWalk, "walk further": m.doWalk, "two deletes at once": m.doTwo,
		"delete beside something else": m.doBeside,
		"ticket-open":                  m.doOpen, "ticket-close": m.doClose, "ticket walk": m.doTicketWalk, "ticket walk on": m.doTicketWalk,
		"pause or resume": m.doSwitch, "circuit-reset": m.doReset, "policy": m.doPolicy,
		"check-in": m.doCheckIn, "goes offline": m.doOffline, "vanishes": m.doVanish, "comes back": m.doComeBack,
		"a fault of DELETE": m.doDeleteFault, "a fault of GET": m.doReadFault, "heals": m.doHeal, "heals again": m.doHeal,
		"time passes": m.doPass, "reconcile": m.doReconcile,
	}
}

// anyDevice and anyToken choose.
func (m *machine) anyDevice(t *rapid.T) *modelled { return rapid.SampledFrom(m.devs).Draw(t, "device") }

// anyToken prefers the younger half: old tokens are replayed, but not mostly.
func (m *machine) anyToken(t *rapid.T, kinds ...string) *held {
	var of []*held
	for _, h := range m.tokens {
		if slices.Contains(kinds, h.kind) {
			of = append(of, h)
		}
	}
	if len(of) == 0 {
		t.Skip("no token yet")
	}
	back := rapid.OneOf(rapid.IntRange(0, min(2, len(of)-1)), rapid.IntRange(0, len(of)-1)).Draw(t, "tokens back")
	return of[len(of)-1-back]
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
	fresh, old := rapid.Bool().Draw(t, "fresh last-seen time"), rapid.IntRange(0, 4).Draw(t, "evidence") == 0
	m.judge(d, fresh, old)
}

// judge evaluates a device, if asked on the newest evidence that there is of it,
// and checks that a verdict to delete is one that the model knows nothing against.
func (m *machine) judge(d *modelled, fresh, old bool) *held {
	body, sight := map[string]any{"event": m.eventOf(d, fresh)}, ""
	if i := slices.IndexFunc(m.tokens, func(h *held) bool { return h.kind == "evidence" && h.dev == d }); old && i >= 0 && !d.deleted {
		body["evidence"], sight = m.tokens[i].token, m.tokens[i].sight
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
	if why == "" && sure && a.is("outcome") != "deleted" {
		m.rt.Fatalf("%s: %s %s %q, and nothing stands against a delete", h.dev.label, a.is("outcome"), a.is("reasonsText"), a.codes())
	}
	if why != "" && a.is("outcome") == "deleted" {
		m.rt.Fatalf("%s: deleted, though %s", h.dev.label, why)
	}
	return a
}

func (m *machine) doDelete(t *rapid.T) {
	h := m.anyToken(t, "verdict", "approval")
	body, observed, seen := map[string]any{"token": h.token}, h.observed, h.seen
	if rapid.IntRange(0, 4).Draw(t, "a fresh event") == 0 {
		body["event"], observed, seen = m.eventOf(h.dev, true), m.now(), h.dev.lastSeen
	}
	m.use(h, body, observed, seen)
}

// doWalk evaluates and deletes, as a playbook does.
func (m *machine) doWalk(t *rapid.T) {
	d := m.anyDevice(t)
	if h := m.judge(d, false, false); h != nil {
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
	pair := []*held{m.anyToken(t, "verdict", "approval"), m.anyToken(t, "verdict", "approval")}
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
	m.told(first, m.seenBy(first, h.dev))
	if len(also) > 0 {
		m.told(second, m.seenBy(second, also[0].dev))
	}
	return first, second
}

// doBeside deletes while a ticket is opened for the device, deletes are paused,
// the device is evaluated, or what is unsettled is reconciled.
func (m *machine) doBeside(t *rapid.T) {
	h := m.anyToken(t, "verdict", "approval")
	switch rapid.IntRange(0, 3).Draw(t, "beside") {
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
		v := m.anyToken(t, "verdict")
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
	ids := []string{"INC-unknown"}
	for id := range m.ticket {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return rapid.SampledFrom(ids).Draw(t, "ticket")
}

func (m *machine) doOpen(t *rapid.T) {
	h := m.anyToken(t, "verdict")
	whose := h.dev
	if rapid.IntRange(0, 9).Draw(t, "another's ticket") == 0 {
		whose = m.anyDevice(t)
	}
	m.ask(t, h, fmt.Sprint("INC-", whose.label, "-", rapid.IntRange(0, 2).Draw(t, "which")))
}

// ask opens a ticket with a verdict.
func (m *machine) ask(t *rapid.T, h *held, id string) {
	by := rapid.SampledFrom([]string{"ann", "bob", ""}).Draw(t, "opener")
	status, a := m.call(http.MethodPost, "/v1/actions/ticket-open", map[string]any{"token": h.token, "ticketId": id, "openedBy": by})
	a["status"] = status
	m.opened(h, id, by, a)
}

// opened takes in the answer to opening a ticket.
func (m *machine) opened(h *held, id, by string, a answer) {
	d, k := h.dev, m.ticket[id]
	m.tally["ticket-open "+a.is("outcome")]++
	if another := k != nil && k.dev != d; another || a["status"] != http.StatusOK {
		// A token that says nothing any more is refused before its ticket is looked at.
		if !another || (a["status"] != http.StatusConflict && a.is("outcome") != "refused" && a.is("outcome") != "already_open") {
			m.rt.Fatalf("ticket-open %s for %s: %v", id, d.label, a)
		}
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
	h := m.judge(d, rapid.Bool().Draw(t, "fresh last-seen time"), false)
	if h == nil {
		return
	}
	id := fmt.Sprint("INC-", d.label, "-", rapid.IntRange(0, 2).Draw(t, "which"))
	m.ask(t, h, id)
	m.decide(t, id)
}

// decide closes a ticket, or changes what was decided.
func (m *machine) decide(t *rapid.T, id string) {
	decision := rapid.SampledFrom([]string{"delete", "delete", "keep", "none"}).Draw(t, "decision")
	by := rapid.SampledFrom([]string{"bob", "cleo"}).Draw(t, "decider")
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

func (m *machine) doSwitch(t *rapid.T) {
	if m.pausedAll || m.pausedHere {
		m.admin("resume", "")
		m.admin("resume", tenant)
		m.pausedAll, m.pausedHere = false, false
		return
	}
	id, flag := "", &m.pausedAll
	if rapid.Bool().Draw(t, "of the tenant") {
		id, flag = tenant, &m.pausedHere
	}
	m.admin("pause", id)
	*flag = true
}

func (m *machine) doReset(*rapid.T) { m.admin("circuit-reset", tenant) }

// doPolicy changes one thing of the policy in force, or puts all back.
func (m *machine) doPolicy(t *rapid.T) {
	odd := m.silence != 30 || m.shut || m.broken || m.dry || m.perDay != 100
	switch n := rapid.IntRange(0, 7).Draw(t, "what"); {
	case odd && n > 2:
		m.silence, m.shut, m.broken, m.dry, m.perDay, m.spacing = 30, false, false, false, 100, 0
	case n == 0:
		m.silence = rapid.SampledFrom([]int{30, 200}).Draw(t, "days")
	case n == 1:
		d := m.anyDevice(t)
		d.excluded = !d.excluded
	case n == 2:
		m.shut = !m.shut
	case n == 3:
		m.broken = !m.broken
	case n == 4:
		m.dry = !m.dry
	default:
		m.perDay = rapid.SampledFrom([]int{0, 1, 2, 100}).Draw(t, "a day")
		m.spacing = rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "spacing")
	}
	m.change(func(r *action.Rules) {
		r.Broken = m.broken
		p := &r.Params
		p.InactiveDays.Computer, p.Window, p.LiveTenants, p.Exclusions = m.silence, nil, nil, nil
		p.Limits = policy.Limits{PerDay: []int{m.perDay}, CleanDays: 3, PercentPerDay: 100, Spacing: m.spacing}
		if m.shut {
			p.Window = shut()
		}
		if m.dry {
			p.LiveTenants = []string{centralsim.ForeignTenant}
		}
		for _, d := range m.devs {
			if d.excluded {
				p.Exclusions = append(p.Exclusions, policy.Exclusion{ID: d.label, EndpointIDs: []string{d.id}, Reason: "r", Owner: "o"})
			}
		}
	})
}

// there is a device that Central has.
func (m *machine) there(t *rapid.T) *modelled {
	d := m.anyDevice(t)
	if !d.present {
		t.Skip("not there")
	}
	return d
}

func (m *machine) doCheckIn(t *rapid.T) {
	d := m.there(t)
	d.lastSeen, d.online = m.now().UTC().Truncate(time.Millisecond), true
	m.sim.CheckIn(tenant, d.id, d.lastSeen)
}

func (m *machine) doOffline(t *rapid.T) {
	d := m.there(t)
	r, _ := m.recordOf(d)
	r["online"], d.online = false, false
	m.sim.Put(tenant, r)
}

func (m *machine) doVanish(t *rapid.T) {
	d := m.there(t)
	d.record, _ = m.recordOf(d)
	m.sim.Remove(tenant, d.id)
	d.present = false
}

func (m *machine) doComeBack(t *rapid.T) {
	d := m.anyDevice(t)
	if d.present {
		t.Skip("it is there")
	}
	if d.intent != "" {
		t.Skip("nobody could tell that from a DELETE that was not applied")
	}
	d.present = true
	m.sim.Put(tenant, d.record)
	if rapid.Bool().Draw(t, "in use") {
		m.doCheckIn(t)
	}
}

func (m *machine) doDeleteFault(t *rapid.T) {
	m.faulty = true
	m.deleteFault(rapid.SampledFrom([]centralsim.Fault{
		{Status: 500}, {Status: 500, ApplyAnyway: true}, {Drop: true}, {Drop: true, ApplyAnyway: true}, {Status: 403}, {Status: 429, RetryAfter: "7"},
		{Status: 200, Body: `{"deleted":true}`, ContentType: "application/json"}, {Status: 200, Body: `{"deleted":false}`, ContentType: "application/json"},
		{CutBody: true},
	}).Draw(t, "fault"))
}

func (m *machine) doReadFault(t *rapid.T) {
	m.faulty = true
	f := rapid.SampledFrom([]centralsim.Fault{
		{Status: 500}, {Status: 404, Body: "<html>", ContentType: "text/html"}, {Status: 403}, {Status: 429, RetryAfter: "7"}, {CutBody: true}, {Drop: true},
	}).Draw(t, "fault")
	f.Method, f.Path = http.MethodGet, "/endpoint/"
	f.Skip, f.Times = rapid.IntRange(0, 4).Draw(t, "let pass"), rapid.IntRange(1, 3).Draw(t, "times")
	m.sim.Fault(f)
}

func (m *machine) doHeal(*rapid.T) {
	m.sim.ClearFaults()
	m.faulty = false
}

func (m *machine) doPass(t *rapid.T) {
	m.pass(rapid.SampledFrom([]time.Duration{
		3 * time.Second, 10 * time.Second, time.Minute, time.Minute, 2 * time.Minute, 11 * time.Minute, 11 * time.Minute, time.Hour,
		13 * time.Hour, 25 * time.Hour, 8 * days, 31 * days, 92 * days,
	}).Draw(t, "time"))
}

func (m *machine) doReconcile(*rapid.T) {
	if err := m.runner.Reconcile(m.t.Context()); err != nil {
		m.rt.Fatal(err)
	}
}
