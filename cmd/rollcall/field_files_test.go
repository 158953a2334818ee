package main

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// fieldDevice is a device of the inventory, over several lines where it is indented.
func fieldDevice(n int, indented bool) string {
	text := fmt.Sprintf(`{"id":"00000000-0000-4000-8000-%012d","tenant":{"id":%q},"hostname":"PC-%02d","lastSeenAt":"2026-03-01T09:00:00.000Z"}`, n, tenantA, n)
	if indented {
		text = strings.NewReplacer("{", "{\n  ", ",", ",\n  ", "}", "\n}").Replace(text)
	}
	return text
}

func TestListsOfDevicesInEveryShape(t *testing.T) {
	t.Parallel()
	environ := fieldRig(t)
	header := "tenantId,endpointId,hostname,skipped\r\n"
	cells := func(n int) string { return fmt.Sprintf("%s,00000000-0000-4000-8000-%012d,PC-%02d", tenantA, n, n) }
	tabs := strings.NewReplacer(",", "\t").Replace
	for name, tt := range map[string]struct {
		text      string
		inventory bool // candidates reads it too
	}{
		"indented objects one after another":      {fieldDevice(1, true) + "\n" + fieldDevice(2, true) + "\n", true},
		"indented objects with nothing between":   {fieldDevice(1, true) + fieldDevice(2, true), true},
		"the connector's list on one line":        {`{"1":` + fieldDevice(1, false) + `,"2":` + fieldDevice(2, false) + "}", true},
		"the connector's list after an edit":      {"{\n\"7\": " + fieldDevice(1, true) + ",\n\"19\": " + fieldDevice(2, true) + "\n}\n", true},
		"two of the connector's lists":            {`{"1":` + fieldDevice(1, false) + "}\n" + `{"1":` + fieldDevice(2, false) + "}\n", true},
		"the connector's list in UTF-16":          {wide(binary.LittleEndian, `{"1":`+fieldDevice(1, true)+`,"2":`+fieldDevice(2, true)+"}"), true},
		"a list":                                  {"[\n" + fieldDevice(1, true) + ",\n" + fieldDevice(2, true) + "]", true},
		"a list in UTF-16 of another order":       {wide(binary.BigEndian, "["+fieldDevice(1, false)+","+fieldDevice(2, false)+"]"), true},
		"the items of a list":                     {`{"items":[` + fieldDevice(1, false) + "," + fieldDevice(2, false) + `],"count":2,"next":null}`, true},
		"lines with the sign that ends a file":    {fieldDevice(1, false) + "\r\n" + fieldDevice(2, false) + "\r\n\x1a", true},
		"CSV with tabs":                           {tabs(header + cells(1) + ",\r\n" + cells(2) + ",\r\n"), false},
		"CSV with tabs in UTF-16":                 {wide(binary.LittleEndian, tabs(header+cells(1)+",\r\n"+cells(2)+",\r\n")), false},
		"CSV with sep":                            {"sep=;\r\n" + strings.ReplaceAll(header+cells(1)+",\r\n"+cells(2)+",\r\n", ",", ";"), false},
		"CSV with its last cells cut":             {header + cells(1) + "\r\n" + cells(2) + "\r\n,,,\r\n,\r\n", false},
		"CSV with empty cells behind, and a sign": {header + cells(1) + ",,,\r\n" + cells(2) + ",,,,\r\n\x1a", false},
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t, "devices", tt.text)
			code, devices, errs := retired(t, environ, path)
			if code != exitDone || len(devices) != 2 {
				t.Errorf("retire: %d, %d devices: %s", code, len(devices), errs)
			}
			if tt.inventory {
				fieldRow{text: tt.text, found: []string{"PC-01"}}.sifted(t, true)
			}
		})
	}
}

func TestFilesForAnotherCommandSaySoOnce(t *testing.T) {
	t.Parallel()
	environ := fieldRig(t)
	for _, tt := range []struct{ name, text, says string }{
		{"an export of AD of many rows", "\"DistinguishedName\";\"Enabled\"\r\n" + strings.Repeat(strings.ReplaceAll(inOU, ",", `,`)+";\"False\"\r\n", 26), "rollcall candidates"},
		{"one with a type", "#TYPE Microsoft.ActiveDirectory.Management.ADComputer\r\n\"DistinguishedName\"\r\n" + inOU + "\r\n", "rollcall candidates"},
		{"one of csvde", "DN,objectClass\r\n" + inOU + ",computer\r\n", "rollcall candidates"},
		{"one in lines of JSON", strings.Repeat(`{"DistinguishedName":"CN=PC-01,OU=Disabled,DC=x,DC=test"}`+"\n", 26), "rollcall candidates"},
		{"one in LDIF behind remarks", "# extended LDIF\n#\ndn: CN=PC-01,DC=x\n", "rollcall candidates"},
		{"UTF-16 without its mark", wide(binary.LittleEndian, fieldDevice(1, false))[2:], "NUL"},
		{"a workbook", "PK\x03\x04\x14\x00", "another archive"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := file(t, "devices", tt.text)
			for what, args := range map[string][]string{
				"retire":      {"retire", "--file", path, "--journal", filepath.Join(t.TempDir(), "journal")},
				"--inventory": {"candidates", "--ad", filepath.Join(fieldFolder, "00-control.csv"), "--all", "--inventory", path},
			} {
				code, _, errs := ran(t, environ, args...)
				if what == "--inventory" && strings.Contains(tt.name, "lines of JSON") {
					continue // a device without an id is a row's fault there
				}
				fieldRow{says: []string{tt.says}}.told(t, errs)
				if code != exitFailed || strings.Count(errs, tt.says) != 1 && what == "--inventory" {
					t.Errorf("%s: %d %s", what, code, errs)
				}
			}
		})
	}
}
