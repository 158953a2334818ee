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

// look reads all but groups. The device, its same-named siblings and the tenant's
// newest sign of life are all needed: one that can't be read fails the whole look.
//
// While the inventory is read, a look books calls for the next moment only, or it would
// hold up the reading that spares it the call. Where none is free it waits for a snapshot
// that will soon be there.
func (c *Client) look(ctx context.Context, p place, dev action.Ref, newestWithin time.Duration, ask action.Ask) (policy.Live, *action.Trouble) {
	if ask == action.AskAll {
		return c.lookCentral(ctx, p, dev, newestWithin, plan{kind: action.CallSingle})
	}
	v := c.view(ctx, p, dev)
	live, trouble := c.lookBeside(ctx, p, dev, v, newestWithin, ask, false)
	if !limited(trouble) || v.young {
		return live, trouble
	}
	if v = c.await(ctx, p, dev); v.State.Left > readingLong {
		return live, trouble
	}
	v.State.Reading = false // it was waited for
	return c.lookBeside(ctx, p, dev, v, newestWithin, ask, true)
}

// limited reports whether this service's own budget left no call.
func limited(t *action.Trouble) bool { return t != nil && t.Limited && t.Own }

// lookBeside looks at a device beside what the snapshot shows.
func (c *Client) lookBeside(ctx context.Context, p place, dev action.Ref, v view, newestWithin time.Duration, ask action.Ask, last bool) (policy.Live, *action.Trouble) {
	if ask == action.AskNothing {
		if live, ok := c.fromSnapshot(ctx, p, dev, v, newestWithin); ok {
			return live, nil
		}
	}
	live, trouble := c.lookCentral(ctx, p, dev, newestWithin, plan{kind: v.kind(), batched: true, young: v.young, last: last})
	if limited(trouble) {
		mine := *trouble
		mine.RetryAfter = v.sooner(trouble.RetryAfter)
		return c.failed(&mine), &mine
	}
	return live, trouble
}

// plan is how a look asks Central.
type plan struct {
	kind    action.CallKind
	batched bool // the device is read with others that are asked for at that time
	last    bool // a reading under way was waited for
	young   bool // the snapshot will probably answer for what lies beside the device
}

// lookCentral reads the device, and what lies beside it too where the snapshot can't
// answer for that. The newest sign of life is asked for at the same time.
func (c *Client) lookCentral(ctx context.Context, p place, dev action.Ref, newestWithin time.Duration, how plan) (live policy.Live, trouble *action.Trouble) {
	aside, cancel := context.WithCancel(ctx)
	defer cancel()
	kind := how.kind // the kind of the search may become another while this is asked for
	newest := sync.OnceValue(func() fetched[time.Time] {
		at, trouble := c.newestSeen(aside, p, newestWithin, kind)
		return fetched[time.Time]{at, trouble}
	})
	if !how.young {
		go newest()
	}
	if how.batched {
		live, trouble = c.readBatched(ctx, p, dev, how.kind)
	} else {
		live, _, trouble = c.read(ctx, c.reads, p, dev, "full", how.kind)
	}
	if live.Status != policy.LiveFound {
		return live, trouble
	}
	around := c.around(ctx, p, live.Device)
	if how.kind == action.CallCheck && !how.last {
		how.kind = around.kind()
	}
	if how.batched && c.besides(ctx, p, &live, around, newestWithin) {
		return live, nil
	}
	live.SameNamed, trouble = c.sameNamed(ctx, p, live.Device, how.kind)
	if trouble != nil {
		return c.failed(trouble), trouble
	}
	live.SameNamed = append(live.SameNamed, around.namelessBeside(live.Device, live.SameNamed)...)
	c.correct(ctx, p, append([]policy.Device{live.Device}, live.SameNamed...))
	n := newest()
	if n.trouble != nil {
		return c.failed(n.trouble), n.trouble
	}
	if !n.value.IsZero() {
		live.NewestSeenAt = policy.Is(n.value)
	}
	return live, nil
}

// Present implements [action.Central] by one read.
func (c *Client) Present(ctx context.Context, dev action.Ref) (policy.Live, *action.Trouble) {
	p, live, trouble := c.locate(ctx, c.reads, dev)
	if trouble != nil {
		return live, trouble
	}
	live, _, trouble = c.read(ctx, c.reads, p, dev, "basic", action.CallSingle)
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
func (c *Client) read(ctx context.Context, a *account, p place, dev action.Ref, view string, kind action.CallKind) (policy.Live, []byte, *action.Trouble) {
	r, trouble := a.get(ctx, request{what: whatDevice, limit: maxSingle, header: p.header(), kind: kind,
		url: p.url(url.Values{"view": {view}}, url.PathEscape(dev.EndpointID))})
	if trouble != nil {
		if trouble.Outage || trouble.Status == http.StatusUnauthorized || trouble.Status == http.StatusForbidden || trouble.Status == http.StatusNotFound {
			a.distrust(dev.TenantID)
		}
		return c.failed(trouble), nil, trouble
	}
	live := policy.Live{At: c.now(), CentralTime: clockOf(r.header)}
	if r.notFound() {
		c.remove(ctx, dev)
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
