package httpapi_test

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/ledger"
)

// A store that was rolled back stays unverified however often somebody
// tries: each refused try writes an audit entry of its own, which may not be
// counted as the sequence having caught up.
func TestReviewARolledBackStoreIsNotTrustedAgainAfterAFewTries(t *testing.T) {
	url := benchRedis(t)
	s := newSystem(t, setup{redisURL: url})
	token := s.eligible()
	older := backup(t, rawRedis(t, url))
	s.act("ticket-open", map[string]any{"token": token, "ticketId": "INC-1", "openedBy": "ann"})
	s.want(s.decided("INC-1", "keep"), "closed", "")
	s.want(s.evaluate("eligible"), "keep", "TICKET_DECIDED_KEEP")
	older()             // the person's decision is lost
	for i := range 10 { // a playbook that retries at once
		a := s.remove(token)
		if a.is("reasonCode") != "STATE_UNVERIFIED" {
			t.Errorf("try %d: %s: %s", i+1, a.is("outcome"), a.is("summary"))
			break
		}
	}
	s.nothingSent()
}

// with the verdict of a search that runs again and again instead.
func TestReviewARolledBackStoreGivesNoVerdictDeleteAfterAFewSearches(t *testing.T) {
	url := benchRedis(t)
	s := newSystem(t, setup{redisURL: url})
	older := backup(t, rawRedis(t, url))
	s.act("ticket-open", map[string]any{"token": s.eligible(), "ticketId": "INC-1", "openedBy": "ann"})
	s.want(s.decided("INC-1", "keep"), "closed", "")
	older()
	for i := range 10 {
		a := s.evaluate("eligible")
		if a.is("outcome") == "delete" {
			t.Errorf("evaluate %d: %s", i+1, a.is("summary"))
			t.Logf("delete then: %s", s.remove(a.is("token")).is("summary"))
			break
		}
	}
	s.nothingSent()
}

// The way out that the service itself names must work with the audit
// lines that the service itself wrote: those of its refusals are among them.
func TestReviewTheWayOutOfARollbackWorksWithTheLinesThatWereWritten(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, url string, older func()){
		"rolled back": func(_ *testing.T, _ string, older func()) { older() },
		"flushed":     func(t *testing.T, url string, _ func()) { rawRedis(t, url).FlushAll(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			url := benchRedis(t)
			s := newSystem(t, setup{redisURL: url})
			var trail bytes.Buffer // the service's standard output
			export := func() {
				if err := s.store.Export(t.Context(), &trail); err != nil {
					t.Fatal(err)
				}
			}
			s.evaluate("vip")
			export()
			older := backup(t, rawRedis(t, url))
			token := s.eligible()
			export()
			lose(t, url, older)
			s.remove(token) // refused, and told to restore
			export()        // half a second later
			// "stop the service, and restore into an empty Redis"
			rawRedis(t, url).FlushAll(t.Context())
			var lines ledger.AuditLines
			if err := lines.Read("trail", &trail); err != nil {
				t.Fatal(err)
			}
			if _, err := s.store.Restore(t.Context(), &lines, "ann", false); err != nil {
				t.Errorf("state restore: %v", err)
			}
		})
	}
}

