package rules

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// guardedBuiltins reach out of the process or tell what it is; a policy may call them only if the operator says so.
var guardedBuiltins = []string{ast.HTTPSend.Name, ast.NetLookupIPAddr.Name, ast.OPARuntime.Name}

// capabilities are what policies may use: this OPA without the guarded builtins that are not allowed. What is not among
// them does not exist for the compiler, whatever way a policy takes to name it.
func capabilities(allowed []string) *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(slices.Clone(c.Builtins), func(b *ast.Builtin) bool {
		return slices.Contains(guardedBuiltins, b.Name) && !slices.Contains(allowed, b.Name)
	})
	return c
}

// checkAllowed refuses names in policies.allow_builtins that need no permission or do not exist.
func checkAllowed(allowed []string, problems *Problems) {
	for _, name := range allowed {
		if !slices.Contains(guardedBuiltins, name) {
			problems.add(Problem{Field: "policies.allow_builtins", Nearest: nearest(name, guardedBuiltins),
				Detail: "expected some of " + strings.Join(guardedBuiltins, ", ") + ", found " + quote(name)})
		}
	}
}

// checkBuiltins refuses guarded builtins by the place where a module names them.
func checkBuiltins(files []*regoFile, allowed []string, problems *Problems) {
	refused := map[string]bool{}
	for _, name := range guardedBuiltins {
		refused[name] = !slices.Contains(allowed, name)
	}
	for _, f := range files {
		ast.WalkRefs(f.module, func(ref ast.Ref) bool {
			if len(ref) < 2 || ref[0].Location == nil {
				return false
			}
			if v, ok := ref[0].Value.(ast.Var); !ok || v != "http" && v != "net" && v != "opa" {
				return false
			}
			if name := ref.String(); refused[name] {
				problems.add(Problem{File: f.name, Line: ref[0].Location.Row, Column: ref[0].Location.Col, Policy: policyID(f.module.Package),
					Detail: name + " is refused unless policies.allow_builtins lists it"})
			}
			return false
		})
	}
}
