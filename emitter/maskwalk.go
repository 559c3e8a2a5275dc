package emitter

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Append appends the payload, which must be valid JSON, as the mask leaves it. A payload that is not an object, or is
// not JSON after all, becomes an empty object: what cannot be read cannot be masked.
func (m *Mask) Append(dst, payload []byte) []byte {
	m.seen, m.store = m.seen[:0], m.store[:0]
	w := maskWalk{m: m, s: scanner{b: payload}}
	start := len(dst)
	if w.s.peek() != '{' {
		return append(dst, "{}"...)
	}
	dst = w.object(dst, &m.root, false, true)
	if w.s.bad {
		return append(dst[:start], "{}"...)
	}
	return dst
}

// collect remembers the masked identities of the event, for the copies of them that nothing but equality gives away. It
// is called once the payload turns out to have a member that may hold such copies: most have none.
func (m *Mask) collect(payload []byte) {
	m.seen, m.store = m.seen[:0], m.store[:0]
	s := scanner{b: payload}
	s.members(func(key []byte) bool {
		switch string(key) {
		case "agent_id", "source", "resource":
		default:
			return false
		}
		n := m.root.child(key)
		if n == nil || n.mode == keep || s.peek() != '"' {
			return false
		}
		off := len(m.store)
		m.store = s.text(m.store)
		if len(m.store) > off {
			m.seen = append(m.seen, m.store[off:len(m.store):len(m.store)])
		}
		return true
	})
}

func (m *Mask) isSeen(v []byte) bool {
	for _, s := range m.seen {
		if bytes.Equal(s, v) {
			return true
		}
	}
	return false
}

// modeOfSeen is how copies are masked: as agent_id, else as resource.
func (m *Mask) modeOfSeen() maskMode {
	for _, name := range []string{"agent_id", "resource"} {
		if n := m.root.child([]byte(name)); n != nil && n.mode != keep {
			return n.mode
		}
	}
	return drop
}

type maskWalk struct {
	m *Mask
	s scanner
}

// value appends the next value. n is what the mask says of it, nil for nothing; inFree says that it lies in a member
// that may hold copies.
func (w *maskWalk) value(dst []byte, n *maskNode, inFree bool) []byte {
	search := inFree && len(w.m.seen) > 0
	c := w.s.peek()
	if n == nil && !search {
		return append(dst, w.s.skip()...)
	}
	switch c {
	case '{':
		return w.object(dst, n, inFree, false)
	case '[':
		return w.array(dst, n, inFree)
	}
	return append(dst, w.s.skip()...)
}

func (w *maskWalk) object(dst []byte, n *maskNode, inFree, top bool) []byte {
	dst = append(dst, '{')
	first := true
	w.s.eachMember(func(raw, key []byte) {
		start := len(dst)
		if !first {
			dst = append(dst, ',')
		}
		dst = append(dst, raw...)
		dst = append(dst, ':')
		child := n.child(key)
		free := inFree
		if top && slices.Contains(freeMembers, string(key)) {
			free = true
			w.m.collect(w.s.b)
		}
		var kept bool
		if dst, kept = w.masked(dst, child, free); !kept {
			dst = dst[:start]
			return
		}
		first = false
	})
	return append(dst, '}')
}

func (w *maskWalk) array(dst []byte, n *maskNode, inFree bool) []byte {
	dst = append(dst, '[')
	first := true
	w.s.eachElement(func() {
		start := len(dst)
		if !first {
			dst = append(dst, ',')
		}
		var kept bool
		if dst, kept = w.masked(dst, elementOf(n), inFree); !kept {
			dst = dst[:start]
			return
		}
		first = false
	})
	return append(dst, ']')
}

// elementOf is what the mask says of an array's element: what it says below the array.
func elementOf(n *maskNode) *maskNode {
	if n == nil || len(n.named) == 0 {
		return nil
	}
	return &maskNode{named: n.named}
}

// masked appends the next value as the mask leaves it; false if nothing is left.
func (w *maskWalk) masked(dst []byte, n *maskNode, inFree bool) ([]byte, bool) {
	mode := keep
	if n != nil {
		mode = n.mode
	}
	if w.s.peek() == '"' && (mode == digest || inFree && mode == keep && len(w.m.seen) > 0) {
		at := w.s.i
		w.m.text = w.s.text(w.m.text[:0])
		if mode == keep && w.m.isSeen(w.m.text) {
			mode = w.m.modeOfSeen()
		}
		switch mode {
		case keep:
			return append(dst, w.s.b[at:w.s.i]...), true
		case digest:
			return w.m.hashed(dst, w.m.text), true
		}
		return dst, false
	}
	switch mode {
	case drop:
		w.s.skip()
		return dst, false
	case digest:
		v := w.s.skip()
		if string(v) == "null" {
			return append(dst, v...), true
		}
		return w.m.hashed(dst, v), true
	}
	return w.value(dst, n, inFree), true
}

// unquote appends the text of a JSON string that holds escapes. It is off the common path and may allocate.
func unquote(dst, raw []byte) []byte {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return dst
	}
	return append(dst, s...)
}
