package seal

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
)

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// FuzzOpen alters real tokens: none but those sealed may open, and they only
// as what they were.
func FuzzOpen(f *testing.F) {
	s := mustNew(f, secret(1), secret(2))
	sealed := map[string]string{}
	for i, kind := range []string{"evidence", "verdict", "approval"} {
		plain := strings.Repeat(payload, 7*i)
		for j, k := range s.keys {
			token := fixed(f, s, k, byte(2*i+j), kind, plain)
			sealed[token] = kind + " " + plain
			f.Add(token)
			f.Add(token[:len(token)-1])
		}
	}
	f.Add(prefix)
	f.Fuzz(func(t *testing.T, token string) {
		kind, plain, err := s.Open(token)
		want, ours := sealed[token]
		switch {
		case err != nil && ours:
			t.Fatalf("a sealed token did not open: %v", err)
		case err != nil && (kind != "" || plain != nil):
			t.Fatalf("a value beside the error: %q, %q", kind, plain)
		case err == nil && (!ours || kind+" "+string(plain) != want):
			t.Fatalf("Open(%q) = %q, %q: never sealed so", token, kind, plain)
		}
	})
}

// fixed seals under a known nonce: the processes that share the fuzzing must
// all make the same tokens.
func fixed(tb testing.TB, s *Sealer, k key, n byte, kind, plain string) string {
	tb.Helper()
	packed, err := s.pack.deflate([]byte(plain))
	if err != nil {
		tb.Fatal(err)
	}
	return prefix + encode(k.seal(kind, bytes.Repeat([]byte{n}, k.aead.NonceSize()), packed))
}

func BenchmarkSeal(b *testing.B) {
	s := mustNew(b, secret(1))
	plain := bytes.Repeat([]byte(payload), 12)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Seal("verdict", plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	s := mustNew(b, secret(1))
	token := mustSeal(b, s, "verdict", strings.Repeat(payload, 12))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Open(token); err != nil {
			b.Fatal(err)
		}
	}
}
