package rules_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"thymus/pdp"
	"thymus/rules"
)

// The merge is held against OPA as a library that asks every set of every policy by itself, with the policies' own
// packages and no generated one: the same elements, or an error where one of them has one.

// bodies of random rules. %[1]s is a reference into the input, %[2]s a constant.
var mergeLines = []string{
	`%[1]s == %[2]s`, `%[2]s == %[1]s`, `%[1]s != %[2]s`, `not %[1]s == %[2]s`, `%[1]s in [%[2]s, "q"]`, `%[1]s in {%[2]s, 7}`,
	`x%[3]d := %[1]s; x%[3]d == %[2]s`, `some y%[3]d in %[1]s; y%[3]d == %[2]s`, `%[2]s in %[1]s`, `%[1]s[_] == %[2]s`,
	`is_string(%[1]s); startswith(%[1]s, "a")`, `is_string(%[1]s); endswith(%[1]s, "b")`, `is_string(%[1]s); startswith(%[1]s, "a"); endswith(%[1]s, "b")`,
	`is_string(%[1]s); strings.any_prefix_match(%[1]s, ["a", "q"])`, `is_string(%[1]s); glob.match("a/*", ["/"], %[1]s)`,
	`is_string(%[1]s); glob.match("*.b", ["."], %[1]s)`, `%[1]s == ["a", "b"]`, `%[1]s == ["a", _]`, `%[1]s in [["a", "b"], "a"]`, `%[1]s`, `not %[1]s`,
	`helper`, `not helper`,
	`data.lib.table[%[1]s] == 1`, `data.facts.names[%[1]s]`, `%[1]s == data.facts.want`, `count(deny) > 0`,
	`%[1]s == %[2]s with input.a as %[2]s`, `every e in [1, %[2]s] { e != %[1]s }`, `{z%[3]d | z%[3]d := input.l[_]} == {1, 2}`,
	`is_string(%[1]s)`, `lib.partial[%[1]s]`, `object.get(input, "a", 0) == %[2]s`, `%[1]s > %[2]s`, `walk(input, [_, %[2]s])`, `true`, `false`,
}

// mergeRisks are lines that report errors for some inputs: whether they do depends on what the index excludes.
var mergeRisks = []string{`to_number(%[1]s) > 1`, `1 / %[1]s > 0`, `regex.match("^a", %[1]s)`, `count(%[1]s) > 1`, `lib.twice(%[1]s) == 2`,
	`json.unmarshal(%[1]s) == 1`, `net.cidr_contains("10.0.0.0/8", %[1]s)`, `split(%[1]s, "/")[0] == "a"`, `lib.clash == 1`, `lib.is_odd`}

var mergeRefs = []string{"input.a", "input.b", "input.c", "input.l", "input.o.p", "input.x"}
var mergeConstants = []string{`"a"`, `"a/b"`, `1`, `1.0`, `2`, `"2"`, `true`, `null`, `"a.b"`, `["a", "b"]`, `{"k": 1}`, `"10.1.1.1"`}
var mergeHeads = []string{`"r%d"`, `{"rule": "r%d"}`, `{"rule": "r%d", "priority": 1.0}`, `{"rule": "r%d", "reason": sprintf("%%v", [input.a])}`,
	`{"rule": "same"}`, `"same"`, `r`, `sprintf("%%v", [input.b])`}
var mergeBadHeads = []string{`{"rule": input.b}`, `input.a`, `{"name": "r%d"}`, `{"rule": "r%d", "priority": 1.5}`, `{"rule": "r%d", "priority": lib.clash}`}

const mergeLib = `package lib

twice(x) := y if y := x * 2

is_odd if input.a == "a"

is_odd if to_number(input.b) == 1

table := {"a": 1, "b": 2}

partial contains v if some v in input.l

clash := 1 if input.a == "a"

clash := 2 if input.b == 1
`

func (r source) module(id string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "package policies.%s\n\nimport data.lib\n\nhelper if input.c == \"a\"\n\nhelper if input.b == 2\n\n", id)
	fmt.Fprintln(&b, "deny contains \"never\" if false")
	for n := range 2 + r.IntN(6) {
		effect := pick(r, "allow", "deny", "warn", "audit")
		head := pick(r, mergeHeads...)
		if r.IntN(10) == 0 {
			head = pick(r, mergeBadHeads...)
		}
		if strings.Contains(head, "%d") {
			head = fmt.Sprintf(head, n)
		}
		var body []string
		if head == "r" {
			body = append(body, "some r in input.l", "is_string(r)")
		}
		for i := range 1 + r.IntN(3) {
			line := pick(r, mergeLines...)
			if r.IntN(10) == 0 {
				line = pick(r, mergeRisks...)
			}
			if effect == "deny" && strings.Contains(line, "deny") {
				line = "helper"
			}
			line = fmt.Sprintf(line, pick(r, mergeRefs...), pick(r, mergeConstants...), i)
			if at := strings.Index(line, "%!(EXTRA"); at >= 0 {
				line = line[:at]
			}
			body = append(body, line)
		}
		fmt.Fprintf(&b, "\n%s contains %s if {\n\t%s\n}\n", effect, head, strings.Join(body, "\n\t"))
	}
	return b.String()
}

func (r source) mergeInput() string {
	o := map[string]any{}
	for _, k := range []string{"a", "b", "c", "x"} {
		if r.IntN(5) > 0 {
			o[k] = pick[any](r, "a", "b", "a/b", "a.b", num("1"), num("2"), "2", "1", num("0"), true, false, nil, []any{"a", "b"}, "10.1.1.1",
				map[string]any{"k": num("1")}, "want")
		}
	}
	o["l"] = pick[any](r, []any{num("1"), num("2")}, []any{"a", "r1", "same"}, "a", []any{}, []any{[]any{"a", "b"}}, num("3"))
	o["o"] = pick[any](r, map[string]any{"p": pick[any](r, "a", num("1"), "a/b")}, "no object", nil)
	return jsonText(o)
}

