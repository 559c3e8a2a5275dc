package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"thymus/pdp"
)

// Publisher takes events into the ring.
type Publisher interface {
	// Publish says whether the event is in the ring. It does not block.
	Publish(c pdp.Class, e *pdp.Event) bool
	// Room says whether an event of this class would be taken now.
	Room(c pdp.Class) bool
}

var owedBucket = []byte("owed")

// State is the store. It implements pdp.Store.
type State struct {
	db  *bbolt.DB
	pub Publisher

	mu      sync.Mutex // orders commits with what is offered: numbers reach the ring in their order
	next    uint64     // number of the next owed event
	offered uint64     // all up to here have been offered since the start
}

// Open opens or makes the file at path. journaled is the largest number that the journal or the recovered ring has;
// what is owed beyond it is offered again at once. pub may be nil: then nothing is ever offered, and events pile up
// nowhere, because none are kept. A file that another process holds is an error after a second.
func Open(path string, pub Publisher, journaled uint64) (*State, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		if errors.Is(err, bolterrors.ErrTimeout) {
			err = errors.New("another process holds it")
		}
		return nil, fmt.Errorf("open state %s: %w", path, err)
	}
	s := &State{db: db, pub: pub, offered: journaled}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(owedBucket)
		if err != nil {
			return err
		}
		// A new file beside an old journal must not number below what the journal has.
		if b.Sequence() < journaled {
			if err := b.SetSequence(journaled); err != nil {
				return err
			}
		}
		s.next = b.Sequence() + 1
		return forget(b, journaled)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open state %s: %w", path, err), db.Close())
	}
	s.Offer()
	return s, nil
}

// Close closes the file. What is owed stays for the next start.
func (s *State) Close() error { return s.db.Close() }

// View implements pdp.Store.
func (s *State) View(f func(pdp.Tx) error) error {
	return s.db.View(func(tx *bbolt.Tx) error { return f(&transaction{tx: tx}) })
}

// Update implements pdp.Store.
func (s *State) Update(f func(pdp.Tx) error) error {
	if s.pub != nil && !s.pub.Room(pdp.ClassAdmin) {
		return pdp.ErrNoRoom
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.next
	err := s.db.Update(func(tx *bbolt.Tx) error {
		t := &transaction{tx: tx, keep: s.pub != nil}
		if err := f(t); err != nil {
			return err
		}
		next = tx.Bucket(owedBucket).Sequence() + 1
		return nil
	})
	if err != nil {
		return err
	}
	s.next = next
	s.offer()
	return nil
}

// Offer gives the ring what is owed and was refused before. It is called now and then, and does nothing as a rule.
func (s *State) Offer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offer()
}

// offer continues where the last one ended and stops at the first refusal.
func (s *State) offer() {
	if s.pub == nil || s.offered+1 >= s.next {
		return
	}
	_ = s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(owedBucket).Cursor()
		for k, v := c.Seek(number(s.offered + 1)); k != nil; k, v = c.Next() {
			n := binary.BigEndian.Uint64(k)
			var e pdp.Event
			if len(v) == 0 || pdp.ParseEvent(v[1:], &e) != nil {
				s.offered = n // nobody can read it; the store that wrote it is of another version
				continue
			}
			e.Owed = n
			if !s.pub.Publish(pdp.Class(v[0]), &e) {
				return nil
			}
			s.offered = n
		}
		return nil
	})
}

// Journaled drops what is owed up to and including n. The pump's side calls it after the journal has the events.
func (s *State) Journaled(n uint64) error {
	if n == 0 {
		return nil
	}
	return s.db.Update(func(tx *bbolt.Tx) error { return forget(tx.Bucket(owedBucket), n) })
}

// Owed is how many events are stored and not known to be journaled.
func (s *State) Owed() (n int) {
	_ = s.db.View(func(tx *bbolt.Tx) error {
		n = tx.Bucket(owedBucket).Stats().KeyN
		return nil
	})
	return n
}

func forget(b *bbolt.Bucket, upTo uint64) error {
	c := b.Cursor()
	for k, _ := c.First(); k != nil && binary.BigEndian.Uint64(k) <= upTo; k, _ = c.First() {
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return nil
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
