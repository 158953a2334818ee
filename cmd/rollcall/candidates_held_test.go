package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sifted runs the command on an export and an inventory of devices with these
// names. It returns the names for which there are events, in the inventory's order.
func sifted(t *testing.T, ad string, devices []string, more ...string) (code int, found []string, stderr string) {
	t.Helper()
	var fleet strings.Builder
	for i, name := range devices {
		_, _ = fmt.Fprintf(&fleet, `{"id":"00000000-0000-4000-8000-%012d","tenant":{"id":%q},"hostname":%q}`+"\n", i, tenantA, name)
	}
	args := []string{"candidates", "--ad", file(t, "ad", ad), "--inventory", file(t, "fleet.ndjson", fleet.String())}
	if !strings.Contains(strings.Join(more, " "), "--all") {
		args = append(args, "--ou", "OU=Disabled,DC=x,DC=test")
	}
	code, out, stderr := ran(t, nil, append(args, more...)...)
	for line := range strings.Lines(out) {
		for host := range events(t, line) {
			found = append(found, host)
		}
	}
	return code, found, stderr
}

const (
	adHeader = "Name,DNSHostName,SamAccountName,DistinguishedName,Enabled\n"
	deadPC   = `PC,,PC$,"CN=PC,OU=Disabled,DC=x,DC=test",False` + "\n"
	deadTwo  = `OTHER,,OTHER$,"CN=OTHER,OU=Disabled,DC=x,DC=test",False` + "\n"
)

func TestARowThatCannotBeReadHoldsItsNamesakesBack(t *testing.T) {
	for _, tt := range []struct {
		name, row string
		held      bool
	}{
		{"enabled in another language", `PC,,,"CN=PC,OU=Staff,DC=x,DC=test",Wahr`, true},
		{"enabled as a number", `PC,,,"CN=PC,OU=Staff,DC=x,DC=test",1`, true},
		{"in another case of the name", `pc,,,"CN=pc,OU=Staff,DC=x,DC=test",Vrai`, true},
		{"by its name in DNS", `NEW,pc.x.test,,"CN=NEW,OU=Staff,DC=x,DC=test",Wahr`, true},
		{"by the name of its logon", `NEW,,PC$,"CN=NEW,OU=Staff,DC=x,DC=test",Wahr`, true},
		{"below the OUs too", `PC,,,"CN=PC,OU=Old,OU=Disabled,DC=x,DC=test",Wahr`, true},
		{"with a DN that is none, whatever the domain", `PC,,,"PC, Staff",True`, true},
		{"with a DN without a domain", `PC,,,"CN=PC,OU=Staff",True`, true},
		{"as a conflict", `"PC` + "\n" + `CNF:3f2504e0-4f89-41d3-9a0c-0305e82c3301",,,"CN=PC\0ACNF:3f2504e0-4f89-41d3-9a0c-0305e82c3301,OU=Staff,DC=x,DC=test",True`, true},
		{"not in another domain", `PC,,,"CN=PC,OU=Staff,DC=y,DC=test",Wahr`, false},
		{"not by another name", `PD,,,"CN=PD,OU=Staff,DC=x,DC=test",Wahr`, false},
	} {
		code, found, errs := sifted(t, adHeader+deadPC+tt.row+"\n"+deadTwo, []string{"PC", "OTHER"})
		want := []string{"PC", "OTHER"}
		if tt.held {
			want = want[1:]
		}
		if diff := cmp.Diff(want, found); diff != "" || code != exitDone || !strings.Contains(errs, "ad: line 3: ") {
			t.Errorf("%s: %d %s\n%s", tt.name, code, errs, diff)
		}
	}
}

// Rows whose cells stand under other names than their own, as behind the header of a
// second export or after a slip in a spreadsheet, tell nothing of whose they are.
func TestReviewRowsUnderTheWrongHeaderMakeNoEvents(t *testing.T) {
	const inUse = `"CN=PC,OU=Staff,DC=x,DC=test",,True,PC,PC2$` + "\n"
	for name, ad := range map[string]string{
		"behind another header": adHeader + deadPC + deadTwo + "DistinguishedName,DNSHostName,Enabled,Name,SamAccountName\n" + inUse,
		"after a slip":          adHeader + deadPC + inUse + deadTwo,
	} {
		if code, found, errs := sifted(t, ad, []string{"PC", "OTHER"}); code != exitFailed || found != nil || !strings.Contains(errs, "line ") {
			t.Errorf("%s: %d %q %s", name, code, found, errs)
		}
	}
	if code, found, errs := sifted(t, adHeader+deadPC+adHeader+deadTwo, []string{"PC", "OTHER"}); code != exitDone || len(found) != 2 {
		t.Errorf("the same header again: %d %q %s", code, found, errs)
	}
}

