package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/action"
	"rollcall/internal/policy"
)

// BenchmarkEvaluateBesideLargeSets measures evaluate with evidence beside a
// thousand, a hundred thousand and a million deleted devices and open tickets; the
// figures are times, and their ratios to the first.
//
//	go test -run '^$' -bench LargeSets -benchtime 3x ./internal/httpapi
func BenchmarkEvaluateBesideLargeSets(b *testing.B) {
	url := benchRedis(b)
	var handler http.Handler
	s := benchSystem(b, url, &handler)
	opt, err := redis.ParseURL(url)
	if err != nil {
		b.Fatal(err)
	}
	rdb := redis.NewClient(opt)
	defer func() { _ = rdb.Close() }()
	seen := s.act("verify-live", map[string]any{"event": s.sample["eligible"].Event})
	body, err := json.Marshal(map[string]any{"event": s.sample["eligible"].Event, "evidence": seen.is("token")})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		first := 0.0
		filled := 0
		for _, size := range []int{1000, 100_000, 1_000_000} {
			fill(b, rdb, filled, size)
			filled = size
			per := 1e6 / rate(b, handler, body)
			if first == 0 {
				first = per
			}
			b.ReportMetric(per/first, fmt.Sprintf("ratio-%d", size))
		}
		rdb.Del(b.Context(), "rollcall:{"+tenant+"}:deleted", "rollcall:{"+tenant+"}:tickets:open")
	}
	b.ReportMetric(0, "ns/op")
}

// fill puts members into both sets.
func fill(b *testing.B, rdb *redis.Client, from, to int) {
	b.Helper()
	for at := from; at < to; at += 5000 {
		rows := make([]redis.Z, 0, 5000)
		for i := at; i < min(at+5000, to); i++ {
			rows = append(rows, redis.Z{Score: float64(i), Member: fmt.Sprintf("00000000-0000-4000-8000-%012d", i)})
		}
		for _, set := range []string{"deleted", "tickets:open"} {
			if err := rdb.ZAdd(b.Context(), "rollcall:{"+tenant+"}:"+set, rows...).Err(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkBytesPerDevice tells what a device on the snapshot, and a deleted one,
// takes in Redis.
func BenchmarkBytesPerDevice(b *testing.B) {
	const many = 2000
	url := benchRedis(b)
	s := newSystem(b, setup{redisURL: url})
	s.change(func(r *action.Rules) { r.Params.Limits.PerDay = []int{1 << 20} })
	opt, err := redis.ParseURL(url)
	if err != nil {
		b.Fatal(err)
	}
	rdb := redis.NewClient(opt)
	defer func() { _ = rdb.Close() }()
	events := s.many(many)
	for b.Loop() {
		before := used(b, rdb)
		live := s.onSnapshotOf(b, many)
		b.ReportMetric(float64(used(b, rdb)-before)/float64(live), "B/rolled")
		before = used(b, rdb)
		s.removeAll(events[:200])
		b.ReportMetric(float64(used(b, rdb)-before)/200, "B/deleted")
	}
	b.ReportMetric(0, "ns/op")
}

// removeAll evaluates and deletes.
func (s *system) removeAll(events []map[string]any) {
	for _, e := range events {
		a := s.want(s.act("evaluate", map[string]any{"event": e}), "delete", "")
		s.want(s.remove(a.is("token")), "deleted", "")
	}
}

// onSnapshotOf installs a snapshot of all devices of the tenant.
func (s *system) onSnapshotOf(b *testing.B, n int) int {
	b.Helper()
	devices := eligibleDevices(n)
	s.inventoryRead(devices...)
	return n
}

// used is what all keys take in Redis. Its memory as a whole also holds what the
// last calls have left in buffers.
func used(b *testing.B, rdb *redis.Client) (bytes int64) {
	b.Helper()
	keys, err := rdb.Keys(b.Context(), "*").Result()
	if err != nil {
		b.Fatal(err)
	}
	for _, key := range keys {
		n, err := rdb.MemoryUsage(b.Context(), key, 0).Result() // 0: every part of it is counted
		if err != nil {
			b.Fatal(err)
		}
		bytes += n
	}
	return bytes
}

// eligibleDevices are devices as they stand on a snapshot.
func eligibleDevices(n int) []policy.Device {
	out := make([]policy.Device, n)
	for i := range out {
		out[i] = policy.Device{
			ID: policy.Is(fmt.Sprintf("00000000-0000-4000-8000-%012d", i)), TenantID: policy.Is(tenant), Hostname: policy.Is(fmt.Sprintf("WS-FIN-%05d", i)),
			Type: policy.Is("computer"), Platform: policy.Is("windows"), OSName: policy.Is("Windows 11 Pro"), IsServer: policy.Is(false),
			LastSeenAt: policy.Is(time.Now().UTC()), Online: policy.Is(true), SerialNumber: policy.Is(fmt.Sprintf("SN%08d", i)),
			MACAddresses: []string{"02:00:5E:00:00:01"},
		}
	}
	return out
}
