package native_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"thymus/pdp"
	"thymus/rules/native"
	"thymus/test/harness"
)

// ordinary is one policy of testdata/ordinary, written as people write them for OPA, with what it is asked.
type ordinary struct {
	name   string
	module *ast.Compiler
	text   string
	paths  []string // of its rules
	data   string
	inputs []string
}

func ordinaries(t testing.TB) []ordinary {
	t.Helper()
	files, err := filepath.Glob("testdata/ordinary/*.rego")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d policies, %v", len(files), err)
	}
	var out []ordinary
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		asked, err := os.ReadFile(strings.TrimSuffix(f, ".rego") + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var with struct {
			Data   json.RawMessage
			Inputs []json.RawMessage
		}
		if err := json.Unmarshal(asked, &with); err != nil {
			t.Fatal(f, err)
		}
		o := ordinary{name: strings.TrimSuffix(filepath.Base(f), ".rego"), text: string(text), data: string(with.Data)}
		if o.module, err = ast.CompileModules(map[string]string{filepath.Base(f): o.text}); err != nil {
			t.Fatal(err)
		}
		for _, in := range with.Inputs {
			o.inputs = append(o.inputs, string(in))
		}
		paths := map[string]bool{}
		for _, m := range o.module.Modules {
			paths[m.Package.Path.String()] = true
			for _, r := range m.Rules {
				if len(r.Head.Args) == 0 {
					paths[m.Package.Path.Extend(r.Head.Ref().GroundPrefix()).String()] = true
				}
			}
		}
		o.paths = slices.Sorted(maps.Keys(paths))
		out = append(out, o)
	}
	return out
}

func TestOrdinaryPoliciesAnswerAsTopdownDoes(t *testing.T) {
	for _, o := range ordinaries(t) {
		t.Run(o.name, func(t *testing.T) {
			var n tally
			compare(t, o.module, o.text, o.data, o.paths, o.inputs, &n)
			if n.unable+n.cautious > 0 || n.defined == 0 {
				t.Errorf("%+v", n)
			}
		})
	}
}

// allocating is what some of these policies may allocate, and for what.
var allocating = map[string]float64{
	"abac_hours":      40,  // decimals
	"agent_tools":     30,  // decimals, splitting by a pattern
	"dockerfile":      2,   // finding a pattern
	"envoy_ips":       25,  // net.cidr_contains_matches, which is OPA's
	"envoy_jwt":       250, // io.jwt.decode_verify, which is OPA's
	"filtering":       250, // json.filter and json.remove, which are OPA's
	"http_api":        2,   // finding a pattern
	"k8s_resources":   150, // units.parse, which is OPA's
	"quotas":          50,  // decimals
	"rebac_documents": 60,  // graph.reachable_paths, which is OPA's
	"semver_images":   40,  // keys that are numbers, when they become JSON
	"webhook":         40,  // an authentication code, and OPA's error for text that is no JSON
}

// leastAllocations is what f allocates where no collection of garbage empties the pools meanwhile.
func leastAllocations(f func()) float64 {
	least := testing.AllocsPerRun(50, f)
	for range 4 {
		if least == 0 {
			break
		}
		least = min(least, testing.AllocsPerRun(50, f))
	}
	return least
}

func TestOrdinaryPoliciesAllocateNothing(t *testing.T) {
	for _, o := range ordinaries(t) {
		t.Run(o.name, func(t *testing.T) {
			data, err := ast.ValueFromReader(strings.NewReader(o.data))
			if err != nil {
				t.Fatal(err)
			}
			e, _, err := native.Compile(native.Options{Compiler: o.module, Data: data})
			if err != nil {
				t.Fatal(err)
			}
			most := 0.0
			for _, js := range o.inputs {
				in, r, b := parse(t, js), &pdp.Result{}, &pdp.Budget{}
				for _, p := range o.paths {
					var segs []string
					for _, s := range ast.MustParseRef(p)[1:] {
						segs = append(segs, string(s.Value.(ast.String)))
					}
					q := e.Query(segs)
					most = max(most, leastAllocations(func() { e.Value(q, in, false, b, r) }))
				}
			}
			switch bound := allocating[o.name]; {
			case underRace:
			case most > bound:
				t.Errorf("%v allocations", most)
			case most == 0 && bound > 0:
				t.Error("it allocates nothing, and is listed")
			}
		})
	}
}

// BenchmarkOrdinary asks both engines for the whole package of each policy, with its first input. cpu-ns/op is the
// process's time of the processors, which does not grow when others work too.
//
//	go test ./rules/native -run '^$' -bench Ordinary -count 10 | benchstat -col /engine -
func BenchmarkOrdinary(b *testing.B) {
	for _, o := range ordinaries(b) {
		data, err := ast.ValueFromReader(strings.NewReader(o.data))
		if err != nil {
			b.Fatal(err)
		}
		e, _, err := native.Compile(native.Options{Compiler: o.module, Data: data})
		if err != nil {
			b.Fatal(err)
		}
		ref := ast.MustParseRef(o.paths[0])
		var segs []string
		for _, s := range ref[1:] {
			segs = append(segs, string(s.Value.(ast.String)))
		}
		in, r, budget, q := parse(b, o.inputs[0]), &pdp.Result{}, &pdp.Budget{}, e.Query(segs)
		measured := func(name string, f func()) {
			b.Run(o.name+"/engine="+name, func(b *testing.B) {
				b.ReportAllocs()
				start := harness.CPUTime(b)
				for b.Loop() {
					f()
				}
				b.ReportMetric(float64(harness.CPUTime(b)-start)/float64(b.N), "cpu-ns/op")
			})
		}
		measured("native", func() { e.Value(q, in, false, budget, r) })
		x, err := ast.JSON(data)
		if err != nil {
			b.Fatal(err)
		}
		pq, err := rego.New(rego.Query("x = "+o.paths[0]), rego.Compiler(o.module),
			rego.Store(inmem.NewFromObjectWithOpts(x.(map[string]any), inmem.OptReturnASTValuesOnRead(true)))).PrepareForEval(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		v, _ := ast.ValueFromReader(strings.NewReader(o.inputs[0]))
		measured("topdown", func() {
			if _, err := pq.Eval(b.Context(), rego.EvalParsedInput(v)); err != nil {
				b.Fatal(err)
			}
		})
	}
}
