package central

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/policy"
)

// turns is a roll that keeps a reading's turn so many times.
type turns struct {
	action.Roll
	left int
	err  error
}

func (r *turns) Expect(context.Context, string, string, time.Duration) error {
	if r.left--; r.left < 0 {
		return r.err
	}
	return nil
}

func TestAReadingKeepsItsTurnWhileItWaitsAndEndsWithoutIt(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want time.Duration
	}{
		"another has it":     {fmt.Errorf("roll: %w", action.ErrNotTheTurn), 6 * rollTurn / 4},
		"the store is away":  {action.ErrState, time.Hour},
		"its time is up too": {nil, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				start := time.Now()
				r := &reading{c: &Client{roll: &turns{left: 5, err: tt.err}}}
				r.keepTurn(ctx, cancel)
				if got := time.Since(start); got != tt.want {
					t.Errorf("it went on for %s, want %s", got, tt.want)
				}
			})
		})
	}
}

// slow is a roll that does not answer.
type slow struct{ action.Roll }

func (slow) Forget(ctx context.Context, _ action.Ref) error { <-ctx.Done(); return ctx.Err() }

func TestADeviceIsTakenOffTheRollThoughTheCallerHasNoMoreTime(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	b := &book{}
	(&Client{roll: b}).offRoll(over, dev)
	if !slices.Equal(b.gone, []string{deviceID}) {
		t.Errorf("taken off: %q", b.gone)
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		(&Client{roll: slow{}}).offRoll(t.Context(), dev)
		if got := time.Since(start); got != rollLeave {
			t.Errorf("it was waited for %s", got)
		}
	})
}

// Only Central's own 404 takes a device off the roll.
func TestOnlyA404OfCentralsOwnTakesADeviceOffTheRoll(t *testing.T) {
	gone := action.Ref{TenantID: tenantID, EndpointID: other}
	for name, tt := range map[string]struct {
		fault *centralsim.Fault
		want  int
	}{
		"Central's own":       {nil, 1},
		"one of another form": {&centralsim.Fault{Status: http.StatusNotFound, Body: "<html>", ContentType: "text/html"}, 0},
		"a failure":           {&centralsim.Fault{Status: http.StatusInternalServerError}, 0},
		"no answer":           {&centralsim.Fault{Drop: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			b := &book{}
			r.Client = r.another(t, func(o *Options) { o.Roll = b })
			r.look(t.Context(), t)
			if tt.fault != nil {
				tt.fault.Path, tt.fault.Times = devices+"/"+other, centralsim.Always
				r.sim.Fault(*tt.fault)
			}
			if _, _ = r.Present(t.Context(), gone); len(b.gone) != tt.want {
				t.Errorf("taken off: %q, want %d", b.gone, tt.want)
			}
		})
	}
}

// twins are records of one name on a roll; those of the first so many are in
// Central, too, under the name that it has now.
func twins(r *rig, n, present int, now string) []policy.Device {
	out := make([]policy.Device, n)
	for i := range out {
		id := fmt.Sprintf("cccccccc-0000-4000-8000-%012d", i)
		out[i] = policy.Device{ID: policy.Is(id), Hostname: policy.Is("PC-OLD-17"), LastSeenAt: policy.Is(r.clock().Add(-time.Hour))}
		if i < present {
			r.sim.Put(tenantID, machine(id, now, r.clock().Add(-time.Minute)))
		}
	}
	return out
}

// Twins that the roll knows are asked for by their ids where they are few: those
// that are gone, or have another name now, stand beside nobody.
func TestFewTwinsOnTheRollAreAskedFor(t *testing.T) {
	for name, tt := range map[string]struct {
		twins, present int
		now            string
		change         func(d *policy.Device)
		want, gone     int
	}{
		"there":               {2, 2, "pc-old-17.corp.example.test", nil, 2, 0},
		"one is gone":         {3, 2, "PC-OLD-17", nil, 2, 1},
		"all are gone":        {3, 0, "", nil, 0, 3},
		"they are renamed":    {2, 2, "PC-NEW", nil, 0, 0},
		"too many":            {4, 0, "", nil, 4, 0},
		"its name is unclear": {1, 0, "", func(d *policy.Device) { d.Hostname = policy.Garbled[string]() }, 1, 0},
		"its id is no UUID":   {1, 0, "", func(d *policy.Device) { d.ID = policy.Is("odd") }, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, nil)
			b := &book{state: action.RollState{At: r.clock(), Heard: r.clock(), Newest: r.clock(), Asked: 1}, named: twins(r, tt.twins, tt.present, tt.now)}
			if tt.change != nil {
				tt.change(&b.named[0])
			}
			r.Client = r.another(t, func(o *Options) { o.Roll = b })
			live, trouble := r.Look(t.Context(), dev, time.Hour, false)
			if trouble != nil || len(live.SameNamed) != tt.want+1 || live.SameNamed[0].ID.Value != deviceID || len(b.gone) != tt.gone {
				t.Errorf("%d same-named, %d taken off (%+v); want %d and %d", len(live.SameNamed), len(b.gone), trouble, tt.want+1, tt.gone)
			}
			for _, d := range live.SameNamed[1:] {
				if at := d.LastSeenAt.Value; tt.present > 0 && !at.Equal(r.clock().Add(-time.Minute)) {
					t.Errorf("a twin as the roll has it: seen at %s", at)
				}
			}
			for _, c := range r.sim.Journal() {
				if c.Query.Has("hostnameContains") {
					t.Error("Central was searched")
				}
			}
		})
	}
}

