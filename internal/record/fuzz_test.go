package record_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/policy"
	"rollcall/internal/record"
)

// uncleanText finds a string in v that holds control characters or is no UTF-8.
func uncleanText(v reflect.Value) (string, bool) {
	switch v.Kind() {
	case reflect.String:
		s := v.String()
		return s, !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				if s, bad := uncleanText(v.Field(i)); bad {
					return s, true
				}
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if s, bad := uncleanText(v.Index(i)); bad {
				return s, true
			}
		}
	default: // numbers hold no text
	}
	return "", false
}

func FuzzNoFactHoldsControlCharacters(f *testing.F) {
	for _, b := range files(f, "testdata/events/*.json") {
		f.Add(b)
	}
	f.Add([]byte(`{"central":{"group":{"name":"a\u0001"},"macAddresses":["\u0000"],"hostname":"a\u0085"}}`))
	f.Add([]byte(`{"directory":{"memberOf":"[\"CN=\\\\00,DC=x\"]"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := record.ParseEvent(raw)
		if s, bad := uncleanText(reflect.ValueOf(e)); bad {
			t.Errorf("%q passed", s)
		}
		if err != nil && !cmp.Equal(e, policy.Event{}) {
			t.Error("both an event and an error")
		}
	})
}

func FuzzSealedDevice(f *testing.F) {
	for _, b := range records(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := record.ParseDevice(raw)
		if err != nil {
			if !cmp.Equal(d, policy.Device{}) {
				t.Error("both a device and an error")
			}
			return
		}
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var again policy.Device
		if err := json.Unmarshal(b, &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, again); diff != "" {
			t.Errorf("sealing changes the device: %s", diff)
		}
	})
}

// escaped writes a DN so that it reads the same again.
func escaped(dn policy.DN) string {
	rdns := make([]string, len(dn))
	for i, rdn := range dn {
		parts := make([]string, len(rdn))
		for j, part := range rdn {
			key, value, _ := strings.Cut(part, "=")
			var b strings.Builder
			for k, r := range value {
				if strings.ContainsRune(`,+"\<>;=`, r) || (k == 0 && r == '#') || (r == ' ' && (k == 0 || k == len(value)-1)) {
					b.WriteByte('\\')
				}
				b.WriteRune(r)
			}
			parts[j] = key + "=" + b.String()
		}
		rdns[i] = strings.Join(parts, "+")
	}
	return strings.Join(rdns, ",")
}

func FuzzDNReadsTheSameAgain(f *testing.F) {
	for _, s := range []string{`CN=WS\,1,OU=a+UID=2,DC=x`, `cn=\ a\ , dc=b=c`, `OU=Disabled,DC=corp,DC=example,DC=test`, `1.2.3=a`, `CN=\#a\\\2c`, `CN=J\C3\BCrgen,DC=x`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		dn, err := record.ParseDN(s)
		if err != nil {
			if dn != nil {
				t.Error("both a DN and an error")
			}
			return
		}
		again, err := record.ParseDN(escaped(dn))
		if utf8.RuneCountInString(escaped(dn)) > 2048 {
			return // escapes make it too long to be read
		}
		if diff := cmp.Diff(dn, again); diff != "" || err != nil {
			t.Errorf("%q read as %v, then %q as %v: %v", s, dn, escaped(dn), again, err)
		}
	})
}

func FuzzValues(f *testing.F) {
	for _, s := range []string{"WS-1$.", "2026-07-02T09:14:55.5+0100", "1782980095.25", "{6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3}", "10.0 (22631)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if h, ok := record.Hostname(s); ok {
			if again, ok := record.Hostname(h); !ok || again != h {
				t.Errorf("Hostname(%q) = %q, then %q", s, h, again)
			}
		}
		if at, ok := record.ParseTime(s); ok {
			again, ok := record.ParseTime(at.Format("2006-01-02T15:04:05.999999999Z07:00"))
			if !ok || !again.Equal(at) || at.Year() < 1990 || at.Year() > 2200 {
				t.Errorf("ParseTime(%q) = %v, then %v", s, at, again)
			}
		}
		if id, ok := record.ID(s); ok {
			if again, ok := record.ID(id); !ok || again != id || len(id) != 36 {
				t.Errorf("ID(%q) = %q, then %q", s, id, again)
			}
		}
	})
}
