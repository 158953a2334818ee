package seal

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rollcall/internal/action"
)

const payload = `{"event":{"central":{"id":"6f0e7b2a-3c1d-4e58-9a76-0d4b8c2f51e3"}},"at":"2026-11-20T06:00:00Z"}`

func secret(n byte) []byte { return bytes.Repeat([]byte{n}, minKey) }

func mustNew(tb testing.TB, keys ...[]byte) *Sealer {
	tb.Helper()
	s, err := New(keys)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func mustSeal(tb testing.TB, s *Sealer, kind, plain string) string {
	tb.Helper()
	token, err := s.Seal(kind, []byte(plain))
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

// refuses fails unless the token is refused, with nothing beside the error.
func refuses(tb testing.TB, s *Sealer, token string) {
	tb.Helper()
	kind, plain, err := s.Open(token)
	if !errors.Is(err, action.ErrToken) || kind != "" || plain != nil {
		tb.Errorf("Open(%q) = %q, %q, %v, want ErrToken and nothing else", token, kind, plain, err)
	}
}

func TestWhatIsSealedOpens(t *testing.T) {
	s := mustNew(t, secret(1))
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.StringN(1, 16, maxKind).Draw(t, "kind")
		plain := rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "plain")
		token, err := s.Seal(kind, plain)
		if err != nil {
			t.Fatal(err)
		}
		if len(token) > maxToken || strings.Trim(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
			t.Fatalf("token %q is no word of URL-safe characters of at most %d", token, maxToken)
		}
		gotKind, got, err := s.Open(token)
		if err != nil || gotKind != kind || !bytes.Equal(got, plain) {
			t.Fatalf("Open = %q, %q, %v, want %q, %q", gotKind, got, err, kind, plain)
		}
	})
}

func TestNoTwoTokensAreAlike(t *testing.T) {
	s := mustNew(t, secret(1))
	if a, b := mustSeal(t, s, "verdict", payload), mustSeal(t, s, "verdict", payload); a == b {
		t.Errorf("sealing twice gave %q twice", a)
	}
}

func TestATokenShowsNothingOfItsPayload(t *testing.T) {
	s := mustNew(t, secret(1))
	raw, ok := unwrap(mustSeal(t, s, "verdict", strings.Repeat("secret-host ", 4)))
	if !ok || bytes.Contains(raw, []byte("secret")) {
		t.Errorf("raw token %q shows its payload", raw)
	}
}

func TestAnAlteredTokenIsRefused(t *testing.T) {
	s := mustNew(t, secret(1))
	token := mustSeal(t, s, "verdict", payload)
	for i := range len(token) {
		refuses(t, s, token[:i])
		refuses(t, s, token[i+1:])
		refuses(t, s, token[:i]+token[i+1:])
		for bit := range 8 {
			b := []byte(token)
			b[i] ^= 1 << bit
			refuses(t, s, string(b))
		}
	}
}

func TestABitFlippedUnderTheTextIsRefused(t *testing.T) {
	s := mustNew(t, secret(1))
	raw, ok := unwrap(mustSeal(t, s, "verdict", payload))
	if !ok {
		t.Fatal("a sealed token does not unwrap")
	}
	for i := range len(raw) * 8 {
		b := bytes.Clone(raw)
		b[i/8] ^= 1 << (i % 8)
		refuses(t, s, prefix+encode(b))
	}
}

