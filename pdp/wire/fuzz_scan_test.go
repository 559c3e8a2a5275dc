package wire_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"thymus/pdp"
	"thymus/pdp/wire"
)

var scanSeeds = []string{
	``, ` `, `null`, `{"a":[1,2.5e3,"x\u0041\ud83d\ude00",true,false,null,{}]}`, `{"a":1,"a":2}`, `[[[[]]]]`, "\"\xff\"",
	`"\ud800"`, `1e99999`, `-0.0E-0`, `{"a":{"b":1,"b":{}},"a":[]}`, `[1,]`, `"\`, `"\u00`, "\xef\xbb\xbf1", `{"":"","":""}`,
	`{"a":1,"\u0061":2}`, `"éééééééé\n"`, "{}\x00", `12345678901234567890`,
}

// A body is accepted if and only if an independent reading says it is to be, and then holds what encoding/json reads.
func FuzzScanStrict(f *testing.F) {
	for _, s := range scanSeeds {
		f.Add([]byte(s))
	}
	s := wire.NewScanner()
	f.Fuzz(func(t *testing.T, body []byte) {
		const depth = 6
		var doc pdp.Doc
		p := s.Scan(body, wire.Mode{Depth: depth}, &doc)
		if want := acceptable(body, depth); (p == nil) != want {
			t.Fatalf("%q: accepted is to be %v, got %v", body, want, p)
		}
		if p != nil {
			if p.Offset < 0 || p.Offset > len(body) || p.Detail == "" {
				t.Fatalf("%q: offset %d, %q", body, p.Offset, p.Detail)
			}
			return
		}
		checkTape(t, &doc)
		if got, want := value(t, doc.AppendJSON(nil, 0)), value(t, body); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %v, want %v", body, got, want)
		}
	})
}

// Leniently, encoding/json's own word counts: but for depth and the size of numbers, what it takes is taken, and equal.
func FuzzScanLenient(f *testing.F) {
	for _, s := range scanSeeds {
		f.Add([]byte(s))
	}
	s := wire.NewScanner()
	f.Fuzz(func(t *testing.T, body []byte) {
		const depth = 6
		var doc pdp.Doc
		p := s.Scan(body, wire.Mode{Depth: depth, Lenient: true}, &doc)
		if want := json.Valid(body) && bounded(body, depth, false); (p == nil) != want {
			t.Fatalf("%q: accepted is to be %v, got %v", body, want, p)
		}
		if p != nil {
			return
		}
		checkTape(t, &doc)
		if got, want := value(t, doc.AppendJSON(nil, 0)), value(t, body); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %v, want %v", body, got, want)
		}
	})
}
