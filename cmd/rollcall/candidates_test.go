package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/adexport"
	"rollcall/internal/centralsim"
	"rollcall/internal/record"
)

// export writes the accounts of sample devices as ConvertTo-Json would.
func export(t *testing.T, devices ...centralsim.SampleDevice) string {
	t.Helper()
	var all []map[string]any
	for _, d := range devices {
		ad, _ := d.Event["directory"].(map[string]any)
		name, _ := ad["hostname"].(string)
		all = append(all, map[string]any{
			"Name": name, "DNSHostName": strings.ToLower(name) + ".corp.example.test", "DistinguishedName": ad["distinguishedName"],
			"Enabled": ad["enabled"], "OperatingSystem": ad["operatingSystem"], "OperatingSystemVersion": ad["operatingSystemVersion"],
			"MemberOf": ad["memberOf"], "ManagedBy": ad["managedBy"], "ObjectClass": "computer", "whenChanged": "2026-01-01T00:00:00Z",
		})
	}
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return file(t, "ad.json", string(b))
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// events reads what candidates wrote, by Central's host name.
func events(t *testing.T, out string) map[string][]map[string]any {
	t.Helper()
	all := map[string][]map[string]any{}
	for line := range strings.Lines(out) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		host, _ := e["central"].(map[string]any)["hostname"].(string)
		all[host] = append(all[host], e)
	}
	return all
}

func TestCandidatesFromCentralAreEvaluatedAsTheSearchWouldHave(t *testing.T) {
	cases := []string{"eligible", "protected-role", "server", "macos", "never-seen", "cloned", "truncated", "duplicate-stale", "enabled-again", "online", "isolated", "outside-ou", "build-newer", "last-seen-missing", "no-domain"}
	sim, sample := sim()
	var devices []centralsim.SampleDevice
	for _, c := range cases {
		if _, ok := sample[c]; !ok {
			t.Fatalf("the sample has no %s", c)
		}
		devices = append(devices, sample[c])
	}
	env, key := setUp(t, redisServer(t), sim, "ROLLCALL_CENTRAL_LIMITS=1000/s")
	code, out, errs := ran(t, env, "candidates", "--ad", export(t, devices...), "--all")
	if code != exitDone {
		t.Fatalf("%d %s", code, errs)
	}
	found := events(t, out)
	r := start(t, env, "serve")
	addr := r.address(t)
	for _, d := range devices {
		host, _ := d.Record["hostname"].(string)
		if len(found[host]) != 1+len(d.Also) {
			t.Errorf("%s: %d events", d.Case, len(found[host]))
		}
		for _, e := range found[host] {
			var a map[string]any
			until(t, "the inventory is read", func() bool { // many are asked for at once
				_, a = post(t, addr, key, "/v1/actions/evaluate", map[string]any{"event": e})
				return a["reasonCode"] != "VERIFY_FAILED"
			})
			if a["reasonCode"] != d.Want {
				t.Errorf("%s: %v, want %s\n%v\n%v", d.Case, a["reasonCode"], d.Want, a["reasonsText"], e)
			}
		}
	}
}

func TestWithoutAWholeInventoryThereAreNoCandidates(t *testing.T) {
	sim, sample := sim()
	broken := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/endpoint/v1/endpoints") {
			http.Error(w, "{}", http.StatusBadGateway)
			return
		}
		sim.ServeHTTP(w, r)
	})
	srv := httptest.NewServer(broken)
	t.Cleanup(srv.Close)
	env := []string{"ROLLCALL_CENTRAL_CLIENT_ID=id", "ROLLCALL_CENTRAL_CLIENT_SECRET=central-secret", "ROLLCALL_CENTRAL_ID_URL=" + srv.URL, "ROLLCALL_CENTRAL_API_URL=" + srv.URL}
	into := filepath.Join(t.TempDir(), "events.ndjson")
	code, out, errs := ran(t, env, "candidates", "--ad", export(t, sample["eligible"]), "--all", "--out", into)
	left, err := filepath.Glob(filepath.Join(filepath.Dir(into), "*"))
	if code != exitFailed || out != "" || err != nil || len(left) != 0 || !strings.Contains(errs, "reading the tenant's devices") {
		t.Errorf("%d %q %q %v: %s", code, out, left, err, errs)
	}
}

func TestEventsAreAsOldAsTheOlderFile(t *testing.T) {
	_, sample := sim()
	ad := export(t, sample["eligible"])
	fleet := file(t, "fleet.ndjson", `{"id":"`+sample["eligible"].ID+`","tenant":{"id":"`+centralsim.SampleTenant+`"},"hostname":"`+sample["eligible"].Name+`"}`+"\n")
	old := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name    string
		ad, inv time.Time
		given   string
		want    string
	}{
		{"an old export", old, old.AddDate(0, 1, 0), "", "2026-03-01T12:00:00Z"},
		{"an old inventory", old.AddDate(0, 1, 0), old, "", "2026-03-01T12:00:00Z"},
		{"a time that is given", old, old, "2026-03-02T00:00:00+02:00", "2026-03-01T22:00:00Z"},
	} {
		if err := os.Chtimes(ad, tt.ad, tt.ad); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(fleet, tt.inv, tt.inv); err != nil {
			t.Fatal(err)
		}
		code, out, errs := ran(t, nil, "candidates", "--ad", ad, "--all", "--inventory", fleet, "--observed-at="+tt.given)
		found := events(t, out)[sample["eligible"].Name]
		if code != exitDone || len(found) != 1 || found[0]["observedAt"] != tt.want {
			t.Errorf("%s: %d %s%s, want %s", tt.name, code, out, errs, tt.want)
		}
	}
	if _, _, errs := ran(t, nil, "candidates", "--ad", ad, "--all", "--inventory", fleet, "--observed-at", "now"); !strings.Contains(errs, "--observed-at is later") {
		t.Errorf("a time after the files were written is not noted: %s", errs)
	}
	future := time.Now().Add(time.Hour)
	if err := os.Chtimes(ad, future, future); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(fleet, future, future); err != nil {
		t.Fatal(err)
	}
	_, out, _ := ran(t, nil, "candidates", "--ad", ad, "--all", "--inventory", fleet)
	e, err := record.ParseEvent([]byte(out))
	if err != nil || !e.ObservedAt.Known() || e.ObservedAt.Value.After(time.Now()) {
		t.Errorf("files from the future: %v %s", err, out)
	}
}

