package admin

import (
	"context"
	"strconv"

	"thymus/pdp"
)

// EventLog is the journal as the stream reads it. Its methods may be called from many goroutines at once.
type EventLog interface {
	// Next is the number that the next event will have; numbers count from 1 without gaps.
	Next() uint64
	// Find is the number of the event with an id; false where it is not held, or never was.
	Find(ctx context.Context, id string) (uint64, bool, error)
	// Follow reads from a number on, 0 being the oldest that is held.
	Follow(from uint64) EventReader
}

// EventReader reads on and on. It belongs to one goroutine.
type EventReader interface {
	// Next gives the next events, or false where there is nothing new. What it lends is good until the next call.
	Next(*EventChunk) (bool, error)
	// Wait returns when there may be something new, or with ctx's error.
	Wait(context.Context) error
	// Seq is the number with which the next chunk begins.
	Seq() uint64
	Close() error
}

// EventChunk is what a reader gives: some events in a row, or how many cannot be given.
type EventChunk struct {
	First  uint64
	Missed uint64 // then there are no events
	Why    string
	Events []StreamEvent
}

// StreamEvent is one line of the journal, without its end.
type StreamEvent struct{ ID, Type, Line []byte }

// frames are events as they are sent, in a row. They never change once others see them.
type frames struct {
	first, next uint64 // numbers of the first, and behind the last
	bytes       []byte
	ends        []int32  // of each event in bytes
	types       []string // of each event
}

// add appends one event. A line of the journal holds no line break, so that one data field takes it.
func (f *frames) add(e *StreamEvent, names *interned) {
	f.bytes = append(append(append(f.bytes, "id: "...), e.ID...), "\nevent: "...)
	f.bytes = append(append(append(f.bytes, e.Type...), "\ndata: "...), e.Line...)
	f.bytes = append(f.bytes, "\n\n"...)
	f.ends = append(f.ends, int32(len(f.bytes)))
	f.types = append(f.types, names.of(e.Type))
	f.next++
}

// wanted appends the frames of the events from a number on that a filter takes.
func (f *frames) wanted(dst []byte, from uint64, which *typeFilter) []byte {
	i := 0
	if from > f.first {
		i = int(from - f.first)
	}
	for ; i < len(f.ends); i++ {
		if !which.takes(f.types[i]) {
			continue
		}
		at := int32(0)
		if i > 0 {
			at = f.ends[i-1]
		}
		dst = append(dst, f.bytes[at:f.ends[i]]...)
	}
	return dst
}

// interned keeps one string of each event type; there are few.
type interned struct{ names map[string]string }

func (n *interned) of(b []byte) string {
	if s, ok := n.names[string(b)]; ok {
		return s
	}
	if n.names == nil || len(n.names) > 256 {
		n.names = map[string]string{}
	}
	s := string(b)
	n.names[s] = s
	return s
}

// appendGap tells a client what it does not get. It has no id, so that a client that resumes does so from an event.
func appendGap(dst []byte, missed uint64, why string) []byte {
	dst = append(dst, "event: gap\ndata: {\"missed\":"...)
	if missed == 0 {
		dst = append(dst, "null"...) // nobody knows
	} else {
		dst = strconv.AppendUint(dst, missed, 10)
	}
	dst = append(dst, `,"reason":`...)
	dst = pdp.AppendString(dst, why)
	return append(dst, "}\n\n"...)
}
