package rules_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"thymus/pdp"
	"thymus/rules"
	"thymus/test/harness"
)

// runaways are bodies that would run for seconds to years, or take all memory, some by what the input says.
var runaways = []struct{ name, body string }{
	{"a product of large sets", `some a in numbers.range(1, 10000); some b in numbers.range(1, 10000); some c in numbers.range(1, 10000); a + b == c * -1`},
	{"a bomb of comprehensions", `count([1 | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); some c in numbers.range(1, 3000)]) == 1`},
	{"every over a product", `every a in numbers.range(1, 5000) { count([b | some b in numbers.range(1, 5000); b == a]) == 1 }`},
	{"a product of what the input lists", `some a in input.list; some b in input.list; some c in input.list; a + b == c * -1`},
	{"a very long range", `count(numbers.range(1, 2000000000)) == 1`},
	{"a long range by steps", `count(numbers.range_step(1, 20000000000, 3)) == 1`},
	{"a range as long as the input says", `count(numbers.range(1, input.huge)) == 1`},
	{"a network of all addresses", `count(net.cidr_expand("0.0.0.0/0")) == 1`},
	{"a walk for each of many", `some a in numbers.range(1, 100000); walk(input, [_, v]); v == a * -1`},
	{"a shift as far as the input says", `bits.lsh(1, input.huge) == 0`},
	{"a replace that squares its text", `count(replace(input.text, "a", input.text)) == 0`},
	{"a regex replace that squares its text", `count(regex.replace(input.text, "a", input.text)) == 0`},
	{"many replaces at once", `count(strings.replace_n({"a": input.text}, input.text)) == 0`},
	{"a format that repeats its argument", `f := concat("", [x | some i in numbers.range(1, 2000); x := "%[1]s"]); count(sprintf(f, [input.text])) == 0`},
	{"a format of wide verbs", `f := concat("", [x | some i in numbers.range(1, 2000); x := "%999999d"]); count(sprintf(f, [1])) == 0`},
	{"a long delimiter between many", `count(concat(input.text, [x | some i in numbers.range(1, 2000); x := "a"])) == 0`},
	{"all paths of a dense graph", `count(graph.reachable_paths(input.graph, ["0"])) == 0`},
	{"a patch of many operations", `l := numbers.range(1, 8000); count(json.patch(l, [o | some i in l; o := {"op": "add", "path": "/0", "value": i}])) == 0`},
	{"a large regex on a large text", `regex.match("((a{0,30}){0,30})$", input.text)`},
	{"a glob on a large text", `glob.match("{a,b}*a*a*a*a*a*a*a*a*a*c", [], input.text)`},
	{"positions in a large text", `count(indexof_n(input.text, "a")) == 0`},
	{"matches in a large text", `count(regex.find_n("a", input.text, -1)) == 0`},
	{"a network against many", `l := [x | some i in numbers.range(0, 65535); x := sprintf("10.%d.%d.0/24", [i % 256, floor(i / 256)])]; count(net.cidr_contains_matches(l, l)) == 0`},
	{"hashing over and over", `some i in numbers.range(1, 100000000); crypto.sha256(sprintf("%d", [i])) == ""`},
}

// TestDeadlineStopsRunaways gives each runaway 100 ms and wants it to end soon after, by the deadline or by a bound on
// what a builtin may cost. The grace is for builtins that finish what they began and for a busy machine.
func TestDeadlineStopsRunaways(t *testing.T) { onBothEngines(t, testDeadlineStopsRunaways) }

