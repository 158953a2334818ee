package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"rollcall/internal/httpapi"
)

// csv reads rows of the inventory as a spreadsheet wrote them.
func (f *retireFile) csv(text []byte) error {
	text, before, comma := separated(text)
	r := csv.NewReader(bytes.NewReader(text))
	r.Comma = comma
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
		f.cells(before+line, header, cells)
	}
}

// separated finds the sign between the cells of a text, which a first line of a
// spreadsheet's may tell. It returns the text without that line, and how many it were.
func separated(text []byte) (rest []byte, before int, comma rune) {
	first, more, _ := bytes.Cut(text, []byte("\n"))
	if sep := strings.TrimRight(string(first), "\r"); len(sep) == len("sep=;") && strings.EqualFold(sep[:4], "sep=") {
		text, before = more, 1
		first, _, _ = bytes.Cut(text, []byte("\n"))
	}
	for _, comma := range []rune{',', ';', '\t'} {
		if bytes.ContainsRune(first, comma) {
			return text, before, comma
		}
	}
	return text, before, ','
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
		return errors.New("neither JSON nor CSV of the inventory: the header needs the columns tenantId and endpointId, as \"rollcall inventory --format csv\" writes them")
	}
	for path, n := range times {
		if n > 1 {
			return fmt.Errorf("%d columns of the header give the device's %s", n, path)
		}
	}
	return nil
}

// cells takes one row. Spreadsheets leave out its last cells where they are empty, or
// the whole of it, or put empty ones behind it.
func (f *retireFile) cells(line int, header, cells []string) {
	if strings.TrimSpace(strings.Join(cells, "")) == "" {
		return
	}
	if n := len(header); len(cells) > n && strings.TrimSpace(strings.Join(cells[n:], "")) == "" {
		cells = cells[:n]
	}
	if len(cells) > len(header) {
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
