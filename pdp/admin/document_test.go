package admin

import (
	"encoding/json"
	"net/http"
	"testing"

	"thymus/pdp/policy"
)

// The examples of RFC 7396, appendix A, that are objects.
func TestMergePatchIsThatOfTheRFC(t *testing.T) {
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `{"a":"b"}`, `{"a":"b"}`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"n":9007199254740993}`, `{"m":1.0}`, `{"n":9007199254740993,"m":1.0}`},
	} {
		got, err := mergePatch([]byte(c[0]), []byte(c[1]))
		if err != nil || string(got) != c[2] {
			t.Errorf("%s with %s: got %s, want %s (%v)", c[0], c[1], got, c[2], err)
		}
	}
}

func FuzzMergePatch(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,2]}}`), []byte(`{"a":{"b":null,"c":{}}}`))
	f.Add([]byte(`[]`), []byte(`{"a":1}`))
	f.Fuzz(func(t *testing.T, doc, patch []byte) {
		if !json.Valid(doc) || checkJSON(patch) != nil {
			return
		}
		got, err := mergePatch(doc, patch)
		if err != nil {
			t.Fatalf("a patch that passed was refused: %v", err)
		}
		if !json.Valid(got) {
			t.Fatalf("no JSON: %s", got)
		}
		again, err := mergePatch(got, patch)
		if err != nil || string(again) != string(got) {
			t.Fatalf("a second time it is another: %s, %s, %v", got, again, err)
		}
	})
}

func TestConditionsByEntityTag(t *testing.T) {
	at := func(revision uint64) *policy.Policy { return &policy.Policy{Revision: revision} }
	for _, c := range []struct {
		match, none string
		p           *policy.Policy
		want        bool
	}{
		{"", "", nil, true},
		{`"3"`, "", at(3), true},
		{`"3"`, "", at(4), false},
		{`"3"`, "", nil, false},
		{`"1", "3"`, "", at(3), true},
		{`W/"3"`, "", at(3), false},
		{"*", "", at(3), true},
		{"*", "", nil, false},
		{"3", "", at(3), false},
		{"", "3", at(3), false},
		{"", "3", at(4), false},
		{"", "*", at(3), false},
		{"", "*", nil, true},
		{"", `"3"`, at(3), false},
		{"", `W/"3"`, at(3), false},
		{"", `"3"`, at(4), true},
	} {
		r := &http.Request{Header: http.Header{}}
		if c.match != "" {
			r.Header.Set("If-Match", c.match)
		}
		if c.none != "" {
			r.Header.Set("If-None-Match", c.none)
		}
		cond := readPrecondition(r).condition()
		if got := cond == nil || cond(c.p); got != c.want {
			t.Errorf("If-Match %s, If-None-Match %s: %t", c.match, c.none, got)
		}
	}
}

func TestWhoWantsText(t *testing.T) {
	for accept, want := range map[string]bool{
		"text/plain": true, "text/plain, */*": true, "application/json, text/plain": false, "*/*": false, "": false,
		"text/html, text/plain;q=0.5": true, "text/plain;q=0": false, "TEXT/PLAIN": true, "application/json;q=0, text/plain": true,
	} {
		if got := prefersText([]string{accept}); got != want {
			t.Errorf("%q: %t", accept, got)
		}
	}
}

func TestWholeNumbers(t *testing.T) {
	for text, want := range map[string]int64{"60": 60, "60.0": 60, "6e1": 60, "-1": -1, "9007199254740993": 9007199254740993} {
		if n, ok := whole(text); !ok || n != want {
			t.Errorf("%s is %d, %t", text, n, ok)
		}
	}
	for _, text := range []string{"1.5", "1e400", `"1"`, "null", "1e17", ""} {
		if n, ok := whole(text); ok {
			t.Errorf("%s is %d", text, n)
		}
	}
}
