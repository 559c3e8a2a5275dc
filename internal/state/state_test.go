package state_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"thymus/internal/state"
	"thymus/pdp"
)

// ring takes events until it is full, like the real one.
type ring struct {
	room int
	got  []pdp.Event
}

func (r *ring) Room(pdp.Class) bool { return r.room > 0 }

func (r *ring) Publish(_ pdp.Class, e *pdp.Event) bool {
	if r.room == 0 {
		return false
	}
	r.room--
	c := *e
	c.Type, c.Payload = strings.Clone(e.Type), append([]byte(nil), e.Payload...)
	r.got = append(r.got, c)
	return true
}

func open(t *testing.T, path string, r *ring, journaled uint64) *state.State {
	t.Helper()
	s, err := state.Open(path, r, journaled)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(s *state.State, key string, types ...string) error {
	return s.Update(func(tx pdp.Tx) error {
		for _, ty := range types {
			if err := tx.Owe(pdp.ClassAdmin, &pdp.Event{Type: ty, Payload: []byte("{}")}); err != nil {
				return err
			}
		}
		return tx.Put("b", key, []byte("v"))
	})
}

func TestEventsAreOfferedInOrderAndAgainUntilTheyAreJournaled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	r := &ring{room: 100}
	s := open(t, path, r, 0)
	if err := errors.Join(put(s, "k1", "a", "b"), put(s, "k2", "c")); err != nil {
		t.Fatal(err)
	}
	if err := s.Journaled(1); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := &ring{room: 100}
	s = open(t, path, again, 1)
	defer s.Close()
	if len(again.got) != 2 || again.got[0].Type != "b" || again.got[0].Owed != 2 || again.got[1].Owed != 3 {
		t.Fatalf("offered again: %+v, want b and c with numbers 2 and 3", again.got)
	}
	if n := s.Owed(); n != 2 {
		t.Fatalf("owed %d, want 2", n)
	}
}

func TestAFullRingRefusesTheChange(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"), &ring{}, 0)
	defer s.Close()
	if err := put(s, "k", "a"); !errors.Is(err, pdp.ErrNoRoom) {
		t.Fatalf("got %v, want ErrNoRoom", err)
	}
	_ = s.View(func(tx pdp.Tx) error {
		if tx.Get("b", "k") != nil {
			t.Error("the refused change was stored")
		}
		return nil
	})
}

func TestAnEventThatFoundNoRoomIsOfferedLater(t *testing.T) {
	r := &ring{room: 1}
	s := open(t, filepath.Join(t.TempDir(), "state.db"), r, 0)
	defer s.Close()
	if err := put(s, "k", "a", "b"); err != nil {
		t.Fatal(err)
	}
	if len(r.got) != 1 {
		t.Fatalf("%d events in a ring of one", len(r.got))
	}
	r.room = 5
	s.Offer()
	s.Offer()
	if len(r.got) != 2 || r.got[1].Type != "b" {
		t.Fatalf("got %+v, want a then b, once each", r.got)
	}
}

func TestAFailedTransactionOwesNothing(t *testing.T) {
	r := &ring{room: 9}
	s := open(t, filepath.Join(t.TempDir(), "state.db"), r, 0)
	defer s.Close()
	boom := errors.New("boom")
	err := s.Update(func(tx pdp.Tx) error {
		_ = tx.Owe(pdp.ClassAdmin, &pdp.Event{Type: "a"})
		return boom
	})
	if !errors.Is(err, boom) || len(r.got) != 0 || s.Owed() != 0 {
		t.Fatalf("err %v, offered %d, owed %d", err, len(r.got), s.Owed())
	}
	if err := put(s, "k", "b"); err != nil || len(r.got) != 1 || r.got[0].Owed != 1 {
		t.Fatalf("err %v, got %+v: a number was skipped", err, r.got)
	}
}

func TestANewFileBesideAnOldJournalNumbersOn(t *testing.T) {
	r := &ring{room: 9}
	s := open(t, filepath.Join(t.TempDir(), "state.db"), r, 41)
	defer s.Close()
	if err := put(s, "k", "a"); err != nil || len(r.got) != 1 || r.got[0].Owed != 42 {
		t.Fatalf("err %v, got %+v, want number 42", err, r.got)
	}
}

func TestASecondProcessIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, path, &ring{}, 0)
	defer s.Close()
	if _, err := state.Open(path, nil, 0); err == nil || !strings.Contains(err.Error(), "another process holds it") {
		t.Fatalf("got %v", err)
	}
}
