// Package centralsim decides how a simulated Sophos Central answers: as the
// known facts of the real one say, faults and oddities included, not as its
// clients would like. It keeps devices as raw records, so that sparse and odd
// ones are possible, and refuses to know anything of rollcall.
package centralsim

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The kinds of credential, as whoami names them.
const (
	TenantCredential       = "tenant"
	PartnerCredential      = "partner"
	OrganizationCredential = "organization"
)

// UnknownDelete is what a DELETE of an id that Central does not have answers.
// It is not documented for the real one, so a client must be right with each.
type UnknownDelete int

// The answers to a DELETE of an unknown id.
const (
	UnknownNotFound UnknownDelete = iota // 404
	UnknownFalse                         // 200, deleted: false
	UnknownTrue                          // 200, deleted: true
	UnknownFails                         // 500
)

// Switches are the ways in which the real Central may behave where the facts
// leave it open. The zero value is the likeliest behaviour.
type Switches struct {
	MissingTenant int           // status without X-Tenant-ID: 401 (also for 0) or 400
	ClampPages    bool          // a pageSize over 500 is cut to 500 instead of refused
	UnknownDelete UnknownDelete // what a DELETE of an unknown id answers
	Disorder      bool          // without sort the order changes with every request
	TenCharacters bool          // the ...Contains filters use only the first 10 characters
	GroupPart     int           // members that come with a group on the list; 0 = all
	MembersByKey  bool          // a group's members come with page keys instead of page numbers
	BulkLimit     int           // most ids of a bulk delete; 0 = 100
	TokenLife     time.Duration // of a token; 0 = an hour
	Rates         []Rate        // limits per credential; none = unlimited
}

// Options are a Sim's fixed choices.
type Options struct {
	Now                                    func() time.Time // nil = time.Now
	ClientID, ClientSecret                 string           // may read and write
	ReadOnlyClientID, ReadOnlyClientSecret string           // may only read; empty = there is none
	// IDType is the credentials' kind; empty = tenant. ID is what whoami calls
	// it: the tenant's id for a tenant credential.
	IDType, ID string
	// GlobalURL and RegionURL are the bases that whoami and the tenant lists
	// hand out; empty = scheme and host by which the request came. With a
	// RegionURL of another host the endpoint routes are served only there.
	GlobalURL, RegionURL string
	Switches
}

// Tenant is a tenant of the simulated Central.
type Tenant struct {
	ID, Name string
	// NoAPIHost leaves apiHost and dataRegion out of the lists, as is seen live.
	NoAPIHost bool
	// Refused answers 403 to every call for the tenant although it is listed.
	Refused bool
}

// Sim is a simulated Central, an [http.Handler], safe for concurrent use.
type Sim struct {
	opt    Options
	routes http.Handler

	mu       sync.Mutex
	switches Switches
	tenants  []*tenant
	tokens   map[string]grant
	used     map[string][]time.Time // calls per credential, for the rates
	faults   []*standing
	journal  []*Entry
	hook     func(*http.Request)
	shuffles uint64
}

var _ http.Handler = (*Sim)(nil)

// tenant is a tenant with its devices, in the order in which they were put.
type tenant struct {
	Tenant
	groups  []Group
	devices []*device
	byID    map[string]*device // by id in lower case
	sorted  []*device          // by id; nil after a change
}

// device is one record and what Central knows of it beside the record.
type device struct {
	record    map[string]any
	moving    bool // the record holds an Ago
	password  string
	previous  []map[string]any
	isolating bool // a bulk isolation is under way until the next check-in
	isolation map[string]any
}

// New returns a Sim without tenants.
func New(o Options) *Sim {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.IDType == "" {
		o.IDType = TenantCredential
	}
	s := &Sim{opt: o, switches: o.Switches, tokens: map[string]grant{}, used: map[string][]time.Time{}}
	s.routes = s.mux()
	return s
}

