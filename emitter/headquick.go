package emitter

import "bytes"

// quick reads the head of a line that is written as Encoder.Decision writes it: the members in their order, nothing
// between them, nothing escaped up to the key. It is nearly every line, and takes less than half as long.
// False says nothing of the line but that the scanner has to read it.
func (h *Head) quick(line []byte) bool {
	w := walker{rest: line, ok: true}
	w.past(`{"id":"`)
	h.ID = w.text()
	w.past(`,"type":"`)
	h.Type = w.text()
	w.past(`,"source":"`)
	h.Source = w.text()
	w.past(`,"target":null,"timestamp":`)
	h.Timestamp = w.number()
	w.past(`,"payload":{"decision_id":"`)
	w.text()
	w.past(`,"policy_revision":"`)
	w.text()
	w.past(`,"surface":"`)
	w.text()
	w.past(`,"agent_id":"`)
	h.Key = w.text()
	h.Agent = h.Key
	return w.ok && bytes.IndexByte(line[:len(line)-len(w.rest)], '\\') < 0
}

// walker goes through a line as long as it is as expected.
type walker struct {
	rest []byte
	ok   bool
}

// past passes what has to stand here.
func (w *walker) past(s string) {
	if w.ok = w.ok && len(w.rest) >= len(s) && string(w.rest[:len(s)]) == s; w.ok {
		w.rest = w.rest[len(s):]
	}
}

// text passes what is left of a string, and its end; an empty one is not as expected.
func (w *walker) text() []byte {
	n := bytes.IndexByte(w.rest, '"')
	if !w.ok || n <= 0 {
		w.ok = false
		return nil
	}
	s := w.rest[:n]
	w.rest = w.rest[n+1:]
	return s
}

// number passes digits and points.
func (w *walker) number() []byte {
	n := 0
	for n < len(w.rest) && (w.rest[n]-'0' <= 9 || w.rest[n] == '.') {
		n++
	}
	s := w.rest[:n]
	w.rest, w.ok = w.rest[n:], w.ok && n > 0
	return s
}
