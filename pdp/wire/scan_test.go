package wire_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"thymus/pdp"
	"thymus/pdp/wire"
	"thymus/test/harness"
)

var strict = wire.Mode{Depth: pdp.MaxDepth}

func TestScannerKeepsWhatRFC8259Allows(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"a lone scalar":                          {`true`, `true`},
		"white space of all four kinds":          {" \t\r\n[ 1 , 2 ]\n", `[1,2]`},
		"an integer beyond 64 bits":              {`12345678901234567890`, `12345678901234567890`},
		"a number beyond a double":               {`1e400`, `1e400`},
		"a trailing zero":                        {`1.10`, `1.10`},
		"minus zero":                             {`-0`, `-0`},
		"the largest exponent":                   {`1E+4096`, `1E+4096`},
		"all short escapes":                      {`"\"\\\/\b\f\n\r\t"`, `"\"\\/\b\f\n\r\t"`},
		"an escaped name":                        {`{"\u0061b":1}`, `{"ab":1}`},
		"an escaped zero":                        {`"\u0000"`, `"\u0000"`},
		"a surrogate pair":                       {`"\ud83d\ude00"`, `"😀"`},
		"text behind an escape":                  {`"ab\ncdefghijklmnop\tqr"`, `"ab\ncdefghijklmnop\tqr"`},
		"wide text before and behind an escape":  {`"é\u00e9é"`, `"ééé"`},
		"delete, which is no control of RFC8259": {"\"\x7f\"", "\"\x7f\""},
		"empty containers in each other":         {`[{},[],[[]],{"a":{}}]`, `[{},[],[[]],{"a":{}}]`},
		"an empty name":                          {`{"":0}`, `{"":0}`},
		"equal names in different objects":       {`{"a":{"a":1},"b":{"a":1}}`, `{"a":{"a":1},"b":{"a":1}}`},
		"63 arrays in an object":                 {`{"a":` + nest(63) + `}`, `{"a":` + nest(63) + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			var doc pdp.Doc
			if p := wire.NewScanner().Scan([]byte(c.in), strict, &doc); p != nil {
				t.Fatalf("refused: %v", p)
			}
			checkTape(t, &doc)
			if got := string(doc.AppendJSON(nil, 0)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func nest(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestScannerRefusesWithPlaceAndPath(t *testing.T) {
	for name, c := range map[string]struct {
		in     string
		offset int
		field  string
		detail string
	}{
		"an empty body":                     {``, 0, "", "the body is empty"},
		"white space alone":                 {"  ", 2, "", "the body ends"},
		"a byte order mark":                 {"\xef\xbb\xbf{}", 0, "", "byte order mark"},
		"content behind the value":          {`{} {}`, 3, "", "unexpected content"},
		"a zero byte behind the value":      {"{}\x00", 2, "", "unexpected content"},
		"a trailing comma in an object":     {`{"a":1,}`, 7, "", "a member's name"},
		"a trailing comma in an array":      {`[1,]`, 3, "", "expected a value"},
		"a comma alone":                     {`[,]`, 1, "", "expected a value"},
		"a missing colon":                   {`{"a" 1}`, 5, "", "expected ':'"},
		"a name without quotes":             {`{a:1}`, 1, "", "a member's name"},
		"an object without end":             {`{"a":1`, 6, "", "the body ends"},
		"a string without end":              {`"abc`, 4, "", "inside a string"},
		"an escape without end":             {`"\`, 1, "", "escape"},
		"a short unicode escape":            {`"\u12"`, 1, "", "hexadecimal"},
		"an unknown escape":                 {`"\x41"`, 1, "", "escape"},
		"a control character":               {"\"a\nb\"", 2, "", "control character"},
		"the wrong bracket":                 {`[1}`, 2, "", "',' or ']'"},
		"a capital literal":                 {`True`, 0, "", "expected a value"},
		"a literal cut short":               {`{"a":tru}`, 5, "", "expected a value"},
		"NaN":                               {`NaN`, 0, "", "expected a value"},
		"a leading zero":                    {`01`, 1, "", "unexpected content"},
		"a leading plus":                    {`+1`, 0, "", "expected a value"},
		"a point without digits":            {`1.`, 2, "", "a digit"},
		"an exponent without digits":        {`1e+`, 3, "", "a digit"},
		"a minus alone":                     {`-`, 1, "", "a digit"},
		"a hexadecimal number":              {`0x10`, 1, "", "unexpected content"},
		"single quotes":                     {`'a'`, 0, "", "there is '''"},
		"a comment":                         {`/**/1`, 0, "", "there is '/'"},
		"a duplicate":                       {`{"a":{"b":1,"c":2,"b":3}}`, 18, "a.b", "two members"},
		"a duplicate by escape":             {`{"ab":1,"a\u0062":2}`, 8, "ab", "two members"},
		"a duplicate in an array":           {`{"x":[0,{"k":1,"k":1}]}`, 15, "x.1.k", "two members"},
		"a half surrogate":                  {`{"a":"x\ud800y"}`, 7, "a", "surrogate"},
		"a low surrogate first":             {`"\udc00\ud800"`, 1, "", "surrogate"},
		"a high surrogate and a letter":     {`"\ud800\u0041"`, 1, "", "surrogate"},
		"invalid UTF-8":                     {"{\"a\":[1,\"x\xffy\"]}", 10, "a.1", "UTF-8"},
		"invalid UTF-8 and an escape":       {"[\"\xc3\\n\"]", 2, "0", "UTF-8"},
		"UTF-8 cut by the end":              {"\"\xe2\x82", 1, "", "UTF-8"},
		"invalid UTF-8 long before the end": {"\"\xff" + long(40) + "\"", 1, "", "UTF-8"},
		"invalid UTF-8 in the last word":    {"\"" + long(12) + "\xff\"", 13, "", "UTF-8"},
		"an overlong zero":                  {"\"\xc0\x80\"", 1, "", "UTF-8"},
		"a surrogate in UTF-8":              {"\"\xed\xa0\x80\"", 1, "", "UTF-8"},
		"depth 65":                          {`{"a":` + nest(64) + `}`, 68, "a" + strings.Repeat(".0", 63), "deeper than 64"},
		"an exponent that would explode":    {`{"a":{"n":1e999999999}}`, 10, "a.n", "exponent"},
		"a tiny number":                     {`[1e-999999999999999999999999]`, 1, "0", "exponent"},
		"a number without bound":            {`[` + strings.Repeat("9", 4097) + `]`, 1, "0", "longer than 4096"},
	} {
		t.Run(name, func(t *testing.T) {
			var doc pdp.Doc
			p := wire.NewScanner().Scan([]byte(c.in), strict, &doc)
			if p == nil {
				t.Fatalf("accepted: %s", doc.AppendJSON(nil, 0))
			}
			if p.Offset != c.offset || p.Field != c.field || !strings.Contains(p.Detail, c.detail) {
				t.Errorf("got offset %d, field %q, %q; want %d, %q, %q", p.Offset, p.Field, p.Detail, c.offset, c.field, c.detail)
			}
			if p.Kind != wire.KindMalformed || p.Status != 400 {
				t.Errorf("got kind %d, status %d", p.Kind, p.Status)
			}
		})
	}
}

// A scanner that compared each member with all before it would need some 5e9 comparisons for the larger of these.
func TestScannerChecksManyMembersInLinearTime(t *testing.T) {
	for _, n := range []int{31, 32, 33, 34, 64, 100_000} {
		var b bytes.Buffer
		b.WriteByte('{')
		for i := range n {
			fmt.Fprintf(&b, `"k%06d":{"k":1},`, i)
		}
		for _, c := range []struct {
			last string
			bad  bool
		}{{"unique", false}, {"k000000", true}, {fmt.Sprintf("k%06d", n-1), true}} {
			body := append(bytes.Clone(b.Bytes()), fmt.Sprintf(`"%s":2}`, c.last)...)
			var doc pdp.Doc
			start := harness.CPUTime(t)
			p := wire.NewScanner().Scan(body, strict, &doc)
			if took := harness.CPUTime(t) - start; took > 3*time.Second {
				t.Errorf("%d members took %v of CPU", n, took)
			}
			if (p != nil) != c.bad || c.bad && (p.Field != c.last || p.Offset != b.Len()) {
				t.Errorf("%d members and %q: got %v", n, c.last, p)
			}
			p = wire.NewScanner().Scan(body, wire.Mode{Depth: 8, Lenient: true}, &doc)
			if p != nil {
				t.Fatal(p)
			}
			checkTape(t, &doc)
			if got, want := doc.Nodes[0].Val.Len, uint32(n+1); c.bad && got != want-1 || !c.bad && got != want {
				t.Errorf("%d members and %q: %d are left", n, c.last, got)
			}
		}
	}
}

// Each level has a member twice: a scanner that moved what is left at each would be quadratic.
func TestScannerDropsNestedDuplicatesInLinearTime(t *testing.T) {
	const depth = 900
	wide := `[` + strings.TrimSuffix(strings.Repeat("0,", 400_000), ",") + `]`
	body := strings.Repeat(`{"a":[1,2],"a":`, depth) + wide + strings.Repeat(`}`, depth)
	var doc pdp.Doc
	start := harness.CPUTime(t)
	if p := wire.NewScanner().Scan([]byte(body), wire.Mode{Depth: 1000, Lenient: true}, &doc); p != nil {
		t.Fatal(p)
	}
	if took := harness.CPUTime(t) - start; took > time.Second {
		t.Errorf("took %v of CPU", took)
	}
	checkTape(t, &doc)
	if want := strings.Repeat(`{"a":`, depth) + wide + strings.Repeat(`}`, depth); string(doc.AppendJSON(nil, 0)) != want {
		t.Error("the last members are not what is left")
	}
}

func TestLenientScannerReadsAsEncodingJSON(t *testing.T) {
	for name, in := range map[string]string{
		"of equal names the last counts":      `{"a":{"x":1},"b":2,"a":{"y":[1,{"z":1,"z":2}]}}`,
		"three of a kind":                     `{"a":1,"a":2,"a":3}`,
		"a duplicate inside a duplicate":      `{"a":{"q":1,"q":2},"a":{"q":3,"q":4}}`,
		"names equal after replacement":       "{\"a\xff\":1,\"a\xfe\":2}",
		"each bad byte becomes one character": "\"\xff\xfe\xe2\x82x\"",
		"a half surrogate":                    `"\ud800x\udc00\ud800"`,
		"a high surrogate before a letter":    `"\ud800\u0041"`,
		"two high ones before a low one":      `"\ud800\ud83d\ude00"`,
	} {
		t.Run(name, func(t *testing.T) {
			var doc pdp.Doc
			if p := wire.NewScanner().Scan([]byte(in), wire.Mode{Depth: 64, Lenient: true}, &doc); p != nil {
				t.Fatal(p)
			}
			checkTape(t, &doc)
			if got, want := value(t, doc.AppendJSON(nil, 0)), value(t, []byte(in)); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestScannerAppendsBehindWhatATapeHolds(t *testing.T) {
	var doc pdp.Doc
	held := doc.AddText("held")
	s := wire.NewScanner()
	if p := s.Scan([]byte(`{"a":"\u0062"}`), strict, &doc); p != nil {
		t.Fatal(p)
	}
	if doc.Str(held) != "held" || string(doc.AppendJSON(nil, 0)) != `{"a":"b"}` {
		t.Errorf("got %q and %s", doc.Str(held), doc.AppendJSON(nil, 0))
	}
	if p := s.Scan([]byte(`{"a":`), strict, &doc); p == nil || p.Offset != 5 {
		t.Errorf("got %v: offsets count from the body", p)
	}
}

// Every byte at every place of the words in which strings are read, and next to each of the bytes that end one.
func TestScannerReadsEveryByteAtEveryPlace(t *testing.T) {
	s := wire.NewScanner()
	for b := range 256 {
		for place := range 20 {
			for _, next := range []string{"x", "\\n", "é", "\x1f", "\xff"} {
				body := []byte(`"` + long(place) + string([]byte{byte(b)}) + next + `yz"`)
				var doc pdp.Doc
				p := s.Scan(body, strict, &doc)
				if want := acceptable(body, 1); (p == nil) != want {
					t.Fatalf("%q: accepted is to be %v, got %v", body, want, p)
				}
				if p == nil && !reflect.DeepEqual(value(t, doc.AppendJSON(nil, 0)), value(t, body)) {
					t.Fatalf("%q: got %s", body, doc.AppendJSON(nil, 0))
				}
			}
		}
	}
}
