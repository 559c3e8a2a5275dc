package rules

import (
	"errors"
	"regexp/syntax"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// topdown asks for cancellation between expressions and in some builtins, but a few builtins can spend all memory, or
// minutes, in one call whose operands came from a request. Those are bounded here by what a call would cost, estimated
// before it begins: beyond the bound it is an error of the builtin, which denies, or is undefined where OPA's own
// semantics hold. No policy that OPA would have answered within a deadline comes near the bounds.
const (
	maxText  = 64 << 20 // bytes a builtin may make
	maxSteps = 20 << 20 // steps a builtin may take without asking for cancellation: a fraction of a second
	maxShift = 1 << 16  // bits
	maxPaths = 100_000  // of graph.reachable_paths
	maxParts = 100_000  // pieces or places that a builtin may make a list of
)

var errBound = errors.New("would cost more than one call may")

// bound puts the bounds around OPA's builtins, once. OPA keeps its builtins in one table for the process; rules is its
// only importer, and every evaluator is made behind this call.
var bound = sync.OnceFunc(func() {
	for name, cost := range map[string]func([]*ast.Term) bool{
		ast.BitsShiftLeft.Name:              shiftFits,
		ast.Concat.Name:                     concatFits,
		ast.Sprintf.Name:                    sprintfFits,
		ast.Replace.Name:                    replaceFits,
		ast.RegexReplace.Name:               regexReplaceFits,
		ast.RegexMatch.Name:                 func(o []*ast.Term) bool { return regexFits(o[0], o[1]) },
		ast.RegexFind.Name:                  func(o []*ast.Term) bool { return partsFit(o[0], o[1]) },
		ast.RegexFindAllStringSubmatch.Name: func(o []*ast.Term) bool { return partsFit(o[0], o[1]) },
		ast.RegexSplit.Name:                 func(o []*ast.Term) bool { return partsFit(o[0], o[1]) },
		ast.IndexOfN.Name:                   func(o []*ast.Term) bool { return strings.Count(text(o[0]), text(o[1])) <= maxParts },
		ast.Split.Name:                      func(o []*ast.Term) bool { return strings.Count(text(o[0]), text(o[1])) <= maxParts },
		ast.JSONPatch.Name:                  patchFits,
		ast.ReachablePathsBuiltin.Name:      pathsFit,
	} {
		f := topdown.GetBuiltin(name)
		topdown.RegisterBuiltinFunc(name, func(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
			if !cost(operands) {
				return errBound
			}
			return f(bctx, operands, iter)
		})
	}
})

func text(t *ast.Term) string { s, _ := t.Value.(ast.String); return string(s) }

func shiftFits(o []*ast.Term) bool {
	n, ok := o[1].Value.(ast.Number)
	if !ok {
		return true // an error of the builtin's own
	}
	i, ok := n.Int()
	return !ok || i <= maxShift
}

// size is about how long a value is as text, up to the given limit.
func size(v ast.Value, limit int) int {
	switch v := v.(type) {
	case ast.String:
		return len(v)
	case ast.Number:
		return len(v)
	case *ast.Array:
		n := 2
		for i := 0; i < v.Len() && n < limit; i++ {
			n += 2 + size(v.Elem(i).Value, limit-n)
		}
		return n
	case ast.Set:
		return size(ast.NewArray(v.Slice()...), limit)
	case ast.Object:
		n := 2
		_ = v.Iter(func(k, val *ast.Term) error {
			if n += 4 + size(k.Value, limit-n) + size(val.Value, limit-n); n >= limit {
				return errBound
			}
			return nil
		})
		return n
	}
	return 5
}

func concatFits(o []*ast.Term) bool {
	n := 0
	switch l := o[1].Value.(type) {
	case *ast.Array:
		n = l.Len()
	case ast.Set:
		n = l.Len()
	}
	return n*len(text(o[0])) <= maxText && size(o[1].Value, maxText) < maxText
}

// sprintfFits assumes that every verb prints the largest argument. A width, of four digits or by an argument, is taken
// for the largest that there is.
func sprintfFits(o []*ast.Term) bool {
	args, ok := o[1].Value.(*ast.Array)
	if !ok {
		return true
	}
	largest := 0
	args.Foreach(func(t *ast.Term) { largest = max(largest, size(t.Value, maxText)) })
	format, verbs, run := text(o[0]), 0, 0
	for i := range len(format) {
		switch c := format[i]; {
		case c == '%':
			verbs++
			run = 0
		case c == '*' && verbs > 0:
			largest = max(largest, 1_000_000)
		case c >= '0' && c <= '9' && verbs > 0:
			if run++; run == 4 {
				largest = max(largest, 1_000_000)
			}
		default:
			run = 0
		}
	}
	return len(format)+verbs*largest <= maxText
}

func replaceFits(o []*ast.Term) bool {
	s, old, with := text(o[0]), text(o[1]), text(o[2])
	if len(s)*len(with) <= maxText {
		return true
	}
	return strings.Count(s, old)*len(with)+len(s) <= maxText
}

func regexReplaceFits(o []*ast.Term) bool {
	return len(text(o[0]))*len(text(o[2])) <= 16*maxText && regexFits(o[1], o[0])
}

// regexFits bounds the product of text and program, which is RE2's worst case. Short texts are not worth the question.
func regexFits(pattern, subject *ast.Term) bool {
	n := len(text(subject))
	if n < 4<<10 {
		return true
	}
	re, err := syntax.Parse(text(pattern), syntax.Perl)
	if err != nil {
		return true
	}
	prog, err := syntax.Compile(re.Simplify())
	return err != nil || n*len(prog.Inst) <= maxSteps
}

// partsFit assumes that every character is a match.
func partsFit(pattern, subject *ast.Term) bool {
	return len(text(subject)) <= maxParts && regexFits(pattern, subject)
}

func patchFits(o []*ast.Term) bool {
	ops, ok := o[1].Value.(*ast.Array)
	return !ok || ops.Len() < 16 || ops.Len()*size(o[0].Value, 1<<24) <= 16*maxSteps
}

// pathsFit counts the steps that finding all paths takes, up to the bound: their number is exponential in the graph.
func pathsFit(o []*ast.Term) bool {
	graph, ok := o[0].Value.(ast.Object)
	if !ok {
		return true
	}
	left := maxPaths
	reached := map[string]bool{}
	var walk func(node *ast.Term)
	walk = func(node *ast.Term) {
		key := node.String()
		if left--; left < 0 || reached[key] {
			return
		}
		edges := graph.Get(node)
		if edges == nil {
			return
		}
		reached[key] = true
		eachElement(edges.Value, walk)
		reached[key] = false
	}
	eachElement(o[1].Value, walk)
	return left >= 0
}

func eachElement(v ast.Value, f func(*ast.Term)) {
	switch v := v.(type) {
	case *ast.Array:
		v.Foreach(f)
	case ast.Set:
		v.Foreach(f)
	}
}
