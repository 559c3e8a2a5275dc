package cli

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"thymus/emitter"
	"thymus/emitter/journal"
	"thymus/pdp/admin"
)

// streamLog is the journal as the event stream reads it.
type streamLog struct{ journal *journal.Journal }

// EventLog is the journal for the event stream.
func (e *events) EventLog() admin.EventLog { return streamLog{e.journal} }

// Next implements admin.EventLog.
func (l streamLog) Next() uint64 { return l.journal.Next() }

// Follow implements admin.EventLog.
func (l streamLog) Follow(from uint64) admin.EventReader {
	return &streamReader{r: l.journal.Reader(from)}
}

// findWithin bounds how far behind an id's own time its event is looked for: the event of a stored change may have
// waited for room, or for a restart.
const findWithin = 10 * time.Minute

var errNoID = errors.New("no event id")

// Find implements admin.EventLog: an id says when its event was made (CONTRACT 6).
func (l streamLog) Find(ctx context.Context, id string) (uint64, bool, error) {
	ns, err := idTime(id)
	if err != nil {
		return 0, false, nil
	}
	r := l.journal.Reader(0)
	defer r.Close()
	if err := r.SeekTime(ns); err != nil {
		return 0, false, err
	}
	prefix := []byte(`{"id":"` + id + `"`)
	var c journal.Chunk
	for ctx.Err() == nil {
		ok, err := r.Next(&c)
		if err != nil || !ok || c.FirstTime > ns+int64(findWithin) {
			return 0, false, err
		}
		if !bytes.Contains(c.Lines, prefix) {
			continue
		}
		for seq, line := range c.All {
			if bytes.HasPrefix(line, prefix) {
				return seq, true, nil
			}
		}
	}
	return 0, false, ctx.Err()
}

// idTime is the time in an event's id, Unix nanoseconds.
func idTime(id string) (int64, error) {
	rest, ok := strings.CutPrefix(id, "evt_")
	parts := strings.Split(rest, "_")
	if !ok || len(parts) != 3 || len(parts[1]) > 15 {
		return 0, errNoID
	}
	ms, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || strings.ContainsAny(id, "\"\\") {
		return 0, errNoID
	}
	return ms * int64(time.Millisecond), nil
}

// streamReader implements admin.EventReader.
type streamReader struct {
	r *journal.Reader
	c journal.Chunk
	h emitter.Head
}

// Next implements admin.EventReader.
func (s *streamReader) Next(out *admin.EventChunk) (bool, error) {
	out.Events, out.Missed, out.Why = out.Events[:0], 0, ""
	ok, err := s.r.Next(&s.c)
	if err != nil || !ok {
		return false, err
	}
	if n := s.c.Gap.Count(); n > 0 {
		out.First, out.Missed, out.Why = s.c.Gap.From, n, s.c.Gap.Why
		return true, nil
	}
	out.First = s.c.First
	for _, line := range s.c.All {
		e := admin.StreamEvent{Line: line}
		if emitter.ParseHead(line, &s.h) {
			e.ID, e.Type = s.h.ID, s.h.Type
		}
		out.Events = append(out.Events, e)
	}
	return true, nil
}

// Wait implements admin.EventReader.
func (s *streamReader) Wait(ctx context.Context) error { return s.r.Wait(ctx) }

// Seq implements admin.EventReader.
func (s *streamReader) Seq() uint64 { return s.r.Seq() }

// Close implements admin.EventReader.
func (s *streamReader) Close() error { return s.r.Close() }
