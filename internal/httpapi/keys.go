package httpapi

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"rollcall/api"
)

// maxKeyName bounds a key's name, which stands in every log line and audit entry.
const maxKeyName = 64

// Scopes lists every scope that a key may have.
func Scopes() []string {
	return []string{
		api.ScopeVerify, api.ScopeEvaluate, api.ScopeDelete, api.ScopeTicket,
		api.ScopeApprove, api.ScopeRead, api.ScopeIngest, api.ScopeAdmin,
	}
}

// Keys are the API keys in force. They are never changed, only replaced.
type Keys struct{ list []Key }

// Key is one API key: who holds it, and what it may do. The key itself is not
// kept anywhere, only its digest.
type Key struct {
	Name   string
	Scopes []string
	digest [sha256.Size]byte
}

// Has reports whether the key has one of the scopes.
func (k Key) Has(scopes ...string) bool {
	return slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(k.Scopes, s) })
}

// Digest is what the keys file holds in place of a key: SHA-256 in hex.
func Digest(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// Find returns the key that was presented. It takes the same time whichever
// matches, or none. A nil Keys has none.
func (k *Keys) Find(presented string) (Key, bool) {
	if k == nil {
		return Key{}, false
	}
	sum := sha256.Sum256([]byte(presented))
	at := -1
	for i := range k.list {
		if subtle.ConstantTimeCompare(sum[:], k.list[i].digest[:]) == 1 {
			at = i
		}
	}
	if presented == "" || at < 0 {
		return Key{}, false
	}
	return k.list[at], true
}

// Len is the number of keys.
func (k *Keys) Len() int { return len(k.list) }

// ParseKeys reads a keys file: YAML with one list `keys` of name, sha256 and
// scopes. Whatever it does not know is a fault, and it reports all faults at
// once, by line and without showing a digest: it might be a key, put there by
// mistake.
func ParseKeys(b []byte) (*Keys, error) {
	root, err := oneDocument(b)
	if err != nil {
		return nil, err
	}
	p := &keysParser{seen: map[string]int{}}
	p.root(root)
	if len(p.faults) > 0 {
		return nil, errors.Join(p.faults...)
	}
	return &Keys{list: p.keys}, nil
}

// oneDocument reads the only YAML document in b.
func oneDocument(b []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, errors.New("keys file: it is empty")
	case err != nil:
		return nil, fmt.Errorf("keys file: %w", err)
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("keys file: there is more than one document")
	}
	return doc.Content[0], nil
}

// keysParser walks the file and collects keys and faults.
type keysParser struct {
	keys   []Key
	seen   map[string]int // names and digests, with their line
	faults []error
}

func (p *keysParser) fault(n *yaml.Node, format string, args ...any) {
	p.faults = append(p.faults, fmt.Errorf("keys file: line %d: %s", n.Line, fmt.Sprintf(format, args...)))
}

func (p *keysParser) root(n *yaml.Node) {
	list := p.fields(n, "keys")["keys"]
	if list == nil || list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		p.fault(n, "keys must be a list with at least one key")
		return
	}
	for _, item := range list.Content {
		p.key(item)
	}
}

// fields returns a mapping's values by name; names that are not known, or come
// twice, are faults.
func (p *keysParser) fields(n *yaml.Node, known ...string) map[string]*yaml.Node {
	out := map[string]*yaml.Node{}
	if n.Kind != yaml.MappingNode {
		p.fault(n, "a mapping with %s is needed here", strings.Join(known, ", "))
		return out
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		switch {
		case !slices.Contains(known, name.Value):
			p.fault(name, "%q is not known here", name.Value)
		case out[name.Value] != nil:
			p.fault(name, "%q comes twice", name.Value)
		default:
			out[name.Value] = value
		}
	}
	return out
}

func (p *keysParser) key(n *yaml.Node) {
	f := p.fields(n, "name", "sha256", "scopes")
	if n.Kind != yaml.MappingNode {
		return
	}
	k := Key{Name: p.name(n, f["name"]), Scopes: p.scopes(n, f["scopes"])}
	k.digest = p.digest(n, f["sha256"])
	p.keys = append(p.keys, k)
}

func (p *keysParser) name(at, n *yaml.Node) string {
	switch {
	case n == nil || n.Kind != yaml.ScalarNode || strings.TrimSpace(n.Value) == "":
		p.fault(at, "name is needed")
		return ""
	case utf8.RuneCountInString(n.Value) > maxKeyName || strings.ContainsFunc(n.Value, unicode.IsControl):
		p.fault(n, "name must have at most %d characters, and no control characters", maxKeyName)
		return ""
	}
	p.once(n, "name "+n.Value, "the name")
	return n.Value
}

func (p *keysParser) digest(at, n *yaml.Node) (sum [sha256.Size]byte) {
	if n == nil {
		p.fault(at, "sha256 is needed")
		return sum
	}
	b, err := hex.DecodeString(n.Value)
	if err != nil || len(b) != sha256.Size {
		p.fault(n, "sha256 must be the key's SHA-256, 64 hex digits")
		return sum
	}
	p.once(n, "digest "+string(b), "the sha256")
	return [sha256.Size]byte(b)
}

func (p *keysParser) scopes(at, n *yaml.Node) []string {
	if n == nil || n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		p.fault(at, "scopes must be a list with at least one scope")
		return nil
	}
	var out []string
	for _, s := range n.Content {
		if !slices.Contains(Scopes(), s.Value) {
			p.fault(s, "scope %q is not one of %s", s.Value, strings.Join(Scopes(), ", "))
			continue
		}
		out = append(out, s.Value)
	}
	return out
}

// once makes the second of two equal names or digests a fault.
func (p *keysParser) once(n *yaml.Node, id, what string) {
	if line, twice := p.seen[id]; twice {
		p.fault(n, "%s is the same as on line %d", what, line)
		return
	}
	p.seen[id] = n.Line
}
