package httpapi_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/action"
	"rollcall/internal/policy"
	"rollcall/internal/seal"
)

// What a model's system is made with, and the model counts on.
const (
	modelCentral  = 2 * time.Second                              // one call to Central
	modelUnsettle = 2*time.Second + modelCentral + 3*time.Second // after an intent nobody may call it not applied
)

// machine is a service together with a simple model of what it may do. The model
// knows the contract and nothing of the code: it decides for each token, before
// it is used, whether a DELETE may follow, and why not.
type machine struct {
	*system
	rt     *rapid.T
	open   action.Sealer
	devs   []*modelled
	tokens []*held
	byID   map[string]*held
	ticket map[string]*asked
	claims map[string]claim // for which device a ticket's id was last asked for

	pausedHere, pausedAll     bool
	shut, broken, dry, faulty bool
	silence, perDay           int
	spacing                   time.Duration
	circuit                   bool
	failRow                   int
	attempts                  []time.Time
	may                       map[string]string // token id: why it may not send now; "" = it may
	seq, seen                 int               // of the audit and of the journal, as far as they were looked at
	digest                    string            // of the last audit entry
	tally                     map[string]int
}

// modelled is a device as the model sees it.
type modelled struct {
	id, label string
	vip       bool
	server    bool
	template  map[string]any // its event
	record    map[string]any // as Central would have it
	present   bool
	lastSeen  time.Time
	online    bool
	excluded  bool

	open      string // the open ticket's id
	state     string // as last decided: "", delete, keep, none
	approval  string // the id of the approval that stands
	till      time.Time
	asks      bool // by the audit trail, in its order, a ticket is open
	deleted   bool // read back as gone, and no person has said since that it lives
	cameBack  bool
	listed    bool // in the deleted set
	applied   bool // a DELETE took it away, and nobody has revived it by a keep
	intent    string
	intentAt  time.Time
	deletions int // DELETEs in the journal
	intents   int // intents that were not called unsent
}

// held is a token that a caller kept.
type held struct {
	token, id, kind, ticket string
	dev                     *modelled
	verdict                 policy.Verdict
	shown                   []string
	mode                    string
	till, observed, seen    time.Time // seen is the event's last sign of life
	opened                  time.Time
	sight                   string // what Central showed when it was sealed
	spent, asked            bool
}

// asked is a ticket.
type asked struct {
	dev          *modelled
	open         bool
	decision, by string
	from         *held // the verdict that it was opened with
	approval     string
	opened       time.Time
	used         bool
}

// claim is who asked for a ticket's id, and when.
type claim struct {
	dev *modelled
	at  time.Time
}

// rapidTB is a testing.TB whose failures are rapid's, so that they are shrunk.
type rapidTB struct {
	testing.TB
	rt *rapid.T
}

func (t rapidTB) Helper()                   {}
func (t rapidTB) Cleanup(f func())          { t.rt.Cleanup(f) }
func (t rapidTB) Error(a ...any)            { t.rt.Error(a...) }
func (t rapidTB) Errorf(f string, a ...any) { t.rt.Errorf(f, a...) }
func (t rapidTB) Fatal(a ...any)            { t.rt.Fatal(a...) }
func (t rapidTB) Fatalf(f string, a ...any) { t.rt.Fatalf(f, a...) }

// newMachine starts a service with eight devices: six plain ones, a VIP's and a
// server, and one that is heard of all the time.
func newMachine(t *testing.T, rt *rapid.T, tally map[string]int) *machine {
	s := newSystem(rapidTB{t, rt}, setup{central: modelCentral})
	keys, err := seal.ParseKeys(s.tokens)
	if err != nil {
		rt.Fatal(err)
	}
	opener, err := seal.New(keys)
	if err != nil {
		rt.Fatal(err)
	}
	m := &machine{
		system: s, rt: rt, open: opener, byID: map[string]*held{}, ticket: map[string]*asked{}, claims: map[string]claim{}, may: map[string]string{},
		tally: tally, silence: 30, perDay: 100,
	}
	for n := range 6 {
		p := s.plant(n + 1)
		m.add(&modelled{id: p.id, label: p.name, template: p.event})
	}
	for _, label := range []string{"vip", "server"} {
		d := s.sample[label]
		m.add(&modelled{id: d.ID, label: label, template: copied(s.t, d.Event), vip: label == "vip", server: label == "server"})
	}
	return m
}

