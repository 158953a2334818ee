package central

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// keepCount is how long a tenant's number of devices is good.
const keepCount = 10 * time.Minute

// whatCount is what people read about counting the devices.
const whatCount = "counting the tenant's devices"

// Prepare implements [action.Central]. The device is read with the credential
// that will delete it, which proves its token, host and tenant. A count that
// can't be had is 0, which allows nothing.
func (c *Client) Prepare(ctx context.Context, dev action.Ref) (action.Prepared, *action.Trouble) {
	p, live, trouble := c.locate(ctx, c.deletes, dev)
	if live.Status == policy.LiveForeignTenant && c.deletes == c.reads {
		return action.Prepared{}, nil // the look that follows says so with its own code
	}
	if trouble != nil {
		return action.Prepared{}, trouble
	}
	var raw []byte
	live, raw, trouble = c.read(ctx, c.deletes, p, dev, "full", action.CallSingle)
	switch {
	case trouble != nil:
		return action.Prepared{}, trouble
	case live.Status != policy.LiveFound:
		// The look that follows says so with its own code; nothing is kept of it.
		return action.Prepared{}, nil
	}
	record, trouble := withoutPasswords(raw)
	if trouble != nil {
		return action.Prepared{}, trouble
	}
	population, trouble := c.counts.get(ctx, c, strings.ToLower(p.tenantID), func(ctx context.Context) (int, time.Duration, *action.Trouble) {
		return c.count(ctx, dev.TenantID)
	})
	if trouble != nil {
		population = 0
	}
	return action.Prepared{Population: population, Record: record}, nil
}

// count asks how many devices the tenant has; 0 = not known.
func (c *Client) count(ctx context.Context, tenantID string) (int, time.Duration, *action.Trouble) {
	p, trouble := c.reads.place(ctx, tenantID)
	if trouble != nil || p.foreign {
		return 0, 0, trouble
	}
	in, trouble := c.page(ctx, p, walk{what: whatCount, query: url.Values{"pageSize": {"1"}, "pageTotal": {"true"}, "view": {"basic"}, "sort": {"id"}}})
	if trouble != nil {
		return 0, 0, trouble
	}
	n := whole(in.Pages.Items)
	if n <= 0 {
		return 0, 0, nil
	}
	return n, keepCount, nil
}

// withoutPasswords is a record as it may be kept: no key that speaks of a
// password, at any depth, and numbers as they were written.
func withoutPasswords(raw []byte) ([]byte, *action.Trouble) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var record any
	if err := dec.Decode(&record); err != nil {
		return nil, unusable(whatDevice, "it is no device's record")
	}
	dropPasswords(record)
	kept, err := json.Marshal(record)
	if err != nil {
		return nil, unusable(whatDevice, "it can't be kept")
	}
	return kept, nil
}

func dropPasswords(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			if strings.Contains(strings.ToLower(key), "password") {
				delete(v, key)
				continue
			}
			dropPasswords(e)
		}
	case []any:
		for _, e := range v {
			dropPasswords(e)
		}
	}
}
