package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
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
	"rollcall/internal/httpapi"
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
}

// readRetireFile reads a file of events or inventory rows whole. The error says
// that it can't be read at all; what is wrong with single lines is in bad.
func readRetireFile(path string) (*retireFile, error) {
	text, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	f := &retireFile{}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // spreadsheets put it there
	switch start := bytes.TrimSpace(text); {
	case len(start) == 0:
		return nil, fmt.Errorf("%s is empty", path)
	case start[0] == '[':
		err = f.list(text, 0)
	case start[0] != '{':
		err = f.csv(text)
	case jsontext.Value(text).IsValid():
		err = f.document(text)
	default:
		f.lines(text)
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
	text, err := io.ReadAll(io.LimitReader(file, maxRetireFile+1))
	if err == nil && len(text) > maxRetireFile {
		err = fmt.Errorf("%s is larger than %d MiB: split it", path, maxRetireFile>>20)
	}
	return text, err
}

// fault notes a line that can't be used.
func (f *retireFile) fault(line int, format string, a ...any) {
	f.bad = append(f.bad, lineFault{line, fmt.Sprintf(format, a...)})
}

// lines reads an object a line; blank lines are passed over.
func (f *retireFile) lines(text []byte) {
	line := 0
	for raw := range bytes.Lines(text) {
		line++
		if raw = bytes.TrimSpace(raw); len(raw) > 0 {
			f.object(line, raw)
		}
	}
}

// document reads a file that is one object: a list of items, or one device.
func (f *retireFile) document(text []byte) error {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(text, &doc); err != nil {
		return err
	}
	items, is := doc["items"]
	if !is {
		f.object(1, bytes.TrimSpace(text))
		return nil
	}
	if next := bytes.TrimSpace(doc["next"]); len(next) > 0 && !bytes.Equal(next, []byte("null")) {
		return errors.New("this is one page of a list, not all of it")
	}
	return f.list(items, bytes.Count(text[:bytes.Index(text, items)], []byte("\n")))
}

// list reads a JSON list that begins after so many lines. One that breaks off is
// no list: nobody can say what was cut.
func (f *retireFile) list(text []byte, before int) error {
	dec := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true)) // told by line, below
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '[' {
		return errors.New("is no list of objects")
	}
	at, line := 0, before+1
	for dec.PeekKind() != ']' {
		raw, err := dec.ReadValue()
		if err != nil {
			return fmt.Errorf("the list can't be read to its end: %w", err)
		}
		begin := int(dec.InputOffset()) - len(raw)
		line += bytes.Count(text[at:begin], []byte("\n"))
		at = begin
		f.object(line, slices.Clone(raw))
	}
	if _, err := dec.ReadToken(); err != nil {
		return fmt.Errorf("the list can't be read to its end: %w", err)
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the list")
	}
	return nil
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

// csv reads rows of the inventory as a spreadsheet wrote them.
func (f *retireFile) csv(text []byte) error {
	r := csv.NewReader(bytes.NewReader(text))
	first, _, _ := bytes.Cut(text, []byte("\n"))
	if !bytes.ContainsRune(first, ',') && bytes.ContainsRune(first, ';') {
		r.Comma = ';' // what some spreadsheets write
	}
	r.FieldsPerRecord = -1 // told by line, below
	header, err := r.Read()
	if err != nil {
		return fmt.Errorf("the header can't be read: %w", err)
	}
	if err := checkHeader(header); err != nil {
		return err
	}
	for {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil { // where the next row begins is not known
			return fmt.Errorf("the rows can't be read to their end: %w", err)
		}
		line, _ := r.FieldPos(0)
		f.cells(line, header, cells)
	}
}

// checkHeader asks for what names a device, and for each column once.
func checkHeader(header []string) error {
	times := map[string]int{}
	for i, name := range header {
		header[i] = strings.TrimSpace(name)
		if path, is := inventoryPath(header[i]); is {
			times[strings.Join(path, ".")]++
		}
	}
	if times["id"] == 0 || times["tenant.id"] == 0 {
		return errors.New("neither JSON nor CSV of the inventory: the header needs the columns tenantId and endpointId")
	}
	for path, n := range times {
		if n > 1 {
			return fmt.Errorf("%d columns of the header give the device's %s", n, path)
		}
	}
	return nil
}

// cells takes one row.
func (f *retireFile) cells(line int, header, cells []string) {
	if len(cells) != len(header) {
		f.fault(line, "has %d columns, and the header has %d", len(cells), len(header))
		return
	}
	central := map[string]any{}
	for i, cell := range cells {
		cell = unquoted(strings.TrimSpace(cell))
		if header[i] == "skipped" && cell != "" {
			f.fault(line, "is no device to work on: the inventory skipped it")
			return
		}
		if path, is := inventoryPath(header[i]); is && cell != "" {
			nest(central, path, cell)
		}
	}
	event, err := json.Marshal(map[string]any{"central": central})
	if err != nil {
		f.fault(line, "can't be read")
		return
	}
	f.event(line, event, event) // which cells they are is for the header to say
}

// unquoted takes off the sign with which the inventory keeps a spreadsheet from
// taking a cell for a formula.
func unquoted(cell string) string {
	if bare, quoted := strings.CutPrefix(cell, "'"); quoted && httpapi.Harmless(bare) == cell {
		return bare
	}
	return cell
}
