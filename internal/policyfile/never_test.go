package policyfile_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"rollcall/internal/policyfile"
)

// with is a policy of two keys and a third.
func with(key string) string {
	return minimal + "domains: {CORPEX: corp.example.test}\n" + key + "\n"
}

// exclusionOf is an exclusion with one list.
func exclusionOf(list string) string {
	return "exclusions: [{id: a, reason: r, owner: o, " + list + "}]"
}

// Each policy is one that somebody would write; want is what the fault must say, with
// what would match.
func TestAnEntryThatCanNeverMatchIsAFaultThatSaysWhatWouldMatch(t *testing.T) {
	for key, want := range map[string]string{
		`vip: {hostnames: ["exec-1.corp.example.test"]}`:                                          `line 3: vip.hostnames[0]: holds a domain, and host names are compared without: "exec-1"`,
		`vip: {hostnames: ["EXEC-*.corp.example.test"]}`:                                          `holds a domain, and host names are compared without: "exec-*"`,
		`vip: {hostnames: ["EXEC-1$"]}`:                                                           `the $ of a computer's account, and host names are compared without: "exec-1"`,
		`vip: {hostnames: ["EXEC-*$"]}`:                                                           `host names are compared without: "exec-*"`,
		`vip: {hostnames: ['CORPEX\EXEC-1']}`:                                                     `holds a backslash: name the host alone, "exec-1"`,
		`vip: {hostnames: ['CORPEX\EXEC-1$']}`:                                                    `"exec-1"`,
		`vip: {hostnames: ["EXEC-.*"]}`:                                                           `is a regular expression, and a glob is wanted: "exec-*"`,
		`vip: {hostnames: ["^EXEC-"]}`:                                                            `is a regular expression, and a glob is wanted: "exec-"`,
		`vip: {hostnames: ['EXEC-\d+']}`:                                                          `is a regular expression, and a glob is wanted: "exec-*"`,
		`vip: {hostnames: ["EXEC-(1|2)"]}`:                                                        `is a regular expression`,
		`vip: {hostnames: ["EXEC-{1,2}"]}`:                                                        `holds several names`,
		`vip: {hostnames: ["EXEC-%"]}`:                                                            `the sign for any letters is *, as in "exec-*"`,
		`vip: {hostnames: ["EXEC-1, EXEC-2"]}`:                                                    `holds several names; give each an entry of its own`,
		`vip: {hostnames: ["EXEC-1;EXEC-2"]}`:                                                     `holds several names; give each an entry of its own`,
		`vip: {hostnames: ["OU=Board,DC=corp,DC=example,DC=test"]}`:                               `holds several names`,
		`vip: {hostnames: ["EXEC-\u200b1"]}`:                                                      `a mark that can't be seen`,
		`vip: {hostnames: ["B\uFFFDRO-*"]}`:                                                       `a letter that was lost`,
		exclusionOf(`hostnames: ["lab-1.corp.example.test"]`):                                     `exclusions[0].hostnames[0]: holds a domain`,
		exclusionOf(`hostnames: ["LAB-1$"]`):                                                      `without: "lab-1"`,
		exclusionOf(`hostnames: ["LAB-.+"]`):                                                      `a glob is wanted: "lab-*"`,
		exclusionOf(`endpointIds: ["6f0e7b2a"]`):                                                  `is no id of a device in Central, which is a UUID such as`,
		exclusionOf(`endpointIds: ["WS-FIN-0427"]`):                                               `host names go to hostnames`,
		exclusionOf(`endpointIds: ["6f0e7b2a3c1d4e589a760d4b8c2f51e3"]`):                          `is a UUID such as 6f0e7b2a-3c1d-`,
		exclusionOf(`endpointIds: ["LAB-*"]`):                                                     `host names go to hostnames`,
		exclusionOf(`ous: ["OU=Lab"]`):                                                            `lacks the DC parts of its domain: OU=Lab,DC=corp,DC=example,DC=test`,
		exclusionOf(`ous: ["OU=Lab,OU=Disabled"]`):                                                `lacks the DC parts`,
		exclusionOf(`ous: ["Lab"]`):                                                               `must be a distinguished name such as OU=Lab,`,
		exclusionOf(`ous: ["corp.example.test/Disabled/Lab"]`):                                    `must be a distinguished name such as OU=Lab,`,
		exclusionOf(`ous: ["DC=test,DC=example,DC=corp,OU=Disabled"]`):                            `stands back to front`,
		exclusionOf(`ous: ["OU=Lab,OU=Disabled,DC=crop,DC=example,DC=test"]`):                     `another domain than every OU of disabledOUs`,
		exclusionOf(`ous: ["OU=Lab,DC=corp,DC=example,DC=test,OU=B,DC=corp,DC=example,DC=test"]`): `holds several names`,
		exclusionOf(`ous: ["OU=Ger?te,OU=Disabled,DC=corp,DC=example,DC=test"]`):                  `can't match: it holds a question mark`,
		exclusionOf(`ous: ["OU=GerÃ¤te,OU=Disabled,DC=corp,DC=example,DC=test"]`):                 `can't match: it is UTF-8 that was read as another encoding`,
		exclusionOf(`centralGroups: ["CN=Lab,OU=Groups,DC=corp,DC=example,DC=test"]`):             `is a DN of AD; name a group of Central's`,
		exclusionOf(`centralGroups: ["Lab.*"]`):                                                   `a glob is wanted: "lab*"`,
		exclusionOf(`centralGroups: ["^Lab$"]`):                                                   `a glob is wanted: "lab"`,
		`vip: {users: ['OTHER\ceo']}`:                                                             `vip.users[0]: is of the NetBIOS domain OTHER, which domains does not map: add OTHER:`,
		`vip: {users: [['CORPEX\ceo', 'OTHER\ceo']]}`:                                             `vip.users[0][1]: is of the NetBIOS domain OTHER`,
		`vip: {users: ['CORPEX\']}`:                                                               `names no user`,
		`vip: {users: ['CORPEX\*']}`:                                                              `is a pattern, and names of people are compared whole`,
		`vip: {users: ['*ceo*']}`:                                                                 `their group in vip.groups`,
		`vip: {users: ['CORPEX\ceo; CORPEX\cfo']}`:                                                `holds several names`,
		`vip: {users: ['ceo@corp.example.test, cfo@corp.example.test']}`:                          `holds several names`,
		`vip: {users: ['CORPEX\WS-1$']}`:                                                          `is a computer's account; its host name goes to vip.hostnames`,
		`vip: {users: ["S-1-5-21-1004336348-1177238915-682003330-512"]}`:                          `is a SID, which no source shows`,
		`vip: {users: ["OU=Board,DC=corp,DC=example,DC=test"]}`:                                   `is an OU, and a person is wanted`,
		`vip: {users: ["CN=Chief Person"]}`:                                                       `lacks the DC parts of its domain: CN=Chief Person,DC=`,
		`vip: {users: ["2.5.4.3=ceo,DC=corp,DC=example,DC=test"]}`:                                `must be a distinguished name`,
		`vip: {users: ['CORPEX\m?ller']}`:                                                         `is a pattern`,
		`vip: {users: ['CORPEX\mÃ¼ller']}`:                                                        `can't match: it is UTF-8`,
		`vip: {users: ["@corp.example.test"]}`:                                                    `names no user`,
		`vip: {groups: ['CORPEX\VIP']}`:                                                           `must be a distinguished name such as CN=VIP,OU=Groups,DC=corp,`,
		`vip: {groups: ["VIP"]}`:                                                                  `must be a distinguished name such as CN=VIP`,
		`vip: {groups: ["CN=VIP,OU=Groups"]}`:                                                     `lacks the DC parts`,
		`vip: {groups: ["OU=VIP,DC=corp,DC=example,DC=test"]}`:                                    `is an OU, and a group is wanted: CN=VIP,OU=VIP,`,
		`vip: {groups: ["CN=VIP &amp; Board,DC=corp,DC=example,DC=test"]}`:                        `holds an HTML escape`,
		`protectedGroups: ["Domänencontroller"]`:                                                  `protectedGroups[0]: must be a distinguished name`,
		`protectedGroups: ["CN=Kiosks"]`:                                                          `lacks the DC parts`,
		`approvals: {separateKeys: perhaps}`:                                                      `approvals.separateKeys: must be true or false`,
	} {
		_, err := policyfile.Parse([]byte(with(key)))
		faults, ok := errors.AsType[policyfile.Faults](err)
		if !ok {
			t.Errorf("%s: no fault (%v)", key, err)
			continue
		}
		if len(faults) != 1 || faults[0].Line != 3 || !strings.Contains(faults.Error(), want) {
			t.Errorf("%s:\n got  %v\n want %s", key, faults, want)
		}
	}
}

