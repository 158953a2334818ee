package httpapi

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rollcall/api"
	"rollcall/internal/action"
)

const (
	inventoriesAtOnce = 4                // each holds a page of devices, and their ids
	inventoryPatience = 15 * time.Minute // how long a page may take, where Central's limits are used up
	mostDays          = 36500
)

// inventory answers with Central's inventory, as it is read.
func (s *server) inventory(x *exchange) error {
	q := x.query()
	want := action.Wanted{
		Tenants: q.ids("tenantId"), InactiveDays: q.whole("inactiveDays", mostDays), Type: q.word("type", "", "computer", "server"),
	}
	format := q.word("format", formatNDJSON, formatJSON, formatCSV)
	if err := q.found.refusal(); err != nil {
		return err
	}
	if s.cfg.Inventory == nil {
		return errCentral
	}
	defer s.reading.Add(-1)
	if s.reading.Add(1) > inventoriesAtOnce {
		return refuse(errRateLimited, fmt.Sprintf("%d inventories are being read already", inventoriesAtOnce))
	}
	ctx, stop := s.whileServing(x.c.Request.Context())
	defer stop()
	return stream(x, format, x.inventoryRows(s.cfg.Inventory.Inventory(ctx, want)), inventorySheet())
}

// whileServing is a context that ends with the process too: an inventory may take
// longer than the process has to end, and is better cut off than waited for.
func (s *server) whileServing(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	go func() {
		select {
		case <-ctx.Done():
		case <-s.cfg.Stopping:
			cancel()
		}
	}()
	return ctx, cancel
}

// inventoryRows are the rows of the pages as they come. While a page is waited for
// nothing is written, so the server must not take the answer for one that hangs.
func (x *exchange) inventoryRows(pages iter.Seq2[action.InventoryPage, *action.Trouble]) iter.Seq2[api.InventoryDevice, error] {
	patient := func() {
		_ = http.NewResponseController(x.c.Writer).SetWriteDeadline(time.Now().Add(inventoryPatience)) // not every writer has one
	}
	return func(yield func(api.InventoryDevice, error) bool) {
		patient()
		for page, trouble := range pages {
			if trouble != nil {
				yield(api.InventoryDevice{}, fmt.Errorf("%w: %s", errCentral, trouble.Text))
				return
			}
			for row := range InventoryRows(page) {
				if !yield(row, nil) {
					return
				}
			}
			patient()
		}
	}
}

// InventoryRows puts a page on the wire: a row for each device, or one that says
// that the tenant was skipped and why.
func InventoryRows(page action.InventoryPage) iter.Seq[api.InventoryDevice] {
	return func(yield func(api.InventoryDevice) bool) {
		if page.Skipped != nil {
			why := page.Skipped.Text
			if page.TenantName != "" {
				why = page.TenantName + ": " + why
			}
			yield(api.InventoryDevice{Tenant: api.InventoryTenant{ID: word(page.TenantID)}, Skipped: word(why)})
			return
		}
		for _, d := range page.Devices {
			if !yield(inventoryRow(d, page.TenantID)) {
				return
			}
		}
	}
}

// inventoryRow is a device of a tenant's inventory.
func inventoryRow(d action.Listed, listedIn string) api.InventoryDevice {
	row := api.InventoryDevice{
		ID: fact(d.ID, word), Tenant: api.InventoryTenant{ID: fact(d.TenantID, word)}, Hostname: fact(d.Hostname, word), Type: fact(d.Type, word),
		OS: api.InventoryOS{
			Name: fact(d.OSName, word), Platform: fact(d.Platform, word), IsServer: fact(d.IsServer, same), Build: fact(d.Build, same),
		},
		LastSeenAt: fact(d.LastSeenAt, stamp), Online: fact(d.Online, same), Health: api.InventoryHealth{Overall: fact(d.HealthOverall, word)},
		AssociatedPerson: api.InventoryPerson{Name: fact(d.PersonName, word), ViaLogin: fact(d.ViaLogin, word)},
		Group:            api.InventoryGroup{ID: fact(d.GroupID, word), Name: fact(d.GroupName, word)},
		SerialNumber:     fact(d.SerialNumber, word), InactiveDays: fact(d.InactiveDays, days), LastSeenState: word(string(d.LastSeen)),
	}
	if d.Stray {
		row.Skipped = word("Central lists this device among those of the tenant " + listedIn + ", and its own record names another.")
	}
	return row
}

// InventoryColumns is the header of the inventory as CSV.
func InventoryColumns() []string { return inventorySheet().columns }

// InventoryCells is a row of the inventory as CSV.
func InventoryCells(d api.InventoryDevice) []string {
	cells := inventorySheet().cells(d)
	for i, c := range cells {
		cells[i] = Harmless(c)
	}
	return cells
}

// inventorySheet is the inventory as CSV.
func inventorySheet() *sheet[api.InventoryDevice] {
	return &sheet[api.InventoryDevice]{
		columns: []string{
			"tenantId", "endpointId", "hostname", "type", "osName", "platform", "build", "lastSeenAt", "inactiveDays", "lastSeenState",
			"online", "health", "associatedPerson", "viaLogin", "group", "serialNumber", "skipped",
		},
		cells: func(d api.InventoryDevice) []string {
			return []string{
				plain(d.Tenant.ID), plain(d.ID), plain(d.Hostname), plain(d.Type), plain(d.OS.Name), plain(d.OS.Platform), cell(d.OS.Build),
				at(d.LastSeenAt), number(d.InactiveDays), plain(d.LastSeenState), cell(d.Online), plain(d.Health.Overall),
				plain(d.AssociatedPerson.Name), plain(d.AssociatedPerson.ViaLogin), plain(d.Group.Name), plain(d.SerialNumber), plain(d.Skipped),
			}
		},
	}
}

// cell is a value that may not be known.
func cell[T any](v *T) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(*v)
}

// ids are UUIDs, separated by commas or given again and again.
func (q *query) ids(name string) []string {
	var out []string
	for _, given := range q.values[name] {
		for part := range strings.SplitSeq(given, ",") {
			if id := q.id(name, strings.TrimSpace(part)); id != "" {
				out = append(out, id)
			}
		}
	}
	return out
}

// whole is a whole number from 0 to most; 0 when not given.
func (q *query) whole(name string, most int) int {
	s := q.text(name)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || int(n) > most {
		q.found.add(name, fmt.Sprintf("must be a whole number from 0 to %d", most))
		return 0
	}
	return int(n)
}
