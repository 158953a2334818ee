package httpapi

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseKeysReadsWhatItShould(t *testing.T) {
	keys, err := ParseKeys([]byte("# who may do what\nkeys:\n  - {name: soar, sha256: " + Digest("k1") + ", scopes: [verify, delete]}\n" +
		"  - name: siem\n    scopes: [read]\n    sha256: \"" + strings.ToUpper(Digest("k2")) + "\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	for presented, want := range map[string]string{"k1": "soar", "k2": "siem", "k3": "", "": "", Digest("k1"): ""} {
		k, ok := keys.Find(presented)
		if k.Name != want || ok != (want != "") {
			t.Errorf("Find(%q) = %q, %t, want %q", presented, k.Name, ok, want)
		}
	}
	k, _ := keys.Find("k1")
	if !k.Has("delete") || !k.Has("admin", "verify") || k.Has("approve") || k.Has() || keys.Len() != 2 {
		t.Errorf("key %+v of %d", k, keys.Len())
	}
}

func TestNoKeysFindNobody(t *testing.T) {
	var keys *Keys
	if k, ok := keys.Find("k1"); ok {
		t.Errorf("found %q", k.Name)
	}
}

func TestParseKeysTellsEveryFaultWithItsLine(t *testing.T) {
	a, b := Digest("a"), Digest("b")
	cases := map[string]struct {
		file string
		want []string
	}{
		"an empty file":       {"", []string{"keys file: it is empty"}},
		"a comment":           {"# none\n", []string{"keys file: it is empty"}},
		"an empty list":       {"keys: []\n", []string{"line 1: keys must be a list"}},
		"keys null":           {"keys:\n", []string{"line 1: keys must be a list"}},
		"a list at the top":   {"- a\n", []string{"line 1: a mapping with keys", "line 1: keys must be a list"}},
		"another top key":     {"keys:\n  - {name: n, sha256: " + a + ", scopes: [read]}\nkey: 1\n", []string{`line 3: "key" is not known`}},
		"keys twice":          {"keys:\n  - {name: n, sha256: " + a + ", scopes: [read]}\nkeys: []\n", []string{`line 3: "keys" comes twice`}},
		"an entry of text":    {"keys:\n  - n\n", []string{"line 2: a mapping with name"}},
		"everything missing":  {"keys:\n  - {}\n", []string{"line 2: name is needed", "line 2: scopes must", "line 2: sha256 is needed"}},
		"the key itself":      {"keys:\n  - {name: n, sha256: hunter2, scopes: [read]}\n", []string{"line 2: sha256 must be"}},
		"half a digest":       {"keys:\n  - {name: n, sha256: " + a[:32] + ", scopes: [read]}\n", []string{"line 2: sha256 must be"}},
		"an unknown scope":    {"keys:\n  - name: n\n    sha256: " + a + "\n    scopes: [read, root]\n", []string{`line 4: scope "root" is not one of`}},
		"no scope":            {"keys:\n  - {name: n, sha256: " + a + ", scopes: []}\n", []string{"line 2: scopes must"}},
		"scopes as text":      {"keys:\n  - {name: n, sha256: " + a + ", scopes: read}\n", []string{"line 2: scopes must"}},
		"an unknown field":    {"keys:\n  - {name: n, sha256: " + a + ", scopes: [read], expires: 1}\n", []string{`line 2: "expires" is not known`}},
		"a name twice":        {"keys:\n  - {name: n, sha256: " + a + ", scopes: [read]}\n  - {name: n, sha256: " + b + ", scopes: [read]}\n", []string{"line 3: the name is the same as on line 2"}},
		"a digest twice":      {"keys:\n  - {name: n, sha256: " + a + ", scopes: [read]}\n  - {name: m, sha256: " + strings.ToUpper(a) + ", scopes: [read]}\n", []string{"line 3: the sha256 is the same as on line 2"}},
		"a long name":         {"keys:\n  - {name: " + strings.Repeat("n", 65) + ", sha256: " + a + ", scopes: [read]}\n", []string{"line 2: name must"}},
		"a name with a bell":  {"keys:\n  - {name: \"a\\a\", sha256: " + a + ", scopes: [read]}\n", []string{"line 2: name must"}},
		"two documents":       {"keys:\n  - {name: n, sha256: " + a + ", scopes: [read]}\n---\nkeys: []\n", []string{"more than one document"}},
		"an alias for a list": {"keys: &k\n  - {name: n, sha256: " + a + ", scopes: *k}\n", []string{"line 2: scopes must"}},
		"no YAML":             {"keys: [\n", []string{"keys file: yaml"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			keys, err := ParseKeys([]byte(c.file))
			if err == nil || keys != nil {
				t.Fatalf("ParseKeys = %v, %v, want faults", keys, err)
			}
			got := strings.Split(err.Error(), "\n")
			if len(got) != len(c.want) && name != "no YAML" {
				t.Fatalf("faults %s", cmp.Diff(c.want, got))
			}
			for i, want := range c.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("fault %q, want %q", got[i], want)
				}
			}
			for _, secret := range []string{"hunter2", a[:32]} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q shows what may be a key", err)
				}
			}
		})
	}
}