// TestMergeEqualsPackages: THYMUS_MERGE_SETS says how many random sets of policies, 60 where it is unset.
func TestMergeEqualsPackages(t *testing.T) { onBothEngines(t, testMergeEqualsPackages) }

func testMergeEqualsPackages(t *testing.T, engine func(*rules.Options)) {
	sets := 60
	if s := os.Getenv("THYMUS_MERGE_SETS"); s != "" {
		sets, _ = strconv.Atoi(s)
	}
	asked, faulted, matched, skipped := 0, 0, 0, 0
	numbers := []int{404} // a set that only keeping shifting rules out of the merge gets right
	for n := range sets {
		numbers = append(numbers, n)
	}
	for _, n := range numbers {
		r := source{rand.New(rand.NewPCG(77, uint64(n)))}
		files := map[string]string{"lib.rego": mergeLib, "facts/data.json": `{"names": {"a": true, "b": {}, "c": false}, "want": "want"}`}
		mods := []func(*rego.Rego){rego.Module("lib.rego", mergeLib)}
		ids := []string{}
		for p := range 1 + r.IntN(5) {
			id := fmt.Sprintf("p%d", p)
			text := r.module(id)
			opts := append(slices.Clone(mods), rego.Module(id+".rego", text))
			if _, err := rego.New(append(opts, rego.Query("data"))...).PrepareForEval(t.Context()); err != nil {
				skipped++ // the random text does not compile
				continue
			}
			mods, ids = opts, append(ids, id)
			files[id+".rego"] = text
		}
		set := load(t, files, engine)
		oracle := perSet(t, mods, ids)
		for range 40 {
			in := r.mergeInput()
			want, wantFault := oracle(in)
			var res pdp.Result
			set.Snapshot.Eval.Match(tape(t, in), nil, &res)
			asked++
			if (len(res.Faults) > 0) != wantFault {
				t.Fatalf("set %d: faults %v, want %v\ninput %s\n%s", n, faultTexts(&res), wantFault, in, modulesOf(files))
			}
			if wantFault {
				faulted++
				continue
			}
			var got []string
			for i := range res.Matches {
				got = append(got, describeMatch(set.Snapshot, &res, &res.Matches[i]))
				matched++
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("set %d:\ngot  %v\nwant %v\ninput %s\n%s", n, got, want, in, modulesOf(files))
			}
		}
	}
	t.Logf("%d inputs, %d with faults, %d matches, %d modules did not compile", asked, faulted, matched, skipped)
	if faulted == 0 || faulted > asked*9/10 || matched < asked/4 {
		t.Error("the sets are too uniform to say anything")
	}
}

// perSet asks OPA for each effect set by itself, with builtin errors strict, and reads the elements as CONTRACT 2 and 3
// do, again.
func perSet(t *testing.T, mods []func(*rego.Rego), ids []string) func(in string) ([]string, bool) {
	type one struct {
		policy, effect string
		query          rego.PreparedEvalQuery
	}
	data := map[string]any{"facts": map[string]any{"names": map[string]any{"a": true, "b": map[string]any{}, "c": false}, "want": "want"}}
	var all []one
	for _, id := range ids {
		for _, e := range []string{"allow", "deny", "warn", "audit"} {
			q, err := rego.New(append(slices.Clone(mods), rego.Query("data.policies."+id+"."+e), rego.StrictBuiltinErrors(true),
				rego.Store(inmemFrom(data)))...).PrepareForEval(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, one{id, e, q})
		}
	}
	return func(in string) (out []string, fault bool) {
		v, err := ast.ValueFromReader(strings.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range all {
			rs, err := o.query.Eval(t.Context(), rego.EvalParsedInput(v))
			if err != nil {
				return nil, true
			}
			if len(rs) == 0 {
				continue
			}
			for _, e := range rs[0].Expressions[0].Value.([]any) {
				switch e := e.(type) {
				case string:
					if e == "" {
						return nil, true
					}
					out = append(out, fmt.Sprint(o.policy, " ", o.effect, " ", e, " 0 "))
				case map[string]any:
					id, ok := e["rule"].(string)
					priority := 0.0
					if p, has := e["priority"]; has {
						n, isNumber := p.(json.Number)
						f, err := n.Float64()
						if !isNumber || err != nil || f != float64(int64(f)) {
							return nil, true
						}
						priority = f
					}
					if !ok || id == "" {
						return nil, true
					}
					reason, _ := e["reason"].(string)
					out = append(out, fmt.Sprint(o.policy, " ", o.effect, " ", id, " ", int64(priority), " ", reason))
				default:
					return nil, true
				}
			}
		}
		slices.Sort(out)
		return out, false
	}
}

func describeMatch(s *pdp.Snapshot, r *pdp.Result, m *pdp.Match) string {
	id, reason := r.Out.Str(m.ID), r.Out.Str(m.Reason)
	if m.Rule >= 0 {
		id, reason = s.Rules[m.Rule].ID, s.Rules[m.Rule].Reason
	}
	return fmt.Sprint(s.Policies[m.Policy].ID, " ", m.Effect, " ", id, " ", m.Priority, " ", reason)
}

func faultTexts(r *pdp.Result) []string {
	var out []string
	for _, f := range r.Faults {
		out = append(out, f.Code.String()+": "+r.Out.Str(f.Msg))
	}
	return out
}

func modulesOf(files map[string]string) string {
	var b strings.Builder
	for name, text := range files {
		if strings.HasPrefix(name, "p") {
			b.WriteString(text)
		}
	}
	return b.String()
}
