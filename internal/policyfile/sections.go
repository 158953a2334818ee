package policyfile

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"rollcall/internal/policy"
	"rollcall/internal/record"
)

// minInactiveDays is the least that a device must have been silent. Holidays
// and sick leave are longer than anything below.
const minInactiveDays = 14

// file reads the whole file; root is nil where there is nothing in it.
func (c *checker) file(root *yaml.Node) {
	p := &c.params
	if root == nil {
		root = &yaml.Node{Kind: yaml.MappingNode, Line: 1}
	}
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		root = &yaml.Node{Kind: yaml.MappingNode, Line: root.Line}
	}
	hadOUs := false
	c.mapping(at{root, ""}, map[string]func(at){
		"inactiveDays": c.inactiveDays,
		"disabledOUs": func(v at) {
			hadOUs = true
			c.disabledOUs(v)
		},
		"domains":     c.domains,
		"graceDays":   c.intInto(&p.GraceDays, 0, maxDays),
		"eventMaxAge": c.durationInto(&p.EventMaxAge, false),
		"vip":         c.vip,
		"exclusions":  c.exclusions,
		"manual":      c.manual,
		"limits":      c.limits,
		"window":      c.window,
		"canary":      c.canary,
		"evidenceTTL": c.durationInto(&p.EvidenceTTL, false),
		"verdictTTL":  c.durationInto(&p.VerdictTTL, false),
		"approvalTTL": c.durationInto(&p.ApprovalTTL, false),
		"keepDays":    c.intInto(&p.KeepDays, 1, maxDays),
		"failures":    c.failures,
		"require":     c.require,
		"liveTenants": c.liveTenants,
		"approvals": func(v at) {
			c.mapping(v, map[string]func(at){"separateKeys": c.boolInto(&p.SeparateKeys)})
		},
		"protectedGroups": c.groups(&p.ProtectedGroups),
	})
	c.related()
	if !hadOUs && root.Kind == yaml.MappingNode && !has(root, "disabledOUs") {
		c.fault(at{root, "disabledOUs"}, "is required")
	}
}

// has reports whether a mapping has the key, whatever its value.
func has(mapping *yaml.Node, key string) bool {
	for i := 0; i < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return true
		}
	}
	return false
}

func (c *checker) inactiveDays(v at) {
	d := &c.params.InactiveDays
	c.mapping(v, map[string]func(at){
		"computer": c.intInto(&d.Computer, minInactiveDays, maxDays),
		"server":   c.intInto(&d.Server, minInactiveDays, maxDays),
	})
}

// disabledOUs refuses a whole domain: every device of it would be in scope.
func (c *checker) disabledOUs(v at) {
	c.list(v, func(item at) {
		dn, ok := c.wholeDN(item, "OU=Disabled,DC=corp,DC=example,DC=test")
		if ok && !slices.ContainsFunc(dn, belowDomain) {
			c.fault(item, "must name an OU, not a whole domain")
			return
		}
		if ok {
			c.params.DisabledOUs = append(c.params.DisabledOUs, dn)
		}
	})
	if v.node.Kind == yaml.SequenceNode && len(v.node.Content) == 0 {
		c.fault(v, "is required: name at least one OU")
	}
}

// belowDomain reports an RDN that is no part of a domain's name.
func belowDomain(rdn []string) bool {
	return slices.ContainsFunc(rdn, func(part string) bool { return !strings.HasPrefix(part, "dc=") })
}

var (
	netbiosName   = regexp.MustCompile(`^[^\s.\\/:*?"<>|]{1,15}$`)
	dnsDomainName = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

func (c *checker) domains(v at) {
	c.params.Domains = map[string]string{}
	c.pairs(v, func(key string, keyAt, value at) {
		name := strings.ToUpper(key)
		if !netbiosName.MatchString(name) {
			c.fault(keyAt, "is not a NetBIOS name: 1 to 15 characters without a dot")
			return
		}
		if _, twice := c.params.Domains[name]; twice {
			c.fault(keyAt, "is given twice; case makes no difference")
			return
		}
		if !c.given(value) {
			return
		}
		s, ok := c.text(value)
		if !ok {
			return
		}
		s = strings.ToLower(strings.TrimSuffix(s, "."))
		if len(s) > 253 || !dnsDomainName.MatchString(s) {
			c.fault(value, "must be a DNS domain such as corp.example.test")
			return
		}
		c.params.Domains[name] = s
	})
}

func (c *checker) vip(v at) {
	p := &c.params.VIP
	c.mapping(v, map[string]func(at){
		"groups":    c.groups(&p.Groups),
		"users":     c.persons,
		"hostnames": c.hostGlobs(&p.Hostnames),
	})
}

func (c *checker) exclusions(v at) {
	ids := map[string]int{}
	c.list(v, func(item at) {
		x, ok := c.exclusion(item)
		if !ok {
			return
		}
		if line, twice := ids[x.ID]; twice && x.ID != "" {
			c.fault(at{item.node, item.path + ".id"}, "is another entry's on line %d", line)
			return
		}
		ids[x.ID] = item.node.Line
		c.params.Exclusions = append(c.params.Exclusions, x)
	})
}

// exclusion reads one entry; ok is false where it is no mapping.
func (c *checker) exclusion(v at) (policy.Exclusion, bool) {
	var x policy.Exclusion
	c.mapping(v, map[string]func(at){
		"id":            c.textInto(&x.ID),
		"hostnames":     c.hostGlobs(&x.Hostnames),
		"endpointIds":   c.endpointIDs(&x.EndpointIDs),
		"ous":           c.ous(&x.OUs),
		"centralGroups": c.groupGlobs(&x.CentralGroups),
		"reason":        c.textInto(&x.Reason),
		"owner":         c.textInto(&x.Owner),
		"expires":       c.expires(&x.Expires),
	})
	if v.node.Kind != yaml.MappingNode {
		return x, false
	}
	for _, key := range []string{"id", "reason", "owner"} {
		if !has(v.node, key) {
			c.fault(at{v.node, join(v.path, key)}, "is required")
		}
	}
	if !matchesAnything(v.node) {
		c.fault(v, "needs one of hostnames, endpointIds, ous, centralGroups")
	}
	return x, true
}

// matchesAnything reports whether one of the lists has an entry, right or wrong.
func matchesAnything(mapping *yaml.Node) bool {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		switch mapping.Content[i].Value {
		case "hostnames", "endpointIds", "ous", "centralGroups":
			if value := mapping.Content[i+1]; value.Kind != yaml.SequenceNode || len(value.Content) > 0 {
				return true
			}
		}
	}
	return false
}

