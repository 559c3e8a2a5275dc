package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"thymus/pdp"
	"thymus/rules"
)

// go test -run '^$' -bench . -benchmem -count 10 ./rules > new.txt && benchstat old.txt new.txt

const benchInput = `{"subject":{"type":"agent","id":"a","properties":{"role":"role42"}},"action":{"name":"act2","properties":{"amount":5,"tags":["x"]}},
"resource":{"type":"","id":"db.prod:42/x"},"context":{"ip":"192.0.2.1"},"peer":{"surface":"native","transport":"tcp"}}`

// rbac is n rules over roles and actions, spread over policies.
func rbac(policies, n int) map[string]string {
	files := map[string]string{}
	for p := range policies {
		var b strings.Builder
		fmt.Fprintf(&b, "package policies.p%d\n", p)
		for r := range n / policies {
			k := p*(n/policies) + r
			fmt.Fprintf(&b, "\nallow contains {\"rule\": \"r%d\", \"priority\": %d} if {\n\tinput.subject.properties.role == \"role%d\"\n\tinput.action.name == \"act%d\"\n}\n", r, r, k, k%10)
		}
		files[fmt.Sprintf("p%d.rego", p)] = b.String()
	}
	return files
}

// topdownOnly keeps the native engine out of what is measured here.
func topdownOnly(o *rules.Options) { o.Engine = rules.EngineTopdown }

func benchMatch(b *testing.B, set *rules.Set, input string, want int) {
	in := tape(b, input)
	var r pdp.Result
	set.Snapshot.Eval.Match(in, nil, &r)
	if len(r.Matches) != want || len(r.Faults) > 0 {
		b.Fatalf("%d matches, want %d, faults %v", len(r.Matches), want, faultTexts(&r))
	}
	b.ReportAllocs()
	for b.Loop() {
		set.Snapshot.Eval.Match(in, nil, &r)
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			want := 1
			if n < 43 {
				want = 0
			}
			benchMatch(b, load(b, rbac(1, n), topdownOnly), benchInput, want)
		})
	}
	for _, p := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("100in%d", p), func(b *testing.B) { benchMatch(b, load(b, rbac(p, 100), topdownOnly), benchInput, 1) })
	}
}

// structuredRules are n rules with one condition each, of which none matches benchInput.
func structuredRules(effect, op string, n int) string {
	var rs []string
	for i := range n {
		field, value := "agent_role", fmt.Sprintf(`"none%d"`, i)
		switch op {
		case "!=":
			value = `"role42"`
		case "in":
			value = fmt.Sprintf(`["none%d","nobody%d"]`, i, i)
		case "not_in":
			value = fmt.Sprintf(`["none%d","role42"]`, i)
		case ">", ">=":
			field, value = "params.amount", fmt.Sprint(1000+i)
		case "<", "<=":
			field, value = "params.amount", fmt.Sprint(-1-i)
		case "glob":
			field, value = "resource", fmt.Sprintf(`"db.none%d:*/**"`, i)
		case "matches":
			value = fmt.Sprintf(`"none%d.*x"`, i)
		case "cidr":
			field, value = "environment.ip", fmt.Sprintf(`"10.%d.%d.0/24"`, i/256, i%256)
		}
		rs = append(rs, fmt.Sprintf(`{"rule_id":"r%d","effect":%q,"conditions":[{"field":%q,"operator":%q,"value":%s}]}`, i, effect, field, op, value))
	}
	return `{"policy_id":"bench","rules":[` + strings.Join(rs, ",\n") + `]}`
}

var allOperators = []string{"==", "!=", ">", "<", ">=", "<=", "contains", "matches", "in", "not_in", "starts_with", "ends_with", "glob", "cidr"}

func BenchmarkStructured1000(b *testing.B) {
	for _, op := range allOperators {
		b.Run(op, func(b *testing.B) {
			benchMatch(b, load(b, map[string]string{"p.json": structuredRules("deny", op, 1000)}, topdownOnly), benchInput, 0)
		})
	}
}

// BenchmarkOdd1000 is what 1,000 deny rules cost a caller who sends a field that is odd for all of them, of which all
// match.
func BenchmarkOdd1000(b *testing.B) {
	odd := strings.Replace(benchInput, `"role42"`, `null`, 1)
	benchMatch(b, load(b, map[string]string{"p.json": structuredRules("deny", "starts_with", 1000)}, topdownOnly), odd, 1000)
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		for _, form := range []string{"structured", "rego"} {
			b.Run(fmt.Sprintf("%s=%d", form, n), func(b *testing.B) {
				files := rbac(1, n)
				if form == "structured" {
					var rs []string
					for i := range n {
						rs = append(rs, fmt.Sprintf(`{"rule_id":"r%d","effect":"%s","conditions":[{"field":"agent_role","operator":"==","value":"role%d"},{"field":"action","operator":"in","value":["act%d","x"]}]}`,
							i, []string{"allow", "deny"}[i%2], i, i%10))
					}
					files = map[string]string{"p.json": `{"policy_id":"bench","rules":[` + strings.Join(rs, ",\n") + `]}`}
				}
				o := rules.Options{Paths: []string{dir(b, files)}, Engine: rules.EngineTopdown}
				b.ReportAllocs()
				for b.Loop() {
					if _, err := rules.Load(b.Context(), o); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
