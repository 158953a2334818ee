package httpapi_test

import (
	"flag"
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fewer bounds rapid's checks to what `make test` has time for, unless the caller
// has said how many: -rapid.checks.
func fewer(t *testing.T, checks string) {
	t.Helper()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "rapid.checks" })
	if said {
		return
	}
	was := flag.Lookup("rapid.checks").Value.String()
	if err := flag.Set("rapid.checks", checks); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set("rapid.checks", was) })
}

// Several callers, devices that live on, a Central with faults, people who
// change their minds, and time: whatever comes in whatever order, a DELETE is sent
// only where a simple model of the contract allows it, at most one for a token,
// and the sets and the trail say what happened. To look longer:
//
//	go test ./internal/httpapi -run TestNoSequenceOfCalls -rapid.checks 5000
func TestNoSequenceOfCallsDeletesWhatTheModelForbids(t *testing.T) {
	fewer(t, "60")
	tally := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		m := newMachine(t, rt, tally)
		rt.Repeat(map[string]func(*rapid.T){"a deed": m.step, "": func(*rapid.T) { m.check() }})
		m.quiet()
	})
	for _, what := range []string{
		"delete deleted", "delete already_deleted", "delete refused", "delete deferred", "delete failed", "delete pending",
		"had to be deleted", "deleted with approval", "ticket-open opened", "ticket-close closed", "ticket-close changed", "settled as deleted", "settled as failed",
	} {
		if tally[what] == 0 {
			t.Errorf("never seen: %s", what)
		}
	}
	t.Logf("%v", tally)
}

// quiet lets everything come to rest, after which nothing is left half done.
func (m *machine) quiet() {
	m.doHeal(nil)
	m.pass(10 * time.Minute)
	m.doReconcile(nil)
	m.check()
	for _, d := range m.devs {
		if d.intent != "" {
			m.rt.Fatalf("%s: a DELETE was never settled", d.label)
		}
		if d.applied && !d.present && !d.listed && !d.cameBack {
			m.rt.Fatalf("%s: deleted, and not in the deleted set", d.label)
		}
		status, a := m.call(http.MethodGet, "/v1/devices/"+d.id+"?tenantId="+tenant, nil)
		if status == http.StatusOK && a.is("state") == "deleting" {
			m.rt.Fatalf("%s: still deleting", d.label)
		}
	}
}
