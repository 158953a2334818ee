package central

import (
	"encoding/json"
	"time"

	"rollcall/internal/policy"
)

// parseDevice stands in until the record package is there.
func parseDevice(raw []byte) (policy.Device, error) {
	var in struct {
		ID, Hostname, LastSeenAt string
		Online                   *bool
		Tenant                   struct{ ID string }
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return policy.Device{}, err
	}
	var d policy.Device
	if in.ID != "" {
		d.ID = policy.Is(in.ID)
	}
	if in.Hostname != "" {
		d.Hostname = policy.Is(in.Hostname)
	}
	if at, err := time.Parse(time.RFC3339Nano, in.LastSeenAt); err == nil {
		d.LastSeenAt = policy.Is(at)
	}
	if in.Online != nil {
		d.Online = policy.Is(*in.Online)
	}
	if in.Tenant.ID != "" {
		d.TenantID = policy.Is(in.Tenant.ID)
	}
	return d, nil
}
