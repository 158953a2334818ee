package rollcall_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows says what a package of this module may import: packages of this module,
// and modules from outside ("*" = any). What stands in no row has no business
// here yet: a new package names its arrows first.
type arrows struct {
	internal []string
	outside  []string
}

func allowed() map[string]arrows {
	return map[string]arrows{
		"rollcall":                     {},
		"rollcall/api":                 {},
		"rollcall/internal/policy":     {nil, []string{"golang.org/x/text/unicode/norm"}},
		"rollcall/internal/action":     {[]string{"policy"}, []string{"github.com/google/uuid", "golang.org/x/sync"}},
		"rollcall/internal/record":     {[]string{"policy"}, []string{"*"}},
		"rollcall/internal/adexport":   {[]string{"policy", "record", "api"}, []string{"*"}},
		"rollcall/internal/policyfile": {[]string{"policy", "record"}, []string{"*"}},
		"rollcall/internal/central":    {[]string{"policy", "action", "record"}, []string{"*"}},
		"rollcall/internal/ledger":     {[]string{"policy", "action"}, []string{"*"}},
		"rollcall/internal/seal":       {[]string{"action"}, []string{"*"}},
		"rollcall/internal/centralsim": {nil, []string{"*"}},
		"rollcall/internal/httpapi":    {[]string{"policy", "action", "record", "api", ""}, []string{"*"}},
		"rollcall/cmd/rollcall":        {[]string{"*"}, []string{"*"}},
	}
}

// pkg is what the go command says of a package.
type pkg struct {
	ImportPath string
	Imports    []string
}

func packages(tb testing.TB) []pkg {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), "go", "list", "-e", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		tb.Fatalf("go list: %v", err)
	}
	var all []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			tb.Fatal(err)
		}
		all = append(all, p)
	}
}

// short is a package of this module as the table names it; the root is "".
func short(path string) string {
	for _, prefix := range []string{"rollcall/internal/", "rollcall/"} {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			return rest
		}
	}
	return ""
}

func ours(path string) bool { return path == "rollcall" || strings.HasPrefix(path, "rollcall/") }

func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// fits reports whether a package with these arrows may import path.
func (a arrows) fits(path string) bool {
	list, name := a.outside, path
	switch {
	case ours(path):
		list, name = a.internal, short(path)
	case standard(path):
		return true
	}
	return slices.ContainsFunc(list, func(may string) bool {
		return may == "*" || name == may || (may != "" && !ours(path) && strings.HasPrefix(name, may+"/"))
	})
}

func TestArrowsPointOneWay(t *testing.T) {
	table, seen := allowed(), 0
	for _, p := range packages(t) {
		a, ok := table[p.ImportPath]
		if !ok {
			t.Errorf("%s stands in no row of the table: say what it may import", p.ImportPath)
			continue
		}
		seen++
		for _, path := range p.Imports {
			if !a.fits(path) {
				t.Errorf("%s must not import %s", p.ImportPath, path)
			}
		}
	}
	if seen < 4 {
		t.Errorf("looked at %d packages, which can't be all", seen)
	}
}

func TestPolicyIsPure(t *testing.T) {
	for _, p := range packages(t) {
		if p.ImportPath != "rollcall/internal/policy" {
			continue
		}
		for _, path := range p.Imports {
			first, _, _ := strings.Cut(path, "/")
			if slices.Contains([]string{"net", "os", "context", "database", "syscall", "unsafe"}, first) || path == "math/rand" {
				t.Errorf("policy imports %s: what it decides must rest on its arguments alone", path)
			}
		}
		return
	}
	t.Fatal("there is no policy")
}

func TestOneImporterOfGinAndNoneOfCmd(t *testing.T) {
	for _, p := range packages(t) {
		for _, path := range p.Imports {
			if strings.HasPrefix(path, "github.com/gin-gonic/") && p.ImportPath != "rollcall/internal/httpapi" {
				t.Errorf("%s imports %s; only the edge may", p.ImportPath, path)
			}
			if strings.HasPrefix(path, "rollcall/cmd") {
				t.Errorf("%s imports %s; nothing may", p.ImportPath, path)
			}
		}
	}
}

func TestTheArrowsTableItself(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		want     bool
	}{
		{"rollcall/internal/policy", "time", true},
		{"rollcall/internal/policy", "github.com/go-ldap/ldap/v3", false},
		{"rollcall/internal/policy", "rollcall/internal/action", false},
		{"rollcall/internal/action", "rollcall/internal/policy", true},
		{"rollcall/internal/action", "rollcall/internal/ledger", false},
		{"rollcall/internal/action", "golang.org/x/sync/errgroup", true},
		{"rollcall/internal/action", "github.com/redis/go-redis/v9", false},
		{"rollcall/internal/central", "rollcall/internal/ledger", false},
		{"rollcall/internal/ledger", "rollcall/api", false},
		{"rollcall/internal/seal", "rollcall/internal/record", false},
		{"rollcall/internal/httpapi", "rollcall", true},
		{"rollcall/internal/httpapi", "rollcall/internal/ledger", false},
		{"rollcall/api", "github.com/google/uuid", false},
	} {
		if got := allowed()[tt.from].fits(tt.to); got != tt.want {
			t.Errorf("%s may import %s: %v, want %v", tt.from, tt.to, got, tt.want)
		}
	}
}
