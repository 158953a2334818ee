package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"rollcall/api"
)

const (
	maxBody  = 1 << 20 // bytes
	maxBatch = 8 << 20 // bytes of a batch
	maxDepth = 100     // arrays and objects within each other
	maxShown = 80      // characters of a caller's key in an error
)

// message is a request body. It says where its top-level fields go.
type message interface {
	// member returns where the field of that name goes; the zero slot for a
	// name that the body does not know.
	member(name string) slot
	// named is the request id that the body gives, empty when it gives none.
	named() string
}

// slot is where a top-level field goes: a *string, an *api.TicketID, or a
// *json.RawMessage for an event, or a *[]json.RawMessage for the items of a batch.
type slot struct {
	into  any
	most  int  // characters, or items
	long  bool // may have line breaks and tabs
	exact bool // blanks at its ends are part of it
}

// decode reads the request's body into m. What is wrong with the text is told
// before what is wrong with its values, whatever comes first in it.
func (s *server) decode(x *exchange, m message) error {
	return s.decodeWith(x, m, maxBody, parse)
}

// decodeWith is decode for a body of at most that many bytes.
func (s *server) decodeWith(x *exchange, m message, most int64, parse func([]byte, message) (problems, error)) error {
	if err := jsonOnly(x.c.Request.Header); err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(x.c.Writer, x.c.Request.Body, most))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return refuse(errTooLarge, fmt.Sprintf("the body is larger than %d MiB", most>>20))
		}
		return refuse(errBadJSON, "the body could not be read to its end")
	}
	found, err := parse(bytes.TrimPrefix(body, []byte("\ufeff")), m) // a byte order mark says nothing
	x.take(m.named())
	if err != nil {
		return err
	}
	if x.badHeader && m.named() == "" {
		found.add("requestId", badRequestID)
	}
	return s.check(m, found)
}

// jsonOnly refuses what does not say that it is JSON in UTF-8.
func jsonOnly(h http.Header) error {
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return errMediaType
	}
	if charset, given := params["charset"]; given && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "utf8") {
		return errMediaType
	}
	if enc := h.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return errMediaType
	}
	return nil
}

// parse reads body, one JSON object, into m. The error is a fault of the text;
// the problems are values of a wrong type.
func parse(body []byte, m message) (found problems, err error) {
	if tooDeep(body) {
		return nil, refuse(errBadJSON, fmt.Sprintf("the body is nested deeper than %d", maxDepth))
	}
	return parseText(jsontext.NewDecoder(bytes.NewBuffer(body)), m)
}

// parseText is parse for a text of which it is not known yet whether it is JSON.
func parseText(dec *jsontext.Decoder, m message) (found problems, err error) {
	switch start, err := dec.ReadToken(); {
	case errors.Is(err, io.EOF):
		return nil, refuse(errBadJSON, "the body is empty")
	case err != nil:
		return nil, textFault(err)
	case start.Kind() != '{':
		return nil, refuse(errBadJSON, "the body is not a JSON object")
	}
	unknown, err := members(dec, m, &found)
	if err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, refuse(errBadJSON, "something follows the JSON object")
	}
	if unknown != nil {
		return nil, refuse(errUnknownField, fmt.Sprintf("the field %s is not known here (names are case-sensitive)", shown(*unknown)))
	}
	return found, nil
}

