package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"rollcall/internal/action"
	"rollcall/internal/adexport"
	"rollcall/internal/httpapi"
	"rollcall/internal/record"
)

// centralRecord is a device as Central's inventory has it.
type centralRecord struct {
	hostname string
	lastSeen time.Time       // zero = not known
	raw      json.RawMessage // in the shape of Central's own record
}

// deviceStream yields the devices one after another, so that they are never all in
// memory. It ends with its first error, and what came before is then not all.
type deviceStream func(context.Context) iter.Seq2[centralRecord, error]

// records opens the inventory: a file of it, or Central.
func (c *candidatesCmd) records(s *sifting) (deviceStream, func(), error) {
	if c.Inventory != "" {
		in, age, err := openInput(s.p, c.Inventory)
		if err != nil {
			return nil, nil, err
		}
		s.older(age)
		stream := func(context.Context) iter.Seq2[centralRecord, error] { return s.fromFile(c.Inventory, in) }
		return stream, func() { _ = in.Close() }, nil
	}
	client, free, err := readingClient(s.p)
	if err != nil {
		return nil, nil, err
	}
	stream := func(ctx context.Context) iter.Seq2[centralRecord, error] { return s.fromCentral(ctx, client) }
	return stream, free, nil
}

// fromCentral reads every device of every tenant that the credential serves.
func (s *sifting) fromCentral(ctx context.Context, all action.Inventory) iter.Seq2[centralRecord, error] {
	return func(yield func(centralRecord, error) bool) {
		told := newProgress(s.p)
		for page, trouble := range all.Inventory(ctx, action.Wanted{}) {
			if trouble != nil {
				yield(centralRecord{}, errors.New(trouble.Text))
				return
			}
			if page.Skipped == nil && !s.fromPage(page, yield) {
				return
			}
			told.page(page, s.devices)
		}
		told.end(s.devices)
	}
}

// fromPage hands the devices of a page on, and reports whether to go on. A record
// that says neither which device nor which tenant's it is can be asked of nobody.
func (s *sifting) fromPage(page action.InventoryPage, yield func(centralRecord, error) bool) bool {
	for row := range httpapi.InventoryRows(page) {
		raw, err := json.Marshal(row)
		if err != nil {
			yield(centralRecord{}, err)
			return false
		}
		d, skipped, err := deviceOf(raw)
		switch {
		case err != nil:
			s.skipped("a record of the tenant " + page.TenantID + " without an id")
		case skipped != "":
			s.skipped(skipped)
		case !yield(d, nil):
			return false
		}
	}
	return true
}

// skipped tells of what Central lists and is none to work on.
func (s *sifting) skipped(why string) { say(s.p.stderr, "skipped: %s", printable(why)) }

// everySoMany is after how many lines of a file a line tells how far it is.
const everySoMany = 10000

// fromFile reads what the inventory writes in JSON, as retire does. Where each device
// stands on a line of its own they are never all in memory.
func (s *sifting) fromFile(name string, in io.Reader) iter.Seq2[centralRecord, error] {
	return func(yield func(centralRecord, error) bool) {
		defer s.faults.rest()
		text := bufio.NewReaderSize(adexport.Text(in), maxRetireRow)
		begin, err := text.Peek(maxRetireRow)
		if err != nil && !errors.Is(err, io.EOF) {
			yield(centralRecord{}, fmt.Errorf("%s: %w", name, err))
			return
		}
		switch form := formOfText(begin); {
		case form == formNothing:
		case form == formCSV && !exportsAD(begin):
			yield(centralRecord{}, fmt.Errorf("%s: it is CSV or another table, of which too much was left out to make events: write it with \"rollcall inventory --format ndjson\"", name))
		case form == formCSV, form == formOther:
			yield(centralRecord{}, fmt.Errorf("%s: %w", name, errOfText(begin)))
		case lineByLine(begin):
			s.fromLines(name, text, yield)
		default:
			s.fromWhole(name, text, yield)
		}
	}
}

// lineByLine reports whether the first line is a device by itself.
func lineByLine(begin []byte) bool {
	first, _, _ := bytes.Cut(bytes.TrimSpace(begin), []byte("\n"))
	var doc map[string]json.RawMessage
	if json.Unmarshal(first, &doc) != nil {
		return false
	}
	_, items := doc["items"]
	return !items && !hasNumbers(bytes.TrimSpace(first))
}

// fromWhole reads a list, or devices over several lines.
func (s *sifting) fromWhole(name string, text io.Reader, yield func(centralRecord, error) bool) {
	raw, err := bounded(name, text)
	if err != nil {
		yield(centralRecord{}, err)
		return
	}
	stopped := false
	err = eachObject(raw, func(line int, raw []byte) {
		if !stopped {
			stopped = !s.fileLine(name, line, raw, yield)
		}
	})
	if err != nil && !stopped {
		yield(centralRecord{}, fmt.Errorf("%s: %w", name, err))
	}
}

// fromLines reads a device from each line.
func (s *sifting) fromLines(name string, text *bufio.Reader, yield func(centralRecord, error) bool) {
	for line := 1; ; line++ {
		raw, err := text.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			yield(centralRecord{}, fmt.Errorf("%s: %w", name, err))
			return
		}
		last := err != nil
		if line%everySoMany == 0 {
			say(s.p.stderr, "%d devices, %d events", s.devices, s.events)
		}
		if raw = bytes.TrimSpace(raw); len(raw) > 0 && !s.fileLine(name, line, raw, yield) || last {
			return
		}
	}
}

// fileLine hands one line on, and reports whether to go on.
func (s *sifting) fileLine(name string, line int, raw []byte, yield func(centralRecord, error) bool) bool {
	d, skipped, err := deviceOf(raw)
	switch {
	case err != nil:
		if err := s.unreadableRow(name, line, err.Error()); err != nil {
			yield(centralRecord{}, fmt.Errorf("%s: %w", name, err))
			return false
		}
		return true
	case skipped != "":
		s.skipped(skipped)
		return true
	}
	return yield(d, nil)
}

// deviceOf reads what is needed of a record to find it; the rest goes into the
// event as it is.
func deviceOf(raw []byte) (d centralRecord, skipped string, err error) {
	if raw[0] != '{' || !jsontext.Value(raw).IsValid() {
		return centralRecord{}, "", errors.New("is not one JSON object, or has a name twice in one object")
	}
	var in struct {
		ID     any `json:"id"`
		Tenant struct {
			ID any `json:"id"`
		} `json:"tenant"`
		Hostname   any     `json:"hostname"`
		LastSeenAt any     `json:"lastSeenAt"`
		Skipped    *string `json:"skipped"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return centralRecord{}, "", errors.New("is no record of a device")
	}
	if in.Skipped != nil && *in.Skipped != "" {
		return centralRecord{}, *in.Skipped, nil
	}
	if in.ID == nil || in.Tenant.ID == nil {
		return centralRecord{}, "", errors.New("is no record of a device: it needs id and tenant.id, as \"rollcall inventory --format ndjson\" writes them")
	}
	host, _ := in.Hostname.(string) // one without a name is found by none
	seen, _ := in.LastSeenAt.(string)
	lastSeen, _ := record.ParseTime(seen)
	return centralRecord{host, lastSeen, raw}, "", nil
}
