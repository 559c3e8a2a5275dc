// Package state keeps what changes by hand or by threat in one file, DIR/state.db (bbolt): policies, threats, immune
// events, quarantine, and the events that are owed for their changes.
//
// Invariants: a change and its events are one transaction, so that neither is ever there without the other. Owed events
// are numbered from 1 in the order of the commits and offered to the ring in that order; they stay until the journal has
// them, and a start offers again those that it has not. The journal takes each number once (pdp.Event.Owed), so an
// event that was offered twice is in it once.
//
// What the buckets hold is left to their owners (pdp/policy, pdp/threat, pdp/immune).
package state
