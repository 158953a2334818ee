package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

// unbounded are limits that these tests do not meet.
const unbounded = "perDay: [100]"

func yes(n int) string { return fmt.Sprintf("%s:%d", centralsim.SampleTenant, n) }

func TestDryRunSendsNoDELETEWhateverTheModeOfTheService(t *testing.T) {
	for _, mode := range []string{"dry-run", "live"} {
		r := retiring(t, 3, unbounded, "ROLLCALL_MODE="+mode)
		code, out, errs := r.typed(t, strings.NewReader(centralsim.SampleTenant+" 3\n"), "retire", "--file", r.file)
		if code != exitDone {
			t.Fatalf("%s: %d %s", mode, code, errs)
		}
		if n := r.central.Deletes(); n != 0 {
			t.Errorf("%s: %d DELETEs", mode, n)
		}
		_, list, found := strings.Cut(out, "Would be deleted, oldest last-seen first:")
		first, second, third := strings.Index(list, "WS-OLD-00"), strings.Index(list, "WS-OLD-01"), strings.Index(list, "WS-OLD-02")
		if !found || first < 0 || second < first || third < second || !strings.Contains(list, " 300 ") {
			t.Errorf("%s: the list is not in order:\n%s", mode, out)
		}
		for _, want := range []string{"3        delete", "1        manual", "1        manual   SERVER", "3        delete   ELIGIBLE"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: the table lacks %q:\n%s", mode, want, out)
			}
		}
	}
}

func TestLiveNeedsTheModeToo(t *testing.T) {
	r := retiring(t, 1, unbounded)
	code, _, errs := ran(t, r.environ, "retire", "--file", r.file, "--live", "--yes", yes(1))
	if code != exitUsage || !strings.Contains(errs, "ROLLCALL_MODE=live") || r.central.Deletes() != 0 {
		t.Errorf("%d %s, %d DELETEs", code, errs, r.central.Deletes())
	}
}

func TestAnythingButTheTenantAndTheNumberDeletesNothing(t *testing.T) {
	r := retiring(t, 2, unbounded)
	for _, typed := range []string{
		"", "\n", "yes\n", "2\n", centralsim.SampleTenant + "\n", centralsim.SampleTenant + " 3\n", centralsim.SampleTenant + " 2 now\n",
		centralsim.ForeignTenant + " 2\n", "\n" + centralsim.SampleTenant + " 2\n",
	} {
		code, _, errs := r.typed(t, strings.NewReader(typed), r.live()...)
		if code != exitFailed || !strings.Contains(errs, "not confirmed; nothing was deleted") {
			t.Errorf("%q: %d %s", typed, code, errs)
		}
	}
	for _, given := range [][]string{{"--yes", yes(1)}, {"--yes", yes(3)}, {"--yes", yes(2), "--yes", centralsim.ForeignTenant + ":1"}} {
		code, _, errs := r.typed(t, strings.NewReader(centralsim.SampleTenant+" 2\n"), r.live(given...)...)
		if code != exitFailed || !strings.Contains(errs, "not confirmed; nothing was deleted") {
			t.Errorf("%q: %d %s", given, code, errs)
		}
	}
	if n := r.central.Deletes(); n != 0 {
		t.Errorf("%d DELETEs", n)
	}
}

func TestAConfirmedRunDeletesTheOldestFirstUntilTheLimit(t *testing.T) {
	r := retiring(t, 3, "perDay: [2]")
	report := filepath.Join(t.TempDir(), "r.json")
	code, out, errs := r.typed(t, strings.NewReader(centralsim.SampleTenant+" 3\n"), r.live("--report", report)...)
	if code != exitFailed || !strings.Contains(errs, "not all was done") {
		t.Errorf("%d %s", code, errs)
	}
	if diff := cmp.Diff(r.ids[:2], r.deleted()); diff != "" {
		t.Errorf("deleted: %s", diff)
	}
	if _, left, _ := strings.Cut(out, "Not deleted:"); !strings.Contains(left, "WS-OLD-02") || !strings.Contains(left, "LIMIT_DAY") || strings.Contains(left, "WS-OLD-00") {
		t.Errorf("what is left is not told:\n%s", out)
	}
	var told retireReport
	text, err := os.ReadFile(report)
	if err == nil {
		err = json.Unmarshal(text, &told)
	}
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, d := range told.Devices {
		got[d.EndpointID] = d.Verdict + " " + d.Outcome
	}
	want := map[string]string{r.ids[0]: "delete deleted", r.ids[1]: "delete deleted", r.ids[2]: "delete deferred"}
	for id, w := range want {
		if got[id] != w {
			t.Errorf("report: %s is %q, want %q", id, got[id], w)
		}
	}
	// Tomorrow, as it were: the limit is higher, and the two are passed over.
	r.policy(t, "perDay: [2]", "perDay: [3]")
	calls := r.central.Count("", "/endpoint/v1/endpoints/"+r.ids[0])
	code, out, errs = ran(t, r.environ, r.live("--yes", yes(1))...)
	if code != exitDone || !strings.Contains(out, "2 were settled by an earlier run") {
		t.Errorf("the second run: %d %s %s", code, out, errs)
	}
	if diff := cmp.Diff(r.ids, r.deleted()); diff != "" {
		t.Errorf("deleted by both: %s", diff)
	}
	if n := r.central.Count("", "/endpoint/v1/endpoints/"+r.ids[0]); n != calls {
		t.Error("what was settled was looked up again")
	}
}

