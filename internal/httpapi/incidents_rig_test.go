package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/internal/centralsim"
)

// absent takes a field away, where nil writes a null.
type absent struct{}

// put sets a field of a document by its dotted path.
func put(doc map[string]any, path string, v any) {
	keys := strings.Split(path, ".")
	for _, k := range keys[:len(keys)-1] {
		below, ok := doc[k].(map[string]any)
		if !ok {
			below = map[string]any{}
			doc[k] = below
		}
		doc = below
	}
	last := keys[len(keys)-1]
	if _, away := v.(absent); away {
		delete(doc, last)
		return
	}
	doc[last] = v
}

// copied is a document that can be changed without changing the one it came from.
func copied(tb testing.TB, doc map[string]any) map[string]any {
	tb.Helper()
	b, err := json.Marshal(doc)
	if err != nil {
		tb.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		tb.Fatal(err)
	}
	return out
}

// fields are changes to a document, by dotted path.
type fields map[string]any

func (f fields) into(doc map[string]any) {
	for path, v := range f {
		put(doc, path, v)
	}
}

// ago is a time before the system's now, as Central writes it.
func (s *system) ago(d time.Duration) string {
	return s.now().Add(-d).UTC().Format("2006-01-02T15:04:05.000Z")
}

// event is the event of the eligible device, observed now.
func (s *system) event() map[string]any {
	e := copied(s.t, s.sample["eligible"].Event)
	put(e, "observedAt", s.now().UTC().Format(time.RFC3339))
	return e
}

// judged evaluates an event.
func (s *system) judged(event map[string]any) answer {
	s.t.Helper()
	return s.act("evaluate", map[string]any{"event": event})
}

// planted is one more eligible device, which is no sample's.
type planted struct {
	id, name string
	event    map[string]any
}

// plant puts the n-th of further eligible devices into Central.
func (s *system) plant(n int) planted {
	s.t.Helper()
	p := planted{id: fmt.Sprintf("00000000-0000-4000-9000-%012x", n), name: fmt.Sprintf("WS-INC-%04d", n)}
	record := copied(s.t, s.sample["eligible"].Record)
	fields{"id": p.id, "hostname": p.name, "serialNumber": "SYNX" + p.name, "macAddresses": []any{fmt.Sprintf("02:00:5E:20:00:%02X", n)}}.into(record)
	s.sim.Put(tenant, record)
	p.event = s.event()
	fields{"central.id": p.id, "central.hostname": p.name, "directory.hostname": p.name,
		"directory.distinguishedName": "CN=" + p.name + ",OU=Workstations,OU=Disabled,DC=corp,DC=example,DC=test"}.into(p.event)
	return p
}

// verdictOf is the token of a planted device's verdict, which must be delete.
func (s *system) verdictOf(p planted) string {
	s.t.Helper()
	e := copied(s.t, p.event)
	put(e, "observedAt", s.now().UTC().Format(time.RFC3339))
	return s.want(s.judged(e), "delete", "ELIGIBLE").is("token")
}

// twin puts another device of the eligible one's name beside it.
func (s *system) twin(in string, change fields) {
	s.t.Helper()
	r := copied(s.t, s.sample["eligible"].Record)
	fields{"id": "00000000-0000-4000-8000-0000000000aa", "serialNumber": "SYNTWIN", "tenant.id": in}.into(r)
	change.into(r)
	s.sim.Put(in, r)
}

// listFault spoils the search for devices of the same name.
func (s *system) listFault(f centralsim.Fault) {
	f.Method, f.Path, f.Times = http.MethodGet, "/endpoint/", centralsim.Always
	f.When = func(r *http.Request) bool { return r.URL.Query().Has("hostnameContains") }
	s.sim.Fault(f)
}

// deleteFault spoils the next DELETE.
func (s *system) deleteFault(f centralsim.Fault) {
	f.Method, f.Path = http.MethodDelete, "/endpoint/"
	s.sim.Fault(f)
}

// sent fails the test unless so many DELETEs were sent in all.
func (s *system) sent(n int) {
	s.t.Helper()
	if got := s.sim.Deletes(); got != n {
		s.t.Errorf("%d DELETEs, want %d", got, n)
	}
}

// gone lists the devices of the deleted set.
func (s *system) gone() (ids []string) {
	s.t.Helper()
	_, list := s.call(http.MethodGet, "/v1/exclusions?kind=deleted", nil)
	items, _ := list["items"].([]any)
	for _, i := range items {
		row, _ := i.(map[string]any)
		ids = append(ids, fmt.Sprint(row["endpointId"]))
	}
	return ids
}

// admin throws a switch.
func (s *system) admin(what, tenantID string) {
	s.t.Helper()
	body := map[string]any{"reason": "test", "by": "ann"}
	if tenantID != "" {
		body["tenantId"] = tenantID
	}
	if status, a := s.call(http.MethodPost, "/v1/admin/"+what, body); status != http.StatusOK {
		s.t.Fatalf("%s: %d %v", what, status, a)
	}
}
