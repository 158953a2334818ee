package httpapi_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

// scene is an incident told as a sequence of calls.
type scene struct {
	name string
	play func(s *system)
}

// play plays each scene on a live service of its own.
func play(t *testing.T, scenes []scene) {
	t.Helper()
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) { sc.play(newSystem(t, setup{})) })
	}
}

// Between the verdict and the DELETE. More rows of this kind, with the answer of
// each, are in TestNothingThatChangedSinceTheVerdictIsDeleted.
func TestWhatHappenedToOthersBetweenTheListAndTheDelete(t *testing.T) {
	spoilt := func(outcome, code string, spoil func(s *system)) func(s *system) {
		return func(s *system) {
			token := s.eligible()
			spoil(s)
			s.want(s.remove(token), outcome, code)
			s.sent(0)
			if len(s.gone()) != 0 {
				s.t.Errorf("deleted set %v", s.gone())
			}
		}
	}
	play(t, []scene{
		{"the sign of use is read again at the delete (Janitor Monkey)", spoilt("refused", "EVIDENCE_CHANGED", func(s *system) {
			s.sim.CheckIn(tenant, s.device(), s.now())
		})},
		{"a last-seen time that disappears stops it too (CM)", spoilt("refused", "EVIDENCE_CHANGED", func(s *system) {
			s.edit(fields{"lastSeenAt": absent{}}.into)
		})},
		{"the list that was reviewed two days ago is not carried out (aws-nuke #969)", spoilt("refused", "TOKEN_EXPIRED", func(s *system) { s.pass(48 * time.Hour) })},
		{"a device that registered anew has another id, and is not deleted by the old one's verdict (CM #45)", spoilt("gone", "GONE_ELSEWHERE", func(s *system) {
			r, _ := s.sim.Get(tenant, s.device())
			s.sim.Remove(tenant, s.device())
			fields{"id": "00000000-0000-4000-8000-0000000000bb", "online": true}.into(r)
			s.sim.Put(tenant, r)
		})},
		{"what Central's own cleaner removed is not our success", spoilt("gone", "GONE_ELSEWHERE", func(s *system) { s.sim.Remove(tenant, s.device()) })},
		{"a threshold that was raised holds for verdicts given before (Elastic #735)", spoilt("refused", "NOT_INACTIVE_LONG_ENOUGH", func(s *system) {
			s.change(func(r *action.Rules) { r.Params.InactiveDays.Computer = 180 })
		})},
		{"an exclusion that was added holds for verdicts given before (Swabbie #133)", spoilt("refused", "EXCLUDED", func(s *system) {
			s.change(func(r *action.Rules) {
				r.Params.Exclusions = []policy.Exclusion{{ID: "late", Hostnames: []string{"ws-fin-*"}}}
			})
		})},
		{"exclusions that can't be read are no empty list (Swabbie)", spoilt("deferred", "POLICY_INVALID", func(s *system) {
			s.change(func(r *action.Rules) { r.Broken = true })
		})},
		{"a store that was flushed remembers nothing, so nothing is deleted (Swabbie: Redis is not durable)", spoilt("refused", "TOKEN_EXPIRED", func(s *system) { s.redis.FlushAll() })},
		{"a kill switch thrown while the device is looked at still counts (Swabbie)", spoilt("deferred", "KILL_SWITCH", func(s *system) {
			var once sync.Once
			s.sim.OnRequest(func(r *http.Request) {
				if r.URL.Query().Has("hostnameContains") {
					once.Do(func() { s.admin("pause", "") })
				}
			})
		})},
		{"a look that fails at the delete is no look (Elastic #1500)", spoilt("deferred", "VERIFY_FAILED", func(s *system) {
			s.fault(centralsim.Fault{Method: "GET", Status: 500})
		})},
	})
}

// The directory's newer word, handed to delete, takes the sealed one's place.
func TestTheDirectorysNewerWordStopsADelete(t *testing.T) {
	for _, tc := range []struct {
		name          string
		event         fields
		outcome, code string
	}{
		{"the account was enabled again (CM)", fields{"directory.enabled": true}, "refused", "DIRECTORY_ENABLED"},
		{"the account was moved out of the OU (CM #6)", fields{"directory.distinguishedName": "CN=WS-FIN-0427,OU=Staff,DC=corp,DC=example,DC=test"}, "refused", "NOT_IN_SCOPE"},
		{"the account was disabled a second time: its grace begins anew (py-kube-downscaler)", fields{"directory.disabledAt": "now"}, "refused", "GRACE_PERIOD"},
		{"nothing has changed", fields{}, "deleted", "ELIGIBLE"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSystem(t, setup{})
			token, e := s.eligible(), s.event()
			tc.event.into(e)
			if tc.event["directory.disabledAt"] == "now" {
				put(e, "directory.disabledAt", s.ago(0))
			}
			s.want(s.act("delete", map[string]any{"token": token, "event": e}), tc.outcome, tc.code)
			s.sent(map[bool]int{true: 1}[tc.outcome == "deleted"])
		})
	}
}

