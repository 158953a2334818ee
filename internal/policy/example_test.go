package policy_test

import (
	"fmt"
	"testing"
	"time"

	"rollcall/internal/policy"
)

// retired are the facts of a device that its directory has disabled and that
// Central has not heard from for 141 days, with a policy for them.
func retired(now time.Time) (policy.Facts, policy.Params) {
	ou := policy.DN{{"ou=Disabled"}, {"dc=corp"}, {"dc=example"}, {"dc=test"}}
	p := policy.DefaultParams()
	p.DisabledOUs = []policy.DN{ou}
	p.Domains = map[string]string{"CORPEX": "corp.example.test"}
	d := policy.Device{
		ID:       policy.Is("6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3"),
		TenantID: policy.Is("c0a8f1d2-57be-4a39-8e14-2b9d6f70a5c1"),
		Hostname: policy.Is("WS-FIN-0427"), Type: policy.Is("computer"), IsServer: policy.Is(false),
		OSName: policy.Is("Windows 11 Pro"), Build: policy.Is(22631),
		LastSeenAt: policy.Is(now.AddDate(0, 0, -141)), ViaLogin: policy.Is(`CORPEX\j.doe`),
	}
	return policy.Facts{
		Event: policy.Event{
			Directory: policy.Directory{
				Present: true, Hostname: policy.Is("WS-FIN-0427"), Domain: policy.Is("corp.example.test"),
				DistinguishedName:      policy.Is(append(policy.DN{{"cn=WS-FIN-0427"}}, ou...)),
				OperatingSystemVersion: policy.Is(22631),
			},
			Central: d,
		},
		Live: policy.Live{
			Status: policy.LiveFound, At: now, Device: d, SameNamed: []policy.Device{d}, NewestSeenAt: policy.Is(now),
		},
	}, p
}

func ExampleEvaluate() {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	facts, params := retired(now)
	d := policy.Evaluate(facts, params, now)
	fmt.Println(d.Verdict == policy.Delete, d.Code())

	facts.Live.Device.Online = policy.Is(true)
	d = policy.Evaluate(facts, params, now)
	fmt.Println(d.Verdict == policy.Manual, d.Code(), d.Reasons[0].Text)
	// Output:
	// true ELIGIBLE
	// true ACTIVE_IN_CENTRAL The device is online.
}

func BenchmarkEvaluate(b *testing.B) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	facts, params := retired(now)
	b.ReportAllocs()
	for b.Loop() {
		if policy.Evaluate(facts, params, now).Verdict != policy.Delete {
			b.Fatal("not eligible")
		}
	}
}
