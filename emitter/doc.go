// Package emitter turns what was recorded into events and sees to it that each of them is in the journal once.
//
// A decision leaves a compact record in the ring (Recorder). One goroutine (Pump) reads the ring in order, expands each
// record into its one to four events (Encoder), hands the lines to the journal with the ring position they reach, and
// only then moves the ring's cursor.
//
// Invariants:
//
//   - Nothing here blocks a decision: Recorder copies bytes into the ring or says that it could not.
//   - An event's bytes are a function of its record, the instance, the ring's epoch and the record's position, so that
//     a batch encoded again after a crash is the same batch.
//   - The rows that a record refers to by number are on disk before a decision can use them, and stay until no record
//     can refer to them (Revisions).
//   - Values that the operator masks are gone before the journal, and so from everything behind it.
//
// How bytes survive is the business of emitter/ring and emitter/journal; where events go from the journal, that of
// emitter/sink and emitter/kafka.
package emitter
