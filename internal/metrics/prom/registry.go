package prom

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"thymus/internal/metrics"
)

// Build is what thymus_build_info says.
type Build struct{ Version, Revision, Go string }

// Registry is what one process exports. Metrics are added before the first scrape, by one goroutine; Handler may be
// called by many.
type Registry struct{ reg *prometheus.Registry }

// New makes a registry with the Go runtime's, the process' and the build's metrics.
func New(b Build) *Registry {
	r := &Registry{prometheus.NewRegistry()}
	r.Register(collectors.NewGoCollector())
	r.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	r.Gauge("thymus_build_info", "The build that runs; always 1.", []string{"version", "revision", "goversion"},
		func(emit Emit) { emit(1, b.Version, b.Revision, b.Go) })
	return r
}

// Emit gives one value under the values of its labels. It panics if they are not as many as the labels.
type Emit func(value float64, labels ...string)

// EmitHistogram gives one histogram under the values of its labels.
type EmitHistogram func(s metrics.Snapshot, labels ...string)

// Counter exports what collect emits at each scrape as counters.
func (r *Registry) Counter(name, help string, labels []string, collect func(Emit)) {
	r.values(name, help, labels, prometheus.CounterValue, collect)
}

// Gauge exports what collect emits at each scrape as gauges.
func (r *Registry) Gauge(name, help string, labels []string, collect func(Emit)) {
	r.values(name, help, labels, prometheus.GaugeValue, collect)
}

// Histogram exports what collect emits at each scrape as histograms of seconds.
func (r *Registry) Histogram(name, help string, labels []string, collect func(EmitHistogram)) {
	r.Register(&histograms{prometheus.NewDesc(name, help, labels, nil), metrics.Bounds(), collect})
}

// Register adds a collector of its own kind. It panics where a name is taken or malformed: that is the caller's mistake.
func (r *Registry) Register(c prometheus.Collector) { r.reg.MustRegister(c) }

// Handler answers scrapes in text, OpenMetrics or protobuf, as the scraper asks. A collector that fails leaves the
// others standing.
func (r *Registry) Handler() http.Handler {
	return promhttp.HandlerFor(r.reg, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, EnableOpenMetrics: true})
}

func (r *Registry) values(name, help string, labels []string, t prometheus.ValueType, collect func(Emit)) {
	r.Register(&values{prometheus.NewDesc(name, help, labels, nil), t, collect})
}

// values is a family of counters or gauges.
type values struct {
	desc    *prometheus.Desc
	kind    prometheus.ValueType
	collect func(Emit)
}

// Describe is prometheus.Collector's.
func (v *values) Describe(ch chan<- *prometheus.Desc) { ch <- v.desc }

// Collect is prometheus.Collector's.
func (v *values) Collect(ch chan<- prometheus.Metric) {
	v.collect(func(x float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(v.desc, v.kind, x, labels...)
	})
}
