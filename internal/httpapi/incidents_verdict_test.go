package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

const days = 24 * time.Hour

// incident is something that made another tool delete what was in use, as a
// change to a device that is eligible without it.
type incident struct {
	name          string
	label         string // of the sample; empty = eligible
	live, event   fields
	change        func(s *system)
	rules         func(p *policy.Params)
	outcome, code string
}

// arrange makes the incident happen and returns the event.
func (in incident) arrange(s *system) map[string]any {
	s.t.Helper()
	if in.rules != nil {
		s.change(func(r *action.Rules) { in.rules(&r.Params) })
	}
	if in.live != nil {
		s.edit(in.live.into)
	}
	if in.change != nil {
		in.change(s)
	}
	e := s.event()
	if in.label != "" {
		e = copied(s.t, s.sample[in.label].Event)
	}
	in.event.into(e)
	return e
}

// The time of the last sign of life: what is blank, cannot be read or cannot be
// is never old.
func timeIncidents() []incident {
	stamps := func(v any) (fields, fields) { return fields{"lastSeenAt": v}, fields{"central.lastSeenAt": v} }
	yearOne, yearOneEvent := stamps("0001-01-01T00:00:00Z")
	windows, windowsEvent := stamps("1601-01-01T00:00:00Z")
	zero, zeroEvent := stamps(0)
	return []incident{
		{name: "a blank last-seen time is never old (Entra guide)", live: fields{"lastSeenAt": ""}, outcome: "manual", code: "LAST_SEEN_MISSING"},
		{name: "a last-seen time of null is never old (Entra guide)", live: fields{"lastSeenAt": nil}, outcome: "manual", code: "LAST_SEEN_MISSING"},
		{name: "a record that never had a last-seen time is never old (Entra guide)", live: fields{"lastSeenAt": absent{}}, outcome: "manual", code: "LAST_SEEN_MISSING"},
		{name: "a blank last-seen time in the search is never old", event: fields{"central.lastSeenAt": ""}, outcome: "manual", code: "LAST_SEEN_MISSING"},
		{name: "no last-seen time in the search is never old", event: fields{"central.lastSeenAt": absent{}}, outcome: "manual", code: "LAST_SEEN_MISSING"},
		{name: "a last-seen time that can't be read is never old", live: fields{"lastSeenAt": "01/02/2026 10:00"}, outcome: "manual", code: "LAST_SEEN_INVALID"},
		{name: "a last-seen time without zone is never old", event: fields{"central.lastSeenAt": "2026-01-02T10:00:00"}, outcome: "manual", code: "LAST_SEEN_INVALID"},
		{name: "the year one stands for never, not for long ago", live: yearOne, event: yearOneEvent, outcome: "manual", code: "LAST_SEEN_INVALID"},
		{name: "the year 1601 stands for never, not for long ago", live: windows, event: windowsEvent, outcome: "manual", code: "LAST_SEEN_INVALID"},
		{name: "zero seconds stand for never, not for long ago", live: zero, event: zeroEvent, outcome: "manual", code: "LAST_SEEN_INVALID"},
		{name: "never seen since it registered is not old (CM: or never logged on)", label: "never-seen", outcome: "manual", code: "NEVER_SEEN"},
		{name: "a device whose clock runs ahead is a person's matter", label: "last-seen-future", outcome: "manual", code: "CLOCK_SKEW"},
		{name: "where our clock or Central's is wrong nobody is old", change: func(s *system) {
			s.fault(centralsim.Fault{Method: "GET", Header: http.Header{"Date": {s.now().Add(-time.Hour).UTC().Format(http.TimeFormat)}}})
		}, outcome: "manual", code: "CLOCK_SKEW"},
		{name: "a row of the search that is two days old says nothing", change: func(*system) {}, event: fields{"observedAt": "2026-01-02T10:00:00Z"}, outcome: "skip", code: "EVENT_STALE"},
		{name: "one day of silence is no month of it", label: "too-young", outcome: "skip", code: "NOT_INACTIVE_LONG_ENOUGH"},
		{name: "the newer of two times counts: the search's", change: func(s *system) { s.sample["eligible"].Event["central"].(map[string]any)["lastSeenAt"] = s.ago(days) },
			outcome: "skip", code: "NOT_INACTIVE_LONG_ENOUGH"},
		{name: "the newer of two times counts: Central's (Janitor Monkey)", change: func(s *system) { s.edit(fields{"lastSeenAt": s.ago(days)}.into) },
			outcome: "manual", code: "ACTIVE_SINCE_EVENT"},
		{name: "online is use, however old the last-seen time (Swabbie #532)", live: fields{"online": true}, outcome: "manual", code: "ACTIVE_IN_CENTRAL"},
		{name: "online in the search is use, where Central does not say", live: fields{"online": absent{}}, event: fields{"central.online": true}, outcome: "manual", code: "ACTIVE_IN_CENTRAL"},
		{name: "disabled yesterday is no grace (Adaxes, Custodian #6106)", label: "grace", outcome: "skip", code: "GRACE_PERIOD"},
		{name: "Central knows a newer build than the directory: it lives off the domain", label: "build-newer", outcome: "manual", code: "BUILD_NEWER_IN_CENTRAL"},
		{name: "Central knows an older build: the name was used again", label: "build-older", outcome: "manual", code: "BUILD_OLDER_IN_CENTRAL"},
		{name: "two unknown builds are not equal", label: "build-unknown", outcome: "manual", code: "BUILD_UNKNOWN"},
	}
}

