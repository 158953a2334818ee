package central

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"slices"

	"github.com/google/uuid"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// whatInventory is what people read about reading a fleet.
const whatInventory = "reading the tenant's devices"

var _ action.Inventory = (*Client)(nil)

// Inventory implements [action.Inventory]. Every device of a tenant is read, and
// what is wanted is decided here: Central's filters leave out the devices of which
// it does not know what the filter asks for.
func (c *Client) Inventory(ctx context.Context, want action.Wanted) iter.Seq2[action.InventoryPage, *action.Trouble] {
	return func(yield func(action.InventoryPage, *action.Trouble) bool) {
		seats, trouble := c.seats(ctx, want.Tenants)
		if trouble != nil {
			yield(action.InventoryPage{}, trouble)
			return
		}
		seats = slices.DeleteFunc(seats, func(s seat) bool { return slices.Contains(want.From.Done, s.id) })
		for i, s := range seats {
			f := fleet{c: c, want: want, seat: s, yield: yield,
				head: action.InventoryPage{TenantID: s.id, TenantName: s.name, Number: i + 1, Of: len(seats)}}
			if !f.read(ctx) {
				return
			}
		}
	}
}

// fleet is one tenant's devices, while they are read. Of those that were read it
// keeps the ids, 16 bytes each, and nothing else.
type fleet struct {
	c         *Client
	want      action.Wanted
	seat      seat
	head      action.InventoryPage // what all its pages have in common
	yield     func(action.InventoryPage, *action.Trouble) bool
	seen      map[uuid.UUID]struct{}
	announced census
	count     int  // devices that came, each once
	begun     bool // a page was handed on
	enough    bool // the reader wants no more
}

// read reads the tenant, and reports whether to go on with the next.
func (f *fleet) read(ctx context.Context) bool {
	trouble := f.seat.trouble
	if trouble == nil {
		query := fleetQuery()
		f.resume(query)
		trouble = f.c.rawPages(ctx, f.seat.place, walk{what: whatInventory, query: query, most: fleetPages, kind: action.CallBulk}, f.take)
		if trouble != nil && trouble.Status == http.StatusForbidden && !trouble.Outage && !f.begun {
			f.c.reads.distrust(f.seat.id)
			f.seat.trouble = trouble
		}
	}
	switch {
	case f.enough:
		return false
	case f.seat.trouble != nil:
		f.head.Skipped = f.seat.trouble
		return f.yield(f.head, nil)
	case trouble != nil:
		f.yield(action.InventoryPage{}, trouble)
		return false
	}
	return true
}

// resume goes on where an earlier reading broke off.
func (f *fleet) resume(query url.Values) {
	f.seen = map[uuid.UUID]struct{}{}
	from := f.want.From
	if from.TenantID == "" || from.TenantID != f.seat.id || from.Key == "" {
		return
	}
	query.Set("pageFromKey", from.Key)
	f.count, f.begun = from.Read, true
	f.announced.page(from.Announced)
	for _, id := range from.IDs {
		f.first(id)
	}
}

// take hands a page on. The last is held against what was announced before it
// leaves: a tenant that was not read whole is never called finished.
func (f *fleet) take(in page) (bool, *action.Trouble) {
	out, now := f.head, f.c.now()
	for _, raw := range *in.Items {
		l, trouble := listed(raw, f.seat.id, func(d policy.Device) action.Listed { return action.NewListed(d, now) })
		if trouble != nil {
			return false, trouble
		}
		if id := l.ID; id.Known() {
			if !f.first(id.Value) {
				continue
			}
			out.IDs = append(out.IDs, id.Value)
		}
		f.count++
		if f.want.Wants(l) {
			out.Devices = append(out.Devices, l)
		}
	}
	f.announced.page(announced(in.Pages.Items))
	out.Read, out.Announced, out.Next = f.count, f.announced.fewest, in.next()
	if out.Next == "" {
		if trouble := f.announced.notWhole(whatInventory, f.count); trouble != nil {
			return false, trouble
		}
	}
	f.begun = true
	f.enough = !f.yield(out, nil)
	return !f.enough, nil
}

// first notes an id, and reports whether it came for the first time.
func (f *fleet) first(id string) bool {
	key, err := uuid.Parse(id)
	if err != nil {
		return true // no id that a record can have
	}
	_, again := f.seen[key]
	f.seen[key] = struct{}{}
	return !again
}

// listed reads one record of a tenant's inventory, with the group that the facts
// for the policy hold only mixed with those above it.
func listed(raw []byte, tenantID string, judge func(policy.Device) action.Listed) (action.Listed, *action.Trouble) {
	d, trouble := parse(raw)
	if trouble != nil {
		return action.Listed{}, trouble
	}
	l := judge(d)
	l.Stray = d.TenantID.Known() && d.TenantID.Value != tenantID
	if !l.Stray {
		l.TenantID = policy.Is(tenantID)
	}
	var in struct {
		Group map[string]any `json:"group"`
	}
	_ = json.Unmarshal(raw, &in) // a group of another shape is none
	l.GroupID, l.GroupName = text(in.Group["id"]), text(in.Group["name"])
	return l, nil
}

// text is a text that was given.
func text(v any) policy.Field[string] {
	if s, ok := v.(string); ok && s != "" {
		return policy.Is(s)
	}
	return policy.Field[string]{}
}
