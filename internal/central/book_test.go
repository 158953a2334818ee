package central

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// book is the snapshots of the tests, in memory: some devices, and what was done.
type book struct {
	action.Snapshots
	mu      sync.Mutex
	state   action.SnapshotState // read now, if it does not say when
	devices []policy.Device
	gone    []string // ids that were taken off
	put     []policy.Device
	late    chan struct{} // closed = may answer; nil = it may
}

func (b *book) Remove(ctx context.Context, dev action.Ref) error {
	if b.late != nil {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone = append(b.gone, dev.EndpointID)
	b.devices = slices.DeleteFunc(b.devices, func(d policy.Device) bool { return d.ID.Value == dev.EndpointID })
	return nil
}

func (b *book) Put(_ context.Context, _ string, devices []policy.Device) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put = append(b.put, devices...)
	return nil
}

func (b *book) Begin(context.Context, action.Reading) (bool, error) { return false, nil }

// Beside answers with all devices that there are: who asks picks.
func (b *book) Beside(_ context.Context, _, _ string, dev *policy.Device) (action.SnapshotFinds, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	st := b.state
	if st.Now.IsZero() {
		st.Now = st.At
	}
	return action.SnapshotFinds{State: st, Devices: slices.Clone(b.devices)}, nil
}

// young is a snapshot that was read just now.
func young(r *rig, devices ...policy.Device) *book {
	return &book{state: action.SnapshotState{At: r.clock(), Central: r.clock(), Newest: r.clock(), Asked: 1}, devices: devices}
}

// with is a client with a snapshot.
func (r *rig) with(tb testing.TB, b action.Snapshots) *Client {
	return r.another(tb, func(o *Options) { o.Snapshots = b })
}

// nth is the nth device of a crowd.
func nth(n int) action.Ref {
	return action.Ref{TenantID: tenantID, EndpointID: fmt.Sprintf("bbbbbbbb-0000-4000-8000-%012d", n)}
}

// enrol puts n devices into Central, and returns them as a snapshot has them.
func (r *rig) enrol(n int) (out []policy.Device) {
	for i := range n {
		m := machine(nth(i).EndpointID, fmt.Sprintf("PC-%04d", i), r.clock().Add(-200*24*time.Hour))
		delete(m, "serialNumber")
		r.sim.Put(tenantID, m)
		out = append(out, policy.Device{ID: policy.Is(nth(i).EndpointID), Hostname: policy.Is(fmt.Sprintf("PC-%04d", i))})
	}
	return out
}

// searches counts the searches by name.
func (r *rig) searches() (n int) {
	for _, c := range r.sim.Journal() {
		if c.Query.Has("hostnameContains") {
			n++
		}
	}
	return n
}

// until waits until ok holds.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	for !ok() && t.Context().Err() == nil {
		_ = pause(t.Context(), time.Millisecond, "")
	}
}

// several matches the ids of more than one device.
func several(ids string) bool { return strings.Contains(ids, ",") }
