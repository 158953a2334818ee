package main

import "github.com/rs/zerolog"

const redacted = "[redacted]"

// Secret is a value that no log, error or dump may show. It keeps the text
// behind a pointer, so that even a format verb that bypasses String prints an
// address and not the text. The zero value is the empty secret.
type Secret struct{ text *string }

// NewSecret hides text.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text, for the one place that needs it.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return redacted }

// MarshalText keeps encoders from looking inside; JSON uses it too.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON implements json.Marshaler.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalZerologObject implements zerolog.LogObjectMarshaler.
func (Secret) MarshalZerologObject(e *zerolog.Event) { e.Str("secret", redacted) }

// UnmarshalText takes the text as it is.
func (s *Secret) UnmarshalText(b []byte) error {
	*s = NewSecret(string(b))
	return nil
}
