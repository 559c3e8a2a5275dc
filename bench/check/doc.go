// Package check guards what a decision costs. Its tests run the request path in process, from the bytes of a call to the
// bytes of the answer, and compare with what baseline.json holds: allocations, which are counted on every run, and
// instructions, which valgrind counts for make bench-check. Neither depends on how busy the machine is, as time does.
//
// More than 5 % above the baseline fails; what became that much cheaper says so, for make bench-baseline to write down.
// The baseline holds for one architecture and one version of Go, which it names: under another, instructions are not
// compared.
//
// Left to others: time (benchmarks and benchstat), and how a server fares beside others (bench/compare).
package check
