package adexport

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// readJSON reads what ConvertTo-Json writes: a list of accounts, one account, or
// one after another. Where each stands on a line of its own, one that can't be read
// does not harm the others.
func readJSON(text *bufio.Reader, begin []byte, keep func(string) bool) iter.Seq2[entry, error] {
	first, _, _ := bytes.Cut(bytes.TrimLeft(begin, " \t\r\n"), []byte("\n"))
	if len(first) > 0 && first[0] == '{' && jsontext.Value(first).IsValid(lenient()...) {
		return readLines(text, keep)
	}
	return readStream(text, keep)
}

// lenient lets a row be judged by what it says: a name that is given twice may say
// the same, and what is damaged may be of no interest.
func lenient() []jsontext.Options {
	return []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
}

// readLines reads an account from each line.
func readLines(text *bufio.Reader, keep func(string) bool) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		for line := 1; ; line++ {
			s, err := text.ReadBytes('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				yield(entry{}, err)
				return
			}
			end := err != nil
			if s = bytes.TrimSpace(s); len(s) > 0 && !yield(account(s, line, keep)) {
				return
			}
			if end {
				return
			}
		}
	}
}

// readStream reads a list, or accounts over several lines. After a mistake nobody
// can tell where the next account begins.
func readStream(text *bufio.Reader, keep func(string) bool) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		count := &lines{r: text}
		in := jsontext.NewDecoder(count, lenient()...)
		if in.PeekKind() == '[' {
			_, _ = in.ReadToken() // as it was just seen
		}
		for {
			if in.StackDepth() == 1 && in.PeekKind() == ']' {
				_, _ = in.ReadToken()
			}
			value, err := in.ReadValue()
			if errors.Is(err, io.EOF) && in.StackDepth() == 0 {
				return
			}
			if err != nil {
				at := in.InputOffset()
				if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
					at = syntax.ByteOffset
				}
				yield(entry{}, fmt.Errorf("line %d: no JSON: nothing from here on could be read", count.at(at)))
				return
			}
			if !yield(account(value, count.at(in.InputOffset()-int64(len(value))), keep)) {
				return
			}
		}
	}
}

// account reads one object.
func account(raw []byte, line int, keep func(string) bool) (entry, error) {
	e := newEntry(line)
	in := jsontext.NewDecoder(bytes.NewReader(raw), lenient()...)
	if in.PeekKind() != '{' {
		return entry{}, e.fault("no account: not an object")
	}
	if !jsontext.Value(raw).IsValid(lenient()...) {
		return entry{}, e.fault("no JSON")
	}
	problem := ""
	_, _ = in.ReadToken() // the brace; that all is well-formed was just seen
	for in.PeekKind() == '"' {
		token, err := in.ReadToken()
		if err != nil {
			return entry{}, e.fault("no JSON")
		}
		name := strings.ToLower(token.String())
		value, err := in.ReadValue()
		if err != nil {
			return entry{}, e.fault("no JSON")
		}
		if !keep(name) {
			continue
		}
		values, given, ok := texts(value)
		if !ok {
			problem = name + " is neither a text nor a list of texts"
			e.nameless = e.nameless || isName(name)
		}
		if given {
			e.values[name] = append(e.values[name], values...)
			if e.values[name] == nil {
				e.values[name] = []string{}
			}
		}
	}
	if problem != "" {
		return entry{}, e.fault("%s", problem)
	}
	return e, nil
}

// texts are a scalar's text, those of a list, or of the object into which Windows
// PowerShell wraps some of its lists. null is not given, and nor is a text without
// letters.
func texts(raw jsontext.Value) (values []string, given, ok bool) {
	in := jsontext.NewDecoder(bytes.NewReader(raw), lenient()...)
	if in.PeekKind() == '{' {
		inner, is := wrapped(in)
		if !is {
			return nil, false, false
		}
		return texts(inner)
	}
	if in.PeekKind() == '[' {
		_, _ = in.ReadToken()
		for in.PeekKind() != ']' {
			token, err := in.ReadToken()
			if err != nil || token.Kind() != '"' {
				return nil, false, false
			}
			values = append(values, token.String())
		}
		return values, true, true
	}
	token, err := in.ReadToken()
	if err != nil {
		return nil, false, false
	}
	if s := token.String(); token.Kind() != 'n' && strings.TrimSpace(s) != "" {
		return []string{s}, true, true
	}
	return nil, false, true
}

// wrapped is the list in {"value": [...], "Count": 2}.
func wrapped(in *jsontext.Decoder) (list jsontext.Value, ok bool) {
	_, _ = in.ReadToken()
	for in.PeekKind() == '"' {
		name, err := in.ReadToken()
		if err != nil {
			return nil, false
		}
		is := strings.EqualFold(name.String(), "value")
		value, err := in.ReadValue()
		if err != nil {
			return nil, false
		}
		if is && value.Kind() == '[' && list == nil {
			list = value.Clone()
			continue
		}
		if is {
			return nil, false
		}
	}
	return list, list != nil
}

// lines counts the lines of what passes through it.
type lines struct {
	r      io.Reader
	offset int64
	breaks []int64 // where lines end, of those that at did not yet pass
	passed int
}

// Read implements [io.Reader].
func (l *lines) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			l.breaks = append(l.breaks, l.offset+int64(i))
		}
	}
	l.offset += int64(n)
	return n, err
}

// at is the line of an offset, from 1. Offsets must grow.
func (l *lines) at(offset int64) int {
	for len(l.breaks) > 0 && l.breaks[0] < offset {
		l.breaks = l.breaks[1:]
		l.passed++
	}
	return l.passed + 1
}
