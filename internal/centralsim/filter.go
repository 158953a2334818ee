package centralsim

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// filter says whether a record is wanted.
type filter func(map[string]any) bool

// filters reads all filters of a query; false where one can't be read. Unknown
// parameters are ignored, and so are the suspended ones: groupIds,
// assignedToGroup and groupNameContains.
func (s *Sim) filters(q url.Values) (filter, bool) {
	var all []filter
	readable := true
	add := func(f filter, fine bool) {
		if readable = readable && fine; f != nil {
			all = append(all, f)
		}
	}
	add(s.contains(q, "hostnameContains", "hostname"))
	add(s.contains(q, "associatedPersonContains", "associatedPerson", "name"))
	add(s.contains(q, "serialNumberContains", "serialNumber"))
	add(search(q))
	add(ids(q))
	add(oneOf(q, "healthStatus", []string{"good", "suspicious", "bad", "unknown"}, "health", "overall"))
	add(oneOf(q, "type", []string{"computer", "server", "securityVm"}, "type"))
	add(oneOf(q, "isolationStatus", []string{"isolated", "notIsolated"}, "isolation", "status"))
	add(oneOf(q, "lockdownStatus", nil, "lockdown", "status"))
	add(oneOf(q, "overallEncryptionStatus", nil, "encryption", "overallStatus"))
	for _, name := range []string{"online", "tamperProtectionEnabled", "tamperProtectionSupported"} {
		add(flag(q, name))
	}
	for _, field := range []string{"lastSeenAt", "lastOsUpdateAt", "lastAgentUpdateAt"} {
		add(s.bound(q, strings.TrimSuffix(field, "At")+"Before", field, func(t, limit time.Time) bool { return t.Before(limit) }))
		add(s.bound(q, strings.TrimSuffix(field, "At")+"After", field, func(t, limit time.Time) bool { return !t.Before(limit) }))
	}
	add(anyOf(q, "ipAddresses", func(v string) string { return v }, "ipv4Addresses", "ipv6Addresses"))
	add(anyOf(q, "macAddresses", bareMAC, "macAddresses"))
	return func(r map[string]any) bool {
		return !slices.ContainsFunc(all, func(f filter) bool { return !f(r) })
	}, readable
}

// contains is a case-blind substring filter, which used to look at the first ten
// characters of its value only.
func (s *Sim) contains(q url.Values, name string, path ...string) (filter, bool) {
	want := []rune(strings.ToLower(q.Get(name)))
	if len(want) == 0 {
		return nil, true
	}
	if s.switches.TenCharacters && len(want) > 10 {
		want = want[:10]
	}
	return func(r map[string]any) bool {
		return strings.Contains(strings.ToLower(text(at(r, path...))), string(want))
	}, true
}

// search looks for a text in the search fields, by default in all.
func search(q url.Values) (filter, bool) {
	want := strings.ToLower(q.Get("search"))
	if want == "" {
		return nil, true
	}
	fields := lists(q, "searchFields")
	in := func(name string) bool { return len(fields) == 0 || slices.Contains(fields, name) }
	return func(r map[string]any) bool {
		var hay []string
		if in("hostname") {
			hay = append(hay, text(r["hostname"]))
		}
		if in("associatedPersonName") {
			hay = append(hay, text(at(r, "associatedPerson", "name")))
		}
		if in("osName") {
			hay = append(hay, text(at(r, "os", "name")))
		}
		if in("ipAddresses") {
			hay = append(append(hay, texts(r["ipv4Addresses"])...), texts(r["ipv6Addresses"])...)
		}
		return slices.ContainsFunc(hay, func(h string) bool { return strings.Contains(strings.ToLower(h), want) })
	}, true
}

// ids wants certain ids; what is no UUID can't be read.
func ids(q url.Values) (filter, bool) {
	want := lists(q, "ids")
	if len(want) == 0 {
		return nil, true
	}
	for _, id := range want {
		if uuid.Validate(id) != nil {
			return nil, false
		}
	}
	return func(r map[string]any) bool {
		return slices.ContainsFunc(want, func(id string) bool { return strings.EqualFold(id, text(r["id"])) })
	}, true
}

// oneOf wants one of the listed values; known limits what may be listed.
func oneOf(q url.Values, name string, known []string, path ...string) (filter, bool) {
	want := lists(q, name)
	if len(want) == 0 {
		return nil, true
	}
	if known != nil && slices.ContainsFunc(want, func(v string) bool { return !slices.Contains(known, v) }) {
		return nil, false
	}
	return func(r map[string]any) bool { return slices.Contains(want, text(at(r, path...))) }, true
}

// flag wants a boolean to be so.
func flag(q url.Values, name string) (filter, bool) {
	v, fine := boolean(q, name)
	if v == "" || !fine {
		return nil, fine
	}
	return func(r map[string]any) bool {
		b, isBool := r[name].(bool)
		return isBool && b == (v == "true")
	}, true
}

// anyOf wants one of the listed values to be in one of the record's lists.
func anyOf(q url.Values, name string, norm func(string) string, fields ...string) (filter, bool) {
	want := lists(q, name)
	if len(want) == 0 {
		return nil, true
	}
	return func(r map[string]any) bool {
		for _, field := range fields {
			for _, has := range texts(r[field]) {
				if slices.ContainsFunc(want, func(w string) bool { return norm(w) == norm(has) }) {
					return true
				}
			}
		}
		return false
	}, true
}

// bareMAC is a MAC address without its notation.
func bareMAC(v string) string {
	return strings.ToLower(strings.NewReplacer(":", "", "-", "", ".", "").Replace(v))
}

// bound compares a time of the record with a limit. A record without that time
// is on neither side of any limit.
func (s *Sim) bound(q url.Values, name, field string, holds func(t, limit time.Time) bool) (filter, bool) {
	if !q.Has(name) {
		return nil, true
	}
	limit, fine := moment(q.Get(name), s.opt.Now())
	if !fine {
		return nil, false
	}
	return func(r map[string]any) bool {
		t, isTime := instant(r[field])
		return isTime && holds(t, limit)
	}, true
}

// duration is a signed ISO 8601 duration of weeks, days and a time.
var duration = regexp.MustCompile(`^([+-]?)P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,8})H)?(?:(\d{1,8})M)?(?:(\d{1,8})S)?)?$`)

// moment reads a time with its zone, or a duration from now. A time without a
// zone is refused, as by the real API.
func moment(v string, now time.Time) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
		return t, true
	}
	m := duration.FindStringSubmatch(v)
	if m == nil || strings.HasSuffix(v, "P") || strings.HasSuffix(v, "T") {
		return time.Time{}, false
	}
	var d time.Duration
	for i, unit := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.Atoi(m[i+2]) // empty is 0
		d += time.Duration(n) * unit
	}
	if m[1] == "-" {
		d = -d
	}
	return now.Add(d), true
}
