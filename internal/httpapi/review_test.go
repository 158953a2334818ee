package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

// A playbook's ticket-open that is delivered twice, the second time after a
// person has decided, must not undo the decision.
func TestReviewARepeatedTicketOpenDoesNotUndoADecision(t *testing.T) {
	for _, decision := range []string{"keep", "delete"} {
		t.Run(decision, func(t *testing.T) {
			s := newSystem(t, setup{})
			open := map[string]any{"token": s.eligible(), "ticketId": "INC-1", "openedBy": "ann"}
			s.want(s.act("ticket-open", open), "opened", "")
			s.want(s.decided("INC-1", decision), "closed", "")
			before := s.evaluate("eligible").is("reasonCode")
			again := s.act("ticket-open", open)
			if again.is("outcome") == "opened" {
				t.Errorf("the same request again: %v, wanted nothing to change", again.is("outcome"))
			}
			if after := s.evaluate("eligible").is("reasonCode"); after != before {
				t.Errorf("the decision %s was %s and is %s after the repeated request", decision, before, after)
			}
		})
	}
}

// A stale token of before the decision, under another ticket id.
func TestReviewAStaleTokenDoesNotLiftAKeep(t *testing.T) {
	s := newSystem(t, setup{})
	token := s.eligible()
	s.act("ticket-open", map[string]any{"token": token, "ticketId": "INC-1", "openedBy": "ann"})
	s.decided("INC-1", "keep")
	a := s.act("ticket-open", map[string]any{"token": token, "ticketId": "INC-2", "openedBy": "ann"})
	if a.is("outcome") != "refused" {
		t.Errorf("ticket-open with a token of before the keep: %s", a.is("outcome"))
	}
	if a := s.evaluate("eligible"); a.is("reasonCode") != "TICKET_DECIDED_KEEP" {
		t.Errorf("the keep is gone: %s", a.is("reasonCode"))
	}
}

// Two devices open the same ticket id at the same time: one gets it.
func TestReviewOneTicketIDOneDevice(t *testing.T) {
	s := newSystem(t, setup{})
	lost := 0
	for i := range 60 {
		ticket := fmt.Sprintf("INC-%d", i)
		var wg sync.WaitGroup
		var opened atomic.Int32
		for j := range 4 {
			dev := action.Ref{TenantID: tenant, EndpointID: fmt.Sprintf("00000000-0000-4000-8000-%06d%06d", i, j)}
			wg.Go(func() {
				step, err := s.store.OpenTicket(t.Context(), action.Opening{Mark: action.Mark{Dev: dev, Action: "ticket-open", Outcome: "opened"}, TicketID: ticket, Claims: []byte("{}")})
				if err == nil && step.Outcome == "opened" {
					opened.Add(1)
				}
			})
		}
		wg.Wait()
		if opened.Load() > 1 {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of 60 ticket ids were opened for several devices: all but one of these can never be closed", lost)
	}
}

// What was learnt between the start of a delete and its intent.
func TestReviewAPolicyThatComesIntoForceDuringTheLookIsObeyed(t *testing.T) {
	for name, edit := range map[string]func(r *action.Rules){
		"an exclusion": func(r *action.Rules) {
			r.Params.Exclusions = append(r.Params.Exclusions, policy.Exclusion{ID: "new", Hostnames: []string{"ws-*"}, Reason: "x", Owner: "y"})
		},
		"broken":        func(r *action.Rules) { r.Broken = true },
		"dry-run":       func(r *action.Rules) { r.Params.LiveTenants = []string{centralsim.ForeignTenant} },
		"no deletes":    func(r *action.Rules) { r.Params.Limits.PerDay = []int{0} },
		"shut window":   func(r *action.Rules) { r.Params.Window = shut() },
		"300 days more": func(r *action.Rules) { r.Params.InactiveDays.Computer = 300 },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, setup{})
			token := s.eligible()
			var once sync.Once
			s.sim.OnRequest(func(r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/endpoint/") {
					once.Do(func() { s.change(edit) })
				}
			})
			a := s.remove(token)
			if n := s.sim.Deletes(); n != 0 {
				t.Errorf("%d DELETEs under a policy that was no longer in force: %s", n, a.is("outcome"))
			}
		})
	}
}

// state init --accept-rollback while a delete is under way.
func TestReviewANewInstallationDuringTheLookIsObeyed(t *testing.T) {
	s := newSystem(t, setup{})
	token := s.eligible()
	var once sync.Once
	s.sim.OnRequest(func(r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/endpoint/") {
			once.Do(func() { _, _ = s.store.AcceptRollback(t.Context(), "tester") })
		}
	})
	a := s.remove(token)
	if n := s.sim.Deletes(); n != 0 {
		t.Errorf("%d DELETEs with a token of an older installation: %s", n, a.is("outcome"))
	}
}

