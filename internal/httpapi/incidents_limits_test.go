package httpapi_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
	"rollcall/internal/policyfile"
	"rollcall/internal/seal"
)

// limits sets the limits of the policy in force.
func (s *system) limits(l policy.Limits) {
	s.change(func(r *action.Rules) { r.Params.Limits = l })
}

// forbidden makes the next DELETE fail for good.
func (s *system) forbidden() { s.deleteFault(centralsim.Fault{Status: 403}) }

// kill evaluates and deletes the n-th planted device.
func (s *system) kill(n int) answer { return s.remove(s.verdictOf(s.plant(n))) }

// Limiters that rotted: each row is one that could not trip, or that said
// something else than its number.
func TestLimitsThatFailedOthersHoldHere(t *testing.T) {
	only := func(n int) policy.Limits { return policy.Limits{PerDay: []int{n}, CleanDays: 3, PercentPerDay: 100} }
	play(t, []scene{
		{"0 means none, not no limit (Custodian, CM)", func(s *system) {
			s.limits(only(0))
			s.want(s.kill(1), "deferred", "LIMIT_DAY")
			s.sent(0)
		}},
		{"0 percent means none, not no check (Custodian)", func(s *system) {
			s.limits(policy.Limits{PerDay: []int{100}, CleanDays: 3, PercentPerDay: 0})
			s.want(s.kill(1), "deferred", "LIMIT_PERCENT")
			s.sent(0)
		}},
		{"a limit of two lets two through, not three (Twenty #10353)", func(s *system) {
			s.limits(only(2))
			for n, outcome := range []string{"deleted", "deleted", "deferred", "deferred"} {
				if a := s.kill(n); a.is("outcome") != outcome {
					s.t.Errorf("delete %d: %v", n, a)
				}
			}
			s.sent(2)
		}},
		{"an attempt that fails counts towards the cap (CM #48)", func(s *system) {
			s.limits(only(1))
			s.forbidden()
			s.want(s.kill(1), "failed", "DELETE_FAILED")
			s.want(s.kill(2), "deferred", "LIMIT_DAY")
			s.sent(1)
		}},
		{"an attempt that Central put off counts towards the cap", func(s *system) {
			s.limits(only(1))
			s.deleteFault(centralsim.Fault{Status: 429, RetryAfter: "7"})
			s.want(s.kill(1), "deferred", "RATE_LIMITED")
			s.want(s.kill(2), "deferred", "LIMIT_DAY")
			s.sent(1)
		}},
		{"the cap is of any 24 hours, not of a calendar day", func(s *system) {
			s.limits(only(1))
			s.want(s.kill(1), "deleted", "ELIGIBLE")
			s.pass(23 * time.Hour)
			s.want(s.kill(2), "deferred", "LIMIT_DAY")
			s.pass(time.Hour)
			s.want(s.kill(3), "deleted", "ELIGIBLE")
			s.sent(2)
		}},
		{"an approved delete falls under the cap", func(s *system) {
			s.limits(only(1))
			s.want(s.kill(1), "deleted", "ELIGIBLE")
			s.want(s.remove(s.approved("INC-1", s.evaluate("vip").is("token"))), "deferred", "LIMIT_DAY")
			s.sent(1)
		}},
		{"a verdict on evidence that was looked up before falls under the cap (Custodian #3477)", func(s *system) {
			s.limits(only(1))
			s.want(s.kill(1), "deleted", "ELIGIBLE")
			evidence := s.act("verify-live", map[string]any{"event": s.event()}).is("token")
			verdict := s.act("evaluate", map[string]any{"event": s.event(), "evidence": evidence})
			s.want(s.remove(verdict.is("token")), "deferred", "LIMIT_DAY")
			s.sent(1)
		}},
		{"of number and percentage the smaller wins (Custodian #2828)", func(s *system) {
			s.limits(policy.Limits{PerDay: []int{100}, CleanDays: 3, PercentPerDay: 5}) // of some 45 devices: 2
			for n, code := range []string{"ELIGIBLE", "ELIGIBLE", "LIMIT_PERCENT"} {
				if a := s.kill(n); a.is("reasonCode") != code {
					s.t.Errorf("delete %d: %v", n, a)
				}
			}
			s.sent(2)
		}},
		{"a tenant whose size nobody knows has no percentage", func(s *system) {
			s.sim.Fault(centralsim.Fault{Method: "GET", Path: "/endpoint/", Times: centralsim.Always, Status: 200, Body: `{"items":[],"pages":{}}`, ContentType: "application/json",
				When: func(r *http.Request) bool {
					return r.URL.Query().Get("view") == "basic" && r.URL.Query().Has("pageTotal")
				}})
			s.want(s.kill(1), "deferred", "LIMIT_PERCENT")
			s.sent(0)
		}},
		{"a counter that can't be read is full", func(s *system) {
			token := s.verdictOf(s.plant(1))
			if err := s.redis.Set("rollcall:{"+tenant+"}:attempts", "spoilt"); err != nil {
				s.t.Fatal(err)
			}
			if status, a := s.call(http.MethodPost, "/v1/actions/delete", map[string]any{"token": token}); status != http.StatusServiceUnavailable {
				s.t.Errorf("delete: %d %v", status, a)
			}
			s.sent(0)
		}},
		{"deletes are spread (Swabbie #211)", func(s *system) {
			s.limits(policy.Limits{PerDay: []int{100}, CleanDays: 3, PercentPerDay: 100, Spacing: time.Minute})
			s.want(s.kill(1), "deleted", "ELIGIBLE")
			s.want(s.kill(2), "deferred", "SPACING")
			s.pass(time.Minute)
			s.want(s.kill(2), "deleted", "ELIGIBLE")
			s.sent(2)
		}},
		{"the cap climbs after a clean day and falls at once after a failure", func(s *system) {
			s.limits(policy.Limits{PerDay: []int{1, 2, 3}, CleanDays: 1, PercentPerDay: 100})
			s.want(s.kill(1), "deleted", "ELIGIBLE")
			s.want(s.kill(2), "deferred", "LIMIT_DAY")
			s.pass(25 * time.Hour)
			s.want(s.kill(3), "deleted", "ELIGIBLE")
			s.want(s.kill(4), "deleted", "ELIGIBLE")
			s.pass(25 * time.Hour)
			s.forbidden()
			s.want(s.kill(5), "failed", "DELETE_FAILED")
			s.want(s.kill(6), "deleted", "ELIGIBLE") // three were allowed, now two
			s.want(s.kill(7), "deferred", "LIMIT_DAY")
			s.sent(5)
		}},
		{"three failures in a row stop everything until a person says so (Custodian #4997)", func(s *system) {
			for n := range 3 {
				s.forbidden()
				s.want(s.kill(n), "failed", "DELETE_FAILED")
			}
			s.want(s.kill(4), "deferred", "CIRCUIT_OPEN")
			s.pass(30 * days)
			s.want(s.kill(5), "deferred", "CIRCUIT_OPEN")
			s.sent(3)
			s.admin("circuit-reset", tenant)
			s.want(s.kill(6), "deleted", "ELIGIBLE")
		}},
		{"one tenant's circuit and switch are not another's, and everyone's is", func(s *system) {
			s.admin("pause", centralsim.ForeignTenant)
			s.want(s.kill(1), "deleted", "ELIGIBLE")
			token := s.verdictOf(s.plant(2))
			s.admin("pause", "")
			s.want(s.remove(token), "deferred", "KILL_SWITCH")
			s.admin("resume", "")
			s.want(s.remove(token), "deleted", "ELIGIBLE")
		}},
	})
}

