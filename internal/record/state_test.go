package record_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/policy"
	"rollcall/internal/record"
)

func TestOnlyWhatIsNoSingleObjectIsAnError(t *testing.T) {
	for name, raw := range map[string]string{
		"nothing":                    ``,
		"a list":                     `[]`,
		"a string":                   `"{}"`,
		"null":                       `null`,
		"a cut object":               `{"directory":{"hostname":"a"`,
		"a cut list":                 `{"directory":{"memberOf":["CN=a,DC=b"`,
		"something after it":         `{} {}`,
		"a comma too many":           `{"owner":{},}`,
		"a name twice":               `{"owner":{},"owner":{}}`,
		"a name twice, deep":         `{"x":{"y":[{"a":1,"a":2}]}}`,
		"a name twice, once escaped": `{"central":{"id":1,"\u0069d":2}}`,
		"bytes that are no UTF-8":    "{\"owner\":{\"login\":\"\xff\"}}",
		"half a surrogate pair":      `{"owner":{"login":"\ud800"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if e, err := record.ParseEvent([]byte(raw)); !errors.Is(err, record.ErrNotObject) || !cmp.Equal(e, policy.Event{}) {
				t.Errorf("ParseEvent(%q) = %+v, %v; want nothing and ErrNotObject", raw, e, err)
			}
			if d, err := record.ParseDevice([]byte(raw)); !errors.Is(err, record.ErrNotObject) || !cmp.Equal(d, policy.Device{}) {
				t.Errorf("ParseDevice(%q) = %+v, %v; want nothing and ErrNotObject", raw, d, err)
			}
		})
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	raw := `{"Directory":{"hostname":"x"},"more":[{"deep":{}}],"directory":{"Hostname":"y","objectGuid":{"no":"guid"}},"central":{"ipv4Addresses":7,"macAddresses":{"a":1}}}`
	want := policy.Event{Directory: policy.Directory{Present: true}}
	if diff := cmp.Diff(want, mustEvent(t, []byte(raw))); diff != "" {
		t.Error(diff)
	}
}

// states names the state of every fact of an event that has one.
func states(e policy.Event) map[string]policy.State {
	d, c, o := e.Directory, e.Central, e.Owner
	return map[string]policy.State{
		"observedAt": e.ObservedAt.State, "directory.hostname": d.Hostname.State, "directory.domain": d.Domain.State,
		"directory.distinguishedName": d.DistinguishedName.State, "directory.operatingSystem": d.OperatingSystem.State,
		"directory.operatingSystemVersion":     d.OperatingSystemVersion.State,
		"directory.operatingSystemBuildNumber": d.OperatingSystemBuildNumber.State,
		"directory.enabled":                    d.Enabled.State, "directory.disabledAt": d.DisabledAt.State,
		"directory.memberOf": d.MemberOf.State, "directory.managedBy": d.ManagedBy.State,
		"owner.login": o.Login.State, "owner.memberOf": o.MemberOf.State,
		"central.id": c.ID.State, "central.tenant.id": c.TenantID.State, "central.hostname": c.Hostname.State,
		"central.type": c.Type.State, "central.os.platform": c.Platform.State, "central.os.name": c.OSName.State,
		"central.os.isServer": c.IsServer.State, "central.os.build": c.Build.State,
		"central.lastSeenAt": c.LastSeenAt.State, "central.registeredAt": c.RegisteredAt.State,
		"central.online": c.Online.State, "central.isolation.status": c.Isolated.State,
		"central.isolation.adminIsolated": c.Isolated.State, "central.isolation.selfIsolated": c.Isolated.State,
		"central.health.overall": c.HealthOverall.State, "central.health.threats.status": c.HealthThreats.State,
		"central.cloned": c.Cloned.State, "central.associatedPerson.id": c.PersonID.State,
		"central.associatedPerson.name": c.PersonName.State, "central.associatedPerson.viaLogin": c.ViaLogin.State,
		"central.serialNumber": c.SerialNumber.State, "central.tamperProtectionEnabled": c.Tamper.State,
	}
}

// nest puts a value at a dotted path.
func nest(path, value string) string {
	parts := strings.Split(path, ".")
	for i := len(parts) - 1; i >= 0; i-- {
		value = fmt.Sprintf(`{%q:%s}`, parts[i], value)
	}
	return value
}

func TestEveryFieldThatHoldsNothingIsAbsent(t *testing.T) {
	for path := range states(policy.Event{}) {
		for _, value := range []string{`null`, `""`, `"  "`, `{}`, `[]`} {
			if path == "directory.memberOf" || path == "owner.memberOf" {
				if value == `[]` {
					continue
				}
			}
			e := mustEvent(t, []byte(nest(path, value)))
			if got := states(e)[path]; got != policy.Absent || len(e.Garbled) > 0 {
				t.Errorf("%s = %s: state %v, garbled %v; want absent", path, value, got, e.Garbled)
			}
		}
	}
}

func TestEveryFieldThatHoldsTheWrongThingIsUnreadable(t *testing.T) {
	values := []string{`{"a":1}`, `[1]`, `[null]`, `[[]]`, `-7`, `1.5e9`, `"a\u0000b"`, `"a\nb"`, `"` + strings.Repeat("x", 3000) + `"`}
	for path := range states(policy.Event{}) {
		for _, value := range values {
			if got := states(mustEvent(t, []byte(nest(path, value))))[path]; got != policy.Unreadable {
				t.Errorf("%s = %.20s: state %v, want unreadable", path, value, got)
			}
		}
	}
}

func TestMembershipGivenEmptyIsGiven(t *testing.T) {
	for _, value := range []string{`[]`, `"[]"`, `" [ ] "`} {
		got := mustEvent(t, []byte(nest("directory.memberOf", value))).Directory.MemberOf
		if diff := cmp.Diff(policy.Is([]policy.DN{}), got); diff != "" {
			t.Errorf("%s: %s", value, diff)
		}
	}
}

func TestMembershipIsReadInEachForm(t *testing.T) {
	vip := policy.DN{{"cn=VIP"}, {"dc=x"}}
	for value, want := range map[string]policy.Field[[]policy.DN]{
		`["CN=VIP,DC=x"]`:                            policy.Is([]policy.DN{vip}),
		`"CN=VIP,DC=x"`:                              policy.Is([]policy.DN{vip}),
		`"[\"CN=VIP,DC=x\", \"cn=VIP,dc=x\"]"`:       policy.Is([]policy.DN{vip, vip}),
		`["CN=VIP,DC=x", ""]`:                        policy.Garbled[[]policy.DN](),
		`["CN=VIP,DC=x", null]`:                      policy.Garbled[[]policy.DN](),
		`"[\"CN=VIP,DC=x\""`:                         policy.Garbled[[]policy.DN](),
		`"[\"CN=VIP,DC=x\"] and more"`:               policy.Garbled[[]policy.DN](),
		`"CN=VIP,DC=x,CN=Other,DC=x"`:                policy.Garbled[[]policy.DN](), // two in one
		`"CN=VIP,DC=x;CN=Other,DC=x"`:                policy.Garbled[[]policy.DN](),
		`"CN=VIP,DC=x\nCN=Other,DC=x"`:               policy.Garbled[[]policy.DN](),
		`["CN=A,DC=x","CN=VIP,DC=x, CN=Other,DC=x"]`: policy.Garbled[[]policy.DN](),
		list("CN=VIP,DC=x", 2001):                    policy.Garbled[[]policy.DN](),
	} {
		got := mustEvent(t, []byte(nest("owner.memberOf", value))).Owner.MemberOf
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.60s: %s", value, diff)
		}
	}
	got := mustEvent(t, []byte(nest("owner.memberOf", list("CN=VIP,DC=x", 2000)))).Owner.MemberOf
	if len(got.Value) != 2000 {
		t.Errorf("2000 groups: %d read", len(got.Value))
	}
}

// list is a JSON list of n equal strings.
func list(s string, n int) string {
	return `["` + strings.Repeat(s+`","`, n-1) + s + `"]`
}

func TestManagedByIsANameOrADN(t *testing.T) {
	for value, want := range map[string]policy.Directory{
		`"CORPEX\\boss"`: {ManagedBy: policy.Is(`CORPEX\boss`)},
		`"CN=Boss,DC=x"`: {ManagedBy: policy.Is("CN=Boss,DC=x"), ManagedByDN: policy.Is(policy.DN{{"cn=Boss"}, {"dc=x"}})},
		`"CN=Boss,,"`:    {ManagedBy: policy.Garbled[string](), ManagedByDN: policy.Garbled[policy.DN]()},
		`"a\u0007b"`:     {ManagedBy: policy.Garbled[string]()},
	} {
		want.Present = true
		got := mustEvent(t, []byte(nest("directory.managedBy", value))).Directory
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", value, diff)
		}
	}
}

func TestIsolationIsNeverTakenForNone(t *testing.T) {
	for value, want := range map[string]policy.Field[bool]{
		`{"status":"notIsolated","adminIsolated":false,"selfIsolated":false}`: policy.Is(false),
		`{"status":"NotIsolated"}`:                           policy.Is(false),
		`{"adminIsolated":false}`:                            policy.Is(false),
		`{"status":"isolated"}`:                              policy.Is(true),
		`{"status":"notIsolated","adminIsolated":true}`:      policy.Is(true),
		`{"status":"notIsolated","selfIsolated":"TRUE"}`:     policy.Is(true),
		`{"status":"isolating","adminIsolated":true}`:        policy.Is(true),
		`{"status":"isolating"}`:                             policy.Garbled[bool](),
		`{"status":"isolating","adminIsolated":false}`:       policy.Garbled[bool](),
		`{"adminIsolated":false,"status":["isolated"]}`:      policy.Garbled[bool](),
		`{"adminIsolated":0}`:                                policy.Garbled[bool](),
		`{"enabled":true}`:                                   policy.Garbled[bool](),
		`"isolated"`:                                         policy.Garbled[bool](),
		`[{"status":"isolated"}]`:                            policy.Garbled[bool](),
		`{"status":null,"adminIsolated":null}`:               {},
		`{}`:                                                 {},
		`null`:                                               {},
		`{"status":"notIsolated","other":{"isolated":true}}`: policy.Is(false),
	} {
		d, err := record.ParseDevice([]byte(`{"isolation":` + value + `}`))
		if err != nil || d.Isolated != want {
			t.Errorf("%s: %+v, %v; want %+v", value, d.Isolated, err, want)
		}
	}
}

func TestInCentralsOwnAnswerAnEmptyValueOfAWrongTypeIsUnreadable(t *testing.T) {
	for _, raw := range []string{
		`{"online":""}`, `{"online":{}}`, `{"online":[]}`, `{"cloned":" "}`, `{"isolation":""}`, `{"isolation":[]}`,
		`{"health":""}`, `{"health":[]}`, `{"health":{"overall":{}}}`, `{"health":{"threats":""}}`,
	} {
		d, err := record.ParseDevice([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		got := []policy.State{d.Online.State, d.Cloned.State, d.Isolated.State, d.HealthOverall.State, d.HealthThreats.State}
		if !slices.Contains(got, policy.Unreadable) {
			t.Errorf("%s: %+v, want an unreadable field", raw, d)
		}
	}
}

func TestAGroupThatCannotBeReadIsNamed(t *testing.T) {
	for raw, want := range map[string][]string{
		`{"group":{"id":"1","name":"Kiosks"}}`:       nil,
		`{"group":null,"groupHierarchy":null}`:       nil,
		`{"groupHierarchy":[]}`:                      nil,
		`{"group":{}}`:                               {"group"},
		`{"group":{"id":null,"name":""}}`:            {"group"},
		`{"group":[]}`:                               {"group"},
		`{"group":""}`:                               {"group"},
		`{"group":false}`:                            {"group"},
		`{"group":{"id":"1","parentId":7}}`:          {"group"},
		`{"groupHierarchy":[{}]}`:                    {"groupHierarchy"},
		`{"group":"Kiosks"}`:                         {"group"},
		`{"group":{"id":7,"name":["Kiosks"]}}`:       {"group"},
		`{"groupHierarchy":{"id":"1"}}`:              {"groupHierarchy"},
		`{"groupHierarchy":["Kiosks",7,{"id":"1"}]}`: {"groupHierarchy"},
		`{"groupHierarchy":` + list("x", 9) + `}`:    {"groupHierarchy"},
	} {
		d, err := record.ParseDevice([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, d.Garbled); diff != "" {
			t.Errorf("%s: %s", raw, diff)
		}
	}
	many := `{"groupHierarchy":[` + strings.Repeat(`{"id":"1"},`, 600) + `{"id":"2"}]}`
	d, err := record.ParseDevice([]byte(many))
	if err != nil || len(d.Garbled) != 1 {
		t.Errorf("601 groups: %v, %v; want them named as unreadable", d.Garbled, err)
	}
}
