package httpapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
)

// again is the id under which the eligible device registers again.
const again = "5b0d9c1e-7a24-4f36-8d15-90e2c4b6a781"

// retired starts a service that has deleted the eligible device.
func retired(t testing.TB) *system {
	t.Helper()
	s := newSystem(t, setup{})
	if a := s.remove(s.eligible()); a.is("outcome") != "deleted" {
		t.Fatalf("delete: %v", a)
	}
	return s
}

// register puts another device into Central that was installed and heard from an
// hour from now, and lets two hours pass. change makes it resemble another.
func (s *system) register(id string, change func(r map[string]any)) {
	at := s.now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000Z")
	r := map[string]any{
		"id": id, "type": "computer", "tenant": map[string]any{"id": tenant}, "hostname": "NEW-" + id[:4], "online": true,
		"serialNumber": "SYN7" + id[:4], "macAddresses": []any{"02:00:5E:77:" + id[:2] + ":" + id[2:4]}, "lastSeenAt": at, "registeredAt": at,
	}
	change(r)
	s.sim.Put(tenant, r)
	s.pass(2 * time.Hour)
}

// like copies fields of the deleted device's record.
func (s *system) like(fields ...string) func(r map[string]any) {
	return func(r map[string]any) {
		for _, f := range fields {
			r[f] = s.sample["eligible"].Record[f]
		}
	}
}

// later lets time pass for everything, the turns in Redis too.
func (s *system) later(d time.Duration) {
	s.pass(d)
	s.redis.FastForward(d)
}

// watch runs the come-back watch, which must find no trouble.
func (s *system) watch() {
	s.t.Helper()
	if err := s.runner.Watch(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// reports are the audit entries and failures of a come-back.
func (s *system) reports() (entries, failures []answer) {
	s.t.Helper()
	_, raw := s.raw(http.MethodGet, "/v1/audit", nil)
	for line := range strings.Lines(string(raw)) {
		e := answer{}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			s.t.Fatal(err)
		}
		if e.is("outcome") == "came_back" {
			entries = append(entries, e)
		}
	}
	_, list := s.call(http.MethodGet, "/v1/failures", nil)
	items, _ := list["items"].([]any)
	for _, x := range items {
		if m, _ := x.(map[string]any); m["kind"] == "come-back" {
			failures = append(failures, m)
		}
	}
	return entries, failures
}

// silent fails if anything was reported.
func (s *system) silent() {
	s.t.Helper()
	if entries, failures := s.reports(); len(entries)+len(failures) != 0 {
		s.t.Fatalf("reported: %v %v", entries, failures)
	}
}

// reported fails unless the deleted device was reported once, with these words.
func (s *system) reported(words string) {
	s.t.Helper()
	entries, failures := s.reports()
	if len(entries) != 1 || len(failures) != 1 {
		s.t.Fatalf("%d audit entries and %d failures, want one each: %v %v", len(entries), len(failures), entries, failures)
	}
	e, f := entries[0], failures[0]
	if e.is("action") != "watch" || e.is("reasonCode") != "CAME_BACK" || e.is("endpointId") != s.device() || e.is("by") != "rollcall" ||
		e.is("mode") != "live" || e.is("policyVersion") != "test" || e.is("hostname") == "" || e.is("tenantId") != tenant {
		s.t.Errorf("audit entry %v", e)
	}
	_, d := s.call(http.MethodGet, "/v1/devices/"+s.device()+"?tenantId="+tenant, nil)
	if d.is("restoreBy") == "" || d.is("state") != "came_back" {
		s.t.Fatalf("device %v", d)
	}
	deadline := "Central can restore it until " + d.is("restoreBy")[:len("2026-12-25T06:00:00")]
	for _, text := range []string{f.is("text"), e.is("cameBack")} {
		if !strings.Contains(text, words) || !strings.Contains(text, deadline) {
			s.t.Errorf("%q does not tell %q and %q", text, words, deadline)
		}
	}
	if f.is("endpointId") != s.device() || f.is("class") != "permanent" {
		s.t.Errorf("failure %v", f)
	}
}

func TestADeviceThatRegistersAgainIsReported(t *testing.T) {
	for _, tt := range []struct {
		name  string
		put   func(s *system)
		words string
	}{
		{"under the same id", func(s *system) {
			s.register(s.device(), s.like("hostname", "registeredAt"))
		}, "Central has it again"},
		{"with the same serial number", func(s *system) {
			s.register(again, s.like("serialNumber"))
		}, "same serial number registered at"},
		{"with the same address", func(s *system) {
			s.register(again, s.like("macAddresses"))
		}, "same MAC address registered at"},
		{"with the same name", func(s *system) {
			s.register(again, func(r map[string]any) {
				r["hostname"] = strings.ToLower(s.sample["eligible"].Name) + ".corp.example.test"
			})
		}, "same host name registered at"},
		{"with the same name, and Central does not say since when", func(s *system) {
			s.register(again, func(r map[string]any) { s.like("hostname")(r); delete(r, "registeredAt") })
		}, "same host name was heard from at"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := retired(t)
			tt.put(s)
			s.watch()
			s.reported(tt.words)
		})
	}
}

