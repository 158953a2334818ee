package httpapi_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/centralsim"
)

// spoil does something to what this part keeps in the store: it loses keys, or parts
// of them, or mixes them up.
func spoil(ctx context.Context, rdb *redis.Client, rnd *rand.Rand) {
	keys := func(pattern string) string {
		all := rdb.Keys(ctx, pattern).Val()
		if len(all) == 0 {
			return "none"
		}
		return all[rnd.IntN(len(all))]
	}
	switch rnd.IntN(11) {
	case 0:
		rdb.Del(ctx, keys("rollcall:*:roll:*"))
	case 1:
		k := keys("rollcall:*:devices")
		if id := rdb.HRandField(ctx, k, 1).Val(); len(id) > 0 {
			rdb.HDel(ctx, k, id...)
		}
	case 2:
		k := keys("rollcall:*:index")
		rdb.ZPopMin(ctx, k)
	case 3:
		k := keys("rollcall:*:roll:state")
		if f := rdb.HRandField(ctx, k, 1).Val(); len(f) > 0 {
			rdb.HDel(ctx, k, f...)
		}
	case 4:
		rdb.Del(ctx, keys("rollcall:*:reads*"))
	case 5:
		rdb.Set(ctx, strings.ReplaceAll(keys("rollcall:*:reads"), "none", "x")+":turn", "nobody", 300*time.Millisecond)
	case 6:
		a, b := keys("rollcall:answers:*"), keys("rollcall:answers:*")
		if v := rdb.LPop(ctx, a).Val(); v != "" {
			rdb.RPush(ctx, b, v, v)
		}
	case 7:
		k := keys("rollcall:*:reads")
		if v := rdb.LIndex(ctx, k, 0).Val(); v != "" {
			rdb.RPush(ctx, k, v, "{odd", v)
		}
	case 8:
		rdb.Del(ctx, keys("rollcall:central:*"))
	case 9:
		rdb.HSet(ctx, keys("rollcall:*:roll:state"), "turn", "nobody", "till", time.Now().Add(time.Second).UnixMilli())
	case 10:
		k := keys("rollcall:*:roll:state")
		rdb.HDel(ctx, k, "minute") // so that fewer are seen to ask
	}
}

// Whatever becomes of what reads, roll and budget keep in the store, of a device that
// may not go nobody is told that it may.
func TestReviewASpoiledStoreTurnsNoVerdictIntoDelete(t *testing.T) {
	url, clock := benchRedis(t), &atomic.Int64{}
	first := newSystem(t, setup{redisURL: url, sameClock: clock, snapshot: true, central: 500 * time.Millisecond})
	rates := strict()
	rates[0].Calls, rates[1].Calls, rates[2].Calls = 100, 4000, 40000
	systems := []*system{first, newSystem(t, setup{redisURL: url, sameClock: clock, rates: rates, snapshot: true, sim: first.sim, tokens: first.tokens, central: 500 * time.Millisecond})}
	events := first.fleet(1300, 100)
	now := first.now().UTC().Format("2006-01-02T15:04:05.000Z")
	for i := range events {
		id := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
		r, _ := first.sim.Get(tenant, id)
		switch i % 4 {
		case 1:
			r["online"], r["lastSeenAt"] = true, now
		case 2:
			twin, _ := first.sim.Get(tenant, first.sample["online"].ID)
			twin["id"], twin["hostname"] = fmt.Sprintf("00000000-0000-4000-9000-%012d", i), strings.ToLower(fmt.Sprint(r["hostname"]))
			first.sim.Put(tenant, twin)
		case 3:
			r["hostname"] = fmt.Sprintf("WS-OTHER-%05d", i)
		}
		first.sim.Put(tenant, r)
	}
	first.sim.Fault(centralsim.Fault{Method: http.MethodGet, Times: centralsim.Always, Status: http.StatusTooManyRequests, RetryAfter: "0",
		When: func(*http.Request) bool { return rand.IntN(25) == 0 }})
	first.sim.Fault(centralsim.Fault{Method: http.MethodGet, Times: centralsim.Always, Drop: true, When: func(*http.Request) bool { return rand.IntN(25) == 0 }})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	rdb := rawRedis(t, url)
	var work sync.WaitGroup
	work.Go(func() {
		rnd := rand.New(rand.NewPCG(1, 2))
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				spoil(ctx, rdb, rnd)
			}
		}
	})
	var outcomes sync.Map
	for w := range 24 {
		s := systems[w%2]
		work.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 3))
			for ctx.Err() == nil {
				i := rnd.IntN(len(events))
				name := []string{"evaluate", "verify-live"}[rnd.IntN(2)]
				_, a := s.call(http.MethodPost, "/v1/actions/"+name, map[string]any{"event": events[i]})
				n, _ := outcomes.LoadOrStore(fmt.Sprint(i%4, " ", name, " ", a.is("outcome"), " ", a.is("reasonCode")), &atomic.Int64{})
				n.(*atomic.Int64).Add(1)
				wrong := name == "evaluate" && a.is("outcome") == "delete" && i%4 != 0 ||
					name == "verify-live" && a.is("outcome") == "inactive" && (i%4 == 1 || i%4 == 3)
				if id := a.is("endpointId"); wrong || id != "" && id != fmt.Sprintf("00000000-0000-4000-8000-%012d", i) {
					t.Errorf("device %d: %s: %v", i, name, a)
				}
			}
		})
	}
	work.Wait()
	outcomes.Range(func(k, v any) bool { t.Log(k, v.(*atomic.Int64).Load()); return true })
	shared := 0
	for _, c := range first.sim.Journal() {
		if strings.Contains(c.Query.Get("ids"), ",") {
			shared++
		}
	}
	t.Log(shared, "reads of many,", len(first.sim.Journal()), "calls")
}
