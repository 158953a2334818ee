package action

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"rollcall/internal/policy"
)

// sign is a kind of sign by which a device is known again, the surest first.
type sign uint8

const (
	sameID sign = iota
	sameSerial
	sameMAC
	sameName
)

// String names a sign as it stands in a sentence.
func (s sign) String() string {
	return [...]string{"endpoint id", "serial number", "MAC address", "host name"}[s]
}

// trait is what a device shows of itself by one sign, in a form that compares.
type trait struct {
	sign  sign
	value string
}

// shared is at how many heard devices a trait tells nobody apart any more: the
// address of a docking station, or of an adapter that a VPN client installs with
// the same address everywhere, or a serial number that a maker never set.
const shared = 3

// watchlist is one tenant's deleted devices, and who of them was heard again.
type watchlist struct {
	tenantID string
	since    time.Time // the oldest delete
	gone     []Gone    // without their records
	by       map[trait][]int
	heard    map[trait]int // how many heard devices bear a trait of the list
	sights   map[int][]sight
}

// sight is a heard device that bears a trait of one that is gone.
type sight struct {
	trait  trait
	device policy.Device
}

// found is a deleted device with what showed that it is in use.
type found struct {
	gone Gone
	sight
}

func newWatchlist(tenantID string) *watchlist {
	return &watchlist{tenantID: tenantID, by: map[trait][]int{}, heard: map[trait]int{}, sights: map[int][]sight{}}
}

// add puts a deleted device on the list.
func (w *watchlist) add(g Gone) {
	if len(w.gone) == 0 || g.DeletedAt.Before(w.since) {
		w.since = g.DeletedAt
	}
	for _, t := range traitsOfGone(g) {
		w.by[t] = append(w.by[t], len(w.gone))
	}
	g.Record = nil
	w.gone = append(w.gone, g)
}

// hear holds a heard device against the list.
func (w *watchlist) hear(d policy.Device) {
	for _, t := range traitsOf(d) {
		gone := w.by[t]
		if len(gone) == 0 {
			continue
		}
		w.heard[t]++
		if t.sign != sameID && w.heard[t] >= shared {
			continue
		}
		for _, i := range gone {
			if returned(t.sign, d, w.gone[i].DeletedAt) {
				w.sights[i] = append(w.sights[i], sight{t, d})
			}
		}
	}
}

// found lists who came back, each once, by its surest sign, in the order of the
// deletes. Where not the whole fleet was read, whether an address or a name is one
// device's own can't be said yet; it waits for the next read.
func (w *watchlist) found(whole bool) []found {
	var out []found
	for i, g := range w.gone {
		sights := slices.DeleteFunc(slices.Clone(w.sights[i]), func(s sight) bool {
			return s.trait.sign != sameID && w.heard[s.trait] >= shared || s.trait.sign > sameSerial && !whole
		})
		if len(sights) == 0 {
			continue
		}
		surest := slices.MinFunc(sights, func(a, b sight) int { return int(a.trait.sign) - int(b.trait.sign) })
		out = append(out, found{g, surest})
	}
	return out
}

// returned reports whether a heard device that bears a sign of one that was
// deleted came after the delete. A record that stood beside the deleted one, of a
// machine that was installed anew or renamed, says nothing. Where nobody knows when
// it came, a serial number is enough; a name or an address, which go round, only
// where it was heard from since.
func returned(s sign, d policy.Device, deleted time.Time) bool {
	switch {
	case s == sameID:
		return true
	case d.RegisteredAt.Known():
		return d.RegisteredAt.Value.After(deleted)
	case s == sameSerial:
		return true
	}
	return d.LastSeenAt.Known() && d.LastSeenAt.Value.After(deleted)
}

// sentence says what was seen, and until when the delete can be undone.
func (f found) sentence() string {
	s := "It was deleted at " + stamp(f.gone.DeletedAt) + " and " + f.what() +
		": the delete was probably wrong; see to it that the device is protected."
	return s + deadline(Standing{RestoreBy: f.gone.RestoreBy})
}

// what says what was seen.
func (f found) what() string {
	d := f.device
	if f.trait.sign == sameID {
		if !d.LastSeenAt.Known() {
			return "Central has it again"
		}
		return "Central has it again, heard from at " + stamp(d.LastSeenAt.Value)
	}
	who := "a device with the same " + f.trait.sign.String()
	switch {
	case d.RegisteredAt.Known():
		who += " registered at " + stamp(d.RegisteredAt.Value)
	case d.LastSeenAt.Known():
		who += " was heard from at " + stamp(d.LastSeenAt.Value)
	default:
		who += " is in Central"
	}
	if id := d.ID; id.Known() {
		who += " (endpoint " + strings.TrimSuffix(id.Value+", "+d.Hostname.Value, ", ") + ")"
	}
	return who
}

// traitsOf are a heard device's traits, each once.
func traitsOf(d policy.Device) []trait {
	return traits(d.ID.Value, []string{d.SerialNumber.Value}, d.MACAddresses, []string{d.Hostname.Value})
}

// traitsOfGone are a deleted device's traits, from Central's record before the
// delete, and from the name that was recorded beside it.
func traitsOfGone(g Gone) []trait {
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
func traits(id string, serials, macs, hosts []string) []trait {
	all := []trait{{sameID, strings.ToLower(id)}}
	for _, s := range serials {
		all = append(all, trait{sameSerial, serial(s)})
	}
	for _, m := range macs {
		all = append(all, trait{sameMAC, hardware(m)})
	}
	for _, h := range hosts {
		all = append(all, trait{sameName, short(h)})
	}
	var out []trait
	for _, t := range all {
		if t.value != "" && !slices.Contains(out, t) {
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

// short is a host name for comparing: without its domain and a computer account's "$".
func short(hostname string) string {
	name, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(hostname)), ".")
	return strings.TrimSpace(strings.TrimSuffix(name, "$"))
}
