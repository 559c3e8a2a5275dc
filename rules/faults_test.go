package rules_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"thymus/pdp"
	"thymus/rules"
)

// TestFaults: every kind of error denies with its code, its policy and its place, and says nothing of the input.
func TestFaults(t *testing.T) {
	const secret = "s3cret-of-the-input"
	for _, c := range []struct {
		name, body string
		code       pdp.FaultCode
		want       []string
	}{
		{"a builtin's error", "allow contains \"x\" if to_number(input.v) > 1", pdp.FaultBuiltin, []string{"to_number", "a.rego:4", "policies.a"}},
		{"a builtin's operand of another type", "allow contains \"x\" if count(input.n) > 1", pdp.FaultBuiltin, []string{"count", "a.rego:4"}},
		{"a builtin's error in a negation", "allow contains \"x\" if not to_number(input.v) > 1", pdp.FaultBuiltin, []string{"to_number", "a.rego:4"}},
		{"a builtin's error in a library", "allow contains \"x\" if data.lib.f(input.v) == 1", pdp.FaultBuiltin, []string{"to_number", "lib.rego:3", "policies.a"}},
		{"a conflict of a complete rule", "allow contains \"x\" if c == 1\n\nc := 1 if input.v\n\nc := 2 if input.v", pdp.FaultConflict, []string{"conflict", "a.rego"}},
		{"a conflict of a function", "allow contains \"x\" if f(1) == 1\n\nf(x) := 1 if x\n\nf(x) := 2 if x", pdp.FaultConflict, []string{"conflict", "a.rego"}},
		{"an element that is a number", "allow contains input.n", pdp.FaultShape, []string{"policies.a.allow", "neither a string nor an object"}},
		{"a constant element that is a number", "allow contains 5", pdp.FaultShape, []string{"policies.a.allow"}},
		{"a rule object without rule", "deny contains {\"name\": input.v}", pdp.FaultShape, []string{"policies.a.deny", "without rule"}},
		{"an empty rule id", "deny contains {\"rule\": \"\"}", pdp.FaultShape, []string{"policies.a.deny"}},
		{"a priority that is no integer", "warn contains {\"rule\": \"x\", \"priority\": 1.5}", pdp.FaultShape, []string{"priority"}},
		{"a priority that is a string", "warn contains {\"rule\": \"x\", \"priority\": input.v}", pdp.FaultShape, []string{"priority"}},
		{"a reason that is no string", "warn contains {\"rule\": \"x\", \"reason\": input.n}", pdp.FaultShape, []string{"reason"}},
		{"a guardrail that is no boolean", "deny contains {\"rule\": \"x\", \"guardrail\": \"yes\"}", pdp.FaultShape, []string{"guardrail"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := load(t, map[string]string{"a.rego": "package policies.a\n\n\n" + c.body + "\n", "b.rego": "package policies.b\n\nallow contains \"fine\"\n",
				"lib.rego": "package lib\n\nf(x) := to_number(x)\n"})
			d, r := decide(t, set, `{"v":"`+secret+`","n":7}`)
			if len(r.Faults) == 0 {
				t.Fatalf("no fault: %+v", d)
			}
			f := r.Faults[0]
			msg := r.Out.Str(f.Msg)
			if f.Code != c.code || d.Allowed || d.Matched || !strings.HasPrefix(d.Reason, "Evaluation error - denied: ") {
				t.Errorf("fault %v %q, decision %+v", f.Code, msg, d)
			}
			if f.Policy < 0 || set.Snapshot.Policies[f.Policy].ID != "a" {
				t.Errorf("policy %d", f.Policy)
			}
			for _, w := range c.want {
				if !strings.Contains(msg, w) {
					t.Errorf("no %q in %q", w, msg)
				}
			}
			if strings.Contains(msg, secret) || strings.Contains(msg, "thymus.match") || strings.Contains(msg, "\n") {
				t.Errorf("message %q", msg)
			}
			if d, _ := decide(t, load(t, map[string]string{"b.rego": "package policies.b\n\nallow contains \"fine\"\n"}), `{}`); !d.Allowed {
				t.Errorf("without it: %+v", d)
			}
		})
	}
}

// TestMatchesOfDynamicHeads: what a policy makes at evaluation is matched with what it says, and once where it equals a
// constant of its set.
func TestMatchesOfDynamicHeads(t *testing.T) {
	set := load(t, map[string]string{"a.rego": `package policies.a

deny contains "x"

deny contains r if some r in input.rules

warn contains {"rule": "w", "name": "W", "priority": 1e1, "reason": sprintf("%v!", [input.n]), "own": [1]}
`})
	_, r := decide(t, set, `{"rules":["x","y","y"],"n":1.50}`)
	var got []string
	for i := range r.Matches {
		got = append(got, fmt.Sprint(r.Matches[i].Rule >= 0, " ", describeMatch(set.Snapshot, r, &r.Matches[i])))
	}
	all := strings.Join(got, "\n")
	if len(got) != 3 || !strings.Contains(all, "true a deny x 0 ") || !strings.Contains(all, "false a deny y 0 ") || !strings.Contains(all, "false a warn w 10 ") {
		t.Errorf("got\n%s\n%v", all, faultTexts(r))
	}
}

