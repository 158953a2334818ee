package main

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

const (
	inOU    = `"CN=PC-01,OU=Disabled,DC=x,DC=test"`
	inStaff = `"CN=PC-02,OU=Staff,DC=x,DC=test"`
)

// wide is a text in UTF-16 with its byte order mark.
func wide(order binary.AppendByteOrder, text string) string {
	var out []byte
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		out = order.AppendUint16(out, unit)
	}
	return string(out)
}

// withLogon is an export of PC-01 with one attribute of its logon.
func withLogon(attribute, value string) string {
	return "DistinguishedName,Enabled,Name," + attribute + "\r\n" + inOU + ",False,PC-01,\"" + value + "\"\r\n" + inStaff + ",True,PC-02,\r\n"
}

func TestALogonThatCannotBeReadIsNeverOld(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, attribute, value string }{
		{"lower case and no sign", "lastLogonTimestamp", "1.34299e17"},
		{"a comma for the point", "lastLogonTimestamp", "1,34299E+17"},
		{"one digit too few", "lastLogonTimestamp", "1.3429958400000000E+17"},
		{"more digits than an exponent tells, and not whole", "lastLogonTimestamp", "1.342995840000000001E+17"},
		{"another attribute", "lastLogon", "1.3E+17"},
		{"points between the thousands", "lastLogonTimestamp", "134.299.584.000.000.000"},
		{"seconds since 1970", "lastLogonTimestamp", "1785484800"},
		{"milliseconds since 1970", "lastLogonTimestamp", "1785484800000"},
		{"below zero", "lastLogon", "-1"},
		{"more than AD counts", "lastLogon", "9223372036854775807"},
		{"a German date", "LastLogonDate", "31.07.2026 10:00:00"},
		{"a date in words", "LastLogonDate", "Friday, July 31, 2026 8:00:00 AM"},
		{"a date without its zone", "LastLogonDate", "2026-07-31 08:00:00"},
		{"two digits of the year, and the time without a colon", "LastLogonDate", "31/07/26 1600"},
		{"a day of a spreadsheet", "LastLogonDate", "46234.33"},
		{"the sign of a column that is too narrow", "LastLogonDate", "########"},
		{"the type of a large integer", "lastLogonTimestamp", "System.__ComObject"},
		{"the type of a list", "lastLogon", "Microsoft.ActiveDirectory.Management.ADPropertyValueCollection"},
		{"never in another language", "LastLogonDate", "Nie"},
		{"1601 as a time of the day", "LastLogonDate", "12/30/2025 1601"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fieldRow{text: withLogon(tt.attribute, tt.value), held: []string{"last logon is unknown", strings.ToLower(tt.attribute)}}.sifted(t, false)
		})
	}
	for name, ad := range map[string]string{
		"a large integer's two halves":   `[{"DistinguishedName":"CN=PC-01,OU=Disabled,DC=x,DC=test","Enabled":false,"lastLogonTimestamp":{"HighPart":31268935,"LowPart":0}}]`,
		"a number in JSON that is cut":   `[{"DistinguishedName":"CN=PC-01,OU=Disabled,DC=x,DC=test","Enabled":false,"lastLogon":1.34299e+17}]`,
		"one that can be read beside it": "DistinguishedName,Enabled,lastLogon,lastLogonTimestamp\n" + inOU + ",False,133800000000000000,1.34299E+17\n",
		"words beside a stamp of never":  "DistinguishedName,Enabled,lastLogonTimestamp,LastLogonDate\n" + inOU + ",False,0,31.07.2026 10:00\n",
	} {
		t.Run(name, func(t *testing.T) { fieldRow{text: ad, held: []string{"last logon is unknown"}}.sifted(t, false) })
	}
}

