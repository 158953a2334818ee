package ledger_test

import (
	"cmp"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/action"
	"rollcall/internal/ledger"
)

// strictRates are the stricter of the two published limits.
func strictRates() []ledger.Rate {
	return []ledger.Rate{{Calls: 10, Per: time.Second}, {Calls: 100, Per: time.Minute}, {Calls: 1000, Per: time.Hour}, {Calls: 200_000, Per: 24 * time.Hour}}
}

// moment is when a call is to be made, on the tests' clock, as far as can be told
// from outside: at the earliest, and at the latest.
type moment struct{ from, to time.Duration }

// within is the most calls that are certainly within any window.
func within(calls []moment, per time.Duration) int {
	slices.SortFunc(calls, func(a, b moment) int { return cmp.Compare(a.from, b.from) })
	most := 0
	for i, last := range calls {
		n := 0
		for _, c := range calls[:i+1] {
			if last.to-c.from < per {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// book books a call and says when it is to be made.
func (r *rig) book(tb testing.TB, b *ledger.Budget, kind action.CallKind, most time.Duration) (moment, bool) {
	tb.Helper()
	clock := func() time.Duration {
		return time.Duration(time.Now().Add(time.Duration(r.offset.Load())).UnixNano())
	}
	from := clock()
	wait, booked, err := b.Book(tb.Context(), "client", kind, most)
	if err != nil {
		tb.Fatal(err)
	}
	return moment{from + wait, clock() + wait}, booked
}

// On the real store alone: that the embedded one runs the script in the same way is
// for the other tests, and it takes ten times as long.
func TestNoWindowOfTheBudgetIsEverPassed(t *testing.T) {
	r := marked(t, realRedis(t))
	replicas := []*ledger.Budget{r.Budget(strictRates()), r.replica(t).Budget(strictRates())}
	rapid.Check(t, func(rt *rapid.T) {
		r.rdb.FlushAll(t.Context())
		var calls, bulk []moment
		for range rapid.IntRange(50, 400).Draw(rt, "calls") {
			kind := rapid.SampledFrom([]action.CallKind{action.CallSingle, action.CallBulk, action.CallCheck, action.CallSpare}).Draw(rt, "kind")
			most := rapid.SampledFrom([]time.Duration{0, 4 * time.Second, time.Minute, 24 * time.Hour}).Draw(rt, "most")
			at, booked := r.book(t, replicas[rapid.IntRange(0, 1).Draw(rt, "replica")], kind, most)
			if booked {
				calls = append(calls, at)
				if kind == action.CallBulk {
					bulk = append(bulk, at)
				}
			}
			r.pass(rapid.SampledFrom([]time.Duration{0, 0, 0, time.Millisecond, 300 * time.Millisecond, 20 * time.Second, 20 * time.Minute}).Draw(rt, "pass"))
		}
		for _, w := range strictRates() {
			if n := within(calls, w.Per); n > w.Calls {
				rt.Errorf("%d calls in %s", n, w.Per)
			}
			if n := within(bulk, w.Per); n > w.Calls*7/10 {
				rt.Errorf("%d bulk calls in %s", n, w.Per)
			}
		}
	})
}

func TestABudgetIsSpentWholeByManyAtOnce(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		var mu sync.Mutex
		booked, refused := 0, 0
		begun := time.Now()
		var work sync.WaitGroup
		for range 4 {
			b := r.replica(t).Budget(strictRates())
			work.Go(func() {
				for range 50 {
					_, ok, err := b.Book(t.Context(), "client", action.CallSingle, 2500*time.Millisecond)
					mu.Lock()
					if err != nil {
						t.Error(err)
					} else if ok {
						booked++
					} else {
						refused++
					}
					mu.Unlock()
				}
			})
		}
		work.Wait()
		most := 20 + 10*int((2500*time.Millisecond+time.Since(begun)).Seconds()) // ten a second, for the time that they would wait
		if booked < 30 || booked > most || booked+refused != 200 {
			t.Errorf("%d booked, %d refused", booked, refused)
		}
	})
}

func TestARefusalSaysWhenAskingAgainMakesSense(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		b := r.Budget([]ledger.Rate{{Calls: 2, Per: time.Minute}})
		begun := time.Now()
		for range 2 {
			if _, ok := r.book(t, b, action.CallSingle, 0); !ok {
				t.Fatal("refused")
			}
		}
		wait, ok, err := b.Book(t.Context(), "client", action.CallSingle, 4*time.Second)
		if err != nil || ok || wait < 59*time.Second-time.Since(begun) || wait > 63*time.Second {
			t.Fatalf("%s %t %v", wait, ok, err)
		}
		if _, ok, _ := b.Book(t.Context(), "another client", action.CallSingle, 0); !ok {
			t.Error("another credential pays for this one")
		}
		r.pass(wait)
		if _, ok := r.book(t, b, action.CallSingle, 100*time.Millisecond); !ok {
			t.Error("refused again after the time that was named")
		}
	})
}