// A roll's age is told by the ledger's clock, and so far as that may have stepped back
// by this process's; what Central is asked for, by those of who read.
func TestTheRollsAgeIsToldByTheLedgersClock(t *testing.T) {
	r := newRig(t, nil, nil)
	ledger := r.clock().Add(-3 * time.Hour)
	b := &book{state: action.RollState{Now: ledger, At: ledger.Add(-9 * time.Minute), Heard: r.clock().Add(-14 * time.Minute), Newest: r.clock(), Asked: 1}}
	r.Client = r.another(t, func(o *Options) { o.Roll = b })
	if _, trouble := r.Look(t.Context(), dev, time.Hour, false); trouble != nil {
		t.Fatal(trouble)
	}
	if n := r.sim.Count(http.MethodGet, devices); n != 1 {
		t.Errorf("%d calls beside a young roll", n)
	}
	for name, tt := range map[string]struct {
		at, whole time.Duration // ago, by the ledger's clock; zero = never
		heard     time.Duration // ago, by the clock of who read it; zero = nobody said
		since     time.Duration // ago, by this process's; zero = all are read
	}{
		"no roll":                     {0, 0, 0, 0},
		"a young one":                 {6 * time.Minute, time.Hour, 7 * time.Minute, 17 * time.Minute},
		"one of some hours":           {11 * time.Hour, 11 * time.Hour, 11 * time.Hour, 11*time.Hour + 10*time.Minute},
		"too long since all":          {6 * time.Minute, 13 * time.Hour, 6 * time.Minute, 0},
		"too old":                     {11 * time.Hour, 11 * time.Hour, 13 * time.Hour, 0},
		"of a time to come":           {-time.Minute, time.Hour, time.Minute, 11 * time.Minute},
		"older than its clock says":   {6 * time.Minute, time.Hour, 3 * time.Hour, 3*time.Hour + 10*time.Minute},
		"whole in the future":         {6 * time.Minute, -time.Hour, 6 * time.Minute, 0},
		"one of which nobody said it": {6 * time.Minute, time.Hour, 0, 0},
	} {
		st := action.RollState{At: ledger.Add(-tt.at), Whole: ledger.Add(-tt.whole), Heard: r.clock().Add(-tt.heard)}
		if tt.heard == 0 {
			st.Heard = time.Time{}
		}
		if tt.at == 0 {
			st = action.RollState{}
		}
		read := &reading{c: r.Client, state: st}
		read.begin(ledger)
		if got := r.clock().Sub(read.since); tt.since == 0 != read.since.IsZero() || tt.since != 0 && got != tt.since {
			t.Errorf("%s: since %s ago, want %s", name, got, tt.since)
		}
		if !read.state.At.Equal(ledger) || read.since.IsZero() && !read.state.Whole.Equal(ledger) {
			t.Errorf("%s: %+v", name, read.state)
		}
	}
}

// ledgerless is a roll that refuses each reading's pages.
type ledgerless struct {
	book
	begun atomic.Bool
	given chan error
}

func (l *ledgerless) BeginReading(context.Context, string, string, time.Time, time.Duration) (time.Time, bool, error) {
	return time.Unix(1, 0), l.begun.CompareAndSwap(false, true), nil
}

func (l *ledgerless) Write(context.Context, string, string, []policy.Device) error {
	return action.ErrNotTheTurn
}

func (l *ledgerless) Expect(context.Context, string, string, time.Duration) error {
	return action.ErrNotTheTurn
}

func (l *ledgerless) GiveUp(_ context.Context, _, reading string, rest time.Duration) error {
	if reading == "" || rest != rollAgain {
		l.given <- errors.New(reading + rest.String())
		return nil
	}
	l.given <- nil
	return nil
}

func TestAReadingThatIsRefusedIsGivenUp(t *testing.T) {
	r := newRig(t, nil, nil)
	for i := range 600 {
		r.sim.Put(tenantID, machine(fmt.Sprintf("dddddddd-0000-4000-8000-%012d", i), "X", r.clock()))
	}
	l := &ledgerless{book: book{state: action.RollState{Asked: rollWorth, Failed: r.clock()}}, given: make(chan error, 1)}
	told := make(chan Reading, 1)
	r.Client = r.another(t, func(o *Options) { o.Roll, o.Told = l, func(r Reading) { told <- r } })
	if live, trouble := r.Look(t.Context(), dev, time.Hour, false); live.Status != policy.LiveFound {
		t.Fatalf("after a reading that failed Central is asked itself: %+v", trouble)
	}
	if err := <-l.given; err != nil {
		t.Error(err)
	}
	if got := <-told; !errors.Is(got.Err, action.ErrNotTheTurn) || got.TenantID != tenantID || !got.Whole || got.Devices == 0 {
		t.Errorf("told %+v", got)
	}
	for _, c := range r.sim.Journal() {
		if c.Query.Has("pageFromKey") && strings.Contains(c.Query.Get("sort"), "id") {
			t.Error("it read on")
		}
	}
}
