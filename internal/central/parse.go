package central

import (
	"encoding/json"

	"rollcall/internal/action"
	"rollcall/internal/policy"
	"rollcall/internal/record"
)

// parse reads one record. Its fields may be missing or odd; it must be a record.
func parse(raw []byte) (policy.Device, *action.Trouble) {
	d, err := record.ParseDevice(raw)
	if err != nil {
		return policy.Device{}, unusable(whatDevice, "it is no device's record")
	}
	return d, nil
}

// parseAll reads a page's records; one that is none spoils the page.
func parseAll(items []json.RawMessage) ([]policy.Device, *action.Trouble) {
	out := make([]policy.Device, 0, len(items))
	for _, raw := range items {
		d, trouble := parse(raw)
		if trouble != nil {
			return nil, trouble
		}
		out = append(out, d)
	}
	return out, nil
}
