package httpapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"
)

// A round's length and the number of callers at once.
const (
	roundTime = 500 * time.Millisecond
	callers   = 32
)

// BenchmarkEvaluateAgainstTheFloor measures evaluate with evidence, which makes
// no call to Central, over a real Redis, in rounds that alternate with the
// least that such a handler could do: bind, validate, one pipelined round trip.
// One iteration is one pair of rounds; the figures are the medians.
//
//	go test -run '^$' -bench Floor -benchtime 12x ./internal/httpapi
func BenchmarkEvaluateAgainstTheFloor(b *testing.B) {
	url := benchRedis(b)
	var handler http.Handler
	s := benchSystem(b, url, &handler)
	seen := s.act("verify-live", map[string]any{"event": s.sample["eligible"].Event})
	body, err := json.Marshal(map[string]any{"event": s.sample["eligible"].Event, "evidence": seen.is("token")})
	if err != nil {
		b.Fatal(err)
	}
	floor := floorHandler(b, url)
	var ratios, floors, evaluates []float64
	for b.Loop() {
		f, e := rate(b, floor, body), rate(b, handler, body)
		floors, evaluates, ratios = append(floors, f), append(evaluates, e), append(ratios, e/f)
	}
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(median(floors), "floor/s")
	b.ReportMetric(median(evaluates), "evaluate/s")
	b.ReportMetric(slices.Min(ratios), "lowest")
	b.ReportMetric(slices.Max(ratios), "highest")
	b.ReportMetric(0, "ns/op")
}

// rate is how many requests a second a handler answers.
func rate(b *testing.B, h http.Handler, body []byte) float64 {
	b.Helper()
	var done atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range callers {
		wg.Go(func() {
			for time.Since(start) < roundTime {
				req := httptest.NewRequest(http.MethodPost, "/v1/actions/evaluate", bytes.NewReader(body))
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Authorization", "Bearer dev")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, req)
				if w.Code != http.StatusOK {
					b.Errorf("%d %s", w.Code, w.Body)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(start).Seconds()
}

// floorHandler binds, validates and makes one pipelined round trip of three.
func floorHandler(b *testing.B, url string) http.Handler {
	b.Helper()
	opt, err := redis.ParseURL(url)
	if err != nil {
		b.Fatal(err)
	}
	rdb := redis.NewClient(opt)
	b.Cleanup(func() { _ = rdb.Close() })
	gin.SetMode(gin.ReleaseMode)
	g := gin.New()
	g.POST("/v1/actions/evaluate", func(c *gin.Context) {
		var in struct {
			Event struct {
				Directory struct {
					Hostname          string `binding:"required,max=255"`
					Domain            string `binding:"required,max=255"`
					DistinguishedName string `binding:"required,max=2048"`
				} `binding:"required"`
				Central struct {
					ID       string `binding:"required,uuid"`
					Hostname string `binding:"required,max=255"`
					Tenant   struct {
						ID string `binding:"required,uuid"`
					} `binding:"required"`
				} `binding:"required"`
			} `binding:"required"`
			Evidence string `binding:"required,max=4096"`
		}
		if err := c.ShouldBindJSON(&in); err != nil {
			c.String(http.StatusBadRequest, err.Error())
			return
		}
		pipe := rdb.Pipeline()
		pipe.SIsMember(c.Request.Context(), "tickets", in.Event.Central.ID)
		pipe.SIsMember(c.Request.Context(), "deleted", in.Event.Central.ID)
		pipe.HGetAll(c.Request.Context(), "device:"+in.Event.Central.ID)
		if _, err := pipe.Exec(c.Request.Context()); err != nil {
			c.String(http.StatusInternalServerError, err.Error())
			return
		}
		c.JSON(http.StatusOK, gin.H{"outcome": "delete", "endpointId": in.Event.Central.ID})
	})
	return g
}

// benchRedis starts a redis-server on a socket of its own.
func benchRedis(b testing.TB) string {
	b.Helper()
	dir, err := os.MkdirTemp("", "bench") //nolint:usetesting // short: the path of a socket may not be long
	if err != nil {
		b.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
	defer func() { _ = rdb.Close() }()
	for deadline := time.Now().Add(10 * time.Second); rdb.Ping(b.Context()).Err() != nil; {
		if time.Now().After(deadline) {
			b.Fatal("redis-server does not answer")
		}
	}
	return "unix://" + socket
}

// benchSystem is a system over a real Redis; handler is its edge, without a
// listener.
func benchSystem(b *testing.B, url string, handler *http.Handler) *system {
	b.Helper()
	return newSystem(b, setup{redisURL: url, edge: func(h http.Handler) { *handler = h }})
}

// median of the figures.
func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}
