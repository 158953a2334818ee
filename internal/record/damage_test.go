package record_test

import (
	"strings"
	"testing"

	"rollcall/internal/policy"
	"rollcall/internal/record"
)

func TestDamagedNamesAreKnown(t *testing.T) {
	for what, name := range map[string]string{
		"a letter lost in a decoder":                "CORPEX\\m\ufffdller",
		"a letter lost in ASCII":                    `CORPEX\m?ller`,
		"a name lost wholly":                        "CN=??????,DC=x",
		"UTF-8 read as Windows-1252":                "CN=GerÃ¤t,DC=x",
		"a sharp s read as Windows-1252":            "GroÃŸ",
		"UTF-8 read twice as Windows-1252":          "mÃƒÂ¼ller",
		"a dash read as Windows-1252":               "LAB â€“ 1",
		"Cyrillic read as Windows-1252":             "Ð¡Ð¾",
		"UTF-8 read in a console of Western Europe": "m├╝ller",
		"UTF-8 read on an old Mac":                  "m√ºller",
		"a zero-width space":                        "ce\u200bo",
		"a zero-width joiner":                       "ce\u200do",
		"a byte order mark":                         "\ufeffceo",
		"a soft hyphen":                             "ce\u00ado",
		"a right-to-left override":                  "\u202eoec",
		"an isolate":                                "\u2066ceo\u2069",
		"a line separator":                          "ceo\u2028",
		"a filler":                                  "ceo\u3164",
		"a control character":                       "ceo\x00",
		"a C1 control":                              "ceo\u0085",
		"bytes that are no UTF-8":                   "m\xfcller",
		"an HTML escape by name":                    "o&apos;brien",
		"an HTML escape by number":                  "o&#39;brien",
		"an HTML escape in hexadecimal":             "o&#x27;brien",
		"an escaped ampersand":                      "CN=VIP &amp; Board,DC=x",
		"an escaped umlaut":                         "m&uuml;ller",
		"a percent escape":                          "m%C3%BCller",
		"an escaped blank":                          "Chief%20Person",
		"a template that was not filled in":         "{{user.login}}",
		"another one":                               "CN=${host},DC=x",
		"an object turned into text":                "[object Object]",
		"a list turned into text":                   "System.Object[]",
		"a hash turned into text":                   "@{Login=ceo}",
	} {
		if record.Damage(name) == "" {
			t.Errorf("%s: %q passes for whole", what, name)
		}
	}
}

func TestNamesOfPeopleAndMachinesAreWhole(t *testing.T) {
	for _, name := range []string{
		"", "WS-FIN-0427", `CORPEX\j.doe`, "j.doe@corp.example.test", `CORPEX\o'brien`, `CORPEX\müller`, "mu\u0308ller", "GERÄTE", "Großmann", "Łukasz Żółć", "Çağrı", "Ærøskøbing",
		"GUÐÁR", "Þórður", "Ναύπλιο", "Иванов", "山田", "CN=VIP & Board,OU=Groups,DC=x", "CN=R&D; x", "100% Lab", "50%", "a%zz", "Jane’s MacBook 💻", "Jane’s Mac 🖥️", "Tom & Jerry;", "São Tomé", "ÂNGELA", "Ãnia",
		"Éšová", "CN=A\\, B,DC=x",
	} {
		if d := record.Damage(name); d != "" {
			t.Errorf("%q: %s", name, d)
		}
	}
}

