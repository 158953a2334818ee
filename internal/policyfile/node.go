package policyfile

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"rollcall/internal/policy"
	"rollcall/internal/record"
)

// reader collects the policy and its faults.
type reader struct {
	p      policy.Params
	faults Faults
}

// fault notes what is wrong with a node.
func (r *reader) fault(n *yaml.Node, at, problem string) {
	r.faults = append(r.faults, Fault{n.Line, at, problem})
}

// keys says which reader takes the value of which key.
type keys map[string]func(n *yaml.Node, at string)

// mapping hands each value of a mapping to its reader; unknown keys and keys
// given twice are faults. It returns the keys that were there.
func (r *reader) mapping(n *yaml.Node, at string, k keys) map[string]bool {
	seen := map[string]bool{}
	if n.Kind != yaml.MappingNode {
		r.fault(n, at, "must be a mapping")
		return seen
	}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name := strings.TrimPrefix(at+"."+key.Value, ".")
		read, ok := k[key.Value]
		switch {
		case !ok:
			r.fault(key, name, "is not a key of a policy")
		case seen[key.Value]:
			r.fault(key, name, "is given twice")
		case value.Kind == yaml.AliasNode:
			r.fault(value, name, "is an alias; write the value out")
		default:
			read(value, name)
		}
		seen[key.Value] = true
	}
	return seen
}

// list hands each item of a sequence to read.
func (r *reader) list(n *yaml.Node, at string, read func(n *yaml.Node, at string)) {
	if n.Kind != yaml.SequenceNode {
		r.fault(n, at, "must be a list")
		return
	}
	for i, item := range n.Content {
		read(item, fmt.Sprintf("%s[%d]", at, i))
	}
}

// text reads a scalar that is not empty.
func (r *reader) text(n *yaml.Node, at string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || strings.TrimSpace(n.Value) == "" {
		r.fault(n, at, "must be a text that is not empty")
		return "", false
	}
	return strings.TrimSpace(n.Value), true
}

// str returns a reader that stores a text.
func (r *reader) str(to *string) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) { *to, _ = r.text(n, at) }
}

// integer returns a reader of a whole number of at least low.
func (r *reader) integer(to *int, low int, why string) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) {
		v, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil || v < low {
			r.fault(n, at, fmt.Sprintf("must be a whole number of %d or more%s", low, why))
			return
		}
		*to = v
	}
}

// yes returns a reader of true or false.
func (r *reader) yes(to *bool) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) {
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Decode(to) != nil {
			r.fault(n, at, "must be true or false")
		}
	}
}

// duration returns a reader of a Go duration of at least low.
func (r *reader) duration(to *time.Duration, low time.Duration) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) {
		d, err := time.ParseDuration(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || d < low {
			r.fault(n, at, fmt.Sprintf("must be a time like 90s, 10m or 24h, of %s or more", low))
			return
		}
		*to = d
	}
}

// dn reads a distinguished name.
func (r *reader) dn(n *yaml.Node, at string) (policy.DN, bool) {
	s, ok := r.text(n, at)
	if !ok {
		return nil, false
	}
	d, err := record.ParseDN(s)
	if err != nil {
		r.fault(n, at, "must be a distinguished name like OU=Disabled,DC=example,DC=test")
	}
	return d, err == nil
}

// dns returns a reader of a list of DNs.
func (r *reader) dns(to *[]policy.DN) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) {
		r.list(n, at, func(n *yaml.Node, at string) {
			if d, ok := r.dn(n, at); ok {
				*to = append(*to, d)
			}
		})
	}
}

// globs returns a reader of a list of patterns, folded to lower case.
func (r *reader) globs(to *[]string) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) {
		r.list(n, at, func(n *yaml.Node, at string) {
			s, ok := r.text(n, at)
			if _, err := path.Match(s, ""); ok && err != nil {
				r.fault(n, at, "is not a pattern: * stands for any text, ? for one character")
				return
			}
			if ok {
				*to = append(*to, strings.ToLower(s))
			}
		})
	}
}

// netbios is the shape of a NetBIOS domain name.
var netbios = regexp.MustCompile(`^[A-Za-z0-9!@#$%^&()_'{}~-]{1,15}$`)

// dnsName is the shape of a DNS domain name of two labels or more.
var dnsName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})+$`)

// domains reads the map of NetBIOS names.
func (r *reader) domains(n *yaml.Node, at string) {
	if n.Kind != yaml.MappingNode {
		r.fault(n, at, "must be a mapping of NetBIOS names to DNS domains")
		return
	}
	r.p.Domains = map[string]string{}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name := strings.ToUpper(key.Value)
		switch {
		case !netbios.MatchString(key.Value):
			r.fault(key, at+"."+key.Value, "is not a NetBIOS name: 1 to 15 characters, no dots")
		case value.Kind != yaml.ScalarNode || !dnsName.MatchString(value.Value):
			r.fault(value, at+"."+key.Value, "must be a DNS domain like corp.example.test")
		case r.p.Domains[name] != "":
			r.fault(key, at+"."+key.Value, "is given twice")
		default:
			r.p.Domains[name] = strings.ToLower(value.Value)
		}
	}
}