// members reads the object's members up to its end, and returns the first name
// that m does not know.
func members(dec *jsontext.Decoder, m message, found *problems) (unknown *string, err error) {
	for dec.PeekKind() != '}' {
		token, err := dec.ReadToken()
		if err != nil {
			return nil, textFault(err)
		}
		name := token.String()
		value, err := dec.ReadValue()
		if err != nil {
			return nil, textFault(err)
		}
		field := m.member(name)
		if field.into == nil {
			if unknown == nil {
				unknown = &name
			}
			continue
		}
		problem, err := field.put(value)
		if err != nil {
			return nil, err
		}
		if problem != "" {
			found.add(name, problem)
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, textFault(err)
	}
	return unknown, nil
}

// put stores a value; null is not given. What has a problem is not stored.
func (f slot) put(value jsontext.Value) (problem string, err error) {
	if value.Kind() == 'n' {
		return "", nil
	}
	switch into := f.into.(type) {
	case *string:
		s, problem := f.text(value, "must be a string")
		*into = s
		return problem, nil
	case *api.TicketID:
		s, problem := f.ident(value)
		*into = api.TicketID(s)
		return problem, nil
	case *json.RawMessage:
		return event(value, into)
	case *[]json.RawMessage:
		return f.list(value, into)
	}
	return "", fmt.Errorf("a field of type %T can't be read", f.into)
}

// text unquotes a string and takes surrounding blanks off, which templates add,
// but for a text that is exact.
func (f slot) text(value jsontext.Value, otherwise string) (s, problem string) {
	b, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return "", otherwise
	}
	if s = string(b); !f.exact {
		s = strings.Trim(s, " ")
	}
	switch {
	case utf8.RuneCountInString(s) > f.most:
		return "", fmt.Sprintf("has more than %d characters", f.most)
	case !f.long && strings.ContainsAny(s, "\r\n"):
		return "", "holds a line end, which a file or a template put there: send it without"
	case strings.ContainsFunc(s, f.unfit):
		return "", "holds control characters"
	}
	return s, ""
}

func (f slot) unfit(r rune) bool {
	return unicode.IsControl(r) && (!f.long || !strings.ContainsRune("\r\n\t", r))
}

// ident reads an id, which may arrive as a whole number.
func (f slot) ident(value jsontext.Value) (s, problem string) {
	const otherwise = "must be a string or a whole number"
	if value.Kind() != '0' {
		return f.text(value, otherwise)
	}
	digits := strings.TrimPrefix(string(value), "-")
	if strings.Trim(digits, "0123456789") != "" || len(digits) > f.most {
		return "", otherwise
	}
	return string(value), ""
}

// event stores an event as JSON. It may arrive as an object, or as a string
// that holds one.
func event(value jsontext.Value, into *json.RawMessage) (problem string, err error) {
	const otherwise = "must be a JSON object, or a string that holds one"
	if value.Kind() == '{' {
		*into = bytes.Clone(value)
		return "", nil
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return otherwise, nil
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return "", nil
	}
	if tooDeep(text) {
		return "", refuse(errBadJSON, fmt.Sprintf("event is nested deeper than %d", maxDepth))
	}
	dec := jsontext.NewDecoder(bytes.NewReader(text))
	inner, err := dec.ReadValue()
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return "", textFault(err)
	}
	if err != nil || inner.Kind() != '{' {
		return otherwise, nil
	}
	inner = inner.Clone()
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return otherwise, nil
	}
	*into = json.RawMessage(inner)
	return "", nil
}

// textFault says what is wrong with the text, and where, in words of our own.
func textFault(err error) error {
	var where *jsontext.SyntacticError
	errors.As(err, &where)
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName) && where != nil:
		return refuse(errDuplicateKey, fmt.Sprintf("the key at %s comes twice in one object", shown(string(where.JSONPointer))))
	case errors.Is(err, jsontext.ErrDuplicateName):
		return refuse(errDuplicateKey, "a key comes twice in one object")
	case where != nil:
		return refuse(errBadJSON, fmt.Sprintf("the body is not valid JSON in UTF-8, at byte %d", where.ByteOffset))
	}
	return refuse(errBadJSON, "the body is not valid JSON: it ends too early")
}

// shown quotes the caller's own text for an error, cut to a length.
func shown(s string) string {
	if utf8.RuneCountInString(s) > maxShown {
		s = string([]rune(s)[:maxShown]) + "..."
	}
	return fmt.Sprintf("%q", s)
}

// tooDeep counts brackets outside strings. It runs before the text is known to
// be JSON, so that nothing recursive ever sees a deep one.
func tooDeep(b []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