func TestALogonThatNeverWasOrIsOldHoldsNobodyBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, attribute, value string }{
		{"nothing", "lastLogonTimestamp", ""}, {"blanks", "lastLogonTimestamp", "  "}, {"zero", "lastLogonTimestamp", "0"}, {"the word", "LastLogonDate", "Never"},
		{"1601 in England", "LastLogonDate", "01/01/1601 00:00:00"}, {"1601 in Germany", "LastLogonDate", "01.01.1601 01:00:00"},
		{"1601 in ISO", "LastLogonDate", "1601-01-01T00:00:00Z"}, {"1600 in Sweden", "LastLogonDate", "1600-12-31 19:00:00"},
		{"1601 in words", "LastLogonDate", "Monday, January 1, 1601 12:00:00 AM"}, {"1601 of LDAP", "LastLogonDate", "16010101000000.0Z"},
		{"1601 of JSON", "LastLogonDate", "/Date(-11644473600000)/"}, {"the year 1", "LastLogonDate", "1/1/0001 12:00:00 AM"},
		{"all digits behind an exponent", "lastLogonTimestamp", "1.33900000000000000E+17"}, {"an old stamp", "lastLogonTimestamp", "133900000000000000"},
		{"an old time in ISO", "lastLogonTimestamp", "2025-04-25T08:00:00Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fieldRow{text: withLogon(tt.attribute, tt.value), found: []string{"PC-01"}}.sifted(t, false)
		})
	}
	t.Run("the words of a culture beside the stamp of which they are made", func(t *testing.T) {
		fieldRow{text: "DistinguishedName,Enabled,LastLogonDate,lastLogonTimestamp\n" + inOU + ",False,4/25/2025 8:00:00 AM,133900000000000000\n", found: []string{"PC-01"}}.sifted(t, false)
	})
	t.Run("an exact exponent of a late one holds back as the number does", func(t *testing.T) {
		fieldRow{text: withLogon("lastLogonTimestamp", "1.34299584000000000E+17"), held: []string{"logged on at 2026-07-31T08:00:00Z"}}.sifted(t, false)
	})
}

