// Package record reads the two records, the event that a SIEM row brings and
// Central's endpoint object, into policy facts. It decides how much of each
// field could be read: not given, given but unreadable, or given. It refuses to
// know what follows from that; no verdict, threshold or default is made here.
//
// Reading is lenient in shape and strict in meaning: unknown fields are
// ignored, any value may come as a string, anything may be missing, but a value
// that could mean two things is unreadable, never the likelier of the two.
package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/text/unicode/norm"

	"rollcall/internal/policy"
)

// ErrNotObject is wrapped by every error of ParseEvent and ParseDevice: the
// bytes are not one well-formed JSON object. A name given twice in an object
// makes it ill-formed, for it leaves open which of the two is meant.
var ErrNotObject = errors.New("not one JSON object")

// maxFaults is how many faults of one record are told.
const maxFaults = 32

// maxText is how many characters a text may have; longer ones are unreadable.
const maxText = 1024

// reader walks one JSON document. The first syntax error sticks and makes
// every further step a no-op, so that only the end needs to look at it.
type reader struct {
	dec     *jsontext.Decoder
	live    bool   // Central's own answer: an empty value of a wrong type is unreadable, not absent
	name    []byte // scratch for the name that members yields
	garbled []string
	notes   []string // why names can't be read
	err     error
}

// newReader reads raw without a copy; raw must not change meanwhile.
func newReader(raw []byte, live bool) *reader {
	return &reader{dec: jsontext.NewDecoder(bytes.NewBuffer(raw)), live: live}
}

// whole calls read for the document's object and says whether the document was
// one well-formed object with nothing after it.
func (r *reader) whole(read func()) error {
	if r.dec.PeekKind() != '{' {
		return ErrNotObject
	}
	read()
	if r.err != nil {
		return fmt.Errorf("%w: %w", ErrNotObject, r.err)
	}
	if _, err := r.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows it", ErrNotObject)
	}
	return nil
}

// members yields the names of the object at hand. The loop's body must read
// or skip exactly one value per name, and must not keep the name.
func (r *reader) members() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		r.token() // {
		for r.err == nil && r.dec.PeekKind() != '}' {
			v, err := r.dec.ReadValue()
			if err == nil {
				r.name, err = jsontext.AppendUnquote(r.name[:0], v)
			}
			if err != nil {
				r.err = err
				return
			}
			if !yield(r.name) {
				return
			}
		}
		r.token() // }
	}
}

// token reads one bracket.
func (r *reader) token() {
	if r.err == nil {
		_, r.err = r.dec.ReadToken()
	}
}

// skip passes over the value at hand, whatever it is.
func (r *reader) skip() {
	if r.err == nil {
		r.err = r.dec.SkipValue()
	}
}

// peek is the kind of the value at hand.
func (r *reader) peek() jsontext.Kind { return r.dec.PeekKind() }

// garble notes a field that was given, could not be read, and has no field of
// its own that shows it.
func (r *reader) garble(path string) {
	if len(r.garbled) < maxFaults && !slices.Contains(r.garbled, path) {
		r.garbled = append(r.garbled, path)
	}
}

// object reports whether the value at hand is an object, which the caller then
// walks. Anything else is consumed, and the state says what it amounts to.
func (r *reader) object() (isObject bool, state policy.State) {
	if r.peek() == '{' {
		return true, policy.Given
	}
	s := r.scalar()
	switch {
	case s.state != policy.Given:
		return false, s.state
	case s.blank() && !r.live:
		return false, policy.Absent
	}
	return false, policy.Unreadable
}

// scalar is a value that is no object and no list, as it stood in the text.
type scalar struct {
	state policy.State  // Given: kind and text hold; else there is nothing to read
	kind  jsontext.Kind // of a given one: '"', '0', 't' or 'f'
	text  string        // the string's content, or the literal
}

// blank reports a string of nothing but spaces.
func (s scalar) blank() bool { return s.kind == '"' && s.text == "" }

