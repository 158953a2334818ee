package adexport

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/api"
)

// read reads an export whole: its rows, the lines of its faults, and what ended it.
func read(tb testing.TB, text string, o Options) (rows []Row, faults []string, end error) {
	tb.Helper()
	for row, err := range Read(strings.NewReader(text), o) {
		var fault *Fault
		switch {
		case errors.As(err, &fault):
			faults = append(faults, fault.Error())
		case err != nil:
			if end != nil {
				tb.Fatalf("goes on after %v", end)
			}
			end = err
		default:
			rows = append(rows, row)
		}
	}
	return rows, faults, end
}

func ptr[T any](v T) *T { return &v }

// directory is what every file of testdata says; those in which a cell that is empty
// and a group that is not there are the same say so alike.
func directory() []api.Directory {
	return []api.Directory{
		{
			Hostname: "WS-FIN-0427", Domain: "corp.example.test",
			DistinguishedName: "CN=WS-FIN-0427,OU=Workstations,OU=Disabled,DC=corp,DC=example,DC=test",
			OperatingSystem:   "Windows 11 Pro", OperatingSystemVersion: "10.0 (22631)", Enabled: ptr(false), UserAccountControl: ptr(4098),
			DisabledAt: ptr(time.Date(2026, 9, 30, 8, 0, 0, 0, time.UTC)),
			MemberOf:   &[]string{"CN=Finance PCs,OU=Groups,DC=corp,DC=example,DC=test", `CN=Kiosk\; old,OU=Groups,DC=corp,DC=example,DC=test`},
			ManagedBy:  `CN=Doe\, Jane,OU=People,DC=corp,DC=example,DC=test`, ObjectGUID: "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
		},
		{
			Hostname: "LAGER-07", Domain: "corp.example.test", DistinguishedName: "CN=LAGER-07,OU=Geräte,OU=Disabled,DC=corp,DC=example,DC=test",
			OperatingSystem: "Windows 10 Enterprise", OperatingSystemVersion: "10.0 (19045)", Enabled: ptr(true), UserAccountControl: ptr(4096),
			MemberOf: &[]string{"CN=Lager,OU=Groups,DC=corp,DC=example,DC=test"}, ObjectGUID: "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
		},
		{Hostname: "SRV-OLD", Domain: "corp.example.test", DistinguishedName: "CN=SRV-OLD,OU=Disabled,DC=corp,DC=example,DC=test", Enabled: ptr(false), UserAccountControl: ptr(4098)},
	}
}

func TestEveryFormOfOneDirectorySaysTheSame(t *testing.T) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil || len(files) != 7 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rows, faults, end := read(t, string(b), Options{})
		var got []api.Directory
		for _, r := range rows {
			got = append(got, r.Directory)
		}
		if diff := cmp.Diff(directory(), got); diff != "" || len(faults) > 0 || end != nil {
			t.Errorf("%s: %q %v\n%s", file, faults, end, diff)
		}
		if len(rows) > 0 && rows[0].DNSHostName != "ws-fin-0427.corp.example.test" {
			t.Errorf("%s: the name in DNS is %q", file, rows[0].DNSHostName)
		}
	}
}

