package rules_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"thymus/pdp"
	"thymus/rules"
)

// everyOperator is a structured policy with a rule of each operator and effect.
func everyOperator() string {
	conditions := []string{
		`{"field":"agent_role","operator":"==","value":"ops"}`, `{"field":"agent_role","operator":"!=","value":"guest"}`,
		`{"field":"params.amount","operator":">","value":100}`, `{"field":"params.amount","operator":"<=","value":5000}`,
		`{"field":"action","operator":"in","value":["deploy","delete"]}`, `{"field":"action","operator":"not_in","value":["read"]}`,
		`{"field":"resource","operator":"starts_with","value":"prod/"}`, `{"field":"resource","operator":"ends_with","value":"/db"}`,
		`{"field":"resource","operator":"contains","value":"cluster"}`, `{"field":"resource","operator":"matches","value":"prod/[a-z]+"}`,
		`{"field":"resource","operator":"glob","value":"prod/*/db"}`, `{"field":"environment.ip","operator":"cidr","value":["10.0.0.0/8","192.168.0.0/16"]}`,
		`{"field":"params.tags","operator":"contains","value":"urgent"}`,
	}
	var rs []string
	for i, c := range conditions {
		for _, effect := range []string{"allow", "deny", "warn", "audit"} {
			rs = append(rs, fmt.Sprintf(`{"rule_id":"%s_%d","effect":"%s","priority":%d,"conditions":[%s]}`, effect, i, effect, i, c))
		}
	}
	return `{"policy_id":"every","rules":[` + strings.Join(rs, ",") + `]}`
}

var engineInputs = []string{
	`{"subject":{"type":"agent","id":"a","properties":{"role":"ops"}},"action":{"name":"deploy","properties":{"amount":250,"tags":["urgent"]}},"resource":{"type":"","id":"prod/cluster/db","properties":{}},"context":{"ip":"10.1.2.3"}}`,
	`{"subject":{"type":"agent","id":"a","properties":{"role":7}},"action":{"name":"read","properties":{"amount":"250","tags":"urgent"}},"resource":{"type":"","id":"x","properties":{}},"context":{"ip":"nowhere"}}`,
	`{"subject":{"type":"agent","id":"a","properties":{}},"action":{"name":"x","properties":{"amount":null}},"resource":{"type":"","id":"","properties":{}},"context":{"ip":{"v":4}}}`,
	`{"subject":{"type":"agent","id":"a","properties":{"role":"ops"}},"action":{"name":"x","properties":[]},"resource":{"type":"","id":"prod/a/db","properties":{}},"context":null}`,
	`{}`,
}

func matches(set *rules.Set, in *pdp.Doc) string {
	var r pdp.Result
	set.Snapshot.Eval.Match(in, &pdp.Budget{}, &r)
	return rules.ResultText(false, &r)
}

