package rules_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"thymus/pdp"
	"thymus/rules"
)

func TestYAMLReadsAsJSON(t *testing.T) {
	for _, c := range []struct{ name, yaml, want string }{
		{"numbers keep their text", "[12345678901234567890, 1.10, 1e3, -0, 0.1]", `[12345678901234567890, 1.10, 1e3, -0, 0.1]`},
		{"numbers that JSON writes otherwise", "[+1, .5, 0x1F, 0o17, -0b11]", `[1, 0.5, 31, 15, -3]`},
		{"a date is the string it looks like", "2024-01-02", `"2024-01-02"`},
		{"yes and on are strings", "[yes, on, y]", `["yes", "on", "y"]`},
		{"true in any case that YAML knows", "[true, True, FALSE]", `[true, true, false]`},
		{"nulls", "[~, null, ]", `[null, null]`},
		{"keys are strings", "{1: a, true: b, 1.5: c}", `{"1": "a", "true": "b", "1.5": "c"}`},
		{"aliases", "a: &x [1]\nb: *x\n", `{"a": [1], "b": [1]}`},
		{"nothing", "", ``},
		{"a comment", "# only\n", ``},
		{"block text", "a: |\n  x\n  y\n", `{"a": "x\ny\n"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := rules.ReadYAML([]byte(c.yaml)); !ok || got != c.want {
				t.Errorf("got %s %v, want %s", got, ok, c.want)
			}
		})
	}
	for _, bad := range []string{".inf", ".nan", "012", "1_000", "!!binary aGk=", "!custom x", "a: 1\n<<: {b: 2}\n", "{[1]: 2}", "a: *b", "a: 1\na: 2",
		strings.Repeat("[", 500) + strings.Repeat("]", 500), "a: 1\n---\nb: 2\n",
		"a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n" +
			"e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\n"} {
		if got, ok := rules.ReadYAML([]byte(bad)); ok {
			t.Errorf("%.60q reads as %.60s", bad, got)
		}
	}
}

func TestIntegers(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "-0": 0, "10": 10, "1e1": 10, "1.0": 1, "-2.50e1": -25, "100e-2": 1, "9223372036854775807": 1<<63 - 1,
		"-9223372036854775808": -1 << 63, "0.0": 0, "0e-5": 0, "-10e-1": -1} {
		if got, ok := rules.Integer(text); !ok || got != want {
			t.Errorf("%s: %d %v", text, got, ok)
		}
	}
	for _, text := range []string{"1.5", "9223372036854775808", "1e30", "1e-1", "-0.5", "1e999999", "5e-1"} {
		if got, ok := rules.Integer(text); ok {
			t.Errorf("%s: %d", text, got)
		}
	}
}

// FuzzJSON: what the parser accepts, encoding/json accepts with the same value; what it refuses beyond that is a
// duplicate key, a surrogate half, invalid UTF-8, a number out of bounds or depth.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"policy_id":"p","rules":[{"rule_id":"r","effect":"deny","conditions":[]}]}`, `[1,2.50,-0,1e5,"a\u00e4\ud83d\ude00\n",null,true,false,{}]`,
		`{"a":1,"a":2}`, `"\ud800"`, "[1,]", `{"a"}`, "\"\x01\"", "\"\xff\"", `01`, `1.`, ` [ ] `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		got, ok := rules.ReadJSON(src)
		if !ok {
			return
		}
		if !json.Valid(src) || !utf8.Valid(src) {
			t.Fatalf("accepted %q", src)
		}
		if normal(t, []byte(got)) != normal(t, src) {
			t.Fatalf("%q reads as %s", src, got)
		}
	})
}

// FuzzYAML: whatever is accepted is JSON, and reads as the same again.
func FuzzYAML(f *testing.F) {
	for _, s := range []string{"policy_id: p\nrules:\n  - {rule_id: r, effect: deny}\n", "a: [1, 1.10, 0x10, ~, 2024-01-01, yes]", "a: &x 1\nb: *x", "? [a]\n: b", "a: |\n  x", "- - - 1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		got, ok := rules.ReadYAML(src)
		if !ok || got == "" {
			return
		}
		again, ok := rules.ReadJSON([]byte(got))
		if !ok || again != got {
			t.Fatalf("%q reads as %s, which reads as %s", src, got, again)
		}
	})
}

// FuzzStructured: a structured policy that Convert accepts loads, as it is and as Rego, and evaluates without a fault.
func FuzzStructured(f *testing.F) {
	for _, op := range allOperators {
		f.Add([]byte(structuredRules("deny", op, 2)))
	}
	f.Add([]byte(`{"policy_id":"a-b.0.in","name":"\u2028 \"q\"","description":"a\nb: c #","rules":[{"rule_id":"\n","effect":"deny","metadata":{"":[1]},"conditions":[{"field":"a. .\"","operator":"in","value":[[],{}]}]}]}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		rego, err := rules.Convert(src)
		if err != nil {
			return
		}
		set, err := rules.Load(t.Context(), rules.Options{Extra: []rules.Source{{ID: idOf(src), Form: rules.FormStructured, Text: src}}})
		if err != nil {
			t.Fatalf("%s\nconverts to\n%s\nand does not load: %v", src, rego, err)
		}
		var r pdp.Result
		for _, in := range []string{benchInput, `{"subject":null,"action":{"name":{},"properties":1},"resource":[]}`, `1`} {
			set.Snapshot.Eval.Match(tape(t, in), nil, &r)
			if len(r.Faults) > 0 {
				t.Fatalf("%s\nfaults with %s: %v", src, in, faultTexts(&r))
			}
		}
		root := t.TempDir()
		must(t, os.WriteFile(filepath.Join(root, "p.rego"), rego, 0o644))
		if _, err := rules.Load(t.Context(), rules.Options{Paths: []string{root}}); err != nil && strings.Contains(string(rego), " contains ") {
			t.Fatalf("%s\nconverts to\n%s\nwhich does not load: %v", src, rego, err)
		}
	})
}

// idOf finds the policy id of a structured policy in JSON or YAML.
func idOf(src []byte) string {
	text, ok := rules.ReadJSON(src)
	if !ok {
		text, _ = rules.ReadYAML(src)
	}
	var p struct {
		ID string `json:"policy_id"`
	}
	_ = json.Unmarshal([]byte(text), &p)
	return p.ID
}
