package pdp

import "errors"

// Store keeps state that changes by hand or by threat, not by request: policies, threats, immune events, quarantine. A
// transaction is applied whole or not at all, whatever is killed when. Methods may be called from many goroutines at
// once; updates run one after another.
type Store interface {
	View(func(Tx) error) error
	// Update commits when f returns nil and rolls back otherwise. It fails with ErrNoRoom before f runs if the events
	// of the change could not be recorded.
	Update(f func(Tx) error) error
}

// Tx is one transaction. It ends with the function that it was given to, and what it lends with it.
type Tx interface {
	// Get is the value under a key, lent; nil where there is none.
	Get(bucket, key string) []byte
	Put(bucket, key string, value []byte) error
	Delete(bucket, key string) error
	// Each calls f for the keys that begin with prefix, in order, until f fails.
	Each(bucket, prefix string, f func(key string, value []byte) error) error
	// Owe stores an event with the change: it is recorded once the transaction is committed, and offered again after a
	// kill until the journal has it.
	Owe(c Class, e *Event) error
}

// ErrNoRoom says that a change was refused because its record could not be kept.
var ErrNoRoom = errors.New("the change could not be recorded: the event ring is full")
