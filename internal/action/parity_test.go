package action_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/central"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
	"rollcall/internal/record"
)

// question is all that an evaluation rests on.
type question struct {
	facts  policy.Facts // Approval is none: evaluate never has one
	params policy.Params
	now    time.Time
	own    *action.Trouble // with a live read that failed
	verify bool            // ask verify-live first, and evaluate on its evidence
}

// desk is Central, the ledger and the sealer of one question, in memory. What
// evaluate has no business with is not there, and panics.
type desk struct {
	action.Central
	action.Ledger
	q         *question
	look      func(context.Context, action.Ref, time.Duration, action.Ask) (policy.Live, *action.Trouble)
	decisions [][]byte
}

func (d *desk) Look(ctx context.Context, dev action.Ref, newest time.Duration, _ action.Ask) (policy.Live, *action.Trouble) {
	if d.look != nil {
		return d.look(ctx, dev, newest, action.AskAll)
	}
	return d.q.facts.Live, d.q.own
}

func (d *desk) Standing(context.Context, action.Ref, string) (action.Standing, error) {
	return action.Standing{Standing: d.q.facts.Standing, Now: d.q.now, Seq: 8, Installation: "inst"}, nil
}

func (d *desk) Note(_ context.Context, n action.Note) (action.Receipt, error) {
	d.decisions = append(d.decisions, n.Decision)
	return action.Receipt{Seq: 8, Installation: "inst", VerifyFails: d.q.facts.Standing.VerifyFails}, nil
}

func (d *desk) Paused(context.Context, string) (string, error) {
	return d.q.facts.Standing.Paused, nil
}

func (d *desk) Park(context.Context, string, string, []byte, time.Duration) error { return nil }

// Seal and Open make the trivial sealer: a token is its kind and its contents.
func (d *desk) Seal(kind string, plain []byte) (string, error) {
	return kind + ":" + string(plain), nil
}

func (d *desk) Open(token string) (string, []byte, error) {
	kind, plain, ok := strings.Cut(token, ":")
	if !ok {
		return "", nil, action.ErrToken
	}
	return kind, []byte(plain), nil
}

// pair asks the same question in both modes.
type pair struct {
	dry, live   *action.Runner
	atDry, atLv *desk
	q           question
}

func newPair() *pair {
	p := &pair{}
	open := func(mode string) (*action.Runner, *desk) {
		d := &desk{q: &p.q}
		rules := func() action.Rules { return action.Rules{Params: p.q.params} }
		return action.New(d, d, d, rules, func() time.Time { return p.q.now },
			action.Settings{Mode: mode, ActionTimeout: time.Minute, CentralTimeout: time.Minute}), d
	}
	p.dry, p.atDry = open(action.DryRun)
	p.live, p.atLv = open(action.LiveMode)
	return p
}

// said is an answer as bytes, but for the mode and what is random.
type said struct {
	verify, answer, decision []byte
	result                   action.Result
}

// ask runs one mode's side.
func ask(tb testing.TB, r *action.Runner, d *desk, q question) said {
	tb.Helper()
	d.decisions = nil
	var out said
	call, in := action.Call{RequestID: "r", Key: "k"}, action.EvaluateInput{Event: q.facts.Event}
	if q.verify {
		v, err := r.VerifyLive(tb.Context(), call, action.VerifyLiveInput{Event: q.facts.Event})
		var unnamed *action.Invalid
		switch {
		case errors.As(err, &unnamed):
			out.verify = []byte(err.Error())
		case err != nil:
			tb.Fatalf("verify-live: %v", err)
		default:
			in.Evidence, out.verify = v.Token, bare(tb, v)
		}
	}
	res, err := r.Evaluate(tb.Context(), call, in)
	if err != nil {
		tb.Fatalf("evaluate: %v", err)
	}
	out.result, out.answer = res, bare(tb, res)
	if n := len(d.decisions); n > 0 {
		out.decision = bytes.Replace(d.decisions[n-1], []byte(`"mode":"`+res.Mode+`"`), []byte(`"mode":"any"`), 1)
	}
	return out
}

