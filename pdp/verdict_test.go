package pdp_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"thymus/pdp"
)

// tape is JSON text as a tape, members in the order of the text.
func tape(t testing.TB, text string) *pdp.Doc {
	t.Helper()
	var d pdp.Doc
	if text != "" {
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		putTokens(t, &d, pdp.Span{}, dec)
	}
	return &d
}

func putTokens(t testing.TB, d *pdp.Doc, key pdp.Span, dec *json.Decoder) {
	t.Helper()
	next := func() json.Token {
		tok, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	tok := next()
	if tok != json.Delim('{') && tok != json.Delim('[') {
		put(d, key, tok)
		return
	}
	kind := pdp.Array
	if tok == json.Delim('{') {
		kind = pdp.Object
	}
	i, n := d.Open(key, kind), 0
	for ; dec.More(); n++ {
		name := pdp.Span{}
		if kind == pdp.Object {
			name = d.AddText(next().(string))
		}
		putTokens(t, d, name, dec)
	}
	next()
	d.End(i, n)
}

var verdicts = map[string]struct {
	value string
	want  string // of answer; empty: it is of another type
}{
	"true":                             {`true`, `true allow audit=false - "" []`},
	"false":                            {`false`, `false deny audit=false - "" []`},
	"an effect":                        {`"warn"`, `true warn audit=false - "" []`},
	"audit requires an audit":          {`"audit"`, `true audit audit=true - "" []`},
	"deny":                             {`"deny"`, `false deny audit=false - "" []`},
	"allowed":                          {`{"allowed":true}`, `true allow audit=false - "" []`},
	"not allowed":                      {`{"allowed":false,"x":[]}`, `false deny audit=false - "" []`},
	"an effect in an object":           {`{"effect":"audit"}`, `true audit audit=true - "" []`},
	"both, of one mind":                {`{"allowed":true,"effect":"warn"}`, `true warn audit=false - "" []`},
	"both, the effect first":           {`{"effect":"warn","allowed":true}`, `true warn audit=false - "" []`},
	"a deny and allowed":               {`{"effect":"deny","allowed":true}`, `false deny audit=false - "" []`},
	"an allow and not allowed":         {`{"effect":"allow","allowed":false}`, `false deny audit=false - "" []`},
	"both, of one mind in the other":   {`{"allowed":false,"effect":"deny"}`, `false deny audit=false - "" []`},
	"allowed and a deny":               {`{"allowed":true,"effect":"deny"}`, `false deny audit=false - "" []`},
	"not allowed and an allow":         {`{"allowed":false,"effect":"allow"}`, `false deny audit=false - "" []`},
	"not allowed and an audit":         {`{"allowed":false,"effect":"audit"}`, `false deny audit=false - "" []`},
	"a reason":                         {`{"allowed":false,"reason":"no"}`, `false deny audit=false - "no" []`},
	"warnings":                         {`{"effect":"warn","warnings":["a","b"]}`, `true warn audit=false - "" ["a" "b"]`},
	"no warnings":                      {`{"effect":"allow","warnings":[]}`, `true allow audit=false - "" []`},
	"undefined":                        {``, ``},
	"null":                             {`null`, ``},
	"a number":                         {`1`, ``},
	"an array":                         {`[true]`, ``},
	"a word":                           {`"yes"`, ``},
	"an effect in capitals":            {`"Allow"`, ``},
	"the empty string":                 {`""`, ``},
	"an object without either":         {`{"reason":"x"}`, ``},
	"the empty object":                 {`{}`, ``},
	"allowed as a string":              {`{"allowed":"true"}`, ``},
	"allowed as null":                  {`{"allowed":null}`, ``},
	"an unknown effect":                {`{"allowed":true,"effect":"maybe"}`, ``},
	"a boolean for the effect":         {`{"effect":true}`, ``},
	"a number for the reason":          {`{"allowed":true,"reason":1}`, ``},
	"null for the reason":              {`{"allowed":true,"reason":null}`, ``},
	"a string for the warnings":        {`{"allowed":true,"warnings":"w"}`, ``},
	"a number among the warnings":      {`{"allowed":true,"warnings":["a",1]}`, ``},
	"an array among the warnings":      {`{"allowed":true,"warnings":[["a"]]}`, ``},
	"allowed deep inside says nothing": {`{"x":{"allowed":true}}`, ``},
}

func TestVerdictOfAValue(t *testing.T) {
	for name, c := range verdicts {
		t.Run(name, func(t *testing.T) {
			var d pdp.Decision
			d.Reset()
			ok := pdp.ReadVerdict(tape(t, c.value), &d)
			got := read(&d).String()
			if !ok {
				if got != `false  audit=false - "" []` {
					t.Fatalf("another type left %s", got)
				}
				got = ""
			}
			if got != c.want {
				t.Fatalf("got %s, want %s", got, c.want)
			}
			if len(d.WarnRows) != len(d.Warnings) || d.Row != -1 {
				t.Fatalf("got rows %v, %d", d.WarnRows, d.Row)
			}
		})
	}
}

func TestEntrypointDecides(t *testing.T) {
	s := &pdp.Snapshot{Revision: "rev"}
	for name, c := range verdicts {
		want := c.want
		if want == "" {
			want = `false deny audit=false - "" []`
		}
		var d pdp.Decision
		d.Reset()
		pdp.Entrypoint(s, "app/allow", &pdp.Result{Out: *tape(t, c.value), Defined: c.value != ""}, &d)
		if d.Reason == "Entrypoint app/allow" {
			d.Reason = ""
		} else if d.Reason == "" {
			t.Errorf("%s: no reason", name)
		}
		if got := read(&d).String(); got != want || d.Revision != "rev" {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	r := &pdp.Result{Out: *tape(t, `true`), Defined: true}
	r.AddFault(pdp.FaultConflict, -1, "two values")
	var d pdp.Decision
	d.Reset()
	pdp.Entrypoint(s, "app/allow", r, &d)
	if got := read(&d).String(); got != `false deny audit=false - "Evaluation error - denied: two values" []` || d.Fault != pdp.FaultConflict {
		t.Errorf("a fault: got %s", got)
	}
}

// Nothing that is not plainly a permit permits, whatever the value.
func TestVerdictFailsClosed(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	permits := 0
	for range 20_000 {
		v := random(rng, 2)
		if rng.IntN(2) == 0 {
			m := map[string]any{}
			for _, k := range []string{"allowed", "effect", "reason", "warnings"} {
				switch rng.IntN(5) {
				case 0:
					m[k] = rng.IntN(2) == 0
				case 1:
					m[k] = []string{"allow", "deny", "warn", "audit", "x"}[rng.IntN(5)]
				case 2:
					m[k] = []any{"w"}
				case 3:
					m[k] = random(rng, 1)
				}
			}
			v = m
		}
		var doc pdp.Doc
		put(&doc, pdp.Span{}, v)
		var d pdp.Decision
		d.Reset()
		ok := pdp.ReadVerdict(&doc, &d)
		if d.Allowed != d.Effect.Permits() || !ok && d.Effect != pdp.None {
			t.Fatalf("%v: got %v, %s", v, d.Allowed, d.Effect)
		}
		if !d.Allowed {
			continue
		}
		permits++
		says := func(v any) bool { return v == true || v == "allow" || v == "warn" || v == "audit" }
		m, isObject := v.(map[string]any)
		if !isObject && !says(v) {
			t.Fatalf("%v permits", v)
		}
		a, hasA := m["allowed"]
		e, hasE := m["effect"]
		if isObject && (hasA && a != true || hasE && !says(e) || !hasA && !hasE) {
			t.Fatalf("%v permits", v)
		}
	}
	if permits < 100 {
		t.Errorf("only %d values permitted", permits)
	}
}
