// Package native evaluates Rego that OPA has compiled, without OPA's evaluator: every rule becomes a chain of Go
// closures over registers, and the rules of one name are reached by hash on the equality tests they begin with.
//
// A request is never converted. Values of the input are positions on the pdp.Doc tape, strings share its text, and what
// an evaluation builds lives in an arena that is pooled with the rest of its state. A decision over constant rules
// allocates nothing.
//
// Invariants:
//
//   - The order of the source is the order of evaluation: dispatch uses only tests that stand in front of everything
//     that could fail with an error, so it can never hide an error that topdown reports.
//   - An answer is either topdown's answer or no answer. Where topdown evaluates less than this package does, this
//     package may meet an error that topdown does not; any error is therefore reported as such, and Engine asks the
//     Fallback the same question, whose answer counts. The reverse, an error that only topdown meets, must not happen.
//   - Programs are immutable after Compile; whatever changes during an evaluation is in its machine.
//
// It leaves loading, linking and the meaning of effects to package rules, and explaining, coverage and partial
// evaluation to OPA's topdown.
package native