// Sources that are down, cut or silent: nobody is judged by them.
func sourceIncidents() []incident {
	list := func(body string) func(s *system) {
		return func(s *system) {
			s.listFault(centralsim.Fault{Status: 200, Body: body, ContentType: "application/json"})
		}
	}
	return []incident{
		{name: "while Central hears from nobody, nobody is old (Elastic #1500)", rules: func(p *policy.Params) { p.NewestWithin = time.Minute },
			outcome: "skip", code: "FLEET_SILENT"},
		{name: "what Central does not find is not old, it is not there (CM #14)", change: func(s *system) { s.sim.Remove(tenant, s.device()) },
			outcome: "skip", code: "GONE_ELSEWHERE"},
		{name: "a 404 in HTML finds nothing out", change: func(s *system) {
			s.fault(centralsim.Fault{Method: "GET", Status: 404, Body: "<html>", ContentType: "text/html"})
		}, outcome: "skip", code: "VERIFY_FAILED"},
		{name: "an outage finds nothing out", change: func(s *system) { s.fault(centralsim.Fault{Method: "GET", Status: 503}) }, outcome: "skip", code: "VERIFY_FAILED"},
		{name: "a list that is cut is no list (Swabbie #177)", change: func(s *system) { s.listFault(centralsim.Fault{CutBody: true}) }, outcome: "skip", code: "VERIFY_FAILED"},
		{name: "a list of fewer devices than announced is no list (Swabbie #177)", change: list(`{"items":[],"pages":{"size":500,"items":3}}`), outcome: "skip", code: "VERIFY_FAILED"},
		{name: "a list without its items is no empty list", change: list(`{"pages":{}}`), outcome: "skip", code: "VERIFY_FAILED"},
		{name: "a list that lacks the device itself was no search for it (CM #14)", change: list(`{"items":[],"pages":{"size":500,"items":0}}`), outcome: "skip", code: "VERIFY_FAILED"},
		{name: "a tenant's id where a device's is meant finds no device (Atlassian)", event: fields{"central.id": tenant}, outcome: "skip", code: "GONE_ELSEWHERE"},
		{name: "an id that is no id is no device", event: fields{"central.id": "WS-FIN-0427"}, outcome: "manual", code: "INPUT_INVALID"},
		{name: "without the directory's word silence is no retirement (CrowdStrike #635)", event: fields{"directory": nil}, outcome: "manual", code: "DIRECTORY_MISSING"},
		{name: "an agent that only fails to check in is not retired (CrowdStrike #635)", label: "outside-ou", outcome: "skip", code: "NOT_IN_SCOPE"},
		{name: "an OU whose name only ends alike is another", event: fields{"directory.distinguishedName": "CN=WS-FIN-0427,OU=NotDisabled,DC=corp,DC=example,DC=test"},
			outcome: "skip", code: "NOT_IN_SCOPE"},
		{name: "an account that is enabled again stays, in the OU or not (CM)", label: "enabled-again", outcome: "keep", code: "DIRECTORY_ENABLED"},
	}
}

