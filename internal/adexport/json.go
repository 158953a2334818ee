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
	return ours(jsonEntries(text, begin, keep))
}

// ours ends at once where the first object holds nothing that an account has: it is
// another tool's list.
func ours(all iter.Seq2[entry, error]) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		first := true
		for e, err := range all {
			if first && err == nil && len(e.values) == 0 && e.others {
				yield(entry{}, errForm)
				return
			}
			first = false
			if !yield(e, err) {
				return
			}
		}
	}
}

// jsonEntries chooses between lines and a stream.
func jsonEntries(text *bufio.Reader, begin []byte, keep func(string) bool) iter.Seq2[entry, error] {
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
			if s = bytes.TrimSpace(s); len(s) > 0 && !accounts(s, line, keep, yield) {
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
		for {
			if listEdge(in) {
				if _, err := in.ReadToken(); err == nil { // else it is told below
					continue
				}
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
			if !accounts(value, count.at(in.InputOffset()-int64(len(value))), keep, yield) {
				return
			}
		}
	}
}

// listEdge reports that a list begins or ends here: there may be several in a file.
func listEdge(in *jsontext.Decoder) bool {
	k := in.PeekKind()
	return in.StackDepth() == 1 && k == ']' || in.StackDepth() == 0 && k == '['
}

// accounts yields the account that an object is, or those of a list within it: of
// {"value": [...], "Count": 2}, as Windows PowerShell wraps lists, or of a list of lists.
// It reports whether to go on.
func accounts(raw jsontext.Value, line int, keep func(string) bool, yield func(entry, error) bool) bool {
	list := raw
	if raw.Kind() == '{' {
		list = wrappedList(raw)
	}
	if list == nil || list.Kind() != '[' {
		return yield(account(raw, line, keep))
	}
	line += bytes.Count(raw[:bytes.Index(raw, list)], []byte("\n"))
	in, at := jsontext.NewDecoder(bytes.NewReader(list), lenient()...), 0
	_, _ = in.ReadToken()
	for in.PeekKind() != ']' {
		value, err := in.ReadValue()
		if err != nil {
			return yield(entry{}, newEntry(line).fault("no JSON"))
		}
		begin := int(in.InputOffset()) - len(value)
		line += bytes.Count(list[at:begin], []byte("\n"))
		at = begin
		if !yield(account(value.Clone(), line, keep)) {
			return false
		}
	}
	return true
}

// wrappedList is the list that an object wraps; nil where it is something else.
func wrappedList(raw jsontext.Value) jsontext.Value {
	if !raw.IsValid(lenient()...) {
		return nil
	}
	inner, is := wrapped(jsontext.NewDecoder(bytes.NewReader(raw), lenient()...))
	if !is || inner.Kind() != '[' {
		return nil
	}
	return inner
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
		name := names([]string{token.String()})[0]
		value, err := in.ReadValue()
		if err != nil {
			return entry{}, e.fault("no JSON")
		}
		if !keep(name) {
			e.others = true
			continue
		}
		values, given, ok := texts(value)
		switch {
		case ok:
		case name == "objectguid": // it decides nothing
			continue
		case strings.HasPrefix(name, "lastlogon"): // what can't be read is told as what it is
			values, given = []string{string(value)}, true
		default:
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
