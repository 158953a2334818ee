package centralsim

import (
	"encoding/json"
	"slices"
	"time"
)

// Ago is a time in a record that moves along with the clock: always this long
// before the moment of the request.
type Ago time.Duration

// stamp writes a time as Central does: UTC, milliseconds, Z.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// deepCopy copies maps and lists; all else is a value.
func deepCopy(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = deepCopy(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = deepCopy(e)
		}
		return out
	}
	return v
}

// render is the record as it reads now. The lock is held.
//
// What it returns is not to be changed.
func (s *Sim) render(d *device) map[string]any {
	if !d.moving {
		return d.record
	}
	return resolve(deepCopy(d.record), s.opt.Now()).(map[string]any)
}

// moves reports whether a record holds an Ago.
func moves(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			if moves(e) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, moves)
	case Ago:
		return true
	}
	return false
}

// resolve puts a time in the place of every Ago.
func resolve(v any, now time.Time) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = resolve(e, now)
		}
	case []any:
		for i, e := range v {
			v[i] = resolve(e, now)
		}
	case Ago:
		return stamp(now.Add(-time.Duration(v)))
	}
	return v
}

// text is a string value, or empty.
func text(v any) string {
	s, _ := v.(string)
	return s
}

// at walks down a record by keys; nil where there is nothing.
func at(v any, keys ...string) any {
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

// texts are the strings of a list, whatever its Go type.
func texts(v any) []string {
	switch v := v.(type) {
	case []string:
		return v
	case []any:
		out := make([]string, 0, len(v))
		for _, e := range v {
			out = append(out, text(e))
		}
		return out
	}
	return nil
}

// instant reads a record's time as Central itself would; false for what is no time.
func instant(v any) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, text(v))
	return t, err == nil
}

// The views, by the properties that they hold. The real list of summary is not
// published; it is taken to lack all that came late to the API.
func viewKeys(view string) ([]string, bool) {
	basic := []string{"id", "type", "tenant", "hostname"}
	switch view {
	case "basic":
		return basic, true
	case "", "summary":
		return append(basic, "health", "os", "ipv4Addresses", "ipv6Addresses", "macAddresses", "group",
			"associatedPerson", "tamperProtectionSupported", "tamperProtectionEnabled", "assignedProducts",
			"lastSeenAt", "lockdown", "isolation", "encryption", "cloud", "online"), true
	case "full":
		return nil, true
	}
	return nil, false
}

// project keeps the named properties; nil keeps all.
func project(record map[string]any, keys []string) map[string]any {
	if keys == nil {
		return record
	}
	out := map[string]any{}
	for _, k := range keys {
		if v, ok := record[k]; ok {
			out[k] = v
		}
	}
	return out
}

// encode writes JSON; the values are the simulator's own, so it can't fail but
// for a record that a test filled with what is no JSON.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("centralsim: record is no JSON: " + err.Error())
	}
	return b
}
