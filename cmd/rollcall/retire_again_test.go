package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/centralsim"
)

// questioned is a live run that waits for its confirmation.
type questioned struct {
	typing    io.Writer
	out, errs buffer
	code      chan int
}

// asks starts a live run, and returns once it asks to be confirmed.
func (r *retireRig) asks(t *testing.T, more ...string) *questioned {
	t.Helper()
	stdin, typing := io.Pipe()
	q := &questioned{typing: typing, code: make(chan int, 1)}
	go func() { q.code <- run(t.Context(), r.live(more...), r.environ, stdin, &q.out, &q.errs) }()
	until(t, "the question", func() bool { return strings.Contains(q.errs.String(), "type the tenant's id") })
	return q
}

// confirmed types what is asked for, and waits for the end.
func (q *questioned) confirmed(t *testing.T, n int) int {
	t.Helper()
	if _, err := fmt.Fprintln(q.typing, centralsim.SampleTenant, n); err != nil {
		t.Fatal(err)
	}
	return <-q.code
}

// differently changes a device's record in Central, but for its sign of life.
func (r *retireRig) differently(id, field string, value any) {
	record, _ := r.central.Get(centralsim.SampleTenant, id)
	record[field] = value
	r.central.Put(centralsim.SampleTenant, record)
}

// person is an associated person of Central's.
func person(name string) map[string]any {
	return map[string]any{"name": name, "viaLogin": `CORPEX\j.doe`, "id": "0b1e0000-4c2d-4e5f-8a6b-00000000aaaa"}
}

// edited writes the file anew with something more in each line, that decides nothing.
func (r *retireRig) edited(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, strings.TrimSpace(strings.ReplaceAll(string(text), "}\n", fmt.Sprintf(",\"note%d\":\"looked at\"}\n", len(text)))))
}

func TestWhatWasRefusedIsAskedAgainOnceTheRowOrThePolicyIsAnother(t *testing.T) {
	for name, change := range map[string]func(*retireRig){
		"another policy": func(r *retireRig) { r.policy(t, "keepDays: 90", "keepDays: 91") },
		"another row":    func(r *retireRig) { r.edited(t) },
	} {
		r := retiring(t, 2, unbounded)
		old, _ := r.central.Get(centralsim.SampleTenant, r.ids[0])
		q := r.asks(t)
		r.central.CheckIn(centralsim.SampleTenant, r.ids[0], time.Now())
		if code := q.confirmed(t, 2); code != exitDone || !strings.Contains(q.out.String(), "refused") {
			t.Fatalf("%s: %d %s %s", name, code, q.out.String(), q.errs.String())
		}
		r.central.Put(centralsim.SampleTenant, old)
		for range 2 {
			if n := r.asked(t); n != "0" {
				t.Errorf("%s: before it, %s are to be deleted", name, n)
			}
		}
		change(r)
		if code, out, errs := ran(t, r.environ, r.live("--yes", yes(1))...); code != exitDone || !strings.Contains(out, "1 were settled by an earlier run") {
			t.Errorf("%s: %d %s %s", name, code, out, errs)
		}
		if diff := cmp.Diff([]string{r.ids[1], r.ids[0]}, r.deleted()); diff != "" {
			t.Errorf("%s: DELETEs: %s", name, diff)
		}
		// What is deleted stays so, whatever the file or the policy becomes.
		r.edited(t)
		r.policy(t, "approvalTTL: 168h", "approvalTTL: 167h")
		if code, out, _ := ran(t, r.environ, r.live()...); code != exitDone || !strings.Contains(out, "2 were settled by an earlier run") {
			t.Errorf("%s: deleted: %d %s", name, code, out)
		}
	}
}

func TestWhatFailedIsAskedAgainOnlyOnceAPersonHasTouchedItsRow(t *testing.T) {
	r := retiring(t, 1, unbounded)
	lift := r.central.Fault(centralsim.Fault{Method: http.MethodDelete, Path: "/", Status: 400})
	if code, out, _ := ran(t, r.environ, r.live("--yes", yes(1))...); code != exitFailed || !strings.Contains(out, "DELETE_FAILED") {
		t.Fatalf("%d %s", code, out)
	}
	lift()
	if n := r.asked(t); n != "0" {
		t.Errorf("the same again: asks for %s", n)
	}
	r.policy(t, "keepDays: 90", "keepDays: 91")
	if n := r.asked(t); n != "0" {
		t.Errorf("another policy: asks for %s", n)
	}
	r.edited(t)
	if code, out, errs := ran(t, r.environ, r.live("--yes", yes(1))...); code != exitDone {
		t.Errorf("another row: %d %s %s", code, out, errs)
	}
	if diff := cmp.Diff([]string{r.ids[0], r.ids[0]}, r.deleted()); diff != "" {
		t.Errorf("DELETEs: %s", diff)
	}
}

