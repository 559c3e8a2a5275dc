package rules

import (
	"context"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/cache"

	"thymus/pdp"
)

// evaluator is topdown behind the pdp seam. All fields are fixed once the set is loaded; the caches of compiled regular
// expressions and globs are OPA's own, safe for concurrent use and bounded.
type evaluator struct {
	compiler *ast.Compiler
	store    *fixedStore
	policies []pdp.Policy
	merge    *merge
	rowOf    []int32          // row of Snapshot.Rules to row of Snapshot.Policies
	policyIn map[string]int32 // module name to row of Snapshot.Policies
	lines    map[string][]int // module name of a generated module to the lines of its source
	guards   []guard
	reads    inputReads

	merged   ast.Body   // m
	dodged   ast.Body   // o
	alone    []setQuery // the sets that m lacks
	all      []setQuery // every set, one by one
	prepared map[string]*query
	names    map[string]*ast.Term
	values   cache.InterQueryValueCache
	metrics  metrics.Metrics
}

// setQuery asks for one effect set by itself.
type setQuery struct {
	key  setKey
	body ast.Body
}

// query is what Query prepares.
type query struct {
	body ast.Body
	root bool // the whole of data, from which the generated package is taken
}

// answer is the variable that every query binds.
var answer = ast.VarTerm("x")

func ask(ref ast.Ref) ast.Body {
	e := ast.Equality.Expr(answer, ast.NewTerm(ref))
	e.Location = ast.NewLocation(nil, "", 1, 1)
	return ast.NewBody(e)
}

func newEvaluator(c *ast.Compiler, data ast.Value, m *merge, policies []pdp.Policy, files []*regoFile) *evaluator {
	bound()
	root := ast.StringTerm(generatedRoot)
	ev := &evaluator{
		compiler: c, store: &fixedStore{root: data}, policies: policies, merge: m,
		policyIn: map[string]int32{}, prepared: map[string]*query{},
		merged:  ask(ast.Ref{ast.DefaultRootDocument, root, ast.StringTerm("m")}),
		dodged:  ask(ast.Ref{ast.DefaultRootDocument, root, ast.StringTerm("o")}),
		values:  cache.NewInterQueryValueCache(context.Background(), nil),
		metrics: metrics.NoOp(),
		names:   internNames(),
	}
	for i := range m.rows {
		ev.rowOf = append(ev.rowOf, m.policies[m.rows[i].Policy])
	}
	sets := map[setKey]ast.Ref{}
	for _, f := range files {
		ev.prepare(f.module.Package.Path)
		for _, r := range f.module.Rules {
			ev.prepare(append(slices.Clone(f.module.Package.Path), r.Head.Ref().GroundPrefix()...))
		}
		if f.policy != "" {
			ev.policyIn[f.name] = m.policies[f.policy]
		}
	}
	effectRules(files, func(f *regoFile, _ *ast.Rule, e pdp.Effect) {
		sets[setKey{m.policies[f.policy], e}] = append(slices.Clone(f.module.Package.Path), ast.StringTerm(e.String()))
	})
	for key, ref := range sets {
		ev.all = append(ev.all, setQuery{key, ask(ref)})
	}
	slices.SortFunc(ev.all, func(a, b setQuery) int {
		if a.key.policy != b.key.policy {
			return int(a.key.policy - b.key.policy)
		}
		return int(a.key.effect) - int(b.key.effect)
	})
	for _, s := range ev.all {
		if m.alone[s.key] {
			ev.alone = append(ev.alone, s)
		}
	}
	return ev
}

// prepare remembers the question for a package or a rule, and for everything above it.
func (ev *evaluator) prepare(ref ast.Ref) {
	path := make([]string, 0, len(ref))
	for _, t := range ref[1:] {
		switch v := t.Value.(type) {
		case ast.String:
			path = append(path, string(v))
		case ast.Var:
			path = append(path, string(v))
		default:
			return
		}
		key := queryKey(path)
		if ev.prepared[key] == nil {
			ev.prepared[key] = makeQuery(path)
		}
	}
}

func queryKey(path []string) string { return strings.Join(path, "\x00") }

// call is one evaluation: what topdown asks of it is in its methods.
type call struct {
	budget *pdp.Budget
	errs   []topdown.Error
}

// Cancel does nothing: only the budget stops a call.
func (c *call) Cancel() {}

// Cancelled says whether the budget is spent.
func (c *call) Cancelled() bool { return c.budget.Stopped() }

// errPanic stands for a panic of OPA's: an evaluation that met one is a fault like any other.
var errPanic = &topdown.Error{Code: topdown.InternalErr}

// run evaluates one query. It returns its one answer, nil where that is undefined.
func (ev *evaluator) run(body ast.Body, input *ast.Term, c *call) (out *ast.Term, err error) {
	defer func() {
		if recover() != nil {
			out, err = nil, errPanic
		}
	}()
	ctx, done := withBudget(c.budget)
	defer done()
	q := topdown.NewQuery(body).WithCompiler(ev.compiler).WithStore(ev.store).WithTransaction(fixedTxn{}).WithInput(input).
		WithCancel(c).WithBuiltinErrorList(&c.errs).WithInterQueryBuiltinValueCache(ev.values).WithMetrics(ev.metrics)
	err = q.Iter(ctx, func(r topdown.QueryResult) error {
		out = r[answer.Value.(ast.Var)]
		return nil
	})
	return out, err
}
