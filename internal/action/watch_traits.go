package action

import (
	"encoding/json"
	"slices"
	"strings"

	"rollcall/internal/policy"
)

// Sign is a kind of sign by which a device is known again, the surest first.
type Sign uint8

// The signs.
const (
	SameID Sign = iota
	SameSerial
	SameMAC
	SameName
)

// String names a sign as it stands in a sentence.
func (s Sign) String() string {
	return [...]string{"endpoint id", "serial number", "MAC address", "host name"}[s]
}

// Trait is what a device shows of itself by one sign, in a form that compares.
type Trait struct {
	Sign  Sign
	Value string // never empty
}

// TraitsOf are a device's traits, each once; what is no sign of anything, such as a
// serial number that a maker never set, is none.
func TraitsOf(d policy.Device) []Trait {
	return traits(d.ID.Value, []string{d.SerialNumber.Value}, d.MACAddresses, []string{d.Hostname.Value})
}

// traitsOfGone are a deleted device's traits, from Central's record before the
// delete, and from the name that was recorded beside it.
func traitsOfGone(g Gone) []Trait {
	var record map[string]any
	if json.Unmarshal(g.Record, &record) != nil {
		record = nil // no record, or none that can be read: id and name are left
	}
	return traits(g.EndpointID, texts(record["serialNumber"]), texts(record["macAddresses"]), append(texts(record["hostname"]), g.Hostname))
}

// texts are the strings of a JSON value: itself, or those in a list.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, texts(e)...)
		}
		return out
	}
	return nil
}

// traits makes values comparable, and leaves out what is no sign of anything.
func traits(id string, serials, macs, hosts []string) []Trait {
	all := []Trait{{SameID, strings.ToLower(id)}}
	for _, s := range serials {
		all = append(all, Trait{SameSerial, serial(s)})
	}
	for _, m := range macs {
		all = append(all, Trait{SameMAC, hardware(m)})
	}
	for _, h := range hosts {
		all = append(all, Trait{SameName, policy.NameKey(h)})
	}
	var out []Trait
	for _, t := range all {
		if t.Value != "" && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// serial is a serial number for comparing; empty for one that a maker left unset.
func serial(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	plain := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" .,-_/", r) {
			return -1
		}
		return r
	}, s)
	switch plain {
	case "", "defaultstring", "tobefilledbyoem", "systemserialnumber", "chassisserialnumber", "baseboardserialnumber", "serialnumber",
		"notspecified", "notapplicable", "notavailable", "na", "none", "null", "unknown", "invalid", "empty", "oem",
		"123456789", "1234567890", "0123456789":
		return ""
	}
	if strings.Trim(plain, plain[:1]) == "" {
		return "" // one character again and again
	}
	return s
}

// hardware is a MAC address for comparing: twelve hexadecimal digits, whatever
// its notation; empty for one that is no adapter's.
func hardware(mac string) string {
	plain := strings.ToLower(strings.NewReplacer(":", "", "-", "", ".", "", " ", "").Replace(mac))
	if len(plain) != 12 || strings.Trim(plain, "0123456789abcdef") != "" || strings.Trim(plain, plain[:1]) == "" {
		return ""
	}
	return plain
}