// accounts fills a roster with rows of CSV below the header name, DNS name, DN, enabled.
func accounts(t *testing.T, ou string, rows ...string) *roster {
	t.Helper()
	dn, err := record.ParseDN(ou)
	if err != nil {
		t.Fatal(err)
	}
	r := &roster{}
	r.ous = append(r.ous, dn)
	text := "Name,DNSHostName,DistinguishedName,Enabled\n" + strings.Join(rows, "\n") + "\n"
	for row, err := range adexport.Read(strings.NewReader(text), adexport.Options{}) {
		if err == nil {
			err = r.add(row)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r.index()
	return r
}

func TestANameFindsEveryAccountThatBearsIt(t *testing.T) {
	r := accounts(t, "OU=Disabled,DC=x,DC=test",
		`PC-1,,"CN=PC-1,OU=Disabled,DC=x,DC=test",False`,
		`pc-1,,"CN=pc-1,OU=Old,OU=Disabled,DC=x,DC=test",False`,
		`RENAMED,pc-2.x.test,"CN=RENAMED,OU=Disabled,DC=x,DC=test",False`,
		`FIFTEEN-LETTERS,,"CN=FIFTEEN-LETTERS,OU=Disabled,DC=x,DC=test",False`,
		`FIFTEEN-LETTERS-AND-MORE,,"CN=FIFTEEN-LETTERS-AND-MORE,OU=Disabled,DC=x,DC=test",False`,
		`LONG-NAME-OF-A-MAC,,"CN=LONG-NAME-OF-A-MAC,OU=Disabled,DC=x,DC=test",False`,
		`SHORT,,"CN=SHORT,OU=Disabled,DC=x,DC=test",False`,
		`GERÄT,,"CN=GERÄT,OU=Disabled,DC=x,DC=test",False`,
	)
	for host, want := range map[string][]int{
		"Pc-1": {2, 3}, "PC-1.other.test": {2, 3}, "PC-1$": {2, 3}, "pc-2": {4}, "renamed": {4},
		"FIFTEEN-LETTERS": {5}, "FIFTEEN-LETTERS-AND-MORE": {6}, "FIFTEEN-LETTERS-TOO": {5},
		"long-name-of-a-": {7}, "LONG-NAME-OF-A-MAC": {7}, "LONG-NAME-OF-A": nil, "LONG-NAME-OF-A-MACHINE": nil,
		"SHORT": {8}, "SHORTER": nil, "SHORTER-THAN-THIS": nil, "gerät.x.test": {9}, "": nil, " . ": nil, "PC": nil,
	} {
		var got []int
		for _, a := range r.find(host) {
			got = append(got, a.line)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", host, diff)
		}
	}
}

func TestANameThatIsAlsoInUseIsHeldBack(t *testing.T) {
	const mine = `PC,,"CN=PC,OU=Disabled,DC=x,DC=test",`
	for _, tt := range []struct {
		name, state, other string
		want               bool
	}{
		{"an enabled account elsewhere", "False", `pc,,"CN=pc,OU=Staff,DC=x,DC=test",True`, true},
		{"one of unknown state", "False", `PC,,"CN=PC,OU=Staff,DC=x,DC=test",`, true},
		{"an enabled one below the OUs", "False", `PC,,"CN=PC,OU=Old,OU=Disabled,DC=x,DC=test",True`, true},
		{"one whose name in DNS it is", "False", `NEW,pc.x.test,"CN=NEW,OU=Staff,DC=x,DC=test",True`, true},
		{"one in use, and this of unknown state", "", `PC,,"CN=PC,OU=Staff,DC=x,DC=test",True`, true},
		{"a disabled one elsewhere", "False", `PC,,"CN=PC,OU=Staff,DC=x,DC=test",False`, false},
		{"two of unknown state below the OUs", "", `PC,,"CN=PC,OU=Old,OU=Disabled,DC=x,DC=test",`, false},
		{"one of another domain", "False", `PC,,"CN=PC,OU=Staff,DC=y,DC=test",True`, false},
		{"an account that is enabled itself", "True", `PC,,"CN=PC,OU=Staff,DC=x,DC=test",True`, false},
	} {
		r := accounts(t, "OU=Disabled,DC=x,DC=test", mine+tt.state, tt.other)
		first := r.taken[0]
		if first.held != tt.want || slices.Contains(r.find("PC"), first) == tt.want {
			t.Errorf("%s: held back %v, want %v", tt.name, first.held, tt.want)
		}
	}
}
