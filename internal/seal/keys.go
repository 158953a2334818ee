package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// NewKey returns 32 random bytes in base64, as ParseKeys takes them.
func NewKey() string {
	b := make([]byte, minKey)
	rand.Read(b) // never fails: it ends the process instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseKeys reads token keys: base64 of either alphabet, padded or not,
// separated by commas or line ends, at least 32 bytes each. It reports all
// faults at once, by the key's position and without showing any of it.
func ParseKeys(text string) ([][]byte, error) {
	var keys [][]byte
	var faults []error
	for _, part := range strings.FieldsFunc(text, isSeparator) {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		key, problem := parseKey(part, keys)
		keys = append(keys, key)
		if problem != "" {
			faults = append(faults, fmt.Errorf("token key %d %s", len(keys), problem))
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no token key is given")
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return keys, nil
}

func parseKey(text string, before [][]byte) (key []byte, problem string) {
	text = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "="))
	key, err := base64.RawURLEncoding.DecodeString(text)
	switch {
	case err != nil:
		return nil, "is not base64"
	case len(key) < minKey:
		return nil, fmt.Sprintf("is shorter than %d bytes", minKey)
	}
	for i, other := range before {
		if bytes.Equal(key, other) {
			return key, fmt.Sprintf("is the same as key %d", i+1)
		}
	}
	return key, ""
}

func isSeparator(r rune) bool { return r == ',' || r == '\n' || r == '\r' }
