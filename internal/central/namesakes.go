package central

import (
	"context"
	"slices"
	"strings"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// whatSearch is what people read about these calls.
const whatSearch = "searching devices of the same name"

const (
	maxPages = 100 // of a search; more is no name any more
	contains = 10  // characters that the name filter is sure to look at
)

// sameNamed returns all records of the tenant with the device's short name, the
// device among them. Filters narrow, they never decide: names are compared here.
// The full name is asked for first. Where the device itself is not among what
// came back, the filter may be one that looks at ten characters only.
func (c *Client) sameNamed(ctx context.Context, p place, dev policy.Device, kind action.CallKind) ([]policy.Device, *action.Trouble) {
	if nameless(dev) {
		return []policy.Device{dev}, nil
	}
	name := policy.BareName(dev.Hostname.Value)
	values := []string{name}
	if first := []rune(name); len(first) > contains {
		values = append(values, strings.TrimSpace(string(first[:contains])))
	}
	for _, value := range values {
		all, trouble := c.list(ctx, p, value, kind)
		if trouble != nil {
			return nil, trouble
		}
		if same, found := namesakes(all, dev); found {
			return same, nil
		}
	}
	return nil, unusable(whatSearch, "the device itself is not among them")
}

// namesakes picks the devices of a device's name, and reports whether it is among them.
func namesakes(all []policy.Device, dev policy.Device) (same []policy.Device, found bool) {
	for _, d := range all {
		itself := d.ID.Known() && strings.EqualFold(d.ID.Value, dev.ID.Value)
		if nameless(d) && (itself || sameMachine(d, dev)) || strings.EqualFold(policy.BareName(d.Hostname.Value), policy.BareName(dev.Hostname.Value)) {
			found = found || itself
			same = append(same, d)
		}
	}
	return same, found
}

// nameless reports whether a record has no host name that can be read. Such a device is
// nobody's namesake, unless it is the same machine.
func nameless(d policy.Device) bool {
	return !d.Hostname.Known() || policy.BareName(d.Hostname.Value) == ""
}

// sameMachine reports whether two records show the same serial number or MAC address.
func sameMachine(a, b policy.Device) bool {
	theirs := action.TraitsOf(b)
	return slices.ContainsFunc(action.TraitsOf(a), func(t action.Trait) bool {
		return (t.Sign == action.SameSerial || t.Sign == action.SameMAC) && slices.Contains(theirs, t)
	})
}

// list reads all devices whose name contains a value, page by page, and makes
// sure that they are all there.
func (c *Client) list(ctx context.Context, p place, value string, kind action.CallKind) ([]policy.Device, *action.Trouble) {
	query := fleetQuery()
	query.Set("hostnameContains", value)
	var all []policy.Device
	seen, promised := map[string]bool{}, -1
	trouble := c.pages(ctx, p, walk{what: whatSearch, query: query, most: maxPages, kind: kind}, func(devices []policy.Device, in page) (bool, *action.Trouble) {
		promised = max(promised, announced(in.Pages.Items))
		for _, d := range devices {
			if id := strings.ToLower(d.ID.Value); d.ID.Known() {
				if seen[id] {
					continue
				}
				seen[id] = true
			}
			all = append(all, d)
		}
		return true, nil
	})
	switch {
	case trouble != nil:
		return nil, trouble
	case promised < 0, promised == 0 && len(all) > 0:
		return nil, unusable(whatSearch, "it does not say how many devices there are")
	case len(all) < promised:
		return nil, unusable(whatSearch, "fewer devices came than were announced")
	}
	return all, nil
}