func TestADeviceThatChecksInAfterTheTableIsNotDeleted(t *testing.T) {
	r := retiring(t, 2, unbounded)
	stdin, typing := io.Pipe()
	var out, errs buffer
	code := make(chan int, 1)
	go func() { code <- run(t.Context(), r.live(), r.environ, stdin, &out, &errs) }()
	until(t, "the question", func() bool { return strings.Contains(errs.String(), "type the tenant's id") })
	r.central.CheckIn(centralsim.SampleTenant, r.ids[0], time.Now())
	if _, err := fmt.Fprintln(typing, centralsim.SampleTenant, 2); err != nil {
		t.Fatal(err)
	}
	if got := <-code; got != exitDone {
		t.Errorf("exit code %d: %s", got, errs.String())
	}
	if diff := cmp.Diff(r.ids[1:], r.deleted()); diff != "" {
		t.Errorf("deleted: %s", diff)
	}
	if !strings.Contains(out.String(), "EVIDENCE_CHANGED") {
		t.Errorf("not told:\n%s", out.String())
	}
}

func TestATokenThatRanOutIsReplacedOnlyOnTheSameSignOfLife(t *testing.T) {
	r := retiring(t, 2, unbounded)
	r.policy(t, "verdictTTL: 24h", "verdictTTL: 4s") // the new one must last until its DELETE
	stdin, typing := io.Pipe()
	var out, errs buffer
	code := make(chan int, 1)
	go func() { code <- run(t.Context(), r.live(), r.environ, stdin, &out, &errs) }()
	until(t, "the question", func() bool { return strings.Contains(errs.String(), "type the tenant's id") })
	shown := time.Now()
	record, _ := r.central.Get(centralsim.SampleTenant, r.ids[0])
	record["lastSeenAt"] = time.Now().UTC().Add(-200 * 24 * time.Hour).Format("2006-01-02T15:04:05.000Z") // still old, but not what was shown
	r.central.Put(centralsim.SampleTenant, record)
	until(t, "the tokens have run out", func() bool { return time.Since(shown) > 4*time.Second })
	if _, err := fmt.Fprintln(typing, centralsim.SampleTenant, 2); err != nil {
		t.Fatal(err)
	}
	if got := <-code; got != exitDone {
		t.Errorf("exit code %d: %s", got, errs.String())
	}
	if diff := cmp.Diff(r.ids[1:], r.deleted()); diff != "" {
		t.Errorf("deleted: %s\n%s", diff, out.String())
	}
}

func TestSpacingIsWaitedForAndTheKillSwitchIsNot(t *testing.T) {
	r := retiring(t, 3, unbounded)
	r.policy(t, "spacing: 0s", "spacing: 1s")
	if code, out, errs := ran(t, r.environ, r.live("--yes", yes(3))...); code != exitDone {
		t.Errorf("%d %s %s", code, out, errs)
	}
	if diff := cmp.Diff(r.ids, r.deleted()); diff != "" {
		t.Errorf("deleted: %s", diff)
	}

	r = retiring(t, 3, unbounded)
	var once sync.Once
	r.central.OnRequest(func(rq *http.Request) {
		if rq.Method == http.MethodDelete {
			once.Do(func() {
				if code, _, errs := ran(t, r.environ, "pause", "--reason", "test"); code != exitDone {
					t.Error(errs)
				}
			})
		}
	})
	code, out, errs := ran(t, r.environ, r.live("--yes", yes(3))...)
	if code != exitFailed || !strings.Contains(errs, "KILL_SWITCH") || !strings.Contains(out, "not asked") {
		t.Errorf("paused: %d %s %s", code, out, errs)
	}
	if diff := cmp.Diff(r.ids[:1], r.deleted()); diff != "" {
		t.Errorf("deleted: %s", diff)
	}
}

