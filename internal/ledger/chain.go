package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/redis/go-redis/v9"
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

// place is a place in a trail: an entry's number and digest.
type place struct {
	seq    int64
	digest string
}

// chained is one entry of a trail with its line.
type chained struct {
	place
	line     []byte
	when     time.Time
	endpoint string
}

// start is where a tenant's trail begins in the store (what was before has been
// trimmed), and how far it was exported.
func (s *Store) start(ctx context.Context, tenant string) (base, exported place, err error) {
	v, err := s.rdb.HMGet(ctx, keyChain.of(tenant), "baseSeq", "baseDigest", "seq", "digest").Result()
	if err != nil {
		return base, exported, away(err)
	}
	base, exported = placeOf(v[0], v[1]), placeOf(v[2], v[3])
	if exported.seq < base.seq {
		exported = base
	}
	return base, exported, nil
}

// placeOf reads a place; none is before the first entry.
func placeOf(seq, digest any) place {
	n, _ := strconv.ParseInt(fmt.Sprint(seq), 10, 64)
	d, ok := digest.(string)
	if !ok || n <= 0 {
		return place{0, genesis()}
	}
	return place{n, d}
}

// gapError says that a trail lacks entries: somebody took them out.
type gapError struct {
	tenant      string
	after, next int64
}

func (e *gapError) Error() string {
	return fmt.Sprintf("tenant %s: after audit entry %d comes %d", e.tenant, e.after, e.next)
}

// chain walks a tenant's trail behind a place, and chains it.
func (s *Store) chain(ctx context.Context, tenant string, from place) iter.Seq2[chained, error] {
	return func(yield func(chained, error) bool) {
		at := from
		for {
			page, err := s.rdb.XRangeN(ctx, keyAudit.of(tenant), fmt.Sprintf("(%d-0", at.seq), "+", pageSize).Result()
			if err != nil {
				yield(chained{}, away(err))
				return
			}
			for _, m := range page {
				c, err := follow(tenant, at, m)
				if !yield(c, err) || err != nil {
					return
				}
				at = c.place
			}
			if len(page) < pageSize {
				return
			}
		}
	}
}

// follow chains one entry to the place before it.
func follow(tenant string, at place, m redis.XMessage) (chained, error) {
	entry, seq, when, endpoint := auditEntry(m)
	if seq != at.seq+1 {
		return chained{}, &gapError{tenant, at.seq, seq}
	}
	line, digest, err := link(at.digest, entry)
	return chained{place{seq, digest}, line, when, endpoint}, err
}
