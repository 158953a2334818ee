package policyfile

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"rollcall/internal/policy"
)

// maxDays bounds every number of days: ten years. A number of days beyond what
// a duration holds would wrap around and make everything old.
const maxDays = 3650

// checker collects the parameters and, beside them, all faults.
type checker struct {
	params policy.Params
	faults Faults
	logins []at    // of vip.users
	places []place // OUs of exclusions
}

// at is a value of the file and the path that leads to it.
type at struct {
	node *yaml.Node
	path string
}

func (c *checker) fault(v at, format string, args ...any) {
	c.faults = append(c.faults, Fault{Line: v.node.Line, Path: v.path, Problem: fmt.Sprintf(format, args...)})
}

// given reports whether there is a value to read. Aliases are refused since what
// stands in a rule should stand there, and a key without a value since it may
// have been meant either way.
func (c *checker) given(v at) bool {
	switch {
	case v.node.Kind == yaml.AliasNode:
		c.fault(v, "aliases are not taken; write the value out")
	case v.node.Kind == yaml.ScalarNode && v.node.Tag == "!!null":
		c.fault(v, "has no value; leave the key out for the default")
	default:
		return true
	}
	return false
}

// mapping calls the reader of each key. Keys without a reader are faults, as
// are keys that stand twice.
func (c *checker) mapping(v at, known map[string]func(at)) {
	c.pairs(v, func(key string, keyAt, value at) {
		read, ok := known[key]
		if !ok {
			c.fault(keyAt, "is not a key of a policy")
			return
		}
		if c.given(value) {
			read(value)
		}
	})
}

// pairs calls each for every key of a mapping that stands there for the first time.
func (c *checker) pairs(v at, each func(key string, keyAt, value at)) {
	if v.node.Kind != yaml.MappingNode {
		c.fault(v, "must be a mapping of keys to values")
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		k := v.node.Content[i]
		where := at{k, join(v.path, k.Value)}
		if k.Kind != yaml.ScalarNode {
			c.fault(at{k, v.path}, "a key must be text")
			continue
		}
		if line, twice := seen[k.Value]; twice {
			c.fault(where, "is given twice, first on line %d", line)
			continue
		}
		seen[k.Value] = k.Line
		each(k.Value, where, at{v.node.Content[i+1], where.path})
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// list calls each for every value of a list.
func (c *checker) list(v at, each func(at)) {
	if v.node.Kind != yaml.SequenceNode {
		c.fault(v, "must be a list")
		return
	}
	for i, n := range v.node.Content {
		item := at{n, fmt.Sprintf("%s[%d]", v.path, i)}
		if c.given(item) {
			each(item)
		}
	}
}

// text reads text that is not blank, without the blanks around it.
func (c *checker) text(v at) (string, bool) {
	s := strings.TrimSpace(v.node.Value)
	switch {
	case v.node.Kind != yaml.ScalarNode || v.node.Tag != "!!str":
		c.fault(v, "must be text; put it in quotes")
	case s == "":
		c.fault(v, "is empty")
	case strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || (r >= 0x7f && r < 0xa0) }):
		c.fault(v, "holds control characters")
	default:
		return s, true
	}
	return "", false
}

// whole reads a whole number from low to high, in plain decimal digits.
func (c *checker) whole(v at, low, high int) (int, bool) {
	n, err := strconv.Atoi(v.node.Value)
	switch {
	case v.node.Kind != yaml.ScalarNode || v.node.Tag != "!!int" || err != nil || strconv.Itoa(n) != v.node.Value:
		c.fault(v, "must be a whole number")
	case n < low:
		c.fault(v, "must be a whole number of %d or more", low)
	case n > high:
		c.fault(v, "must be a whole number of %d or less", high)
	default:
		return n, true
	}
	return 0, false
}

// intInto returns a reader that stores a whole number.
func (c *checker) intInto(dst *int, low, high int) func(at) {
	return func(v at) {
		if n, ok := c.whole(v, low, high); ok {
			*dst = n
		}
	}
}

// boolInto returns a reader that stores true or false.
func (c *checker) boolInto(dst *bool) func(at) {
	return func(v at) {
		b, err := strconv.ParseBool(strings.ToLower(v.node.Value))
		if v.node.Kind != yaml.ScalarNode || v.node.Tag != "!!bool" || err != nil {
			c.fault(v, "must be true or false")
			return
		}
		*dst = b
	}
}

// durationInto returns a reader that stores a duration such as 24h or 1m30s,
// above zero or, with orZero, also zero.
func (c *checker) durationInto(dst *time.Duration, orZero bool) func(at) {
	return func(v at) {
		d, err := time.ParseDuration(v.node.Value)
		switch {
		case v.node.Kind != yaml.ScalarNode || v.node.Tag != "!!str" || err != nil:
			c.fault(v, "must be a time such as 90s, 10m or 24h")
		case d < 0:
			c.fault(v, "must be a time that is not negative")
		case d == 0 && !orZero:
			c.fault(v, "must be a time above zero")
		default:
			*dst = d
		}
	}
}

// globs reads globs, in lower case; wrong says why one can't match, empty = it can.
func (c *checker) globs(dst *[]string, wrong func(glob string) string) func(at) {
	return func(v at) {
		c.list(v, func(item at) {
			s, ok := c.text(item)
			if !ok {
				return
			}
			if why := wrong(strings.ToLower(s)); why != "" {
				c.fault(item, "%s", why)
				return
			}
			s = policy.Loose(s)
			if _, err := path.Match(s, ""); err != nil {
				c.fault(item, "is no glob: a bracket or backslash is left open")
				return
			}
			*dst = append(*dst, s)
		})
	}
}

// oneOf reads one of a few words, each once.
func (c *checker) oneOf(v at, words, had []string) (string, bool) {
	s, ok := c.text(v)
	switch {
	case !ok:
		return "", false
	case !slices.Contains(words, s):
		c.fault(v, "must be one of %s", strings.Join(words, ", "))
		return "", false
	case slices.Contains(had, s):
		c.fault(v, "%s stands there twice", s)
		return "", false
	}
	return s, true
}
