package rules_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"sort"
	"testing"

	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"thymus/pdp"
	"thymus/rules"
)

// tape turns JSON into the tape that a request would be; empty text is an undefined input.
func tape(t testing.TB, text string) *pdp.Doc {
	t.Helper()
	d := &pdp.Doc{}
	if text == "" {
		return d
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("input %s: %v", text, err)
	}
	addValue(d, pdp.Span{}, v)
	return d
}

func addValue(d *pdp.Doc, key pdp.Span, v any) {
	switch v := v.(type) {
	case nil:
		d.Add(key, pdp.Null, pdp.Span{})
	case bool:
		k := pdp.False
		if v {
			k = pdp.True
		}
		d.Add(key, k, pdp.Span{})
	case json.Number:
		d.Add(key, pdp.Number, d.AddText(string(v)))
	case string:
		d.Add(key, pdp.String, d.AddText(v))
	case []any:
		at := d.Open(key, pdp.Array)
		for _, e := range v {
			addValue(d, pdp.Span{}, e)
		}
		d.End(at, len(v))
	case map[string]any:
		at := d.Open(key, pdp.Object)
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			addValue(d, d.AddText(k), v[k])
		}
		d.End(at, len(v))
	}
}

// dir writes files, by path below a new directory, and returns the directory.
func dir(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// load loads files and fails the test where they do not load.
func load(t testing.TB, files map[string]string, change ...func(*rules.Options)) *rules.Set {
	t.Helper()
	o := rules.Options{Paths: []string{dir(t, files)}}
	for _, c := range change {
		c(&o)
	}
	set, err := rules.Load(t.Context(), o)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return set
}

// onBothEngines runs a test on each engine; the change is what load needs for it.
func onBothEngines(t *testing.T, f func(t *testing.T, engine func(*rules.Options))) {
	for _, e := range []rules.Engine{rules.EngineTopdown, rules.EngineNative} {
		t.Run(string(e), func(t *testing.T) { f(t, func(o *rules.Options) { o.Engine = e }) })
	}
}

// decide evaluates and combines.
func decide(t testing.TB, set *rules.Set, input string) (*pdp.Decision, *pdp.Result) {
	t.Helper()
	in := tape(t, input)
	r := &pdp.Result{}
	set.Snapshot.Eval.Match(in, nil, r)
	d := &pdp.Decision{}
	d.Reset()
	req := &pdp.Request{Input: in}
	if name, ok := in.StringAt(in.Path("action", "name")); ok {
		req.Action = name
	}
	pdp.Combine(set.Snapshot, req, r, d)
	return d, r
}

// inmemFrom is OPA's own store of some data, for the oracles.
func inmemFrom(data map[string]any) storage.Store { return inmem.NewFromObject(data) }

// bothEngines loads one set natively and behind topdown.
func bothEngines(t testing.TB, o rules.Options) (fast, slow *rules.Set) {
	t.Helper()
	for _, e := range []rules.Engine{rules.EngineNative, rules.EngineTopdown} {
		o.Engine = e
		set, err := rules.Load(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		fast, slow = slow, set
	}
	return fast, slow
}