func TestBulkReadsLeaveAShare(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		b := r.Budget([]ledger.Rate{{Calls: 10, Per: time.Minute}})
		n := 0
		for range 20 {
			if _, ok := r.book(t, b, action.CallBulk, 0); ok {
				n++
			}
		}
		if n != 7 {
			t.Errorf("%d bulk reads, want 7", n)
		}
		for i := range 3 {
			if _, ok := r.book(t, b, action.CallSingle, 0); !ok {
				t.Errorf("single call %d is refused", i)
			}
		}
	})
}

// Reads for verdicts leave a tenth of every window to the deletes, and while a large
// inventory is read the minute but for a fifth.
func TestEachKindOfCallHasItsShare(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		for name, tt := range map[string]struct {
			rate ledger.Rate
			kind action.CallKind
			want int
		}{
			"bulk, of a minute":   {ledger.Rate{Calls: 20, Per: time.Minute}, action.CallBulk, 14},
			"checks, of a minute": {ledger.Rate{Calls: 20, Per: time.Minute}, action.CallCheck, 18},
			"checks, of an hour":  {ledger.Rate{Calls: 20, Per: time.Hour}, action.CallCheck, 18},
			"spare, of a second":  {ledger.Rate{Calls: 20, Per: time.Second}, action.CallSpare, 18},
			"spare, of a minute":  {ledger.Rate{Calls: 20, Per: time.Minute}, action.CallSpare, 4},
			"spare, of an hour":   {ledger.Rate{Calls: 20, Per: time.Hour}, action.CallSpare, 18},
			"deletes":             {ledger.Rate{Calls: 20, Per: time.Minute}, action.CallSingle, 20},
			"one call a minute":   {ledger.Rate{Calls: 1, Per: time.Minute}, action.CallSpare, 1},
		} {
			r.rdb.FlushAll(t.Context())
			b, n := r.Budget([]ledger.Rate{tt.rate}), 0
			for {
				if _, booked := r.book(t, b, tt.kind, 0); !booked {
					break
				}
				n++
			}
			if n != tt.want {
				t.Errorf("%s: %d calls, want %d", name, n, tt.want)
			}
			if _, booked := r.book(t, b, action.CallSingle, 0); booked != (n < tt.rate.Calls) {
				t.Errorf("%s: a delete's call behind them: %v", name, booked)
			}
		}
	})
}

func TestTheDayIsCounted(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		b := r.Budget([]ledger.Rate{{Calls: 100, Per: time.Hour}, {Calls: 150, Per: 24 * time.Hour}})
		booked := 0
		var last time.Duration
		for range 30 { // hours
			for range 10 {
				if wait, ok, err := b.Book(t.Context(), "client", action.CallSingle, 0); err != nil {
					t.Fatal(err)
				} else if ok {
					booked++
				} else {
					last = wait
				}
			}
			r.pass(time.Hour)
		}
		if booked < 150 || booked > 210 || last == 0 {
			t.Errorf("%d booked in 30 hours, last wait %s", booked, last)
		}
	})
}

func TestA429SlowsEverybody(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		b, other := r.Budget(strictRates()), r.replica(t).Budget(strictRates())
		begun := time.Now()
		for _, d := range []time.Duration{30 * time.Second, time.Second} { // the longer one holds
			if err := b.Slow(t.Context(), "client", d); err != nil {
				t.Fatal(err)
			}
		}
		wait, ok, err := other.Book(t.Context(), "client", action.CallSingle, time.Second)
		if err != nil || ok || wait < 28*time.Second-time.Since(begun) || wait > 31*time.Second {
			t.Errorf("%s %t %v", wait, ok, err)
		}
		r.pass(31 * time.Second)
		if _, ok := r.book(t, other, action.CallSingle, 0); !ok {
			t.Error("still slow")
		}
	})
}

// What a clock that was ahead has left behind is no limit of Central's: deletes could
// not be read back, nor devices watched for, until it has caught up.
func TestReviewWhatAClockThatWasAheadLeftBehindHoldsUpNobody(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, r *rig, b *ledger.Budget){
		"a pause": func(t *testing.T, _ *rig, b *ledger.Budget) {
			if err := b.Slow(t.Context(), "client", time.Minute); err != nil {
				t.Fatal(err)
			}
		},
		"a day that was used up": func(t *testing.T, r *rig, b *ledger.Budget) {
			for range 2 {
				r.book(t, b, action.CallSingle, time.Minute)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, r *rig) {
				b := r.Budget([]ledger.Rate{{Calls: 10, Per: time.Second}, {Calls: 2, Per: 24 * time.Hour}})
				r.pass(72 * time.Hour)
				leave(t, r, b)
				r.pass(-72 * time.Hour)
				if wait, ok, err := b.Book(t.Context(), "client", action.CallSingle, time.Second); !ok || err != nil {
					t.Errorf("refused for %s, %v", wait, err)
				}
			})
		})
	}
}

func TestAClockThatSteppedBackHoldsUpNobody(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		b := r.Budget(strictRates())
		r.pass(24 * time.Hour)
		r.book(t, b, action.CallSingle, 0)
		r.pass(-24 * time.Hour)
		if _, ok := r.book(t, b, action.CallSingle, time.Second); !ok {
			t.Error("refused")
		}
	})
}
