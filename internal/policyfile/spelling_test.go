package policyfile_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"rollcall/internal/policy"
	"rollcall/internal/policyfile"
	"rollcall/internal/record"
)

// How many rounds the property runs: as many as the race detector does in a few seconds.
// Without it, -rounds 100000 takes less than a minute.
var rounds = flag.Int("rounds", 4_000, "rounds of spellings and damages")

// What follows makes spellings and damages of its own: it shares no code with what reads
// and compares names.

// dice makes choices.
type dice struct{ *rand.Rand }

func (d dice) of(options ...string) string { return options[d.IntN(len(options))] }

// cased changes the case of letters.
func (d dice) cased(s string) string {
	switch d.IntN(4) {
	case 0:
		return strings.ToUpper(s)
	case 1:
		return strings.ToLower(s)
	case 2:
		var b strings.Builder
		for _, r := range s {
			b.WriteString(d.of(strings.ToUpper(string(r)), string(r)))
		}
		return b.String()
	}
	return s
}

// formed changes the form of letters: decomposed, full width, or with blanks around.
func (d dice) formed(s string) string {
	switch d.IntN(5) {
	case 0:
		for _, pair := range [][2]string{{"ä", "a\u0308"}, {"ö", "o\u0308"}, {"ü", "u\u0308"}, {"é", "e\u0301"}, {"Ä", "A\u0308"}, {"Ö", "O\u0308"}, {"Ü", "U\u0308"}} {
			s = strings.ReplaceAll(s, pair[0], pair[1])
		}
	case 1:
		s = strings.Map(func(r rune) rune {
			if r >= 'A' && r <= 'z' && r != '\\' && r != '[' && r != ']' && r != '^' && r != '_' && r != '`' {
				return r + 0xfee0
			}
			return r
		}, s)
	case 2:
		s = d.of(" ", "\u00a0", "  ") + s + d.of("", " ", "\u00a0")
	}
	return s
}

// people are the protected persons: NetBIOS and DNS domain, login and common name.
var people = []struct{ netbios, dns, login, name string }{
	{"CORPEX", "corp.example.test", "ceo", "Chief Person"}, {"CORPEX", "corp.example.test", "m.müller", "Märta Müller"},
	{"CORPEX", "corp.example.test", "o'brien", "Pat O'Brien"}, {"LABEX", "lab.example.test", "zoë", "Zoë Öberg"},
}

