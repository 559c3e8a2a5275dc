// Package sink carries events from the journal to somewhere else.
//
// A Shipper is the journal's one reader for a Sink. It deals the events into lanes, a lane for each of the sink's
// partitions, and each lane has at most one batch under way. A batch that cannot be delivered is tried again until it
// can, and nothing behind it in its lane is sent before: so the first occurrences of ids arrive in order per key,
// whatever fails in between, and what fails in one lane stops no other until the shipper's window of memory is used
// up.
//
// What is delivered is acknowledged to the journal, which keeps the position of each partition and the sink's account
// (journal.Sink). What the far end will never take is set aside in a file and counted as refused.
//
// How bytes travel is the Sink's business: emitter/kafka is one, Stdout in this package another.
package sink
