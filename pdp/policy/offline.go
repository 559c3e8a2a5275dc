package policy

import (
	"fmt"
	"time"

	"thymus/pdp"
)

// Kept is one stored policy as it lies in the store, whether it compiles or not.
type Kept struct {
	ID string
	Revision
}

// Stored are the policies of a store that no Store has open, by id, without those that are deleted.
func Stored(store pdp.Store) ([]Kept, error) {
	s, err := readHeads(store)
	if err != nil {
		return nil, err
	}
	var out []Kept
	for _, h := range s.heads {
		if h.Action != Deleted {
			out = append(out, Kept{h.id, h.revision()})
		}
	}
	return out, nil
}

// Drop deletes policies of a store that no Store has open: all of them or none. It compiles nothing, and so helps where
// what is stored does not compile with what lies in files, and no sidecar starts. History and events are those of Delete:
// the next start records the events.
func Drop(store pdp.Store, now time.Time, who Actor, ids ...string) error {
	s, err := readHeads(store)
	if err != nil {
		return err
	}
	return store.Update(func(tx pdp.Tx) error {
		for _, id := range ids {
			was := s.head(id)
			if was == nil || was.Action == Deleted {
				return fmt.Errorf("%s: %w", id, ErrNotFound)
			}
			next := &record{Action: Deleted, Name: was.Name, Version: was.Version}
			next.number(true, was, now.UnixNano(), who)
			e := deletedEvent(&Info{ID: id, Name: was.Name}, now.UnixNano())
			e.Correlation = who.Correlation
			if err := next.write(tx, id); err != nil {
				return err
			}
			if err := tx.Owe(pdp.ClassAdmin, &e); err != nil {
				return err
			}
			s = s.with([]head{{id, next}})
		}
		return nil
	})
}
