// Package ring is the first stop of a record: a bounded queue in mapped memory, filled by any number of goroutines
// without a lock, an allocation or a system call, emptied by one, and intact after kill -9.
//
// Invariants:
//
//   - A record that Append said yes to is delivered by Poll, whole, in the order of positions, until Advance passes it:
//     in this process or in the next one that opens the file.
//   - Append never waits. It refuses when the class's share of the ring is full, and counts the refusal.
//   - Of each class, Offered = what Advance passed + Pending + Shed, exactly, whenever no Append is running; a kill at
//     any instruction changes nothing about that.
//   - A position names a record for the life of the file: positions only grow, and are never used twice under one
//     Epoch.
//
// A ring lives in a file on tmpfs (Linux), in a file (darwin) or on the heap (elsewhere, or without a path), where it
// does not survive the process: Recovery.Volatile says so. The bytes are drawn in layout.go and in docs/ring.md.
//
// Left to others: what a record means (emitter), that each is journaled once (emitter/journal, whose side record holds
// the position up to which it has them), and what to do when a record is refused (pdp/engine).
package ring
