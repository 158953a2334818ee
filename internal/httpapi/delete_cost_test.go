package httpapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/action"
	"rollcall/internal/centralsim"
	"rollcall/internal/ledger"
)

// trips counts round trips: requests that go out while no answer was waited for.
type trips struct{ n atomic.Int64 }

// before stands before a Redis on a socket, and returns its own URL.
func (c *trips) before(tb testing.TB, redisURL string) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "trips") //nolint:usetesting // short: the path of a socket may not be long
	if err != nil {
		tb.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = ln.Close(); _ = os.RemoveAll(dir) })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go c.carry(conn, strings.TrimPrefix(redisURL, "unix://"))
		}
	}()
	return "unix://" + socket
}

// carry passes one connection on.
func (c *trips) carry(from net.Conn, socket string) {
	to, err := net.Dial("unix", socket)
	if err != nil {
		_ = from.Close()
		return
	}
	var answered atomic.Bool
	answered.Store(true)
	var both sync.WaitGroup
	both.Go(func() { pass(from, to, func() { c.count(&answered) }) })
	both.Go(func() { pass(to, from, func() { answered.Store(true) }) })
	both.Wait()
}

func (c *trips) count(answered *atomic.Bool) {
	if answered.CompareAndSwap(true, false) {
		c.n.Add(1)
	}
}

// pass copies until an end, and says when something came by.
func pass(from io.ReadCloser, to io.WriteCloser, seen func()) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			seen()
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func TestADeleteTakesThreeRoundTripsToRedis(t *testing.T) {
	var c trips
	s := newSystem(t, setup{redisURL: c.before(t, benchRedis(t))})
	s.want(s.remove(s.approved("INC-1", s.evaluate("vip").is("token"))), "deleted", "") // scripts are loaded, connections open
	for _, token := range []string{s.eligible(), s.approved("INC-2", s.evaluate("server").is("token"))} {
		c.n.Store(0)
		s.want(s.remove(token), "deleted", "")
		if n := c.n.Load(); n != 3 {
			t.Errorf("%d round trips", n)
		}
	}
}

// another puts an eligible device that is like the sample's into Central, and
// returns its event.
func (s *system) another(n int) (event map[string]any) {
	s.t.Helper()
	id, host := fmt.Sprintf("00000000-0000-4000-8000-%012d", n), fmt.Sprintf("WS-NEW-%05d", n)
	d := s.sample["eligible"]
	b, err := json.Marshal(map[string]any{"record": d.Record, "event": d.Event})
	if err != nil {
		s.t.Fatal(err)
	}
	hostname, _ := d.Record["hostname"].(string)
	text := strings.NewReplacer(d.ID, id, hostname, host).Replace(string(b))
	var made struct{ Record, Event map[string]any }
	if err := json.Unmarshal([]byte(text), &made); err != nil {
		s.t.Fatal(err)
	}
	s.sim.Put(tenant, made.Record)
	return made.Event
}

// BenchmarkDelete measures what a delete costs apart from Central's own time:
// beside it, in the same run, the same calls to Central are made by a plain
// client, one after another. The budget of calls is roomy, and counted.
//
//	go test -run '^$' -bench Delete -benchtime 200x ./internal/httpapi
func BenchmarkDelete(b *testing.B) {
	s := newSystem(b, setup{redisURL: benchRedis(b), rates: roomy()})
	s.change(func(r *action.Rules) { r.Params.Limits.PerDay = []int{1 << 20} })
	events := s.many(2000)
	s.beside(b, func(n int) func() {
		verdict := s.want(s.act("evaluate", map[string]any{"event": events[n]}), "delete", "")
		return func() { s.want(s.remove(verdict.is("token")), "deleted", "") }
	})
}

// BenchmarkVerifyLive measures what verify-live adds to Central's own time where
// it is called now and then.
//
//	go test -run '^$' -bench VerifyLive -benchtime 200x ./internal/httpapi
func BenchmarkVerifyLive(b *testing.B) {
	s := newSystem(b, setup{redisURL: benchRedis(b), rates: roomy(), snapshot: true})
	events := s.many(2000)
	s.beside(b, func(n int) func() {
		s.pass(3 * time.Minute) // nobody has asked lately
		return func() { s.want(s.act("verify-live", map[string]any{"event": events[n]}), "inactive", "") }
	})
}

// roomy is a budget that holds up nobody.
func roomy() []ledger.Rate {
	return []ledger.Rate{{Calls: 1000, Per: time.Second}, {Calls: 100_000, Per: time.Minute}, {Calls: 1_000_000, Per: 24 * time.Hour}}
}

// many puts eligible devices into Central and returns their events.
func (s *system) many(n int) (events []map[string]any) {
	s.t.Helper()
	for i := range n {
		events = append(events, s.another(i))
	}
	return events
}

// beside measures a step, which prepare makes ready, beside the calls to Central
// that it makes.
func (s *system) beside(b *testing.B, prepare func(n int) func()) {
	b.Helper()
	bearer := s.bearer()
	var all, floor, calls []float64
	n := 0
	for b.Loop() {
		step := prepare(n)
		before := len(s.sim.Journal())
		n++
		start := time.Now()
		step()
		all = append(all, time.Since(start).Seconds()*1000)
		made := s.sim.Journal()[before:]
		start = time.Now()
		for _, c := range made {
			if c.Method != http.MethodPost {
				s.repeat(bearer, c)
			}
		}
		floor = append(floor, time.Since(start).Seconds()*1000)
		calls = append(calls, float64(len(made)))
	}
	a, f := median(all), median(floor)
	b.ReportMetric(median(calls), "calls")
	b.ReportMetric(a, "ms")
	b.ReportMetric(f, "ms/Central")
	b.ReportMetric(a-f, "ms/own")
	b.ReportMetric(0, "ns/op")
}

// bearer is a token of the simulated Central.
func (s *system) bearer() string {
	s.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"id"}, "client_secret": {"secret"}, "scope": {"token"}}
	resp, err := http.PostForm(s.fake+"/api/v2/oauth2/token", form)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || out.AccessToken == "" {
		s.t.Fatal(resp.Status, err)
	}
	return out.AccessToken
}

// repeat makes a call of the journal once more.
func (s *system) repeat(bearer string, c centralsim.Entry) {
	s.t.Helper()
	req, err := http.NewRequest(c.Method, s.fake+c.Path+"?"+c.Query.Encode(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	if slices.Contains(c.Headers, "X-Tenant-Id") {
		req.Header.Set("X-Tenant-ID", c.Tenant)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}
