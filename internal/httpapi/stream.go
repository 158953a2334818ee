package httpapi

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"
)

// The forms of a list.
const (
	formatJSON   = "json"
	formatNDJSON = "ndjson"
	formatCSV    = "csv"
)

const (
	flushRows   = 100         // rows between flushes
	streamPause = time.Minute // how long a reader may take for them
)

// sheet is a list's form as CSV.
type sheet[T any] struct {
	columns []string
	cells   func(T) []string
}

// stream writes rows as they come. What fails before the first row is an error
// like any other; what fails later cuts the answer off, since an exclusion feed
// that looks complete and is not would bring devices back into the search.
func stream[T any](x *exchange, format string, rows iter.Seq2[T, error], cols *sheet[T]) error {
	out := &streamer{x: x, format: format, buf: bufio.NewWriterSize(x.c.Writer, 32<<10)}
	var header []string
	if cols != nil {
		header = cols.columns
	}
	for row, err := range rows {
		if err != nil {
			return err
		}
		if err := out.open(header); err != nil || x.c.Request.Method == http.MethodHead {
			return err
		}
		if format == formatCSV {
			err = out.cells(cols.cells(row))
		} else {
			err = out.item(row)
		}
		if err != nil {
			return err
		}
	}
	if err := out.open(header); err != nil {
		return err
	}
	return out.close()
}

// streamer writes one list in one form.
type streamer struct {
	x      *exchange
	format string
	buf    *bufio.Writer
	csv    *csv.Writer
	begun  bool
	rows   int
}

// open begins the answer, once.
func (s *streamer) open(header []string) error {
	if s.begun {
		return nil
	}
	s.begun = true
	kind := map[string]string{
		formatJSON: "application/json", formatNDJSON: "application/x-ndjson", formatCSV: "text/csv; charset=utf-8",
	}[s.format]
	s.x.head(kind)
	s.x.c.Status(http.StatusOK)
	s.x.c.Writer.WriteHeaderNow()
	switch s.format {
	case formatJSON:
		_, err := s.buf.WriteString(`{"items":[`)
		return err
	case formatCSV:
		s.csv = csv.NewWriter(s.buf)
		return s.csv.Write(header)
	}
	return nil
}

// item writes a row as JSON.
func (s *streamer) item(row any) error {
	text, err := Line(row)
	if err != nil {
		return fmt.Errorf("row: %w", err)
	}
	if s.format == formatJSON {
		text = bytes.TrimSuffix(text, []byte("\n"))
		if s.rows > 0 {
			text = append([]byte(","), text...)
		}
	}
	if _, err := s.buf.Write(text); err != nil {
		return err
	}
	return s.count()
}

// cells writes a row as CSV.
func (s *streamer) cells(row []string) error {
	for i, cell := range row {
		row[i] = Harmless(cell)
	}
	if err := s.csv.Write(row); err != nil {
		return err
	}
	return s.count()
}

// count flushes now and then, so that a reader gets rows while the rest is read.
func (s *streamer) count() error {
	s.rows++
	if s.rows%flushRows == 0 {
		return s.flush()
	}
	return nil
}

// flush hands on what is written so far, and gives a reader that keeps up more
// time than the server gives a single answer.
func (s *streamer) flush() error {
	if s.csv != nil {
		s.csv.Flush()
		if err := s.csv.Error(); err != nil {
			return err
		}
	}
	if err := s.buf.Flush(); err != nil {
		return err
	}
	_ = http.NewResponseController(s.x.c.Writer).SetWriteDeadline(time.Now().Add(streamPause)) // not every writer has one
	s.x.c.Writer.Flush()
	return nil
}

// close ends the list.
func (s *streamer) close() error {
	if s.format == formatJSON {
		if _, err := fmt.Fprintf(s.buf, "],\"count\":%d,\"next\":null}\n", s.rows); err != nil {
			return err
		}
	}
	return s.flush()
}

// Harmless keeps a spreadsheet from taking a cell for a formula.
func Harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func plain(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func at(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}
