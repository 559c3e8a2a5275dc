package wire_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"thymus/pdp"
	"thymus/pdp/wire"
)

// acceptable says, by encoding/json and by rules of its own, whether the strict scanner is to accept a body.
func acceptable(body []byte, depth int) bool {
	return json.Valid(body) && utf8.Valid(body) && !halfSurrogate(body) && bounded(body, depth, true)
}

// halfSurrogate looks for an escaped half of a surrogate pair in valid JSON.
func halfSurrogate(body []byte) bool {
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		if body[i+1] != 'u' {
			i++
			continue
		}
		r := hex(body[i+2 : i+6])
		i += 5
		if !utf16.IsSurrogate(r) {
			continue
		}
		if r >= 0xdc00 || i+6 >= len(body) || body[i+1] != '\\' || body[i+2] != 'u' {
			return true
		}
		if low := hex(body[i+3 : i+7]); low < 0xdc00 || low > 0xdfff {
			return true
		}
		i += 6
	}
	return false
}

func hex(b []byte) rune {
	n, _ := strconv.ParseUint(string(b), 16, 32)
	return rune(n)
}

// bounded walks valid JSON and checks its depth, its numbers and (unique) its members' names.
func bounded(body []byte, depth int, unique bool) bool {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	type open struct {
		names map[string]bool
		name  bool // a name comes next
	}
	var stack []open
	for {
		tok, err := dec.Token()
		if err != nil {
			return true // the end: the body is valid
		}
		var top *open
		if len(stack) > 0 {
			top = &stack[len(stack)-1]
		}
		if d, ok := tok.(json.Delim); ok {
			if d == '}' || d == ']' {
				stack = stack[:len(stack)-1]
				continue
			}
			if top != nil && top.names != nil {
				top.name = true
			}
			if len(stack) == depth {
				return false
			}
			o := open{}
			if d == '{' {
				o = open{names: map[string]bool{}, name: true}
			}
			stack = append(stack, o)
			continue
		}
		if top != nil && top.names != nil {
			if top.name {
				name := tok.(string)
				if unique && top.names[name] {
					return false
				}
				top.names[name], top.name = true, false
				continue
			}
			top.name = true
		}
		if n, ok := tok.(json.Number); ok && !boundedNumber(string(n)) {
			return false
		}
	}
}

func boundedNumber(n string) bool {
	if i := strings.IndexAny(n, "eE"); i >= 0 {
		exp, err := strconv.ParseInt(strings.TrimPrefix(n[i+1:], "+"), 10, 64)
		if err != nil || exp > wire.MaxExponent || exp < -wire.MaxExponent {
			return false
		}
	}
	return len(n) <= wire.MaxNumber
}

// value is body as encoding/json reads it, numbers by their text.
func value(t testing.TB, body []byte) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("encoding/json: %v in %q", err, body)
	}
	return v
}

// checkTape fails where a tape is not as pdp.Doc promises.
func checkTape(t testing.TB, doc *pdp.Doc) {
	t.Helper()
	if len(doc.Nodes) == 0 {
		return
	}
	if end := checkNode(t, doc, 0, false); int(end) != len(doc.Nodes) {
		t.Fatalf("the root ends at %d of %d nodes", end, len(doc.Nodes))
	}
}

func checkNode(t testing.TB, doc *pdp.Doc, i int32, member bool) int32 {
	t.Helper()
	n := doc.Nodes[i]
	if n.Kind > pdp.Object {
		t.Fatalf("node %d has kind %d", i, n.Kind)
	}
	if member && !utf8.ValidString(doc.Str(n.Key)) {
		t.Fatalf("node %d: key %q", i, doc.Str(n.Key))
	}
	if n.Kind < pdp.Array {
		if n.Next != i+1 {
			t.Fatalf("scalar %d has next %d", i, n.Next)
		}
		if n.Kind >= pdp.Number && !utf8.ValidString(doc.Str(n.Val)) {
			t.Fatalf("node %d: text %q", i, doc.Str(n.Val))
		}
		return n.Next
	}
	count, c := uint32(0), i+1
	for c < n.Next {
		c = checkNode(t, doc, c, n.Kind == pdp.Object)
		count++
	}
	if c != n.Next || count != n.Val.Len {
		t.Fatalf("node %d has %d elements up to %d, and says %d up to %d", i, count, c, n.Val.Len, n.Next)
	}
	return n.Next
}