// What a dry run leaves behind, and what it shows.
func TestADryRunLeavesNothingBehindAndShowsAll(t *testing.T) {
	redis, tokens, clock := miniredis.RunT(t), seal.NewKey(), &atomic.Int64{}
	dry := newSystem(t, setup{mode: action.DryRun, redis: redis, tokens: tokens, sameClock: clock})
	dry.change(func(r *action.Rules) { r.Params.Limits, r.Params.Window = policy.Limits{PerDay: []int{0}}, shut() })
	var kept string
	for n := range 3 { // all of them, not what a limit leaves (Custodian #6583, CM #1)
		kept = dry.verdictOf(dry.plant(n))
		dry.want(dry.remove(kept), "would_delete", "ELIGIBLE")
	}
	if g := dry.gone(); len(g) != 0 {
		t.Errorf("a dry run's deleted set %v (CM #41)", g)
	}
	if _, a := dry.call(http.MethodGet, "/v1/failures", nil); a["count"] != float64(0) {
		t.Errorf("a dry run's failures %v", a)
	}
	live := newSystem(t, setup{redis: redis, tokens: tokens, sameClock: clock, sim: dry.sim})
	live.limits(policy.Limits{PerDay: []int{1}, CleanDays: 3, PercentPerDay: 100})
	live.want(live.remove(kept), "refused", "MODE_CHANGED") // marks of the dry run are not carried out (Janitor Monkey #304)
	live.sent(0)
	live.want(live.remove(live.verdictOf(live.plant(0))), "deleted", "ELIGIBLE") // and used up nothing
	live.sent(1)
}

