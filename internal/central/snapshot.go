package central

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// The times of the snapshot.
const (
	snapshotRenew   = 5 * time.Minute  // older than that it is refreshed, aside, while it is asked for
	snapshotOverlap = 10 * time.Minute // a refresh looks so much further back than the last one
	snapshotClocks  = 15 * time.Minute // how old a young snapshot may be by this process's clock
	snapshotWhole   = 12 * time.Hour   // after which all devices are read anew: a device that left Central is on no increment
	snapshotWrite   = 500 * time.Millisecond
	snapshotPoll    = 250 * time.Millisecond // how often a look that waits for it asks
	// snapshotWorth is how many must ask within two to four minutes to make a reading of
	// the whole inventory worth its pages; fewer are better served by a search each.
	snapshotWorth = 10
	// pageTakes is how long a page takes where Central's limits for the minute are the
	// strictest that are known, and bulk reads have their share.
	pageTakes = time.Second
)

// Of twins that the snapshot knows so many are asked for by their ids, within this time.
const (
	twinsMost = 3
	twinsTime = time.Second
)

// view is what the snapshot shows of a device, and of those beside it.
type view struct {
	action.SnapshotFinds
	young bool // it may answer
}

// view asks the snapshot for a device, and has it renewed where that is due.
func (c *Client) view(ctx context.Context, p place, dev action.Ref) view {
	v := c.seen(ctx, p, dev.EndpointID, nil)
	st := v.State
	if st.Asked >= snapshotWorth && (!v.young || st.Now.Sub(st.At) > snapshotRenew) {
		v.State.Reading = c.renew(ctx, p, st) || st.Reading
	}
	return v
}

// await waits for a snapshot that is being read, for three quarters of the
// caller's time. A long reading is not waited for.
func (c *Client) await(ctx context.Context, p place, dev action.Ref) view {
	till := time.Now().Add(c.timeout)
	if deadline, ok := ctx.Deadline(); ok {
		till = time.Now().Add(time.Until(deadline) * 3 / 4)
	}
	for {
		v := c.seen(ctx, p, dev.EndpointID, &policy.Device{})
		soon := v.State.Reading && v.State.Left <= readingLong && time.Now().Add(snapshotPoll).Before(till)
		if v.young || !soon || pause(ctx, snapshotPoll, whatReading) != nil {
			return v
		}
	}
}

// around asks the snapshot for what lies beside a device that was read.
func (c *Client) around(ctx context.Context, p place, dev policy.Device) view {
	return c.seen(ctx, p, dev.ID.Value, &dev)
}

// seen asks the snapshot. One that can't be asked is none. The ledger's clock may have
// stepped back, so this process's must say the same of its age.
func (c *Client) seen(ctx context.Context, p place, endpointID string, dev *policy.Device) (v view) {
	if c.snaps == nil {
		return v
	}
	finds, err := c.snaps.Beside(ctx, p.tenantID, endpointID, dev)
	if err != nil {
		return v
	}
	return view{finds, finds.State.Young() && c.now().Sub(finds.State.Central) <= snapshotClocks}
}

// kind is how Central is asked in the snapshot's place: while a reading is under way,
// with what that leaves of the budget.
func (v view) kind() action.CallKind {
	if !v.young && v.State.Reading {
		return action.CallSpare
	}
	return action.CallCheck
}

// sooner is when to come again: when a call is free, or the snapshot is there.
func (v view) sooner(wait time.Duration) time.Duration {
	if v.young || v.State.Left == 0 {
		return wait
	}
	return min(wait, time.Duration(v.State.Left+readingLong)*pageTakes)
}

// itself finds a device on the snapshot.
func (v view) itself(id string) (policy.Device, bool) {
	i := slices.IndexFunc(v.Devices, func(d policy.Device) bool { return strings.EqualFold(d.ID.Value, id) })
	if !v.young || i < 0 {
		return policy.Device{}, false
	}
	return v.Devices[i], true
}

// namelessBeside are the devices without a readable name that are the same machine as
// one, and not among others: no search by name finds them.
func (v view) namelessBeside(dev policy.Device, among []policy.Device) (out []policy.Device) {
	same, _ := namesakes(v.Devices, dev)
	for _, d := range same {
		known := func(o policy.Device) bool { return strings.EqualFold(o.ID.Value, d.ID.Value) }
		if v.young && nameless(d) && !known(dev) && !slices.ContainsFunc(among, known) {
			out = append(out, d)
		}
	}
	return out
}