func TestEntriesThatCanMatchAreNoFaults(t *testing.T) {
	for _, key := range []string{
		`vip: {hostnames: ["EXEC-*", "?XEC-1", "EXEC-[12]", "B\u00dcRO-*", "*"]}`,
		`vip: {users: ['CORPEX\ceo', 'CORPEX\\ceo', "ceo@corp.example.test", 'corp.example.test\ceo', ceo, "o'brien", "Person, Chief", "CN=Person\\, Chief,OU=Users,DC=other,DC=test"]}`,
		`vip: {users: [['CORPEX\ceo', "ceo@corp.example.test", "CN=Chief Person,OU=Users,DC=corp,DC=example,DC=test"], cfo]}`,
		`vip: {groups: ["CN=VIP & Board,OU=Groups,DC=forest,DC=test", "CN=Gesch\u00e4ftsf\u00fchrung,OU=Groups,DC=corp,DC=example,DC=test"]}`,
		exclusionOf(`endpointIds: ["{6F0E7B2A-3C1D-4E58-9A76-0D4B8C2F51E3}", "6f0e7b2a-*"]`),
		exclusionOf(`ous: ["OU=Lab,OU=Disabled,DC=corp,DC=example,DC=test", "DC=corp,DC=example,DC=test"]`),
		exclusionOf(`centralGroups: ["Shared Lab", "EU/*", "Unknown?", "c1a7e4d9-3b58-4f60-9e2c-7d8a0b1f6c35"]`),
		`protectedGroups: ["CN=Kiosks,OU=Groups,DC=corp,DC=example,DC=test"]`,
		"approvals: {separateKeys: true}", "liveTenants: all", "liveTenants: []",
	} {
		if _, err := policyfile.Parse([]byte(with(key))); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestWhatIsProbablyNotMeantIsAWarning(t *testing.T) {
	own := strings.ReplaceAll(with(""), "OU=Disabled,DC=corp", "OU=Retired,DC=corp")
	for name, tc := range map[string]struct{ text, want string }{
		"the sample as it is":            {string(policyfile.Sample()), "still names the sample's OU"},
		"groups of VIPs":                 {own + `vip: {groups: ["CN=VIP,OU=Groups,DC=corp,DC=example,DC=test"]}`, "owner.memberOf"},
		"an exclusion that has expired":  {own + `exclusions: [{id: old, reason: r, owner: o, hostnames: ["A"], expires: 2026-01-31}]`, "old has expired"},
		"an OU where nothing is deleted": {own + exclusionOf(`ous: ["OU=Servers,DC=corp,DC=example,DC=test"]`), "nothing is ever deleted"},
		"no tenant is live":              {own + "liveTenants: []", "stays in dry-run"},
		"nothing":                        {own, ""},
		"an OU below one of disabledOUs": {own + exclusionOf(`ous: ["OU=Lab,OU=Retired,DC=corp,DC=example,DC=test"]`), ""},
		"an OU above one of disabledOUs": {own + exclusionOf(`ous: ["DC=corp,DC=example,DC=test"]`), ""},
	} {
		got := strings.Join(policyfile.Warnings(mustParse(t, tc.text), time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)), "\n")
		if (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