// Atlassian's script was handed ids of another kind, and the API took any.
func TestOnlyASealedVerdictNamesADevice(t *testing.T) {
	s := newSystem(t, setup{})
	token := s.eligible()
	evidence := s.act("verify-live", map[string]any{"event": s.event()}).is("token")
	other := s.plant(1)
	for name, body := range map[string]map[string]any{
		"a device's id is no token":                      {"token": s.device()},
		"ids beside a token are not known":               {"token": token, "endpointId": other.id},
		"ids instead of a token are not known":           {"endpointId": s.device(), "tenantId": tenant},
		"a list of tokens is no token":                   {"token": []string{token, token}},
		"a list of ids is not known":                     {"endpointIds": []string{s.device(), other.id}},
		"evidence is no verdict":                         {"token": evidence},
		"a token with another's event is of neither":     {"token": token, "event": other.event},
		"a token with another ticket's id is of neither": {"token": token, "ticketId": "INC-1"},
		"a token that was changed is none":               {"token": token[:len(token)-2] + "AA"},
		"an event alone is no verdict":                   {"event": s.event()},
		"an unknown way to force it is not known":        {"token": token, "force": true},
	} {
		if status, a := s.call(http.MethodPost, "/v1/actions/delete", body); status < 400 || status >= 500 {
			t.Errorf("%s: %d %v", name, status, a)
		}
	}
	s.want(s.act("delete", map[string]any{"ticketId": s.device()}), "refused", "INPUT_INVALID")
	s.sent(0)
	s.want(s.remove(token), "deleted", "ELIGIBLE")
	for _, e := range s.sim.Journal() {
		switch {
		case e.Method == http.MethodDelete && (e.Path != "/endpoint/v1/endpoints/"+s.device() || e.Tenant != tenant):
			t.Errorf("DELETE %s in tenant %s", e.Path, e.Tenant)
		case e.Method == http.MethodPost && strings.HasPrefix(e.Path, "/endpoint/"):
			t.Errorf("POST %s: one decision, one DELETE", e.Path)
		}
	}
	s.sent(1)
}

// The DELETE itself: accepted is not gone, and an error is not "not done". The
// table TestWhatBecomesOfADelete has a row for each answer.
func TestWhatOthersTookForADelete(t *testing.T) {
	play(t, []scene{
		{"accepted is not gone (kube-janitor #51)", func(s *system) {
			token := s.eligible()
			s.deleteFault(centralsim.Fault{Status: 200, Body: `{"deleted":true}`, ContentType: "application/json"})
			s.want(s.remove(token), "pending", "DELETE_UNCONFIRMED")
			if g := s.gone(); len(g) != 0 {
				s.t.Errorf("deleted set %v", g)
			}
			s.pass(10 * time.Minute)
			s.want(s.remove(token), "failed", "DELETE_FAILED")
			if g := s.gone(); len(g) != 0 {
				s.t.Errorf("deleted set %v", g)
			}
			s.sent(1)
		}},
		{"an error that took effect is a delete, and is not sent again", func(s *system) {
			token := s.eligible()
			s.deleteFault(centralsim.Fault{Drop: true, ApplyAnyway: true})
			s.want(s.remove(token), "deleted", "ELIGIBLE")
			s.want(s.remove(token), "already_deleted", "ALREADY_DELETED")
			if g := s.gone(); !slices.Equal(g, []string{s.device()}) {
				s.t.Errorf("deleted set %v", g)
			}
			s.sent(1)
		}},
		{"the same event twice at once is one DELETE (Swabbie)", func(s *system) {
			tokens, done := []string{s.eligible(), s.eligible()}, make(chan answer, 2)
			for _, token := range tokens {
				go func() { done <- s.remove(token) }()
			}
			for range tokens {
				if a := <-done; !slices.Contains([]string{"deleted", "already_deleted"}, a.is("outcome")) {
					s.t.Errorf("delete: %v", a)
				}
			}
			s.sent(1)
		}},
		{"evidence from before the delete does not show that the device came back", func(s *system) {
			evidence := s.act("verify-live", map[string]any{"event": s.event()}).is("token")
			in := map[string]any{"event": s.event(), "evidence": evidence}
			s.want(s.remove(s.act("evaluate", in).is("token")), "deleted", "ELIGIBLE")
			s.want(s.act("evaluate", in), "skip", "ALREADY_DELETED")
			if _, f := s.call(http.MethodGet, "/v1/failures", nil); f["count"] != float64(0) {
				s.t.Errorf("failures: %v", f)
			}
			s.want(s.kill(1), "deleted", "ELIGIBLE") // the circuit is closed
		}},
		{"a delete says until when it can be undone (Sophos: 30 days)", func(s *system) {
			s.want(s.remove(s.eligible()), "deleted", "ELIGIBLE")
			_, list := s.call(http.MethodGet, "/v1/exclusions?kind=deleted", nil)
			row, _ := list["items"].([]any)[0].(map[string]any)
			by, err := time.Parse(time.RFC3339, answer(row).is("restoreBy"))
			if left := by.Sub(s.now()); err != nil || left < 29*days || left > 30*days {
				s.t.Errorf("restoreBy %v: %v", row["restoreBy"], err)
			}
		}},
	})
}

