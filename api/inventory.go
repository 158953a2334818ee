package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
)

// InventoryDevice is a device as Central's inventory has it, in Central's own
// shape: it can stand as the central of an event. What is not known is nil.
type InventoryDevice struct {
	ID       *string         `json:"id"`
	Tenant   InventoryTenant `json:"tenant"`
	Hostname *string         `json:"hostname"`
	// Type is computer or server.
	Type             *string         `json:"type"`
	OS               InventoryOS     `json:"os"`
	LastSeenAt       *time.Time      `json:"lastSeenAt"`
	Online           *bool           `json:"online"`
	Health           InventoryHealth `json:"health"`
	AssociatedPerson InventoryPerson `json:"associatedPerson"`
	Group            InventoryGroup  `json:"group"`
	SerialNumber     *string         `json:"serialNumber"`
	// InactiveDays is the age of LastSeenAt when the device was read; nil where
	// that is missing, can't be read or lies in the future, which LastSeenState says.
	InactiveDays *float64 `json:"inactiveDays"`
	// LastSeenState is known, missing, unreadable or future. Only known has an age.
	LastSeenState *string `json:"lastSeenState"`
	// Skipped is nil for a device. Else it says why this is none to work on: a
	// tenant that could not be read, of which only Tenant is given, or a device that
	// Central lists among those of another tenant.
	Skipped *string `json:"skipped"`
}

// InventoryTenant is the device's tenant.
type InventoryTenant struct {
	ID *string `json:"id"`
}

// InventoryOS is the device's operating system.
type InventoryOS struct {
	Name     *string `json:"name"`
	Platform *string `json:"platform"`
	IsServer *bool   `json:"isServer"`
	Build    *int    `json:"build"`
}

// InventoryHealth is what Central thinks of the device.
type InventoryHealth struct {
	Overall *string `json:"overall"`
}

// InventoryPerson is who uses the device.
type InventoryPerson struct {
	Name     *string `json:"name"`
	ViaLogin *string `json:"viaLogin"`
}

// InventoryGroup is the device's group in Central.
type InventoryGroup struct {
	ID   *string `json:"id"`
	Name *string `json:"name"`
}

// InventoryQuery narrows the inventory; zero fields do not.
type InventoryQuery struct {
	TenantIDs    []string
	InactiveDays int
	Type         string // computer or server
}

// Inventory streams Central's inventory, which may take minutes: give the client
// an HTTP client without a time-out for it. The sequence ends after the first error;
// what came before it is then not all.
func (c *Client) Inventory(ctx context.Context, q InventoryQuery) iter.Seq2[InventoryDevice, error] {
	return func(yield func(InventoryDevice, error) bool) {
		days := ""
		if q.InactiveDays > 0 {
			days = strconv.Itoa(q.InactiveDays)
		}
		v := query("tenantId", strings.Join(q.TenantIDs, ","), "inactiveDays", days, "type", q.Type, "format", "ndjson")
		res, err := c.send(ctx, "/v1/inventory", v, nil)
		if err != nil {
			yield(InventoryDevice{}, err)
			return
		}
		defer func() { _ = res.Body.Close() }()
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, maxLine)
		for lines.Scan() {
			var d InventoryDevice
			if err := json.Unmarshal(lines.Bytes(), &d); err != nil {
				yield(InventoryDevice{}, fmt.Errorf("inventory line: %w", err))
				return
			}
			if !yield(d, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(InventoryDevice{}, fmt.Errorf("inventory: %w", err))
		}
	}
}