func TestStructuredPoliciesRunNatively(t *testing.T) {
	root := dir(t, map[string]string{"every.json": everyOperator()})
	load := func(e rules.Engine) *rules.Set {
		set, err := rules.Load(context.Background(), rules.Options{Paths: []string{root}, Builtin: true, Engine: e})
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	fast, slow := load(""), load(rules.EngineTopdown)
	if fast.Engine.Engine != rules.EngineNative || len(fast.Engine.Unable) > 0 || slow.Engine.Engine != rules.EngineTopdown {
		t.Fatalf("engines %+v, %+v", fast.Engine, slow.Engine)
	}
	for _, js := range engineInputs {
		got, want := matches(fast, tape(t, js)), matches(slow, tape(t, js))
		if got != want {
			t.Errorf("%s\nnative\n%s\ntopdown\n%s", js, got, want)
		}
		if want == "" && js != `{}` {
			t.Errorf("%s: nothing matched", js)
		}
	}
	if s := fast.Engine.Stats(); s.FellBack != 0 || s.Panicked != 0 {
		t.Errorf("fell back: %+v", s)
	}
}

func TestWhatNativeCannotAnswerTopdownDoes(t *testing.T) {
	files := map[string]string{"a.rego": `package policies.a

allow contains "ok" if input.ok

deny contains "broken" if to_number(input.n) > 1

deny contains {"rule": x} if x := input.id
`}
	set, err := rules.Load(context.Background(), rules.Options{Paths: []string{dir(t, files)}})
	if err != nil {
		t.Fatal(err)
	}
	for js, want := range map[string]pdp.FaultCode{`{"n":"many"}`: pdp.FaultBuiltin, `{"id":7}`: pdp.FaultShape, `{"n":1e99999}`: pdp.FaultInput, `{"ok":true,"n":"1"}`: pdp.NoFault} {
		var r pdp.Result
		set.Snapshot.Eval.Match(tape(t, js), &pdp.Budget{}, &r)
		got := pdp.NoFault
		if len(r.Faults) > 0 {
			got = r.Faults[0].Code
		}
		if got != want {
			t.Errorf("%s: fault %v, want %v", js, got, want)
		}
		for _, f := range r.Faults {
			if f.Code == pdp.FaultBuiltin && !strings.Contains(r.Out.Str(f.Msg), "a.rego:5") {
				t.Errorf("%s: %s", js, r.Out.Str(f.Msg))
			}
		}
	}
	if s := set.Engine.Stats(); s.FellBack != 2 { // a number that no engine bears is refused without asking topdown
		t.Errorf("%d fell back, want 2", s.FellBack)
	}
}

const plainPolicy = `package policies.a

allow contains "r" if input.n > 1

noise contains x if x := time.now_ns()

allow contains sprintf("%d", [x]) if {
	input.noise
	some x in noise
}
`

func TestTheShadowFindsNothingWhereTheEnginesAgree(t *testing.T) {
	root := dir(t, map[string]string{"a.rego": plainPolicy})
	synctest.Test(t, func(t *testing.T) {
		set, err := rules.Load(context.Background(), rules.Options{Paths: []string{root}, ShadowRate: 1, Difference: func(d rules.Difference) { t.Errorf("%+v", d) }})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		before := set.Engine.Stats()
		for _, js := range []string{`{"n":2}`, `{"n":0}`, `{}`, `{"noise":true}`} {
			matches(set, tape(t, js))
			synctest.Wait()
		}
		var r pdp.Result
		q := set.Snapshot.Eval.Query([]string{"policies", "a", "allow"})
		for _, js := range []string{`{"n":2}`, `{}`} {
			set.Snapshot.Eval.Value(q, tape(t, js), false, &pdp.Budget{}, &r)
			if !r.Defined {
				t.Errorf("%s: undefined", js)
			}
			synctest.Wait()
		}
		if s := set.Engine.Stats(); s.Shadowed-before.Shadowed != 6 || s.Different != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestADifferenceIsReportedAndTopdownStepsIn(t *testing.T) {
	root := dir(t, map[string]string{"a.rego": plainPolicy})
	other := dir(t, map[string]string{"a.rego": strings.Replace(plainPolicy, "input.n > 1", "input.n > 5", 1)})
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var found []rules.Difference
		o := rules.Options{Paths: []string{root}, ShadowRate: 1, OnDifference: rules.OnDifferenceTopdown, Difference: func(d rules.Difference) { found = append(found, d) }}
		set, err := rules.Load(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		wrong, err := rules.Load(context.Background(), rules.Options{Paths: []string{other}})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := rules.GiveWrongNative(set, wrong); err != nil {
			t.Fatal(err)
		}
		in := tape(t, `{"n":3}`)
		if got := matches(set, in); got != "" {
			t.Fatalf("the engine that was to be wrong answered %q", got)
		}
		synctest.Wait()
		if s := set.Engine.Stats(); s.Different != 1 || len(found) != 1 {
			t.Fatalf("%+v, found %d", s, len(found))
		}
		if got := matches(set, in); got == "" {
			t.Error("topdown has not stepped in")
		}
		synctest.Wait()
		name, err := found[0].WriteTo(folder)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var back rules.Difference
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if back.Native != "" || back.Topdown == "" || back.Revision != set.Snapshot.Revision || string(compact(t, back.Input)) != `{"n":3}` || len(back.Policies) != 1 || back.Time.After(time.Now()) {
			t.Errorf("%s", text)
		}
	})
}

func compact(t *testing.T, text json.RawMessage) []byte {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	out, _ := json.Marshal(v)
	return out
}

// BenchmarkNativeStructured evaluates 1,000 rules of one operator, none of which matches:
//
//	go test ./rules -run '^$' -bench BenchmarkNativeStructured -count 10 | benchstat -
func BenchmarkNativeStructured(b *testing.B) {
	conditions := map[string]string{
		"equal": `{"field":"agent_role","operator":"==","value":"role%d"}`, "unequal": `{"field":"agent_role","operator":"!=","value":"ops"},{"field":"action","operator":"==","value":"a%d"}`,
		"greater": `{"field":"params.amount","operator":">","value":1%d}`, "starts_with": `{"field":"resource","operator":"starts_with","value":"r%d/"}`,
		"ends_with": `{"field":"resource","operator":"ends_with","value":"/%d"}`, "contains": `{"field":"resource","operator":"contains","value":"-%d-"}`,
		"matches": `{"field":"resource","operator":"matches","value":"r%d/[a-z]+"}`, "glob": `{"field":"resource","operator":"glob","value":"r%d/*/db"}`,
		"cidr": `{"field":"environment.ip","operator":"cidr","value":"10.%d.0.0/16"}`,
	}
	in := tape(b, `{"subject":{"type":"agent","id":"a","properties":{"role":"ops"}},"action":{"name":"deploy","properties":{"amount":1}},"resource":{"type":"","id":"prod/cluster/db","properties":{}},"context":{"ip":"192.168.1.2"}}`)
	for name, c := range conditions {
		var rs []string
		for i := range 1000 {
			k := i
			if name == "cidr" {
				k = i % 256
			}
			rs = append(rs, fmt.Sprintf(`{"rule_id":"r%d","effect":"allow","conditions":[%s]}`, i, fmt.Sprintf(c, k)))
		}
		root := dir(b, map[string]string{"a.json": `{"policy_id":"a","rules":[` + strings.Join(rs, ",") + `]}`})
		set, err := rules.Load(context.Background(), rules.Options{Paths: []string{root}})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			var r pdp.Result
			var budget pdp.Budget
			b.ReportAllocs()
			for b.Loop() {
				set.Snapshot.Eval.Match(in, &budget, &r)
			}
			if s := set.Engine.Stats(); s.FellBack > 0 || len(r.Matches)+len(r.Faults) > 0 {
				b.Fatalf("%+v, matches %v", s, r.Matches)
			}
		})
	}
}

// BenchmarkLoadByEngine loads structured rules, from text to the first answer; the difference is the native engine's.
//
//	go test ./rules -run '^$' -bench BenchmarkLoadByEngine -count 6 | benchstat -col /engine -
func BenchmarkLoadByEngine(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		var rs []string
		for i := range n {
			rs = append(rs, fmt.Sprintf(`{"rule_id":"r%d","effect":"allow","conditions":[{"field":"agent_role","operator":"==","value":"role%d"},{"field":"action","operator":"in","value":["act%d","x"]}]}`, i, i, i%7))
		}
		root := dir(b, map[string]string{"a.json": `{"policy_id":"a","rules":[` + strings.Join(rs, ",") + `]}`})
		for _, e := range []rules.Engine{rules.EngineTopdown, rules.EngineNative} {
			b.Run(fmt.Sprintf("rules=%d/engine=%s", n, e), func(b *testing.B) {
				start := cpuTime()
				defer func() { b.ReportMetric(float64((cpuTime()-start).Microseconds())/1000/float64(b.N), "cpu_ms/op") }()
				for b.Loop() {
					if _, err := rules.Load(context.Background(), rules.Options{Paths: []string{root}, Engine: e}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// TestTheExamplesRunNatively asks every example set of both engines for what its vectors and its subjects could ask.
func TestTheExamplesRunNatively(t *testing.T) {
	var vectors struct {
		Evaluation []struct{ Request json.RawMessage }
	}
	text, err := os.ReadFile("../examples/todo/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &vectors); err != nil || len(vectors.Evaluation) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	inputs := append([]string(nil), engineInputs...)
	for _, v := range vectors.Evaluation {
		inputs = append(inputs, string(v.Request))
	}
	for _, subject := range []string{"ops_agent", "researcher", "billing_agent", "alice", "bob", "system:serviceaccount:default:ci"} {
		for _, action := range []string{"read", "get", "read_file", "write_file", "http_get", "shell", "transfer", "list", "delete"} {
			for _, resource := range []string{"", "/workspace/a.txt", "/etc/passwd", "https://example.com/x", "pods", "prod/db"} {
				inputs = append(inputs, fmt.Sprintf(`{"subject":{"type":"agent","id":%q,"properties":{"role":"operator","groups":["dev"]}},"action":{"name":%q,"properties":{"amount":250,"path":%q,"verb":%[2]q}},"resource":{"type":"","id":%[3]q,"properties":{"namespace":"default"}},"context":{"hour":11,"ip":"10.0.0.1"},"peer":{"surface":"native","transport":"tcp"}}`, subject, action, resource))
			}
		}
	}
	for _, subject := range []string{"root", "ci-bot", "nobody"} {
		for _, group := range []string{"developers", "shop-team", "system:masters", "none"} {
			for _, verb := range []string{"get", "create", "delete"} {
				for _, kind := range []string{"pods", "deployments", "secrets"} {
					inputs = append(inputs, fmt.Sprintf(`{"subject":{"id":%q,"properties":{"groups":[%q]}},"action":{"name":%q},"resource":{"type":%q,"id":"registry-credentials"},"context":{"namespace":"shop"}}`, subject, group, verb, kind))
				}
			}
		}
	}
	for _, example := range []string{"todo", "agent-tools", "kubernetes-rbac"} {
		t.Run(example, func(t *testing.T) {
			load := func(e rules.Engine) *rules.Set {
				set, err := rules.Load(context.Background(), rules.Options{Paths: []string{"../examples/" + example}, Builtin: true, Engine: e})
				if err != nil {
					t.Fatal(err)
				}
				return set
			}
			fast, slow := load(rules.EngineNative), load(rules.EngineTopdown)
			if len(fast.Engine.Unable) > 0 {
				t.Errorf("stays on topdown: %v", fast.Engine.Unable)
			}
			matched := 0
			for _, js := range inputs {
				in := tape(t, js)
				got, want := matches(fast, in), matches(slow, in)
				if got != want {
					t.Fatalf("%s\nnative\n%s\ntopdown\n%s", js, got, want)
				}
				if want != "" && want != "fault" {
					matched++
				}
			}
			t.Logf("%d of %d inputs matched, %d fell back", matched, len(inputs), fast.Engine.Stats().FellBack)
			if matched == 0 {
				t.Error("no input matched anything")
			}
		})
	}
}