func TestQuestionMarksMayBeMeantInOtherTexts(t *testing.T) {
	for text, damaged := range map[string]bool{"Unknown?": false, "50%20": false, "L\ufffdb": true, "LÃ¤b": true, "La\u200bb": true} {
		if got := record.LostLetters(text) != ""; got != damaged {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestADamagedNameOfAnEventIsUnreadableAndANoteSaysWhy(t *testing.T) {
	for path, raw := range map[string]string{
		"directory.hostname":                `{"directory":{"hostname":"B?RO-1"}}`,
		"directory.domain":                  `{"directory":{"domain":"c\u200borp.example.test"}}`,
		"directory.distinguishedName":       `{"directory":{"distinguishedName":"CN=A,OU=Ger?te,DC=x"}}`,
		"directory.managedBy":               `{"directory":{"managedBy":"CORPEX\\m\ufffdller"}}`,
		"directory.memberOf":                `{"directory":{"memberOf":["CN=VIP &amp; Board,DC=x"]}}`,
		"owner.login":                       `{"owner":{"login":"CORPEX\\mÃ¼ller"}}`,
		"owner.memberOf":                    `{"owner":{"memberOf":"[\"CN=Gesch%C3%A4ft,DC=x\"]"}}`,
		"central.hostname":                  `{"central":{"hostname":"\u202eWS-1"}}`,
		"central.associatedPerson.name":     `{"central":{"associatedPerson":{"name":"J?rg"}}}`,
		"central.associatedPerson.viaLogin": `{"central":{"associatedPerson":{"viaLogin":"CORPEX\\j&#246;rg"}}}`,
	} {
		e := mustEvent(t, []byte(raw))
		if states(e)[path] != policy.Unreadable {
			t.Errorf("%s is %v", path, states(e)[path])
		}
		if len(e.Notes) != 1 || !strings.HasPrefix(e.Notes[0], path+": it ") {
			t.Errorf("%s: the notes are %q", path, e.Notes)
		}
	}
}

func TestCentralsOwnNamesArePassedOnAsTheyAreButForPeople(t *testing.T) {
	d, err := record.ParseDevice([]byte(`{"hostname":"J\u200brg?","group":{"name":"Unknown?"},"associatedPerson":{"name":"J?rg","viaLogin":"CORPEX\\j\ufffdrg"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if !d.Hostname.Known() || len(d.Garbled) > 0 || d.PersonName.State != policy.Unreadable || d.ViaLogin.State != policy.Unreadable {
		t.Errorf("%+v", d)
	}
}

func TestNamesThatAreNearlyAFieldsAreFaultsThatNameIt(t *testing.T) {
	for raw, want := range map[string]string{
		`{"directory":{"Enabled":true}}`:                    "directory.Enabled (directory.enabled is probably meant)",
		`{"owner":{"memberof":[]}}`:                         "owner.memberof (owner.memberOf is probably meant)",
		`{"owner":{"memberOf{}":[]}}`:                       "owner.memberOf{} (owner.memberOf is probably meant)",
		`{"Owner":{}}`:                                      "Owner (owner is probably meant)",
		`{"directory":{"disabled_at":"x"}}`:                 "directory.disabled_at (directory.disabledAt is probably meant)",
		`{"directory":{"member-of":[]}}`:                    "directory.member-of (directory.memberOf is probably meant)",
		`{"directory":{" managedBy ":"x"}}`:                 "directory. managedBy  (directory.managedBy is probably meant)",
		`{"directory":{"MANAGEDBY":null}}`:                  "directory.MANAGEDBY (directory.managedBy is probably meant)",
		`{"directory.enabled":true}`:                        "directory.enabled (enabled is probably meant)",
		`{"directory":{"computer.enabled":true}}`:           "directory.computer.enabled (directory.enabled is probably meant)",
		`{"central":{"Online":true}}`:                       "central.Online (online is probably meant)",
		`{"central":{"health":{"Overall":"bad"}}}`:          "central.health.Overall (health.overall is probably meant)",
		`{"central":{"isolation":{"admin_isolated":true}}}`: "central.isolation.admin_isolated (isolation.adminIsolated is probably meant)",
		`{"central":{"associatedPerson":{"vialogin":"x"}}}`: "central.associatedPerson.vialogin (associatedPerson.viaLogin is probably meant)",
		`{"directory":{"primaryGroupID":516}}`:              "directory.primaryGroupID (directory.primaryGroupId is probably meant)",
		`{"directory":{"user account control":8192}}`:       "directory.user account control (directory.userAccountControl is probably meant)",
		`{"directory":{"Member\u00a0Of":[]}}`:               "directory.Member\u00a0Of (directory.memberOf is probably meant)",
		`{"central":{"associatedPerson.name":"x"}}`:         "central.associatedPerson.name (name is probably meant)",
		`{"event.owner":{}}`:                                "event.owner (owner is probably meant)",
		`{"owner":{"Login":"x"}}`:                           "owner.Login (owner.login is probably meant)",
		`{"Observed_At":"2026-11-30T00:00:00Z"}`:            "Observed_At (observedAt is probably meant)",
		`{"central":{"groupHierarchy{}":[]}}`:               "central.groupHierarchy{} (groupHierarchy is probably meant)",
	} {
		got := mustEvent(t, []byte(raw)).Garbled
		if len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q", raw, got)
		}
	}
}

func TestManyStrangeNamesAreToldInPart(t *testing.T) {
	var raw strings.Builder
	raw.WriteString(`{"directory":{`)
	for i := range 5000 {
		raw.WriteString(`"e` + strings.Repeat("_", i%50+1) + strings.Repeat("-", i/50) + `nabled":1,`)
	}
	raw.WriteString(`"x":1}}`)
	if got := mustEvent(t, []byte(raw.String())).Garbled; len(got) == 0 || len(got) > 100 {
		t.Errorf("%d faults", len(got))
	}
}

func TestNumbersOfAnAccount(t *testing.T) {
	for raw, want := range map[string]policy.Field[int]{
		"516": policy.Is(516), `"516"`: policy.Is(516), `"0x82000"`: policy.Is(0x82000), "-2147475456": policy.Garbled[int](), `""`: {}, "null": {},
		"516.5": policy.Garbled[int](), `"many"`: policy.Garbled[int](), "true": policy.Garbled[int](), `"5_16"`: policy.Garbled[int](), "[516]": policy.Garbled[int](),
	} {
		if got := mustEvent(t, []byte(`{"directory":{"primaryGroupId":`+raw+`}}`)).Directory.PrimaryGroupID; got != want {
			t.Errorf("%s: %+v", raw, got)
		}
	}
}

func TestDamageBehindAnEscapeOfADNIsSeen(t *testing.T) {
	for _, dn := range []string{`CN=Ger\3Fte,DC=x`, `CN=Ger\EF\BF\BDte,DC=x`, `CN=Ger\C3\83\C2\A4te,DC=x`, `CN=ce\E2\80\8Bo,DC=x`, "2.5.4.3=ceo,DC=x", "OID.2.5.4.3=ceo,DC=x"} {
		if got, err := record.ParseDN(dn); err == nil {
			t.Errorf("%s is read as %v", dn, got)
		}
	}
	composed, err := record.ParseDN("CN=Ger\u00e4te,DC=x")
	if err != nil {
		t.Fatal(err)
	}
	if decomposed, err := record.ParseDN("CN=Gera\u0308te,DC=x"); err != nil || decomposed.String() != composed.String() {
		t.Errorf("%v, %v", decomposed, err)
	}
}
