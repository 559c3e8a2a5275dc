package native_test

import (
	"testing"

	"thymus/pdp"
	"thymus/rules/native"
)

// TestOwnBuiltinsAllocateNothing evaluates what policies do with tokens, times, paths and messages.
func TestOwnBuiltinsAllocateNothing(t *testing.T) {
	mod := `package t
claims := io.jwt.decode(input.token)[1]
expired if claims.exp * 1000000000 < input.now
hours := time.clock([input.now, "Europe/Amsterdam"])
day := time.weekday(input.now)
since := input.now - time.parse_rfc3339_ns(input.since)
parts := split(trim_prefix(input.path, "/"), "/")
message := sprintf("%s asks for %v, part %d", [input.id, replace(input.path, "/", "."), count(parts)])
known := object.union(json.unmarshal(input.doc), {"path": concat(":", array.slice(parts, 0, 2))})
roles := {r | some r in claims.roles} & {"a", "b"}
most := max([1, 7, count(roles)]) + sum([1, 2])
prefixed if strings.any_prefix_match(input.path, {"/svc/", "/public/"})
`
	in := `{"token":"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJvcHMiLCJyb2xlcyI6WyJhIiwiYyJdLCJleHAiOjE3MDkyMTAwOTZ9.c2ln","now":1709210096789000000,"since":"2024-02-29T12:34:56Z",` +
		`"path":"/svc/a/b","id":"ops","doc":"{\"a\": [1, true, null]}"}`
	e, _ := mustCompile(t, map[string]string{"t.rego": mod}, native.Options{})
	q, r, b, doc := e.Query([]string{"t"}), &pdp.Result{}, &pdp.Budget{}, parse(t, in)
	e.Value(q, doc, true, b, r)
	want := `{"claims":{"exp":1709210096,"roles":["a","c"],"sub":"ops"},"day":"Thursday","expired":true,"hours":[13,34,56],"known":{"a":[1,true,null],"path":"svc:a"},` +
		`"message":"ops asks for .svc.a.b, part 3","most":10,"parts":["svc","a","b"],"prefixed":true,"roles":["a"],"since":789000000}`
	if len(r.Faults) > 0 || !r.Defined || string(r.Out.AppendJSON(nil, 0)) != want {
		t.Fatalf("faults %v\ngot  %s\nwant %s", r.Faults, r.Out.AppendJSON(nil, 0), want)
	}
	if a := testing.AllocsPerRun(200, func() { e.Value(q, doc, true, b, r) }); a != 0 && !underRace {
		t.Errorf("%v allocations", a)
	}
}