func TestNamesThatContradictTheDNHoldTheirNamesakesBack(t *testing.T) {
	t.Parallel()
	const header = "DistinguishedName,Enabled,Name,CN,SamAccountName\n"
	dead := func(name string) string {
		return fmt.Sprintf("\"CN=%s,OU=Disabled,DC=x,DC=test\",FALSE,%s,,\n", name, name)
	}
	for _, tt := range []struct{ name, text string }{
		{"a month of another language", header + dead("MAR-01") + `"CN=MAR-01,OU=Staff,DC=x,DC=test",TRUE,01. Mrz,,` + "\n"},
		{"a date with its year", header + dead("MAR-01") + `"CN=MAR-01,OU=Staff,DC=x,DC=test",TRUE,01.03.2026,,` + "\n"},
		{"a number with an exponent", header + dead("00123") + `"CN=00123,OU=Staff,DC=x,DC=test",TRUE,1.23E+02,,` + "\n"},
		{"the name under cn", header + dead("00123") + `"CN=00123,OU=Staff,DC=x,DC=test",TRUE,,123,` + "\n"},
		{"the name of the dead one in a row of another", header + dead("00123") + `"CN=PC-77,OU=Staff,DC=x,DC=test",TRUE,00123,,` + "\n"},
		{"only cn differs, and the name of logon is the dead one's", header + dead("00123") + `"CN=PC-77,OU=Staff,DC=x,DC=test",TRUE,PC-77,PC-78,00123$` + "\n"},
		{"in JSON", `[{"DistinguishedName":"CN=00123,OU=Disabled,DC=x,DC=test","Name":"00123","Enabled":false},` + "\n" + `{"DistinguishedName":"CN=00123,OU=Staff,DC=x,DC=test","Name":123,"Enabled":true}]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fieldRow{text: tt.text, says: []string{"AD can't say"}, held: []string{"can't be read"}}.sifted(t, false)
		})
	}
	for name, row := range map[string]string{
		"a type in place of the name":    `"CN=MAR-01,OU=Staff,DC=x,DC=test",TRUE,System.Object[],,`,
		"another type":                   `"CN=MAR-01,OU=Staff,DC=x,DC=test",TRUE,Microsoft.ActiveDirectory.Management.ADPropertyValueCollection,,`,
		"a searcher's type":              `"CN=MAR-01,OU=Staff,DC=x,DC=test",TRUE,System.DirectoryServices.ResultPropertyValueCollection,,`,
		"a type in place of the logon's": `"CN=MAR-01,OU=Staff,DC=x,DC=test",TRUE,MAR-01,,System.String[]`,
		"a list of its own type":         `"CN=MAR-01,OU=Staff,DC=x,DC=test",TRUE,` + "System.Collections.Generic.List`1[System.String],,",
	} {
		t.Run(name, func(t *testing.T) {
			fieldRow{text: header + dead("MAR-01") + row + "\n", code: exitFailed, says: []string{"name of a type", "namesake"}}.sifted(t, false)
			fieldRow{text: header + dead("MAR-01") + row + "\n", more: []string{"--skip-unreadable"}, held: []string{"MAR-01", "line 3"}}.sifted(t, false)
		})
	}
	t.Run("the domain behind the name is no contradiction", func(t *testing.T) {
		fieldRow{text: header + inOU + ",FALSE,PC-01.x.test,,\n", found: []string{"PC-01"}}.sifted(t, false)
	})
	t.Run("the same name in another case and spelling is no contradiction", func(t *testing.T) {
		fieldRow{text: header + `"CN=pc-01,OU=Disabled,DC=x,DC=test",FALSE,PC-01,,` + "\n" + "\"CN=BU\u0308RO-1,OU=Disabled,DC=x,DC=test\",FALSE,BÜRO-1,,\n", found: []string{"BÜRO-1", "PC-01"}}.sifted(t, false)
	})
}

func TestDomainControllersAreToldToTheEnd(t *testing.T) {
	t.Parallel()
	environ := fieldRig(t)
	row := func(columns, cells string) string {
		return "DistinguishedName,Enabled,Name,OperatingSystem,OperatingSystemVersion,MemberOf," + columns + "\n" +
			inOU + `,False,PC-01,Windows 11 Pro,10.0 (22631),"CN=PCs,OU=Groups,DC=x,DC=test",` + cells + "\n"
	}
	const json = `[{"DistinguishedName":"CN=PC-01,OU=Disabled,DC=x,DC=test","Name":"PC-01","Enabled":false,"OperatingSystem":"Windows 11 Pro","OperatingSystemVersion":"10.0 (22631)","MemberOf":[],%s}]`
	for name, ad := range map[string]string{
		"the primary group alone":            row("primaryGroupID", "516"),
		"that of a read-only one":            row("PrimaryGroupID", " 521 "),
		"the bit of a server's trust alone":  row("userAccountControl", "8194"),
		"the bit of a read-only one":         row("userAccountControl", "67112962"),
		"with the account moved to a member": row("primaryGroupID,userAccountControl", "515,8194"),
		"a list of one number":               fmt.Sprintf(json, `"primarygroupid":[516]`),
		"a text in JSON":                     fmt.Sprintf(json, `"primaryGroupID":"521"`),
		"LDIF":                               "dn: CN=PC-01,OU=Disabled,DC=x,DC=test\nobjectClass: computer\nuserAccountControl: 4098\nprimaryGroupID: 516\noperatingSystem: Windows 11 Pro\noperatingSystemVersion: 10.0 (22631)\nmemberOf: CN=PCs,OU=Groups,DC=x,DC=test\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(map[string]string{"PC-01": "keep PROTECTED_ROLE"}, toTheEnd(t, environ, file(t, "ad", ad), "")); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("a member's numbers protect nobody", func(t *testing.T) {
		if diff := cmp.Diff(map[string]string{"PC-01": "delete ELIGIBLE"}, toTheEnd(t, environ, file(t, "ad", row("primaryGroupID,userAccountControl", "515,4098")), "")); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a group that is no number is a fault", func(t *testing.T) {
		fieldRow{text: row("primaryGroupID", "Domain Controllers"), code: exitFailed, says: []string{"primarygroupid", "no number"}}.sifted(t, false)
	})
}

