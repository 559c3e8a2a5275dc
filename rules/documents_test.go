package rules_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/util"

	"thymus/pdp"
	"thymus/rules"
)

// documentPaths are asked with each of documentInputs: values of every type, packages, undefined and missing documents,
// base documents, and what lies inside of them.
var documentPaths = strings.Fields(`
types types/null_value types/yes types/no types/integer types/big types/decimal types/exponent types/text types/list
types/list/0 types/list/1 types/list/3 types/list/3/four types/list/9 types/numbers types/numbers/1 types/numbers/7 types/mixed
types/mixed/a types/by_number types/by_number/10 types/by_number/3 types/by_any types/nested types/nested/deep types/nested/deep/value
types/nested/deep/x types/empty_set types/empty_object types/never types/half types/third types/sum_of_big types/division_by_zero
types/partial_error types/fallback types/uses_function types/from_data types/conflict types/echo types/echo/user types/set_of_sets
types/else_chain types/double types/missing missing missing/deeper app app/authz app/authz/allow app/authz/reasons app/authz/decision
app/authz/decision/count policies policies/doc policies/doc/sample policies/doc/sample/deny policies/doc/sample/deny/plain
policies/doc/sample/warn policies/doc/sample/helper fixtures fixtures/users fixtures/users/alice fixtures/users/alice/roles/0
fixtures/table fixtures/table/a/2/b fixtures/table/2 fixtures/numbers fixtures/numbers/0 fixtures/numbers/4 fixtures/numbers/-1 fixtures/nowhere
thymus.match thymus.match/m`)

var documentInputs = []string{``, `{}`, `null`, `[1,2]`, `"text"`,
	`{"user":"alice","action":"write","hour":23,"value":12345678901234567890,"letter":"b"}`,
	`{"user":"root","action":"read","value":{"b":1.10,"a":[1,2.50,null]},"letter":"z"}`,
	`{"user":"mallory","action":"read","hour":"late","conflict":true}`}

// TestDocumentsEqualOPA compares Value with OPA as a library: the same value, or undefined there too, or an error there
// too.
func TestDocumentsEqualOPA(t *testing.T) { onBothEngines(t, testDocumentsEqualOPA) }

func testDocumentsEqualOPA(t *testing.T, engine func(*rules.Options)) {
	o := rules.Options{Paths: []string{"testdata/documents"}}
	engine(&o)
	set, err := rules.Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	opa := library(t, "testdata/documents")
	compared, defined := 0, 0
	for _, path := range append([]string{"data"}, documentPaths...) {
		steps := strings.Split(path, "/")
		if path == "data" {
			steps = nil
		}
		for _, in := range documentInputs {
			got := valueOf(t, set, steps, in)
			want := opa(steps, in)
			if got != want {
				t.Errorf("%s with %s:\ngot  %s\nwant %s", path, in, got, want)
			}
			compared++
			if want != "undefined" {
				defined++
			}
		}
	}
	t.Logf("%d answers compared, %d of them defined, of %d documents", compared, defined, len(documentPaths)+1)
	if len(documentPaths) < 60 || defined < compared/2 {
		t.Errorf("the table is too small to say anything")
	}
}

func valueOf(t testing.TB, set *rules.Set, path []string, in string) string {
	var r pdp.Result
	set.Snapshot.Eval.Value(set.Snapshot.Eval.Query(path), tape(t, in), false, nil, &r)
	switch {
	case len(r.Faults) > 0:
		return "error"
	case !r.Defined:
		return "undefined"
	}
	return normal(t, r.Out.AppendJSON(nil, 0))
}

// normal is JSON with sorted members, no spaces and the text of its numbers as it was.
func normal(t testing.TB, text []byte) string {
	var v any
	if err := util.UnmarshalJSON(text, &v); err != nil {
		t.Fatalf("no JSON: %s: %v", text, err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// library is OPA over the Rego and data files of a directory; the data is read as OPA's values, so that numbers keep
// their text. Of the YAML file the test states what it holds.
func library(t *testing.T, root string) func(path []string, in string) string {
	opts := []func(*rego.Rego){rego.Store(inmem.NewFromObject(fixtures(t, root)))}
	files, err := filepath.Glob(root + "/*.rego")
	if err != nil || len(files) == 0 {
		t.Fatal("no modules")
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		opts = append(opts, rego.Module(f, string(text)))
	}
	prepared := map[string]rego.PreparedEvalQuery{}
	return func(path []string, in string) string {
		ref := ast.Ref{ast.DefaultRootDocument}
		for _, s := range path {
			if i, ok := util.Atoi64(s); ok {
				ref = append(ref, ast.InternedTerm(i))
			} else {
				ref = append(ref, ast.StringTerm(s))
			}
		}
		q, ok := prepared[ref.String()]
		if !ok {
			var err error
			if q, err = rego.New(append(opts, rego.Query(ref.String()))...).PrepareForEval(t.Context()); err != nil {
				return "undefined" // the type checker knows that nothing is there
			}
			prepared[ref.String()] = q
		}
		var eo []rego.EvalOption
		if in != "" {
			v, err := ast.ValueFromReader(strings.NewReader(in))
			if err != nil {
				t.Fatal(err)
			}
			eo = append(eo, rego.EvalParsedInput(v))
		}
		rs, err := q.Eval(t.Context(), eo...)
		switch {
		case err != nil:
			return "error"
		case len(rs) == 0:
			return "undefined"
		}
		b, err := json.Marshal(rs[0].Expressions[0].Value)
		if err != nil {
			t.Fatal(err)
		}
		return normal(t, b)
	}
}

func fixtures(t *testing.T, root string) map[string]any {
	text, err := os.ReadFile(root + "/fixtures/data.json")
	if err != nil {
		t.Fatal(err)
	}
	var data map[string]any
	if err := util.UnmarshalJSON(text, &data); err != nil {
		t.Fatal(err)
	}
	data["yaml"] = map[string]any{"date": "2024-01-02", "version": json.Number("1.10"), "big": json.Number("12345678901234567890"),
		"flag": true, "answer": "yes", "none": nil}
	return map[string]any{"fixtures": data}
}
