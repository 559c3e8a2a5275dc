package rules_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gobwas/glob"

	"thymus/pdp"
	"thymus/rules"
)

// The oracle is CONTRACT 3 read again, in plain Go over encoding/json's values, knowing nothing of Rego: which of a
// policy's rules match an input.

type oracleRule struct {
	ID         string            `json:"rule_id"`
	Effect     string            `json:"effect"`
	Enabled    *bool             `json:"enabled,omitempty"`
	Conditions []oracleCondition `json:"conditions,omitempty"`
}

type oracleCondition struct {
	Field    string `json:"field"`
	Operator string `json:"operator"`
	Value    any    `json:"value"`
}

func (r *oracleRule) matches(in any, defined bool) bool {
	if r.Enabled != nil && !*r.Enabled {
		return false
	}
	for i := range r.Conditions {
		ok, odd := r.Conditions[i].holds(in, defined)
		if !ok && (!odd || r.Effect != "deny") {
			return false
		}
	}
	return true
}

// holds says whether the condition holds, and whether the field is there but cannot be compared.
func (c *oracleCondition) holds(in any, defined bool) (ok, odd bool) {
	v, found, blocked := lookUp(in, defined, c.Field)
	if c.Operator == "!=" {
		return !found || !equal(v, c.Value), false
	}
	if c.Operator == "not_in" {
		return !found || !slices.ContainsFunc(c.Value.([]any), func(e any) bool { return equal(v, e) }), false
	}
	if !found {
		return false, blocked
	}
	s, isString := v.(string)
	switch c.Operator {
	case "==":
		return equal(v, c.Value), false
	case "in":
		return slices.ContainsFunc(c.Value.([]any), func(e any) bool { return equal(v, e) }), false
	case ">", "<", ">=", "<=":
		order := 0
		switch want := c.Value.(type) {
		case json.Number:
			n, isNumber := v.(json.Number)
			if !isNumber {
				return false, true
			}
			order = rat(n).Cmp(rat(want))
		case string:
			if !isString {
				return false, true
			}
			order = strings.Compare(s, want)
		}
		return map[string]bool{">": order > 0, "<": order < 0, ">=": order >= 0, "<=": order <= 0}[c.Operator], false
	case "contains":
		text := c.Value
		if str, ok := text.(string); !ok {
			text = jsonText(c.Value)
		} else {
			text = str
		}
		switch v := v.(type) {
		case string:
			return strings.Contains(v, text.(string)), false
		case json.Number, bool:
			return strings.Contains(jsonText(v), text.(string)), false
		case []any:
			return slices.ContainsFunc(v, func(e any) bool { return equal(e, c.Value) }), false
		}
		return false, true
	}
	if !isString {
		return false, true
	}
	switch c.Operator {
	case "matches":
		at := regexp.MustCompile(c.Value.(string)).FindStringIndex(s)
		return at != nil && regexp.MustCompile(`\A(?:`+c.Value.(string)+`)`).MatchString(s), false
	case "starts_with":
		return strings.HasPrefix(s, c.Value.(string)), false
	case "ends_with":
		return strings.HasSuffix(s, c.Value.(string)), false
	case "glob":
		return glob.MustCompile(c.Value.(string), '.', '/', ':').Match(s), false
	case "cidr":
		ip := net.ParseIP(s)
		if ip == nil {
			return false, true
		}
		nets, ok := c.Value.([]any)
		if !ok {
			nets = []any{c.Value}
		}
		return slices.ContainsFunc(nets, func(n any) bool { _, ipn, _ := net.ParseCIDR(n.(string)); return ipn.Contains(ip) }), false
	}
	panic(c.Operator)
}

func lookUp(in any, defined bool, field string) (v any, found, blocked bool) {
	path, ok := map[string]string{"agent_id": "subject.id", "agent_role": "subject.properties.role", "agent.role": "subject.properties.role",
		"action": "action.name", "resource": "resource.id"}[field]
	switch {
	case ok:
	case strings.HasPrefix(field, "params."):
		path = "action.properties." + field[len("params."):]
	case strings.HasPrefix(field, "environment."):
		path = "context." + field[len("environment."):]
	default:
		path = field
	}
	if !defined {
		return nil, false, false
	}
	v = in
	for _, step := range strings.Split(path, ".") {
		o, isObject := v.(map[string]any)
		if !isObject {
			return nil, false, true
		}
		if v, found = o[step]; !found {
			return nil, false, false
		}
	}
	return v, true, false
}