// It opens the circuit, and only a person closes it; the device goes to a person.
func TestAComeBackStopsTheTenantsDeletes(t *testing.T) {
	s := retired(t)
	other := maps.Clone(s.sample["eligible"].Record)
	other["id"], other["hostname"], other["serialNumber"], other["macAddresses"] = again, "WS-NEXT", "SYN8888888", []any{"02:00:5E:88:00:01"}
	s.sim.Put(tenant, other)
	event := s.eventOf(again, "WS-NEXT")
	token := s.act("evaluate", map[string]any{"event": event}).is("token")
	s.register("9c0d9c1e-7a24-4f36-8d15-90e2c4b6a782", func(r map[string]any) {
		r["serialNumber"] = "SYN0000001"
	})
	s.watch()
	s.reported("(endpoint 9c0d9c1e-7a24-4f36-8d15-90e2c4b6a782, NEW-9c0d)")
	if a := s.remove(token); a.is("outcome") != "deferred" || a.is("reasonCode") != "CIRCUIT_OPEN" {
		t.Errorf("the next delete: %s %s", a.is("outcome"), a.is("reasonCode"))
	}
	if a := s.evaluate("eligible"); a.is("outcome") != "manual" || a.is("reasonCode") != "CAME_BACK" {
		t.Errorf("the old id: %s %q, want manual, CAME_BACK", a.is("outcome"), a.codes())
	}
	if n := s.sim.Deletes(); n != 1 {
		t.Errorf("%d DELETEs, want the one from before", n)
	}
	if _, raw := s.raw(http.MethodGet, "/metrics", nil); !strings.Contains(string(raw), "\nrollcall_circuits_open 1\n") ||
		!strings.Contains(string(raw), "\nrollcall_failures{kind=\"come-back\"} 1\n") {
		t.Error("the metrics do not show it")
	}
}

// eventOf is the eligible device's event, for a device of another id and name.
func (s *system) eventOf(id, name string) map[string]any {
	s.t.Helper()
	b, err := json.Marshal(s.sample["eligible"].Event)
	if err != nil {
		s.t.Fatal(err)
	}
	d := s.sample["eligible"]
	text := strings.NewReplacer(d.ID, id, d.Name, name).Replace(string(b))
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		s.t.Fatal(err)
	}
	return out
}

func TestALookAlikeIsNotReported(t *testing.T) {
	for name, change := range map[string]func(s *system) func(r map[string]any){
		"registered before the delete": func(s *system) func(r map[string]any) {
			return s.like("serialNumber", "macAddresses", "hostname", "registeredAt")
		},
		"another device": func(*system) func(map[string]any) { return func(map[string]any) {} },
		"without any sign": func(*system) func(map[string]any) {
			return func(r map[string]any) { r["serialNumber"], r["macAddresses"] = nil, nil }
		},
		"an unset number": func(*system) func(map[string]any) {
			return func(r map[string]any) { r["serialNumber"] = "Default string" }
		},
		"in a foreign tenant": func(s *system) func(map[string]any) {
			return func(r map[string]any) { s.like("serialNumber")(r); r["foreign"] = true }
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := retired(t)
			s.register(again, change(s))
			if r, _ := s.sim.Get(tenant, again); r["foreign"] != nil {
				s.sim.Remove(tenant, again)
				s.sim.Put(centralsim.ForeignTenant, r)
			}
			s.watch()
			s.silent()
		})
	}
}

func TestTheWatchReportsOnce(t *testing.T) {
	s := retired(t)
	s.register(again, s.like("serialNumber", "hostname"))
	for range 3 {
		s.watch()
		s.reported("same serial number")
		s.later(24 * time.Hour)
	}
}

// One replica reads a tenant once a day; the others, and the hours between, don't.
func TestATenantIsReadOnceADay(t *testing.T) {
	s := retired(t)
	s.pass(time.Hour)
	lists := func() int { return s.sim.Count("GET", "/endpoint/v1/endpoints") }
	before := lists()
	s.watch()
	read := lists() - before
	if read != 1 {
		t.Fatalf("%d reads of a small fleet, want 1", read)
	}
	for range 22 {
		s.later(time.Hour)
		s.watch()
	}
	if got := lists() - before; got != read {
		t.Errorf("%d reads within 22 hours, want 1", got)
	}
	s.later(2 * time.Hour)
	s.watch()
	if got := lists() - before; got != 2*read {
		t.Errorf("%d reads in 24 hours, want 2", got)
	}
}

