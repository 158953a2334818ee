package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// barred says why a token may not send a DELETE now; "" = nothing bars it. seen
// and observed are those of the event that the delete is judged by. sure is false
// where a delete that nothing bars may still come to nothing.
func (m *machine) barred(h *held, observed, seen time.Time) (why string, sure bool) {
	d, now, approved := h.dev, m.now(), h.ticket != ""
	if approved {
		now = h.opened // the event's age counts to when the ticket was opened
	}
	stale := now.Sub(observed) > 24*time.Hour
	now = m.now()
	switch {
	case m.pausedHere || m.pausedAll:
		return "deletes are paused", true
	case m.dry || m.broken || h.mode != "live":
		return "it is not live", true
	case m.circuit:
		return "the circuit is open", true
	case m.shut:
		return "the window is shut", true
	case h.spent:
		return "the token has sent its DELETE", true
	case !now.Before(h.till):
		return "the token has run out", true
	case h.kind == "verdict" && h.verdict != 3, h.kind == "evidence":
		return "it is no verdict to delete", true
	case !d.present:
		return "the device is not there", true
	case h.sight != d.sight():
		return "Central shows something else than when it was sealed", true
	case stale:
		return "the event is too old", true
	case d.deleted || d.applied || d.cameBack:
		return "it was deleted before", true
	case d.open != "":
		return "its ticket is open", true
	}
	if why := m.decidedAgainst(h, approved); why != "" {
		return why, true
	}
	for _, code := range m.against(d, seen) {
		if !approved || !slices.Contains(h.shown, code) {
			return "there stands against it: " + code, true
		}
	}
	if why := m.limited(); why != "" {
		return why, true
	}
	if d.intent != "" && now.Sub(d.intentAt) < modelUnsettle {
		return "another DELETE is not settled", true
	}
	return "", d.intent == "" && !m.faulty
}

// approvalWaits bars a verdict until the approval was used.
const approvalWaits = "an approval is waiting"

// decidedAgainst is what a person's decision has against the token.
func (m *machine) decidedAgainst(h *held, approved bool) string {
	d := h.dev
	stands := d.approval != "" && m.now().Before(d.till)
	switch {
	case d.state == "keep" && m.now().Before(d.till):
		return "a person decided: keep"
	case d.state == "keep", d.state == "none":
		return "a person must decide anew"
	case approved && (!stands || d.approval != h.id):
		return "the approval was used, taken back or has run out"
	case !approved && stands:
		return approvalWaits
	}
	return ""
}

// limited is what the limits say.
func (m *machine) limited() string {
	used, last := 0, time.Time{}
	for _, at := range m.attempts {
		if m.now().Sub(at) < 24*time.Hour {
			used++
		}
		last = at
	}
	switch {
	case used >= m.perDay:
		return "the day's limit is used up"
	case m.now().Sub(last) < m.spacing:
		return "the last one was too short a time ago"
	}
	return ""
}

// line is an entry of the audit trail, as far as the model reads it.
type line struct {
	Seq                                  int
	At                                   time.Time
	Action, Outcome, EndpointID, TokenID string
	Settled, CameBack, CircuitOpened     string
	Prev, Digest                         string
}

// readAudit folds the new entries of the trail into the model.
func (m *machine) readAudit() {
	_, raw := m.raw(http.MethodGet, "/v1/audit?tenantId="+tenant, nil)
	n, digest := 0, ""
	for text := range bytes.Lines(raw) {
		var e line
		if err := json.Unmarshal(text, &e); err != nil {
			m.rt.Fatalf("audit: %v: %s", err, text)
		}
		if n++; e.Seq != n {
			m.rt.Fatalf("entry %d of the audit trail has number %d", n, e.Seq)
		}
		if n > 1 && e.Prev != digest || n == m.seq && e.Digest != m.digest {
			m.rt.Fatalf("entry %d of the audit trail does not follow the one before, or was another before", n)
		}
		digest = e.Digest
		if n > m.seq {
			m.fold(e)
		}
	}
	if n < m.seq {
		m.rt.Fatalf("the audit trail had %d entries and has %d", m.seq, n)
	}
	m.seq, m.digest = n, digest
}

// fold takes in one entry.
func (m *machine) fold(e line) {
	var d *modelled
	for _, x := range m.devs {
		if x.id == e.EndpointID {
			d = x
		}
	}
	if e.Action == "circuit-reset" {
		m.circuit, m.failRow = false, 0
	}
	if d == nil {
		return
	}
	h := m.byID[e.TokenID]
	switch {
	case e.Action == "ticket-open" && e.Outcome == "opened":
		d.asks = true
	case e.Action == "ticket-close" && (e.Outcome == "closed" || e.Outcome == "changed"):
		d.asks = false
	case e.Outcome == "intent":
		m.began(d, h, e)
	case e.Settled != "" && e.Settled != "pending":
		m.settled(d, h, e)
	}
	if e.CameBack != "" {
		if !d.present || !d.deleted {
			m.rt.Fatalf("%s is said to have come back: %s; present %v, deleted %v", d.label, e.CameBack, d.present, d.deleted)
		}
		d.cameBack, d.listed, m.circuit = true, false, true
	}
	if e.CircuitOpened != "" && !m.circuit {
		m.rt.Fatalf("the circuit was opened for no reason that the model knows: %s", e.CircuitOpened)
	}
}

