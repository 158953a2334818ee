package main

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/centralsim"
)

// lateness is what a DELETE may take from the process to the simulator beyond the
// window in which it may leave, on a machine that has no time.
const lateness = time.Second

// auditLine is what the check reads of an audit entry.
type auditLine struct {
	Seq                                                       int64
	At                                                        time.Time
	Action, Outcome, TokenID, EndpointID, RequestID, TicketID string
}

// evidence is everything that was left after a run.
type evidence struct {
	journal  []centralsim.Entry
	audit    []auditLine // of one tenant, in order
	last     int64       // the tenant's sequence
	answers  []told
	bans     map[string][]span // by device
	pauses   []span            // of the kill switch
	closing  map[string]bool   // by ticket
	open     map[string]bool   // tickets that are open
	excluded map[string]bool   // devices that are kept out for a ticket
	present  map[string]bool   // devices that Central has
	states   map[string]string // of devices, as the ledger says
}

// finding is an invariant and what broke it.
type finding struct {
	invariant string
	broken    []string
}

func (f *finding) add(format string, v ...any) {
	f.broken = append(f.broken, fmt.Sprintf(format, v...))
}

// findings are all invariants, each with what broke it.
func (e evidence) findings() []finding {
	return slices.Concat(e.sent(), e.trail(), e.promised(), e.settled())
}

// attempt is a DELETE that Central was sent.
type attempt struct {
	device  string
	at      time.Time
	applied bool
}

// attempts are the DELETEs in the order in which they came.
func (e evidence) attempts() []attempt {
	var out []attempt
	for _, r := range e.journal {
		if r.Method == http.MethodDelete {
			id := strings.ToLower(r.Path[strings.LastIndex(r.Path, "/")+1:])
			out = append(out, attempt{id, r.At, len(r.Deleted) > 0})
		}
	}
	return out
}

// intents are a device's entries that announce a DELETE, in order.
func (e evidence) intents() map[string][]auditLine {
	out := map[string][]auditLine{}
	for _, a := range e.audit {
		if a.Action == "delete" && a.Outcome == "intent" {
			out[a.EndpointID] = append(out[a.EndpointID], a)
		}
	}
	return out
}

// sent is what holds of the DELETEs that Central was sent.
func (e evidence) sent() []finding {
	again := finding{invariant: "devices deleted twice"}
	barred := finding{invariant: "deletes that policy or a person forbids"}
	blind := finding{invariant: "deletes without an intent on record before them"}
	late := finding{invariant: "deletes that left after the window of their intent"}
	intents, byToken, applied := e.intents(), map[string]int{}, map[string]bool{}
	for _, d := range e.attempts() {
		if applied[d.device] {
			again.add("%s: a DELETE at %s after one that was applied", d.device, clock(d.at))
		}
		applied[d.device] = applied[d.device] || d.applied
		if slices.ContainsFunc(e.bans[d.device], func(s span) bool { return s.has(d.at) }) {
			barred.add("%s: a DELETE at %s", d.device, clock(d.at))
		}
		in, ok := latest(intents[d.device], d.at)
		if !ok {
			blind.add("%s: a DELETE at %s", d.device, clock(d.at))
			continue
		}
		if byToken[in.TokenID]++; byToken[in.TokenID] > 1 {
			again.add("%s: a second DELETE for token %s at %s", d.device, in.TokenID, clock(d.at))
		}
		if slices.ContainsFunc(e.pauses, func(s span) bool { return s.has(in.At) }) {
			barred.add("%s: a DELETE at %s, deletes were paused at its intent, %s", d.device, clock(d.at), clock(in.At))
		}
		if d.at.Sub(in.At) > sendWindow+lateness {
			late.add("%s: a DELETE at %s, the intent was at %s", d.device, clock(d.at), clock(in.At))
		}
	}
	return []finding{again, barred, blind, late}
}

