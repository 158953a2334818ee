package httpapi_test

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/centralsim"
	"rollcall/internal/ledger"
)

// raw is the Redis of a system, as an operator reaches it.
func rawRedis(t *testing.T, url string) *redis.Client {
	t.Helper()
	opt, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(opt)
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// backup copies every key, and returns what puts the copy back in the place of
// all that is there then.
func backup(t *testing.T, rdb *redis.Client) (restore func()) {
	t.Helper()
	dump := map[string]string{}
	for _, key := range rdb.Keys(t.Context(), "*").Val() {
		dump[key] = rdb.Dump(t.Context(), key).Val()
	}
	return func() {
		t.Helper()
		rdb.FlushAll(t.Context())
		for key, value := range dump {
			if err := rdb.Restore(t.Context(), key, 0, value).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A store that is not the one that it was leads to refusals that name what to
// do, and to no delete: with a token of before, and with a verdict asked for anew.
func TestALostStoreDeletesNothingAndSaysWhatToDo(t *testing.T) {
	for _, tc := range []struct {
		name    string
		lose    func(t *testing.T, s *system, rdb *redis.Client)
		command string // that is named
	}{
		{"flushed", func(t *testing.T, _ *system, rdb *redis.Client) { rdb.FlushAll(t.Context()) }, "rollcall state restore --audit FILE"},
		{"another installation's", func(t *testing.T, _ *system, rdb *redis.Client) {
			rdb.FlushAll(t.Context())
			rdb.Set(t.Context(), "rollcall:{global}:mark", "another", 0)
		}, "rollcall state restore --audit FILE"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			url := benchRedis(t)
			s := newSystem(t, setup{redisURL: url})
			token := s.eligible()
			tc.lose(t, s, rawRedis(t, url))
			a := s.remove(token)
			if a.is("outcome") != "refused" || !strings.Contains(a.is("summary"), "rollcall state restore") {
				t.Errorf("delete: %s: %s", a.is("outcome"), a.is("summary"))
			}
			a = s.want(s.evaluate("eligible"), "skip", "STATE_UNVERIFIED")
			if !strings.Contains(a.is("summary"), tc.command) {
				t.Errorf("evaluate: %s", a.is("summary"))
			}
			s.nothingSent()
		})
	}
}

func (s *system) nothingSent() {
	s.t.Helper()
	if n := s.sim.Deletes(); n != 0 {
		s.t.Errorf("%d DELETEs", n)
	}
}

func TestAnOlderBackupOfTheStoreDeletesNothingUntilItIsMended(t *testing.T) {
	url := benchRedis(t)
	s := newSystem(t, setup{redisURL: url})
	rdb := rawRedis(t, url)
	var trail bytes.Buffer
	s.evaluate("vip")
	older := backup(t, rdb)
	token := s.eligible()
	s.act("ticket-open", map[string]any{"token": s.evaluate("vip").is("token"), "ticketId": "INC-1", "openedBy": "ann"})
	if err := s.store.Export(t.Context(), &trail); err != nil {
		t.Fatal(err)
	}
	older()
	for _, a := range []answer{s.remove(token), s.evaluate("eligible")} {
		if a.is("reasonCode") != "STATE_UNVERIFIED" || !strings.Contains(a.is("summary"), "rollcall state restore --audit FILE") ||
			!strings.Contains(a.is("summary"), "rollcall state init --accept-rollback") {
			t.Errorf("%s %s: %s", a.is("action"), a.is("reasonCode"), a.is("summary"))
		}
	}
	s.nothingSent()
	// The service's own tries went on; the operator stops it, and brings the backup in again.
	older()
	var lines ledger.AuditLines
	if err := lines.Read("trail", &trail); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.Restore(t.Context(), &lines, "ann", false); err != nil {
		t.Fatal(err)
	}
	s.want(s.evaluate("vip"), "skip", "TICKET_OPEN")
	s.want(s.remove(token), "deleted", "")
}

func TestAcceptingARollbackGoesOnWithNewTokensOnly(t *testing.T) {
	url := benchRedis(t)
	s := newSystem(t, setup{redisURL: url})
	older := backup(t, rawRedis(t, url))
	token := s.eligible()
	older()
	s.want(s.remove(token), "deferred", "STATE_UNVERIFIED")
	if _, err := s.store.AcceptRollback(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	s.want(s.remove(token), "refused", "TOKEN_EXPIRED")
	s.nothingSent()
	s.want(s.remove(s.eligible()), "deleted", "")
}

func TestAStoreAtItsMaxmemoryDeletesNothingAndSaysSo(t *testing.T) {
	url := benchRedis(t)
	s := newSystem(t, setup{redisURL: url})
	token := s.eligible()
	rdb := rawRedis(t, url)
	if err := rdb.ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatal(err)
	}
	for path, body := range map[string]any{
		"/v1/actions/delete":      map[string]any{"token": token},
		"/v1/actions/evaluate":    map[string]any{"event": s.sample["eligible"].Event},
		"/v1/actions/verify-live": map[string]any{"event": s.sample["eligible"].Event},
		"/v1/actions/ticket-open": map[string]any{"token": token, "ticketId": "INC-1"},
	} {
		status, a := s.call(http.MethodPost, path, body)
		fixes, _ := a["fixes"].([]any)
		if status != http.StatusServiceUnavailable || a.is("code") != "state_unavailable" || len(fixes) == 0 ||
			!strings.Contains(fixes[0].(string), "redis-cli CONFIG SET maxmemory") {
			t.Errorf("%s: %d %v", path, status, a)
		}
	}
	s.nothingSent()
	rdb.ConfigSet(t.Context(), "maxmemory", "0")
	s.want(s.remove(token), "deleted", "")
}

// A ticket that was rebuilt has lost what its approver was shown: no yes can be
// bound to it any more, and the way on is told.
func TestATicketOfARebuiltStoreTakesNoYes(t *testing.T) {
	url := benchRedis(t)
	s := newSystem(t, setup{redisURL: url})
	var trail bytes.Buffer
	s.act("ticket-open", map[string]any{"token": s.evaluate("vip").is("token"), "ticketId": "INC-1", "openedBy": "ann"})
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
	again := newSystem(t, setup{redisURL: url, sim: s.sim, sameClock: s.offset}) // the service is started anew
	again.want(again.evaluate("vip"), "skip", "TICKET_OPEN")
	a := again.want(again.decided("INC-1", "delete"), "refused", "TOKEN_EXPIRED")
	if !strings.Contains(a.is("summary"), "close with none") {
		t.Errorf("summary: %s", a.is("summary"))
	}
	again.want(again.decided("INC-1", "none"), "closed", "")
	if a := again.want(again.evaluate("vip"), "manual", "VIP"); !slices.Contains(a.codes(), "TICKET_UNDECIDED") {
		t.Errorf("codes: %q", a.codes())
	}
	again.nothingSent()
}

// Central's time to restore a device began with its DELETE, not when the service
// was up again to read it back.
func TestTheTimeToRestoreCountsFromTheDELETE(t *testing.T) {
	s := newSystem(t, setup{})
	token := s.eligible()
	s.sim.Fault(centralsim.Fault{Method: http.MethodDelete, Path: "/endpoint/", Status: 500, ApplyAnyway: true})
	lift := s.sim.Fault(centralsim.Fault{Method: http.MethodGet, Path: "/endpoint/v1/endpoints/" + s.device(), Skip: 2, Status: 500, Times: centralsim.Always})
	sent := s.now()
	s.want(s.remove(token), "pending", "DELETE_UNCONFIRMED")
	lift()
	s.pass(5 * 24 * time.Hour)
	if err := s.runner.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, list := s.call(http.MethodGet, "/v1/exclusions?kind=deleted", nil)
	items, _ := list["items"].([]any)
	if len(items) != 1 {
		t.Fatalf("deleted: %v", list)
	}
	by, err := time.Parse(time.RFC3339, answer(items[0].(map[string]any)).is("restoreBy"))
	if late := by.Sub(sent.Add(30 * 24 * time.Hour)); err != nil || late > time.Minute || late < -time.Minute {
		t.Errorf("restoreBy %s is %s off: %v", by, late, err)
	}
}
