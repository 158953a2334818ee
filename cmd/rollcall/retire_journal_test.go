package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

func TestAJournalGoesOnWhereAKillCutIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, err := openRetireJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	e := retireEntry{At: time.Now(), Step: stepDelete, Outcome: "deleted", TenantID: tenantA, EndpointID: deviceA}
	if err := errors.Join(j.write(e), j.close()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(text, `{"at":"2026-11-2`...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if j, err = openRetireJournal(path); err != nil || !j.last[e.dev()].settled() {
		t.Fatalf("%v %+v", err, j)
	}
	e.EndpointID = deviceB
	if err := errors.Join(j.write(e), j.close()); err != nil {
		t.Fatal(err)
	}
	if j, err = openRetireJournal(path); err != nil || len(j.last) != 2 {
		t.Fatalf("%v %+v", err, j)
	}
	if _, err := openRetireJournal(path); err == nil || !strings.Contains(err.Error(), "another run") {
		t.Errorf("two runs at once: %v", err)
	}
	_ = j.close()
}

func TestAFileThatIsNoJournalIsNotWrittenTo(t *testing.T) {
	for _, text := range []string{"nonsense\n", `{"central":{}}` + "\n", "{}\n"} {
		path := written(t, "j", text)
		if _, err := openRetireJournal(path); err == nil {
			t.Errorf("%q was taken for a journal", text)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%q became %q (%v)", text, got, err)
		}
	}
}

// A file of one line without an end, such as a key's, is named by a slip of the hand:
// it is not taken for a journal whose only line was cut.
func TestReviewAFileOfOneLineWithoutAnEndIsNotEmptied(t *testing.T) {
	for _, text := range []string{"c2VjcmV0", `{"event":{}}`, "{", "\ufeff" + `{"at":`, `{"at":"2026-11-20T06:00:00Z"}`, `{"at":1,"items":[`} {
		path := written(t, "j", text)
		j, err := openRetireJournal(path)
		if err == nil {
			_ = j.close()
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text && !strings.HasPrefix("{\"at\"", text) {
			t.Errorf("%q became %q (%v)", text, got, err)
		}
	}
}

func TestWhatOfAnEarlierRunStands(t *testing.T) {
	now := time.Now()
	row := retireRow{digest: "d"}
	verdict := func(v string, change func(*retireEntry)) retireEntry {
		e := retireEntry{At: now.Add(-time.Minute), Step: stepEvaluated, Mode: action.LiveMode, Row: "d", Verdict: v, PolicyVersion: "p"}
		if change != nil {
			change(&e)
		}
		return e
	}
	done := func(outcome, code string) retireEntry {
		return retireEntry{Step: stepDelete, Outcome: outcome, ReasonCode: code, Mode: action.LiveMode, Row: "d", PolicyVersion: "p"}
	}
	other := func(e retireEntry, row, version string) retireEntry {
		e.Row, e.PolicyVersion = row, version
		return e
	}
	for _, tt := range []struct {
		name string
		e    retireEntry
		mode string
		want bool
	}{
		{"a delete", done("deleted", ""), action.LiveMode, true},
		{"a delete, in a dry run too", done("deleted", ""), action.DryRun, true},
		{"a delete, of another row under another policy", other(done("deleted", ""), "e", "q"), action.LiveMode, true},
		{"one that was done before", other(done("already_deleted", ""), "e", "q"), action.LiveMode, true},
		{"one that others did", other(done("gone", ""), "e", "q"), action.LiveMode, true},
		{"a refusal", done("refused", "EVIDENCE_CHANGED"), action.LiveMode, true},
		{"not one of another row", other(done("refused", "EVIDENCE_CHANGED"), "e", "p"), action.LiveMode, false},
		{"not one under another policy", other(done("refused", "EXCLUDED"), "d", "q"), action.LiveMode, false},
		{"a failure", done("failed", "DELETE_FAILED"), action.LiveMode, true},
		{"a failure, under another policy too", other(done("failed", "DELETE_FAILED"), "d", "q"), action.LiveMode, true},
		{"not a failure of another row", other(done("failed", "DELETE_FAILED"), "e", "p"), action.LiveMode, false},
		{"not a token that ran out", done("refused", "TOKEN_EXPIRED"), action.LiveMode, false},
		{"not what was put off", done("deferred", "SPACING"), action.LiveMode, false},
		{"not what is not known", done("pending", "DELETE_UNCONFIRMED"), action.LiveMode, false},
		{"not what was under way", retireEntry{Step: stepDeleting}, action.LiveMode, false},
		{"a person's matter", verdict("manual", nil), action.LiveMode, true},
		{"what must stay", verdict("keep", nil), action.LiveMode, true},
		{"not what time changes", verdict("skip", nil), action.LiveMode, false},
		{"not a verdict that leads to a delete", verdict("delete", nil), action.LiveMode, false},
		{"but where none is sent", verdict("delete", func(e *retireEntry) { e.Mode = action.DryRun }), action.DryRun, true},
		{"not a verdict of the other mode", verdict("manual", nil), action.DryRun, false},
		{"not under another policy", verdict("manual", func(e *retireEntry) { e.PolicyVersion = "q" }), action.LiveMode, false},
		{"not on another row", verdict("manual", func(e *retireEntry) { e.Row = "x" }), action.LiveMode, false},
		{"not one that is too old", verdict("manual", func(e *retireEntry) { e.At = now.Add(-2 * time.Hour) }), action.LiveMode, false},
	} {
		r := &retireRun{mode: tt.mode, begun: now, rules: policy.Params{Version: "p", VerdictTTL: time.Hour}}
		if got := r.stands(tt.e, row); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestTheVerdictsOfARunThatEndedAreForgotten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	var text []byte
	for _, e := range []retireEntry{
		{Step: stepStart}, {Step: stepEvaluated, EndpointID: deviceA, Verdict: "manual"}, {Step: stepDelete, EndpointID: deviceB, Outcome: "deleted"}, {Step: stepEnd},
	} {
		e.At = time.Now()
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		text = append(append(text, b...), '\n')
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := openRetireJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.close() }()
	if len(j.last) != 1 || !j.last[action.Ref{EndpointID: deviceB}].settled() {
		t.Errorf("%+v", j.last)
	}
}

func TestOnlyWhatIsGoneIsNotTakenBackByALaterLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, err := openRetireJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []retireEntry{
		{Step: stepDelete, EndpointID: deviceA, Outcome: "refused"}, {Step: stepDelete, EndpointID: deviceB, Outcome: "gone"},
		{Step: stepEvaluated, EndpointID: deviceA, Verdict: "manual"}, {Step: stepEvaluated, EndpointID: deviceB, Verdict: "delete"},
	} {
		e.At = time.Now()
		if err := j.write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	if j, err = openRetireJournal(path); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.close() }()
	a, b := j.last[action.Ref{EndpointID: deviceA}], j.last[action.Ref{EndpointID: deviceB}]
	if a.settled() || a.Verdict != "manual" || !b.forGood() {
		t.Errorf("%+v %+v", a, b)
	}
}
