package policy

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the goldens anew")

// goldens is where the decisions on record are.
const goldens = "testdata/decisions"

// golden is a decision on record, with all that it rests on.
type golden struct {
	About    string
	Now      time.Time
	Facts    Facts
	Params   Params
	Decision told
}

// told is a decision as a person reads it.
type told struct {
	Verdict    string
	Tier       int
	Reasons    []toldReason
	Waived     []Code `json:",omitempty"`
	EligibleAt string `json:",omitempty"`
	RetryAfter string `json:",omitempty"`
	Activity   Activity
}

type toldReason struct {
	Code    Code
	Verdict string
	Text    string
}

// compact writes lists of texts, and lists of these, on one line.
func compact(b []byte) []byte {
	list := regexp.MustCompile(`\[\s+(?:"[^"]*"|\[[^\n]*\])(?:,\s+(?:"[^"]*"|\[[^\n]*\]))*\s+\]`)
	for range 3 {
		b = list.ReplaceAllFunc(b, func(m []byte) []byte { return regexp.MustCompile(`\n\s*`).ReplaceAll(m, nil) })
	}
	return b
}

// word names a verdict.
func word(v Verdict) string {
	return [...]string{Manual: "manual", Skip: "skip", Keep: "keep", Delete: "delete"}[v]
}

// tell writes a decision for a person.
func tell(d Decision) told {
	out := told{Verdict: word(d.Verdict), Tier: d.Tier, Waived: d.Waived, Activity: d.Activity}
	for _, r := range d.Reasons {
		out.Reasons = append(out.Reasons, toldReason{r.Code, word(r.Verdict), r.Text})
	}
	if !d.EligibleAt.IsZero() {
		out.EligibleAt = when(d.EligibleAt)
	}
	if d.RetryAfter != 0 {
		out.RetryAfter = d.RetryAfter.String()
	}
	return out
}

// recorded are the rows that have a golden, and some that only goldens show.
func recorded() []row {
	rows := []row{
		{name: "as it is", file: "eligible", verdict: Delete},
		{name: "an approval waives what was shown", file: "eligible-approved", change: func(f *Facts, _ *Params) {
			f.Event.Owner.Login, f.Live.Device.ViaLogin, f.Approval = Is(`corpex\ceo`), Is(`corpex\ceo`), &Approval{ID: "a1", Waives: []Code{VIPDevice}, OpenedAt: ago(0.1)}
		}, verdict: Delete},
		{name: "much stands against it", file: "many-reasons", change: func(f *Facts, p *Params) {
			seen(141, 1)(f, p)
			f.Live.Device.Online, f.Live.Device.Type, f.Live.Device.Build = Is(true), Is("server"), Is(26100)
			f.Standing.OpenTicket, f.Event.Directory.DisabledAt = "INC-1", Is(ago(1))
		}, verdict: Skip},
	}
	for _, r := range allRows() {
		if r.file != "" {
			rows = append(rows, r)
		}
	}
	return rows
}

// read reads a golden.
func read(tb testing.TB, path string) golden {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(b, &g); err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	return g
}

// files lists the goldens; none is fatal.
func files(tb testing.TB) []string {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(goldens, "*.json"))
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no goldens in %s: %v", goldens, err)
	}
	return paths
}

func TestDecisionsOnRecord(t *testing.T) {
	var known []string
	for _, r := range recorded() {
		t.Run(r.file, func(t *testing.T) {
			path := filepath.Join(goldens, r.file+".json")
			f, p := r.facts()
			want := tell(Evaluate(f, p, noon()))
			if *update {
				b, err := json.MarshalIndent(golden{r.name, noon(), f, p, want}, "", " ")
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, append(compact(b), '\n'), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			g := read(t, path)
			if diff := cmp.Diff(g.Decision, tell(Evaluate(g.Facts, g.Params, g.Now))); diff != "" {
				t.Errorf("another decision than on record (-record +now):\n%s", diff)
			}
			if diff := cmp.Diff(g.Decision, want); diff != "" || word(r.verdict) != g.Decision.Verdict {
				t.Errorf("the record is not of this case (-record +case); -update writes it anew:\n%s", diff)
			}
		})
		known = append(known, filepath.Join(goldens, r.file+".json"))
	}
	slices.Sort(known)
	if diff := cmp.Diff(known, files(t)); diff != "" {
		t.Errorf("records (-cases +files):\n%s", diff)
	}
}

func TestEveryRuleHasADecisionOnRecordForEachOfItsVerdicts(t *testing.T) {
	had := map[string]bool{}
	for _, path := range files(t) {
		r := read(t, path).Decision.Reasons[0]
		had[fmt.Sprint(r.Code, " ", r.Verdict)] = true
	}
	wanted := []string{"VERIFY_FAILED manual", "EXCLUDED manual"} // verdicts beside the rule's own
	for _, c := range Codes() {
		if c.Tier >= 0 {
			wanted = append(wanted, fmt.Sprint(c.Code, " ", word(c.Verdict)))
		}
	}
	for _, w := range wanted {
		if !had[w] {
			t.Errorf("no decision on record is %s", w)
		}
		delete(had, w)
	}
	for extra := range had {
		t.Errorf("%s is on record, but no rule's verdict", extra)
	}
}

func TestCodesListEveryCodeOnce(t *testing.T) {
	had := map[Code]bool{}
	for _, c := range Codes() {
		if had[c.Code] {
			t.Errorf("%s twice", c.Code)
		}
		had[c.Code] = true
		if !strings.HasSuffix(c.Why, ".") {
			t.Errorf("%s: %q is no sentence", c.Code, c.Why)
		}
		if _, rule := TierOf(c.Code); rule != (c.Tier >= 0 && c.Tier < 11) {
			t.Errorf("%s: tier %d, and a rule: %v", c.Code, c.Tier, rule)
		}
	}
	if got, want := len(had), len(table())+1+15; got != want {
		t.Errorf("%d codes, want %d", got, want)
	}
}

func TestTheSameFactsGiveTheSameBytes(t *testing.T) {
	for _, path := range files(t) {
		g := read(t, path)
		var first []byte
		for range 5 {
			b, err := json.Marshal(Evaluate(g.Facts, g.Params, g.Now))
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = b
			}
			if !bytes.Equal(first, b) {
				t.Fatalf("%s: %s and %s", path, first, b)
			}
		}
	}
}