// Accepting a rollback leaves a chain that verifies, although the service
// wrote refusals between the rollback and its acceptance.
func TestReviewTheChainVerifiesAfterARollbackWasAccepted(t *testing.T) {
	url := benchRedis(t)
	s := newSystem(t, setup{redisURL: url})
	var trail bytes.Buffer
	export := func() {
		if err := s.store.Export(t.Context(), &trail); err != nil {
			t.Fatal(err)
		}
	}
	s.evaluate("vip")
	older := backup(t, rawRedis(t, url))
	token := s.eligible()
	export()
	older()
	s.want(s.remove(token), "deferred", "STATE_UNVERIFIED")
	if _, err := s.store.AcceptRollback(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	export()
	var lines ledger.AuditLines
	if err := lines.Read("trail", &trail); err != nil {
		t.Fatal(err)
	}
	if _, err := lines.Check(); err != nil {
		t.Errorf("audit verify: %v", err)
	}
}

// Who pauses everything before rebuilding a lost store finds it paused
// afterwards.
func TestReviewAPauseThrownBeforeARestoreOutlivesIt(t *testing.T) {
	url := benchRedis(t)
	s := newSystem(t, setup{redisURL: url})
	var trail bytes.Buffer
	s.eligible()
	s.call(http.MethodPost, "/v1/admin/pause", map[string]any{"reason": "drill", "by": "ann"})
	s.pass(time.Second)
	s.call(http.MethodPost, "/v1/admin/resume", map[string]any{"reason": "drill over", "by": "ann"})
	if err := s.store.Export(t.Context(), &trail); err != nil {
		t.Fatal(err)
	}
	rawRedis(t, url).FlushAll(t.Context())
	// rollcall pause --reason "store lost"; rollcall state restore --audit FILE
	if _, err := s.store.Pause(t.Context(), action.Switch{Reason: "store lost", By: "ann"}); err != nil {
		t.Fatal(err)
	}
	var lines ledger.AuditLines
	if err := lines.Read("trail", &trail); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.Restore(t.Context(), &lines, "ann", false); err != nil {
		t.Fatal(err)
	}
	again := newSystem(t, setup{redisURL: url, sim: s.sim, sameClock: s.offset})
	a := again.evaluate("eligible")
	if a.is("reasonCode") != "KILL_SWITCH" {
		t.Errorf("evaluate: %s: %s", a.is("outcome"), a.is("summary"))
		t.Logf("delete: %s", again.remove(a.is("token")).is("summary"))
	}
	again.nothingSent()
}

// rebuilt flushes the store, rebuilds it from its own audit lines and starts the
// service anew on it.
func (s *system) rebuilt(t *testing.T, url string) *system {
	t.Helper()
	var trail bytes.Buffer
	if err := s.store.Export(t.Context(), &trail); err != nil {
		t.Fatal(err)
	}
	rawRedis(t, url).FlushAll(t.Context())
	var lines ledger.AuditLines
	if err := lines.Read("trail", &trail); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.Restore(t.Context(), &lines, "ann", false); err != nil {
		t.Fatal(err)
	}
	return newSystem(t, setup{redisURL: url, sim: s.sim, sameClock: s.offset})
}

// A restored store remembers the hold after a silence of the fleet.
func TestReviewARestoredStoreHoldsAfterASilence(t *testing.T) {
	url := benchRedis(t)
	s := newSystem(t, setup{redisURL: url})
	wake := s.hush()
	s.pass(2 * time.Minute)
	s.want(s.observed(), "skip", "FLEET_SILENT")
	s.pass(48 * time.Hour)
	s.want(s.observed(), "skip", "FLEET_SILENT")
	wake()
	s.want(s.observed(), "skip", "FLEET_SILENT") // held for two days
	again := s.rebuilt(t, url)
	a := again.observed()
	if a.is("reasonCode") != "FLEET_SILENT" {
		t.Errorf("evaluate: %s: %s", a.is("outcome"), a.is("summary"))
		t.Logf("delete: %s", again.remove(a.is("token")).is("summary"))
	}
	again.nothingSent()
}

// A restored store still knows how many devices were eligible on the days before.
func TestReviewARestoredStoreSeesADaysJump(t *testing.T) {
	url := benchRedis(t)
	s := newSystem(t, setup{redisURL: url})
	s.crowd(0, 8)
	s.pass(24 * time.Hour)
	s.crowd(1000, 12) // and more to come today
	again := s.rebuilt(t, url)
	token := again.crowd(2000, 13).is("token")
	again.want(again.remove(token), "deferred", "CIRCUIT_OPEN")
	again.nothingSent()
}

// A day's jump is seen in live mode too where its devices were judged in
// dry-run first: the sheet of the morning, and live in the afternoon.
func TestReviewAJumpThatADryRunFoundCountsInLiveMode(t *testing.T) {
	url := benchRedis(t)
	dry := newSystem(t, setup{redisURL: url, mode: action.DryRun})
	dry.crowd(0, 8)
	dry.pass(24 * time.Hour)
	dry.crowd(1000, 200)
	live := newSystem(t, setup{redisURL: url, sim: dry.sim, sameClock: dry.offset})
	token := live.crowd(1000, 200).is("token")
	live.want(live.remove(token), "deferred", "CIRCUIT_OPEN")
	live.nothingSent()
}

// A device that registers again between its DELETE and the late settling
// of that DELETE came back as well.
func TestReviewWhoComesBackBeforeTheDeleteIsSettledCameBack(t *testing.T) {
	s := newSystem(t, setup{})
	token := s.eligible()
	s.sim.Fault(centralsim.Fault{Method: http.MethodDelete, Path: "/endpoint/", Status: 500})
	s.want(s.remove(token), "pending", "DELETE_UNCONFIRMED")
	s.sim.Remove(tenant, s.device())          // it took effect all the same, and rollcall was killed
	s.register(again, s.like("serialNumber")) // the agent registers anew an hour later
	s.pass(24 * time.Hour)                    // rollcall is started again a day later
	if err := s.runner.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.want(s.evaluate("eligible"), "skip", "ALREADY_DELETED")
	s.later(24 * time.Hour)
	s.watch()
	if entries, failures := s.reports(); len(entries) != 1 || len(failures) != 1 {
		t.Errorf("%d entries and %d failures of a come-back", len(entries), len(failures))
	}
}

// The way back of a device whose account was enabled again, and that
// Central does not have, is to restore it there.
func TestReviewTheWayBackOfAnAccountEnabledAgainIsToRestore(t *testing.T) {
	s := newSystem(t, setup{})
	event := s.sample["eligible"].Event
	s.want(s.remove(s.eligible()), "deleted", "")
	s.pass(time.Hour)
	event["directory"].(map[string]any)["enabled"] = true
	event["observedAt"] = s.now().UTC().Format(time.RFC3339)
	a := s.want(s.act("evaluate", map[string]any{"event": event}), "manual", "CAME_BACK")
	if strings.Contains(a.is("summary"), "Central has it again") {
		t.Errorf("evaluate says what is not so: %s", a.is("summary"))
	}
	_, r := s.call(http.MethodGet, "/v1/devices/"+s.device()+"/recovery?tenantId="+tenant, nil)
	if r.is("route") != action.RouteRestore {
		t.Errorf("recovery: route %s: %s", r.is("route"), r.is("summary"))
	}
}

// A store that is set back between the reading under the lease and the
// intent is seen by what this process knows, not by the token's number alone.
func TestReviewAStoreSetBackWhileTheDeviceIsLookedAtDeletesNothing(t *testing.T) {
	url := benchRedis(t)
	s := newSystem(t, setup{redisURL: url})
	token := s.eligible()
	older := backup(t, rawRedis(t, url))
	lease := ""
	// What the failover loses: a come-back, which had opened the circuit.
	s.want(s.remove(s.act("evaluate", map[string]any{"event": s.another(1)}).is("token")), "deleted", "")
	e := s.another(1)
	e["directory"].(map[string]any)["enabled"] = true
	e["observedAt"] = s.now().Add(time.Second).UTC().Format(time.RFC3339)
	s.want(s.act("evaluate", map[string]any{"event": e}), "manual", "CAME_BACK")
	s.want(s.remove(token), "deferred", "CIRCUIT_OPEN")
	sent := s.sim.Deletes()
	rdb := rawRedis(t, url)
	var once sync.Once
	s.sim.OnRequest(func(r *http.Request) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, s.device()) {
			once.Do(func() {
				key := "rollcall:{" + tenant + "}:lease:" + s.device()
				lease = rdb.Get(t.Context(), key).Val()
				older() // the new primary lacks the last entries, but has the lease
				rdb.Set(t.Context(), key, lease, time.Minute)
			})
		}
	})
	a := s.remove(token)
	if n := s.sim.Deletes() - sent; n != 0 {
		t.Errorf("%d DELETEs: %s", n, a.is("summary"))
	}
}

