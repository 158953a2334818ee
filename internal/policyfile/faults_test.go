package policyfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	_ "time/tzdata" // windows are read alike where the machine has no zones

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/policy"
	"rollcall/internal/policyfile"
)

// minimal is a policy of the one key that has no default.
const minimal = `disabledOUs: ["OU=Disabled,DC=corp,DC=example,DC=test"]` + "\n"

func mustParse(tb testing.TB, text string) policy.Params {
	tb.Helper()
	p, err := policyfile.Parse([]byte(text))
	if err != nil {
		tb.Fatalf("Parse(%q): %v", text, err)
	}
	return p
}

func TestAFileThatNamesOnlyTheOUsIsTheDefaults(t *testing.T) {
	got := mustParse(t, minimal)
	want := policy.DefaultParams()
	want.Version = got.Version
	want.DisabledOUs = []policy.DN{{{"ou=Disabled"}, {"dc=corp"}, {"dc=example"}, {"dc=test"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPartOfASectionLeavesTheRestAtItsDefault(t *testing.T) {
	got := mustParse(t, minimal+"inactiveDays: {server: 120}\nmanual: {linux: false}\nlimits: {perDay: [0]}\n")
	want := policy.DefaultParams()
	want.InactiveDays.Server, want.Manual.Linux, want.Limits.PerDay = 120, false, []int{0}
	want.Version, want.DisabledOUs = got.Version, got.DisabledOUs
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheVersionChangesWithTheFile(t *testing.T) {
	a, b := mustParse(t, minimal), mustParse(t, minimal+"# looked through\n")
	if a.Version == b.Version || a.Version != mustParse(t, minimal).Version {
		t.Errorf("versions %s and %s", a.Version, b.Version)
	}
}

func TestAWindowMayEndAtMidnight(t *testing.T) {
	w := mustParse(t, minimal+`window: {timezone: Etc/UTC, days: [Sun, Sat], from: "00:00", to: "24:00"}`).Window
	want := [7]bool{true, false, false, false, false, false, true}
	if w.From != 0 || w.To != 24*60 || w.Days != want || w.Location.String() != "Etc/UTC" {
		t.Errorf("window %+v", w)
	}
}

func TestFaultsAreToldInTheOrderOfTheirLines(t *testing.T) {
	_, err := policyfile.Parse([]byte("keepDays: 0\nvip: {users: [7]}\nnonsense: 1\ngraceDays: -1\n"))
	var faults policyfile.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("error = %v", err)
	}
	var paths []string
	for _, f := range faults {
		paths = append(paths, f.Path)
	}
	if diff := cmp.Diff([]string{"keepDays", "disabledOUs", "vip.users[0]", "nonsense", "graceDays"}, paths); diff != "" {
		t.Error(diff)
	}
	if !strings.HasPrefix(faults.Error(), "line 1: keepDays: must be a whole number of 1 or more\nline 1: ") {
		t.Error(faults)
	}
}

func TestAnEmptyFileLacksTheOUs(t *testing.T) {
	for _, text := range []string{"", "\n\n", "---\n", "---\n...\n", "{}", "~"} {
		p, err := policyfile.Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), "disabledOUs: is required") || !cmp.Equal(p, policy.Params{}) {
			t.Errorf("Parse(%q) = %+v, %v", text, p, err)
		}
	}
}

func TestAFileOverOneMebibyteIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	for size, want := range map[int]bool{1 << 20: true, 1<<20 + 1: false} {
		text := minimal + "#" + strings.Repeat("x", size-len(minimal)-1)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := policyfile.Load(file); (err == nil) != want {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestAFileThatIsNotThereIsNoFaultOfThePolicy(t *testing.T) {
	_, err := policyfile.Load(filepath.Join(t.TempDir(), "none.yaml"))
	var faults policyfile.Faults
	if !errors.Is(err, fs.ErrNotExist) || errors.As(err, &faults) {
		t.Errorf("error = %v", err)
	}
}

func TestTheSampleIsACopy(t *testing.T) {
	before := slices.Clone(policyfile.Sample())
	clear(policyfile.Sample())
	if !slices.Equal(before, policyfile.Sample()) {
		t.Error("a caller can change the sample")
	}
}

// The sample's commented examples must hold once someone uncomments them.
func TestTheExamplesInTheSampleParse(t *testing.T) {
	text := string(policyfile.Sample())
	for _, swap := range [][2]string{
		{"exclusions: []\n", "exclusions:\n"}, {"\n#  - id", "\n  - id"}, {"\n#    ", "\n    "}, {"\n#window", "\nwindow"}, {"\n#  ", "\n  "},
		{"groups: []        #", "groups:\n    "}, {"users: []         # logins, UPNs or DNs, or a list of one person's:", "users:\n    "}, {"hostnames: []     # globs:", "hostnames:\n    "},
	} {
		if !strings.Contains(text, swap[0]) {
			t.Fatalf("the sample lacks %q", swap[0])
		}
		text = strings.ReplaceAll(text, swap[0], swap[1])
	}
	p := mustParse(t, text)
	if p.Window == nil || len(p.Exclusions) != 1 || len(p.VIP.Groups) != 1 || len(p.VIP.Users) != 1 || len(p.VIP.Hostnames) != 1 {
		t.Errorf("examples lost: %+v", p)
	}
}
