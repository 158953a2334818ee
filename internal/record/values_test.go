package record_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/internal/record"
)

func TestHostNames(t *testing.T) {
	for in, want := range map[string]string{
		"WS-1": "WS-1", " WS-1 ": "WS-1", "WS-1$": "WS-1", "ws-1.corp.example.test.": "ws-1.corp.example.test",
		"WS-1$.": "WS-1", " WS-1 $ ": "WS-1", "Mary's MacBook Pro": "Mary's MacBook Pro", "büro 💻": "büro 💻",
		strings.Repeat("ü", 255): strings.Repeat("ü", 255),
		"":                       "", "$": "", " . ": "", "a\x00b": "", "a\tb": "", "WS-1\n": "", "a\u0085b": "", "\xff": "",
		strings.Repeat("a", 256): "",
	} {
		if got, ok := record.Hostname(in); ok != (want != "") || got != want {
			t.Errorf("Hostname(%q) = %q, %v; want %q", in, got, ok, want)
		}
	}
}

func TestIDs(t *testing.T) {
	const id = "6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3"
	for _, in := range []string{id, strings.ToUpper(id), " " + id + "\t", "{" + id + "}", "( " + id + " )", `"` + id + `"`, "'{" + id + "}'", "<" + id + ">"} {
		if got, ok := record.ID(in); !ok || got != id {
			t.Errorf("ID(%q) = %q, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "{}", "{", id[1:], id + "0", "urn:uuid:" + id, strings.ReplaceAll(id, "-", ""), "{" + id + ")", "g" + id[1:], id[:8] + "0" + id[9:]} {
		if got, ok := record.ID(in); ok || got != "" {
			t.Errorf("ID(%q) = %q, %v; want none", in, got, ok)
		}
	}
}

func TestTimesThatAreReadable(t *testing.T) {
	want := time.Date(2026, 7, 2, 8, 14, 55, 0, time.UTC)
	for _, in := range []string{
		"2026-07-02T08:14:55Z", "2026-07-02t08:14:55z", "2026-07-02T08:14:55.000Z", "2026-07-02T09:14:55+01:00",
		"2026-07-02T09:14:55+0100", "2026-07-02T09:14:55.0000000+0100", "2026-07-02T02:44:55-05:30", " 2026-07-02T08:14:55Z ",
		fmt.Sprint(want.Unix()), fmt.Sprint(want.Unix()) + ".0", fmt.Sprint(want.Unix()) + ".000000",
	} {
		got, ok := record.ParseTime(in)
		if !ok || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("ParseTime(%q) = %v, %v; want %v", in, got, ok, want)
		}
	}
	if got, ok := record.ParseTime("1782980095.25"); !ok || got.Nanosecond() != 25e7 {
		t.Errorf("fractions of Unix seconds: %v, %v", got, ok)
	}
}

func TestTimesThatAreNot(t *testing.T) {
	for _, in := range []string{
		"", "never", "yesterday", "2026-07-02", "2026-07-02T08:14:55", "2026-07-02 08:14:55Z", "2026-07-02T08:14:55.Z",
		"2026-07-02T08:14:55,5Z", "2026-07-02T8:14:55Z", "2026-07-02T08:14Z", "2026-07-02T08:14:55+01", "2026-07-02T08:14:55 +0100",
		"2026-07-02T08:14:55+1:00", "2026-02-30T00:00:00Z", "2026-07-02T25:00:00Z", "2026-07-02T08:14:55+99:00", "2026-07-02T08:14:55UTC",
		"02/07/2026 08:14:55", "Thu, 02 Jul 2026 08:14:55 GMT", "2026-07-02T08:14:55ZZ", "2026-07-02T08:14:55Z[UTC]",
		// Placeholders for "never", and other scales taken for seconds.
		"0", "1", "0001-01-01T00:00:00Z", "1601-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1989-12-31T23:59:59Z", "2201-01-01T00:00:00Z",
		"1782980095000", "1782980095000000", "134274536950000000",
		"-1782980095", "+1782980095", "1.782980095e9", "1782980095.", ".5", "0x6a461d3f", "1782980095.1234567890", "01782980095", "true",
	} {
		if got, ok := record.ParseTime(in); ok || !got.IsZero() {
			t.Errorf("ParseTime(%q) = %v, %v; want none", in, got, ok)
		}
	}
}

func TestBuildsThatAreNone(t *testing.T) {
	for _, in := range []string{"", "10.0", "10", "999", "0022631", "10.0 ()", "10.0 (0)", "10.0 (22631", "10.0 22631)", "10 (22631)", "10.0.22631.", "10.0.226.1", "1.10.0.22631.1", "22631.0", "2.2631e4", "-22631", "２２６３１", "Windows 11 (22631)", "1234567"} {
		if n, ok := record.ParseBuild(in); ok || n != 0 {
			t.Errorf("ParseBuild(%q) = %d, %v; want none", in, n, ok)
		}
	}
}

func TestDNsWithASecondReadingAreErrors(t *testing.T) {
	for _, in := range []string{
		"CN=a;OU=Disabled,DC=x", "CN=a+UID=#0402,DC=x", "CN=#04024869,DC=x", "CN= #04024869,DC=x", `CN=a\00b,DC=x`, `CN=WS\0ACNF:6f0e,DC=x`, `CN=\ff,DC=x`,
		`CN=\ ,DC=x`, "CN=a,DC=", "CN=a,DC=x,", ",CN=a", "CN=a+,DC=x", "CN", "=", "1.2.=a", "a.b=c", "C N=a", `CN="a,b",DC=x`,
		"CN=a\r\n,DC=x", "CN=\xff,DC=x", `CN=a\`, `\43N=a,`, "CN=" + strings.Repeat("a", 2046),
	} {
		if dn, err := record.ParseDN(in); err == nil || dn != nil {
			t.Errorf("ParseDN(%q) = %v, %v; want an error", in, dn, err)
		}
	}
	for _, in := range []string{"CN=a=#b,DC=x", `CN=\#a\;,DC=x`, `CN=a\=#b`, "CN=a#b"} {
		if _, err := record.ParseDN(in); err != nil {
			t.Errorf("ParseDN(%q): %v", in, err)
		}
	}
	if _, err := record.ParseDN("CN=" + strings.Repeat("ü", 2045)); err != nil {
		t.Errorf("2048 characters: %v", err)
	}
}
