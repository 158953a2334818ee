package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/ledger"
	"rollcall/internal/policyfile"
)

// storedAt is a moment after the store of an earlier build was written, in testdata/store:
// a dump of Redis, the audit lines of its tenants, its feed, and what was out of it.
func storedAt() time.Time { return time.Date(2026, 11, 30, 23, 0, 0, 0, time.UTC) }

// The tenants of that store.
const (
	storedTenant = "c0a8f1d2-57be-4a39-8e14-2b9d6f70a5c1"
	pausedTenant = "0d4c6a1e-93f7-4b02-a5d8-71e6f2c3b940"
)

// stored is what was out of the store: keys, tokens and the ids of devices by name.
type stored struct {
	Tokens    struct{ Evidence, Verdict, Approval string }
	TokenKeys string
	Devices   map[string]string
}

// storedSystem is a service on a copy of the store, at that time. Redis counts real time,
// so that keys that run out are gone from the copy some day: only the budget of calls and
// the inventory's snapshot, which are made anew.
func storedSystem(t *testing.T) (*system, stored) {
	t.Helper()
	dir, err := os.MkdirTemp("", "stored") //nolint:usetesting // short: the path of a socket may not be long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "dump.rdb"), storedFile(t, "dump.rdb"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir, "--dbfilename", "dump.rdb")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	defer func() { _ = rdb.Close() }()
	for deadline := time.Now().Add(10 * time.Second); rdb.Ping(t.Context()).Err() != nil; {
		if time.Now().After(deadline) {
			t.Fatal("redis-server does not answer")
		}
	}
	var st stored
	if err := json.Unmarshal(storedFile(t, "store.json"), &st); err != nil {
		t.Fatal(err)
	}
	clock := &atomic.Int64{}
	clock.Store(int64(time.Until(storedAt())))
	s := newSystem(t, setup{redisURL: "unix://" + socket, tokens: st.TokenKeys, sameClock: clock})
	params, err := policyfile.Parse(storedFile(t, "policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s.change(func(r *action.Rules) { r.Params = params })
	for name, id := range st.Devices {
		if name != "ST-001" { // it was deleted
			s.sim.Put(storedTenant, storedRecord(name, id))
		}
	}
	return s, st
}

func storedFile(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata/store", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// storedRecord is a device as Central had it when the store was written.
func storedRecord(name, id string) map[string]any {
	number := name[len(name)-1:]
	return map[string]any{
		"id": id, "tenant": map[string]any{"id": storedTenant}, "hostname": name, "type": "computer", "lastSeenAt": "2026-08-02T22:46:53.222Z", "online": false,
		"os":     map[string]any{"platform": "windows", "name": "Windows 11 Pro", "isServer": false, "build": 22631},
		"health": map[string]any{"overall": "good"}, "associatedPerson": map[string]any{"name": "U", "viaLogin": `CORPEX\u` + number}, "serialNumber": "S" + number,
	}
}

// storedEvent is a row about a device, as it was asked about then.
func storedEvent(name, id string) map[string]any {
	login := `CORPEX\u` + name[len(name)-1:]
	return map[string]any{
		"directory": map[string]any{"hostname": name, "domain": "corp.example.test", "distinguishedName": "CN=" + name + ",OU=W,OU=Disabled,DC=corp,DC=example,DC=test",
			"operatingSystem": "Windows 11 Pro", "operatingSystemVersion": "10.0 (22631)", "enabled": false, "memberOf": []any{}},
		"owner": map[string]any{"login": login, "memberOf": []any{}},
		"central": map[string]any{"id": id, "tenant": map[string]any{"id": storedTenant}, "hostname": name, "type": "computer", "lastSeenAt": "2026-08-02T22:46:55Z",
			"os": map[string]any{"name": "Windows 11 Pro", "build": 22631}, "associatedPerson": map[string]any{"name": "U", "viaLogin": login}},
	}
}

func TestAStoreOfAnEarlierBuildIsReadOn(t *testing.T) {
	s, st := storedSystem(t)
	if _, got := s.raw(http.MethodGet, "/v1/exclusions?format=csv", nil); string(got) != string(storedFile(t, "exclusions.csv")) {
		t.Errorf("exclusions:\n%s\nwant:\n%s", got, storedFile(t, "exclusions.csv"))
	}
	for id, want := range map[string]string{
		"INC-1": "open  ann ", "INC-2": "closed keep ann bob", "INC-3": "closed delete ann bob", "INC-4": "closed none ann bob",
	} {
		_, a := s.call(http.MethodGet, "/v1/tickets/"+id, nil)
		if got := fmt.Sprint(a.is("state"), " ", a.is("decision"), " ", a.is("openedBy"), " ", a.is("decidedBy")); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
	for name, want := range map[string]string{
		"ST-001": "skip ALREADY_DELETED", "ST-002": "skip TICKET_OPEN", "ST-003": "keep TICKET_DECIDED_KEEP", "ST-004": "skip APPROVAL_PENDING",
		"ST-005": "manual TICKET_UNDECIDED", "ST-006": "delete ELIGIBLE",
	} {
		a := s.act("evaluate", map[string]any{"event": storedEvent(name, st.Devices[name])})
		if got := a.is("outcome") + " " + a.is("reasonCode"); got != want {
			t.Errorf("%s: %s, want %s: %s", name, got, want, a.is("reasonsText"))
		}
	}
	if _, a := s.call(http.MethodGet, "/v1/decisions?verdict=delete", nil); a["count"] == float64(0) {
		t.Errorf("decisions: %v", a)
	}
	s.sim.AddTenant(centralsim.Tenant{ID: pausedTenant})
	event := storedEvent("ST-009", "11111111-2222-4333-8444-555555555559")
	event["central"].(map[string]any)["tenant"] = map[string]any{"id": pausedTenant}
	if a := s.act("evaluate", map[string]any{"event": event}); a.is("reasonCode") != "KILL_SWITCH" {
		t.Errorf("the paused tenant: %v", a)
	}
}

func TestTokensOfAnEarlierBuildAreTakenAsLongAsTheyLast(t *testing.T) {
	s, st := storedSystem(t)
	a := s.act("evaluate", map[string]any{"event": storedEvent("ST-000", st.Devices["ST-000"]), "evidence": st.Tokens.Evidence})
	if a.is("outcome") != "delete" {
		t.Errorf("evidence: %s %s", a.is("outcome"), a.is("reasonsText"))
	}
	for name, c := range map[string]struct{ token, want string }{"verdict": {st.Tokens.Verdict, "ST-006"}, "approval": {st.Tokens.Approval, "ST-004"}} {
		if a := s.remove(c.token); a.is("outcome") != "deleted" || a.is("hostname") != c.want {
			t.Errorf("the %s deletes: %s %s: %s", name, a.is("hostname"), a.is("outcome"), a.is("reasonsText"))
		}
	}
	if n := s.sim.Deletes(); n != 2 {
		t.Errorf("%d DELETEs", n)
	}
	s.pass(8 * 24 * time.Hour)
	for name, token := range map[string]string{"verdict": st.Tokens.Verdict, "approval": st.Tokens.Approval} {
		if a := s.remove(token); a.is("outcome") != "already_deleted" {
			t.Errorf("the %s after its time: %v", name, a)
		}
	}
}

func TestTokensOfAnEarlierBuildRunOut(t *testing.T) {
	s, st := storedSystem(t)
	s.pass(8 * 24 * time.Hour)
	for name, token := range map[string]string{"verdict": st.Tokens.Verdict, "approval": st.Tokens.Approval} {
		if a := s.remove(token); a.is("outcome") != "refused" || a.is("reasonCode") != "TOKEN_EXPIRED" {
			t.Errorf("the %s: %s %s", name, a.is("outcome"), a.is("reasonsText"))
		}
	}
	if n := s.sim.Deletes(); n != 0 {
		t.Errorf("%d DELETEs", n)
	}
}

func TestTheTrailOfAnEarlierBuildGoesOnWithoutAGap(t *testing.T) {
	s, st := storedSystem(t)
	s.act("evaluate", map[string]any{"event": storedEvent("ST-006", st.Devices["ST-006"])})
	_, text := s.raw(http.MethodGet, "/v1/audit?tenantId="+storedTenant, nil)
	next := int64(1)
	for line := range bytes.Lines(text) {
		var e struct{ Seq int64 }
		if err := json.Unmarshal(line, &e); err != nil || e.Seq != next {
			t.Fatalf("%s: %v, want number %d", line, err, next)
		}
		next++
	}
	if next != 19 {
		t.Errorf("%d entries, want the 17 that were there and one more", next-1)
	}
	if report, err := s.store.VerifyAudit(t.Context()); err != nil || report.Entries < 18 {
		t.Errorf("the trail in the store: %+v, %v", report, err)
	}
	lines := &ledger.AuditLines{}
	if err := lines.Read("audit.jsonl", bytes.NewReader(storedFile(t, "audit.jsonl"))); err != nil {
		t.Fatal(err)
	}
	if report, err := lines.Check(); err != nil || report.Entries != 18 {
		t.Errorf("the audit lines: %+v, %v", report, err)
	}
}
