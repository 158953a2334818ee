package adexport

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// texts are a scalar's text, those of a list, also of one in a list of one, or of the
// object into which Windows PowerShell wraps lists and dates. null is not given, and nor
// is a text without letters.
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
		return listed(in)
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

// listed are the texts of a list that was begun.
func listed(in *jsontext.Decoder) (values []string, given, ok bool) {
	for in.PeekKind() != ']' {
		if in.PeekKind() == '[' && in.StackDepth() == 1 { // a list of one that is a list itself
			if len(values) > 0 {
				return nil, false, false
			}
			inner, err := in.ReadValue()
			if inner = inner.Clone(); err != nil || in.PeekKind() != ']' || bytes.Count(inner, []byte("[")) > 1 {
				return nil, false, false // no deeper
			}
			return texts(inner)
		}
		token, err := in.ReadToken()
		if err != nil || token.Kind() == '{' || token.Kind() == '[' {
			return nil, false, false
		}
		if token.Kind() != 'n' {
			values = append(values, token.String())
		}
	}
	return values, true, true
}

// wrapped is what stands in {"value": [...], "Count": 2}, or in {"value": "...",
// "DisplayHint": 2, "DateTime": "..."}. It is nothing that is wrapped itself, and no
// other names stand beside it.
func wrapped(in *jsontext.Decoder) (value jsontext.Value, ok bool) {
	_, _ = in.ReadToken()
	for in.PeekKind() == '"' {
		token, err := in.ReadToken()
		if err != nil {
			return nil, false
		}
		name := strings.ToLower(token.String())
		inner, err := in.ReadValue()
		if err != nil {
			return nil, false
		}
		switch {
		case name == "value" && value == nil && inner.Kind() != '{':
			value = inner.Clone()
		case name == "count", name == "displayhint", name == "datetime":
		default:
			return nil, false
		}
	}
	return value, value != nil
}