// bare is an answer as JSON without its mode and token.
func bare(tb testing.TB, res action.Result) []byte {
	tb.Helper()
	res.Mode, res.Token = "", ""
	b, err := json.Marshal(res)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// mustAgree asks both and compares byte by byte. Where the store can't be trusted
// live says so, and must for the rest say what dry-run says.
func (p *pair) mustAgree(tb testing.TB, about string, q question) said {
	tb.Helper()
	p.q = q
	dry, live := ask(tb, p.dry, p.atDry, q), ask(tb, p.live, p.atLv, q)
	if dry.result.Mode != action.DryRun || live.result.Mode != action.LiveMode {
		tb.Fatalf("%s: asked in %q and %q", about, dry.result.Mode, live.result.Mode)
	}
	if q.facts.Standing.Unverified != "" && len(dry.decision) > 0 {
		if a, b := below(dry.result), below(live.result); a != b || live.result.Outcome != "skip" {
			tb.Fatalf("%s: below tier 0\ndry-run %s\nlive    %s %s", about, a, live.result.Outcome, b)
		}
		return dry
	}
	for what, both := range map[string][2][]byte{
		"verify-live": {dry.verify, live.verify}, "answer": {dry.answer, live.answer}, "decision": {dry.decision, live.decision},
	} {
		if !bytes.Equal(both[0], both[1]) {
			tb.Fatalf("%s: %s\ndry-run %s\nlive    %s", about, what, both[0], both[1])
		}
	}
	return dry
}

// below writes the reasons of an answer but those of tier 0, and but the one that
// is there when there is no other.
func below(res action.Result) string {
	var out []policy.Reason
	for _, r := range res.Reasons {
		if tier, ok := policy.TierOf(r.Code); ok && tier > 0 {
			out = append(out, r)
		}
	}
	return fmt.Sprintf("%+v", out)
}

// golden is a decision on record, as the policy's tests write it.
type golden struct {
	About    string
	Now      time.Time
	Facts    policy.Facts
	Params   policy.Params
	Decision struct {
		Verdict string
		Reasons []struct{ Code policy.Code }
	}
}

func TestTheDecisionsOnRecordAreTheSameInDryRunAndLive(t *testing.T) {
	paths, err := filepath.Glob("../policy/testdata/decisions/*.json")
	if err != nil || len(paths) < 40 {
		t.Fatalf("%d records: %v", len(paths), err)
	}
	p := newPair()
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var g golden
			if err := json.Unmarshal(b, &g); err != nil {
				t.Fatal(err)
			}
			approved := g.Facts.Approval != nil
			g.Facts.Approval = nil
			got := p.mustAgree(t, g.About, question{facts: g.Facts, params: g.Params, now: g.Now})
			if approved || g.Facts.Standing.Unverified != "" || len(got.decision) == 0 {
				return // evaluate has no approval; tier 0 aside; an event that names no device
			}
			var codes, want []policy.Code
			for _, r := range got.result.Reasons {
				codes = append(codes, r.Code)
			}
			for _, r := range g.Decision.Reasons {
				want = append(want, r.Code)
			}
			if got.result.Outcome != g.Decision.Verdict || !slices.Equal(codes, want) {
				t.Errorf("%s %v, on record %s %v", got.result.Outcome, codes, g.Decision.Verdict, want)
			}
		})
	}
}

func TestTheSampleIsTheSameInDryRunAndLive(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	sim := centralsim.New(centralsim.Options{Now: clock, ClientID: "id", ClientSecret: "secret", ID: centralsim.SampleTenant})
	sample := centralsim.Sample(now)
	sim.Load(sample)
	server := httptest.NewServer(sim)
	defer server.Close()
	params := eligibleParams()
	params.Exclusions = append(slices.Clone(params.Exclusions), policy.Exclusion{ID: "lab-group", CentralGroups: []string{"shared lab"}, Reason: "shared lab", Owner: "it-ops"})
	client, err := central.New(central.Options{
		IDURL: server.URL, APIURL: server.URL, Read: central.Credential{ClientID: "id", ClientSecret: "secret"}, Timeout: time.Minute, Now: clock,
		Groups: params.CentralGroups,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	p := newPair()
	p.atDry.look, p.atLv.look = client.Look, client.Look
	had := map[string]int{}
	for _, verify := range []bool{false, true} {
		for _, d := range sample {
			b, err := json.Marshal(d.Event)
			if err != nil {
				t.Fatal(err)
			}
			event, err := record.ParseEvent(b)
			if err != nil {
				t.Fatal(err)
			}
			q := question{facts: policy.Facts{Event: event}, params: params, now: now, verify: verify}
			got := p.mustAgree(t, d.Case, q)
			if string(got.result.Reasons[0].Code) != d.Want || got.result.Outcome != d.Verdict {
				t.Errorf("%s: %s %s, want %s %s", d.Case, got.result.Outcome, got.result.Reasons[0].Code, d.Verdict, d.Want)
			}
			had[got.result.Outcome]++
		}
	}
	for _, verdict := range []string{"delete", "manual", "skip", "keep"} {
		if had[verdict] < 2 {
			t.Errorf("%d samples of %s", had[verdict], verdict)
		}
	}
}
