package pdp

import (
	"math"
	"unsafe"
)

// Kind is the type of a JSON value.
type Kind uint8

// The kinds of a JSON value.
const (
	Null Kind = iota
	False
	True
	Number
	String
	Array
	Object
)

// Span is a piece of a Doc's Text: Off bytes in, Len bytes long.
type Span struct{ Off, Len uint32 }

// Node is one value of a Doc.
type Node struct {
	Key  Span  // the member's name, where the parent is an object
	Val  Span  // Number: its JSON text, exact. String: its text, unescaped UTF-8. Array, Object: Len counts the elements
	Next int32 // index of the first node behind this value and all below it
	Kind Kind
}

// Doc is a JSON value as a flat tape: nodes in pre-order, node 0 the root, their text in one buffer. A Doc without
// nodes is undefined, which is not null.
//
// A Doc is lent: whoever fills it owns it, and everyone else reads it until the call it was lent for returns. What is
// to be kept is copied. It may be read from several goroutines at once, and filled by one.
//
// Text is at most 4 GiB and Nodes at most 2^31 long; both are bounded long before by the limit on a request's body.
type Doc struct {
	Nodes []Node
	Text  []byte
}

// Reset empties the tape and keeps its memory, unless it grew past the given number of text bytes or an eighth of
// that in nodes: a pool must not hold on to the largest request it ever saw.
func (d *Doc) Reset(keep int) {
	if cap(d.Text) > keep {
		d.Text = nil
	}
	if cap(d.Nodes) > keep/8 {
		d.Nodes = nil
	}
	d.Nodes, d.Text = d.Nodes[:0], d.Text[:0]
}

// Str is the text of a span. It shares the tape's memory and is lent like the tape.
func (d *Doc) Str(s Span) string {
	if s.Len == 0 {
		return ""
	}
	b := d.Text[s.Off : s.Off+s.Len]
	return unsafe.String(&b[0], len(b))
}

// AddText copies s into the text and returns its span.
func (d *Doc) AddText(s string) Span {
	off := len(d.Text)
	d.Text = append(d.Text, s...)
	return Span{Off: uint32(off), Len: uint32(len(s))}
}

// Add appends a scalar under key (the zero Span where the parent is no object) and returns its index. Val is the text
// of a Number or a String and the zero Span for the others.
func (d *Doc) Add(key Span, k Kind, val Span) int32 {
	i := int32(len(d.Nodes))
	d.Nodes = append(d.Nodes, Node{Key: key, Val: val, Next: i + 1, Kind: k})
	return i
}

// Open appends an Array or Object under key; End closes it once its n elements have been appended.
func (d *Doc) Open(key Span, k Kind) int32 { return d.Add(key, k, Span{}) }

// End closes the Array or Object at index i, which has n elements.
func (d *Doc) End(i int32, n int) {
	d.Nodes[i].Val.Len = uint32(n)
	d.Nodes[i].Next = int32(len(d.Nodes))
}

// Member is the index of the member called name of the object at index i, or -1 where i is no object or has no such
// member. It looks at each member in turn.
func (d *Doc) Member(i int32, name string) int32 {
	if i < 0 || int(i) >= len(d.Nodes) || d.Nodes[i].Kind != Object {
		return -1
	}
	end := d.Nodes[i].Next
	for c := i + 1; c < end; c = d.Nodes[c].Next {
		if k := d.Nodes[c].Key; int(k.Len) == len(name) && d.Str(k) == name {
			return c
		}
	}
	return -1
}

// Path follows member names from the root; -1 where one is missing.
func (d *Doc) Path(names ...string) int32 {
	if len(d.Nodes) == 0 {
		return -1
	}
	i := int32(0)
	for _, n := range names {
		if i = d.Member(i, n); i < 0 {
			return -1
		}
	}
	return i
}

// StringAt is the text of the String at index i; false where i is -1 or no String.
func (d *Doc) StringAt(i int32) (string, bool) {
	if i < 0 || int(i) >= len(d.Nodes) || d.Nodes[i].Kind != String {
		return "", false
	}
	return d.Str(d.Nodes[i].Val), true
}

// AppendJSON appends the value at index i as JSON, members in the order of the tape.
func (d *Doc) AppendJSON(dst []byte, i int32) []byte {
	n := &d.Nodes[i]
	switch n.Kind {
	case Null:
		return append(dst, "null"...)
	case False:
		return append(dst, "false"...)
	case True:
		return append(dst, "true"...)
	case Number:
		return append(dst, d.Str(n.Val)...)
	case String:
		return AppendString(dst, d.Str(n.Val))
	}
	open, closing := byte('{'), byte('}')
	if n.Kind == Array {
		open, closing = '[', ']'
	}
	dst = append(dst, open)
	for c := i + 1; c < n.Next; c = d.Nodes[c].Next {
		if c > i+1 {
			dst = append(dst, ',')
		}
		if n.Kind == Object {
			dst = AppendString(dst, d.Str(d.Nodes[c].Key))
			dst = append(dst, ':')
		}
		dst = d.AppendJSON(dst, c)
	}
	return append(dst, closing)
}

// MaxText is the largest text a Doc can address.
const MaxText = math.MaxUint32