// A store that is exchanged after the process began and before its first
// request is another one too: an init container that marks any Redis it finds must
// not make an empty one trusted.
func TestReviewAStoreExchangedBeforeTheFirstRequestIsNotTrusted(t *testing.T) {
	url := benchRedis(t)
	before := newSystem(t, setup{redisURL: url})
	before.act("ticket-open", map[string]any{"token": before.eligible(), "ticketId": "INC-1", "openedBy": "ann"})
	before.want(before.decided("INC-1", "keep"), "closed", "")
	s := newSystem(t, setup{redisURL: url, sim: before.sim, sameClock: before.offset}) // started anew, and asked nothing yet
	rawRedis(t, url).FlushAll(t.Context())
	if _, _, err := s.store.InitMark(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := s.evaluate("eligible")
	if a.is("reasonCode") != "STATE_UNVERIFIED" {
		t.Errorf("evaluate: %s: %s", a.is("outcome"), a.is("summary"))
		t.Logf("delete: %s", s.remove(a.is("token")).is("summary"))
	}
	s.nothingSent()
}

// A person's answer is not taken into a store that can't be trusted, and
// that is about to be put in the place of another: it would be lost without a word.
func TestReviewAnAnswerIsNotTakenIntoAStoreThatIsNotTrusted(t *testing.T) {
	url := benchRedis(t)
	s := newSystem(t, setup{redisURL: url})
	token := s.eligible()
	s.act("ticket-open", map[string]any{"token": token, "ticketId": "INC-1", "openedBy": "ann"})
	older := backup(t, rawRedis(t, url))
	for range 5 {
		s.evaluate("vip")
	}
	older()
	s.want(s.evaluate("vip"), "skip", "STATE_UNVERIFIED")
	if status, a := s.call(http.MethodPost, "/v1/actions/ticket-close", map[string]any{"ticketId": "INC-1", "decision": "keep", "decidedBy": "bob"}); status == http.StatusOK && a.is("outcome") == "closed" {
		t.Errorf("ticket-close: %d %s", status, a.is("summary"))
	}
}

// A token whose DELETE took effect is told so, also when the device came back
// since and a person has said that it stays.
func TestReviewATokenWhoseDeviceCameBackAndWasKeptIsNotToldThatItFailed(t *testing.T) {
	s := newSystem(t, setup{})
	record, _ := s.sim.Get(tenant, s.device())
	token := s.eligible()
	s.want(s.remove(token), "deleted", "")
	s.sim.Put(tenant, record)
	s.act("ticket-open", map[string]any{"token": s.want(s.evaluate("eligible"), "manual", "CAME_BACK").is("token"), "ticketId": "INC-1"})
	s.want(s.decided("INC-1", "keep"), "closed", "")
	s.want(s.remove(token), "refused", "CAME_BACK")
}
