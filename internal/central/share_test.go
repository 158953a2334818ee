package central

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/ledger"
	"rollcall/internal/policy"
)

// sharers are clients of the same Central and the same Redis, each as another
// process has it, with a young roll that many ask. hand may stand between them.
func sharers(t *testing.T, r *rig, n int, hand func(i int, s action.SharedReads) action.SharedReads) []*Client {
	t.Helper()
	return sharersOn(t, r, miniredis.RunT(t), n, hand)
}

func sharersOn(t *testing.T, r *rig, redis *miniredis.Miniredis, n int, hand func(i int, s action.SharedReads) action.SharedReads) []*Client {
	t.Helper()
	out := make([]*Client, n)
	for i := range out {
		// Who can't ask in time reads for itself, and on a busy machine many come at once.
		store, err := ledger.Open(ledger.Options{URL: "redis://" + redis.Addr(), Timeout: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		out[i] = r.another(t, func(o *Options) {
			o.Roll = &book{state: action.RollState{At: r.clock(), Heard: r.clock(), Newest: r.clock(), Asked: rollBusy}}
			o.Shared, o.MergeWindow, o.MergeSize = store, 20*time.Millisecond, 40
			if hand != nil {
				o.Shared = hand(i, store)
			}
		})
	}
	return out
}

// lookedAt has each client look at so many devices at once: device i of client c
// has the number c*each+i.
func lookedAt(t *testing.T, r *rig, clients []*Client, each int) []looked {
	t.Helper()
	out := make([]looked, len(clients)*each)
	r.enrol(len(out))
	var work sync.WaitGroup
	for i := range out {
		work.Go(func() {
			out[i].live, out[i].trouble = clients[i/each].Look(t.Context(), nth(i), time.Hour, false)
		})
	}
	work.Wait()
	return out
}

// enrol puts the first n devices into Central, but for those that are there.
func (r *rig) enrol(n int) {
	for i := range n {
		id := nth(i).EndpointID
		if _, there := r.sim.Get(tenantID, id); !there {
			r.sim.Put(tenantID, machine(id, fmt.Sprintf("PC-%04d", i), r.clock().Add(-200*24*time.Hour)))
		}
	}
}

func nth(i int) action.Ref {
	return action.Ref{TenantID: tenantID, EndpointID: fmt.Sprintf("bbbbbbbb-0000-4000-8000-%012d", i)}
}

func TestProcessesReadTogether(t *testing.T) {
	r := newRig(t, nil, nil)
	var asked sync.WaitGroup
	asked.Add(80)
	clients := sharers(t, r, 4, together(&asked))
	for i, l := range lookedAt(t, r, clients, 20) {
		if l.live.Status != policy.LiveFound || l.live.Device.Hostname.Value != fmt.Sprintf("PC-%04d", i) || len(l.live.SameNamed) != 1 || !l.live.NewestSeenAt.Known() {
			t.Errorf("%d: %+v %+v", i, l.live, l.trouble)
		}
	}
	if n := r.sim.Count(http.MethodGet, devices); n != 2 {
		t.Errorf("%d calls for 80 devices of 4 processes that name 40 in a call, want 2", n)
	}
}

func TestWhatOneProcessFindsGoneIsGoneForWhoeverAsked(t *testing.T) {
	r := newRig(t, nil, nil)
	clients := sharers(t, r, 3, nil)
	lookedAt(t, r, clients, 1)
	for i := range 3 {
		r.sim.Remove(tenantID, nth(5*i+1).EndpointID)
	}
	var work sync.WaitGroup
	for i := range 15 {
		work.Go(func() {
			live, trouble := clients[i/5].Look(t.Context(), nth(i), time.Hour, false)
			want := policy.LiveFound
			if i%5 == 1 || i > 2 { // the others were never there
				want = policy.LiveNotFound
			}
			if live.Status != want || trouble != nil {
				t.Errorf("%d: %v, want %v: %+v", i, live.Status, want, trouble)
			}
		})
	}
	work.Wait()
}

func TestAFailureOfAReadForAllIsOwnForAll(t *testing.T) {
	r := newRig(t, nil, nil)
	var asked sync.WaitGroup
	asked.Add(30)
	clients := sharers(t, r, 3, together(&asked))
	r.sim.Fault(centralsim.Fault{Method: http.MethodGet, Path: devices, Status: http.StatusInternalServerError, Times: centralsim.Always, When: several})
	for i, l := range lookedAt(t, r, clients, 10) {
		if l.live.Status != policy.LiveFailed || l.trouble == nil || !l.trouble.Own || !l.live.Own || l.live.Problem != l.trouble.Text {
			t.Errorf("%d: %+v %+v", i, l.live, l.trouble)
		}
	}
}

// handed changes what one process sees of the reads that are shared.
type handed struct {
	action.SharedReads
	ask     error
	stands  func()          // called where it is another's turn
	idle    bool            // takes nothing
	asked   *sync.WaitGroup // nothing is taken before so many were asked
	take    func([]action.AskedRead) []action.AskedRead
	answers func([]action.ReadAnswer) []action.ReadAnswer
}

// together lets nobody take anything before all have asked.
func together(asked *sync.WaitGroup) func(int, action.SharedReads) action.SharedReads {
	return func(_ int, s action.SharedReads) action.SharedReads { return handed{SharedReads: s, asked: asked} }
}

func (h handed) Ask(ctx context.Context, tenant string, read action.AskedRead) error {
	if h.ask != nil {
		return h.ask
	}
	err := h.SharedReads.Ask(ctx, tenant, read)
	if h.asked != nil {
		h.asked.Done()
	}
	return err
}

func (h handed) Claim(ctx context.Context, tenant, taker string, turn time.Duration) (int, bool, error) {
	if h.idle {
		return 0, false, nil
	}
	if h.asked != nil {
		h.asked.Wait()
	}
	waiting, mine, err := h.SharedReads.Claim(ctx, tenant, taker, turn)
	if h.stands != nil && !mine {
		h.stands()
	}
	return waiting, mine, err
}

func (h handed) Take(ctx context.Context, tenant, taker string, most int, turn time.Duration) ([]action.AskedRead, error) {
	taken, err := h.SharedReads.Take(ctx, tenant, taker, most, turn)
	if h.take != nil {
		taken = h.take(taken)
	}
	return taken, err
}

func (h handed) Answers(ctx context.Context, asker string, wait time.Duration) ([]action.ReadAnswer, error) {
	got, err := h.SharedReads.Answers(ctx, asker, wait)
	if h.answers != nil {
		got = h.answers(got)
	}
	return got, err
}

func TestWhereNothingCanBeSharedEachReadsForItself(t *testing.T) {
	r := newRig(t, nil, nil)
	clients := sharers(t, r, 2, func(_ int, s action.SharedReads) action.SharedReads {
		return handed{SharedReads: s, ask: errors.New("no Redis")}
	})
	for i, l := range lookedAt(t, r, clients, 10) {
		if l.live.Status != policy.LiveFound {
			t.Errorf("%d: %+v", i, l.trouble)
		}
	}
}

// Who asked and was never answered has an end, and nothing counts against the
// device.
func TestReadsOfAProcessThatIsGoneAreNotKnown(t *testing.T) {
	r := newRig(t, nil, nil)
	clients := sharers(t, r, 1, func(_ int, s action.SharedReads) action.SharedReads {
		return handed{SharedReads: s, take: func([]action.AskedRead) []action.AskedRead { return nil }}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	live, trouble := clients[0].Look(ctx, dev, time.Hour, false)
	if live.Status != policy.LiveFailed || trouble == nil || !trouble.Own || trouble.Class != action.Transient {
		t.Errorf("%+v %+v", live, trouble)
	}
}

// Who took its turn and is gone holds up the others until the turn is over.
func TestTheTurnOfAProcessThatIsGoneEnds(t *testing.T) {
	r := newRig(t, nil, nil)
	redis := miniredis.RunT(t)
	clients := sharersOn(t, r, redis, 2, func(_ int, s action.SharedReads) action.SharedReads {
		return handed{SharedReads: s, stands: func() { redis.FastForward(mergeSlow / 4) }}
	})
	gone := clients[1].shared
	if err := gone.Ask(t.Context(), tenantID, action.AskedRead{Asker: "gone", Number: "1", EndpointID: deviceID}); err != nil {
		t.Fatal(err)
	}
	if _, mine, err := gone.Claim(t.Context(), tenantID, "gone", mergeSlow); !mine || err != nil {
		t.Fatal(mine, err)
	}
	for i, l := range lookedAt(t, r, clients, 5) {
		if l.live.Status != policy.LiveFound {
			t.Errorf("%d: %+v", i, l.trouble)
		}
	}
}

// Another's answer is held against the device that was asked for, whatever its
// number says.
func TestAnAnswerOfAnotherDeviceIsNone(t *testing.T) {
	r := newRig(t, nil, nil)
	clients := sharers(t, r, 2, func(i int, s action.SharedReads) action.SharedReads {
		h := handed{SharedReads: s}
		if i == 0 { // takes nothing, and hears what is not its own
			h.idle = true
			h.answers = func(got []action.ReadAnswer) []action.ReadAnswer {
				for i := range got {
					got[i].Live.Device.ID = policy.Is(nth(99).EndpointID)
				}
				return got
			}
		}
		return h
	})
	out := lookedAt(t, r, clients, 4)
	failed := slices.IndexFunc(out[:4], func(l looked) bool { return l.live.Status == policy.LiveFound })
	if failed >= 0 {
		t.Errorf("%d: %+v", failed, out[failed].live)
	}
	for i, l := range out[4:] {
		if l.live.Status != policy.LiveFound {
			t.Errorf("%d: %+v", i, l.trouble)
		}
	}
}

// A process whose own clock is wrong must find that out by what another read for
// it: it holds Central's clock against its own.
func TestTheTimeOfASharedReadIsOfTheClockOfWhoAsked(t *testing.T) {
	r := newRig(t, nil, nil)
	behind := r.clock().Add(-240 * time.Hour)
	clients := sharers(t, r, 2, func(i int, s action.SharedReads) action.SharedReads {
		h := handed{SharedReads: s}
		h.answers = func(got []action.ReadAnswer) []action.ReadAnswer {
			for i := range got {
				got[i].Live.At = behind
			}
			return got
		}
		return h
	})
	for i, l := range lookedAt(t, r, clients, 10) {
		if !l.live.At.Equal(r.clock()) || !l.live.CentralTime.Known() {
			t.Errorf("%d: %+v", i, l.live)
		}
	}
}
