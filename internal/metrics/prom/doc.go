// Package prom turns sums into what Prometheus scrapes: one private registry, collectors made of functions that are asked
// when somebody scrapes, and histograms that are classic in text and native where the scraper speaks protobuf.
//
// It knows no metric of its own but the build's; who wires the rooms names the rest.
package prom
