package policy

import (
	"slices"
	"testing"
)

// people is a policy that knows two domains.
func people(users ...string) Params {
	p := DefaultParams()
	p.Domains = map[string]string{"CORPEX": "corp.example.test", "LABEX": "lab.example.test"}
	p.VIP.Users = users
	return p
}

// isVIP reports whether a text names one of the policy's persons.
func isVIP(p Params, text string) bool {
	known := p.domainNames()
	wanted := known.vipPersons(p.VIP)
	return slices.ContainsFunc(known.namedIn(text), func(n person) bool { return slices.ContainsFunc(wanted, n.may) })
}

func TestAPersonIsKnownInEverySpelling(t *testing.T) {
	spellings := []string{
		`CORPEX\ceo`, `corpex\CEO`, `CORPEX\\ceo`, `CORPEX\\\\ceo`, `CORPEX/ceo`, `CORPEX\ ceo`, ` CORPEX \ ceo `, `CORPEX＼ceo`, `ＣＯＲＰＥＸ\ｃｅｏ`,
		`corp.example.test\ceo`, `CORP.EXAMPLE.TEST.\ceo`, `ceo@corp.example.test`, `CEO@Corp.Example.Test`, `ceo@CORPEX`, `ceo`, " ceo ", "ceo\u00a0",
		"ce\u200bo", "\u202aCORPEX\\ceo\u202c", `CORPEX\ceo@corp.example.test`, `corp.example.test/Users/ceo`, `CN=ceo,OU=Users,DC=corp,DC=example,DC=test`,
		`cn=CEO, ou=users, dc=corp, dc=example, dc=test`, `i:0#.w|corpex\ceo`, `mailto:ceo@corp.example.test`, `Chief Person (CORPEX\ceo)`, `Chief Person (ceo@corp.example.test)`,
		`ceo@another-suffix.test`, `UNMAPPED\ceo`, `ceo_corp.example.test#EXT#@corpex.onmicrosoft.test`,
	}
	for _, entry := range []string{`CORPEX\ceo`, "ceo@corp.example.test", `corp.example.test\ceo`, "ceo", "CN=ceo,OU=Users,DC=corp,DC=example,DC=test"} {
		for _, text := range spellings {
			if !isVIP(people(entry), text) {
				t.Errorf("the policy's %q does not meet %q", entry, text)
			}
		}
	}
}

func TestNamesWithLettersOfOtherFormsAreOnePerson(t *testing.T) {
	for _, tc := range []struct{ entry, text string }{
		{`CORPEX\müller`, "CORPEX\\mu\u0308ller"}, {"CORPEX\\mu\u0308ller", `CORPEX\MÜLLER`}, {`CORPEX\o'brien`, `CORPEX\O'Brien`},
		{`CORPEX\gross`, `CORPEX\groß`}, {`CORPEX\ﬁnn`, `CORPEX\finn`}, {"CN=Chief Person,OU=Users,DC=corp,DC=example,DC=test", "Person, Chief"},
		{"CN=Chief Person,OU=Users,DC=corp,DC=example,DC=test", "corp.example.test/Users/Chief Person"},
		{`CN=Person\, Chief,OU=Users,DC=corp,DC=example,DC=test`, "Chief  Person"}, {`CORPEX\j.doe`, "J. Doe"},
		{`CORPEX\zoë`, "zoe"}, {`CORPEX\muller`, `CORPEX\müller`},
	} {
		if !isVIP(people(tc.entry), tc.text) {
			t.Errorf("the policy's %q does not meet %q", tc.entry, tc.text)
		}
	}
}

func TestAPersonWhoseDNBeginsWithAnotherTypeThanCNIsKnown(t *testing.T) {
	p := people()
	p.VIP.Persons = []DN{{{"uid=ceo"}, {"ou=Users"}, {"dc=corp"}, {"dc=example"}, {"dc=test"}}}
	for _, text := range []string{"UID=ceo,OU=Users,DC=corp,DC=example,DC=test", `CORPEX\ceo`, "ceo@corp.example.test", "ceo"} {
		if !isVIP(p, text) {
			t.Errorf("the policy's DN does not meet %q", text)
		}
	}
}

