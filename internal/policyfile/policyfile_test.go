package policyfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/policy"
	"rollcall/internal/policyfile"
)

func TestTheSampleIsTheDefaultsAndAnOU(t *testing.T) {
	got, err := policyfile.Parse(policyfile.Sample())
	if err != nil {
		t.Fatal(err)
	}
	want := policy.DefaultParams()
	want.Version = got.Version
	want.DisabledOUs = []policy.DN{{{"ou=Disabled"}, {"dc=corp"}, {"dc=example"}, {"dc=test"}}}
	want.Domains = map[string]string{"CORPEX": "corp.example.test"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(got.Version) != 12 {
		t.Errorf("version = %q", got.Version)
	}
}

func TestAFullPolicyIsRead(t *testing.T) {
	b, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := policyfile.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{
		"users that are DNs":          len(p.VIP.Persons) == 1 && len(p.VIP.Users) == 1 && p.VIP.Users[0] == `corpex\ceo`,
		"an exclusion's last day":     p.Exclusions[0].Expires.Equal(time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)),
		"globs are folded":            p.Exclusions[0].Hostnames[0] == "lab-*",
		"the window's minutes":        p.Window.From == 9*60 && p.Window.To == 16*60 && p.Window.Days[time.Monday] && !p.Window.Days[time.Friday],
		"no spacing":                  p.Limits.Spacing == 0,
		"live tenants are lower case": p.LiveTenants[0] == "c0a8f1d2-57be-4a39-8e14-2b9d6f70a5c1",
	} {
		if !ok {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// Each file names its defect; its first line says which faults are expected.
func TestEveryFaultIsToldWithItsLine(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(b), "\n")
			want := strings.Split(strings.TrimPrefix(first, "# "), " | ")
			var faults policyfile.Faults
			if _, err := policyfile.Parse(b); !errors.As(err, &faults) {
				t.Fatalf("error = %v, want faults", err)
			}
			if len(faults) != len(want) {
				t.Errorf("%d faults, want %d:\n%v", len(faults), len(want), faults)
			}
			for _, w := range want {
				if !strings.Contains(faults.Error(), w) {
					t.Errorf("faults lack %q:\n%v", w, faults)
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(policyfile.Sample())
	files, _ := filepath.Glob("testdata/*/*.yaml")
	if len(files) == 0 {
		f.Fatal("no seeds")
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := policyfile.Parse(b)
		if err != nil && !cmp.Equal(p, policy.Params{}) {
			t.Error("both a policy and an error")
		}
		if err == nil && (len(p.DisabledOUs) == 0 || p.InactiveDays.Computer < 14 || p.InactiveDays.Server < 14) {
			t.Errorf("passed: %+v", p)
		}
	})
}