func testDeadlineStopsRunaways(t *testing.T, engine func(*rules.Options)) {
	const allowed, grace = 100 * time.Millisecond, 900 * time.Millisecond
	edges := make([]string, 24)
	for i := range edges {
		edges[i] = fmt.Sprintf("%q", fmt.Sprint(i))
	}
	var graph, list []string
	for i := range 24 {
		graph = append(graph, fmt.Sprintf("%q:[%s]", fmt.Sprint(i), strings.Join(edges, ",")))
	}
	for i := range 2000 {
		list = append(list, fmt.Sprint(i))
	}
	in := tape(t, `{"text":"`+strings.Repeat("a", 1<<20)+`","huge":1000000000000,"graph":{`+strings.Join(graph, ",")+`},"list":[`+strings.Join(list, ",")+`]}`)
	for _, c := range runaways {
		t.Run(c.name, func(t *testing.T) {
			set := load(t, map[string]string{"a.rego": fmt.Sprintf("package policies.a\n\nallow contains \"x\" if {\n\tinput.list\n\t%s\n}\n", c.body)}, engine)
			var b pdp.Budget
			var r pdp.Result
			b.Start(1)
			stop := time.AfterFunc(allowed, func() { b.Expire(1) })
			defer stop.Stop()
			over, still := harness.Moving(allowed + grace)
			defer still()
			start, work := time.Now(), harness.CPUTime(t)
			set.Snapshot.Eval.Match(in, &b, &r)
			took := time.Since(start)
			work = harness.CPUTime(t) - work
			t.Logf("%v, faults %v", took.Round(time.Millisecond), faultTexts(&r))
			select {
			case <-over:
				t.Errorf("took %v", took)
			default:
			}
			for _, f := range r.Faults {
				if f.Code != pdp.FaultDeadline && f.Code != pdp.FaultBuiltin {
					t.Errorf("fault %v: %s", f.Code, r.Out.Str(f.Msg))
				}
			}
			if len(r.Faults) == 0 && work > allowed {
				t.Error("past its deadline and no fault")
			}
		})
	}
}

// TestExtremeNumbers: numbers that no arithmetic can bear deny, whatever a policy does with them, and end nothing else.
func TestExtremeNumbers(t *testing.T) {
	bodies := []string{`input.n > 5`, `input.n == 5`, `input.n in {5, 7}`, `input.n + 1 == 2`, `input.n * input.n == 2`, `round(input.n) == 1`,
		`ceil(input.n) == 1`, `format_int(input.n, 10) == ""`, `x := input.n % 2`, `bits.and(input.n, 1) == 0`, `to_number(input.s) > 5`, `ceil(to_number(input.s)) == 1`}
	for _, n := range []string{"1e1000000000", "-1e-1000000000", "1e99999999999999999999", "1E+10000"} {
		for _, body := range bodies {
			set := load(t, map[string]string{"a.rego": "package policies.a\n\nallow contains \"x\" if {\n\t" + body + "\n}\n"})
			var r pdp.Result
			set.Snapshot.Eval.Match(tape(t, `{"n":`+n+`,"s":"`+n+`"}`), nil, &r)
			if len(r.Faults) == 0 || r.Faults[0].Code != pdp.FaultInput {
				t.Errorf("%s with %s: faults %v", body, n, faultTexts(&r))
			}
			set.Snapshot.Eval.Match(tape(t, `{"s":"`+n+`"}`), nil, &r) // must not panic
		}
	}
}

// TestRegexIsLinear: what is exponential for a backtracking engine is not for RE2. The text grows eightfold; the time
// must not grow by more than a quadratic engine's.
func TestRegexIsLinear(t *testing.T) {
	set := load(t, map[string]string{"p.yaml": `
policy_id: p
rules:
  - {rule_id: r, effect: deny, conditions: [{field: text, operator: matches, value: "(a+)+(a|aa)+(a*)*$"}]}
`})
	cost := func(n int) time.Duration {
		in := tape(t, `{"text":"`+strings.Repeat("a", n)+`!"}`)
		best := time.Hour
		for range 5 {
			var r pdp.Result
			start := harness.CPUTime(t)
			set.Snapshot.Eval.Match(in, nil, &r)
			best = min(best, harness.CPUTime(t)-start)
			if len(r.Faults) > 0 || len(r.Matches) > 0 {
				t.Fatalf("faults %v, matches %v", faultTexts(&r), r.Matches)
			}
		}
		return best
	}
	small, large := cost(2000), cost(16000)
	t.Logf("%v for 2,000 characters, %v for 16,000", small, large)
	if large > 32*small+10*time.Millisecond {
		t.Errorf("eight times the text took %v after %v", large, small)
	}
}
