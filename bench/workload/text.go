package workload

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// dice is the only source of chance: equal seeds roll equally. Workloads have streams of their own.
func dice(seed uint64, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

// marshal encodes what the package itself made; members are sorted, so that equal values are equal bytes.
func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only values of JSON's own types get here
	}
	return b
}

type object = map[string]any

// condition is one of Thymus' structured form.
func condition(field, operator string, value any) object {
	return object{"field": field, "operator": operator, "value": value}
}

// rule is one of Thymus' structured form.
func rule(id, effect string, conditions ...object) object {
	return object{"rule_id": id, "effect": effect, "conditions": conditions}
}

// structured is a policy of Thymus' structured form in a file of its own.
func structured(rules []object) []File {
	return []File{{"bench.json", string(marshal(object{"policy_id": "bench", "default_effect": "deny", "rules": rules}))}}
}

// regoHead begins a policy that answers with a boolean.
const regoHead = "package bench\n\ndefault allow := false\n\n"

// module is a policy in Rego, with data beside it where there are any.
func module(text string, data ...File) []File {
	return append([]File{{"bench.rego", text}}, data...)
}

// asThymus is a module that says what allow says, as a policy of Thymus: the same bodies under another head.
func asThymus(text string) string {
	text = strings.Replace(text, regoHead, "# METADATA\n# custom: {default_effect: deny}\npackage policies.bench\n\n", 1)
	return strings.ReplaceAll(text, "allow if {", `allow contains {"rule": "bench_allow"} if {`)
}

// pick takes one of several.
func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func name(kind string, i int) string { return fmt.Sprintf("%s_%d", kind, i) }

// casbinModel is a model with a matcher. request and policy name their parts; groups are relations of two.
func casbinModel(request, policy string, groups []string, effect, matcher string) []File {
	var b strings.Builder
	fmt.Fprintf(&b, "[request_definition]\nr = %s\n\n[policy_definition]\np = %s\n\n", request, policy)
	if len(groups) > 0 {
		b.WriteString("[role_definition]\n")
		for _, g := range groups {
			fmt.Fprintf(&b, "%s = _, _\n", g)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "[policy_effect]\ne = %s\n\n[matchers]\nm = %s\n", effect, matcher)
	return []File{{"model.conf", b.String()}}
}

const (
	casbinAllow         = "some(where (p.eft == allow))"
	casbinAllowOverride = "some(where (p.eft == allow)) && !some(where (p.eft == deny))"
)