// A person's yes: bound to what was shown, for a time, once, and never a way
// around the rules (Adaxes, Google Access Approval; Swabbie's delete on demand).
// More: TestAnApprovalIsUsedOnceAndWaivesNoMoreThanWasShown,
// TestSilenceAndOtherDecisionsAreNeverAYes.
func TestAYesIsNoMoreThanItWas(t *testing.T) {
	approval := func(s *system) string { return s.approved("INC-1", s.evaluate("vip").is("token")) }
	refused := func(code string, spoil func(s *system)) func(s *system) {
		return func(s *system) {
			token := approval(s)
			spoil(s)
			s.want(s.remove(token), "refused", code)
			s.want(s.act("delete", map[string]any{"ticketId": "INC-1"}), "refused", code)
			s.sent(0)
		}
	}
	vip := func(s *system) string { return s.sample["vip"].ID }
	play(t, []scene{
		{"a yes is carried out", func(s *system) {
			a := s.remove(approval(s))
			if a.is("outcome") != "deleted" {
				s.t.Errorf("delete: %v", a)
			}
			s.sent(1)
		}},
		{"a yes to a device that checked in since is none", refused("EVIDENCE_CHANGED", func(s *system) { s.sim.CheckIn(tenant, vip(s), s.now()) })},
		{"a yes that nobody used runs out", refused("TOKEN_EXPIRED", func(s *system) { s.pass(8 * days) })},
		{"there is no back door: an exclusion stops an approved delete", refused("EXCLUDED", func(s *system) {
			s.change(func(r *action.Rules) {
				r.Params.Exclusions = []policy.Exclusion{{ID: "late", Hostnames: []string{"ws-brd-*"}}}
			})
		})},
		{"a yes waives no silence of the fleet", func(s *system) {
			token := approval(s)
			s.change(func(r *action.Rules) { r.Params.NewestWithin = time.Second })
			s.pass(2 * time.Minute)
			s.want(s.remove(token), "deferred", "FLEET_SILENT")
			s.sent(0)
		}},
		{"a yes that was taken back is none", func(s *system) {
			token := approval(s)
			if a := s.decided("INC-1", "keep"); a.is("outcome") != "changed" {
				s.t.Errorf("ticket-close: %v", a)
			}
			if a := s.remove(token); a.is("outcome") != "refused" {
				s.t.Errorf("delete: %v", a)
			}
			s.sent(0)
		}},
		{"a yes to what nobody asked is none (Access Approval)", func(s *system) {
			if a := s.decided("INC-404", "delete"); a.is("outcome") != "not_found" || a.is("token") != "" {
				s.t.Errorf("ticket-close: %v", a)
			}
		}},
		{"a question that nobody answers for a quarter is no yes", func(s *system) {
			s.act("ticket-open", map[string]any{"token": s.evaluate("vip").is("token"), "ticketId": "INC-1", "openedBy": "ann"})
			s.pass(91 * days)
			s.want(s.act("delete", map[string]any{"ticketId": "INC-1"}), "refused", "TICKET_OPEN")
			s.sent(0)
		}},
		{"a no that has run out is a person's again, never a yes", func(s *system) {
			s.act("ticket-open", map[string]any{"token": s.eligible(), "ticketId": "INC-1"})
			s.decided("INC-1", "keep")
			s.pass(91 * days)
			a := s.want(s.judged(s.event()), "manual", "KEEP_LAPSED")
			s.want(s.remove(a.is("token")), "refused", "KEEP_LAPSED")
			s.sent(0)
		}},
		{"who asks for a VIP's device can't say yes too", func(s *system) {
			s.act("ticket-open", map[string]any{"token": s.evaluate("vip").is("token"), "ticketId": "INC-1", "openedBy": "Bob"})
			s.want(s.decided("INC-1", "delete"), "refused", "SECOND_PERSON_NEEDED")
		}},
		{"a protected role is no question for a ticket", func(s *system) {
			a := s.act("ticket-open", map[string]any{"token": s.evaluate("protected-role").is("token"), "ticketId": "INC-1"})
			s.want(a, "refused", "PROTECTED_ROLE")
		}},
	})
}