// Which device it is: a name is no identity.
func identityIncidents() []incident {
	return []incident{
		{name: "two same-named devices: the active one protects the stale (CM)", change: func(s *system) { s.twin(tenant, fields{"online": true}) },
			outcome: "manual", code: "DUPLICATE_ACTIVE"},
		{name: "two same-named devices, whatever their case (psfalcon #356)", change: func(s *system) { s.twin(tenant, fields{"online": true, "hostname": "ws-fin-0427"}) },
			outcome: "manual", code: "DUPLICATE_ACTIVE"},
		{name: "two same-named devices, one with its domain (GLPI #2820)", change: func(s *system) {
			s.twin(tenant, fields{"online": true, "hostname": "WS-FIN-0427.corp.example.test"})
		}, outcome: "manual", code: "DUPLICATE_ACTIVE"},
		{name: "a same-named device of unknown age protects the stale", change: func(s *system) { s.twin(tenant, fields{"lastSeenAt": absent{}}) },
			outcome: "manual", code: "DUPLICATE_ACTIVE"},
		{name: "a search that looks at ten characters finds the twin all the same", change: func(s *system) {
			s.sim.Switch(func(w *centralsim.Switches) { w.TenCharacters = true })
			s.twin(tenant, fields{"online": true})
		}, outcome: "manual", code: "DUPLICATE_ACTIVE"},
		{name: "a device that shares ten characters only is no twin", change: func(s *system) {
			s.sim.Switch(func(w *centralsim.Switches) { w.TenCharacters = true })
			s.twin(tenant, fields{"online": true, "hostname": "WS-FIN-0428"})
		}, outcome: "delete", code: "ELIGIBLE"},
		{name: "of several stale records of one name no one is picked blindly (Fleet #31934)", label: "duplicate-stale", outcome: "manual", code: "DUPLICATE_STALE"},
		{name: "a same-named device of another tenant is no twin (CoPilot #1120)", change: func(s *system) { s.twin(centralsim.ForeignTenant, fields{"online": true}) },
			outcome: "delete", code: "ELIGIBLE"},
		{name: "the id of one tenant's device is none in another (CoPilot #1120)", event: fields{"central.tenant.id": centralsim.ForeignTenant},
			outcome: "manual", code: "TENANT_MISMATCH"},
		{name: "a name that the directory cut is not the whole name (CM #14)", label: "truncated", outcome: "manual", code: "NAME_TRUNCATED"},
		{name: "a renamed device is not the event's (Defender)", label: "renamed", outcome: "manual", code: "HOSTNAME_MISMATCH"},
		{name: "the same short name in another domain is another device (CoPilot #1120)", label: "other-domain", outcome: "manual", code: "DOMAIN_MISMATCH"},
		{name: "a domain that nobody shows is not the right one", label: "no-domain", outcome: "manual", code: "DOMAIN_UNKNOWN"},
		{name: "a clone is not its original (Fleet #18645)", label: "cloned", outcome: "manual", code: "CLONED"},
		{name: "a kind of device that never checks in by itself is not stale (Fleet #25406)",
			live: fields{"os.platform": "iOS", "os.name": "iOS 18", "type": "mobile"}, outcome: "manual", code: "PLATFORM_MANUAL"},
		{name: "a device of a kind that is not told is not a computer", live: fields{"type": absent{}}, outcome: "manual", code: "PLATFORM_MANUAL"},
		{name: "a server is a person's matter", label: "server", outcome: "manual", code: "SERVER"},
	}
}

