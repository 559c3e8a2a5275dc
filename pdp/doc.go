// Package pdp is the vocabulary of a policy decision point: the request, the effects and how they combine, the decision,
// the seam behind which a rule engine evaluates, and the record of a decision that the event stream carries.
//
// Invariants: plain data and pure functions only; nothing here starts a goroutine, reads a clock or touches a file.
// The only imports are the standard library's, so that every other package can speak these words without meeting
// anything else. How Rego is evaluated (rules), how bytes become requests (pdp/wire) and where records go (emitter)
// is left to others.
package pdp