// latest is the last entry up to a time.
func latest(all []auditLine, at time.Time) (auditLine, bool) {
	for _, a := range slices.Backward(all) {
		if !a.At.After(at) {
			return a, true
		}
	}
	return auditLine{}, false
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// trail is what holds of the audit trail in itself and against the answers.
func (e evidence) trail() []finding {
	missing := finding{invariant: "audit entries missing"}
	want := int64(1)
	for _, a := range e.audit {
		if a.Seq != want {
			missing.add("after %d comes %d", want-1, a.Seq)
		}
		want = a.Seq + 1
	}
	if want-1 != e.last {
		missing.add("the last is %d, the sequence is at %d", want-1, e.last)
	}
	unwritten := finding{invariant: "answers without their audit entry"}
	written := map[string]bool{}
	for _, a := range e.audit {
		written[a.RequestID+" "+a.Outcome] = true
	}
	lasting := []string{"deleted", "already_deleted", "refused", "failed", "gone", "opened", "closed", "delete", "manual", "keep"}
	for _, t := range e.answers {
		// A ticket's step that changed nothing says so, and writes nothing.
		if slices.Contains(lasting, t.outcome) && (t.outcome != "refused" || t.action == "delete") && !written[t.requestID+" "+t.outcome] {
			unwritten.add("%s: %s %s of request %s", t.device, t.action, t.outcome, t.requestID)
		}
	}
	return []finding{missing, unwritten}
}

// promised is what holds of the answers that playbooks were given.
func (e evidence) promised() []finding {
	lost := finding{invariant: "open tickets lost"}
	there := finding{invariant: "answered deleted, and Central still has it"}
	for _, t := range e.answers {
		switch {
		case t.outcome == "opened" && !e.closing[t.ticket]:
			if !e.open[t.ticket] || !e.excluded[t.device] {
				lost.add("%s: ticket %s, open %t, excluded %t", t.device, t.ticket, e.open[t.ticket], e.excluded[t.device])
			}
		case t.action == "delete" && (t.outcome == "deleted" || t.outcome == "already_deleted") && e.present[t.device]:
			there.add("%s: %s to request %s", t.device, t.outcome, t.requestID)
		}
	}
	return []finding{lost, there}
}

// settled is what holds of the devices' states.
func (e evidence) settled() []finding {
	hanging := finding{invariant: "devices left unsettled"}
	wrong := finding{invariant: "on record as deleted, and Central still has it"}
	forgotten := finding{invariant: "deleted in Central, and not on record as that"}
	double := finding{invariant: "deletes put on record twice"}
	ghosts := finding{invariant: "called come back, and Central does not have it"}
	for id, state := range e.states {
		if state == "deleting" {
			hanging.add("%s", id)
		}
		if state == "deleted" && e.present[id] {
			wrong.add("%s", id)
		}
		if state == "came_back" && !e.present[id] {
			ghosts.add("%s", id)
		}
	}
	done := map[string]int{}
	for _, a := range e.audit {
		if a.Outcome == "deleted" && (a.Action == "delete" || a.Action == "settle") {
			done[a.EndpointID]++
		}
	}
	for _, d := range e.attempts() {
		known := slices.Contains([]string{"deleted", "came_back"}, e.states[d.device])
		if d.applied && (!known || done[d.device] == 0) {
			forgotten.add("%s: state %s, %d entries", d.device, cmp.Or(e.states[d.device], "unknown"), done[d.device])
		}
	}
	for id, n := range done {
		if n > 1 {
			double.add("%s: %d entries", id, n)
		}
	}
	return []finding{hanging, wrong, forgotten, double, ghosts}
}

// story is all that happened to a device, in the order of time.
func (e evidence) story(id string) string {
	type event struct {
		at   time.Time
		text string
	}
	var all []event
	for _, a := range e.audit {
		if id != "" && a.EndpointID == id {
			all = append(all, event{a.At, fmt.Sprintf("audit %d: %s %s, token %s, request %s", a.Seq, a.Action, a.Outcome, a.TokenID, a.RequestID)})
		}
	}
	for _, r := range e.journal {
		if id != "" && strings.HasSuffix(r.Path, id) {
			all = append(all, event{r.At, fmt.Sprintf("Central: %s, answered %d, applied %t", r.Method, r.Status, len(r.Deleted) > 0)})
		}
	}
	slices.SortStableFunc(all, func(a, b event) int { return a.at.Compare(b.at) })
	var out strings.Builder
	for _, v := range all {
		fmt.Fprintf(&out, "    %s %s\n", clock(v.at), v.text)
	}
	return out.String()
}

// The check itself must be able to fail: each fault that is planted is found, by
// its own invariant and by no other.
func TestCrashCheckFindsEachFault(t *testing.T) {
	start := time.Date(2026, 11, 20, 6, 0, 0, 0, time.UTC)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	sent := func(ms int, id string, applied bool) centralsim.Entry {
		e := centralsim.Entry{Method: http.MethodDelete, Path: "/endpoint/v1/endpoints/" + id, At: at(ms)}
		if applied {
			e.Deleted = []string{id}
		}
		return e
	}
	sound := func() *evidence {
		return &evidence{
			journal: []centralsim.Entry{sent(20, "a", true), sent(2020, "b", false)},
			audit: []auditLine{
				{Seq: 1, At: at(10), Action: "delete", Outcome: "intent", TokenID: "t1", EndpointID: "a"},
				{Seq: 2, At: at(30), Action: "delete", Outcome: "deleted", TokenID: "t1", EndpointID: "a", RequestID: "r1"},
				{Seq: 3, At: at(2010), Action: "delete", Outcome: "intent", TokenID: "t2", EndpointID: "b"},
				{Seq: 4, At: at(8010), Action: "settle", Outcome: "failed", TokenID: "t2", EndpointID: "b"},
				{Seq: 5, At: at(9000), Action: "ticket-open", Outcome: "opened", EndpointID: "c", RequestID: "r2"},
			},
			last:    5,
			answers: []told{{"delete", "deleted", "", "a", "", "r1"}, {"ticket-open", "opened", "", "c", "T-1", "r2"}},
			bans:    map[string][]span{"a": {{at(0), at(5)}}, "c": {{from: at(9000)}}},
			open:    map[string]bool{"T-1": true}, excluded: map[string]bool{"c": true},
			present: map[string]bool{"b": true, "c": true},
			states:  map[string]string{"a": "deleted", "b": "failed", "c": "ticket_open"},
		}
	}
	for _, tt := range []struct {
		want  string
		plant func(e *evidence)
	}{
		{"", func(*evidence) {}},
		{"devices deleted twice", func(e *evidence) { e.journal = append(e.journal, sent(25, "a", false)) }},
		{"devices deleted twice", func(e *evidence) { e.journal = append(e.journal, sent(2500, "b", false)) }},
		{"deletes that policy or a person forbids", func(e *evidence) { e.bans["b"] = []span{{from: at(2000)}} }},
		{"deletes that policy or a person forbids", func(e *evidence) { e.pauses = []span{{at(2000), at(2015)}} }},
		{"deletes without an intent on record before them", func(e *evidence) { e.audit[2].At = at(2021) }},
		{"deletes that left after the window of their intent", func(e *evidence) { e.journal[1].At = at(5100) }},
		{"audit entries missing", func(e *evidence) { e.audit = slices.Delete(e.audit, 3, 4) }},
		{"audit entries missing", func(e *evidence) { e.last = 6 }},
		{"answers without their audit entry", func(e *evidence) { e.audit[1].RequestID = "r9" }},
		{"open tickets lost", func(e *evidence) { e.open["T-1"] = false }},
		{"open tickets lost", func(e *evidence) { e.excluded["c"] = false }},
		{"answered deleted, and Central still has it", func(e *evidence) { e.answers[0].device = "b" }},
		{"devices left unsettled", func(e *evidence) { e.states["b"] = "deleting" }},
		{"on record as deleted, and Central still has it", func(e *evidence) { e.states["b"] = "deleted" }},
		{"deleted in Central, and not on record as that", func(e *evidence) { e.states["a"] = "failed" }},
		{"called come back, and Central does not have it", func(e *evidence) { e.states["a"] = "came_back" }},
		{"deletes put on record twice", func(e *evidence) {
			e.audit[3] = auditLine{Seq: 4, Action: "settle", Outcome: "deleted", EndpointID: "a"}
		}},
	} {
		e := sound()
		tt.plant(e)
		var got []string
		for _, f := range e.findings() {
			if len(f.broken) > 0 {
				got = append(got, f.invariant)
			}
		}
		if strings.Join(got, ", ") != tt.want {
			t.Errorf("want %q, got %q", tt.want, got)
		}
	}
}