func TestWhatSpreadsheetsLeaveInAnExport(t *testing.T) {
	t.Parallel()
	plain := "DistinguishedName,Enabled,Name\r\n" + inOU + ",FALSE,PC-01\r\n" + inStaff + ",TRUE,PC-02\r\n"
	semicolons := strings.NewReplacer(",FALSE,", ";FALSE;", ",TRUE,", ";TRUE;", "Name,Enabled,Name", "Name;Enabled;Name").Replace(plain)
	tabs := strings.ReplaceAll(semicolons, ";", "\t")
	dead := []string{"PC-01"}
	for _, row := range []fieldRow{
		{name: "sep of a comma", text: "sep=,\r\n" + plain, found: dead},
		{name: "sep of a tab, in capitals", text: "SEP=\t\r\n" + tabs, found: dead},
		{name: "sep before the type", text: "sep=;\r\n#TYPE x\r\n" + semicolons, found: dead},
		{name: "a byte order mark before sep", text: "\ufeffsep=;\r\n" + semicolons, found: dead},
		{name: "the sign that ends a file of DOS", text: plain + "\x1a", found: dead, silent: []string{"line 4"}},
		{name: "that sign after the last cell", text: strings.TrimSuffix(plain, "\r\n") + "\x1a", found: dead, silent: []string{"line"}},
		{name: "that sign after a list", text: `[{"DistinguishedName":"CN=PC-01,OU=Disabled,DC=x,DC=test","Enabled":false}]` + "\x1a", found: dead},
		{name: "that sign after LDIF", text: "dn: CN=PC-01,OU=Disabled,DC=x,DC=test\nuserAccountControl: 4098\n\n\x1a", found: dead},
		{name: "empty rows of another width", text: plain + ",,,,,,\r\n,\r\n\"\",\" \"\r\n", found: dead, silent: []string{"unreadable 1"}},
		{name: "empty rows between", text: strings.Replace(plain, "PC-01\r\n", "PC-01\r\n,,\r\n\r\n,,\r\n", 1), found: dead},
		{name: "UTF-16 of another order", text: wide(binary.BigEndian, tabs), found: dead},
		{name: "cells cut to the name", text: "DistinguishedName,Name,Enabled\n" + inOU + ",PC-01,False\n\"CN=PC-01,OU=Staff,DC=x,DC=test\",PC-01\n", code: exitFailed, says: []string{"cells are missing at the end", "namesake"}},
		{name: "those left out still hold back by the names that are there", text: "DistinguishedName,Name,Enabled\n" + inOU + ",PC-01,False\n\"CN=PC-01,OU=Staff,DC=x,DC=test\",PC-01\n",
			more: []string{"--skip-unreadable"}, held: []string{"line 3"}},
		{name: "a cell too many that says nothing", text: strings.ReplaceAll(plain, "TRUE,PC-02", "TRUE,PC-02,x"), code: exitFailed, says: []string{"more cells"}},
		{name: "many rows with one fault", text: "DistinguishedName,Enabled\n" + inOU + ",False\n" + strings.Repeat(inStaff+",Wahr\n", 26), found: dead, says: []string{"line 3: ", "the same", "and 5 more"}},
	} {
		t.Run(row.name, func(t *testing.T) { row.sifted(t, false) })
	}
}

