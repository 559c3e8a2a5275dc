package emitter

import (
	"time"

	"thymus/pdp"
)

// StampForTest is a moment as the events say it: its seconds, and the milliseconds of their ids. before is the one of the
// event before.
func StampForTest(before, ns int64) (seconds, millis string) {
	s := newStamp()
	s.set(before)
	s.set(ns)
	return string(s.seconds(nil)), string(s.millis(nil))
}

// RowsForTest is what the pump asks.
func (r *Revisions) RowsForTest(seq uint32) *Rows { return r.rows(seq) }

// IDForTest is the part of an event's id that its place makes.
func IDForTest(instance string, epoch, pos uint64, n int) string {
	return string(appendHex(nil, NewOrigin(instance, epoch).id(pos, n)))
}

// SetNowForTest sets the clock.
func (r *Revisions) SetNowForTest(now func() time.Time) { r.now = now }

// AppendRowsForTest is the encoder of a file of rows.
func AppendRowsForTest(s *pdp.Snapshot, seq uint32) []byte { return appendRows(nil, s, seq) }

// ParseRowsForTest is its decoder.
func ParseRowsForTest(b []byte) (*Rows, error) { return parseRows(b, nil) }

// SetHookForTest sets what is called at each step of a batch.
func (o *PumpOptions) SetHookForTest(f func(step int)) { o.hook = f }

// ScanForTest is ParseHead without its short way, QuickForTest that way alone.
func ScanForTest(line []byte, h *Head) bool { return h.scan(line) }

// QuickForTest is the short way of ParseHead.
func QuickForTest(line []byte, h *Head) bool { return h.quick(line) }
