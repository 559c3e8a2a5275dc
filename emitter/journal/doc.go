// Package journal keeps every event once, in order, on disk: NDJSON segments that any tool can read, and beside them
// the side files that prove and find what is in them.
//
// The directory:
//
//	LOCK                        one writing process; flock, no content
//	00000000000000000001.ndjson a segment, named by the number of its first event
//	00000000000000000001.side   its side file: one record of 256 bytes a batch, see Side
//	00000000000000000001.sig    with a signing key: the newest signed checkpoint of the segment
//	kafka.sink                  a sink's position and counters
//
// Invariants:
//
//   - An event has a number, from 1, and never another; a number is never given twice, also after a loss.
//   - A batch is in the journal once its side record is, and not before: lines first, then the record. What lies
//     behind the last side record was never journaled; readers do not see it and recovery withdraws it.
//   - The side record carries the position in the ring up to which records were consumed, so that lines and position
//     become valid by one write: exactly once, whatever is killed when.
//   - A side record's head is SHA-256 over the previous head, the record's own fields and its lines; a segment's first
//     record continues the chain of the segment before it.
//   - Once a successor's side file has its first record, nothing is written to a segment any more.
//   - A failed Append changes nothing that counts: the same batch can be appended again, without a restart.
//   - For each sink, exactly: journaled = delivered + pending + expired + refused.
//
// One goroutine appends. Any number of readers follow, in this process or in another, also while the writer runs.
// What the events say, and how they come from the ring, is left to package emitter; how they reach a broker to the
// shippers.
package journal