// The weekday and the hour come from one zoned instant. Both turns of summer time
// are walked through by the policy's TestAWindowOpensWhenItsWaitIsOverAndNotBefore.
func TestTheWeekdayAndTheHourComeFromOneZonedInstant(t *testing.T) {
	for _, tc := range []struct {
		name, zone    string
		day           time.Weekday
		hour          int
		outcome, code string
	}{
		{"Friday morning in Sydney is not Thursday, though it is in UTC (Swabbie)", "Australia/Sydney", time.Friday, 9, "deferred", "OUT_OF_WINDOW"},
		{"Monday morning in Sydney is Monday, though it is Sunday in UTC", "Australia/Sydney", time.Monday, 9, "deleted", "ELIGIBLE"},
		{"Thursday afternoon in Honolulu is Thursday, though it is Friday in UTC", "Pacific/Honolulu", time.Thursday, 15, "deleted", "ELIGIBLE"},
		{"Sunday afternoon in Honolulu is not Monday, though it is in UTC", "Pacific/Honolulu", time.Sunday, 15, "deferred", "OUT_OF_WINDOW"},
		{"Monday before nine is too early", "Europe/London", time.Monday, 8, "deferred", "OUT_OF_WINDOW"},
		{"Monday at four in the afternoon is too late", "Europe/London", time.Monday, 16, "deferred", "OUT_OF_WINDOW"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSystem(t, setup{})
			file := `{disabledOUs: ["OU=Disabled,DC=corp,DC=example,DC=test"], window: {timezone: ` + tc.zone + `, days: [Mon, Tue, Wed, Thu], from: "09:00", to: "16:00"}}`
			p, err := policyfile.Parse([]byte(file))
			if err != nil {
				t.Fatal(err)
			}
			s.change(func(r *action.Rules) { r.Params.Window = p.Window })
			s.wait(p.Window.Location, tc.day, tc.hour)
			s.want(s.kill(1), tc.outcome, tc.code)
		})
	}
}

// wait lets time pass until it is half past an hour of a weekday somewhere.
func (s *system) wait(zone *time.Location, day time.Weekday, hour int) {
	now := s.now().In(zone)
	for ahead := range 9 {
		at := time.Date(now.Year(), now.Month(), now.Day()+ahead, hour, 30, 0, 0, zone)
		if at.Weekday() == day && at.After(now) {
			s.pass(at.Sub(now))
			return
		}
	}
	s.t.Fatal("no such day")
}