// add begins to follow a device.
func (m *machine) add(d *modelled) {
	d.record, d.present = m.recordOf(d)
	at, err := time.Parse(time.RFC3339, fmt.Sprint(d.record["lastSeenAt"]))
	if err != nil || !d.present {
		m.rt.Fatalf("%s: %v", d.label, err)
	}
	d.lastSeen = at
	m.devs = append(m.devs, d)
}

// recordOf is what Central has of a device.
func (m *machine) recordOf(d *modelled) (map[string]any, bool) { return m.sim.Get(tenant, d.id) }

// sight is what Central shows of a device, as far as the model ever changes it.
func (d *modelled) sight() string {
	if !d.present {
		return "nothing"
	}
	return fmt.Sprint(d.lastSeen.UnixMilli(), d.online)
}

// eventOf is an event for a device, observed now; fresh has Central's latest
// last-seen time in it, else it is the one of the beginning.
func (m *machine) eventOf(d *modelled, fresh bool) map[string]any {
	e := copied(m.t, d.template)
	put(e, "observedAt", m.now().UTC().Format(time.RFC3339Nano))
	if fresh {
		put(e, "central.lastSeenAt", d.lastSeen.UTC().Format(time.RFC3339Nano))
	}
	return e
}

// claims are what the model reads of a token.
type claimed struct {
	ID, Mode, Ticket string
	Till, Opened     time.Time
	Dev              action.Ref
	Verdict          policy.Verdict
	Shown            []string
	Parked           string
	Event            policy.Event
}

// learn keeps a token that was handed out, with what Central showed then.
func (m *machine) learn(token, sight string) *held {
	if token == "" {
		return nil
	}
	kind, plain, err := m.open.Open(token)
	if err != nil {
		m.rt.Fatalf("a token that can't be opened: %v", err)
	}
	var c claimed
	if err := json.Unmarshal(plain, &c); err != nil {
		m.rt.Fatal(err)
	}
	if c.Parked != "" {
		full, ok, err := m.store.Unpark(m.t.Context(), tenant, c.Parked)
		if err != nil || !ok || json.Unmarshal(full, &c) != nil {
			m.rt.Fatalf("a parked token: %v %v", ok, err)
		}
	}
	if h := m.byID[c.ID]; h != nil {
		return h
	}
	h := &held{
		token: token, id: c.ID, kind: kind, ticket: c.Ticket, verdict: c.Verdict, shown: c.Shown, mode: c.Mode, till: c.Till,
		observed: c.Event.ObservedAt.Value, seen: c.Event.Central.LastSeenAt.Value, opened: c.Opened, sight: sight,
	}
	for _, d := range m.devs {
		if d.id == c.Dev.EndpointID {
			h.dev = d
		}
	}
	m.tokens, m.byID[c.ID] = append(m.tokens, h), h
	return h
}

// silent is how long a device must have been silent.
func (m *machine) silent(d *modelled) time.Duration {
	n := m.silence
	if d.server {
		n = max(n, 90)
	}
	return time.Duration(n) * days
}

// against lists what stands against a device's delete by the policy in force.
func (m *machine) against(d *modelled, eventSeen time.Time) (codes []string) {
	now, need := m.now(), m.silent(d)
	newest := d.lastSeen
	if eventSeen.After(newest) {
		newest = eventSeen
	}
	for code, hit := range map[string]bool{
		"EXCLUDED": d.excluded, "ACTIVE_IN_CENTRAL": d.online, "VIP": d.vip, "SERVER": d.server,
		"ACTIVE_SINCE_EVENT":       now.Sub(eventSeen) >= need && d.lastSeen.Sub(eventSeen) > time.Minute,
		"NOT_INACTIVE_LONG_ENOUGH": now.Before(newest.Add(need)),
	} {
		if hit {
			codes = append(codes, code)
		}
	}
	slices.Sort(codes)
	return codes
}