func rat(n json.Number) *big.Rat {
	r, ok := new(big.Rat).SetString(string(n))
	if !ok {
		panic(n)
	}
	return r
}

func equal(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		n, ok := b.(json.Number)
		return ok && rat(a).Cmp(rat(n)) == 0
	case []any:
		l, ok := b.([]any)
		return ok && slices.EqualFunc(a, l, equal)
	case map[string]any:
		o, ok := b.(map[string]any)
		if !ok || len(a) != len(o) {
			return false
		}
		for k, v := range a {
			if w, ok := o[k]; !ok || !equal(v, w) {
				return false
			}
		}
		return true
	}
	return a == b
}

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func num(s string) json.Number { return json.Number(s) }

// source makes rules and inputs that meet often.
type source struct{ *rand.Rand }

func pick[T any](r source, from ...T) T { return from[r.IntN(len(from))] }

var oracleFields = []string{"agent_id", "agent_role", "action", "resource", "params.a", "params.b", "params.a.x", "environment.ip",
	"environment.a.b.c", "top", "agent.role", "params.k-1", "environment.0"}

func (r source) scalar() any {
	return pick[any](r, "guest", "admin", "", "read", "a.b/c:d", "a/b", "5000", "10.1.2.3", "::1", "10.0.0.0/8", "not an address", "aXb", "\nab",
		num("5000"), num("1"), num("1.0"), num("1.50"), num("0"), num("-3"), num("12345678901234567890"), num("1e2"), true, false, nil)
}

func (r source) value(depth int) any {
	if depth == 0 || r.IntN(3) > 0 {
		return r.scalar()
	}
	if r.IntN(2) == 0 {
		l := []any{}
		for range r.IntN(3) {
			l = append(l, r.value(depth-1))
		}
		return l
	}
	o := map[string]any{}
	for range r.IntN(3) {
		o[pick(r, "a", "b", "x", "c", "role", "name")] = r.value(depth - 1)
	}
	return o
}

func (r source) condition() oracleCondition {
	c := oracleCondition{Field: pick(r, oracleFields...), Operator: pick(r, "==", "!=", ">", "<", ">=", "<=", "contains", "matches", "in",
		"not_in", "starts_with", "ends_with", "glob", "cidr")}
	switch c.Operator {
	case "==", "!=":
		c.Value = r.value(2)
	case "in", "not_in":
		l := []any{}
		for range r.IntN(7) {
			l = append(l, r.value(1))
		}
		c.Value = l
	case ">", "<", ">=", "<=":
		c.Value = pick[any](r, num("1"), num("5000"), num("0.5"), num("12345678901234567889"), "guest", "b", "")
	case "contains":
		c.Value = pick[any](r, "a", "", "50", "ru", num("1"), num("5000"), num("1.0"), true, "admin")
	case "matches":
		c.Value = pick(r, "a", "adm.*", "(?i)A", "x|r", "b", "$", "[0-9]+$", "(?m)ab")
	case "starts_with", "ends_with":
		c.Value = pick(r, "a", "", "re", "b", "10.", "d", "00")
	case "glob":
		c.Value = pick(r, "*", "**", "a*", "a.*", "a.b/*:*", "{admin,guest}", "10.*.*.*", "[a-r]*", "?*", `a\.b`, `\a*`, `admi\n`)
	case "cidr":
		c.Value = pick[any](r, "10.0.0.0/8", "::/0", []any{"192.168.0.0/16", "10.1.2.3/32"}, []any{"::1/128"}, "0.0.0.0/0")
	}
	return c
}

func (r source) rule(n int) oracleRule {
	rule := oracleRule{ID: fmt.Sprintf("r%d", n), Effect: pick(r, "deny", "deny", "deny", "allow", "warn", "audit")}
	for range r.IntN(4) {
		rule.Conditions = append(rule.Conditions, r.condition())
	}
	if r.IntN(12) == 0 {
		off := false
		rule.Enabled = &off
	}
	return rule
}