// Switch changes the switches while requests may be running.
func (s *Sim) Switch(change func(*Switches)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.switches)
}

// OnRequest sets a hook that is called for every request before it is answered,
// with no lock held: it may move a device between a client's read and its
// delete. nil takes it away.
func (s *Sim) OnRequest(hook func(*http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

// AddTenant adds a tenant, or replaces what was said of it; its devices stay.
func (s *Sim) AddTenant(t Tenant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tenant(t.ID).Tenant = t
}

// Put adds a device or replaces the one with the same id. The record is copied.
// A value of type [Ago] is a time that moves along with the clock.
func (s *Sim) Put(tenantID string, record map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenant(tenantID)
	record = deepCopy(record).(map[string]any)
	if d := t.find(text(record["id"])); d != nil {
		d.record, d.moving = record, moves(record)
		return
	}
	t.add(&device{record: record, moving: moves(record)})
}

// Get returns a device's record as Central would give it in full now.
func (s *Sim) Get(tenantID, id string) (map[string]any, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.tenant(tenantID).find(id)
	if d == nil {
		return nil, false
	}
	return deepCopy(s.render(d)).(map[string]any), true
}

// CheckIn lets a device check in at a time: its lastSeenAt becomes that time
// and it is online. It reports whether there is such a device.
func (s *Sim) CheckIn(tenantID, id string, at time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.tenant(tenantID).find(id)
	if d == nil {
		return false
	}
	d.record["lastSeenAt"], d.record["online"], d.isolating = stamp(at), true, false
	return true
}

// Remove takes a device away, as somebody at Central's console would. It
// reports whether there was such a device.
func (s *Sim) Remove(tenantID, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tenant(tenantID).remove(id)
}

// tenant finds or makes a tenant. The lock is held.
func (s *Sim) tenant(id string) *tenant {
	if t := s.known(id); t != nil {
		return t
	}
	t := &tenant{Tenant: Tenant{ID: id, Name: "Example " + id[:min(len(id), 8)]}}
	s.tenants = append(s.tenants, t)
	return t
}

// known finds a tenant, or returns nil. The lock is held.
func (s *Sim) known(id string) *tenant {
	i := slices.IndexFunc(s.tenants, func(t *tenant) bool { return strings.EqualFold(t.ID, id) })
	if i < 0 {
		return nil
	}
	return s.tenants[i]
}

// add adds a device. One without an id is on the lists only.
func (t *tenant) add(d *device) {
	t.devices, t.sorted = append(t.devices, d), nil
	if t.byID == nil {
		t.byID = map[string]*device{}
	}
	if id := strings.ToLower(text(d.record["id"])); id != "" && t.byID[id] == nil {
		t.byID[id] = d
	}
}

func (t *tenant) find(id string) *device { return t.byID[strings.ToLower(id)] }

func (t *tenant) remove(id string) bool {
	d := t.find(id)
	if d == nil {
		return false
	}
	delete(t.byID, strings.ToLower(id))
	i := slices.Index(t.devices, d)
	t.devices, t.sorted = slices.Delete(t.devices, i, i+1), nil
	return true
}

// inOrder are the devices by their ids, in lower case.
func (t *tenant) inOrder() []*device {
	if t.sorted == nil {
		t.sorted = slices.Clone(t.devices)
		slices.SortStableFunc(t.sorted, func(a, b *device) int {
			return strings.Compare(strings.ToLower(text(a.record["id"])), strings.ToLower(text(b.record["id"])))
		})
	}
	return t.sorted
}

// wanted are the devices that a list may hold: those that are named by id, or all.
// Where they are asked for by id they come in that order, which a fleet of fifty
// thousand has ready.
func (t *tenant) wanted(ids []string, byID bool) []*device {
	if len(ids) > 0 {
		var out []*device
		for _, id := range ids {
			if d := t.find(id); d != nil && !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
		return out
	}
	if byID {
		return t.inOrder()
	}
	return t.devices
}