func TestLinesAreThoseOfTheFile(t *testing.T) {
	for file, want := range map[string][]int{
		"get-adcomputer.csv": {2, 3, 4}, "windows-powershell.csv": {3, 4, 5}, "get-adcomputer.json": {2, 23, 42}, "compressed.ndjson": {1, 2, 3},
		"ldapsearch.ldif": {10, 35, 58},
	} {
		b, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		rows, _, _ := read(t, string(b), Options{})
		var got []int
		for _, r := range rows {
			got = append(got, r.Line)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
	}
}

const dn = "CN=A,OU=D,DC=x,DC=test"

func TestWhatARowDoesNotSayIsNeverGuessed(t *testing.T) {
	csv := func(header, cells string) string {
		return "DistinguishedName," + header + "\n\"" + dn + "\"," + cells + "\n"
	}
	groups := func(all ...string) *[]string { return new(append([]string{}, all...)) }
	for _, tt := range []struct {
		name, text string
		want       api.Directory
	}{
		{"an account without Enabled is of unknown state", csv("Name", "A"), api.Directory{}},
		{"userAccountControl says it in its place", csv("userAccountControl", "4130"), api.Directory{Enabled: ptr(false), UserAccountControl: ptr(4130)}},
		{"and 4096 is enabled", csv("UserAccountControl", "4096"), api.Directory{Enabled: ptr(true), UserAccountControl: ptr(4096)}},
		{"column names are compared in any case", strings.ToUpper("distinguishedname,enabled") + "\n\"" + dn + "\",FALSE\n", api.Directory{Enabled: ptr(false)}},
		{"the time of the last change is no time of disabling", csv("Enabled,whenChanged", `False,2026-01-01T00:00:00Z`), api.Directory{Enabled: ptr(false)}},
		{"an empty cell does not say that there are no groups", csv("MemberOf", `""`), api.Directory{}},
		{"nor does the name of a type", csv("MemberOf", "Microsoft.ActiveDirectory.Management.ADPropertyValueCollection"), api.Directory{}},
		{"an empty list does", `{"DistinguishedName":"` + dn + `","MemberOf":[]}`, api.Directory{MemberOf: groups()}},
		{"null does not", `{"DistinguishedName":"` + dn + `","MemberOf":null}`, api.Directory{}},
		{"groups may stand on lines", csv("MemberOf", "\"CN=G,DC=x\nCN=H,DC=x\""), api.Directory{MemberOf: groups("CN=G,DC=x", "CN=H,DC=x")}},
		{"one group may be a text", `{"DistinguishedName":"` + dn + `","MemberOf":"CN=G,DC=x"}`, api.Directory{MemberOf: groups("CN=G,DC=x")}},
		{"a GUID that can't be read is left out", csv("ObjectGUID", "12"), api.Directory{}},
		{"a build that is none is left to the policy", csv("OperatingSystemVersion", "14.5"), api.Directory{OperatingSystemVersion: "14.5"}},
		{"the same said twice is said once", `{"DistinguishedName":"` + dn + `","Enabled":false,"enabled":"False","Enabled":false}`, api.Directory{}},
	} {
		tt.want.Hostname, tt.want.Domain, tt.want.DistinguishedName = "A", "x.test", dn
		rows, faults, end := read(t, tt.text, Options{})
		if strings.Contains(tt.name, "said twice") {
			if len(faults) != 1 { // False and false are two texts
				t.Errorf("%s: %v", tt.name, faults)
			}
			continue
		}
		if len(rows) != 1 || len(faults) > 0 || end != nil {
			t.Errorf("%s: %d rows, %q, %v", tt.name, len(rows), faults, end)
			continue
		}
		if diff := cmp.Diff(tt.want, rows[0].Directory); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestTheTimeOfDisablingStandsWhereTheOperatorSays(t *testing.T) {
	at := time.Date(2026, 8, 1, 10, 30, 0, 0, time.UTC)
	for text, want := range map[string]*time.Time{
		"2026-08-01T10:30:00Z": &at, "2026-08-01T12:30:00+02:00": &at, "20260801103000.0Z": &at, "20260801103000Z": &at, "1785580200": &at,
		"/Date(1785580200000)/": &at, "": nil, " ": nil,
	} {
		rows, faults, end := read(t, "DistinguishedName,extensionAttribute7\n\""+dn+"\",\""+text+"\"\n", Options{DisabledAt: "ExtensionAttribute7"})
		if len(rows) != 1 || len(faults) > 0 || end != nil {
			t.Fatalf("%q: %q %v", text, faults, end)
		}
		if diff := cmp.Diff(want, rows[0].Directory.DisabledAt); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestRowsThatCannotBeReadAreToldWithTheirLine(t *testing.T) {
	row := func(header, cells string) string {
		return "DistinguishedName," + header + "\n\"" + dn + "\"," + cells + "\n\"" + dn + "\"" + strings.Repeat(",", strings.Count(header, ",")+1) + "\n"
	}
	ldif := func(lines string) string { return lines + "\n\ndn: " + dn + "\n" }
	for _, tt := range []struct {
		name, text, want string
	}{
		{"a cell too few", "DistinguishedName,Name,Enabled\n\"" + dn + "\",A\n\"" + dn + "\",A,\n", "line 2: wrong number of fields"},
		{"no DN", "DistinguishedName,Name\n,A\n\"" + dn + "\",A\n", "line 2: there is no distinguished name"},
		{"a DN that is none", "DistinguishedName,Name\nA,A\n\"" + dn + "\",A\n", "line 2: not a distinguished name"},
		{"a DN without a domain", "DistinguishedName,Name\n\"CN=A,OU=D\",A\n\"" + dn + "\",A\n", "no DC parts"},
		{"an object that the directory holds as a conflict", "DistinguishedName,Name\n\"CN=A\\0ACNF:1,DC=x\",A\n\"" + dn + "\",A\n", "control characters"},
		{"Enabled in words of another culture", row("Enabled", "Falsch"), `line 2: enabled is "Falsch"`},
		{"userAccountControl in words", row("userAccountControl", "AccountDisabled"), "no number"},
		{"two that contradict each other", row("Enabled,userAccountControl", "True,4098"), "contradict"},
		{"two columns of one name that differ", row("Name,name", "A,B"), "name is given twice"},
		{"a day without its zone", row("disabledAt", `8/1/2026 12:00:00 AM`), "only times with their zone"},
		{"the time that stands for never", row("disabledAt", `"/Date(-62135596800000)/"`), "only times with their zone"},
		{"a group that is none", row("MemberOf", "Finance"), "memberOf can't be read"},
		{"groups joined by blanks", row("MemberOf", `"CN=G,DC=x CN=H,DC=x"`), "memberOf can't be read"},
		{"a manager that is no DN", row("ManagedBy", `"CN=Doe, Jane"`), "managedBy can't be read"},
		{"the name of a type for a value", row("ManagedBy", "System.String[]"), "name of a type"},
		{"another encoding than it says", row("OperatingSystem", "Ger\xe4t"), "damaged"},
		{"a quote within a cell", row("Name", `A"B`), "line 2: bare"},
		{"a quote that is not closed takes the next row with it", "DistinguishedName,Name\n\"" + dn + "\",\"A\n\"" + dn + "\",B\n\"" + dn + "\",A\n", "nothing up to line 3"},
		{"a line that is no object", "{}\n", "line 1: there is no distinguished name"},
		{"a line that breaks off", "{\"DistinguishedName\":\"" + dn + "\"}\n{\"Name\"", "line 2: no JSON"},
		{"an object where a text belongs", `{"DistinguishedName":"` + dn + `"}` + "\n" + `{"DistinguishedName":{"a":"` + dn + `"}}`, "line 2: distinguishedname is neither"},
		{"a base64 that is none", ldif("dn:: %%%"), "line 1: distinguishedname is no base64"},
		{"a value in another file", ldif("dn: " + dn + "\nname:< file:///etc/hostname"), "line 2: name stands in another file"},
		{"a line without a colon", ldif("dn: " + dn + "\nname"), "line 2: the line has no colon"},
		{"a change", ldif("dn: " + dn + "\nchangetype: modify\nreplace: name"), "line 2: this is a change"},
		{"a list of groups that the server cut", ldif("dn: " + dn + "\nmemberOf;range=0-1499: CN=G,DC=x"), "cut by the server"},
		{"two names", ldif("dn: " + dn + "\nname: A\nname: B"), "given twice"},
		{"an entry without its name", ldif("version: 1\n\nname: A"), "line 3: there is no distinguished name"},
		{"a search that was not whole", ldif("search: 2\nresult: 4 Size limit exceeded"), "result 4"},
		{"a DN that is given twice and differs", ldif("dn: " + dn + "\ndistinguishedName: CN=B,DC=x"), "given twice"},
	} {
		rows, faults, end := read(t, tt.text, Options{})
		if len(faults) != 1 || !strings.Contains(strings.Join(faults, "\n"), tt.want) || end != nil {
			t.Errorf("%s: faults %q, end %v; want %q", tt.name, faults, end, tt.want)
		}
		if want := 1; len(rows) != want && tt.name != "a line that is no object" {
			t.Errorf("%s: %d rows beside it, want %d", tt.name, len(rows), want)
		}
	}
}

func TestWhatIsNoExportEndsAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
		o                Options
	}{
		{"nothing", "", "no export", Options{}},
		{"a text", "Hello\nworld\n", "no export", Options{}},
		{"a table of other things", "Name,Enabled\nA,False\n", "no export", Options{}},
		{"the type alone", "#TYPE x", "no export", Options{}},
		{"UTF-16 without its mark", "D\x00N\x00", "NUL", Options{}},
		{"a list that breaks off", `[{"DistinguishedName":"` + dn + `"},` + "\n{", "line 2: no JSON", Options{}},
		{"a comma before the list's end", `[{"DistinguishedName":"` + dn + `"},]`, "no JSON", Options{}},
		{"a second list that breaks off", `[{"DistinguishedName":"` + dn + `"}][`, "no JSON", Options{}},
		{"two ends of a list", `[{"DistinguishedName":"` + dn + `"}]]`, "no JSON", Options{}},
		{"CSV that is said to be JSON", "DistinguishedName\n", "no JSON", Options{Format: JSON}},
		{"JSON that is said to be CSV", `{"DistinguishedName":"x"}`, "no export", Options{Format: CSV}},
	} {
		_, _, end := read(t, tt.text, tt.o)
		if end == nil || !strings.Contains(end.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, end, tt.want)
		}
	}
}

func TestWhatIsNoComputerIsTold(t *testing.T) {
	for _, text := range []string{
		"dn: OU=D,DC=x\nobjectClass: top\nobjectClass: organizationalUnit\n",
		"DistinguishedName,ObjectClass\n\"CN=u,DC=x\",user\n",
		`[{"DistinguishedName":"CN=u,DC=x","objectClass":["top","user"]}]`,
	} {
		rows, faults, end := read(t, text, Options{})
		if len(rows) != 1 || !rows[0].Foreign || len(faults) > 0 || end != nil {
			t.Errorf("%q: %v %q %v", text, rows, faults, end)
		}
	}
}

func TestAnUnexpandedListIsNoted(t *testing.T) {
	rows, _, _ := read(t, "DistinguishedName,MemberOf\n\""+dn+"\",Microsoft.ActiveDirectory.Management.ADPropertyValueCollection\n\""+dn+"\",\n", Options{})
	if len(rows) != 2 || !rows[0].Unexpanded || rows[1].Unexpanded {
		t.Errorf("%v", rows)
	}
}

func readable(d api.Directory) bool { field, _ := unreadable(d); return field == "" }

// FuzzRead holds that whatever a file holds, every row that is read names an account
// that an event can hold, that lines grow, and that a row's fault spoils no other.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, form := range []Format{Any, CSV, LDIF, JSON} {
			f.Add(b, string(form))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, form string) {
		last, ended := 0, false
		for row, err := range Read(bytes.NewReader(b), Options{Format: Format(form)}) {
			if ended {
				t.Fatal("goes on after its end")
			}
			var fault *Fault
			switch {
			case errors.As(err, &fault):
				if fault.Line < 1 || fault.Problem == "" || slices.Contains(fault.Names, "") {
					t.Fatalf("%+v", fault)
				}
				continue
			case err != nil:
				ended = true
				continue
			}
			if row.Line < last || row.Line > bytes.Count(b, []byte("\n"))+1 {
				t.Fatalf("line %d after %d", row.Line, last)
			}
			last = row.Line
			if d := row.Directory; !row.Foreign && (d.Hostname == "" || d.Domain == "" || len(row.DN) == 0 || !readable(d)) {
				t.Fatalf("%+v", row)
			}
		}
	})
}

func ExampleRead() {
	export := "DistinguishedName,Enabled\n\"CN=A,OU=Disabled,DC=x,DC=test\",False\nnonsense,True\n"
	for row, err := range Read(strings.NewReader(export), Options{}) {
		fmt.Println(row.Directory.Hostname, err)
	}
	// Output:
	// A <nil>
	//  line 3: not a distinguished name: DN ended with incomplete type, value pair
}
