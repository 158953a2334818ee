package policy

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// bytesOf is a decision's JSON.
func bytesOf(tb interface{ Fatal(...any) }, d Decision) []byte {
	b, err := json.Marshal(d)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestTheOrderInWhichRulesRunDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, p := draw(t)
		want := Evaluate(f, p, noon())
		rules := ranking(table())
		seed := rapid.Uint64().Draw(t, "order")
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
		got := foldRules(rules, f, p, noon())
		slices.Sort(want.Waived) // they are listed as they were found
		slices.Sort(got.Waived)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestNoMixtureOfAnswersTurnsDoubtIntoADelete(t *testing.T) {
	answers := []finding{pass(), quiet(), quiet("A"), hits("Hit."), hitsAs(Manual, "Hit."), {}, {kind: 99}}
	rapid.Check(t, func(t *rapid.T) {
		var rules []rule
		clear := true
		for range rapid.IntRange(0, 12).Draw(t, "rules") {
			said := answers[rapid.IntRange(0, len(answers)-1).Draw(t, "answer")]
			clear = clear && said.kind == passed
			rules = append(rules, says("A", rapid.IntRange(0, 10).Draw(t, "tier"), Skip, said))
		}
		d := foldRules(ranking(rules), eligible(), policyOfTests(), noon())
		if want := clear && len(rules) > 0; (d.Verdict == Delete) != want {
			t.Fatalf("verdict %d of %v", d.Verdict, rules)
		}
		if len(d.Reasons) == 0 {
			t.Fatal("no reason")
		}
	})
}

func TestTheSameFactsGiveTheSameBytesAlsoAfterSealing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, p := draw(t)
		want := bytesOf(t, Evaluate(f, p, noon()))
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		var sealed Facts
		if err := json.Unmarshal(b, &sealed); err != nil {
			t.Fatal(err)
		}
		for _, again := range []Facts{f, sealed} {
			if got := bytesOf(t, Evaluate(again, p, noon())); !bytes.Equal(want, got) {
				t.Fatalf("%s and %s", want, got)
			}
		}
	})
}

func TestTheStateOfTheServiceChangesNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, p := draw(t)
		f.Standing.Paused, f.Standing.Unverified = "", ""
		without := Evaluate(f, p, noon())
		f.Standing.Paused, f.Standing.Unverified = "x", "y"
		with := Evaluate(f, p, noon())
		if with.Verdict != Skip || with.Tier != 0 {
			t.Fatalf("%v", with.Reasons)
		}
		rest := with.Reasons[2:]
		if without.Verdict == Delete {
			rest = append(rest, without.Reasons...)
		}
		if diff := cmp.Diff(without.Reasons, rest); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestAnApprovalWaivesOnlyWhatItMay(t *testing.T) {
	var every []Code
	for _, c := range Codes() {
		every = append(every, c.Code)
	}
	rapid.Check(t, func(t *rapid.T) {
		f, p := draw(t)
		f.Approval = nil
		before := Evaluate(f, p, noon())
		f.Approval = &Approval{ID: "a9", OpenedAt: noon(), Waives: rapid.SliceOf(rapid.SampledFrom(every)).Draw(t, "waives")}
		after := Evaluate(f, p, noon())
		for _, r := range before.Reasons {
			shown := slices.Contains(f.Approval.Waives, r.Code) && Waivable(r.Code)
			if stands := slices.Contains(codesOf(after.Reasons), r.Code); r.Code != Eligible && stands == shown {
				t.Fatalf("%s stands: %v, waived: %v", r.Code, stands, after.Waived)
			}
		}
		if tier, _ := TierOf(before.Code()); tier <= 4 && before.Verdict != Delete && after.Verdict == Delete {
			t.Fatalf("an approval made a delete of %v", before.Reasons)
		}
	})
}

func TestEligibleAtIsTrue(t *testing.T) {
	reached := 0
	rapid.Check(t, func(t *rapid.T) {
		f, p := eligible(), policyOfTests()
		live := rapid.Float64Range(0, 40).Draw(t, "live")
		seen(live+rapid.Float64Range(0, 1e-4).Draw(t, "event"), live)(&f, &p)
		f.Event.Directory.DisabledAt = Is(ago(rapid.Float64Range(-5, 20).Draw(t, "disabled")))
		d := Evaluate(f, p, noon())
		if d.EligibleAt.IsZero() {
			if d.Verdict == Skip {
				t.Fatalf("only time, and no time: %v", d.Reasons)
			}
			return
		}
		reached++
		for _, tc := range []struct {
			at   time.Time
			want Verdict
		}{{d.EligibleAt, Delete}, {d.EligibleAt.Add(-time.Nanosecond), Skip}} {
			// What is looked at anew by then is as fresh as now.
			f.Event.ObservedAt, f.Live.NewestSeenAt, f.Live.At, f.Live.CentralTime = Is(tc.at), Is(tc.at), tc.at, Is(tc.at)
			if got := Evaluate(f, p, tc.at); got.Verdict != tc.want {
				t.Fatalf("at %s: %v", tc.at, got.Reasons)
			}
		}
		if wait := d.EligibleAt.Sub(noon()); d.RetryAfter < wait || d.RetryAfter >= wait+time.Second {
			t.Fatalf("RetryAfter %s, %s to wait", d.RetryAfter, wait)
		}
	})
	if reached == 0 {
		t.Error("no case was reached")
	}
}
