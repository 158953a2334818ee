package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics counts requests and outcomes. No label holds anything that a caller
// chose freely, and no id: their number must stay small.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	outcomes *prometheus.CounterVec
	show     http.Handler
}

func newMetrics() *metrics {
	reg := prometheus.NewRegistry()
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_http_requests_total", Help: "Requests by route and status.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rollcall_http_request_seconds", Help: "Time to the end of the answer, by route and status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route", "status"}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_action_outcomes_total", Help: "Answers of actions by action, outcome and first reason.",
		}, []string{"action", "outcome", "reasonCode"}),
		show: promhttp.HandlerFor(reg, promhttp.HandlerOpts{}),
	}
	reg.MustRegister(
		m.requests, m.seconds, m.outcomes,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// observe counts an exchange. An answer that was cut off has no honest status.
func (m *metrics) observe(x *exchange, took time.Duration, cut bool) {
	status := strconv.Itoa(x.c.Writer.Status())
	if cut {
		status = "cut"
	}
	m.requests.WithLabelValues(x.route.path, status).Inc()
	m.seconds.WithLabelValues(x.route.path, status).Observe(took.Seconds())
	if x.result.Outcome != "" {
		m.outcomes.WithLabelValues(x.result.Action, x.result.Outcome, codeOf(x.result)).Inc()
	}
}

func (s *server) showMetrics(x *exchange) error {
	x.c.Writer.Header().Set("X-Request-ID", x.requestID)
	s.metrics.show.ServeHTTP(x.c.Writer, x.c.Request)
	return nil
}
