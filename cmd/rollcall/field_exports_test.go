package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The rows of the field's exports: each file as people have it.
func fieldExports() []fieldRow {
	dead := []string{"PC-01"}
	refused := func(name, file string, says ...string) fieldRow {
		return fieldRow{name: name, file: file, code: exitFailed, says: says}
	}
	return []fieldRow{
		{name: "a plain export", file: "00-control.csv", found: dead},
		{name: "csvde names its first column DN", file: "01-csvde.csv", found: dead},
		{name: "csvde without -l has both columns", file: "01b-csvde-all.csv", found: dead},
		{name: "a report with DN and AccountIsDisabled", file: "45-quest.csv", found: dead},
		{name: "a last logon that lost its digits", file: "03-excel-filetime.csv", held: []string{"last logon", "1.34299E+17", "unknown"}},
		{name: "the same with all digits", file: "03-control.csv", held: []string{"logged on at 2026-07-31T08:00:00Z"}},
		{name: "a last logon in the words of a culture", file: "04-calculated-logon.csv", held: []string{"last logon", "7/31/2026 8:00:00 AM"}},
		{name: "the words for never", file: "48-zero-logon.csv", found: dead},
		{name: "a name that a spreadsheet took for a date, in use", file: "05a-excel-name-inuse.csv", says: []string{"line 3", "1-Mar", "MAR-01", "spreadsheet"}, held: []string{"MAR-01", "line 3"}},
		{name: "a name that a spreadsheet took for a number, in use", file: "05b-excel-name-inuse.csv", says: []string{"line 3", "00123"}, held: []string{"00123", "line 3"}},
		{name: "both rows taken for a date", file: "05a-excel-name.csv", says: []string{"1-Mar"}, code: exitFailed},
		{name: "both rows taken for a number", file: "05b-excel-name.csv", says: []string{"00123"}, code: exitFailed},
		{name: "types in place of values", file: "06-adsi-types.csv", says: []string{"the name of a type"}, held: []string{"last logon", "System.__ComObject"}},
		{name: "a searcher's properties, all lists", file: "07-adsi.json", found: dead},
		{name: "a list that is wrapped", file: "08-wrapped.json", found: dead},
		{name: "a date as an object", file: "09-displayhint.json", held: []string{"logged on at 2026-07-31T08:00:00Z"}},
		{name: "disabledAt as an object", file: "09b-disabledat-displayhint.json", found: dead},
		{name: "question marks for letters", file: "10-ascii.csv", code: exitFailed, says: []string{"question mark", "-Encoding UTF8"}},
		{name: "the OU lost its letters", file: "10b-ascii-ou.csv", ou: "OU=Ausgemusterte Geräte,DC=x,DC=test", says: []string{"no account", "below the OUs", "-Encoding UTF8"}},
		{name: "Windows-1252", file: "27-ansi.csv", says: []string{"not UTF-8", "-Encoding UTF8", "csvde -u"}},
		{name: "a spreadsheet's first line", file: "11-sep.csv", found: dead},
		{name: "empty rows", file: "12-empty-rows.csv", found: dead, silent: []string{"unreadable 2"}},
		refused("the last cells left out", "12b-short-rows.csv", "cells are missing at the end", "--skip-unreadable", "namesake"),
		{name: "Search-ADAccount", file: "13-search-adaccount.csv", says: []string{"no account outside the OUs"}, held: []string{"last logon", "31.07.2026"}},
		refused("another tool's list", "14-bloodhound.json", "no export of computer accounts"),
		{name: "an objectGUID in another file", file: "15-ldapsearch-t.ldif", found: dead},
		{name: "deleted objects", file: "16-deleted.csv", found: dead},
		{name: "a domain controller, disabled and moved", file: "17-dc.csv", found: dead},
		{name: "every escape of a DN", file: "18-dn.csv", found: []string{"PC-01", "PC-02"}, says: []string{"14 of them below the OUs"}},
		refused("a table of dsquery", "21-dsquery.txt"), refused("Format-List", "22-format-list.txt"), refused("pipes between the cells", "23-pipe.csv"),
		refused("title lines", "24-title.csv"), refused("a header of its own", "25-distinguished-name.csv"), refused("a footer", "26-footer.csv", "line 5"),
		refused("CR alone", "39-cr-only.csv"), refused("a workbook", "40-xlsx.xlsx"),
		{name: "userAccountControl in hexadecimal", file: "28-uac-hex.csv", code: exitFailed, says: []string{"no number"}},
		{name: "an account listed twice", file: "31-twice.csv", found: dead},
		{name: "two domains", file: "32-forest.csv", ou: "OU=Disabled,DC=y,DC=test", found: dead},
		{name: "pages", file: "33-paged.ldif", found: dead},
		{name: "ldbsearch", file: "34-ldbsearch.ldif", found: dead},
		refused("extended DNs", "35-extended-dn.ldif"),
		{name: "cells over several lines", file: "36-multiline.csv", found: dead},
		{name: "Unicode text", file: "37-unicode-text.txt", found: dead},
		{name: "two files copied together", file: "38-copy-b.csv", found: dead, says: []string{"line 3"}},
		{name: "groups joined by pipes and commas", file: "41-memberof-pipe.csv", code: exitFailed, says: []string{"memberOf can't be read"}},
		{name: "names in place of the groups' DNs", file: "42-memberof-names.csv", says: []string{"memberOf can't be read"}},
		{name: "a manager's display name", file: "43-managedby-name.csv", found: dead, says: []string{"managedBy", "vip.users"}},
		{name: "a decomposed umlaut", file: "44-nfd.csv", found: []string{"BÜRO-1"}},
		{name: "a comment's date", file: "46-comment-date.csv", more: []string{"--disabled-at-field", "comment"}, says: []string{"only times with their zone"}},
	}
}

