package action_test

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// How many made-up sets of facts are asked about: as many as the race detector
// does in ten seconds. Without it -facts 100000 takes half a minute at most.
var generated = flag.Int("facts", 6_000, "made-up facts to compare in both modes")

func parityNow() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

// eligibleParams is a policy under which eligibleFacts is a delete.
func eligibleParams() policy.Params {
	p := policy.DefaultParams()
	p.Version = "parity"
	p.DisabledOUs = []policy.DN{{{"ou=Disabled"}, {"dc=corp"}, {"dc=example"}, {"dc=test"}}}
	p.Domains = map[string]string{"CORPEX": "corp.example.test"}
	p.VIP.Groups = []policy.DN{{{"cn=VIP"}, {"ou=Groups"}, {"dc=corp"}, {"dc=example"}, {"dc=test"}}}
	p.VIP.Users, p.VIP.Hostnames = []string{`corpex\ceo`}, []string{"exec-*"}
	p.Exclusions = []policy.Exclusion{{ID: "lab", Hostnames: []string{"lab-*"}, Reason: "shared lab", Owner: "it-ops"}}
	return p
}

// eligibleFacts is a device that nothing stands against.
func eligibleFacts() policy.Facts {
	is, now := policy.Is[string], parityNow()
	seen := policy.Is(now.AddDate(0, 0, -100))
	d := policy.Device{
		ID: is("6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3"), TenantID: is("c0a8f1d2-57be-4a39-8e14-2b9d6f70a5c1"), Hostname: is("WS-1"),
		Type: is("computer"), Platform: is("windows"), OSName: is("Windows 11 Pro"), IsServer: policy.Is(false), Build: policy.Is(22631),
		LastSeenAt: seen, RegisteredAt: policy.Is(seen.Value.AddDate(-1, 0, 0)), Online: policy.Is(false), Isolated: policy.Is(false),
		HealthOverall: is("good"), HealthThreats: is("good"), Cloned: policy.Is(false), ViaLogin: is(`CORPEX\j.doe`),
	}
	e := policy.Event{
		ObservedAt: policy.Is(now.Add(-time.Hour)),
		Directory: policy.Directory{
			Present: true, Hostname: is("WS-1"), Domain: is("corp.example.test"),
			DistinguishedName: policy.Is(policy.DN{{"cn=WS-1"}, {"ou=Disabled"}, {"dc=corp"}, {"dc=example"}, {"dc=test"}}),
			OperatingSystem:   is("Windows 11 Pro"), OperatingSystemVersion: policy.Is(22631), Enabled: policy.Is(false),
			DisabledAt: policy.Is(now.AddDate(0, 0, -60)), MemberOf: policy.Is([]policy.DN{}),
		},
		Owner:   policy.Owner{Login: is(`CORPEX\j.doe`), MemberOf: policy.Is([]policy.DN{})},
		Central: d,
	}
	return policy.Facts{Event: e, Live: policy.Live{
		Status: policy.LiveFound, At: now, Device: d, SameNamed: []policy.Device{d},
		NewestSeenAt: policy.Is(now.Add(-time.Minute)), CentralTime: policy.Is(now),
	}}
}

// dice throws one of the values, or now and then absent or unreadable.
func dice[T any](r *rand.Rand, values ...T) policy.Field[T] {
	switch n := r.IntN(len(values) + 2); n {
	case len(values):
		return policy.Field[T]{}
	case len(values) + 1:
		return policy.Garbled[T]()
	default:
		return policy.Is(values[n])
	}
}