// spelt is one of the known spellings of a person.
func (d dice) spelt(i int) string {
	p := people[i]
	dn := "CN=" + p.name + ",OU=Users,DC=" + strings.ReplaceAll(p.dns, ".", ",DC=")
	form := d.IntN(10)
	s := []string{
		p.netbios + `\` + p.login, p.dns + `\` + p.login, p.login + "@" + p.dns, p.login, p.netbios + `\\` + p.login, p.netbios + "/" + p.login,
		p.netbios + `\ ` + p.login, p.netbios + `\\\\` + p.login, dn, p.dns + "/Users/" + p.name,
	}[form]
	if form == 8 {
		return d.cased(s) // a DN is read strictly: other forms of its letters make it another text
	}
	return d.formed(d.cased(s))
}

// damaged is a text as it arrives from a broken encoding, a template or a web page.
func (d dice) damaged(s string) string {
	letters := []rune(s)
	at := d.IntN(len(letters))
	switch d.IntN(9) {
	case 0:
		letters[at] = '\ufffd'
	case 1:
		letters[at] = '?'
	case 2:
		return string(letters[:at]) + d.of("\u200b", "\u200d", "\ufeff", "\u00ad", "\u202e", "\u2066", "\u2060") + string(letters[at:])
	case 3:
		return string(letters[:at]) + fmt.Sprintf("&#%d;", letters[at]) + string(letters[at+1:])
	case 4:
		return string(letters[:at]) + fmt.Sprintf("%%%02X", string(letters[at])[0]) + string(letters[at+1:])
	case 5:
		return string(letters[:at]) + d.of("\x00", "\x07", "\u0085") + string(letters[at:])
	case 6: // the umlaut of it, or one that stands there, as Latin-1 shows its bytes
		letters[at] = 'ü'
		var b strings.Builder
		for _, r := range string(letters) {
			if r > 0x7f && r < 0x800 {
				b.WriteRune(rune(0xc0 | r>>6))
				b.WriteRune(latin(rune(0x80 | r&0x3f)))
				continue
			}
			b.WriteRune(r)
		}
		return b.String()
	case 7:
		return strings.Repeat("?", len(utf16.Encode(letters)))
	case 8:
		return string(letters[:at]) + "&amp;" + string(letters[at:])
	}
	return string(letters)
}

// latin is a byte from 0x80 as Windows-1252 shows it, as far as this test needs it.
func latin(b rune) rune {
	if r, special := map[rune]rune{0x80: '€', 0x84: '„', 0x96: '–', 0x9c: 'œ', 0x9f: 'Ÿ'}[b]; special {
		return r
	}
	return b
}

// spellingPolicy protects people, groups, an OU, host names and a group of Central's.
const spellingPolicy = `
disabledOUs: ["OU=Disabled,DC=corp,DC=example,DC=test"]
domains: {CORPEX: corp.example.test, LABEX: lab.example.test}
vip:
  users: ['CORPEX\ceo', "CN=Chief Person,OU=Users,DC=corp,DC=example,DC=test", 'm.müller@corp.example.test', "CN=Märta Müller,OU=Users,DC=corp,DC=example,DC=test",
    ["CORPEX\\o'brien", "CN=Pat O'Brien,OU=Users,DC=corp,DC=example,DC=test"], ['LABEX\zoë', "CN=Zoë Öberg,OU=Users,DC=lab,DC=example,DC=test"]]
  groups: ["CN=Geschäftsführung,OU=Groups,DC=corp,DC=example,DC=test"]
  hostnames: ["BÜRO-CHEF-*"]
exclusions:
  - {id: devices, ous: ["OU=Geräte,OU=Disabled,DC=corp,DC=example,DC=test"], hostnames: ["KÖLN-*"], reason: r, owner: o}
protectedGroups: ["CN=Kioskgeräte,OU=Groups,DC=corp,DC=example,DC=test"]
`

// document is an event and Central's record for which nothing stands against a delete.
func document(now time.Time) (event, live map[string]any) {
	seen := now.AddDate(0, 0, -200).Format(time.RFC3339)
	live = map[string]any{
		"id": "6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3", "tenant": map[string]any{"id": "c0a8f1d2-57be-4a39-8e14-2b9d6f70a5c1"}, "hostname": "WS-1", "type": "computer",
		"lastSeenAt": seen, "os": map[string]any{"isServer": false, "platform": "windows", "name": "Windows 11 Pro", "build": 22631},
		"associatedPerson": map[string]any{"name": "J. Doe", "viaLogin": `CORPEX\j.doe`},
	}
	event = map[string]any{
		"directory": map[string]any{
			"hostname": "WS-1", "domain": "corp.example.test", "distinguishedName": "CN=WS-1,OU=Disabled,DC=corp,DC=example,DC=test",
			"operatingSystem": "Windows 11 Pro", "operatingSystemVersion": "10.0 (22631)", "enabled": false, "memberOf": []any{},
		},
		"owner": map[string]any{"login": `CORPEX\j.doe`, "memberOf": []any{}},
		"central": map[string]any{
			"id": live["id"], "tenant": live["tenant"], "hostname": "WS-1", "type": "computer", "lastSeenAt": seen, "os": live["os"],
			"associatedPerson": map[string]any{"name": "J. Doe", "viaLogin": `CORPEX\j.doe`},
		},
	}
	return event, live
}

// object is a part of a document.
func object(doc map[string]any, name string) map[string]any {
	part, _ := doc[name].(map[string]any)
	return part
}

// protect writes one protective fact into the documents, in some spelling and perhaps
// damaged; it says what it wrote.
func (d dice) protect(event, live map[string]any) string {
	harm := func(s string) string {
		if d.IntN(2) == 0 {
			return d.damaged(s)
		}
		return s
	}
	directory, owner := object(event, "directory"), object(event, "owner")
	who := d.IntN(len(people))
	switch d.IntN(12) {
	case 0:
		owner["login"] = harm(d.spelt(who))
		return "owner.login " + fmt.Sprintf("%q", owner["login"])
	case 1:
		directory["managedBy"] = harm(d.spelt(who))
		return "managedBy " + fmt.Sprintf("%q", directory["managedBy"])
	case 2, 3:
		field, part := d.of("viaLogin", "name"), object(live, "associatedPerson")
		part[field] = harm(d.spelt(who))
		return "live " + field + fmt.Sprintf(" %q", part[field])
	case 4:
		field, part := d.of("viaLogin", "name"), object(object(event, "central"), "associatedPerson")
		part[field] = harm(d.spelt(who))
		return "event's " + field + fmt.Sprintf(" %q", part[field])
	case 5:
		list := []any{harm(d.cased("CN=Geschäftsführung,OU=Groups,DC=corp,DC=example,DC=test"))}
		owner[d.of("memberOf", "memberof", "MemberOf", "memberOf{}", "member_of", "owner.memberOf")] = list
		return "the owner's group " + fmt.Sprintf("%q", owner)
	case 6:
		directory[d.of("memberOf", "MemberOf", "memberOf{}")] = []any{harm(d.cased(d.of("CN=Domänencontroller,CN=Users,DC=corp,DC=example,DC=test",
			"CN=Contrôleurs de domaine,CN=Users,DC=corp,DC=example,DC=test", "CN=Kioskgeräte,OU=Groups,DC=corp,DC=example,DC=test")))}
		return "the computer's group " + fmt.Sprintf("%q", directory)
	case 7:
		directory["distinguishedName"] = harm(d.cased("CN=WS-1,OU=Geräte,OU=Disabled,DC=corp,DC=example,DC=test"))
		return "the OU " + fmt.Sprintf("%q", directory["distinguishedName"])
	case 8:
		name := d.of("KÖLN-7", "BÜRO-CHEF-1")
		directory["distinguishedName"] = "CN=" + name + ",OU=Disabled,DC=corp,DC=example,DC=test"
		directory["hostname"], object(event, "central")["hostname"], live["hostname"] = harm(d.formed(d.cased(name))), d.cased(name), d.cased(name)
		return "the host name " + fmt.Sprintf("%q", directory["hostname"])
	case 9:
		directory[d.of("primaryGroupId", "primaryGroupID", "PrimaryGroupId")] = d.of("516", "521", "0x204", "five")
		return "the primary group " + fmt.Sprintf("%q", directory)
	case 10:
		directory[d.of("userAccountControl", "UserAccountControl", "user_account_control")] = d.of("532482", "0x82002", "83890178", "8194")
		return "the account's bits " + fmt.Sprintf("%q", directory)
	}
	directory[d.of("enabled", "Enabled", "enabled{}", "is-enabled.enabled", "ENABLED")] = d.of("true", "TRUE", "yes", "True")
	return "enabled " + fmt.Sprintf("%q", directory)
}

// verdict reads the documents as the service does, and asks the policy.
func verdict(t *testing.T, p policy.Params, event, live map[string]any, now time.Time) policy.Decision {
	t.Helper()
	read := func(doc map[string]any) []byte {
		raw, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	e, err := record.ParseEvent(read(event))
	if err != nil {
		t.Fatal(err)
	}
	dev, err := record.ParseDevice(read(live))
	if err != nil {
		t.Fatal(err)
	}
	return policy.Evaluate(policy.Facts{Event: e, Live: policy.Live{
		Status: policy.LiveFound, At: now, Device: dev, SameNamed: []policy.Device{dev}, NewestSeenAt: policy.Is(now), CentralTime: policy.Is(now),
	}}, p, now)
}

// A protective fact, in any of its known spellings or damaged in any way, never makes
// another verdict a delete: with it the verdict is never delete.
func TestAProtectiveFactInAnySpellingOrDamagedIsNeverADelete(t *testing.T) {
	p, err := policyfile.Parse([]byte(spellingPolicy))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 30, 20, 0, 0, 0, time.UTC)
	event, live := document(now)
	if d := verdict(t, p, event, live, now); d.Verdict != policy.Delete {
		t.Fatalf("without a protective fact: %v", d.Reasons)
	}
	d, bad := dice{rand.New(rand.NewPCG(20261130, 4))}, 0
	for range *rounds {
		event, live := document(now)
		facts := make([]string, 1+d.IntN(2))
		for i := range facts {
			facts[i] = d.protect(event, live)
		}
		if got := verdict(t, p, event, live, now); got.Verdict == policy.Delete {
			t.Errorf("deleted with %s", strings.Join(facts, " and "))
			if bad++; bad > 20 {
				t.FailNow()
			}
		}
	}
}
