// Package rules turns policies into a pdp.Snapshot: it finds and reads the files, parses Rego and the structured form,
// generates Rego from the latter, compiles everything with OPA, merges all effect rules into one generated set and puts
// topdown behind the pdp.Evaluator seam. It is the only importer of OPA.
//
// Invariants: a Set is immutable and may be used from any number of goroutines; loading happens off the request path and
// reports every problem it finds, each with its place; what an evaluation makes of a request never depends on the order
// in which files were found, nor on what other requests did.
//
// A Loader compiles of each set only what was not in the one before. Structured policies that nothing else looks at lie
// apart: they become the native engine's rules without OPA (see expr.go and apart.go), and topdown over them is made when
// it is needed. All else is a world (world.go), which OPA compiles together.
//
// The merge never changes an answer or an error. Where it cannot promise that for a set of rules (see merge.go), the set
// stays where it is and is asked by itself; and an evaluation that met an error is done again set by set, so that the
// errors reported are those of the policies' own packages.
//
// Left to others: how matches combine (pdp), when to reload and what to do with a set that does not compile (the engine
// and internal/cli), where policies of the management API are stored (pdp/policy).
package rules
