package emitter

import (
	"errors"
	"fmt"

	"thymus/emitter/journal"
	"thymus/emitter/ring"
	"thymus/pdp"
)

// What the words of journal.Batch.Marks are: the largest Owed that the journal has, and what the ring has shed of each
// class, so that the counts survive the ring.
const (
	markOwed = 0
	markShed = 1
)

var _ [journal.Marks - markShed - pdp.Classes]struct{} // there is a word for each class

// Recovery says how ring and journal were brought together.
type Recovery struct {
	NewRing bool   // the journal knew another ring, or none
	Moved   int64  // bytes that the cursor moved: a kill came between the side record and the cursor
	Lost    string // why records that the ring had handed over could not be taken up again; empty where none were lost
}

// Recover brings ring and journal together as the protocol of DESIGN has it: the journal's last side record says up to
// where it has the ring's records. Call it after both are open and before there are producers.
func Recover(r *ring.Ring, j *journal.Journal) (*Recovery, error) {
	last := j.Last()
	rec := &Recovery{}
	if last.RingEpoch == r.Epoch() {
		if mutation("no-recovery") || mutation("advance-first") {
			return rec, nil
		}
		before := r.Cursor()
		err := r.SetCursor(last.RingEnd)
		var bad *ring.CursorError
		switch {
		case err == nil && r.Done() == last.Pumped:
			rec.Moved = int64(r.Cursor() - before)
			return rec, nil
		case err != nil && !errors.As(err, &bad):
			return nil, err
		case err != nil:
			rec.Lost = err.Error()
		}
		r.SetTotals(last.Pumped, r.Shed())
	} else {
		rec.NewRing = true
		r.SetTotals(last.Pumped, shedOf(&last))
	}
	b := &journal.Batch{RingEpoch: r.Epoch(), RingEnd: r.Cursor(), First: last.FirstTime, Last: last.LastTime, Marks: last.Marks}
	if err := j.Append(b); err != nil {
		return nil, fmt.Errorf("ring and journal: %w", err)
	}
	return rec, nil
}

func shedOf(s *journal.Side) (shed [pdp.Classes]uint64) {
	copy(shed[:], s.Marks[markShed:])
	return shed
}