func TestEvidenceThatChangedWithoutASignOfLifeIsLookedAtOnceMore(t *testing.T) {
	r := retiring(t, 2, unbounded)
	q := r.asks(t)
	r.differently(r.ids[0], "associatedPerson", person("Another"))
	if code := q.confirmed(t, 2); code != exitDone {
		t.Errorf("%d %s", code, q.errs.String())
	}
	if diff := cmp.Diff(r.ids, r.deleted()); diff != "" {
		t.Errorf("DELETEs: %s\n%s", diff, q.out.String())
	}
	verdicts := 0
	for _, e := range r.steps(t) {
		if e.Step == stepEvaluated && e.EndpointID == r.ids[0] {
			verdicts++
		}
	}
	if verdicts != 2 {
		t.Errorf("%d verdicts, want 2", verdicts)
	}
}

func TestEvidenceThatGoesOnChangingIsRefused(t *testing.T) {
	r := retiring(t, 2, unbounded)
	q := r.asks(t)
	looks := 0
	r.central.OnRequest(func(rq *http.Request) {
		if strings.Contains(rq.URL.String(), r.ids[0]) { // one by one: deletes come one after another
			looks++
			r.differently(r.ids[0], "associatedPerson", person(fmt.Sprint("Person ", looks)))
		}
	})
	if code := q.confirmed(t, 2); code != exitDone || !strings.Contains(q.out.String(), "EVIDENCE_CHANGED") {
		t.Errorf("%d %s", code, q.errs.String())
	}
	if diff := cmp.Diff(r.ids[1:], r.deleted()); diff != "" {
		t.Errorf("DELETEs: %s\n%s", diff, q.out.String())
	}
	asked := 0
	for _, e := range r.steps(t) {
		if e.Step == stepDeleting && e.EndpointID == r.ids[0] {
			asked++
		}
	}
	if asked != 2 {
		t.Errorf("delete was asked for %d times, want 2", asked)
	}
}

func TestWhatNowNeedsAPersonIsNotAskedForAgain(t *testing.T) {
	for name, change := range map[string]func(*retireRig){
		"isolated": func(r *retireRig) { r.differently(r.ids[0], "isolation", map[string]any{"status": "isolated"}) },
		"another sign of life": func(r *retireRig) {
			r.differently(r.ids[0], "lastSeenAt", time.Now().UTC().Add(-200*24*time.Hour).Format("2006-01-02T15:04:05.000Z"))
		},
		"another way to write its name": func(r *retireRig) { r.differently(r.ids[0], "hostname", "ws-old-00") },
		"another device of its name": func(r *retireRig) {
			record, _ := r.central.Get(centralsim.SampleTenant, r.ids[0])
			record["id"], record["serialNumber"] = deviceB, "NEW"
			r.central.Put(centralsim.SampleTenant, record)
		},
	} {
		r := retiring(t, 2, unbounded)
		q := r.asks(t)
		change(r)
		if code := q.confirmed(t, 2); code != exitDone || !strings.Contains(q.out.String(), "EVIDENCE_CHANGED") {
			t.Errorf("%s: %d %s %s", name, code, q.out.String(), q.errs.String())
		}
		if diff := cmp.Diff(r.ids[1:], r.deleted()); diff != "" {
			t.Errorf("%s: DELETEs: %s", name, diff)
		}
	}
}

func TestAPolicyThatChangesBetweenTwoDeletesEndsTheRun(t *testing.T) {
	for name, spoil := range map[string]func(*retireRig){
		"protects a device": func(r *retireRig) {
			r.policy(t, `exclusions: []`, `exclusions: [{id: x, hostnames: ["WS-OLD-01"], reason: r, owner: o}]`)
		},
		"can't be read": func(r *retireRig) { r.policy(t, "inactiveDays", "inactiveDoys") },
	} {
		r := retiring(t, 3, unbounded)
		var once sync.Once
		r.central.OnRequest(func(rq *http.Request) {
			if rq.Method == http.MethodDelete {
				once.Do(func() { spoil(r) })
			}
		})
		code, out, errs := ran(t, r.environ, r.live("--yes", yes(3))...)
		if code != exitFailed || !strings.Contains(errs, "the policy file has changed since the table was shown") || !strings.Contains(out, "not asked") {
			t.Errorf("%s: %d %s %s", name, code, out, errs)
		}
		if diff := cmp.Diff(r.ids[:1], r.deleted()); diff != "" {
			t.Errorf("%s: DELETEs: %s", name, diff)
		}
	}
}

