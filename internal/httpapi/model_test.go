package httpapi_test

import (
	"flag"
	"net/http"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// checks is how many sequences rapid tries: a few where nobody has said how many,
// which is what `make test` has time for, else -rapid.checks.
func checks(t *testing.T, few int) int {
	t.Helper()
	f, said := flag.Lookup("rapid.checks"), false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "rapid.checks" })
	was := f.Value.String()
	if !said {
		if err := f.Value.Set(strconv.Itoa(few)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Value.Set(was) })
	}
	n, err := strconv.Atoi(f.Value.String())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Several callers, devices that live on, a Central with faults, people who
// change their minds, and time: whatever comes in whatever order, a DELETE is sent
// only where a simple model of the contract allows it, at most one for a token,
// and the sets and the trail say what happened. To look longer:
//
//	go test ./internal/httpapi -run TestNoSequenceOfCalls -rapid.checks 5000
func TestNoSequenceOfCallsDeletesWhatTheModelForbids(t *testing.T) {
	n, tally := checks(t, 40), map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		m := newMachine(t, rt, tally)
		rt.Repeat(map[string]func(*rapid.T){"a deed": m.step, "": func(*rapid.T) { m.check() }})
		m.quiet()
	})
	wanted := []string{"delete deleted", "delete already_deleted", "delete refused", "had to be deleted", "ticket-open opened"}
	if n >= 300 {
		wanted = append(wanted, "delete deferred", "delete failed", "delete pending", "deleted with approval", "ticket-close closed",
			"ticket-close changed", "ticket-close refused", "settled as failed", "settled as limited")
	}
	for _, what := range wanted {
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
