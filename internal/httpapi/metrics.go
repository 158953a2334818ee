package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"rollcall/internal/action"
)

// metrics counts requests and outcomes. No label holds anything that a caller
// chose freely, and no id: their number must stay small.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	outcomes *prometheus.CounterVec
	show     http.Handler
}

func newMetrics(books action.Books) *metrics {
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
			Name: "rollcall_action_outcomes_total", Help: "Answers of actions by action, outcome and first reason; an item of a batch that has the outcome error by its error's code.",
		}, []string{"action", "outcome", "reason_code"}),
		show: promhttp.HandlerFor(reg, promhttp.HandlerOpts{}),
	}
	reg.MustRegister(
		m.requests, m.seconds, m.outcomes, newVitals(books),
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
		m.outcome(x.result.Action, x.result.Outcome, codeOf(x.result))
	}
}

// outcome counts one answer of an action.
func (m *metrics) outcome(action, outcome, code string) {
	m.outcomes.WithLabelValues(action, outcome, code).Inc()
}

func (s *server) showMetrics(x *exchange) error {
	x.c.Writer.Header().Set("X-Request-ID", x.requestID)
	s.metrics.show.ServeHTTP(x.c.Writer, x.c.Request)
	return nil
}

// vitalsTime bounds a scrape's question to the store: scrapers give up after some
// seconds, and then have none of the other metrics either.
const vitalsTime = time.Second

// vitals shows what the store holds, read anew at each scrape. Every replica
// shows the same numbers, so that an alert takes the largest, not their sum.
type vitals struct {
	books                                                        action.Books
	up, failures, circuits, paused, unsettled, unexported, rolls *prometheus.Desc
}

func newVitals(books action.Books) vitals {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("rollcall_"+name, help, labels, nil)
	}
	return vitals{
		books:      books,
		up:         desc("state_up", "1 while the store answers, else 0; then the other numbers of the store are absent."),
		failures:   desc("failures", "Failures on record that wait for a person, by kind.", "kind"),
		circuits:   desc("circuits_open", "Tenants whose circuit is open."),
		paused:     desc("paused", "Tenants whose deletes are paused; the global switch counts as one."),
		unsettled:  desc("deletes_unsettled", "Deletes whose outcome is not known yet."),
		unexported: desc("audit_unexported", "Audit entries that were not yet written to standard output."),
		rolls:      desc("rolls_failing", "Tenants whose inventory could not be read when it was last wanted, so that Central is asked for each device."),
	}
}

// Describe implements prometheus.Collector.
func (v vitals) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{v.up, v.failures, v.circuits, v.paused, v.unsettled, v.unexported, v.rolls} {
		to <- d
	}
}

// Collect implements prometheus.Collector. Where the store does not answer, its
// numbers are absent: what is not known is not 0.
func (v vitals) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), vitalsTime)
	defer cancel()
	now, err := v.books.Vitals(ctx)
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	if err != nil {
		gauge(v.up, 0)
		return
	}
	gauge(v.up, 1)
	for _, kind := range []string{"verify", "delete", "come-back"} {
		gauge(v.failures, float64(now.Failures[kind]), kind)
	}
	gauge(v.circuits, float64(now.CircuitsOpen))
	gauge(v.paused, float64(now.Paused))
	gauge(v.unsettled, float64(now.Unsettled))
	gauge(v.unexported, float64(now.Unexported))
	gauge(v.rolls, float64(now.SnapshotsFailing))
}
