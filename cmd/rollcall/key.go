package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"rollcall/internal/httpapi"
)

var keyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// keyCmd groups what is done with API keys.
type keyCmd struct {
	New keyNewCmd `cmd:"" help:"Make an API key: prints it once, and the entry for the keys file. The file holds only its digest."`
}

type keyNewCmd struct {
	Name   string   `required:"" placeholder:"NAME" help:"Whose key it is: letters, digits, dot, dash, underscore; stands in every audit line."`
	Scopes []string `required:"" placeholder:"A,B" help:"What it may do: verify, evaluate, delete, ticket, approve, read, ingest, admin. None implies another."`
}

// Run makes the key. It is nowhere stored.
func (c *keyNewCmd) Run(p *process) error {
	if !keyName.MatchString(c.Name) {
		return usagef("--name must be 1 to 64 letters, digits, dots, dashes or underscores")
	}
	for _, scope := range c.Scopes {
		if !slices.Contains(httpapi.Scopes(), scope) {
			return usagef("no such scope: %q (there are %s)", scope, strings.Join(httpapi.Scopes(), ", "))
		}
	}
	key := newAPIKey()
	_, err := fmt.Fprintf(p.stdout, "key, shown only now: %s\nentry for the keys file, below \"keys:\":\n%s", key, keyEntry(c.Name, key, c.Scopes))
	return err
}

// newAPIKey returns 32 random bytes behind a prefix that secret scanners can
// be told of.
func newAPIKey() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails: it ends the process instead
	return "rollcall_" + base64.RawURLEncoding.EncodeToString(b)
}

// keyEntry is one line of the keys file, line end included.
func keyEntry(name, key string, scopes []string) string {
	return fmt.Sprintf("  - {name: %s, sha256: %s, scopes: [%s]}\n", name, httpapi.Digest(key), strings.Join(scopes, ", "))
}
