package action

import (
	"slices"
	"strings"
	"time"

	"rollcall/internal/policy"
)

// shared is at how many heard devices a trait tells nobody apart any more: the
// address of a docking station, or of an adapter that a VPN client installs with
// the same address everywhere, or a serial number that a maker never set.
const shared = 3

// watchlist is one tenant's deleted devices, and who of them was heard again.
type watchlist struct {
	tenantID string
	since    time.Time // the oldest delete
	gone     []Gone    // without their records
	by       map[Trait][]int
	heard    map[Trait]int // how many heard devices bear a trait of the list
	sights   map[int][]sight
	asOf     time.Time       // what was heard was so at some time since then; zero = it is so now
	recalled map[string]bool // ids that were heard of from memory
}

// sight is a heard device that bears a trait of one that is gone.
type sight struct {
	trait  Trait
	device policy.Device
}

// found is a deleted device with what showed that it is in use.
type found struct {
	gone Gone
	sight
}

func newWatchlist(tenantID string) *watchlist {
	return &watchlist{tenantID: tenantID, by: map[Trait][]int{}, heard: map[Trait]int{}, sights: map[int][]sight{}}
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
	for _, t := range TraitsOf(d) {
		gone := w.by[t]
		if len(gone) == 0 {
			continue
		}
		w.heard[t]++
		if t.Sign != SameID && w.heard[t] >= shared {
			continue
		}
		for _, i := range gone {
			if g := w.gone[i]; returned(t.Sign, d, g.DeletedAt) && w.after(g, d) {
				w.sights[i] = append(w.sights[i], sight{t, d})
			}
		}
	}
}

// recall hears what a snapshot has of some of the list's traits. A device is heard once,
// though it may bear several, and like in a read of Central only if something was
// heard of it since the oldest delete. Of a trait that is not told nobody is known.
func (w *watchlist) recall(f SnapshotFinds) {
	if w.recalled == nil {
		w.recalled = map[string]bool{}
	}
	if w.asOf.IsZero() || f.State.Whole.Before(w.asOf) {
		w.asOf = f.State.Whole
	}
	for _, t := range f.Crowded {
		w.heard[t] = max(w.heard[t], shared)
	}
	for _, d := range f.Devices {
		id := strings.ToLower(d.ID.Value)
		if w.recalled[id] || d.LastSeenAt.Known() && d.LastSeenAt.Value.Before(w.since) {
			continue
		}
		w.recalled[id] = true
		w.hear(d)
	}
}

// after reports whether a heard device was in Central after a delete. What was read
// then was; what is told from memory may stem from before, or from while the DELETE was
// under way, and the device that was deleted stand on it still.
func (w *watchlist) after(g Gone, d policy.Device) bool {
	read := w.asOf.IsZero() || w.asOf.After(g.DeletedAt) && w.asOf.After(g.SettledAt)
	return read || d.LastSeenAt.Known() && d.LastSeenAt.Value.After(g.DeletedAt)
}

// found lists who came back, each once, by its surest sign, in the order of the
// deletes. Where not the whole fleet was read, whether an address or a name is one
// device's own can't be said yet; it waits for the next read.
func (w *watchlist) found(whole bool) []found {
	var out []found
	for i, g := range w.gone {
		sights := slices.DeleteFunc(slices.Clone(w.sights[i]), func(s sight) bool {
			return s.trait.Sign != SameID && w.heard[s.trait] >= shared || s.trait.Sign > SameSerial && !whole
		})
		if len(sights) == 0 {
			continue
		}
		surest := slices.MinFunc(sights, func(a, b sight) int { return int(a.trait.Sign) - int(b.trait.Sign) })
		out = append(out, found{g, surest})
	}
	return out
}

// returned reports whether a heard device that bears a sign of one that was
// deleted came after the delete. A record that stood beside the deleted one, of a
// machine that was installed anew or renamed, says nothing. Where nobody knows when
// it came, a serial number is enough; a name or an address, which go round, only
// where it was heard from since.
func returned(s Sign, d policy.Device, deleted time.Time) bool {
	switch {
	case s == SameID:
		return true
	case d.RegisteredAt.Known():
		return d.RegisteredAt.Value.After(deleted)
	case s == SameSerial:
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
	if f.trait.Sign == SameID {
		if !d.LastSeenAt.Known() {
			return "Central has it again"
		}
		return "Central has it again, heard from at " + stamp(d.LastSeenAt.Value)
	}
	who := "a device with the same " + f.trait.Sign.String()
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
