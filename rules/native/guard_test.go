package native_test

import (
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// TestErrorsThatOPAsIndexHides asks both engines about bodies with an error that topdown does not come to, because its
// index leaves the rule out. The engine must find that itself, instead of asking topdown.
func TestErrorsThatOPAsIndexHides(t *testing.T) {
	for name, c := range map[string]struct {
		body, input string
		error       bool // topdown comes to it
	}{
		"a number where a prefix is asked for":             {`startswith(input.a, "x")`, `{"a":1}`, false},
		"a list without the prefix":                        {`startswith(input.a, "x")`, `{"a":["y"]}`, false},
		"a list with the prefix":                           {`startswith(input.a, "x")`, `{"a":["xy"]}`, true},
		"an object with the prefix":                        {`startswith(input.a, "x")`, `{"a":{"k":"xy"}}`, true},
		"an error before an equality that fails":           {`contains(input.a, "x"); input.b == "read"`, `{"a":1,"b":"write"}`, false},
		"an error before one that holds":                   {`contains(input.a, "x"); input.b == "read"`, `{"a":1,"b":"read"}`, true},
		"an error before what is missing":                  {`contains(input.a, "x"); input.b == 1`, `{"a":1}`, false},
		"equal numbers of two spellings":                   {`contains(input.a, "x"); input.b == 1.0`, `{"a":1,"b":1}`, true},
		"two tests of one value":                           {`contains(input.a, "x"); input.b == "read"; startswith(input.b, "r")`, `{"a":1,"b":"rest"}`, true},
		"a name between value and test":                    {`x := input.b; contains(input.a, "x"); x == "read"`, `{"a":1,"b":"write"}`, false},
		"a root by another name":                           {`x := input; contains(x.a, "x"); x.b == "read"`, `{"a":1,"b":"write"}`, false},
		"a list of values beside it":                       {`contains(input.a, "x"); input.b == "read"; input.c in {"u", "v"}`, `{"a":1,"b":"write","c":"u"}`, false},
		"many prefixes, which hide the other tests":        {`contains(input.a, "x"); strings.any_prefix_match(input.c, ["u", "v"]); input.b == "read"`, `{"a":1,"b":"write","c":"ux"}`, true},
		"a test under a with, which the index cannot read": {`contains(input.a, "x"); input.b == "read" with input.b as "read"`, `{"a":1,"b":"write"}`, true},
		"a test that is negated":                           {`contains(input.a, "x"); not input.b == "write"`, `{"a":1,"b":"write"}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, head := range []string{"p if { BODY }", "p contains 1 if { BODY }", "p := f(1)\nf(_) := 1 if { BODY }", "p := 1 if { BODY } else := 2 if input.none"} {
				mod := "package t\n" + strings.Replace(head, "BODY", c.body, 1) + "\n"
				comp, err := ast.CompileModules(map[string]string{"t.rego": mod})
				if err != nil {
					t.Fatal(err)
				}
				var n tally
				compare(t, comp, mod, `{}`, []string{"data.t.p"}, []string{c.input}, &n)
				switch {
				case c.error && n.faults == 0 && !strings.Contains(name, "two tests") && !strings.Contains(name, "many prefixes"):
					t.Errorf("%s: topdown has no error: %+v", mod, n)
				case !c.error && n.faults+n.cautious > 0:
					t.Errorf("%s: %+v", mod, n)
				}
			}
		})
	}
}
