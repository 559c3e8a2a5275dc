// Package metrics counts on the request path without a cache line that two cores write: counters and histograms in
// lanes, a lane for a few of the calls that run at the same time, summed when somebody asks.
//
// It is a leaf: it imports the standard library alone, and every room may count with it. How sums become Prometheus
// text is left to internal/metrics/prom.
package metrics
