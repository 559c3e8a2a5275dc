// Package kafka is the sink that carries events to Apache Kafka. It is the only one that knows kafka-go, and uses of it
// the protocol client alone: one Client.RawProduce a partition at a time, whose answer is awaited, because the library's
// Writer neither keeps the order when it tries again nor bounds its queue. A batch of records is encoded here, in one
// piece of memory, and compressed as one.
//
// Invariants:
//
//   - Send returns nil once the brokers have acknowledged the whole batch as events.kafka.acks asks.
//   - An event's partition is murmur2 of its key, as with the Java client, so that other producers of the topic agree.
//   - The value is the journal's line, byte for byte; the headers are CloudEvents 1.0 in Kafka's binary mode.
//   - Only what no broker will ever take as it is (too large, invalid) is *sink.RefusedError; a topic that is missing,
//     a password that is wrong or a leader that is gone may all be mended while we wait.
//
// Order across batches, retries, offsets and accounting are emitter/sink's.
package kafka