// mutedProxy forwards to a Redis, until it sees a trigger: then it delivers
// that, swallows the answer and cuts the connection.
func mutedProxy(t *testing.T, to, trigger string, armed *atomic.Bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				up, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer func() { _ = up.Close() }()
				var muted atomic.Bool
				go func() {
					b := make([]byte, 64<<10)
					for {
						n, err := up.Read(b)
						if err != nil {
							_ = c.Close()
							return
						}
						if muted.Load() {
							_ = c.Close()
							return
						}
						if _, err := c.Write(b[:n]); err != nil {
							return
						}
					}
				}()
				b := make([]byte, 64<<10)
				for {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					if bytes.Contains(b[:n], []byte(trigger)) && armed.CompareAndSwap(true, false) {
						muted.Store(true)
					}
					if _, err := up.Write(b[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "redis://" + l.Addr().String()
}

// The answer to the intent is lost: nothing was sent, so nothing is spent and
// nothing has failed.
func TestReviewAnIntentWhoseAnswerWasLostSpendsNothing(t *testing.T) {
	m := miniredis.RunT(t)
	var armed atomic.Bool
	s := newSystem(t, setup{redisURL: mutedProxy(t, m.Addr(), `"settle":`, &armed)})
	s.want(s.remove(s.approved("INC-0", s.evaluate("vip").is("token"))), "deleted", "") // Redis knows the scripts now
	token := s.approved("INC-1", s.eligible())
	armed.Store(true)
	status, a := s.call(http.MethodPost, "/v1/actions/delete", map[string]any{"token": token})
	if armed.Load() {
		t.Fatalf("the proxy saw no intent: %d %v", status, a)
	}
	t.Logf("delete: %d %v %v", status, a.is("code"), a.is("outcome"))
	s.pass(time.Minute)
	if err := s.runner.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := s.remove(token)
	_, f := s.call(http.MethodGet, "/v1/failures", nil)
	if n := s.sim.Deletes(); n == 1 && after.is("reasonCode") == "APPROVAL_USED" {
		t.Errorf("no DELETE was ever sent, and the approval is %s %s: %s", after.is("outcome"), after.is("reasonCode"), after.is("reasonsText"))
	}
	if f["count"] != float64(0) {
		t.Errorf("a failure is on record for a DELETE that was never sent: %v", f["items"])
	}
}

// Another replica settles an intent as failed while its process is in the
// middle of the read-back, which then says gone.
func TestReviewTheAnswerAndTheRecordAgree(t *testing.T) {
	s := newSystem(t, setup{})
	token := s.eligible()
	s.sim.Fault(centralsim.Fault{Method: http.MethodDelete, Path: "/endpoint/", Status: 500})
	var state atomic.Int32
	s.sim.OnRequest(func(r *http.Request) {
		if r.Method == http.MethodDelete {
			state.CompareAndSwap(0, 1)
		}
		if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/endpoint/") && state.CompareAndSwap(1, 2) {
			s.pass(time.Minute) // this process stood still
			if err := s.runner.Reconcile(t.Context()); err != nil {
				t.Error(err)
			}
			s.sim.Remove(tenant, s.device()) // Central gets round to it
		}
	})
	a := s.remove(token)
	s.sim.OnRequest(nil)
	_, rec := s.call(http.MethodGet, "/v1/devices/"+s.device()+"?tenantId="+tenant, nil)
	if (a.is("outcome") == "deleted") != (rec.is("state") == "deleted") {
		t.Errorf("the answer is %s and the record %s", a.is("outcome"), rec.is("state"))
	}
	if b := s.remove(token); a.is("outcome") == "deleted" && b.is("outcome") != "already_deleted" {
		t.Errorf("the first answer was deleted, the second is %s %s", b.is("outcome"), b.is("reasonCode"))
	}
}

// A 404 that is some gateway's and not Central's.
func TestReviewA404OfAGatewayIsNotGone(t *testing.T) {
	for name, body := range map[string]string{
		"Spring":     `{"timestamp":"2026-11-25T13:00:00Z","status":404,"error":"Not Found","path":"/endpoint/v1/endpoints/x"}`,
		"one word":   `{"error":"no route"}`,
		"a tenant's": `{"error":"tenantNotFound","correlationId":"x","requestId":"y","message":"no such tenant"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t, setup{})
			token := s.eligible()
			s.sim.Fault(centralsim.Fault{Method: http.MethodDelete, Path: "/endpoint/", Status: 503})
			s.sim.OnRequest(func(r *http.Request) {
				if r.Method == http.MethodDelete {
					s.sim.Fault(centralsim.Fault{Method: "GET", Path: "/endpoint/", Status: 404, Body: body, ContentType: "application/json", Times: centralsim.Always})
				}
			})
			if a := s.remove(token); a.is("outcome") == "deleted" {
				_, there := s.sim.Get(tenant, s.device())
				t.Errorf("deleted, though the device is there: %v", there)
			}
		})
	}
}

// Dry-run says what live would do.
func TestReviewDryRunDoesNotHonourARevokedApproval(t *testing.T) {
	for _, mode := range []string{"dry-run", "live"} {
		t.Run(mode, func(t *testing.T) {
			s := newSystem(t, setup{mode: mode})
			s.act("ticket-open", map[string]any{"token": s.eligible(), "ticketId": "INC-1", "openedBy": "ann"})
			s.decided("INC-1", "none")
			manual := s.evaluate("eligible")
			s.want(manual, "manual", "TICKET_UNDECIDED")
			approval := s.approved("INC-2", manual.is("token"))
			s.want(s.decided("INC-2", "none"), "changed", "")
			a := s.remove(approval)
			if a.is("outcome") != "refused" {
				t.Errorf("a revoked approval in %s: %s %s", mode, a.is("outcome"), a.is("reasonCode"))
			}
		})
	}
}

func TestReviewUnverifiedAsksForReviewFromTheThirdTime(t *testing.T) {
	s := newSystem(t, setup{})
	s.edit(func(r map[string]any) { delete(r, "lastSeenAt") })
	var a answer
	for range 4 {
		a = s.act("verify-live", map[string]any{"event": s.sample["eligible"].Event})
		s.pass(7 * time.Hour)
	}
	if a.is("outcome") != "unverified" || a["needsReview"] != true {
		t.Errorf("the fourth time: %s %s needsReview=%v", a.is("outcome"), a.is("reasonCode"), a["needsReview"])
	}
}

func TestReviewTicketOpenForADeletedDeviceSaysDeleted(t *testing.T) {
	s := newSystem(t, setup{})
	s.want(s.remove(s.eligible()), "deleted", "")
	token := s.evaluate("eligible").is("token")
	a := s.act("ticket-open", map[string]any{"token": token, "ticketId": "INC-1"})
	if a.is("reasonCode") != "ALREADY_DELETED" || a["deleted"] != true {
		t.Errorf("ticket-open: %s %s deleted=%v", a.is("outcome"), a.is("reasonCode"), a["deleted"])
	}
}

// A record without a readable host name that a search brings is no namesake, unless it
// is the same machine.
func TestReviewARecordOfUnreadableNameIsANamesakeOnlyOfTheSameMachine(t *testing.T) {
	for host, name := range map[string]any{"absent": nil, "number": 427, "list": []any{"WS-FIN-0427"}, "blank": " ", "a sign": "$"} {
		for sign, want := range map[string]string{"serialNumber": "manual", "macAddresses": "manual", "none": "delete"} {
			t.Run(host+", "+sign, func(t *testing.T) {
				s := newSystem(t, setup{})
				own, _ := s.sim.Get(tenant, s.device())
				twin := map[string]any{"id": "00000000-0000-4000-8000-000000000001", "tenant": map[string]any{"id": tenant}, "type": "computer", "online": true}
				twin["serialNumber"], twin["macAddresses"] = "SYN-OTHER", []any{"02:00:5E:99:99:99"}
				if sign != "none" {
					twin[sign] = own[sign]
				}
				if name != nil {
					twin["hostname"] = name
				}
				body, _ := json.Marshal(map[string]any{"items": []any{own, twin}, "pages": map[string]any{"size": 500, "items": 2, "total": 1}})
				s.sim.Fault(centralsim.Fault{Method: "GET", Path: "/endpoint/", Status: 200, Body: string(body), ContentType: "application/json", Times: centralsim.Always,
					When: func(r *http.Request) bool { return r.URL.Query().Has("hostnameContains") }})
				if a := s.evaluate("eligible"); a.is("outcome") != want {
					t.Errorf("evaluate: %s %s, want %s", a.is("outcome"), a.is("reasonCode"), want)
				}
			})
		}
	}
}

func TestReviewSecondPersonIsNotTheSameOneSpeltOtherwise(t *testing.T) {
	for opened, decided := range map[string]string{"ann": "ann\u200b", "bob": "bob\u00a0", "zoë": "ZOË", "carol": "ｃarol"} {
		s := newSystem(t, setup{})
		s.act("ticket-open", map[string]any{"token": s.evaluate("vip").is("token"), "ticketId": "INC-1", "openedBy": opened})
		a := s.act("ticket-close", map[string]any{"ticketId": "INC-1", "decision": "delete", "decidedBy": decided})
		if a.is("outcome") != "refused" {
			t.Errorf("%q and %q: %s", opened, decided, a.is("outcome"))
		}
	}
}

// A host name that was given and can't be read is no name that agrees.
func TestReviewVerifyLiveDoesNotTakeAnUnreadableNameForTheSame(t *testing.T) {
	s := newSystem(t, setup{})
	for _, path := range []string{"central.hostname", "directory.hostname"} {
		e := reviewClone(t, s.sample["eligible"].Event)
		reviewPut(e, path, 427, false)
		if a := s.act("verify-live", map[string]any{"event": e}); a.is("outcome") == "inactive" {
			t.Errorf("%s = 427: inactive", path)
		}
	}
}