// scalar reads the value at hand. Strings lose the blanks around them.
func (r *reader) scalar() scalar {
	if r.err != nil {
		return scalar{}
	}
	if k := r.peek(); k == '{' || k == '[' {
		return scalar{state: r.composite()}
	}
	tok, err := r.dec.ReadToken()
	if err != nil {
		r.err = err
		return scalar{}
	}
	s := scalar{state: policy.Given, kind: tok.Kind(), text: tok.String()}
	if s.kind == 'n' {
		return scalar{}
	}
	s.text = norm.NFC.String(strings.Trim(s.text, " ")) // decomposed letters are the same letters
	return s
}

// composite consumes an object or list that stands where a scalar belongs. An
// empty one is not given in an event; in Central's answer it is a wrong type.
func (r *reader) composite() policy.State {
	v, err := r.dec.ReadValue()
	if err != nil {
		r.err = err
		return policy.Absent
	}
	if !r.live && len(bytes.TrimSpace(v[1:len(v)-1])) == 0 {
		return policy.Absent
	}
	return policy.Unreadable
}

// read reads the value at hand as one fact; blank strings are not given.
func read[T any](r *reader, parse func(scalar) (T, bool)) policy.Field[T] {
	s := r.scalar()
	if s.state == policy.Given && s.blank() {
		s.state = policy.Absent
	}
	return fieldOf(s, parse)
}

// readName is read for a name that rules are matched with: one that was damaged on its
// way is unreadable, and a note says why.
func readName[T any](r *reader, path string, parse func(scalar) (T, bool)) policy.Field[T] {
	return read(r, func(s scalar) (none T, ok bool) {
		if r.damaged(path, s) {
			return none, false
		}
		return parse(s)
	})
}

// damaged reports, and notes, that a name was damaged.
func (r *reader) damaged(path string, s scalar) bool {
	if s.kind != '"' {
		return false
	}
	why := Damage(s.text)
	if why != "" && len(r.notes) < maxFaults {
		r.notes = append(r.notes, path+": "+why)
	}
	return why != ""
}

// fieldOf turns a scalar into a fact.
func fieldOf[T any](s scalar, parse func(scalar) (T, bool)) policy.Field[T] {
	if s.state != policy.Given {
		return policy.Field[T]{State: s.state}
	}
	if v, ok := parse(s); ok {
		return policy.Is(v)
	}
	return policy.Garbled[T]()
}

// bool reads true or false, as such or as a word in any case. Central never
// sends an empty string for one, so there it is no way to say nothing.
func (r *reader) bool() policy.Field[bool] {
	s := r.scalar()
	if s.state == policy.Given && s.blank() && !r.live {
		return policy.Field[bool]{}
	}
	return fieldOf(s, boolean)
}

func boolean(s scalar) (value, ok bool) {
	switch {
	case s.kind == '0':
		return false, false
	case strings.EqualFold(s.text, "true"):
		return true, true
	case strings.EqualFold(s.text, "false"):
		return false, true
	}
	return false, false
}

// text takes strings only: a number where a name belongs lost something on
// its way, such as a leading zero.
func text(s scalar) (string, bool) {
	if s.kind != '"' || !clean(s.text) || tooLong(s.text, maxText) {
		return "", false
	}
	return s.text, true
}

// word is a text that names one of few values, in lower case.
func word(s scalar) (string, bool) {
	t, ok := text(s)
	return strings.ToLower(t), ok
}

// clean reports whether s is UTF-8 without control characters (NUL and line
// ends among them), which forge log lines and end strings early elsewhere.
func clean(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] == 0x7f {
			return false
		}
		if s[i] >= utf8.RuneSelf {
			return cleanRunes(s[i:])
		}
	}
	return true
}

func cleanRunes(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < 0x20 || (r >= 0x7f && r < 0xa0) {
			return false
		}
	}
	return true
}

// tooLong reports whether s has more than limit characters.
func tooLong(s string, limit int) bool {
	return len(s) > limit && utf8.RuneCountInString(s) > limit
}
