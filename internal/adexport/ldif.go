package adexport

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
	"iter"
	"strings"
)

// readLDIF reads what ldifde and ldapsearch write (RFC 2849): entries, apart by
// empty lines. An entry with a line that can't be read is a fault as a whole.
func readLDIF(text *bufio.Reader, keep func(string) bool) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		in := &ldif{text: text, keep: keep}
		for {
			e, err := in.entry()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err == nil && len(e.values) == 0: // a search's own remarks
				continue
			}
			if !yield(e, err) || err != nil && !isFault(err) {
				return
			}
		}
	}
}

// ldif reads lines, folded ones as one.
type ldif struct {
	text *bufio.Reader
	keep func(string) bool
	line int    // lines that were read
	next string // the line that was read ahead
	full bool   // there is one
	cut  bool   // the last line has no end
}

// raw reads one line without its end.
func (l *ldif) raw() (string, error) {
	if l.full {
		l.full = false
		return l.next, nil
	}
	s, err := l.text.ReadString('\n')
	if err != nil && (!errors.Is(err, io.EOF) || s == "") {
		return "", err
	}
	l.line++
	l.cut = err != nil
	return strings.TrimRight(s, "\r\n"), nil
}

// logical reads a line with those that continue it, and says where it begins.
func (l *ldif) logical() (s string, line int, err error) {
	first, err := l.raw()
	if err != nil {
		return "", 0, err
	}
	line = l.line
	if first == "" {
		return "", line, nil
	}
	var whole strings.Builder
	whole.WriteString(first)
	for {
		more, err := l.raw()
		if errors.Is(err, io.EOF) {
			return whole.String(), line, nil
		}
		if err != nil {
			return "", 0, err
		}
		if !strings.HasPrefix(more, " ") {
			l.next, l.full = more, true
			return whole.String(), line, nil
		}
		whole.WriteString(more[1:])
	}
}

// entry reads up to the next empty line. io.EOF comes alone.
func (l *ldif) entry() (entry, error) {
	e := newEntry(0)
	var fault *Fault
	for {
		s, line, err := l.logical()
		switch {
		case errors.Is(err, io.EOF) && (e.line > 0 || fault != nil):
			if l.cut && fault == nil { // what breaks off may have been another word
				e.nameless, fault = true, &Fault{Line: l.line, Problem: "the file breaks off in this line: it has no end"}
			}
			return e.finished(fault)
		case err != nil:
			return entry{}, err
		case s == "" && e.line == 0 && fault == nil, strings.HasPrefix(s, "#"):
			continue
		case s == "":
			return e.finished(fault)
		}
		if e.line == 0 {
			e.line = line
		}
		if problem := l.take(&e, s); problem != "" && fault == nil {
			fault = &Fault{Line: line, Problem: problem}
		}
	}
}

// finished is the entry, or its fault.
func (e entry) finished(fault *Fault) (entry, error) {
	if fault == nil {
		return e, nil
	}
	return entry{}, e.tells(fault)
}

// take reads one line into the entry, and returns what is wrong with it.
func (l *ldif) take(e *entry, s string) string {
	name, value, colon := strings.Cut(s, ":")
	if !colon {
		e.nameless = true // it may be the rest of the line before
		return "the line has no colon"
	}
	name, options, optional := strings.Cut(strings.ToLower(strings.TrimSpace(name)), ";")
	switch name {
	case "version", "search", "ref", "control":
		return ""
	case "result":
		if code, _, _ := strings.Cut(strings.TrimSpace(value), " "); code != "0" {
			e.nameless = true // of accounts that are not here
			return "the search that wrote this was not whole: result " + strings.TrimSpace(value)
		}
		return ""
	case "changetype":
		if !strings.EqualFold(strings.TrimSpace(value), "add") {
			return "this is a change and no account"
		}
		return ""
	case "dn":
		name = "distinguishedname"
	}
	if !l.keep(name) || name == "objectguid" && strings.HasPrefix(value, "<") { // ldapsearch -t; it decides nothing
		return ""
	}
	if optional && strings.HasPrefix(options, "range=") {
		return name + " was cut by the server"
	}
	value, problem := content(value)
	if problem != "" {
		e.nameless = e.nameless || isName(name)
		return name + problem
	}
	e.values[name] = append(e.values[name], value)
	return ""
}

// content is what stands behind an attribute's colon, or what is wrong with it.
func content(value string) (text, problem string) {
	switch {
	case strings.HasPrefix(value, "<"):
		return "", " stands in another file"
	case strings.HasPrefix(value, ":"):
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value[1:]))
		if err != nil {
			return "", " is no base64"
		}
		return string(b), ""
	}
	return strings.TrimLeft(value, " "), ""
}
