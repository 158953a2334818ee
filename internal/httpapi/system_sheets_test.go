package httpapi_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/internal/centralsim"
	"rollcall/internal/httpapi"
	"rollcall/internal/policy"
	"rollcall/internal/policyfile"
)

// asInForce is the policy of params, as a file.
const asInForce = `disabledOUs: ["OU=Disabled,DC=corp,DC=example,DC=test"]
domains: {CORPEX: corp.example.test}
vip: {groups: ["CN=VIP,OU=Groups,DC=corp,DC=example,DC=test"], users: ["CORPEX\\ceo"], hostnames: ["EXEC-*"]}
exclusions:
  - {id: lab, hostnames: ["LAB-*"], reason: "shared lab", owner: "it-ops"}
`

// candidate reads a policy as the process does.
func candidate(text []byte) (policy.Params, []httpapi.PolicyFault) {
	p, err := policyfile.Parse(text)
	faults, _ := errors.AsType[policyfile.Faults](err)
	var out []httpapi.PolicyFault
	for _, f := range faults {
		out = append(out, httpapi.PolicyFault(f))
	}
	return p, out
}

// replayed replays a policy over what is on record.
func (s *system) replayed(text string, more ...string) answer {
	s.t.Helper()
	body := map[string]any{"policy": text}
	if len(more) > 0 {
		body["since"] = more[0]
	}
	status, a := s.call(http.MethodPost, "/v1/policy/replay", body)
	if status != http.StatusOK {
		s.t.Fatalf("replay: %d %v", status, a)
	}
	return a
}

// list is a list of an answer.
func (a answer) list(name string) (out []answer) {
	all, _ := a[name].([]any)
	for _, x := range all {
		m, _ := x.(map[string]any)
		out = append(out, m)
	}
	return out
}

// wayBack asks how to protect a device again.
func (s *system) wayBack(label, route string) answer {
	s.t.Helper()
	status, a := s.call(http.MethodGet, "/v1/devices/"+s.sample[label].ID+"/recovery?tenantId="+tenant, nil)
	if status != http.StatusOK || a.is("route") != route {
		s.t.Errorf("recovery of %s: %d %v, want %s", label, status, a, route)
	}
	return a
}

func sceneSheets(t *testing.T, c *contract) {
	s := newSystem(t, setup{contract: c, mode: "dry-run"})
	s.evaluate("eligible")
	s.evaluate("vip")
	for _, path := range []string{
		"/v1/decisions", "/v1/decisions?format=ndjson&verdict=manual", "/v1/decisions?format=csv&reasonCode=ELIGIBLE&since=2026-01-01T00:00:00Z",
		"/v1/devices/" + s.device() + "/recovery?tenantId=" + tenant,
	} {
		if status, b := s.raw(http.MethodGet, path, nil); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, b)
		}
	}
	s.replayed(asInForce)
	s.replayed(asInForce, "30d")
	for _, path := range []string{"/v1/decisions?verdict=x", "/v1/decisions?reasonCode=x", "/v1/devices/" + s.device() + "/recovery"} {
		if status, b := s.raw(http.MethodGet, path, nil); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", path, status, b)
		}
	}
	if status, b := s.raw(http.MethodGet, "/v1/devices/"+tenant+"/recovery?tenantId="+tenant, nil); status != http.StatusNotFound {
		t.Errorf("a device that is not on record: %d %s", status, b)
	}
	if status, a := s.call(http.MethodPost, "/v1/policy/replay", map[string]any{"policy": "graceDay: 1"}); status != http.StatusUnprocessableEntity {
		t.Errorf("a policy with faults: %d %v", status, a)
	}
}

func TestTheSheetHoldsEveryDecisionOfADryRun(t *testing.T) {
	s := newSystem(t, setup{mode: "dry-run"})
	want, rows := map[string]string{}, 0
	for _, d := range s.sample {
		if a := s.act("evaluate", map[string]any{"event": d.Event}); a["endpointId"] != nil {
			want[a.is("endpointId")] = a.is("outcome") + " " + a.is("reasonCode")
		}
	}
	_, sheet := s.call(http.MethodGet, "/v1/decisions", nil)
	for _, d := range sheet.list("items") {
		rows++
		if got := d.is("verdict") + " " + d.is("reasonCode"); got != want[d.is("endpointId")] {
			t.Errorf("%s: %s, want %s", d.is("hostname"), got, want[d.is("endpointId")])
		}
		words := map[string]string{"delete": "deleted", "manual": "asked_person", "skip": "left_alone", "keep": "left_alone"}
		if d.is("wouldHave") != words[d.is("verdict")] || d.is("mode") != "dry-run" {
			t.Errorf("%v", d)
		}
	}
	if rows < 30 || rows != len(want) {
		t.Errorf("%d rows for %d devices", rows, len(want))
	}
	_, text := s.raw(http.MethodGet, "/v1/decisions?format=csv", nil)
	if all, err := csv.NewReader(strings.NewReader(string(text))).ReadAll(); err != nil || len(all) != rows+1 {
		t.Errorf("%d lines of CSV, %v", len(all), err)
	}
	if n := s.sim.Deletes(); n != 0 {
		t.Errorf("%d DELETEs", n)
	}
}

