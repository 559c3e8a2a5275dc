package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"thymus/pdp"
)

// Store is the policies that decide, and the stored ones among them. Its methods may be called from many goroutines at
// once; changes and reloads take turns.
type Store struct {
	store    pdp.Store
	now      func() time.Time
	compiler Compiler
	view     atomic.Pointer[view]

	waiting sync.Mutex
	queue   []*op

	mu     sync.Mutex  // held by whoever compiles, stores and swaps
	rested time.Time   // when the next changes are made at the earliest
	unsaid []pdp.Event // of reloads whose events found no room; recorded with the next change
}

// Open reads what is stored. now is the clock. Start must follow.
func Open(store pdp.Store, now func() time.Time) (*Store, error) {
	heads, err := readHeads(store)
	if err != nil {
		return nil, err
	}
	s := &Store{store: store, now: now}
	s.view.Store(&view{&Set{Snapshot: &pdp.Snapshot{}}, heads})
	return s, nil
}

// Start compiles the set of the start and makes it active. It emits nothing.
func (s *Store) Start(ctx context.Context, c Compiler) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compiler = c
	old := s.view.Load()
	set, err := c.Compile(ctx, old.sources(), true)
	if err != nil {
		return err
	}
	if err := c.Prepare(set); err != nil {
		return err
	}
	c.Activate(set)
	s.view.Store(&view{set, old.shelf})
	return nil
}

// Reload reads the files again. What it changed is told as events; changed is false where nothing differs. Events that
// cannot be recorded now are recorded with the next change, or by Flush.
func (s *Store) Reload(ctx context.Context) (set *Set, changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.view.Load()
	if set, err = s.compiler.Compile(ctx, old.sources(), true); err != nil {
		return nil, false, err
	}
	if set.Snapshot.Revision == old.set.Snapshot.Revision {
		return old.set, false, nil
	}
	if err = s.compiler.Prepare(set); err != nil {
		return nil, false, err
	}
	s.unsaid = append(s.unsaid, s.compare(old.set, set, s.now().UnixNano())...)
	_ = s.flush() // it is tried again
	s.compiler.Activate(set)
	s.view.Store(&view{set, old.shelf})
	return set, true, nil
}

// Flush records events of reloads that found no room before. It does nothing as a rule.
func (s *Store) Flush() error {
	if !s.mu.TryLock() {
		return nil // whoever holds it flushes
	}
	defer s.mu.Unlock()
	return s.flush()
}

func (s *Store) flush() error {
	if len(s.unsaid) == 0 {
		return nil
	}
	if err := s.store.Update(s.say); err != nil {
		return err
	}
	s.unsaid = nil
	return nil
}

func (s *Store) say(tx pdp.Tx) error {
	for i := range s.unsaid {
		if err := tx.Owe(pdp.ClassAdmin, &s.unsaid[i]); err != nil {
			return err
		}
	}
	return nil
}

// Active is the active set.
func (s *Store) Active() *Set { return s.view.Load().set }

// Get is one policy, wherever it comes from.
func (s *Store) Get(id string) (Policy, error) {
	p := s.view.Load().policy(id)
	if p == nil {
		return Policy{}, ErrNotFound
	}
	return *p, nil
}

// List gives up to limit policies by id, from behind the id after ("" begins), and the id to go on from ("": that was
// all).
func (s *Store) List(after string, limit int) (items []Policy, next string) {
	v := s.view.Load()
	i, found := v.set.find(after)
	if found && after != "" {
		i++
	}
	for ; i < len(v.set.Policies); i++ {
		if len(items) == limit {
			return items, items[limit-1].ID
		}
		items = append(items, v.describe(v.set.Policies[i]))
	}
	return items, ""
}

// Revisions gives up to limit entries of a policy's history, newest first, from below the revision before (0 begins),
// and the revision to go on from (0: that was all). Its error is ErrNotFound where the store never had the policy.
func (s *Store) Revisions(id string, before uint64, limit int) (items []Revision, next uint64, err error) {
	if s.view.Load().head(id) == nil {
		return nil, 0, s.notStored(id)
	}
	var all []Revision
	err = s.store.View(func(tx pdp.Tx) error {
		return tx.Each(revisionBucket, id+"\x00", func(_ string, v []byte) error {
			r := new(record)
			if err := json.Unmarshal(v, r); err != nil {
				return fmt.Errorf("stored revision of %q: %w", id, err)
			}
			all = append(all, r.revision())
			return nil
		})
	})
	if err != nil {
		return nil, 0, err
	}
	slices.Reverse(all)
	for _, r := range all {
		if before != 0 && r.Revision >= before {
			continue
		}
		if len(items) == limit {
			return items, items[limit-1].Revision, nil
		}
		items = append(items, r)
	}
	return items, 0, nil
}

// notStored is why a policy has no history: there is none, or it is read-only, which has none and is no error.
func (s *Store) notStored(id string) error {
	if s.view.Load().set.info(id) != nil {
		return nil
	}
	return ErrNotFound
}

// Revision is one entry of a policy's history with its text.
func (s *Store) Revision(id string, n uint64) (Revision, error) {
	r, err := s.revision(id, n)
	if err != nil {
		return Revision{}, err
	}
	return r.revision(), nil
}

func (s *Store) revision(id string, n uint64) (*record, error) {
	v := s.view.Load()
	if v.head(id) == nil && v.set.info(id) == nil {
		return nil, ErrNotFound
	}
	r := new(record)
	err := s.store.View(func(tx pdp.Tx) error {
		b := tx.Get(revisionBucket, revisionKey(id, n))
		if b == nil {
			return ErrNoRevision
		}
		return json.Unmarshal(b, r)
	})
	if err != nil && !errors.Is(err, ErrNoRevision) {
		err = fmt.Errorf("stored revision %d of %q: %w", n, id, err)
	}
	return r, err
}

// JSON is a structured policy's text as one line of JSON, whatever it was written in.
func (s *Store) JSON(p *Policy) ([]byte, error) {
	if !p.ReadOnly {
		return p.Texts[0].Text, nil
	}
	_, text, err := s.compiler.Read(Structured, p.Texts[0].Text)
	return text, err
}
