// Package engine decides: snapshot, quarantine, evaluation, combination, record, in this order and with nothing else in
// between.
//
// Invariants: a call, a batch included, reads one snapshot and has one deadline. Nothing is shared between two calls but
// atomics that are written when policies change; a decision allocates nothing of the engine's own. What recording does
// with a record never changes the decision, unless the operator chose strict: then a decision without its record is no
// decision.
//
// How rules are evaluated, how requests are read and where records go is behind interfaces that this package declares.
package engine