func TestADELETEOfUnknownOutcomeIsNeverSentAgain(t *testing.T) {
	r := retiring(t, 2, unbounded)
	r.central.Fault(centralsim.Fault{Method: http.MethodDelete, Path: "/", Status: 500})
	code, out, errs := ran(t, r.environ, r.live("--yes", yes(2))...)
	if code != exitFailed || !strings.Contains(out, "failed") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	if diff := cmp.Diff(r.ids, r.deleted()); diff != "" {
		t.Errorf("DELETEs: %s", diff)
	}
}

func TestControlCFinishesTheDeviceUnderWay(t *testing.T) {
	r := retiring(t, 3, unbounded)
	arrived, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r.central.OnRequest(func(rq *http.Request) {
		if rq.Method == http.MethodDelete {
			once.Do(func() { close(arrived) })
			<-release
		}
	})
	report := filepath.Join(t.TempDir(), "r.csv")
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var out, errs buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, r.live("--yes", yes(3), "--report", report), r.environ, strings.NewReader(""), &out, &errs)
	}()
	until(t, "the DELETE", func() bool {
		select {
		case <-arrived:
			return true
		default:
			return false
		}
	})
	interrupt()
	close(release)
	if got := <-code; got != exitFailed || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("exit code %d: %s", got, errs.String())
	}
	if diff := cmp.Diff(r.ids[:1], r.deleted()); diff != "" {
		t.Errorf("deleted: %s", diff)
	}
	text, err := os.ReadFile(report)
	if err != nil || !strings.Contains(string(text), ",deleted,delete,") || strings.Count(string(text), ",left,") != 2 {
		t.Errorf("the report: %v\n%s", err, text)
	}
	for _, e := range r.steps(t) {
		if e.Step == stepEnd {
			t.Error("the journal says that the run came to its end")
		}
	}
}

// killed runs the command in a process of its own and kills it once due holds.
func (r *retireRig) killed(t *testing.T, count, what string, due func() bool) {
	t.Helper()
	c := launch(t, r.environ, r.live("--wait", "10s", "--yes", centralsim.SampleTenant+":"+count)...)
	until(t, what, due)
	c.signal(t, syscall.SIGKILL)
	<-c.code
}

func TestAKilledRunGoesOnAndDeletesNothingTwice(t *testing.T) {
	r := retiring(t, 5, unbounded)
	arrived, release := make(chan struct{}, 10), make(chan struct{})
	var n atomic.Int64
	r.central.OnRequest(func(rq *http.Request) {
		if rq.Method == http.MethodDelete && n.Add(1)%2 == 0 {
			arrived <- struct{}{}
			<-release // Central is slow: the DELETE takes effect when nobody waits any more
		}
	})
	killed := func(count string, device int) {
		t.Helper()
		r.killed(t, count, "a run's second DELETE", func() bool { return len(arrived) == 1 })
		<-arrived
		release <- struct{}{}
		until(t, "the second DELETE takes effect", func() bool {
			_, there := r.central.Get(centralsim.SampleTenant, r.ids[device])
			return !there
		})
	}
	killed("5", 1)
	steps := r.steps(t)
	if last := steps[len(steps)-1]; last.Step != stepDeleting || last.EndpointID != r.ids[1] {
		t.Errorf("the journal does not say what was under way: %+v", last)
	}
	killed("3", 3)
	last := time.Now() // what the kills left behind can be settled when 2 s, a call's time and 3 s have passed
	until(t, "it is settled", func() bool { return time.Since(last) > 7*time.Second })
	count := r.asked(t)
	if code, out, errs := ran(t, r.environ, r.live("--yes", centralsim.SampleTenant+":"+count)...); code != exitDone {
		t.Errorf("the last run: %d %s %s", code, out, errs)
	}
	if diff := cmp.Diff(r.ids, r.deleted()); diff != "" {
		t.Errorf("DELETEs: %s", diff)
	}
	for _, id := range r.ids {
		if _, there := r.central.Get(centralsim.SampleTenant, id); there {
			t.Errorf("%s is still there", id)
		}
	}
}

