package policyfile

import (
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"rollcall/internal/policy"
)

// window reads when deletes may happen. All four keys are needed: a window that
// is only half said would be open at times that nobody chose.
func (c *checker) window(v at) {
	w := &policy.Window{From: -1, To: -1}
	c.mapping(v, map[string]func(at){
		"timezone": c.timezone(&w.Location),
		"days":     c.days(&w.Days),
		"from":     c.clock(&w.From, 24*60-1),
		"to":       c.clock(&w.To, 24*60),
	})
	if v.node.Kind != yaml.MappingNode {
		return
	}
	for _, key := range []string{"timezone", "days", "from", "to"} {
		if !has(v.node, key) {
			c.fault(at{v.node, join(v.path, key)}, "is required")
		}
	}
	if w.From >= 0 && w.To >= 0 && w.From >= w.To {
		c.fault(v, "from must be before to; a window can't reach over midnight")
	}
	c.params.Window = w
}

// timezone returns a reader that stores an IANA zone. "Local" is refused: it
// would mean another time on every machine.
func (c *checker) timezone(dst **time.Location) func(at) {
	return func(v at) {
		s, ok := c.text(v)
		if !ok {
			return
		}
		loc, err := time.LoadLocation(s)
		if err != nil || s == "Local" {
			c.fault(v, "must be an IANA time zone such as Europe/London")
			return
		}
		*dst = loc
	}
}

// days returns a reader that stores days of the week.
func (c *checker) days(dst *[7]bool) func(at) {
	words := []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"} // as time.Weekday counts
	return func(v at) {
		var had []string
		c.list(v, func(item at) {
			if s, ok := c.oneOf(item, words, had); ok {
				had = append(had, s)
				dst[slices.Index(words, s)] = true
			}
		})
		if v.node.Kind == yaml.SequenceNode && len(had) == 0 {
			c.fault(v, "must name at least one day")
		}
	}
}

// clock returns a reader that stores a time of day, HH:MM up to latest, in
// minutes since midnight.
func (c *checker) clock(dst *int, latest int) func(at) {
	return func(v at) {
		s := v.node.Value
		if v.node.Kind == yaml.ScalarNode && v.node.Tag == "!!str" && len(s) == 5 && s[2] == ':' {
			h, errH := strconv.ParseUint(s[:2], 10, 8)
			m, errM := strconv.ParseUint(s[3:], 10, 8)
			if n := int(h)*60 + int(m); errH == nil && errM == nil && m < 60 && n <= latest {
				*dst = n
				return
			}
		}
		c.fault(v, `must be a time of day in quotes, such as "09:00"`)
	}
}