// What can't be read is said and tried again within the hour, not a day later; and
// it is no device's failed verification.
func TestTheWatchDuringAnOutage(t *testing.T) {
	s := retired(t)
	s.register(again, s.like("serialNumber"))
	lift := s.sim.Fault(centralsim.Fault{Path: "/endpoint/", Status: 503, Times: centralsim.Always})
	err := s.runner.Watch(t.Context())
	if err == nil || !strings.Contains(err.Error(), tenant) || !strings.Contains(err.Error(), "503") {
		t.Errorf("during the outage: %v, want an error that names tenant and cause", err)
	}
	s.silent()
	if _, list := s.call(http.MethodGet, "/v1/failures", nil); list["count"] != 0.0 {
		t.Errorf("failures: %v", list)
	}
	lift()
	s.watch() // still the turn of the one that failed
	s.silent()
	s.later(time.Hour)
	s.watch()
	s.reported("same serial number")
}

// A read that breaks off tells what it is sure of, and is made again.
func TestAReadThatBreaksOffTellsWhatIsSure(t *testing.T) {
	s := retired(t)
	for n := range 600 {
		s.sim.Put(tenant, map[string]any{
			"id":     fmt.Sprintf("ffff%04x-0000-4000-8000-000000000000", n),
			"tenant": map[string]any{"id": tenant}, "hostname": "PC", "lastSeenAt": centralsim.Ago(time.Minute),
		})
	}
	s.register(again, s.like("serialNumber"))
	lift := s.sim.Fault(centralsim.Fault{Status: 500, Times: centralsim.Always, When: func(q *http.Request) bool { return q.URL.Query().Has("pageFromKey") }})
	if err := s.runner.Watch(t.Context()); err == nil {
		t.Error("a read that broke off was taken for whole")
	}
	s.reported("same serial number")
	lift()
	s.later(time.Hour)
	s.watch()
	s.reported("same serial number")
}

// One tenant's trouble is not the others'.
func TestATenantInTroubleDoesNotHideTheOthers(t *testing.T) {
	s := retired(t)
	dev := action.Ref{TenantID: "00000000-0000-4000-8000-000000000001", EndpointID: again} // before the other in any order
	if _, err := s.store.Note(t.Context(), action.Note{Mark: action.Mark{Dev: dev, Hostname: "X", Action: "evaluate", Outcome: "skip"}}); err != nil {
		t.Fatal(err)
	}
	at := float64(s.now().UnixMilli())
	s.redis.HSet("rollcall:{"+dev.TenantID+"}:device:"+again, "state", "deleted")
	if _, err := s.redis.ZAdd("rollcall:{"+dev.TenantID+"}:deleted", at, again); err != nil {
		t.Fatal(err)
	}
	s.register(again, s.like("serialNumber"))
	if err := s.runner.Watch(t.Context()); err == nil || !strings.Contains(err.Error(), dev.TenantID) || strings.Contains(err.Error(), tenant) {
		t.Errorf("%v, want the trouble of the tenant that is not served", err)
	}
	s.reported("same serial number")
}

func TestTheWatchEndsAfterThirtyDays(t *testing.T) {
	for days, want := range map[int]int{29: 1, 31: 0} {
		s := retired(t)
		s.later(time.Duration(days) * 24 * time.Hour)
		before := s.sim.Count("GET", "/endpoint/v1/endpoints")
		s.register(again, s.like("serialNumber"))
		s.watch()
		if entries, failures := s.reports(); len(entries) != want || len(failures) != want {
			t.Errorf("after %d days: %d entries, %d failures; want %d", days, len(entries), len(failures), want)
		}
		if got := s.sim.Count("GET", "/endpoint/v1/endpoints") - before; got != want {
			t.Errorf("after %d days: %d reads, want %d", days, got, want)
		}
	}
}

// Without the store nothing is read: there would be nowhere to put it.
func TestTheWatchWithoutTheStore(t *testing.T) {
	s := retired(t)
	s.register(again, s.like("serialNumber"))
	before := s.sim.Count("GET", "/endpoint/v1/endpoints")
	s.redis.SetError("LOADING")
	if err := s.runner.Watch(t.Context()); !errors.Is(err, action.ErrState) {
		t.Errorf("%v, want ErrState", err)
	}
	s.redis.SetError("")
	if got := s.sim.Count("GET", "/endpoint/v1/endpoints") - before; got != 0 {
		t.Errorf("%d reads", got)
	}
	s.watch()
	s.reported("same serial number")
}