// What a person has said must stay stays.
func protectedIncidents() []incident {
	excluding := func(x ...policy.Exclusion) func(p *policy.Params) {
		return func(p *policy.Params) { p.Exclusions = x }
	}
	eu, desks := map[string]any{"id": "22222222-0000-4000-8000-000000000001", "name": "EU"}, map[string]any{"id": "22222222-0000-4000-8000-000000000002", "name": "Desks"}
	return []incident{
		{name: "a cluster's account is never retired by its age (AD cluster objects)",
			event: fields{"directory.memberOf": []any{"CN=Cluster Name Objects,CN=Users,DC=corp,DC=example,DC=test"}}, outcome: "keep", code: "PROTECTED_ROLE"},
		{name: "a domain controller is never retired by its age",
			event: fields{"directory.distinguishedName": "CN=WS-FIN-0427,OU=Domain Controllers,OU=Disabled,DC=corp,DC=example,DC=test"}, outcome: "keep", code: "PROTECTED_ROLE"},
		{name: "a read-only domain controller neither",
			event: fields{"directory.memberOf": "CN=Read-only Domain Controllers,CN=Users,DC=corp,DC=example,DC=test"}, outcome: "keep", code: "PROTECTED_ROLE"},
		{name: "an exclusion that has run out hides no other (Swabbie)", rules: excluding(
			policy.Exclusion{ID: "old", Hostnames: []string{"ws-*"}, Expires: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)},
			policy.Exclusion{ID: "new", Hostnames: []string{"ws-fin-*"}, Reason: "audit", Owner: "fin"}), outcome: "keep", code: "EXCLUDED"},
		{name: "excluding what a device belongs to excludes the device (cloud-nuke #812)", live: fields{"group": desks, "groupHierarchy": []any{desks, eu}},
			rules: excluding(policy.Exclusion{ID: "eu", CentralGroups: []string{"eu"}}), outcome: "keep", code: "EXCLUDED"},
		{name: "what is above a group and Central does not show is not passed over", live: fields{"group": desks},
			rules: excluding(policy.Exclusion{ID: "eu", CentralGroups: []string{"eu"}}), outcome: "manual", code: "EXCLUDED"},
		{name: "excluding an OU excludes those below it",
			rules:   excluding(policy.Exclusion{ID: "ws", OUs: []policy.DN{{{"ou=Disabled"}, {"dc=corp"}, {"dc=example"}, {"dc=test"}}}}),
			outcome: "keep", code: "EXCLUDED"},
		{name: "a part of a name excludes nobody else (aws-nuke: nonprod)", rules: excluding(policy.Exclusion{ID: "fin", Hostnames: []string{"fin"}}),
			outcome: "delete", code: "ELIGIBLE"},
		{name: "a device that is held as evidence stays (Fleet #26485)", label: "isolated", outcome: "manual", code: "UNDER_INVESTIGATION"},
		{name: "a device that is ill stays", label: "bad-health", outcome: "manual", code: "UNDER_INVESTIGATION"},
		{name: "who manages it makes it a VIP's", event: fields{"directory.managedBy": `CORPEX\ceo`}, outcome: "manual", code: "VIP"},
		{name: "who last signed in makes it a VIP's", live: fields{"associatedPerson.viaLogin": `CORPEX\CEO`}, outcome: "manual", code: "VIP"},
		{name: "whose it is makes it a VIP's", event: fields{"owner.login": `CORPEX\ceo`}, outcome: "manual", code: "VIP"},
		{name: "a local sign-in says nothing of its owner, not that it is no VIP", label: "owner-unknown", outcome: "manual", code: "OWNER_UNKNOWN"},
	}
}

// Each row is told by the same words in dry-run and live (cloud-nuke #846: what
// was protected in the dry run was deleted by --force), and whatever token comes
// with it, no DELETE follows.
func TestWhatFooledOthersIsNoVerdictToDelete(t *testing.T) {
	for _, group := range [][]incident{timeIncidents(), sourceIncidents(), identityIncidents(), protectedIncidents()} {
		for _, in := range group {
			t.Run(in.name, func(t *testing.T) {
				var said [2]string
				for i, mode := range []string{action.DryRun, action.LiveMode} {
					s := newSystem(t, setup{mode: mode})
					a := s.want(s.judged(in.arrange(s)), in.outcome, in.code)
					if said[i] = strings.Join(a.codes(), " "); a.is("mode") != mode {
						t.Errorf("mode %s, want %s", a.is("mode"), mode)
					}
					if in.outcome == "delete" {
						continue
					}
					if token := a.is("token"); token != "" {
						if d := s.remove(token); d.is("outcome") != "refused" {
							t.Errorf("delete: %v", d)
						}
					}
					s.sent(0)
				}
				if said[0] != said[1] {
					t.Errorf("dry-run %s, live %s", said[0], said[1])
				}
			})
		}
	}
}

// Whoever finds that nothing is done must be able to read why, and who can
// change it (Fleet #46297: exempt devices that "never expire").
func TestWhatIsLeftAloneSaysWhyAndWhoCanChangeIt(t *testing.T) {
	s := newSystem(t, setup{})
	says := func(a answer, words ...string) {
		t.Helper()
		for _, w := range words {
			if !strings.Contains(a.is("reasonsText"), w) || !strings.Contains(a.is("summary"), w) {
				t.Errorf("%s does not say %q: %s", a.is("reasonCode"), w, a.is("summary"))
			}
		}
	}
	says(s.evaluate("excluded"), "lab", "shared lab", "it-ops")
	s.act("ticket-open", map[string]any{"token": s.eligible(), "ticketId": "INC-7"})
	says(s.evaluate("eligible"), "INC-7")
	s.decided("INC-7", "keep")
	says(s.evaluate("eligible"), "INC-7", "keep")
	young := s.evaluate("too-young")
	says(young, "10.0 days", "30 days")
	at, err := time.Parse(time.RFC3339, young.is("eligibleAt"))
	if wait := at.Sub(s.now()); err != nil || wait < 19*days || wait > 21*days {
		t.Errorf("eligibleAt %s: %v", young.is("eligibleAt"), err)
	}
}