// one throws one of the values.
func one[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// ages are times around every threshold: of seconds, hours, the inactive days of
// computers and servers, the grace, and the future.
func ages(r *rand.Rand) time.Time {
	const day = 24 * time.Hour
	base := one(r, 0, time.Minute, time.Hour, day, 13*day, 14*day, 29*day, 30*day, 31*day, 90*day, 100*day, 400*day, -6*time.Minute, -day)
	return parityNow().Add(-base + one(r, 0, time.Second, -time.Second))
}

// changes are the ways in which facts differ from the eligible ones: most throw
// one field anew, among good and bad values.
func changes() []func(r *rand.Rand, q *question) {
	dn := func(parts ...string) (out policy.DN) {
		for _, p := range parts {
			out = append(out, []string{p})
		}
		return out
	}
	return []func(r *rand.Rand, q *question){
		func(r *rand.Rand, q *question) { q.facts.Event.ObservedAt = dice(r, ages(r), parityNow()) },
		func(r *rand.Rand, q *question) { q.facts.Event.Garbled = one(r, nil, []string{"owner"}) },
		func(r *rand.Rand, q *question) { q.facts.Event.Directory.Present = one(r, true, true, false) },
		func(r *rand.Rand, q *question) {
			q.facts.Event.Directory = one(r, q.facts.Event.Directory, policy.Directory{})
		},
		func(r *rand.Rand, q *question) {
			q.facts.Event.Directory.Hostname = dice(r, "WS-1", "ws-1", "WS-2", "EXEC-1", "LAB-1")
		},
		func(r *rand.Rand, q *question) {
			q.facts.Event.Directory.Domain = dice(r, "corp.example.test", "CORPEX", "OTHER", "other.test")
		},
		func(r *rand.Rand, q *question) {
			q.facts.Event.Directory.DistinguishedName = dice(r, dn("cn=WS-1", "ou=Disabled", "dc=corp", "dc=example", "dc=test"),
				dn("cn=WS-1", "dc=corp", "dc=example", "dc=test"), dn("cn=WS-2", "ou=Disabled", "dc=corp", "dc=example", "dc=test"),
				dn("cn=WS-1", "ou=Domain Controllers", "ou=Disabled", "dc=corp", "dc=example", "dc=test"))
		},
		func(r *rand.Rand, q *question) {
			q.facts.Event.Directory.OperatingSystem = dice(r, "Windows 11 Pro", "Windows 10 Pro", "Windows Server 2019", "Cluster OS")
		},
		func(r *rand.Rand, q *question) {
			q.facts.Event.Directory.OperatingSystemVersion = dice(r, 22631, 22631, 19045)
		},
		func(r *rand.Rand, q *question) {
			q.facts.Event.Directory.OperatingSystemBuildNumber = dice(r, 22631, 26100)
		},
		func(r *rand.Rand, q *question) { q.facts.Event.Directory.Enabled = dice(r, false, false, true) },
		func(r *rand.Rand, q *question) { q.facts.Event.Directory.DisabledAt = dice(r, ages(r)) },
		func(r *rand.Rand, q *question) {
			q.facts.Event.Directory.MemberOf = dice(r, nil, []policy.DN{dn("cn=Domain Controllers", "dc=test")}, q.params.VIP.Groups)
		},
		func(r *rand.Rand, q *question) {
			q.facts.Event.Directory.ManagedBy = dice(r, `corpex\ceo`, `CORPEX\j.doe`)
		},
		func(r *rand.Rand, q *question) { q.facts.Event.Owner.Login = dice(r, `CORPEX\j.doe`, `CORPEX\CEO`) },
		func(r *rand.Rand, q *question) { q.facts.Event.Owner.MemberOf = dice(r, nil, q.params.VIP.Groups) },
		func(r *rand.Rand, q *question) { // nobody says which groups
			q.facts.Event.Owner.MemberOf, q.facts.Event.Directory.MemberOf = policy.Field[[]policy.DN]{}, dice(r, []policy.DN{})
		},
		func(r *rand.Rand, q *question) { device(r, &q.facts.Event.Central) },
		func(r *rand.Rand, q *question) { device(r, &q.facts.Live.Device) },
		func(r *rand.Rand, q *question) {
			device(r, &q.facts.Live.Device)
			q.facts.Live.SameNamed = []policy.Device{q.facts.Live.Device}
		},
		func(r *rand.Rand, q *question) { both(r, q) },
		func(r *rand.Rand, q *question) { // a name of 15 characters, and one that it may be the beginning of
			q.facts.Event.Directory.Hostname, q.facts.Event.Central.Hostname = policy.Is("WORKSTATION-471"), policy.Is("WORKSTATION-471")
			q.facts.Event.Directory.DistinguishedName = policy.Is(dn("cn=WORKSTATION-471", "ou=Disabled", "dc=corp", "dc=example", "dc=test"))
			q.facts.Live.Device.Hostname = dice(r, "WORKSTATION-471", "WORKSTATION-4711", "WORKSTATION-472")
		},
		func(r *rand.Rand, q *question) {
			q.facts.Live.Status = one(r, policy.LiveUnread, policy.LiveFailed, policy.LiveNotFound, policy.LiveForeignTenant, policy.LiveFound)
			q.facts.Live.Own = one(r, true, false)
		},
		func(r *rand.Rand, q *question) {
			q.facts.Live = policy.Live{Status: policy.LiveFailed, At: parityNow(), Problem: "It did not answer.", RetryAfter: one(r, 0, time.Minute)}
			q.own = &action.Trouble{Class: action.Transient, Text: "It did not answer.", Limited: one(r, true, false), Outage: one(r, true, false)}
		},
		func(r *rand.Rand, q *question) {
			q.facts.Live.SameNamed = one(r, nil, q.facts.Live.SameNamed, append(q.facts.Live.SameNamed, twin(r)))
		},
		func(r *rand.Rand, q *question) { q.facts.Live.NewestSeenAt = dice(r, ages(r)) },
		func(r *rand.Rand, q *question) { q.facts.Live.CentralTime = dice(r, parityNow(), ages(r)) },
		func(r *rand.Rand, q *question) { q.facts.Standing.Paused = one(r, "", "works on the network") },
		func(r *rand.Rand, q *question) { q.facts.Standing.Unverified = one(r, "", "it has no mark") },
		func(r *rand.Rand, q *question) { q.facts.Standing.DeletedAt = one(r, time.Time{}, ages(r)) },
		func(r *rand.Rand, q *question) {
			q.facts.Standing.DeletedAt, q.facts.Standing.CameBackAt = ages(r), one(r, time.Time{}, ages(r))
		},
		func(r *rand.Rand, q *question) { q.facts.Standing.InFlight = one(r, true, false) },
		func(r *rand.Rand, q *question) { q.facts.Standing.ApprovalID = one(r, "", "a") },
		func(r *rand.Rand, q *question) { q.facts.Standing.OpenTicket = one(r, "", "INC-1") },
		func(r *rand.Rand, q *question) {
			q.facts.Standing.Keep = &policy.KeepUntil{TicketID: "INC-2", Until: ages(r), DN: q.facts.Event.Directory.DistinguishedName, Enabled: policy.Is(false)}
		},
		func(r *rand.Rand, q *question) { q.facts.Standing.Undecided = one(r, true, false) },
		func(r *rand.Rand, q *question) {
			q.facts.Standing.VerifyFails, q.facts.Standing.VerifyFailAt = r.IntN(4), one(r, time.Time{}, ages(r))
		},
		func(r *rand.Rand, q *question) { q.params.InactiveDays.Computer = one(r, 14, 30, 90, 120) },
		func(r *rand.Rand, q *question) {
			q.params.Manual = policy.ManualFor{Servers: one(r, true, false), MacOS: one(r, true, false), Linux: one(r, true, false),
				UnknownOwner: one(r, true, false), UnknownDomain: one(r, true, false)}
		},
		func(r *rand.Rand, q *question) {
			q.params.Require = []string{one(r, "observedAt", "enabled", "disabledAt", "memberOf", "owner")}
		},
		func(r *rand.Rand, q *question) {
			q.params.Exclusions = []policy.Exclusion{{ID: "x", Hostnames: []string{one(r, "ws-*", "ws")}, Expires: one(r, time.Time{}, ages(r))}}
		},
		func(r *rand.Rand, q *question) {
			q.params.Exclusions = []policy.Exclusion{{ID: "g", CentralGroups: []string{"spare"}}}
		},
		// What only a real delete meets must make no difference to a verdict.
		func(r *rand.Rand, q *question) { q.params.Limits = policy.Limits{PerDay: []int{0}, PercentPerDay: 0} },
		func(r *rand.Rand, q *question) { q.params.Window = &policy.Window{Location: time.UTC, From: 0, To: 1} },
		func(r *rand.Rand, q *question) { q.verify = true },
	}
}

// device throws one field of a record anew.
func device(r *rand.Rand, d *policy.Device) {
	switch r.IntN(17) {
	case 0:
		d.TenantID = dice(r, d.TenantID.Value, "d1b9a2e3-68cf-4b4a-9f25-3cae7081b6d2")
	case 1:
		d.Hostname = dice(r, "WS-1", "ws-1.corp.example.test", "WS-1.other.test", "WS-2", "EXEC-1")
	case 2:
		d.Type = dice(r, "computer", "server", "mobile")
	case 3:
		d.Platform = dice(r, "windows", "macos", "linux", "ios")
	case 4:
		d.OSName = dice(r, "Windows 11 Pro", "Windows 10 Pro", "Windows Server 2022", "macOS 15")
	case 5:
		d.IsServer = dice(r, true, false)
	case 6:
		d.Build = dice(r, 22631, 22621, 26100)
	case 7, 8:
		d.LastSeenAt = dice(r, ages(r), ages(r), ages(r))
	case 9:
		d.RegisteredAt = dice(r, ages(r), d.LastSeenAt.Value)
	case 10:
		d.Online = dice(r, true, false, false)
	case 11:
		d.Isolated = dice(r, true, false, false)
	case 12:
		d.HealthOverall = dice(r, "good", "good", "bad", "unknown")
	case 13:
		d.HealthThreats = dice(r, "good", "suspicious", "bad")
	case 14:
		d.Cloned = dice(r, true, false, false)
	case 15:
		d.ViaLogin = dice(r, `CORPEX\j.doe`, `WS-1\admin`, `OTHER\j.doe`, "j.doe@corp.example.test", `corpex\ceo`, "j.doe", `CORPEX\r.roe`, `CORPEX\r.roe`)
	case 16:
		d.Groups, d.GroupsWhole = one(r, nil, []policy.Group{{Name: "Workstations"}}, []policy.Group{{Name: "Spare"}}), one(r, true, false)
	}
}

// both throws a time at which Central and the event saw the device alike.
func both(r *rand.Rand, q *question) {
	at := policy.Is(ages(r))
	q.facts.Event.Central.LastSeenAt, q.facts.Live.Device.LastSeenAt = at, at
}

// twin is another device of the same name.
func twin(r *rand.Rand) policy.Device {
	d := eligibleFacts().Live.Device
	d.ID, d.LastSeenAt, d.Online = policy.Is("00000000-0000-4000-8000-000000000001"), dice(r, ages(r)), dice(r, true, false)
	return d
}

// throw makes up a question: the eligible one, changed in none to six ways.
func throw(r *rand.Rand, ways []func(r *rand.Rand, q *question)) question {
	q := question{facts: eligibleFacts(), params: eligibleParams(), now: parityNow()}
	for range one(r, 0, 1, 1, 1, 2, 2, 3, 6) {
		ways[r.IntN(len(ways))](r, &q)
	}
	return q
}

// What a dry run shows is what live does, or the weeks of dry run prove nothing.
func TestMadeUpFactsAreTheSameInDryRunAndLive(t *testing.T) {
	r, ways, p := rand.New(rand.NewPCG(20261120, 7)), changes(), newPair()
	verdicts, codes, unnamed := map[string]int{}, map[policy.Code]int{}, 0
	for range *generated {
		q := throw(r, ways)
		got := p.mustAgree(t, "facts", q)
		verdicts[got.result.Outcome]++
		codes[got.result.Reasons[0].Code]++
		if len(got.decision) == 0 {
			unnamed++
		}
	}
	for _, v := range []string{"delete", "manual", "skip", "keep"} {
		if verdicts[v] < *generated/50 {
			t.Errorf("only %d of %s", verdicts[v], v)
		}
	}
	for _, c := range policy.Codes() {
		if c.Tier > 0 && codes[c.Code] == 0 {
			t.Errorf("%s never decided", c.Code)
		}
	}
	t.Logf("%v, %d without a device named", verdicts, unnamed)
}
