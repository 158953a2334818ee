package policy

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestBelowIsByComponentAndStrict(t *testing.T) {
	disabled := corp("ou=Disabled")
	for name, tc := range map[string]struct {
		name DN
		want bool
	}{
		"directly below":            {corp("cn=A", "ou=Disabled"), true},
		"far below":                 {corp("cn=A", "ou=X", "ou=Y", "ou=Disabled"), true},
		"in another case":           {dn("cn=A", "ou=DISABLED", "dc=CORP", "dc=example", "dc=TEST"), true},
		"the OU itself":             {disabled, false},
		"above it":                  {corp(), false},
		"a name that ends like it":  {corp("cn=A", "ou=Really Disabled"), false},
		"a component that holds it": {corp("cn=A", "ou=Disabled,ou=X"), false},
		"another domain":            {dn("cn=A", "ou=Disabled", "dc=lab", "dc=example", "dc=test"), false},
		"another type":              {corp("cn=A", "cn=Disabled"), false},
		"not next to the domain":    {corp("cn=A", "ou=Disabled", "ou=X"), false},
		"nothing":                   {nil, false},
	} {
		if got := tc.name.below(disabled, fold); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if corp("cn=A").below(nil, fold) {
		t.Error("everything lies below no name at all")
	}
}

func TestTheOrderInAMultiValuedRDNDoesNotMatter(t *testing.T) {
	a, b := DN{{"ou=a", "cn=b"}, {"dc=x"}}, DN{{"CN=B", "ou=A"}, {"dc=X"}}
	if !a.equal(b, fold) || a.equal(DN{{"ou=a"}, {"dc=x"}}, fold) {
		t.Error("equal is wrong")
	}
}

func TestTwoWaysToFold(t *testing.T) {
	for _, tc := range []struct {
		a, b        string
		fold, loose bool
	}{
		{"ÄÖÜ-é", "äöü-É", true, true},
		{"ΣΑΣ", "σας", false, true}, // the last sigma has a form of its own
		{"I", "\u0131", false, true},
		{"i", "\u0131", false, true},
		{"S", "\u017f", false, true},
		{"k", "\u212a", false, true},
		{"i", "\u0130", false, true},
		{"a", "b", false, false},
	} {
		if got := fold(tc.a) == fold(tc.b); got != tc.fold {
			t.Errorf("fold: %q and %q: %v", tc.a, tc.b, got)
		}
		if got := Loose(tc.a) == Loose(tc.b); got != tc.loose {
			t.Errorf("loose: %q and %q: %v", tc.a, tc.b, got)
		}
	}
}

func TestGlobs(t *testing.T) {
	for _, tc := range []struct {
		glob, name string
		want       bool
	}{
		{"lab-*", "LAB-01", true},
		{"LAB-??", "lab-01", true},
		{"lab-??", "lab-001", false},
		{"*-ceo", "pc-ceo", true},
		{"*", "a/b/c", true},
		{"a/*", "A/b", true},
		{"lab", "lab-01", false},
		{"[", "anything", true},
		{"[a-c]*", "beta", true},
		{`\*`, "*", true},
		{"", "x", false},
	} {
		if got := matches(tc.glob, tc.name); got != tc.want {
			t.Errorf("matches(%q, %q) = %v", tc.glob, tc.name, got)
		}
	}
	if anyMatches([]string{"*"}, "") {
		t.Error("a name that is not there is matched")
	}
}

func TestNetBIOSCutsAt15Characters(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"abcdefghijklmno", "abcdefghijklmnop", true},
		{"abcdefghijklmnop", "abcdefghijklmno", true},
		{"abcdefghijklmno", "abcdefghijklmno", false},
		{"abcdefghijklmn", "abcdefghijklmno", false},
		{"äbcdefghijklmno", "äbcdefghijklmnop", true},
		{"äbcdefghijklmn", "äbcdefghijklmnop", false}, // 15 bytes, 14 characters
		{"xbcdefghijklmno", "abcdefghijklmnop", false},
	} {
		if got := truncated(tc.a, tc.b); got != tc.want {
			t.Errorf("truncated(%q, %q) = %v", tc.a, tc.b, got)
		}
	}
}

