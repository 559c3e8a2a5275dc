package native

import (
	"unsafe"

	"thymus/pdp"
)

// tapeVal is the value at node i of a tape.
func tapeVal(d *pdp.Doc, i int32) val {
	n := &d.Nodes[i]
	switch n.Kind {
	case pdp.Null:
		return val{kind: null}
	case pdp.False:
		return val{kind: boolean}
	case pdp.True:
		return val{kind: boolean, n: 1}
	case pdp.Number:
		return numVal(d.Str(n.Val))
	case pdp.String:
		if n.Val.Len == 0 {
			return val{kind: text}
		}
		return val{kind: text, p: unsafe.Pointer(&d.Text[n.Val.Off]), n: int64(n.Val.Len)}
	case pdp.Array:
		return val{kind: array, p: unsafe.Pointer(d), n: int64(i), mark: true}
	}
	return val{kind: object, p: unsafe.Pointer(d), n: int64(i), mark: true}
}

// tapeMember is the member of the object at node i. A tape has a key once.
func tapeMember(d *pdp.Doc, i int64, key string) val {
	nodes, found := d.Nodes, int32(-1)
	end := nodes[i].Next
	for c := int32(i) + 1; c < end; {
		n := &nodes[c]
		if int(n.Key.Len) == len(key) && string(d.Text[n.Key.Off:n.Key.Off+n.Key.Len]) == key {
			found = c
			break
		}
		c = n.Next
	}
	if found < 0 {
		return val{}
	}
	return tapeVal(d, found)
}

// tapeIndex walks: see machine.get, which lowers long arrays first.
func tapeIndex(d *pdp.Doc, i, at int64) val {
	end := d.Nodes[i].Next
	for c := int32(i) + 1; c < end; c = d.Nodes[c].Next {
		if at == 0 {
			return tapeVal(d, c)
		}
		at--
	}
	return val{}
}

// fromTape makes a node of the collection at v's place on the tape, once an evaluation; what is below stays there.
func (m *machine) fromTape(v val) *node {
	d := v.doc()
	if len(m.lowered) < len(d.Nodes) {
		m.lowered = append(m.lowered, make([]*node, len(d.Nodes)-len(m.lowered))...)
	}
	if n := m.lowered[v.n]; n != nil {
		return n
	}
	n := m.arena.node()
	m.lowered[v.n], m.loweredAt = n, append(m.loweredAt, int32(v.n))
	end := d.Nodes[v.n].Next
	for c := int32(v.n) + 1; c < end; c = d.Nodes[c].Next {
		x := tapeVal(d, c)
		if v.kind == array {
			n.e = append(n.e, x)
			continue
		}
		n.e = append(n.e, strVal(d.Str(d.Nodes[c].Key)), x)
	}
	return n
}

// field is v[*key] of a name that the program holds. The names of small constant objects are the program's too, so that
// comparing addresses says it all.
func (m *machine) field(v val, key *val) val {
	if v.kind == object && !v.mark {
		if n := v.node(); n.frozen && key.mark && len(n.e) <= 2*fewKeys {
			for i := 0; i < len(n.e); i += 2 {
				if e := &n.e[i]; e.p == key.p && e.n == key.n && e.kind == text {
					return n.e[i+1]
				}
			}
			return val{}
		}
	}
	return m.get(v, *key)
}

// get is v[key]; undefined where there is none.
func (m *machine) get(v, key val) val {
	switch v.kind {
	case object:
		if v.mark {
			if key.kind != text {
				return val{}
			}
			if v.size() <= 2*fewKeys {
				return tapeMember(v.doc(), v.n, key.str())
			}
		}
		n := m.lower(v)
		if i := n.find(m, object, key); i >= 0 {
			return n.e[i+1]
		}
	case array:
		if at, ok := key.position(); ok {
			if v.mark && v.size() <= 2*fewKeys {
				return tapeIndex(v.doc(), v.n, at)
			}
			if n := m.lower(v); at < int64(len(n.e)) {
				return n.e[at]
			}
		}
	case set:
		if v.node().find(m, set, key) >= 0 {
			return key
		}
	}
	return val{}
}
