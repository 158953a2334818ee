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

// readCSV reads what Export-Csv writes: perhaps a first line that names a type, a
// header, rows; separated by commas, or where the culture has it so by semicolons.
func readCSV(text *bufio.Reader, keep func(string) bool) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		before := 0
		if begin, err := text.Peek(len("#TYPE ")); err == nil && strings.EqualFold(string(begin), "#TYPE ") {
			if _, err := text.ReadString('\n'); err != nil {
				yield(entry{}, errForm)
				return
			}
			before = 1
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
		if !slices.Contains(columns, "distinguishedname") {
			yield(entry{}, errForm)
			return
		}
		for {
			e, err := readCSVRow(in, columns, before, keep)
			if errors.Is(err, io.EOF) || !yield(e, err) || err != nil && !isFault(err) {
				return
			}
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
		out[i] = strings.ToLower(strings.TrimSpace(name))
	}
	return out
}

// readCSVRow reads one row. before is how many lines stood before the reader.
func readCSVRow(in *csv.Reader, columns []string, before int, keep func(string) bool) (entry, error) {
	cells, err := in.Read()
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		return entry{}, csvFault(parse, before)
	}
	if err != nil {
		return entry{}, err
	}
	line, _ := in.FieldPos(0)
	if again := names(cells); slices.Contains(again, "distinguishedname") && !slices.Equal(again, columns) {
		return entry{}, fmt.Errorf("line %d: another header: these are two exports, read each by itself", before+line)
	}
	e := newEntry(before + line)
	for i, cell := range cells {
		if keep(columns[i]) && strings.TrimSpace(cell) != "" {
			e.values[columns[i]] = append(e.values[columns[i]], cell)
		}
	}
	return e, nil
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
