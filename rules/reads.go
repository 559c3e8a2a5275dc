package rules

import "github.com/open-policy-agent/opa/v1/ast"

// inputReads is which members of the input the modules of a set can look at.
type inputReads struct {
	all   bool // the whole of it, or a member that is known only when it is evaluated
	names map[string]bool
}

// readsOf walks all compiled modules once, at load.
func readsOf(c *ast.Compiler) inputReads {
	r := inputReads{names: map[string]bool{}}
	for _, m := range c.Modules {
		ast.WalkRefs(m, func(ref ast.Ref) bool {
			if len(ref) == 0 || !ref[0].Equal(ast.InputRootDocument) {
				return false
			}
			if len(ref) > 1 {
				if name, ok := ref[1].Value.(ast.String); ok {
					r.names[string(name)] = true
					return false
				}
			}
			r.all = true
			return false
		})
	}
	return r
}

// ReadsInput says whether any policy of the set could look at the input's member called name.
func (ev *evaluator) ReadsInput(name string) bool { return ev.reads.all || ev.reads.names[name] }