// In the columns as Get-ADComputer writes them a slip of one cell makes a row say that
// it is something else than a computer. It is not passed over for that: the account may
// be one in use.
func TestReviewARowThatSlippedIsNoForeignOne(t *testing.T) {
	const (
		header = "DistinguishedName,DNSHostName,Enabled,Name,ObjectClass,ObjectGUID,SamAccountName\n"
		dead   = `"CN=PC,OU=Disabled,DC=x,DC=test",pc.x.test,False,PC,computer,5b0f6c3e-7f0c-4a0e-9d53-0c1d3a3f0001,PC$` + "\n"
		two    = `"CN=OTHER,OU=Disabled,DC=x,DC=test",,False,OTHER,computer,5b0f6c3e-7f0c-4a0e-9d53-0c1d3a3f0002,OTHER$` + "\n"
	)
	for _, tt := range []struct {
		name, row string
		code      int
		want      []string
	}{
		{"a cell too many before the name", `"CN=PC,OU=Staff,DC=x,DC=test",pc.x.test,True,,PC,computer,5b0f6c3e-7f0c-4a0e-9d53-0c1d3a3f0003`, exitDone, []string{"OTHER"}},
		{"the name in DNS is lost", `"CN=PC,OU=Staff,DC=x,DC=test",True,PC,computer,5b0f6c3e-7f0c-4a0e-9d53-0c1d3a3f0003,PC$,`, exitDone, []string{"OTHER"}},
		{"the distinguished name is lost", `pc.x.test,True,PC,computer,5b0f6c3e-7f0c-4a0e-9d53-0c1d3a3f0003,PC$,`, exitFailed, nil},
		{"a user of the name", `"CN=PC,OU=Staff,DC=x,DC=test",,True,PC,user,5b0f6c3e-7f0c-4a0e-9d53-0c1d3a3f0003,pc`, exitDone, []string{"PC", "OTHER"}},
		{"an account for services", `"CN=svc,OU=Staff,DC=x,DC=test",svc.x.test,True,svc,msDS-GroupManagedServiceAccount,5b0f6c3e-7f0c-4a0e-9d53-0c1d3a3f0003,svc$`, exitDone, []string{"PC", "OTHER"}},
	} {
		code, found, errs := sifted(t, header+dead+tt.row+"\n"+two, []string{"PC", "OTHER"})
		if diff := cmp.Diff(tt.want, found); diff != "" || code != tt.code {
			t.Errorf("%s: %d %s\n%s", tt.name, code, errs, diff)
		}
	}
}

func TestWhyAnAccountIsHeldBackIsTold(t *testing.T) {
	left := filepath.Join(t.TempDir(), "left")
	code, _, errs := sifted(t, adHeader+deadPC+`PC,,,"CN=PC,OU=Staff,DC=x,DC=test",Wahr`+"\n"+
		deadTwo+`OTHER,,,"CN=OTHER,OU=Staff,DC=x,DC=test",True`+"\n", []string{"PC", "OTHER"}, "--unmatched", left)
	text, err := os.ReadFile(left)
	if code != exitDone || err != nil || !strings.Contains(errs, "held back 2") || !strings.Contains(string(text), "line 3 of the export") || !strings.Contains(string(text), "line 5 of the export") {
		t.Errorf("%d %s %v\n%s", code, errs, err, text)
	}
}

