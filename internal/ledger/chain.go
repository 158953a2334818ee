package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// genesis is the prev of a trail's first entry.
func genesis() string { return strings.Repeat("0", 2*sha256.Size) }

// link chains an audit entry, one JSON object, to the one before: the line is
// the entry with prev and digest at its end. The digest is the SHA-256, in hex, of
// prev and of the entry without these two in the canonical form of RFC 8785, so
// that it outlives whoever writes the same JSON in another way.
func link(prev string, entry []byte) (line []byte, digest string, err error) {
	canonical := jsontext.Value(append([]byte(nil), entry...))
	if err := canonical.Canonicalize(); err != nil || canonical.Kind() != '{' {
		return nil, "", fmt.Errorf("audit entry is no JSON object: %w", err)
	}
	sum := sha256.New()
	sum.Write([]byte(prev)) // a hash's Write never fails
	sum.Write(canonical)
	digest = hex.EncodeToString(sum.Sum(nil))
	line = fmt.Appendf(nil, `%s,"prev":%q,"digest":%q}`, entry[:len(entry)-1], prev, digest)
	return line, digest, nil
}