func TestAJournalHoldsNoToken(t *testing.T) {
	r := retiring(t, 2, unbounded)
	if code, _, errs := ran(t, r.environ, r.live("--yes", yes(2))...); code != exitDone {
		t.Fatal(errs)
	}
	text, err := os.ReadFile(r.journal)
	if err != nil || strings.Contains(string(text), "v1.") || strings.Contains(strings.ToLower(string(text)), "token") {
		t.Errorf("%v\n%s", err, text)
	}
	var got []string
	for _, e := range r.steps(t) {
		if e.EndpointID == r.ids[0] || e.EndpointID == "" {
			got = append(got, e.Step+" "+e.Outcome)
		}
	}
	want := []string{"start ", "evaluated delete", "deleting ", "delete deleted", "end "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOneBadLineStopsEverythingUnlessItIsLeftOut(t *testing.T) {
	r := retiring(t, 1, unbounded)
	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, string(text)+"nonsense")
	code, out, errs := ran(t, r.environ, r.live("--yes", yes(1))...)
	if code != exitFailed || !strings.Contains(errs, "line 3: ") || out != "" || r.central.Deletes() != 0 {
		t.Errorf("%d %s %s", code, out, errs)
	}
	if _, err := os.Stat(r.journal); err == nil {
		t.Error("a journal was begun")
	}
	code, _, errs = ran(t, r.environ, r.live("--yes", yes(1), "--skip-bad")...)
	if code != exitDone || !strings.Contains(errs, "line 3: ") || r.central.Deletes() != 1 {
		t.Errorf("left out: %d %s, %d DELETEs", code, errs, r.central.Deletes())
	}
}

func TestATenantInWhichDeletesAreNotRealIsLeftAlone(t *testing.T) {
	r := retiring(t, 2, unbounded)
	r.policy(t, "liveTenants: all", `liveTenants: ["`+centralsim.ForeignTenant+`"]`)
	code, out, errs := r.typed(t, strings.NewReader(centralsim.SampleTenant+" 2\n"), r.live()...)
	if code != exitDone || !strings.Contains(out, "2 more have the verdict delete") || r.central.Deletes() != 0 {
		t.Errorf("%d %s %s, %d DELETEs", code, out, errs, r.central.Deletes())
	}
}

func TestAnEditedInventoryIsNoDirectory(t *testing.T) {
	r := retiring(t, 1, unbounded)
	r.write(t, "tenantId,endpointId,hostname,type,build,lastSeenAt", centralsim.SampleTenant+","+r.ids[0]+",WS-OLD-00,computer,22631,2026-01-01T00:00:00Z")
	code, out, errs := ran(t, r.environ, r.live("--yes", yes(1))...)
	if code != exitDone || !strings.Contains(out, "DIRECTORY_MISSING") || r.central.Deletes() != 0 {
		t.Errorf("%d %s %s", code, out, errs)
	}
}

func TestWhatFollowsAnAnswerToDelete(t *testing.T) {
	answer := func(outcome string, code policy.Code, next string) action.Result {
		return action.Result{Outcome: outcome, Next: next, Reasons: []policy.Reason{{Code: code}}}
	}
	for _, tt := range []struct {
		name string
		res  action.Result
		want retireTurn
	}{
		{"deleted is done", answer("deleted", policy.Eligible, "stop"), turnDone},
		{"gone is done", answer("gone", policy.GoneElsewhere, "stop"), turnDone},
		{"a refusal is done: a person looks at the next table", answer("refused", policy.EvidenceChanged, "evaluate"), turnDone},
		{"a failure is done", answer("failed", policy.DeleteFailed, "ticket-open"), turnDone},
		{"what has run out is asked for anew", answer("refused", policy.TokenExpired, "evaluate"), turnAnew},
		{"a spent token too", answer("deferred", policy.RateLimited, "evaluate"), turnAnew},
		{"spacing is waited for", answer("deferred", policy.Spacing, "retry"), turnQueue},
		{"Central's limits are waited for", answer("deferred", policy.RateLimited, "retry"), turnQueue},
		{"an unknown outcome is asked for again", answer("pending", policy.DeleteUnconfirmed, "retry"), turnAgain},
		{"a failed look too", answer("deferred", policy.VerifyFailed, "retry"), turnAgain},
		{"the day's limit ends it", answer("deferred", policy.LimitDay, "retry"), turnStop},
		{"the percentage ends it", answer("deferred", policy.LimitPercent, "retry"), turnStop},
		{"the circuit ends it", answer("deferred", policy.CircuitOpen, "retry"), turnStop},
		{"the kill switch ends it", answer("deferred", policy.KillSwitch, "retry"), turnStop},
		{"a store in doubt ends it", answer("deferred", policy.StateUnverified, "retry"), turnStop},
		{"a shut window ends it", answer("deferred", policy.OutOfWindow, "retry"), turnStop},
	} {
		if got := turnAfter(tt.res); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