// input is a canonical input, more or less: parts are missing, replaced by values of other types, or odd all over.
func (r source) input() any {
	if r.IntN(25) == 0 {
		return r.value(2)
	}
	object := func(pairs ...any) any {
		if r.IntN(14) == 0 {
			return r.value(1)
		}
		o := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			if r.IntN(9) > 0 {
				o[pairs[i].(string)] = pairs[i+1]
			}
		}
		return o
	}
	return object(
		"subject", object("type", "agent", "id", r.value(1), "properties", object("role", r.value(1))),
		"action", object("name", r.value(1), "properties", object("a", r.value(2), "b", r.value(1), "k-1", r.value(1))),
		"resource", object("id", r.value(1)),
		"context", object("ip", r.value(1), "a", object("b", object("c", r.value(1))), "0", r.scalar()),
		"top", r.value(1))
}

// TestStructuredAgainstOracle asks random rules of all operators about random inputs of all types, once by Match and
// once by Value of each effect set, and wants the oracle's answer both times and never a fault. THYMUS_ORACLE_SETS says
// how many sets of rules, 60 where it is unset.
func TestStructuredAgainstOracle(t *testing.T) { onBothEngines(t, testStructuredAgainstOracle) }

func testStructuredAgainstOracle(t *testing.T, engine func(*rules.Options)) {
	sets := 60
	if s := os.Getenv("THYMUS_ORACLE_SETS"); s != "" {
		sets, _ = strconv.Atoi(s)
	}
	seed := uint64(20240611)
	matched, asked, dodged := 0, 0, 0
	for n := range sets {
		r := source{rand.New(rand.NewPCG(seed, uint64(n)))}
		policies := map[string][]oracleRule{}
		files := map[string]string{}
		for p := range 1 + r.IntN(3) {
			id := fmt.Sprintf("p%d", p)
			for i := range 1 + r.IntN(8) {
				policies[id] = append(policies[id], r.rule(i))
			}
			files[id+".json"] = jsonText(map[string]any{"policy_id": id, "rules": policies[id]})
		}
		set := load(t, files, engine)
		var res pdp.Result
		for range 60 {
			in := r.input()
			text := jsonText(in)
			defined := r.IntN(40) > 0
			if !defined {
				text = ""
			}
			var want []string
			for id, list := range policies {
				for i := range list {
					if list[i].matches(in, defined) {
						want = append(want, id+"/"+list[i].Effect+"/"+list[i].ID)
						matched++
						if list[i].Effect == "deny" && slices.ContainsFunc(list[i].Conditions, func(c oracleCondition) bool {
							ok, _ := c.holds(in, defined)
							return !ok
						}) {
							dodged++
						}
					}
				}
			}
			slices.Sort(want)
			asked++
			set.Snapshot.Eval.Match(tape(t, text), nil, &res)
			var got []string
			for _, m := range res.Matches {
				row := set.Snapshot.Rules[m.Rule]
				got = append(got, row.Policy+"/"+row.Effect.String()+"/"+row.ID)
			}
			slices.Sort(got)
			if len(res.Faults) > 0 {
				t.Fatalf("set %d: fault %s\nfiles %v\ninput %s", n, res.Out.Str(res.Faults[0].Msg), files, text)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("set %d by Match: got %v, want %v\nfiles %v\ninput %s", n, got, want, files, text)
			}
			if got := bySets(t, set.Snapshot.Eval, policies, text); !slices.Equal(got, want) {
				t.Fatalf("set %d by Value: got %v, want %v\nfiles %v\ninput %s", n, got, want, files, text)
			}
		}
	}
	t.Logf("%d inputs, %d matches, %d of them because of an odd field", asked, matched, dodged)
	if dodged < asked/20 || matched < asked/2 {
		t.Error("too few matches to say anything")
	}
}

func bySets(t *testing.T, ev pdp.Evaluator, policies map[string][]oracleRule, text string) []string {
	var out []string
	var r pdp.Result
	for id := range policies {
		for _, effect := range []string{"allow", "deny", "warn", "audit"} {
			ev.Value(ev.Query([]string{"policies", id, effect}), tape(t, text), true, nil, &r)
			if len(r.Faults) > 0 {
				t.Fatalf("fault %s", r.Out.Str(r.Faults[0].Msg))
			}
			if !r.Defined {
				continue
			}
			var rules []struct{ Rule string }
			if err := json.Unmarshal(r.Out.AppendJSON(nil, 0), &rules); err != nil {
				t.Fatal(err)
			}
			for _, e := range rules {
				out = append(out, id+"/"+effect+"/"+e.Rule)
			}
		}
	}
	slices.Sort(out)
	return out
}
