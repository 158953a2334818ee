package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/internal/centralsim"
)

// retireRig is a service's surroundings, with a file of devices to retire.
type retireRig struct {
	central *centralsim.Sim
	environ []string
	file    string
	journal string
	ids     []string // of the devices that may be deleted, oldest last-seen first
}

// retiring sets up n devices that may be deleted, in a file that has the youngest
// first, behind one that a person must look at. Limits replaces the policy's own.
func retiring(t *testing.T, n int, limits string, more ...string) *retireRig {
	t.Helper()
	central, sample := sim()
	r := &retireRig{central: central, file: filepath.Join(t.TempDir(), "devices.ndjson")}
	r.journal = r.file + ".journal.ndjson"
	r.environ, _ = setUp(t, redisServer(t, strong()...), central, append([]string{
		"ROLLCALL_CENTRAL_LIMITS=1000/s", "ROLLCALL_CENTRAL_TIMEOUT=1s", "ROLLCALL_ACTION_TIMEOUT=3s",
	}, more...)...)
	r.policy(t, "perDay: [1, 3, 5, 10, 25]", limits)
	if code, _, errs := ran(t, r.environ, "state", "init"); code != exitDone {
		t.Fatal(errs)
	}
	var lines []string
	for i := range n {
		id, line := r.put(t, sample["eligible"], i)
		r.ids, lines = append(r.ids, id), append([]string{line}, lines...)
	}
	r.write(t, append([]string{asLine(t, map[string]any{"event": sample["server"].Event})}, lines...)...)
	return r
}

// put puts a device into Central that was seen the longer ago the smaller i is, and
// returns its id and its event.
func (r *retireRig) put(t *testing.T, like centralsim.SampleDevice, i int) (id, line string) {
	t.Helper()
	name, seen := fmt.Sprintf("WS-OLD-%02d", i), time.Now().UTC().Add(-time.Duration(300-i)*24*time.Hour).Format("2006-01-02T15:04:05.000Z")
	id = fmt.Sprintf("7b1e0000-4c2d-4e5f-8a6b-0000000a%04d", i)
	record, event := again(t, like.Record), again(t, like.Event)
	record["id"], record["hostname"], record["lastSeenAt"], record["serialNumber"] = id, name, seen, "OLD"+id
	record["macAddresses"] = []any{fmt.Sprintf("02:00:5E:20:00:%02X", i)}
	seenByAD := event["directory"].(map[string]any)
	seenByAD["hostname"], seenByAD["distinguishedName"] = name, "CN="+name+",OU=Disabled,DC=corp,DC=example,DC=test"
	inCentral := event["central"].(map[string]any)
	inCentral["id"], inCentral["hostname"], inCentral["lastSeenAt"] = id, name, seen
	r.central.Put(centralsim.SampleTenant, record)
	return id, asLine(t, map[string]any{"event": event})
}

// again is a deep copy.
func again(t *testing.T, doc map[string]any) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(asLine(t, doc)), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func asLine(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// write writes the file of devices.
func (r *retireRig) write(t *testing.T, lines ...string) {
	t.Helper()
	if err := os.WriteFile(r.file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// policy replaces a line of the policy, and takes the bounds off that would be met
// before it.
func (r *retireRig) policy(t *testing.T, line, by string) {
	t.Helper()
	for _, v := range r.environ {
		path, is := strings.CutPrefix(v, "ROLLCALL_POLICY_FILE=")
		if !is {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out := strings.NewReplacer("percentPerDay: 1 ", "percentPerDay: 100 ", "spacing: 1m", "spacing: 0s", line, by).Replace(string(text))
		if err := os.WriteFile(path, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// live is what a live run needs, with what else is given.
func (r *retireRig) live(more ...string) []string {
	return append([]string{"retire", "--file", r.file, "--mode", "live", "--live"}, more...)
}

// typed runs the command with something typed on standard input.
func (r *retireRig) typed(t *testing.T, stdin io.Reader, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs buffer
	code = run(t.Context(), args, r.environ, stdin, &out, &errs)
	return code, out.String(), errs.String()
}

// deleted lists the devices for which a DELETE came, in that order.
func (r *retireRig) deleted() []string {
	var out []string
	for _, e := range r.central.Journal() {
		if e.Method == http.MethodDelete {
			out = append(out, e.Path[strings.LastIndexByte(e.Path, '/')+1:])
		}
	}
	return out
}

// steps are the lines of the journal, but for the times.
func (r *retireRig) steps(t *testing.T) []retireEntry {
	t.Helper()
	text, err := os.ReadFile(r.journal)
	if err != nil {
		t.Fatal(err)
	}
	var out []retireEntry
	for line := range bytes.Lines(text) {
		var e retireEntry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("journal: %v: %s", err, line)
		}
		out = append(out, e)
	}
	return out
}

// asked finds how many devices a run asks to be confirmed, by running it without a
// confirmation; 0 = none.
func (r *retireRig) asked(t *testing.T) string {
	t.Helper()
	_, _, errs := r.typed(t, strings.NewReader(""), r.live()...)
	m := regexp.MustCompile(`To delete (\d+) devices`).FindStringSubmatch(errs)
	if m == nil {
		return "0"
	}
	return m[1]
}
