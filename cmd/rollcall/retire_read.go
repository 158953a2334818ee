package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"rollcall/internal/action"
	"rollcall/internal/adexport"
	"rollcall/internal/policy"
	"rollcall/internal/record"
)

// The bounds of a file of devices.
const (
	maxRetireFile = 256 << 20 // bytes
	maxRetireRow  = 1 << 20   // bytes, as in a request
)

// retireRow is one device of the file.
type retireRow struct {
	line   int    // where it stands, from 1
	digest string // of what stands there: another row says something else
	dev    action.Ref
	event  policy.Event
}

// lineFault is a line that can't be used.
type lineFault struct {
	line int
	text string
}

// String is one line for a person.
func (f lineFault) String() string { return fmt.Sprintf("line %d: %s", f.line, f.text) }

// retireFile is what a file holds. A device that stands in it twice is a fault
// of its second line, and the first is then no row either: nobody can say which
// of the two is meant.
type retireFile struct {
	rows []retireRow
	bad  []lineFault
	// exports counts objects that are accounts of AD.
	exports int
}

// readRetireFile reads a file of events or inventory rows whole. The error says
// that it can't be read at all; what is wrong with single lines is in bad.
func readRetireFile(path string) (*retireFile, error) {
	text, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	f := &retireFile{}
	switch form := formOfText(text); {
	case form == formCSV && !exportsAD(text):
		err = f.csv(text)
	case form == formJSON:
		err = eachObject(text, f.object)
	case form == formNothing:
		err = errors.New("it is empty")
	default:
		err = errOfText(text)
	}
	if err == nil && f.exports > 0 && len(f.rows) == 0 {
		err = errExportOfAD
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f.dropDoubled()
	slices.SortStableFunc(f.bad, func(a, b lineFault) int { return a.line - b.line })
	return f, nil
}

// readBounded reads a file that is not larger than it may be.
func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, usageError{err}
	}
	defer func() { _ = file.Close() }()
	return bounded(path, adexport.Text(file))
}

// bounded reads what a file holds where that is not more than it may be.
func bounded(path string, in io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxRetireFile+1))
	if err == nil && len(text) > maxRetireFile {
		err = fmt.Errorf("%s is larger than %d MiB: split it", path, maxRetireFile>>20)
	}
	return text, err
}

// fault notes a line that can't be used.
func (f *retireFile) fault(line int, format string, a ...any) {
	f.bad = append(f.bad, lineFault{line, fmt.Sprintf(format, a...)})
}

// object takes an event, a request body that holds one, or an inventory row.
func (f *retireFile) object(line int, raw []byte) {
	switch {
	case len(raw) > maxRetireRow:
		f.fault(line, "is larger than %d MiB", maxRetireRow>>20)
		return
	case raw[0] != '{' || !jsontext.Value(raw).IsValid():
		f.fault(line, "is not one JSON object, or has a name twice in one object")
		return
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(raw, &doc); err != nil {
		f.fault(line, "is not one JSON object")
		return
	}
	event, problem := eventIn(doc, raw)
	if isAccount(doc) {
		f.exports++
		problem = "is an account of AD and no device: rollcall candidates makes events of an export"
	}
	if problem != "" {
		f.fault(line, "%s", problem)
		return
	}
	f.event(line, raw, event)
}

// eventIn finds the event in an object of the file.
func eventIn(doc map[string]json.RawMessage, raw []byte) (event []byte, problem string) {
	given := func(name string) bool { v, ok := doc[name]; return ok && !bytes.Equal(v, []byte("null")) }
	switch {
	case given("event") && (given("central") || given("directory")):
		return nil, "holds an event, and parts of one beside it"
	case given("event"):
		var text string
		if json.Unmarshal(doc["event"], &text) == nil {
			return []byte(text), ""
		}
		return doc["event"], ""
	case given("central") || given("directory"):
		return raw, ""
	case given("skipped"):
		return nil, "is no device to work on: the inventory skipped it"
	case given("id") && given("endpointId"), given("tenant") && given("tenantId"):
		return nil, "names the device or its tenant twice"
	}
	central := map[string]any{}
	for name, v := range doc {
		if path, is := inventoryPath(name); is && given(name) {
			nest(central, path, v)
		}
	}
	for name, v := range doc { // Central's own blocks win over flat columns
		if _, is := inventoryPath(name); !is || v[0] == '{' {
			central[name] = v
		}
	}
	event, err := json.Marshal(map[string]any{"central": central})
	if err != nil {
		return nil, "is not one JSON object"
	}
	return event, ""
}

// event takes an event in which a device is named.
func (f *retireFile) event(line int, raw, event []byte) {
	e, err := record.ParseEvent(event)
	switch {
	case err != nil:
		f.fault(line, "the event is not one JSON object, or has a name twice in one object")
		return
	case !e.Central.ID.Known():
		f.fault(line, "the device's id in Central is missing or is no UUID")
		return
	case !e.Central.TenantID.Known():
		f.fault(line, "the tenant's id is missing or is no UUID")
		return
	}
	sum := sha256.Sum256(raw)
	f.rows = append(f.rows, retireRow{
		line: line, digest: hex.EncodeToString(sum[:8]), event: e,
		dev: action.Ref{TenantID: e.Central.TenantID.Value, EndpointID: e.Central.ID.Value},
	})
}

// dropDoubled makes faults of devices that stand in the file more than once.
func (f *retireFile) dropDoubled() {
	times := map[action.Ref]int{}
	for _, r := range f.rows {
		times[r.dev]++
	}
	seen := map[action.Ref]int{} // the first line of each
	f.rows = slices.DeleteFunc(f.rows, func(r retireRow) bool {
		if times[r.dev] == 1 {
			return false
		}
		if first, again := seen[r.dev]; again {
			f.fault(r.line, "is the device of line %d again: leave one of them", first)
		} else {
			seen[r.dev] = r.line
			f.fault(r.line, "the device stands in the file %d times", times[r.dev])
		}
		return true
	})
}

// inventoryPath is where a flat column of the inventory stands in Central's
// record. Other columns say nothing that a decision rests on.
func inventoryPath(column string) ([]string, bool) {
	path, ok := map[string]string{
		"tenantId": "tenant.id", "endpointId": "id", "id": "id", "hostname": "hostname", "type": "type", "lastSeenAt": "lastSeenAt",
		"online": "online", "osName": "os.name", "platform": "os.platform", "build": "os.build", "isServer": "os.isServer",
		"health": "health.overall", "associatedPerson": "associatedPerson.name", "viaLogin": "associatedPerson.viaLogin",
		"serialNumber": "serialNumber", "group": "group.name",
	}[column]
	return strings.Split(path, "."), ok
}

// nest puts a value where path says.
func nest(doc map[string]any, path []string, v any) {
	if len(path) == 1 {
		doc[path[0]] = v
		return
	}
	inner, is := doc[path[0]].(map[string]any)
	if !is {
		inner = map[string]any{}
		doc[path[0]] = inner
	}
	nest(inner, path[1:], v)
}
