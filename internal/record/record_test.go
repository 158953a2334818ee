package record_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/policy"
	"rollcall/internal/record"
)

// files reads every file that the glob matches; none is a fault of the test.
func files(tb testing.TB, glob string) map[string][]byte {
	tb.Helper()
	paths, err := filepath.Glob(glob)
	if err != nil || len(paths) == 0 {
		tb.Fatalf("glob %s: %d files, %v", glob, len(paths), err)
	}
	out := map[string][]byte{}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			tb.Fatal(err)
		}
		out[filepath.Base(p)] = b
	}
	return out
}

// records are the endpoint objects of Central's sample documents.
func records(tb testing.TB) [][]byte {
	tb.Helper()
	var out [][]byte
	for name, b := range files(tb, "testdata/central/*.json") {
		var page struct{ Items []json.RawMessage }
		if err := json.Unmarshal(b, &page); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		for _, item := range page.Items {
			out = append(out, item)
		}
		if page.Items == nil {
			out = append(out, b)
		}
	}
	return out
}

func mustEvent(tb testing.TB, raw []byte) policy.Event {
	tb.Helper()
	e, err := record.ParseEvent(raw)
	if err != nil {
		tb.Fatalf("ParseEvent: %v", err)
	}
	return e
}

func TestEveryRowOfCentralsSamplesDecodes(t *testing.T) {
	rows := records(t)
	if len(rows) < 5 {
		t.Fatalf("only %d rows", len(rows))
	}
	for _, raw := range rows {
		d, err := record.ParseDevice(raw)
		if err != nil || !d.ID.Known() {
			t.Errorf("ParseDevice(%s) = %+v, %v", raw, d, err)
		}
	}
}

