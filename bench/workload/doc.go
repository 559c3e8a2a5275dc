// Package workload makes what a decision point is measured with: a policy, in the languages of several engines, the
// requests, and the right answers. The answers come from an oracle: plain Go over the same facts, which shares nothing
// with any engine and is written to be seen through, not to be fast.
//
// Invariants: the same name, size and seed give the same bytes, on any machine and in any order of calls; every request's
// answer is the oracle's; a policy means the same in each language in which it is given, and a language in which it
// cannot be said is left out rather than approximated.
//
// Left to others: how requests travel (bench/load), which engines run and how they fare (bench/compare).
package workload