// began is an intent: its token must have been free to send.
func (m *machine) began(d *modelled, h *held, e line) {
	why, asked := m.may[e.TokenID]
	if why == approvalWaits && d.approval == "" { // of two deletes at once the other has used it, and that one's DELETE failed
		why = ""
	}
	switch {
	case h == nil || h.dev != d || !asked:
		m.rt.Fatalf("an intent for %s with a token that nobody used for it: %s", d.label, e.TokenID)
	case why != "":
		m.rt.Fatalf("an intent for %s though %s", d.label, why)
	case h.spent:
		m.rt.Fatalf("a second intent for one token of %s", d.label)
	case d.intent != "":
		m.rt.Fatalf("an intent for %s while another is not settled", d.label)
	case d.asks:
		m.rt.Fatalf("an intent for %s after its ticket was opened", d.label)
	}
	h.spent, d.intent, d.intentAt = true, h.id, e.At
	d.intents++
	m.attempts = append(m.attempts, e.At)
	if h.ticket != "" {
		d.approval = ""
		m.ticket[h.ticket].used = true
	}
}

// settled is the end of an intent.
func (m *machine) settled(d *modelled, h *held, e line) {
	if d.intent != e.TokenID || h == nil {
		m.rt.Fatalf("%s: what was not begun is settled as %s", d.label, e.Settled)
	}
	d.intent = ""
	m.tally["settled as "+e.Settled]++
	switch e.Settled {
	case "deleted":
		if d.present {
			m.rt.Fatalf("%s is settled as deleted and is still there", d.label)
		}
		d.deleted, d.listed, m.failRow = true, true, 0
		d.state, d.approval = "", ""
	case "failed":
		if m.failRow++; m.failRow >= 3 {
			m.circuit = true
		}
		d.state, d.approval = "", ""
	case "limited":
		d.state, d.approval = "", ""
	case "unsent":
		h.spent = false
		d.intents--
		if h.ticket != "" && d.state == "delete" {
			d.approval = h.id
			m.ticket[h.ticket].used = false
		}
	default:
		m.rt.Fatalf("settled as %q", e.Settled)
	}
}

// readJournal looks at the new requests that Central got.
func (m *machine) readJournal() {
	all := m.sim.Journal()
	for _, e := range all[m.seen:] {
		if e.Method != http.MethodDelete {
			if len(e.Deleted) > 0 {
				m.rt.Fatalf("%s %s deleted %v", e.Method, e.Path, e.Deleted)
			}
			continue
		}
		m.tally["DELETEs"]++
		var d *modelled
		for _, x := range m.devs {
			if e.Path == "/endpoint/v1/endpoints/"+x.id && e.Tenant == tenant {
				d = x
			}
		}
		if d == nil {
			m.rt.Fatalf("DELETE %s in tenant %s", e.Path, e.Tenant)
		}
		if d.applied {
			m.rt.Fatalf("a DELETE for %s, which was deleted before", d.label)
		}
		d.deletions++
		if len(e.Deleted) > 0 {
			d.applied, d.present = true, false
		}
	}
	m.seen = len(all)
}

// check looks at all that has happened since it last looked, and at the sets.
func (m *machine) check() {
	m.readJournal()
	m.readAudit()
	clear(m.may)
	for _, d := range m.devs {
		if d.deletions > d.intents {
			m.rt.Fatalf("%s: %d DELETEs and %d intents", d.label, d.deletions, d.intents)
		}
	}
	m.sameTickets()
	m.sameExclusions()
}

// items reads a list's items as "device value".
func (m *machine) items(path, field string) []string {
	status, list := m.call(http.MethodGet, path, nil)
	if status != http.StatusOK {
		m.rt.Fatalf("%s: %d %v", path, status, list)
	}
	rows, _ := list["items"].([]any)
	out := make([]string, 0, len(rows))
	for _, r := range rows {
		row, _ := r.(map[string]any)
		out = append(out, fmt.Sprint(row["endpointId"], " ", row[field]))
	}
	slices.Sort(out)
	return out
}

// sameTickets compares the open tickets.
func (m *machine) sameTickets() {
	var want []string
	for _, d := range m.devs {
		if d.open != "" {
			want = append(want, d.id+" "+d.open)
		}
	}
	slices.Sort(want)
	if got := m.items("/v1/tickets?state=open", "ticketId"); !slices.Equal(got, want) {
		m.rt.Fatalf("open tickets\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// sameExclusions compares who must stay out of the next search: the deleted, those
// with an open ticket, and the kept. A keep that has run out may stand there until
// the device's next step.
func (m *machine) sameExclusions() {
	var want []string
	for _, d := range m.devs {
		if d.listed {
			want = append(want, d.id+" deleted")
		}
		if d.open != "" {
			want = append(want, d.id+" ticket")
		}
	}
	slices.Sort(want)
	all := m.items("/v1/exclusions", "kind")
	got := slices.DeleteFunc(slices.Clone(all), func(row string) bool { return strings.HasSuffix(row, " kept") })
	if !slices.Equal(got, want) {
		m.rt.Fatalf("exclusions\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, d := range m.devs {
		if d.state == "keep" && m.now().Before(d.till) && !slices.Contains(all, d.id+" kept") {
			m.rt.Fatalf("%s is kept and not in the kept set: %v", d.label, all)
		}
	}
}