// TestNondeterminismIsPerRequest: the clock and randomness are a request's own, and the same throughout it.
func TestNondeterminismIsPerRequest(t *testing.T) {
	set := load(t, map[string]string{"a.rego": `package a

now := time.now_ns()

same if time.now_ns() == now

random := rand.intn("x", 1000000000000)

id := uuid.rfc4122("k")
`})
	seen := map[string]bool{}
	before := time.Now().UnixNano()
	for range 5 {
		if got := valueOf(t, set, []string{"a", "same"}, `{}`); got != "true" {
			t.Errorf("same: %s", got)
		}
		for _, doc := range []string{"now", "random", "id"} {
			v := valueOf(t, set, []string{"a", doc}, `{}`)
			if seen[v] {
				t.Errorf("%s: %s came before", doc, v)
			}
			seen[v] = true
		}
	}
	var ns int64
	if _, err := fmt.Sscan(valueOf(t, set, []string{"a", "now"}, `{}`), &ns); err != nil || ns < before || ns > time.Now().UnixNano() {
		t.Errorf("now is %d, %v", ns, err)
	}
}

// TestConcurrentUse: one set answers many at once, each its own, while others load; run with -race.
func TestConcurrentUse(t *testing.T) {
	files := map[string]string{"p.json": structuredRules("deny", "matches", 20), "a.rego": "package policies.a\n\nallow contains {\"rule\": input.id, \"reason\": sprintf(\"%s\", [input.id])} if regex.match(input.id, input.id)\n"}
	set := load(t, files)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			var r pdp.Result
			for i := range 50 {
				id := fmt.Sprintf("g%d-%d", g, i)
				set.Snapshot.Eval.Match(tape(t, `{"id":"`+id+`"}`), nil, &r)
				if len(r.Matches) != 1 || r.Out.Str(r.Matches[0].ID) != id {
					t.Errorf("%s: %v %v", id, r.Matches, faultTexts(&r))
				}
				set.Snapshot.Eval.Value(set.Snapshot.Eval.Query([]string{"policies", "a"}), tape(t, `{"id":"`+id+`"}`), false, nil, &r)
				if !strings.Contains(string(r.Out.AppendJSON(nil, 0)), id) {
					t.Errorf("%s: %s", id, r.Out.AppendJSON(nil, 0))
				}
			}
		})
	}
	for range 5 {
		load(t, files)
	}
	wg.Wait()
}

// TestExtraPolicies: policies that lie in no file, in both forms, on and off.
func TestExtraPolicies(t *testing.T) {
	rego := rules.Source{ID: "x.y", Form: rules.FormRego, Text: []byte("package policies.x.y\n\ndeny contains \"r\"\n"), Origin: "store:x.y"}
	yaml := rules.Source{ID: "s", Form: rules.FormStructured, Text: []byte("policy_id: s\nrules: [{rule_id: a, effect: allow}]\n"), Origin: "store:s"}
	with := func(s ...rules.Source) func(*rules.Options) { return func(o *rules.Options) { o.Extra = s } }
	if d, _ := decide(t, load(t, nil, with(rego, yaml)), `{}`); d.Allowed || d.Rule != "r" || d.Policy != "x.y" {
		t.Errorf("%+v", d)
	}
	rego.Disabled = true
	set := load(t, nil, with(rego, yaml))
	if d, _ := decide(t, set, `{}`); !d.Allowed || d.Policy != "s" {
		t.Errorf("%+v", d)
	}
	if len(set.Policies) != 2 || set.Policies[0].ID != "s" || set.Policies[1].Enabled || set.Policies[1].Rules != 1 || len(set.Snapshot.Policies) != 1 {
		t.Errorf("%+v", set.Policies)
	}
	if got := valueOf(t, set, []string{"policies", "x"}, `{}`); got != "undefined" {
		t.Errorf("a disabled policy is visible: %s", got)
	}
	for _, c := range []struct {
		want  string
		extra rules.Source
		files map[string]string
	}{
		{"store:s: policy s: policy_id: the text is of the policy t", rules.Source{ID: "s", Form: rules.FormStructured, Text: []byte(`{"policy_id":"t","rules":[]}`), Origin: "store:s"}, nil},
		{"the text is of the policy in package lib", rules.Source{ID: "s", Form: rules.FormRego, Text: []byte("package lib\n"), Origin: "store:s"}, nil},
		{"is already defined by", yaml, map[string]string{"s.yaml": string(yaml.Text)}},
		{"is already defined by", rules.Source{ID: "r", Form: rules.FormRego, Text: []byte("package policies.r\n\ndeny contains \"a\"\n"), Origin: "store:r"}, map[string]string{"r.rego": "package policies.r\n\ndeny contains \"b\"\n"}},
	} {
		if got := problemsOf(t, c.files, with(c.extra)); !strings.Contains(got, c.want) {
			t.Errorf("no %q in %q", c.want, got)
		}
	}
}