func TestShapesOfADsOwnTools(t *testing.T) {
	t.Parallel()
	const (
		one   = `{"DistinguishedName":"CN=PC-01,OU=Disabled,DC=x,DC=test","Enabled":false}`
		two   = `{"DistinguishedName":"CN=PC-02,OU=Staff,DC=x,DC=test","Enabled":true}`
		twice = "DistinguishedName,Enabled,Name,ObjectGUID,lastLogonTimestamp\n"
		guid  = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
	)
	dead := []string{"PC-01"}
	for _, row := range []fieldRow{
		{name: "two lists", text: "[" + one + "]\n[" + two + "]\n", found: dead, says: []string{"2 accounts"}},
		{name: "two lists without a line end", text: "[" + one + "][" + two + "]", found: dead, says: []string{"2 accounts"}},
		{name: "two wrapped lists", text: `{"value":[` + one + `],"Count":1}` + "\n" + `{"value":[` + two + `],"Count":1}`, found: dead, says: []string{"2 accounts"}},
		{name: "a list of lists", text: "[[" + one + "],[" + two + "]]", found: dead, says: []string{"2 accounts"}},
		{name: "a wrapped list in a list", text: `[{"value":[` + one + "," + two + `],"Count":2}]`, found: dead, says: []string{"2 accounts"}},
		{name: "an empty list before", text: "[]\n[" + one + "]", found: dead},
		{name: "lists of one, of each kind", text: `[{"distinguishedname":["CN=PC-01,OU=Disabled,DC=x,DC=test"],"enabled":[false],"memberof":[null],"samaccountname":[["PC-01$"]]}]`, found: dead},
		{name: "a GUID in braces", text: "DN,userAccountControl,objectGUID\n" + inOU + ",4098,{" + guid + "}\n", found: dead},
		{name: "a GUID of sixteen numbers", text: strings.Replace("["+one+"]", "{", `{"objectGUID":[224,4,37,63,137,79,211,65,154,12,3,5,232,44,51,1],`, 1), found: dead},
		{name: "a GUID of a type", text: "DN,userAccountControl,objectGUID\n" + inOU + ",4098,System.Byte[]\n", found: dead},
		{name: "a GUID of an object", text: strings.Replace("["+one+"]", "{", `{"objectGUID":{"Guid":"x"},`, 1), found: dead},
		{name: "a name that csvde took for bytes", text: "DN,cn,userAccountControl\n\"CN=BÜRO-1,OU=Disabled,DC=x,DC=test\",X'42c39c524f2d31',4098\n", found: []string{"BÜRO-1"}},
		{name: "groups of a searcher's type", text: "DistinguishedName,Enabled,memberOf\n" + inOU + ",False,System.DirectoryServices.PropertyValueCollection\n", found: dead, says: []string{"the name of a type"}},
		{name: "a deleted object of LDIF", text: "dn: CN=PC-01,OU=Disabled,DC=x,DC=test\nuserAccountControl: 4098\n\ndn: CN=PC-01\\0ADEL:" + guid + ",CN=Deleted Objects,DC=x,DC=test\nisDeleted: TRUE\nuserAccountControl: 4096\n\n", found: dead},
		{name: "a deleted object by its mark alone, enabled", text: "DistinguishedName,Enabled\n" + inOU + ",False\n\"CN=PC-01\\0ADEL:" + guid + ",CN=Deleted Objects,DC=x,DC=test\",True\n", found: dead},
		{name: "an object that is not deleted", text: "DistinguishedName,Enabled,isDeleted\n" + inOU + ",False,\n\"CN=PC-01,OU=Staff,DC=x,DC=test\",True,False\n", held: []string{"line 3"}},
		{name: "isDeleted alone, as in a row that slipped", text: "DistinguishedName,Enabled,isDeleted\n" + inOU + ",False,\n\"CN=PC-01,OU=Staff,DC=x,DC=test\",,True\n", says: []string{"isDeleted"}, held: []string{"line 3"}},
		{name: "a question mark in the manager", text: "DistinguishedName,Enabled,ManagedBy\n" + inOU + ",False,\"CN=J?rg,DC=x,DC=test\"\n", code: exitFailed, says: []string{"managedBy can't be read", "question mark"}},
		{name: "a disabled conflict", text: "DistinguishedName,Enabled\n" + inOU + ",False\n\"CN=PC-01\\0ACNF:" + guid + ",OU=Staff,DC=x,DC=test\",False\n", found: dead},
		{name: "a conflict in use", text: "DistinguishedName,Enabled\n" + inOU + ",False\n\"CN=PC-01\\0ACNF:" + guid + ",OU=Staff,DC=x,DC=test\",True\n", held: []string{"line 3"}},
		{name: "a conflict of unknown state", text: "DistinguishedName,Enabled\n" + inOU + ",False\n\"CN=PC-01\\0ACNF:" + guid + ",OU=Staff,DC=x,DC=test\",\n", held: []string{"line 3"}},
		{name: "one account twice, in another case", text: twice + inOU + ",False,PC-01," + guid + ",\n\"cn=pc-01,ou=disabled,dc=X,dc=test\",False,pc-01," + guid + ",\n", found: dead},
		{name: "one account twice without a GUID", text: twice + inOU + ",False,PC-01,,\n" + inOU + ",False,PC-01,,\n", found: dead},
		{name: "one account three times", text: twice + strings.Repeat(inOU+",False,PC-01,"+guid+",\n", 3), found: dead},
		{name: "one account of unknown state twice", text: twice + strings.Repeat(inOU+",,PC-01,"+guid+",\n", 2), found: dead},
		{name: "twice, with another last logon", text: twice + inOU + ",False,PC-01,,133900000000000000\n" + inOU + ",False,PC-01,,133800000000000000\n", held: []string{"the two differ"}},
		{name: "twice, with another GUID", text: twice + inOU + ",False,PC-01," + guid + ",\n" + inOU + ",False,PC-01,4f2504e0-4f89-41d3-9a0c-0305e82c3301,\n", held: []string{"the two differ"}},
		{name: "twice, moved between the lists", text: twice + inOU + ",False,PC-01," + guid + ",\n\"CN=PC-01,OU=Old,OU=Disabled,DC=x,DC=test\",False,PC-01," + guid + ",\n", held: []string{"the two differ"}},
		{name: "twice, and enabled meanwhile", text: twice + inOU + ",False,PC-01," + guid + ",\n" + inOU + ",True,PC-01," + guid + ",\n", held: []string{"line"}},
		{name: "twice, moved out of the OUs and renamed", text: twice + inOU + ",False,PC-01," + guid + ",\n\"CN=NEW,OU=Staff,DC=x,DC=test\",True,NEW," + guid + ",\n", held: []string{"the two differ"}},
		{name: "a question mark in the name of the one in use", text: "DistinguishedName,Enabled\n\"CN=BÜRO-1,OU=Disabled,DC=x,DC=test\",False\n\"CN=B?RO-1,OU=Staff,DC=x,DC=test\",True\n", code: exitFailed, says: []string{"question mark", "-Encoding UTF8"}},
		{name: "a question mark in its name in DNS", text: "DistinguishedName,DNSHostName,Enabled\n" + inOU + ",,False\n" + inStaff + ",b?ro-1.x.test,True\n", code: exitFailed, says: []string{"question mark"}},
		{name: "a question mark in a group", text: "DistinguishedName,Enabled,MemberOf\n" + inOU + ",False,\"CN=Ger?te,DC=x,DC=test\"\n", code: exitFailed, says: []string{"memberOf is damaged", "-Encoding UTF8"}},
		{name: "UTF-8 that was read as another encoding", text: "DistinguishedName,Enabled\n\"CN=BÃœRO-1,OU=Disabled,DC=x,DC=test\",False\n", code: exitFailed, says: []string{"read as another encoding"}},
		{name: "no account below the OUs", text: "DistinguishedName,Enabled\n" + inStaff + ",True\n", says: []string{"no account of the export lies below the OUs"}},
	} {
		t.Run(row.name, func(t *testing.T) { row.sifted(t, false) })
	}
}