func TestLoginsHaveADomainAndAUser(t *testing.T) {
	for login, want := range map[string]struct {
		domain  string
		upn, ok bool
	}{
		`CORPEX\j.doe`:  {"CORPEX", false, true},
		`CORPEX\a@b`:    {"CORPEX", false, true},
		"j@corp.test":   {"corp.test", true, true},
		"j.doe":         {"", false, false},
		"":              {"", false, false},
		`\j.doe`:        {"", false, false},
		`CORPEX\`:       {"CORPEX", false, false},
		"j@":            {"", true, false},
		"@corp.test":    {"corp.test", true, false},
		`CORPEX\\j.doe`: {"CORPEX", false, true}, "CORPEX/j.doe": {"CORPEX", false, true}, `CORPEX\x\j.doe`: {"CORPEX", false, false},
		"j@doe@corp.test": {"doe@corp.test", true, false},
	} {
		l, ok := loginOf(login)
		if l.domain != want.domain || l.upn != want.upn && ok || ok != want.ok {
			t.Errorf("loginOf(%q) = %+v, %v", login, l, ok)
		}
	}
}

func TestPlatformsAndReleasesFromNames(t *testing.T) {
	for name, want := range map[string][2]string{
		"Windows 10 Pro":               {"windows", "10"},
		"Microsoft Windows 11 Home":    {"windows", "11"},
		"Windows Server 2019 Standard": {"windows", ""},
		"macOS Sequoia":                {"macos", ""},
		"Mac OS X 10.11":               {"macos", ""},
		"OS X El Capitan":              {"macos", ""},
		"Ubuntu 22.04.4 LTS":           {"linux", ""},
		"Red Hat Enterprise Linux 9":   {"linux", ""},
		"Amazon Linux 2023":            {"linux", ""},
		"Solaris":                      {"", ""},
		"":                             {"", ""},
	} {
		if got := [2]string{platformOfName(name), release(name)}; got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}

func TestDNsAreWrittenForAPerson(t *testing.T) {
	if got := (DN{{"cn=A", "uid=1"}, {"dc=x"}}).String(); got != "cn=A+uid=1,dc=x" {
		t.Error(got)
	}
}

func TestANameIsLookedUpWithoutItsDomain(t *testing.T) {
	for host, want := range map[string]string{
		"": "", " ": "", ".": "", "$": "", "PC": "pc", " PC ": "pc", "PC$": "pc", "PC$.corp.example.test": "pc", " PC .corp": "pc", "pc.": "pc",
		"PC$$": "pc$", "$PC": "$pc", "P\u212a": "pk", "M\u017fX": "msx", "B\u00dcRO": "b\u00dcro", "b\u00fcro": "b\u00dcro", "\u0130X": "\u0130x", "A\xffB": "a\ufffdb",
	} {
		if got := NameKey(host); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}

func TestNamesHaveOneKeyWhereEqualFoldCallsThemEqual(t *testing.T) {
	letters := rapid.SampledFrom([]rune("kK\u212asS\u017f\u1e9e\u00dfiI\u0131\u0130\u03c3\u03c2\u03a3\u03b8\u03d1\u0398\u00b5\u03bc\u039c\u00e5\u00c5\u212ba1-.$ \ufffd"))
	name := rapid.Custom(func(t *rapid.T) string {
		s := string(rapid.SliceOfN(letters, 0, 4).Draw(t, "letters"))
		if rapid.Bool().Draw(t, "cut") {
			s += "\xe4"
		}
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := name.Draw(t, "a"), name.Draw(t, "b")
		if got, want := NameKey(a) == NameKey(b), strings.EqualFold(BareName(a), BareName(b)); got != want {
			t.Fatalf("%q and %q: one key is %v, equal is %v", a, b, got, want)
		}
	})
}
