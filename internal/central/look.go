package central

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// whatDevice is what people read about reading one device.
const whatDevice = "reading the device"

// look reads all but groups. The device, its same-named siblings and the
// tenant's newest sign of life are all needed: one that can't be read fails the
// whole look. The first and the last are asked at the same time.
//
// Where the roll may answer for what lies beside the device, only the device is
// read, together with others that are asked for at the same time.
func (c *Client) look(ctx context.Context, dev action.Ref, newestWithin time.Duration, fresh bool) (policy.Live, *action.Trouble) {
	p, live, trouble := c.locate(ctx, c.reads, dev)
	if trouble != nil {
		return live, trouble
	}
	var roll rollSays
	if !fresh && c.roll != nil {
		if roll, trouble = c.rollAwaited(ctx, p); trouble != nil {
			return c.failed(trouble), trouble
		}
	}
	aside, cancel := context.WithCancel(ctx)
	defer cancel()
	newest := sync.OnceValue(func() fetched[time.Time] {
		at, trouble := c.newestSeen(aside, p, newestWithin)
		return fetched[time.Time]{at, trouble}
	})
	if !roll.young {
		go newest()
	}
	if fresh || c.roll == nil {
		live, _, trouble = c.read(ctx, c.reads, p, dev, "full", single)
	} else {
		live, trouble = c.readMerged(ctx, p, dev, roll.busy)
	}
	if live.Status != policy.LiveFound || roll.young && c.fromRoll(ctx, p, &live, newestWithin, roll.busy) {
		return live, trouble
	}
	live.SameNamed, trouble = c.sameNamed(ctx, p, live.Device)
	if trouble != nil {
		return c.failed(trouble), trouble
	}
	if len(live.SameNamed) > 1 {
		c.ontoRoll(ctx, p, live.SameNamed)
	}
	n := newest()
	if n.trouble != nil {
		return c.failed(n.trouble), n.trouble
	}
	if !n.value.IsZero() {
		live.NewestSeenAt = policy.Is(n.value)
	}
	return live, nil
}

// fromRoll adds what lies beside a device from the roll; false where Central is to
// be asked itself.
func (c *Client) fromRoll(ctx context.Context, p place, live *policy.Live, newestWithin time.Duration, busy bool) bool {
	same, st, ok := c.siblings(ctx, p, live.Device)
	if !ok {
		return false
	}
	live.SameNamed = c.confirm(ctx, p, live.Device, same, busy)
	live.BesideAt = c.now().Add(st.At.Sub(st.Now))
	if newest := st.Newest; !newest.IsZero() && !newest.Before(c.now().Add(-newestWithin)) {
		live.NewestSeenAt = policy.Is(newest)
	}
	return true
}

// Present implements [action.Central] by one read.
func (c *Client) Present(ctx context.Context, dev action.Ref) (policy.Live, *action.Trouble) {
	p, live, trouble := c.locate(ctx, c.reads, dev)
	if trouble != nil {
		return live, trouble
	}
	live, _, trouble = c.read(ctx, c.reads, p, dev, "basic", single)
	return live, trouble
}

// locate finds the tenant's place, or the live result that there is none.
func (c *Client) locate(ctx context.Context, a *account, dev action.Ref) (place, policy.Live, *action.Trouble) {
	if !isUUID(dev.TenantID) || !isUUID(dev.EndpointID) {
		trouble := &action.Trouble{Class: action.Permanent, Text: "The ids of tenant and device are no UUIDs."}
		return place{}, c.failed(trouble), trouble
	}
	p, trouble := a.place(ctx, dev.TenantID)
	switch {
	case trouble != nil:
		return place{}, c.failed(trouble), trouble
	case p.foreign:
		trouble := &action.Trouble{Class: action.Permanent, Text: "The credential does not serve this tenant."}
		return place{}, policy.Live{Status: policy.LiveForeignTenant, At: c.now(), Problem: trouble.Text}, trouble
	}
	return p, policy.Live{}, nil
}

// failed is the live result of a trouble.
func (c *Client) failed(t *action.Trouble) policy.Live {
	return policy.Live{Status: policy.LiveFailed, At: c.now(), Own: t.Own, Problem: t.Text, RetryAfter: t.RetryAfter}
}

// read reads one device by its id, and its record as Central gave it.
func (c *Client) read(ctx context.Context, a *account, p place, dev action.Ref, view string, f fare) (policy.Live, []byte, *action.Trouble) {
	r, trouble := a.get(ctx, request{what: whatDevice, limit: maxSingle, header: p.header(), fare: f,
		url: p.url(url.Values{"view": {view}}, url.PathEscape(dev.EndpointID))})
	if trouble != nil {
		if trouble.Outage || trouble.Status == http.StatusUnauthorized || trouble.Status == http.StatusForbidden || trouble.Status == http.StatusNotFound {
			a.distrust(dev.TenantID)
		}
		return c.failed(trouble), nil, trouble
	}
	live := policy.Live{At: c.now(), CentralTime: clockOf(r.header)}
	if r.notFound() {
		c.offRoll(ctx, dev)
		live.Status = policy.LiveNotFound
		return live, nil, nil
	}
	var object map[string]any
	trouble = r.decode(whatDevice, &object)
	if trouble == nil {
		live.Device, trouble = parse(r.body)
	}
	if trouble == nil && (!live.Device.ID.Known() || !strings.EqualFold(live.Device.ID.Value, dev.EndpointID)) {
		trouble = unusable(whatDevice, "it is of another device")
	}
	if trouble != nil {
		return c.failed(trouble), nil, trouble
	}
	live.Status = policy.LiveFound
	return live, r.body, nil
}

// clockOf is Central's own clock, from the Date header.
func clockOf(h http.Header) policy.Field[time.Time] {
	at, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return policy.Field[time.Time]{}
	}
	return policy.Is(at)
}

// isUUID reports whether an id is a UUID in its usual form, and so fit for a path.
func isUUID(id string) bool { return len(id) == 36 && uuid.Validate(id) == nil }