// fromSnapshot is a look that asks Central nothing; false where the device is not on a
// young snapshot.
func (c *Client) fromSnapshot(ctx context.Context, p place, dev action.Ref, v view, newestWithin time.Duration) (policy.Live, bool) {
	d, ok := v.itself(dev.EndpointID)
	if !ok {
		return policy.Live{}, false
	}
	live := policy.Live{Status: policy.LiveFound, Device: d, FromSnapshot: true, CentralTime: policy.Is(v.State.Central)}
	ok = c.besides(ctx, p, &live, v, newestWithin)
	live.At, live.BesideAt = live.BesideAt, time.Time{}
	return live, ok
}

// besides adds from the snapshot what lies beside a device; false where Central is to be
// asked itself. That is also where the device is not on the snapshot: there may be others
// of its name that are not on it, too. A record that has changed is put right.
func (c *Client) besides(ctx context.Context, p place, live *policy.Live, v view, newestWithin time.Duration) bool {
	was, ok := v.itself(live.Device.ID.Value)
	if !ok {
		return false
	}
	if !alike(was, live.Device) {
		c.correct(ctx, p, []policy.Device{live.Device})
	}
	others := slices.DeleteFunc(slices.Clone(v.Devices), func(d policy.Device) bool { return strings.EqualFold(d.ID.Value, live.Device.ID.Value) })
	same, _ := namesakes(others, live.Device)
	live.SameNamed = append([]policy.Device{live.Device}, c.confirm(ctx, p, live.Device, same)...) // itself as it was read, not as it was
	live.BesideAt = c.now().Add(v.State.At.Sub(v.State.Now))
	if newest := v.State.Newest; !newest.IsZero() && !newest.Before(c.now().Add(-newestWithin)) {
		live.NewestSeenAt = policy.Is(newest)
	}
	return true
}

// alike reports whether two records are kept in the same form.
func alike(a, b policy.Device) bool {
	one, err := json.Marshal(a)
	other, otherErr := json.Marshal(b)
	return err == nil && otherErr == nil && bytes.Equal(one, other)
}

// confirm asks for a device's twins by their ids, where they are few: one that left
// Central stands on the snapshot until all devices are read anew, and would hold up the
// device as long. One that can't be read stays as it is.
func (c *Client) confirm(ctx context.Context, p place, dev policy.Device, twins []policy.Device) []policy.Device {
	if len(twins) == 0 || len(twins) > twinsMost {
		return twins
	}
	ctx, cancel := context.WithTimeout(ctx, twinsTime)
	defer cancel()
	now := make([]policy.Live, len(twins))
	var work sync.WaitGroup
	for i, d := range twins {
		if isUUID(d.ID.Value) {
			work.Go(func() {
				now[i], _ = c.readBatched(ctx, p, action.Ref{TenantID: p.tenantID, EndpointID: d.ID.Value}, action.CallCheck)
			})
		}
	}
	work.Wait()
	var out []policy.Device
	for i, d := range twins {
		switch now[i].Status {
		case policy.LiveNotFound:
			continue
		case policy.LiveFound:
			d = now[i].Device
			c.correct(ctx, p, []policy.Device{d})
		default: // as the snapshot has it
		}
		out = append(out, d)
	}
	out, _ = namesakes(out, dev)
	return out
}

// remove takes a device off the snapshot of which Central said that it has none, also
// where the caller has no more time. What fails here is made good when the device is
// next asked for, or when all are read anew.
func (c *Client) remove(ctx context.Context, dev action.Ref) {
	c.write(ctx, func(ctx context.Context) error { return c.snaps.Remove(ctx, dev) })
}

// correct puts devices on the snapshot as Central has just shown them. Else a device that
// has changed, or came into Central with a last-seen time of long ago, is on no increment,
// and each evaluation would send to a delete that refuses.
func (c *Client) correct(ctx context.Context, p place, devices []policy.Device) {
	known := slices.DeleteFunc(slices.Clone(devices), func(d policy.Device) bool { return !d.ID.Known() })
	c.write(ctx, func(ctx context.Context) error { return c.snaps.Put(ctx, p.tenantID, known) })
}

// write does something to the snapshot, if there is one.
func (c *Client) write(ctx context.Context, do func(context.Context) error) {
	if c.snaps == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), snapshotWrite)
	defer cancel()
	_ = do(ctx)
}