func TestARowOfNobodyEndsItUnlessItIsLeftOut(t *testing.T) {
	const bad = `,"CN=PC,OU=Staff,DC=x,DC=test",True` + "\n"
	for name, ad := range map[string]string{
		"a row of too few cells": adHeader + deadPC + bad + deadTwo, "a quote that is not closed": adHeader + deadPC + deadTwo + `"PC,,,"CN=PC,OU=Staff,DC=x,DC=test",True`,
		"a damaged name": adHeader + deadPC + "\xff" + `PC,,,"CN=PC,OU=Staff,DC=x,DC=test",Wahr` + "\n" + deadTwo,
		"a search that was not whole": "dn: CN=PC,OU=Disabled,DC=x,DC=test\nuserAccountControl: 514\n\ndn: CN=OTHER,OU=Disabled,DC=x,DC=test\nuserAccountControl: 514\n\n" +
			"search: 2\nresult: 4 Size limit exceeded\n",
		"a line that is no JSON": `{"DistinguishedName":"CN=PC,OU=Disabled,DC=x,DC=test"}` + "\n" + `{"DistinguishedName":"CN=PC,OU=Staff` + "\n" + `{"DistinguishedName":"CN=OTHER,OU=Disabled,DC=x,DC=test"}` + "\n",
	} {
		out := filepath.Join(t.TempDir(), "events")
		code, found, errs := sifted(t, ad, []string{"PC", "OTHER"}, "--out", out)
		if _, err := os.Stat(out); err == nil || code != exitFailed || found != nil || !strings.Contains(errs, "--skip-unreadable") || !strings.Contains(errs, ": line ") {
			t.Errorf("%s: %d %q %s", name, code, found, errs)
		}
		code, found, errs = sifted(t, ad, []string{"PC", "OTHER"}, "--skip-unreadable")
		want := []string{"PC", "OTHER"}
		if name == "a damaged name" { // its DN still says whose it is
			want = want[1:]
		}
		if diff := cmp.Diff(want, found); diff != "" || code != exitDone || !strings.Contains(errs, "unreadable 1") {
			t.Errorf("%s, left out: %d %s\n%s", name, code, errs, diff)
		}
	}
}

func TestStrictAndLeavingOutContradictEachOther(t *testing.T) {
	if code, _, errs := sifted(t, adHeader+deadPC, []string{"PC"}, "--strict", "--skip-unreadable"); code != exitUsage || !strings.Contains(errs, "contradict") {
		t.Errorf("%d %s", code, errs)
	}
}

func TestACutNameIsHeldBackByWhatMayBeTheSame(t *testing.T) {
	const cut, long, second = "FIFTEEN-LETTERS", "FIFTEEN-LETTERS-AND-MORE", "FIFTEEN-LETTERS-TOO"
	row := func(name, ou, enabled string) string {
		return fmt.Sprintf("%s,,,\"CN=%s,OU=%s,DC=x,DC=test\",%s\n", name, name, ou, enabled)
	}
	for _, tt := range []struct {
		name, dead, other, device string
		held                      bool
	}{
		{"the cut name finds the device of the whole one", cut, row("PC", "Staff", "True"), long, false},
		{"and not where an account in use has the whole", cut, row(long, "Staff", "True"), long, true},
		{"nor one that can't be read", cut, row(long, "Staff", "Wahr"), long, true},
		{"nor where one in use has the cut name too", cut, row(cut, "Staff", "True"), long, true},
		{"the whole name finds the device of the cut one", long, row("PC", "Staff", "True"), cut, false},
		{"and not where an account in use has the cut name", long, row(cut, "Staff", "True"), cut, true},
		{"nor where one has another name that is cut to it", long, row(second, "Staff", "True"), cut, true},
		{"a name of 15 characters is not sure where one in use is cut to it", cut, row(long, "Staff", "True"), cut, true},
		{"nor a longer one, of which one in use is the begin", long, row(cut, "Staff", "True"), long, true},
		{"two longer names are two names", long, row(second, "Staff", "True"), long, false},
		{"one of another domain is another's", cut, `L,,,"CN=` + long + `,OU=Staff,DC=y,DC=test",True` + "\n", long, false},
		{"a whole name that is held back is not looked for by its begin", cut, row(long, "Disabled", "False") + row(long, "Staff", "True"), long, true},
	} {
		code, found, errs := sifted(t, adHeader+row(tt.dead, "Disabled", "False")+tt.other, []string{tt.device})
		if code != exitDone || (len(found) == 0) != tt.held {
			t.Errorf("%s: %d %q %s", tt.name, code, found, errs)
		}
	}
}

func TestANameOfLogonThatIsInUseHoldsBack(t *testing.T) {
	code, found, errs := sifted(t, adHeader+deadPC+`NEW,,PC$,"CN=NEW,OU=Staff,DC=x,DC=test",True`+"\n", []string{"PC"})
	if code != exitDone || found != nil {
		t.Errorf("%d %q %s", code, found, errs)
	}
	// That of a long name is its begin, and says nothing of other long ones.
	code, found, errs = sifted(t, adHeader+`FINANCE-MACBOOK-02,,FINANCE-MACBOO1$,"CN=FINANCE-MACBOOK-02,OU=Disabled,DC=x,DC=test",False`+"\n"+
		`FINANCE-MACBOOK-01,,FINANCE-MACBOOK$,"CN=FINANCE-MACBOOK-01,OU=Staff,DC=x,DC=test",True`+"\n", []string{"FINANCE-MACBOOK-02"})
	if code != exitDone || len(found) != 1 {
		t.Errorf("a long name: %d %q %s", code, found, errs)
	}
}

