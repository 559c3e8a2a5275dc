package sink

import (
	"context"
	"fmt"

	"thymus/emitter"
)

// Message is one event. Everything in it is lent for the call it is passed to.
type Message struct {
	Seq   uint64 // the event's number in the journal
	Value []byte // the envelope, without a newline
	Head  emitter.Head
}

// Sink is somewhere that events go.
type Sink interface {
	// Name names the sink's account in the journal and its series in the metrics: lower case letters, digits, _ and -.
	Name() string
	// Partitions is how many there are now; at least 1. It may answer from memory.
	Partitions(ctx context.Context) (int, error)
	// Partition is the one of n that a key belongs to.
	Partition(key []byte, n int) int
	// Send delivers a batch to a partition, in order, and returns nil once all of it is acknowledged. *RefusedError says
	// that it will never be taken as it is; any other error, that it may be when tried again. Send is called for several
	// partitions at once, and for one at a time.
	Send(ctx context.Context, partition int, batch []Message) error
	// Close ends it. No Send is under way.
	Close() error
}

// Chainer is a Sink that has a place for the heads of the journal's chain.
type Chainer interface {
	// SendHead delivers a checkpoint of the journal, as JSON.
	SendHead(ctx context.Context, checkpoint []byte) error
}

// RefusedError says that a batch will never be taken: of a batch of one, that event will not.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return fmt.Sprintf("refused: %v", e.Err) }

func (e *RefusedError) Unwrap() error { return e.Err }
