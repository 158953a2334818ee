package record

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/text/unicode/norm"

	"rollcall/internal/policy"
)

// maxDN is how many characters a distinguished name may have.
const maxDN = 2048

// ParseDN reads a distinguished name as AD writes it (RFC 4514): types in
// lower case, values without their escapes and in their own case. It is stricter
// than the RFC where two readings are possible: a bare semicolon, a value in
// BER, a value that is empty or holds control characters (also escaped ones, as
// AD writes into the names of conflicting and deleted objects) are errors.
func ParseDN(s string) (policy.DN, error) {
	if err := checkDN(s); err != nil {
		return nil, err
	}
	parsed, err := ldap.ParseDN(norm.NFC.String(s))
	if err != nil {
		return nil, fmt.Errorf("not a distinguished name: %w", err)
	}
	dn := make(policy.DN, 0, len(parsed.RDNs))
	parts := make([]string, 0, len(parsed.RDNs)) // all RDNs' parts in one piece: nearly every RDN has one
	for _, r := range parsed.RDNs {
		begin := len(parts)
		for _, a := range r.Attributes {
			if !attributeType(a.Type) {
				return nil, fmt.Errorf("not a distinguished name: %q is no attribute type as AD writes it, such as CN", a.Type)
			}
			if strings.TrimSpace(a.Value) == "" || !clean(a.Value) {
				return nil, fmt.Errorf("not a distinguished name: the value of %s is empty or holds control characters", a.Type)
			}
			if why := Damage(a.Value); why != "" { // also behind an escape
				return nil, fmt.Errorf("not a distinguished name: in the value of %s, %s", a.Type, why)
			}
			parts = append(parts, strings.ToLower(a.Type)+"="+a.Value)
		}
		dn = append(dn, parts[begin:len(parts):len(parts)])
	}
	return dn, nil
}

// checkDN refuses what the library would take but this package won't.
func checkDN(s string) error {
	switch {
	case strings.TrimSpace(s) == "":
		return errors.New("a distinguished name is empty")
	case tooLong(s, maxDN):
		return fmt.Errorf("a distinguished name is longer than %d characters", maxDN)
	case !clean(s):
		return errors.New("a distinguished name holds control characters")
	}
	return checkSigns(s)
}

// checkSigns looks for signs that have a second reading: a semicolon that is not
// escaped, and a value that begins with #, which would be BER in hexadecimal.
func checkSigns(s string) error {
	const inType, atValue, inValue = 0, 1, 2 // atValue: only blanks since the equals sign
	place := inType
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ';':
			return errors.New("a distinguished name holds a semicolon that is not escaped")
		case c == '#' && place == atValue:
			return errors.New("a distinguished name holds a value in BER")
		case c == ',' || c == '+':
			place = inType
		case c == '=' && place == inType:
			place = atValue
		case c != ' ' && place == atValue:
			place = inValue
		}
		if s[i] == '\\' {
			i++ // what is escaped has one reading
		}
	}
	return nil
}

// attributeType reports a name: a letter, then letters, digits and hyphens. AD writes
// no type as an OID; a name with one would match no rule that protects.
func attributeType(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20 // lower case
		letter := c >= 'a' && c <= 'z'
		other := s[i] == '-' || (s[i] >= '0' && s[i] <= '9')
		if !letter && (i == 0 || !other) {
			return false
		}
	}
	return s != ""
}

// joined reports a DN in which something follows the domain's components: two
// or more DNs that an export put into one string, which would match no group.
func joined(dn policy.DN) bool {
	domain := false
	for _, rdn := range dn {
		label, dc := strings.CutPrefix(rdn[0], "dc=")
		if domain && !dc || dc && strings.ContainsAny(label, "|;,= \t") {
			return true
		}
		domain = dc
	}
	return false
}
