package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The device of the tests.
const (
	deviceID = "6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3"
	twinID   = "7b1e0000-4c2d-4e5f-8a6b-0000005e0000"
	tenantID = "c0a8f1d2-57be-4a39-8e14-2b9d6f70a5c1"
	otherID  = "d1b9a2e3-68cf-4b4a-9f25-3cae7081b6d2"
)

// noon is the time at which the tests decide.
func noon() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

// ago is a time so many days before noon.
func ago(days float64) time.Time { return noon().Add(-time.Duration(days * float64(day))) }

// dn makes a name of its parts, leaf first.
func dn(parts ...string) DN {
	var d DN
	for _, p := range parts {
		d = append(d, []string{p})
	}
	return d
}

// corp is a name below the domain corp.example.test.
func corp(parts ...string) DN { return dn(append(parts, "dc=corp", "dc=example", "dc=test")...) }

// policyOfTests is a policy in which every kind of rule has something to do.
func policyOfTests() Params {
	p := DefaultParams()
	p.Version = "test"
	p.DisabledOUs = []DN{corp("ou=Disabled")}
	p.Domains = map[string]string{"CORPEX": "corp.example.test", "LAB": "lab.example.test"}
	p.VIP = VIP{
		Groups: []DN{corp("cn=VIP", "ou=Groups")}, Users: []string{`corpex\ceo`, "cfo@corp.example.test"},
		Persons: []DN{corp("cn=Chair", "ou=People")}, Hostnames: []string{"exec-*"},
	}
	p.Exclusions = []Exclusion{{
		ID: "lab", Hostnames: []string{"lab-*"}, EndpointIDs: []string{"00000000-*"}, OUs: []DN{corp("ou=Kiosks", "ou=Disabled")},
		CentralGroups: []string{"kiosks *"}, Reason: "shared lab", Owner: "it-ops",
	}}
	return p
}

// eligible are facts that nothing stands against.
func eligible() Facts {
	c := Device{
		ID: Is(deviceID), TenantID: Is(tenantID), Hostname: Is("WS-FIN-0427"), Type: Is("computer"),
		OSName: Is("Windows 11 Pro"), Build: Is(22631), LastSeenAt: Is(ago(141)), ViaLogin: Is(`CORPEX\j.doe`),
	}
	live := c
	live.Platform, live.IsServer, live.RegisteredAt = Is("windows"), Is(false), Is(ago(900))
	live.Online, live.Isolated, live.Cloned = Is(false), Is(false), Is(false)
	live.HealthOverall, live.HealthThreats = Is("good"), Is("good")
	live.PersonID, live.PersonName = Is("p1"), Is("J. Doe")
	live.Groups, live.GroupsWhole = []Group{{ID: "c1a7e4d9-3b58-4f60-9e2c-7d8a0b1f6c35", Name: "Workstations"}}, true
	return Facts{
		Event: Event{
			ObservedAt: Is(noon().Add(-6 * time.Hour)),
			Directory: Directory{
				Present: true, Hostname: Is("WS-FIN-0427"), Domain: Is("corp.example.test"),
				DistinguishedName: Is(corp("cn=WS-FIN-0427", "ou=Workstations", "ou=Disabled")),
				OperatingSystem:   Is("Windows 11 Pro"), OperatingSystemVersion: Is(22631),
				Enabled: Is(false), DisabledAt: Is(ago(111)), MemberOf: Is([]DN{}),
			},
			Owner:   Owner{Login: Is(`CORPEX\j.doe`), MemberOf: Is([]DN{corp("cn=Finance", "ou=Groups")})},
			Central: c,
		},
		Live: Live{
			Status: LiveFound, At: noon(), Device: live, SameNamed: []Device{live},
			NewestSeenAt: Is(noon().Add(-10 * time.Minute)), CentralTime: Is(noon()),
		},
	}
}

// row is what differs from facts that nothing stands against, and what must come of it.
type row struct {
	name    string // a sentence
	file    string // its golden, without .json; empty = none
	change  func(f *Facts, p *Params)
	verdict Verdict
	codes   []Code // all reasons, most decisive first; none = ELIGIBLE
}

// facts are the row's facts and policy.
func (r row) facts() (Facts, Params) {
	f, p := eligible(), policyOfTests()
	if r.change != nil {
		r.change(&f, &p)
	}
	return f, p
}

// codesOf lists a decision's codes.
func codesOf(reasons []Reason) []Code {
	var out []Code
	for _, r := range reasons {
		out = append(out, r.Code)
	}
	return out
}

// checkRows evaluates each row.
func checkRows(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			f, p := r.facts()
			d := Evaluate(f, p, noon())
			want := r.codes
			if len(want) == 0 {
				want = []Code{Eligible}
			}
			if diff := cmp.Diff(want, codesOf(d.Reasons)); diff != "" {
				t.Errorf("codes (-want +got):\n%s%v", diff, d.Reasons)
			}
			if d.Verdict != r.verdict || d.Reasons[0].Verdict != r.verdict {
				t.Errorf("verdict = %d, its reason's %d, want %d", d.Verdict, d.Reasons[0].Verdict, r.verdict)
			}
			checkTexts(t, d.Reasons)
		})
	}
}

// checkTexts wants each reason to be a sentence.
func checkTexts(t *testing.T, reasons []Reason) {
	t.Helper()
	for _, r := range reasons {
		if !strings.HasSuffix(r.Text, ".") || strings.HasSuffix(r.Text, "..") || strings.Contains(r.Text, "  ") {
			t.Errorf("%s: %q is no sentence", r.Code, r.Text)
		}
	}
}

// allRows are the rows of every tier.
func allRows() []row {
	return slices.Concat(stateRows(), inputRows(), sourceRows(), directoryRows(), humanRows(), identityRows(), domainRows(),
		activityRows(), timeRows(), whoRows(), kindRows(), buildRows())
}

func TestADeviceThatNothingStandsAgainstIsDeleted(t *testing.T) {
	checkRows(t, []row{{name: "as it is", verdict: Delete}})
}
