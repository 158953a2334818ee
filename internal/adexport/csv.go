package adexport

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
)

// readCSV reads what Export-Csv and csvde write, also after a spreadsheet saved it:
// perhaps a first line that names a type or the separator, a header, rows; separated by
// commas, or where the culture has it so by semicolons.
func readCSV(text *bufio.Reader, keep func(string) bool) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		before, err := skipFirst(text)
		if err != nil {
			yield(entry{}, err)
			return
		}
		comma, err := separator(text)
		if err != nil {
			yield(entry{}, err)
			return
		}
		in := csv.NewReader(text)
		in.Comma, in.ReuseRecord = comma, true
		header, err := in.Read()
		if err != nil {
			yield(entry{}, errForm)
			return
		}
		columns := names(header)
		for {
			e, err := readCSVRow(in, columns, before, keep)
			if err == nil && e.line == 0 { // nothing is in it
				continue
			}
			if errors.Is(err, io.EOF) || !yield(e, err) || err != nil && !isFault(err) {
				return
			}
		}
	}
}

// skipFirst passes over a line that names a type, or that tells a spreadsheet the
// separator. It returns how many lines that were.
func skipFirst(text *bufio.Reader) (int, error) {
	for lines := 0; ; lines++ {
		begin, err := text.Peek(len("#TYPE "))
		if s := strings.ToLower(string(begin)); err != nil || s != "#type " && !strings.HasPrefix(s, "sep=") {
			return lines, nil //nolint:nilerr // a file that short has no header either
		}
		if _, err := text.ReadString('\n'); err != nil {
			return 0, errForm
		}
	}
}

// separator is the sign with which the header can be read.
func separator(text *bufio.Reader) (rune, error) {
	begin, err := text.Peek(peek)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	for _, comma := range []rune{',', ';', '\t'} {
		in := csv.NewReader(strings.NewReader(string(begin)))
		in.Comma = comma
		if header, err := in.Read(); err == nil && slices.Contains(names(header), "distinguishedname") {
			return comma, nil
		}
	}
	return 0, errForm
}

// names are the columns' names as they are compared.
func names(header []string) []string {
	out := make([]string, len(header))
	for i, name := range header {
		if out[i] = strings.ToLower(strings.TrimSpace(name)); out[i] == "dn" { // of csvde
			out[i] = "distinguishedname"
		}
	}
	return out
}

// readCSVRow reads one row. before is how many lines stood before the reader.
func readCSVRow(in *csv.Reader, columns []string, before int, keep func(string) bool) (entry, error) {
	cells, err := in.Read()
	count := errors.Is(err, csv.ErrFieldCount)
	if parse, ok := errors.AsType[*csv.ParseError](err); ok && !count {
		return entry{}, csvFault(parse, before)
	}
	if err != nil && !count {
		return entry{}, err
	}
	if strings.TrimSpace(strings.Join(cells, "")) == "" {
		return entry{}, nil // a row that a spreadsheet left
	}
	line, _ := in.FieldPos(0)
	if again := names(cells); slices.Contains(again, "distinguishedname") && !slices.Equal(again, columns) {
		return entry{}, fmt.Errorf("line %d: another header: these are two exports, read each by itself", before+line)
	}
	e := newEntry(before + line)
	for i, cell := range cells[:min(len(cells), len(columns))] {
		if keep(columns[i]) && strings.TrimSpace(cell) != "" {
			e.values[columns[i]] = append(e.values[columns[i]], cellText(cell))
		}
	}
	if !count {
		return e, nil
	}
	return entry{}, e.miscounted(len(cells) < len(columns))
}

// miscounted is the fault of a row with too few or too many cells. Which are missing
// nobody can say, so what stands below the names may be another's.
func (e entry) miscounted(short bool) *Fault {
	e.nameless = true
	problem := "there are more cells than the header has"
	if short {
		problem = "cells are missing at the end, as spreadsheets leave empty ones out; export anew, or save it with all its cells"
	}
	f := e.fault("wrong number of fields: %s", problem)
	f.Domain = ""
	return f
}

// csvFault says what is wrong with a row, and up to where it took rows with it: a
// quote that is not closed takes what comes after it.
func csvFault(p *csv.ParseError, before int) *Fault {
	f := &Fault{Line: before + p.StartLine, Problem: p.Err.Error()}
	if p.Line > p.StartLine {
		f.Problem += fmt.Sprintf("; nothing up to line %d could be read", before+p.Line)
	}
	return f
}

// isFault reports an error after which rows go on.
func isFault(err error) bool {
	_, ok := errors.AsType[*Fault](err)
	return ok
}