func TestOneTokenHasOneSpelling(t *testing.T) {
	s := mustNew(t, secret(1))
	// Payload lengths vary until the last character has spare bits.
	for n := range 6 {
		token := mustSeal(t, s, strings.Repeat("k", n+1), payload)
		last := token[len(token)-1]
		for c := byte(33); c < 127; c++ {
			if c != last {
				refuses(t, s, token[:len(token)-1]+string(c))
			}
		}
		for _, other := range []string{
			token + "=", token + "==", token + "\n", "\n" + token, token + " ", " " + token,
			token[:20] + "\r\n" + token[20:], strings.ToUpper(token), "RC1." + token[4:], "rc2." + token[4:],
			token[4:], prefix + token, token + token, token + ".x",
		} {
			refuses(t, s, other)
		}
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	s := mustNew(t, secret(1))
	noise := make([]byte, 300)
	rand.Read(noise)
	id := s.keys[0].id[:]
	cases := map[string]string{
		"nothing":                     "",
		"the prefix alone":            prefix,
		"words":                       "let me delete it",
		"a JSON web token":            "eyJhbGciOiJub25lIn0.eyJraW5kIjoidmVyZGljdCJ9.",
		"noise":                       prefix + encode(noise),
		"the key's id alone":          prefix + encode(id),
		"a kind longer than the rest": prefix + encode(append(bytes.Clone(id), 255)),
		"no room for a nonce":         prefix + encode(append(bytes.Clone(id), 1, 'v', 0, 0)),
		"a nonce and no seal":         prefix + encode(append(append(bytes.Clone(id), 1, 'v'), make([]byte, 24)...)),
		"too long":                    prefix + strings.Repeat("A", maxToken),
		"NUL and invalid UTF-8":       prefix + "\x00\xff",
	}
	for name, token := range cases {
		t.Run(name, func(t *testing.T) { refuses(t, s, token) })
	}
}

func TestAForeignKeyIsRefused(t *testing.T) {
	refuses(t, mustNew(t, secret(1)), mustSeal(t, mustNew(t, secret(2)), "verdict", payload))
}

func TestAnotherKindCannotBePutOnAToken(t *testing.T) {
	s := mustNew(t, secret(1))
	raw, ok := unwrap(mustSeal(t, s, "verdict", payload))
	if !ok {
		t.Fatal("a sealed token does not unwrap")
	}
	refuses(t, s, prefix+encode(bytes.Replace(raw, []byte("verdict"), []byte("approve"), 1)))
}

func TestTokensLiveAsLongAsTheirKeyIsListed(t *testing.T) {
	before := mustNew(t, secret(1))
	during := mustNew(t, secret(2), secret(1))
	after := mustNew(t, secret(2))
	old := mustSeal(t, before, "verdict", payload)
	if _, plain, err := during.Open(old); err != nil || string(plain) != payload {
		t.Errorf("Open of the old key's token = %q, %v", plain, err)
	}
	if _, plain, err := after.Open(mustSeal(t, during, "verdict", payload)); err != nil || string(plain) != payload {
		t.Errorf("the first key did not seal: %q, %v", plain, err)
	}
	refuses(t, after, old)
}

func TestWhatWouldNotFitIsNotSealed(t *testing.T) {
	s := mustNew(t, secret(1))
	noise := make([]byte, maxToken)
	rand.Read(noise)
	for name, plain := range map[string][]byte{
		"a token over 4 KiB":         noise,
		"a payload over 64 KiB":      bytes.Repeat([]byte("a"), maxPlain+1),
		"a payload that hardly fits": noise[:3100],
	} {
		t.Run(name, func(t *testing.T) {
			token, err := s.Seal("verdict", plain)
			if !errors.Is(err, ErrTooLarge) || !errors.Is(err, action.ErrTokenSize) || token != "" {
				t.Errorf("Seal = %d bytes, %v, want ErrTooLarge", len(token), err)
			}
		})
	}
	token, err := s.Seal("verdict", bytes.Repeat([]byte("a"), maxPlain))
	if err != nil {
		t.Fatalf("a payload of exactly 64 KiB that packs well: %v", err)
	}
	if _, plain, err := s.Open(token); err != nil || len(plain) != maxPlain {
		t.Errorf("Open = %d bytes, %v", len(plain), err)
	}
}

func TestAKindMustHaveALength(t *testing.T) {
	s := mustNew(t, secret(1))
	for _, kind := range []string{"", strings.Repeat("k", maxKind+1)} {
		if token, err := s.Seal(kind, []byte(payload)); err == nil || token != "" {
			t.Errorf("Seal(kind of %d bytes) = %q, %v, want an error", len(kind), token, err)
		}
	}
}

func TestABombDoesNotUnpack(t *testing.T) {
	s := mustNew(t, secret(1))
	// Sealed by hand with the right key: what Seal itself refuses to make.
	packed, err := s.pack.deflate(bytes.Repeat([]byte("a"), maxPlain+1))
	if err != nil {
		t.Fatal(err)
	}
	k := s.keys[0]
	refuses(t, s, prefix+encode(k.seal("verdict", make([]byte, k.aead.NonceSize()), packed)))
}

func TestNewRefusesWeakKeys(t *testing.T) {
	for name, keys := range map[string][][]byte{
		"no key":           nil,
		"a short one":      {secret(1)[:31]},
		"a short last one": {secret(1), nil},
	} {
		if s, err := New(keys); err == nil || s != nil {
			t.Errorf("%s: New = %v, %v, want an error", name, s, err)
		}
	}
}

func TestParseKeys(t *testing.T) {
	key := func(n byte) string { return encode(secret(n)) }
	cases := []struct {
		name, text string
		want       [][]byte
		fault      string
	}{
		{name: "one", text: key(1), want: [][]byte{secret(1)}},
		{name: "padded", text: key(1) + "=", want: [][]byte{secret(1)}},
		{name: "commas, lines and blanks", text: " " + key(1) + ",\r\n" + key(2) + "\n\n", want: [][]byte{secret(1), secret(2)}},
		{name: "the standard alphabet", text: strings.Repeat("+/", 22), want: [][]byte{bytes.Repeat([]byte{0xfb, 0xff, 0xbf}, 11)}},
		{name: "the URL alphabet", text: strings.Repeat("-_", 22), want: [][]byte{bytes.Repeat([]byte{0xfb, 0xff, 0xbf}, 11)}},
		{name: "nothing", text: " ,\n", fault: "no token key is given"},
		{name: "every fault at once", text: "hunter2!," + key(1) + "," + key(3)[:20] + "\n" + key(1),
			fault: "token key 1 is not base64\ntoken key 3 is shorter than 32 bytes\ntoken key 4 is the same as key 2"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseKeys(c.text)
			fault := ""
			if err != nil {
				fault = err.Error()
			}
			if fault != c.fault || !cmp.Equal(got, c.want) {
				t.Errorf("ParseKeys = %x, %q, want %x, %q", got, fault, c.want, c.fault)
			}
		})
	}
}

func TestNewKeyIsTakenAndNeverTheSame(t *testing.T) {
	a, b := NewKey(), NewKey()
	keys, err := ParseKeys(a + "," + b)
	if err != nil || len(keys) != 2 || a == b {
		t.Fatalf("ParseKeys(%d keys) = %v", len(keys), err)
	}
	mustNew(t, keys...)
}
