package pdp_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"

	"thymus/pdp"
)

// put appends v, a value as encoding/json makes it, to the tape.
func put(d *pdp.Doc, key pdp.Span, v any) {
	switch v := v.(type) {
	case nil:
		d.Add(key, pdp.Null, pdp.Span{})
	case bool:
		if v {
			d.Add(key, pdp.True, pdp.Span{})
		} else {
			d.Add(key, pdp.False, pdp.Span{})
		}
	case json.Number:
		d.Add(key, pdp.Number, d.AddText(string(v)))
	case string:
		d.Add(key, pdp.String, d.AddText(v))
	case []any:
		i := d.Open(key, pdp.Array)
		for _, e := range v {
			put(d, pdp.Span{}, e)
		}
		d.End(i, len(v))
	case map[string]any:
		i := d.Open(key, pdp.Object)
		for k, e := range v {
			put(d, d.AddText(k), e)
		}
		d.End(i, len(v))
	}
}

func random(rng *rand.Rand, depth int) any {
	switch rng.IntN(7 + min(depth, 1)*5) {
	case 0:
		return nil
	case 1, 2:
		return rng.IntN(2) == 0
	case 3, 4:
		return json.Number(strconv.Itoa(rng.IntN(1000)) + "." + strconv.Itoa(rng.IntN(1000)))
	case 5, 6:
		return []string{"", "plain", "\"\\\n\x00\x1f", "é😀", "\u2028"}[rng.IntN(5)]
	case 7, 8, 9:
		m := map[string]any{}
		for range rng.IntN(5) {
			m[[]string{"", "a", "b\n", "é", "long name"}[rng.IntN(5)]] = random(rng, depth-1)
		}
		return m
	}
	a := []any{}
	for range rng.IntN(5) {
		a = append(a, random(rng, depth-1))
	}
	return a
}

func TestTapeIsWhatItWasBuiltFrom(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var d pdp.Doc
	for range 3000 {
		d.Reset(1 << 16)
		v := random(rng, 5)
		put(&d, pdp.Span{}, v)
		if int(d.Nodes[0].Next) != len(d.Nodes) {
			t.Fatalf("the root ends at %d of %d", d.Nodes[0].Next, len(d.Nodes))
		}
		dec := json.NewDecoder(bytes.NewReader(d.AppendJSON(nil, 0)))
		dec.UseNumber()
		var got any
		if err := dec.Decode(&got); err != nil || !reflect.DeepEqual(got, v) {
			t.Fatalf("got %v (%v), want %v", got, err, v)
		}
		if m, ok := v.(map[string]any); ok {
			for k, e := range m {
				i := d.Path(k)
				if i < 0 {
					t.Fatalf("no member %q in %s", k, d.AppendJSON(nil, 0))
				}
				s, is := e.(string)
				if text, ok := d.StringAt(i); ok != is || text != s {
					t.Fatalf("member %q: got %q, %v", k, text, ok)
				}
			}
		}
	}
}

func TestTapeFindsNothingWhereNothingIs(t *testing.T) {
	var none, d pdp.Doc
	put(&d, pdp.Span{}, map[string]any{"a": []any{"x"}, "s": "t", "o": map[string]any{"i": "n"}})
	for name, i := range map[string]int32{
		"an empty tape":          none.Path("a"),
		"an empty tape's root":   none.Path(),
		"a missing member":       d.Path("b"),
		"a member of an array":   d.Path("a", "x"),
		"a member of a string":   d.Path("s", "t"),
		"a grandchild as child":  d.Path("i"),
		"a member of no node":    d.Member(-1, "a"),
		"a member behind it all": d.Member(99, "a"),
	} {
		if i != -1 {
			t.Errorf("%s: got %d", name, i)
		}
	}
	if s, ok := d.StringAt(d.Path("o", "i")); !ok || s != "n" {
		t.Errorf("got %q, %v", s, ok)
	}
	if _, ok := d.StringAt(99); ok {
		t.Error("a string behind the tape's end")
	}
}

func TestTapeGivesLargeMemoryBack(t *testing.T) {
	var d pdp.Doc
	d.AddText(string(make([]byte, 2000)))
	for range 300 {
		d.Add(pdp.Span{}, pdp.Null, pdp.Span{})
	}
	d.Reset(1000)
	if cap(d.Text) != 0 || cap(d.Nodes) != 0 {
		t.Errorf("kept %d bytes and %d nodes", cap(d.Text), cap(d.Nodes))
	}
	d.AddText("x")
	d.Add(pdp.Span{}, pdp.Null, pdp.Span{})
	d.Reset(1000)
	if cap(d.Text) == 0 || cap(d.Nodes) == 0 || len(d.Text)+len(d.Nodes) != 0 {
		t.Error("small memory is not kept, or not empty")
	}
}