func TestAfterAChangeOfThePolicyTheNextRunShowsANewTable(t *testing.T) {
	r := retiring(t, 3, unbounded)
	var once sync.Once
	r.central.OnRequest(func(rq *http.Request) {
		if rq.Method == http.MethodDelete {
			once.Do(func() { r.policy(t, "keepDays: 90", "keepDays: 91") })
		}
	})
	if code, _, errs := ran(t, r.environ, r.live("--yes", yes(3))...); code != exitFailed {
		t.Fatalf("%d %s", code, errs)
	}
	q := r.asks(t)
	if out := q.out.String(); !strings.Contains(out, "1 were settled") || strings.Contains(out, "WS-OLD-00") || !strings.Contains(out, "WS-OLD-01") || !strings.Contains(out, "WS-OLD-02") {
		t.Errorf("the table:\n%s", out)
	}
	if code := q.confirmed(t, 2); code != exitDone {
		t.Errorf("%d %s", code, q.errs.String())
	}
	if diff := cmp.Diff(r.ids, r.deleted()); diff != "" {
		t.Errorf("DELETEs: %s", diff)
	}
}

func TestAPolicyThatChangesWhileADeviceWaitsForItsTurnEndsTheRun(t *testing.T) {
	r := retiring(t, 2, unbounded)
	r.policy(t, "spacing: 0s", "spacing: 5s") // in which the policy must have changed
	q := r.asks(t)
	go func() { _, _ = fmt.Fprintln(q.typing, centralsim.SampleTenant, 2) }()
	until(t, "the second waits", func() bool {
		steps := r.steps(t)
		last := steps[len(steps)-1]
		return last.Step == stepDelete && last.ReasonCode == "SPACING" && last.EndpointID == r.ids[1]
	})
	r.policy(t, "keepDays: 90", "keepDays: 91")
	if code := <-q.code; code != exitFailed || !strings.Contains(q.errs.String(), "the policy file has changed") {
		t.Errorf("%d %s", code, q.errs.String())
	}
	if diff := cmp.Diff(r.ids[:1], r.deleted()); diff != "" {
		t.Errorf("DELETEs: %s", diff)
	}
}

func TestAPauseAfterTheTableStopsWhatWasConfirmed(t *testing.T) {
	for _, ttl := range []string{"24h", "1s"} { // with 1s a verdict is asked for anew, and it is skip
		r := retiring(t, 2, unbounded)
		r.policy(t, "verdictTTL: 24h", "verdictTTL: "+ttl)
		q := r.asks(t)
		shown := time.Now()
		if code, _, errs := ran(t, r.environ, "pause", "--reason", "test"); code != exitDone {
			t.Fatal(errs)
		}
		until(t, "the tokens have run out", func() bool { return ttl != "1s" || time.Since(shown) > time.Second })
		if code := q.confirmed(t, 2); code != exitFailed || !strings.Contains(q.out.String(), "deferred") || !strings.Contains(q.out.String(), "KILL_SWITCH") {
			t.Errorf("%s: %d %s %s", ttl, code, q.out.String(), q.errs.String())
		}
		if n := r.central.Deletes(); n != 0 {
			t.Errorf("%s: %d DELETEs", ttl, n)
		}
		if code, _, errs := ran(t, r.environ, "resume", "--reason", "test"); code != exitDone {
			t.Fatal(errs)
		}
		r.policy(t, "verdictTTL: 1s", "verdictTTL: 24h")
		if code, out, errs := ran(t, r.environ, r.live("--yes", yes(2))...); code != exitDone {
			t.Errorf("%s, the next run: %d %s %s", ttl, code, out, errs)
		}
		if diff := cmp.Diff(r.ids, r.deleted()); diff != "" {
			t.Errorf("%s: DELETEs: %s", ttl, diff)
		}
	}
}