func TestExportsAsPeopleHaveThem(t *testing.T) {
	t.Parallel()
	for _, row := range fieldExports() {
		t.Run(row.name, func(t *testing.T) { row.sifted(t, false) })
	}
}

func TestInventoriesAsPeopleHaveThem(t *testing.T) {
	t.Parallel()
	dead := []string{"PC-01"}
	for _, row := range []fieldRow{
		{name: "JSON of rollcall", file: "19-inventory.json", found: dead},
		{name: "CSV", file: "19c-inventory.csv", code: exitFailed, says: []string{"CSV", "--format ndjson"}, silent: []string{"line 2"}},
		{name: "UTF-16", file: "19b-inventory-utf16.ndjson", found: dead},
	} {
		t.Run(row.name, func(t *testing.T) { row.sifted(t, true) })
	}
}

func TestAnEventTellsWhatTheExportSaysOfTheAccount(t *testing.T) {
	t.Parallel()
	fleet := filepath.Join(fieldFolder, "fleet.ndjson")
	for name, want := range map[string]string{
		"17-dc.csv":                       `"primaryGroupId":516,"userAccountControl":532482`,
		"30e-rig-dc-server.csv":           `"primaryGroupId":521,"userAccountControl":83890178`,
		"09b-disabledat-displayhint.json": `"disabledAt":"2026-05-01T06:00:00Z"`,
		"45-quest.csv":                    `"enabled":false`,
		"01-csvde.csv":                    `"objectGuid":"33221100-5544-7766-8899-aabbccddeeff"`,
	} {
		if code, out, errs := ran(t, nil, "candidates", "--ad", filepath.Join(fieldFolder, name), "--ou", "OU=Disabled,DC=x,DC=test", "--inventory", fleet); code != exitDone || !strings.Contains(out, want) {
			t.Errorf("%s: %d %s%s, want %s", name, code, out, errs, want)
		}
	}
}

func TestFilesForRetireAsPeopleHaveThem(t *testing.T) {
	t.Parallel()
	environ := fieldRig(t)
	for _, tt := range []struct {
		name, file string
		devices    int
		code       int
		says       []string
	}{
		{"UTF-16 of the inventory", "19b-inventory-utf16.ndjson", 1, exitDone, nil},
		{"events in UTF-16", "19l-events-utf16.ndjson", 1, exitDone, nil},
		{"CSV in UTF-16", "19d-inventory-utf16.csv", 1, exitDone, nil},
		{"empty rows", "19g-inventory-empty-rows.csv", 1, exitDone, nil},
		{"the last cells left out", "19k-inventory-excel-blocks.csv", 32, exitDone, nil},
		{"one page of Central's", "19h-central-page.json", 1, exitDone, nil},
		{"a list of Central's UI", "19i-ui-export.csv", 0, exitFailed, []string{"tenantId", "rollcall inventory"}},
		{"what the connector writes", "29-connector.json", 2, exitDone, nil},
		{"an export of AD", "00-control.csv", 0, exitFailed, []string{"rollcall candidates"}},
		{"an export of AD as JSON", "07-adsi.json", 0, exitFailed, []string{"rollcall candidates"}},
		{"an export of AD as LDIF", "33-paged.ldif", 0, exitFailed, []string{"rollcall candidates"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, devices, errs := retired(t, environ, filepath.Join(fieldFolder, tt.file))
			if code != tt.code || len(devices) != tt.devices {
				t.Errorf("exit %d, %d devices; want %d, %d: %s", code, len(devices), tt.code, tt.devices, errs)
			}
			fieldRow{says: tt.says}.told(t, errs)
			for _, d := range devices {
				if d.Verdict == "delete" {
					t.Errorf("%s is to be deleted by an inventory or an old event", d.Hostname)
				}
			}
		})
	}
}

func TestExportsToTheEnd(t *testing.T) {
	t.Parallel()
	environ := fieldRig(t)
	for _, tt := range []struct {
		name, file, ou string
		want           map[string]string
	}{
		{"a plain export", "30a-rig-plain.csv", "", map[string]string{"PC-01": "delete ELIGIBLE"}},
		{"a last logon that lost its digits", "30b-rig-logon-sci.csv", "", nil},
		{"a name that a spreadsheet changed", "30c-rig-name-excel.csv", "", nil},
		{"a domain controller", "30d-rig-dc.csv", "", map[string]string{"PC-01": "keep PROTECTED_ROLE"}},
		{"a read-only one", "30e-rig-dc-server.csv", "", map[string]string{"PC-01": "keep PROTECTED_ROLE"}},
		{"two domains", "32-forest.csv", "OU=Disabled,DC=y,DC=test", map[string]string{"PC-01": "skip NOT_IN_SCOPE"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, toTheEnd(t, environ, filepath.Join(fieldFolder, tt.file), tt.ou)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