// textInto returns a reader that stores text.
func (c *checker) textInto(dst *string) func(at) {
	return func(v at) {
		if s, ok := c.text(v); ok {
			*dst = s
		}
	}
}

// expires returns a reader that stores the first instant after the given day.
func (c *checker) expires(dst *time.Time) func(at) {
	return func(v at) {
		day, err := time.Parse(time.DateOnly, v.node.Value)
		if v.node.Kind != yaml.ScalarNode || err != nil {
			c.fault(v, "must be a day such as 2027-01-31")
			return
		}
		*dst = day.AddDate(0, 0, 1)
	}
}

func (c *checker) manual(v at) {
	m := &c.params.Manual
	c.mapping(v, map[string]func(at){
		"servers":       c.boolInto(&m.Servers),
		"macOS":         c.boolInto(&m.MacOS),
		"linux":         c.boolInto(&m.Linux),
		"unknownOwner":  c.boolInto(&m.UnknownOwner),
		"unknownDomain": c.boolInto(&m.UnknownDomain),
	})
}

func (c *checker) limits(v at) {
	l := &c.params.Limits
	c.mapping(v, map[string]func(at){
		"perDay":        c.perDay,
		"cleanDays":     c.intInto(&l.CleanDays, 1, maxDays),
		"percentPerDay": c.percentPerDay,
		"spacing":       c.durationInto(&l.Spacing, true),
	})
}

// maxPerDay bounds the ramp; beyond it nobody looks at what is deleted.
const maxPerDay = 1_000_000

func (c *checker) perDay(v at) {
	var ramp []int
	c.list(v, func(item at) {
		n, ok := c.whole(item, 0, maxPerDay)
		if ok && len(ramp) > 0 && n < ramp[len(ramp)-1] {
			c.fault(item, "is less than the level before it; the ramp only climbs")
		}
		if ok {
			ramp = append(ramp, n)
		}
	})
	if v.node.Kind == yaml.SequenceNode && len(v.node.Content) == 0 {
		c.fault(v, "has no level; [0] means no deletes")
	}
	c.params.Limits.PerDay = ramp
}

var decimal = regexp.MustCompile(`^\d{1,3}(\.\d{1,9})?$`)

func (c *checker) percentPerDay(v at) {
	n, err := strconv.ParseFloat(v.node.Value, 64)
	plain := v.node.Tag == "!!int" || v.node.Tag == "!!float"
	if v.node.Kind != yaml.ScalarNode || !plain || err != nil || !decimal.MatchString(v.node.Value) || n > 100 {
		c.fault(v, "must be a number from 0 to 100")
		return
	}
	c.params.Limits.PercentPerDay = n
}

func (c *checker) canary(v at) {
	c.mapping(v, map[string]func(at){"newestWithin": c.durationInto(&c.params.NewestWithin, false)})
}

func (c *checker) failures(v at) {
	f := &c.params.Failures
	c.mapping(v, map[string]func(at){
		"manualAfter": c.intInto(&f.ManualAfter, 1, maxPerDay),
		"apart":       c.durationInto(&f.Apart, true),
	})
}

func (c *checker) require(v at) {
	words := []string{"observedAt", "enabled", "disabledAt", "memberOf", "owner"}
	c.list(v, func(item at) {
		if s, ok := c.oneOf(item, words, c.params.Require); ok {
			c.params.Require = append(c.params.Require, s)
		}
	})
}

// liveTenants reads the word all, or a list; an empty list is none.
func (c *checker) liveTenants(v at) {
	if v.node.Kind == yaml.ScalarNode && v.node.Value == "all" {
		c.params.LiveTenants = nil
		return
	}
	c.params.LiveTenants = []string{}
	c.list(v, func(item at) {
		s, ok := c.text(item)
		if !ok {
			return
		}
		id, ok := record.ID(s)
		if !ok {
			c.fault(item, "must be a tenant's id, a UUID")
			return
		}
		c.params.LiveTenants = append(c.params.LiveTenants, id)
	})
}
