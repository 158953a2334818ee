package adexport

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestARowThatCannotBeReadStillSaysWhoseItIs(t *testing.T) {
	const header = "DistinguishedName,Name,DNSHostName,SamAccountName,Enabled,MemberOf\n"
	csv := func(dn, name, dns, sam, enabled string) string {
		return header + `"` + dn + `","` + name + `",` + dns + `,` + sam + `,` + enabled + ",\n"
	}
	ldif := func(lines string) string { return lines + "\n" }
	for _, tt := range []struct {
		name, text string
		names      []string
		domain     string
	}{
		{"a state in another language", csv(dn, "A", "", "", "Wahr"), []string{"A", "A"}, "x.test"},
		{"every name counts", csv(dn, "B", "c.x.test", "D$", "Vrai"), []string{"A", "B", "D$", "c.x.test"}, "x.test"},
		{"a name of which there are two", "Enabled,Name,name,DistinguishedName\n1,B,C,\"" + dn + "\"\n", []string{"A", "B", "C"}, "x.test"},
		{"no DN, so any domain", csv("", "A", "a.x.test", "", "True"), []string{"A", "a.x.test"}, ""},
		{"a DN that is none, so any domain", csv("A, Disabled", "A", "", "", "True"), []string{"A"}, ""},
		{"a DN without a domain", csv("CN=A,OU=D", "", "", "", "True"), []string{"A"}, ""},
		{"two DNs that differ, so any domain", `{"DistinguishedName":["` + dn + `","CN=B,DC=y"],"Name":"A"}`, []string{"A"}, ""},
		{"a DN alone", csv(dn, "", "", "", "0"), []string{"A"}, "x.test"},
		{"an object that the directory holds as a conflict", csv(`CN=A\0ACNF:3f2504e0-4f89-41d3-9a0c-0305e82c3301,OU=D,DC=x,DC=test`, "A\nCNF:3f2504e0-4f89-41d3-9a0c-0305e82c3301", "", "", "True"), []string{"A", "A"}, "x.test"},
		{"the name in DNS alone is not all", csv("", "", "a.x.test", "A$", "True"), nil, ""},
		{"a name that is damaged may be another", csv(dn, "A", "\xffb.x.test", "", "True"), nil, "x.test"},
		{"a DN that is damaged says nothing", csv("CN=A,OU=\xff,DC=x", "A", "", "", "True"), []string{"A"}, ""},
		{"a type in place of a name", csv(dn, "System.Object[]", "", "", "True"), nil, "x.test"},
		{"a row of too few cells: nobody knows which are missing", header + `"` + dn + "\",A,True\n", nil, ""},
		{"a row of too many", header + `"` + dn + "\",A,,,,,True\n", nil, ""},
		{"a quote that is not closed", header + `"` + dn + "\",\"A\n", nil, ""},
		{"a line that is no JSON", `{"Name":"A"}` + "\n{\"Name\":\n", nil, ""},
		{"a list of groups that is none", `{"DistinguishedName":"` + dn + `","MemberOf":{"a":1}, "dNSHostName":"b.x.test"}`, []string{"A", "b.x.test"}, "x.test"},
		{"a name that is none", `{"DistinguishedName":"` + dn + `","Name":{"a":1}}`, nil, "x.test"},
		{"groups that the server cut", ldif("dn: " + dn + "\nmemberOf;range=0-9: CN=G,DC=x\nname: B"), []string{"A", "B"}, "x.test"},
		{"a name in another file", ldif("dn: " + dn + "\ndNSHostName:< file:///x"), nil, "x.test"},
		{"a line that may belong to the one before", ldif("dn: " + dn + "\nuserAccountControl: 514\n4"), nil, "x.test"},
		{"a change", ldif("dn: " + dn + "\nchangetype: modify"), []string{"A"}, "x.test"},
		{"accounts that are not here", ldif("search: 2\nresult: 4 Size limit exceeded"), nil, ""},
		{"a file that breaks off", "dn: " + dn + "\nuserAccountControl: 51", nil, "x.test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var last *Fault
			for _, err := range Read(strings.NewReader(tt.text), Options{}) {
				if fault, ok := errors.AsType[*Fault](err); ok {
					last = fault
				}
			}
			if last == nil {
				t.Fatal("no fault")
			}
			if diff := cmp.Diff(tt.names, last.Names); diff != "" || last.Domain != tt.domain {
				t.Errorf("%v: domain %q, want %q\n%s", last, last.Domain, tt.domain, diff)
			}
		})
	}
}

func TestTheNameOfLogonIsRead(t *testing.T) {
	rows, faults, end := read(t, "DistinguishedName,sAMAccountName\n\""+dn+"\",PC-1$\n", Options{})
	if len(rows) != 1 || rows[0].NetBIOS != "PC-1" || len(faults) > 0 || end != nil {
		t.Errorf("%+v %q %v", rows, faults, end)
	}
}

func TestTheLastLogonIsTheLatestThatCanBeRead(t *testing.T) {
	for text, want := range map[string]string{
		`"lastLogonTimestamp":134299584000000000`: "2026-07-31T08:00:00Z", `"lastLogonTimestamp":"134299584000000000","lastLogon":134299620000000000`: "2026-07-31T09:00:00Z",
		`"LastLogonDate":"2026-08-01T10:30:00+02:00","lastLogon":0`: "2026-08-01T08:30:00Z", `"LastLogonDate":"/Date(1785580200000)/"`: "2026-08-01T10:30:00Z",
		`"LastLogonDate":"8/1/2026 10:30:00 AM"`: "", `"lastLogon":"never"`: "", `"lastLogon":-1`: "",
	} {
		rows, faults, end := read(t, `{"DistinguishedName":"`+dn+`",`+text+`}`, Options{})
		if len(rows) != 1 || len(faults) > 0 || end != nil {
			t.Fatalf("%s: %q %v", text, faults, end)
		}
		got := ""
		if at := rows[0].LastLogon; !at.IsZero() {
			got = at.Format("2006-01-02T15:04:05Z07:00")
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestAClassThatIsDamagedMayBeAComputers(t *testing.T) {
	rows, faults, _ := read(t, "DistinguishedName,ObjectClass\n\""+dn+"\",comp\xffter\n", Options{})
	if len(rows) != 1 || rows[0].Foreign || len(faults) > 0 {
		t.Errorf("%+v %q", rows, faults)
	}
}
