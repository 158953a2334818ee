package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// textForm is what a file of devices looks like.
type textForm uint8

// The forms.
const (
	formNothing textForm = iota
	formJSON
	formCSV
	formOther
)

// What is said of files that are meant for another command, or for none.
var (
	errExportOfAD = errors.New(`this is an export of AD, which names no device of Central: make events of it with "rollcall candidates --ad FILE"`)
	errNUL        = errors.New("it holds NUL bytes: it is UTF-16 without its byte order mark, or no text; save it as UTF-8")
	errWorkbook   = errors.New("it is a workbook or another archive: save it as CSV in UTF-8")
)

// formOfText tells the form by the begin.
func formOfText(text []byte) textForm {
	start := bytes.TrimSpace(text[:min(len(text), maxRetireRow)])
	first, _, _ := bytes.Cut(start, []byte("\n"))
	switch {
	case len(start) == 0:
		return formNothing
	case bytes.HasPrefix(start, []byte("PK\x03")), bytes.IndexByte(start, 0) >= 0, isLDIF(first):
		return formOther
	case start[0] == '{', start[0] == '[':
		return formJSON
	}
	return formCSV
}

// errOfText says what is wrong with a text of another form.
func errOfText(text []byte) error {
	switch {
	case bytes.HasPrefix(text, []byte("PK\x03")):
		return errWorkbook
	case bytes.IndexByte(text, 0) >= 0:
		return errNUL
	}
	return errExportOfAD
}

// isLDIF reports the first line of LDIF, or a comment in it.
func isLDIF(line []byte) bool {
	s := strings.ToLower(string(line[:min(len(line), 64)]))
	return strings.HasPrefix(s, "dn:") || strings.HasPrefix(s, "version:") || strings.HasPrefix(s, "# ")
}

// exportsAD reports CSV whose header has a distinguished name.
func exportsAD(text []byte) bool {
	head, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
	if strings.HasPrefix(string(head), "#TYPE ") {
		return true
	}
	columns := strings.FieldsFunc(strings.ToLower(string(head)), func(r rune) bool { return strings.ContainsRune("\",;\t \r", r) })
	return slices.Contains(columns, "distinguishedname") || len(columns) > 0 && columns[0] == "dn"
}

// isAccount reports an object that Get-ADComputer or its like wrote.
func isAccount(doc map[string]json.RawMessage) bool {
	for name := range doc {
		switch strings.ToLower(name) {
		case "central", "event", "directory", "id", "endpointid":
			return false
		}
	}
	for name := range doc {
		if strings.EqualFold(name, "distinguishedName") || strings.EqualFold(name, "dn") {
			return true
		}
	}
	return false
}

// eachObject hands on the objects of a JSON text with the lines at which they begin: of
// a list, of the items of one, of what Sophos's connector writes, of objects one after
// another. The error says that the text can't be read at all.
func eachObject(text []byte, each func(line int, raw []byte)) error {
	hand := func(line int, raw []byte) { numbered(line, raw, each) }
	start := bytes.TrimSpace(text)
	switch first, _, _ := bytes.Cut(start, []byte("\n")); {
	case start[0] == '[':
		return listOf(text, 0, hand)
	case jsontext.Value(text).IsValid():
		return document(text, hand)
	case jsontext.Value(first).IsValid(), !begins(start):
		linesOf(text, hand)
		return nil
	}
	return streamOf(text, hand)
}

// begins reports whether a whole object stands at the begin.
func begins(text []byte) bool {
	_, err := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true)).ReadValue()
	return err == nil
}

// linesOf reads an object a line; blank lines are passed over.
func linesOf(text []byte, each func(line int, raw []byte)) {
	line := 0
	for raw := range bytes.Lines(text) {
		line++
		if raw = bytes.TrimSpace(raw); len(raw) > 0 {
			each(line, raw)
		}
	}
}

// document reads a text that is one object: a list of items, or one device.
func document(text []byte, each func(line int, raw []byte)) error {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(text, &doc); err != nil {
		return err
	}
	items, is := doc["items"]
	if !is {
		before := bytes.Count(text[:bytes.IndexByte(text, '{')], []byte("\n"))
		each(before+1, bytes.TrimSpace(text))
		return nil
	}
	if next := bytes.TrimSpace(doc["next"]); len(next) > 0 && !bytes.Equal(next, []byte("null")) {
		return errors.New("this is one page of a list, not all of it")
	}
	return listOf(items, bytes.Count(text[:bytes.Index(text, items)], []byte("\n")), each)
}

// listOf reads a JSON list that begins after so many lines. One that breaks off is
// no list: nobody can say what was cut.
func listOf(text []byte, before int, each func(line int, raw []byte)) error {
	dec := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true)) // told by line
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
		each(line, slices.Clone(raw))
	}
	if _, err := dec.ReadToken(); err != nil {
		return fmt.Errorf("the list can't be read to its end: %w", err)
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the list")
	}
	return nil
}

// streamOf reads objects over several lines, one after another.
func streamOf(text []byte, each func(line int, raw []byte)) error {
	dec := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true)) // told by line
	for at, line := 0, 1; ; {
		raw, err := dec.ReadValue()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			line += bytes.Count(text[at:dec.InputOffset()], []byte("\n"))
			return fmt.Errorf("what follows line %d can't be read: %w", line, err)
		}
		begin := int(dec.InputOffset()) - len(raw)
		line += bytes.Count(text[at:begin], []byte("\n"))
		at = begin
		each(line, slices.Clone(raw))
	}
}

// numbered hands on the objects within one that has nothing but numbers for names, as
// Sophos's connector writes lists, or the object itself.
func numbered(line int, raw []byte, each func(line int, raw []byte)) {
	if !hasNumbers(raw) {
		each(line, raw)
		return
	}
	dec := jsontext.NewDecoder(bytes.NewReader(raw))
	_, _ = dec.ReadToken() // that all is well-formed was just seen
	for at := 0; dec.PeekKind() == '"'; {
		_, _ = dec.ReadToken()
		inner, err := dec.ReadValue()
		if err != nil {
			return
		}
		begin := int(dec.InputOffset()) - len(inner)
		line += bytes.Count(raw[at:begin], []byte("\n"))
		at = begin
		each(line, slices.Clone(inner))
	}
}

// hasNumbers reports an object in which a number names each of one or more objects.
func hasNumbers(raw []byte) bool {
	dec := jsontext.NewDecoder(bytes.NewReader(raw))
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '{' || dec.PeekKind() != '"' {
		return false
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil || strings.Trim(name.String(), "0123456789") != "" || dec.PeekKind() != '{' || dec.SkipValue() != nil {
			return false
		}
	}
	_, err := dec.ReadToken()
	return err == nil && jsontext.Value(raw).IsValid()
}