func TestAFullRecordIsReadWhole(t *testing.T) {
	d, err := record.ParseDevice(files(t, "testdata/central/endpoint-single-full.json")["endpoint-single-full.json"])
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Device{
		ID: policy.Is("1a0b6f2c-5d3e-4a71-8c94-0e7f1b2d3a46"), TenantID: policy.Is("3f6c1a52-8d0e-4b7a-9c11-5e2a7d904b10"),
		Hostname: policy.Is("PC-ANNA-01"), Type: policy.Is("computer"), Platform: policy.Is("windows"),
		OSName: policy.Is("Windows 11 Pro"), IsServer: policy.Is(false), Build: policy.Is(22631),
		LastSeenAt:   policy.Is(time.Date(2026, 10, 5, 9, 41, 12, 337e6, time.UTC)),
		RegisteredAt: policy.Is(time.Date(2025, 2, 11, 10, 2, 33, 1e6, time.UTC)),
		Online:       policy.Is(true), Isolated: policy.Is(false), HealthOverall: policy.Is("good"), HealthThreats: policy.Is("good"),
		Cloned: policy.Is(false), PersonID: policy.Is("6e4d9c1b-8a27-4f05-b3d6-2c5e7f9a0b18"), PersonName: policy.Is("Anna Berg"),
		ViaLogin: policy.Is(`EXAMPLE\anna.berg`), SerialNumber: policy.Is("SYN0000001"), MACAddresses: []string{"02:00:5E:10:00:01"},
		Groups: []policy.Group{
			{ID: "c1a7e4d9-3b58-4f60-9e2c-7d8a0b1f6c35", Name: "Workstations"},
			{ID: "f2b8c6e1-4d07-4a93-8b5e-0c1d2e3f4a5b", Name: "EU"},
		},
		GroupsWhole: true,
		Tamper:      policy.Is(true),
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
}

func TestAnEventWhoseValuesAreStringsIsReadAlike(t *testing.T) {
	e := mustEvent(t, files(t, "testdata/events/*.json")["strings.json"])
	for name, ok := range map[string]bool{
		"observedAt as Unix text":    e.ObservedAt == policy.Is(time.Unix(1763618400, 0).UTC()),
		"host name trimmed":          e.Directory.Hostname == policy.Is("ws-fin-0427.corp.example.test"),
		"build from text":            e.Directory.OperatingSystemBuildNumber == policy.Is(22631),
		"enabled in any case":        e.Directory.Enabled == policy.Is(false),
		"zone without a colon":       e.Directory.DisabledAt == policy.Is(time.Date(2026, 7, 31, 23, 0, 0, 0, time.UTC)),
		"memberOf in a string":       e.Directory.MemberOf.Known() && len(e.Directory.MemberOf.Value) == 1,
		"empty owner is not given":   e.Owner.Login.State == policy.Absent,
		"id in braces":               e.Central.ID == policy.Is("6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3"),
		"tenant id with blanks":      e.Central.TenantID == policy.Is("c0a8f1d2-57be-4a39-8e14-2b9d6f70a5c1"),
		"empty host name":            e.Central.Hostname.State == policy.Absent,
		"Entra's form of a build":    e.Central.Build == policy.Is(22631),
		"online as text":             e.Central.Online == policy.Is(true),
		"Unix seconds as a number":   e.Central.LastSeenAt == policy.Is(time.Unix(1751444095, 5e8).UTC()),
		"isolated by its status":     e.Central.Isolated == policy.Is(true),
		"nothing else is unreadable": len(e.Garbled) == 0,
	} {
		if !ok {
			t.Errorf("%s: got %+v", name, e)
		}
	}
}

func TestWhatIsGivenButCannotBeReadIsUnreadable(t *testing.T) {
	for _, tc := range []struct {
		name, raw string
		got       func(policy.Event) policy.State
	}{
		{"a host name with NUL", `{"directory":{"hostname":"a\u0000b"}}`, func(e policy.Event) policy.State { return e.Directory.Hostname.State }},
		{"a host name of 256 characters", `{"directory":{"hostname":"` + strings.Repeat("a", 256) + `"}}`, func(e policy.Event) policy.State { return e.Directory.Hostname.State }},
		{"a host name that is a list", `{"directory":{"hostname":["a"]}}`, func(e policy.Event) policy.State { return e.Directory.Hostname.State }},
		{"enabled as a number", `{"directory":{"enabled":0}}`, func(e policy.Event) policy.State { return e.Directory.Enabled.State }},
		{"enabled as a word", `{"directory":{"enabled":"no"}}`, func(e policy.Event) policy.State { return e.Directory.Enabled.State }},
		{"a time without a zone", `{"directory":{"disabledAt":"2026-08-01T00:00:00"}}`, func(e policy.Event) policy.State { return e.Directory.DisabledAt.State }},
		{"a time in milliseconds", `{"central":{"lastSeenAt":1751444095000}}`, func(e policy.Event) policy.State { return e.Central.LastSeenAt.State }},
		{"one bad DN among good ones", `{"directory":{"memberOf":["CN=a,DC=b","nonsense"]}}`, func(e policy.Event) policy.State { return e.Directory.MemberOf.State }},
		{"a DN that is none", `{"directory":{"distinguishedName":"WS-1"}}`, func(e policy.Event) policy.State { return e.Directory.DistinguishedName.State }},
		{"an id that is none", `{"central":{"id":"12"}}`, func(e policy.Event) policy.State { return e.Central.ID.State }},
		{"a version without a build", `{"directory":{"operatingSystemVersion":"10.0"}}`, func(e policy.Event) policy.State { return e.Directory.OperatingSystemVersion.State }},
		{"health that is a list", `{"central":{"health":[1]}}`, func(e policy.Event) policy.State { return e.Central.HealthOverall.State }},
		{"an unknown word of isolation", `{"central":{"isolation":{"status":"perhaps"}}}`, func(e policy.Event) policy.State { return e.Central.Isolated.State }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.got(mustEvent(t, []byte(tc.raw))); got != policy.Unreadable {
				t.Errorf("state = %v, want unreadable", got)
			}
		})
	}
}

func TestAPartThatIsNoObjectIsNamed(t *testing.T) {
	e := mustEvent(t, []byte(`{"directory":5,"owner":"x","central":{"tenant":"x","os":[1]}}`))
	if diff := cmp.Diff([]string{"directory", "owner", "central.tenant", "central.os"}, e.Garbled); diff != "" {
		t.Error(diff)
	}
	if !e.Directory.Present {
		t.Error("a directory that can't be read counts as missing")
	}
}

func TestADirectoryThatIsAbsentNullOrEmptyIsNotPresent(t *testing.T) {
	for _, raw := range []string{`{}`, `{"directory":null}`, `{"directory":{}}`} {
		if mustEvent(t, []byte(raw)).Directory.Present {
			t.Errorf("%s: present", raw)
		}
	}
}

