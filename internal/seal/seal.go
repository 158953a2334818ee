// Package seal makes and opens tokens: what one action hands to the next
// through a playbook that must not be able to alter it. It decides what counts
// as genuine. It refuses to know what is inside, and when a token expires: the
// time is part of the payload and the business of whoever sealed it.
//
// A token is "rc1." and one word of unpadded URL-safe base64 over
//
//	key id (4) | length of kind (1) | kind | nonce (24) | sealed payload and tag
//
// The payload is deflated and sealed with XChaCha20-Poly1305, whose nonce is
// long enough to be drawn at random for ever. Prefix, key id and kind are
// authenticated with it.
package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"rollcall/internal/action"
)

const (
	prefix   = "rc1."
	maxToken = 4096     // bytes; what a playbook may be asked to carry in a field
	maxPlain = 64 << 10 // bytes; bounds what a token may unpack to
	maxKind  = 64       // bytes
	minKey   = 32       // bytes
	idSize   = 4
)

// ErrTooLarge is returned by Seal where the token would be longer than 4 KiB,
// or its payload than 64 KiB. It is also an action.ErrTokenSize.
var ErrTooLarge = fmt.Errorf("sealing: %w", action.ErrTokenSize)

var _ action.Sealer = (*Sealer)(nil)

// Sealer seals with its first key and opens with any. It is safe for
// concurrent use.
type Sealer struct {
	keys []key
	pack packer
}

type key struct {
	id   [idSize]byte
	aead cipher.AEAD
}

// New returns a Sealer over secrets of at least 32 bytes each.
func New(keys [][]byte) (*Sealer, error) {
	if len(keys) == 0 {
		return nil, errors.New("no token key is given")
	}
	s := &Sealer{pack: newPacker()}
	for i, secret := range keys {
		k, err := derive(secret)
		if err != nil {
			return nil, fmt.Errorf("token key %d: %w", i+1, err)
		}
		s.keys = append(s.keys, k)
	}
	return s, nil
}

// derive makes the sealing key and its public id, each for its own purpose, so
// that a secret that is also used elsewhere gives nothing away here.
func derive(secret []byte) (key, error) {
	if len(secret) < minKey {
		return key{}, fmt.Errorf("shorter than %d bytes", minKey)
	}
	sealing, err := hkdf.Key(sha256.New, secret, nil, "rollcall token rc1 sealing", chacha20poly1305.KeySize)
	if err != nil {
		return key{}, err
	}
	id, err := hkdf.Key(sha256.New, secret, nil, "rollcall token rc1 key id", idSize)
	if err != nil {
		return key{}, err
	}
	aead, err := chacha20poly1305.NewX(sealing)
	if err != nil {
		return key{}, err
	}
	return key{id: [idSize]byte(id), aead: aead}, nil
}

// Seal returns a token over plain that opens as kind. It returns ErrTooLarge
// for what would not fit.
func (s *Sealer) Seal(kind string, plain []byte) (string, error) {
	if kind == "" || len(kind) > maxKind {
		return "", errors.New("sealing: the kind has no usable length")
	}
	if len(plain) > maxPlain {
		return "", ErrTooLarge
	}
	packed, err := s.pack.deflate(plain)
	if err != nil {
		return "", fmt.Errorf("sealing: %w", err)
	}
	k := s.keys[0]
	nonce := make([]byte, k.aead.NonceSize())
	rand.Read(nonce) // never fails: it ends the process instead
	raw := k.seal(kind, nonce, packed)
	if len(prefix)+base64.RawURLEncoding.EncodedLen(len(raw)) > maxToken {
		return "", ErrTooLarge
	}
	return prefix + base64.RawURLEncoding.EncodeToString(raw), nil
}

// seal lays a token out; the nonce must never come twice.
func (k key) seal(kind string, nonce, packed []byte) []byte {
	raw := make([]byte, 0, idSize+1+len(kind)+len(nonce)+len(packed)+k.aead.Overhead())
	raw = append(raw, k.id[:]...)
	raw = append(raw, byte(len(kind))) //nolint:gosec // Seal refuses longer kinds
	raw = append(raw, kind...)
	head := bound(raw)
	return k.aead.Seal(append(raw, nonce...), nonce, packed, head)
}

// Open returns what Seal was given. It returns action.ErrToken, and nothing
// else, for any other string: why is nobody's business who can't seal.
func (s *Sealer) Open(token string) (kind string, plain []byte, err error) {
	raw, ok := unwrap(token)
	if !ok {
		return "", nil, action.ErrToken
	}
	headLen := idSize + 1 + int(raw[idSize])
	if len(raw) < headLen+chacha20poly1305.NonceSizeX {
		return "", nil, action.ErrToken
	}
	head, rest := raw[:headLen], raw[headLen:]
	nonce, sealed := rest[:chacha20poly1305.NonceSizeX], rest[chacha20poly1305.NonceSizeX:]
	for _, k := range s.keys {
		if k.id != [idSize]byte(head[:idSize]) {
			continue
		}
		packed, err := k.aead.Open(nil, nonce, sealed, bound(head))
		if err != nil {
			continue // two secrets may share an id
		}
		plain, err := s.pack.inflate(packed)
		if err != nil {
			return "", nil, action.ErrToken
		}
		return string(head[idSize+1:]), plain, nil
	}
	return "", nil, action.ErrToken
}

// unwrap takes the text off a token. Only the one spelling that Seal writes is
// taken: other alphabets, padding, line ends and stray bits would let one
// token go by several names.
func unwrap(token string) ([]byte, bool) {
	text, ok := strings.CutPrefix(token, prefix)
	if !ok || len(token) > maxToken {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) <= idSize || base64.RawURLEncoding.EncodeToString(raw) != text {
		return nil, false
	}
	return raw, true
}

// bound is what the seal vouches for beside the payload.
func bound(head []byte) []byte {
	return append([]byte(prefix), head...)
}
