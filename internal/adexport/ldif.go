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
			return finished(e, fault)
		case err != nil:
			return entry{}, err
		case s == "" && e.line == 0 && fault == nil, strings.HasPrefix(s, "#"):
			continue
		case s == "":
			return finished(e, fault)
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
func finished(e entry, fault *Fault) (entry, error) {
	if fault != nil {
		return entry{}, fault
	}
	return e, nil
}

// take reads one line into the entry, and returns what is wrong with it.
func (l *ldif) take(e *entry, s string) string {
	name, value, colon := strings.Cut(s, ":")
	if !colon {
		return "the line has no colon"
	}
	name, options, optional := strings.Cut(strings.ToLower(strings.TrimSpace(name)), ";")
	switch name {
	case "version", "search", "ref", "control":
		return ""
	case "result":
		if code, _, _ := strings.Cut(strings.TrimSpace(value), " "); code != "0" {
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
	if !l.keep(name) {
		return ""
	}
	if optional && strings.HasPrefix(options, "range=") {
		return name + " was cut by the server"
	}
	switch {
	case strings.HasPrefix(value, "<"):
		return name + " stands in another file"
	case strings.HasPrefix(value, ":"):
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value[1:]))
		if err != nil {
			return name + " is no base64"
		}
		value = string(b)
	default:
		value = strings.TrimLeft(value, " ")
	}
	e.values[name] = append(e.values[name], value)
	return ""
}