func TestReplayOfThePolicyInForceGivesWhatWasDecided(t *testing.T) {
	s := newSystem(t, setup{mode: "dry-run"})
	for _, d := range s.sample {
		s.act("evaluate", map[string]any{"event": d.Event})
	}
	s.pass(20 * 24 * time.Hour) // what is asked is what was so then
	a := s.replayed(asInForce)
	if a["replayed"].(float64) < 30 || a["unreadable"] != 0.0 || len(a.list("changes")) != 0 {
		t.Errorf("%v", a)
	}
	if a := s.replayed(asInForce, "19d"); a["replayed"] != 0.0 {
		t.Errorf("since 19 days: %v", a)
	}
	if a := s.replayed(asInForce, "21d"); a["replayed"].(float64) < 30 {
		t.Errorf("since 21 days: %v", a)
	}
}

func TestReplayNamesWhatAnotherPolicyWouldDelete(t *testing.T) {
	s := newSystem(t, setup{})
	for _, label := range []string{"eligible", "vip", "server"} {
		s.evaluate(label)
	}
	noVIP := strings.Replace(asInForce, `vip: {groups: ["CN=VIP,OU=Groups,DC=corp,DC=example,DC=test"], users: ["CORPEX\\ceo"], hostnames: ["EXEC-*"]}`, "", 1)
	a := s.replayed(noVIP + "manual: {unknownOwner: false}\n")
	flips := a.list("toDelete")
	if len(flips) != 1 || flips[0].is("endpointId") != s.sample["vip"].ID || flips[0].is("fromReasonCode") != "VIP" || flips[0].is("hostname") == "" {
		t.Errorf("without VIPs: %v", a)
	}
	a = s.replayed(asInForce + "inactiveDays: {computer: 3000, server: 3000}\n")
	if flips := a.list("fromDelete"); len(flips) != 1 || flips[0].is("toReasonCode") != "NOT_INACTIVE_LONG_ENOUGH" {
		t.Errorf("with 3000 days: %v", a)
	}
	if n := s.sim.Deletes(); n != 0 {
		t.Errorf("%d DELETEs", n)
	}
}

func TestAFaultyRecordIsCountedByReplayAndShownInTheSheet(t *testing.T) {
	s := newSystem(t, setup{})
	s.evaluate("eligible")
	s.evaluate("vip")
	s.redis.HSet("rollcall:{"+tenant+"}:decisions", s.device(), `{"verdict":"delete","reasonCode":"ELIGIBLE"}`)
	if a := s.replayed(asInForce); a["replayed"] != 1.0 || a["unreadable"] != 1.0 {
		t.Errorf("replay: %v", a)
	}
	_, sheet := s.call(http.MethodGet, "/v1/decisions?verdict=manual", nil)
	if sheet["count"] != 2.0 {
		t.Errorf("sheet: %v", sheet)
	}
	if _, sheet := s.call(http.MethodGet, "/v1/decisions?verdict=delete", nil); sheet["count"] != 0.0 {
		t.Errorf("a record that can't be read is shown as a delete: %v", sheet)
	}
}

func TestTheWayBackFollowsTheDevice(t *testing.T) {
	s := newSystem(t, setup{})
	token := s.eligible()
	s.wayBack("eligible", "none")
	record, _ := s.sim.Get(tenant, s.device())
	s.want(s.remove(token), "deleted", "")
	if a := s.wayBack("eligible", "restore"); a["restoreBy"] == nil || a.is("state") != "deleted" || !strings.Contains(fmt.Sprint(a["steps"]), tenant) {
		t.Errorf("deleted: %v", a)
	}
	s.pass(31 * 24 * time.Hour)
	if a := s.wayBack("eligible", "reinstall"); a["losesProtection"] != true || a["passwordsUntil"] != nil {
		t.Errorf("a month later, of an agent that turned itself off: %v", a)
	}
	s.redis.HDel("rollcall:{"+tenant+"}:records", s.device()) // a store that was restored has no record of Central's
	if a := s.wayBack("eligible", "tamper-protection"); a["losesProtection"] != nil || a["passwordsUntil"] == nil {
		t.Errorf("a month later, of an unknown agent: %v", a)
	}
	s.pass(60 * 24 * time.Hour)
	s.wayBack("eligible", "reinstall")
	s.sim.Put(tenant, record)
	s.evaluate("eligible")
	s.wayBack("eligible", "check")

	failing := newSystem(t, setup{})
	failing.sim.Fault(centralsim.Fault{Method: http.MethodDelete, Path: "/endpoint/", Status: 500})
	failing.want(failing.remove(failing.eligible()), "pending", "")
	failing.wayBack("eligible", "wait")
	failing.pass(time.Minute)
	if err := failing.runner.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	failing.wayBack("eligible", "none")
}