func TestWithEveryAccountOneOfUnknownStateHoldsTheOthersBack(t *testing.T) {
	ad := adHeader + deadPC + `PC,,,"CN=PC,OU=Staff,DC=x,DC=test",` + "\n" + `OTHER,,,"CN=OTHER,OU=Staff,DC=x,DC=test",` + "\n"
	code, found, errs := sifted(t, ad, []string{"PC", "OTHER"}, "--all")
	if diff := cmp.Diff([]string{"PC", "OTHER"}, found); diff != "" || code != exitDone || !strings.Contains(errs, "held back 1") {
		t.Errorf("%d %s\n%s", code, errs, diff)
	}
}

func TestAnAccountThatLoggedOnAfterCentralLastHeardOfItsDeviceIsHeldBack(t *testing.T) {
	fleet := func(lastSeen string) string {
		return file(t, "fleet.ndjson", fmt.Sprintf(`{"id":%q,"tenant":{"id":%q},"hostname":"PC","lastSeenAt":%s}`+"\n", deviceA, tenantA, lastSeen))
	}
	// 134299584000000000 is 2026-07-31T08:00:00Z
	dead := file(t, "ad", "Name,DistinguishedName,Enabled,lastLogonTimestamp\n"+`PC,"CN=PC,OU=Disabled,DC=x,DC=test",False,134299584000000000`+"\n")
	for _, tt := range []struct {
		name, lastSeen string
		held           bool
	}{
		{"long after", `"2026-05-01T00:00:00Z"`, true}, {"a little more than a day after", `"2026-07-30T07:00:00Z"`, true},
		{"a little less", `"2026-07-30T09:00:00.000Z"`, false}, {"before", `"2026-08-05T00:00:00Z"`, false}, {"nobody knows", `null`, false},
	} {
		left := filepath.Join(t.TempDir(), "left")
		code, out, errs := ran(t, nil, "candidates", "--ad", dead, "--all", "--inventory", fleet(tt.lastSeen), "--unmatched", left)
		why, err := os.ReadFile(left)
		if code != exitDone || (out == "") != tt.held || err != nil || strings.Contains(string(why), "logged on at 2026-07-31T08:00:00Z") != tt.held {
			t.Errorf("%s: %d %s%s%s %v", tt.name, code, out, errs, why, err)
		}
	}
}

func TestAnExportOfTheOUsAloneIsNoted(t *testing.T) {
	const note = "no account outside the OUs"
	if code, _, errs := sifted(t, adHeader+deadPC, []string{"PC"}); code != exitDone || !strings.Contains(errs, note) {
		t.Errorf("%d %s", code, errs)
	}
	if code, _, errs := sifted(t, adHeader+deadPC+`NEW,,,"CN=NEW,OU=Staff,DC=x,DC=test",True`+"\n", []string{"PC"}); code != exitDone || strings.Contains(errs, note) {
		t.Errorf("%d %s", code, errs)
	}
}

func TestTheAgeOfStandardInputIsNotGuessed(t *testing.T) {
	fleet := file(t, "fleet.ndjson", fmt.Sprintf(`{"id":%q,"tenant":{"id":%q},"hostname":"PC"}`+"\n", deviceA, tenantA))
	piped := func(more ...string) (int, string, string) {
		var out, errs buffer
		code := run(t.Context(), append([]string{"candidates", "--ad", "-", "--all", "--inventory", fleet}, more...), nil, strings.NewReader(adHeader+deadPC), &out, &errs)
		return code, out.String(), errs.String()
	}
	if code, out, errs := piped(); code != exitUsage || out != "" || !strings.Contains(errs, "--observed-at") {
		t.Errorf("without a time: %d %s%s", code, out, errs)
	}
	if code, out, errs := piped("--observed-at", "2026-03-01T12:00:00Z"); code != exitDone || !strings.Contains(out, `"observedAt":"2026-03-01T12:00:00Z"`) {
		t.Errorf("with one: %d %s%s", code, out, errs)
	}
	before := time.Now().UTC().Truncate(time.Second)
	code, out, errs := piped("--observed-at", "now")
	found := events(t, out)["PC"]
	if code != exitDone || len(found) != 1 {
		t.Fatalf("now: %d %s%s", code, out, errs)
	}
	text, _ := found[0]["observedAt"].(string)
	if at, err := time.Parse(time.RFC3339, text); err != nil || at.Before(before) || at.After(time.Now()) {
		t.Errorf("now is %q: %v", text, err)
	}
}