func TestAnotherPersonIsNoVIP(t *testing.T) {
	for _, text := range []string{`LABEX\ceo`, "ceo@lab.example.test", `CORPEX\ceo2`, `CORPEX\j.doe`, "CN=ceo,OU=Users,DC=lab,DC=example,DC=test", "", `\`, "@"} {
		if isVIP(people(`CORPEX\ceo`), text) {
			t.Errorf(`%q is taken for CORPEX\ceo`, text)
		}
	}
}

func TestTwoNamesOfApproversAreOnePersonWhereTheirWordsAreThoseOfOne(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{"ann", "ann", true}, {`CORPEX\ann`, "ann@corp.example.test", true}, {"Ann (IT)", `CORPEX\ann`, true}, {"ANN", "ann", true},
		{"ann ", "\u200bann", true}, {"Ann Smith", "smith.ann", true}, {"Smith, Ann", `CORPEX\ann.smith`, true}, {"ａｎｎ", "ann", true},
		{"CN=ann,OU=Users,DC=x", "ann", true}, {"corp.example.test/Users/ann", "ann", true}, {"", "ann", true}, {"...", "bob", true},
		{`CORPEX\ann`, "Ann <ann@corp.example.test>", true}, {`CORPEX\ann`, `(CORPEX\ann) Smith`, true}, {"ann.smith", "annsmith@corp.example.test", true},
		{`CORPEX\ann`, `CN=\61nn,DC=x`, true}, {"ann", "a\u0301nn", true}, {"ann", "ann_corp.example.test#EXT#@tenant.test", true}, {`CORPEX\ann`, `CORPEX\ann\`, true},
		{"ann", "bob", false}, {`CORPEX\ann`, `CORPEX\bob`, false}, {"ann.smith", "ann.miller", false}, {"ann@corp.example.test", "bob@corp.example.test", false},
		{"Ann (IT)", "Bob (IT)", false}, {"a.smith", "ann.smith", false},
	} {
		if got := SamePerson(tc.a, tc.b); got != tc.same {
			t.Errorf("SamePerson(%q, %q) = %v", tc.a, tc.b, got)
		}
		if got := SamePerson(tc.b, tc.a); got != tc.same {
			t.Errorf("SamePerson(%q, %q) = %v", tc.b, tc.a, got)
		}
	}
}

func TestTheOwnerIsThePersonWhomCentralShowsOnlyWhereThatIsCertain(t *testing.T) {
	p, own := people(), "corp.example.test"
	for _, tc := range []struct {
		owner, shown string
		same         bool
	}{
		{`CORPEX\j.doe`, `corpex\J.DOE`, true}, {`CORPEX\j.doe`, "j.doe@corp.example.test", true}, {`corp.example.test\j.doe`, `CORPEX\j.doe`, true},
		{`CORPEX\\j.doe`, `CORPEX/j.doe`, true}, {"j.doe", `CORPEX\j.doe`, true}, {"j.doe@suffix.test", "j.doe@suffix.test", true}, {"J. Doe", "J. Doe", true},
		{`CORPEX\j.doe`, `CORPEX\r.roe`, false}, {`CORPEX\j.doe`, `LABEX\j.doe`, false}, {`CORPEX\j.doe`, "j.doe", false}, {"j.doe", `LABEX\j.doe`, false},
		{"j.doe@suffix.test", `CORPEX\j.doe`, false}, {`CORPEX\j.doe`, `OTHER\j.doe`, false}, {`OTHER\j.doe`, `THIRD\j.doe`, false},
		{`CORPEX\j.doe`, "J. Doe", false}, {`CORPEX\K.doe`, "CORPEX\\\u212a.doe", false},
	} {
		if got := p.samePerson(tc.owner, tc.shown, own); got != tc.same {
			t.Errorf("the owner %q and the shown %q: %v", tc.owner, tc.shown, got)
		}
	}
}