func TestBuilds(t *testing.T) {
	for in, want := range map[string]int{
		"10.0 (22631)": 22631, "10.0.22631.5624": 22631, "22631": 22631, " 19045 ": 19045, "10.0.19045": 19045,
		"10.0": 0, "11": 0, "x22631": 0, "10.0 (22631": 0, "-22631": 0, "22631.1": 0, "0000": 0, "10.0 (22631) x": 0,
	} {
		got, ok := record.ParseBuild(in)
		if ok != (want != 0) || ok && got != want {
			t.Errorf("ParseBuild(%q) = %d, %v; want %d", in, got, ok, want)
		}
	}
}

func TestDistinguishedNames(t *testing.T) {
	for in, want := range map[string]policy.DN{
		`CN=WS\,1,OU=a+UID=2,DC=x`: {{"cn=WS,1"}, {"ou=a", "uid=2"}, {"dc=x"}},
		`cn=a , dc=b`:              {{"cn=a"}, {"dc=b"}},
	} {
		got, err := record.ParseDN(in)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("ParseDN(%q): %v %s", in, err, diff)
		}
	}
	for _, in := range []string{"", "WS-1", "CN=", "=x", "CN=a,,DC=b", "CN=a\x00,DC=b", "CN=" + strings.Repeat("a", 3000)} {
		if got, err := record.ParseDN(in); err == nil {
			t.Errorf("ParseDN(%q) = %v, want an error", in, got)
		}
	}
}

// sealed passes an event through the form in which tokens hold it.
func sealed(tb testing.TB, e policy.Event) policy.Event {
	tb.Helper()
	b, err := json.Marshal(e)
	if err != nil {
		tb.Fatal(err)
	}
	var out policy.Event
	if err := json.Unmarshal(b, &out); err != nil {
		tb.Fatalf("%s: %v", b, err)
	}
	return out
}

func FuzzParseEvent(f *testing.F) {
	for _, b := range files(f, "testdata/events/*.json") {
		f.Add(b)
	}
	for _, b := range records(f) {
		f.Add([]byte(`{"directory":{"hostname":"a"},"central":` + string(b) + `}`))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := record.ParseEvent(raw)
		if err != nil {
			return
		}
		if diff := cmp.Diff(e, sealed(t, e)); diff != "" {
			t.Errorf("sealing changes the event: %s", diff)
		}
		for _, h := range []policy.Field[string]{e.Directory.Hostname, e.Central.Hostname} {
			if again, ok := record.Hostname(h.Value); h.Known() && (!ok || again != h.Value) {
				t.Errorf("host name %q is read again as %q", h.Value, again)
			}
		}
	})
}

func FuzzParseDevice(f *testing.F) {
	for _, b := range records(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := record.ParseDevice(raw)
		if err == nil && d.LastSeenAt.Known() && d.LastSeenAt.Value.Location() != time.UTC {
			t.Errorf("last seen in %v", d.LastSeenAt.Value.Location())
		}
	})
}

func FuzzParseDN(f *testing.F) {
	for _, s := range []string{`CN=WS\,1,OU=a+UID=2,DC=x`, `cn=a , dc=b`, `OU=Disabled,DC=corp,DC=example,DC=test`, `1.2.3=#04024869`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := record.ParseDN(s)
		if err != nil {
			return
		}
		for _, rdn := range d {
			for _, part := range rdn {
				if k, v, ok := strings.Cut(part, "="); !ok || k == "" || v == "" || k != strings.ToLower(k) {
					t.Errorf("ParseDN(%q) has the part %q", s, part)
				}
			}
		}
	})
}

func FuzzParseBuild(f *testing.F) {
	for _, s := range []string{"10.0 (22631)", "10.0.22631.5624", "22631", "10.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, ok := record.ParseBuild(s); ok && (n < 1000 || n > 999999) {
			t.Errorf("ParseBuild(%q) = %d", s, n)
		}
	})
}

func BenchmarkParseEvent(b *testing.B) {
	raw := files(b, "testdata/events/*.json")["eligible.json"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := record.ParseEvent(raw); err != nil {
			b.Fatal(err)
		}
	}
}
