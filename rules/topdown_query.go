package rules

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
)

// Query implements pdp.Evaluator. It remembers nothing: what load did not prepare is made anew each time.
func (ev *evaluator) Query(path []string) pdp.Query {
	if q := ev.prepared[queryKey(path)]; q != nil {
		return q
	}
	return makeQuery(path)
}

// makeQuery reads path segments as OPA's server does: a decimal integer is a number, empty segments do not count.
func makeQuery(path []string) *query {
	ref := ast.Ref{ast.DefaultRootDocument}
	for _, s := range path {
		if s == "" {
			continue
		}
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			ref = append(ref, ast.NewTerm(ast.Number(strconv.FormatInt(i, 10))))
		} else {
			ref = append(ref, ast.StringTerm(s))
		}
	}
	if len(ref) > 1 && ref[1].Value.Compare(ast.String(generatedRoot)) == 0 {
		return &query{}
	}
	return &query{body: ask(ref), root: len(ref) == 1}
}

// Value implements pdp.Evaluator.
func (ev *evaluator) Value(q pdp.Query, in *pdp.Doc, strict bool, b *pdp.Budget, r *pdp.Result) {
	r.Reset(keepResult)
	qu, ok := q.(*query)
	if !ok || qu.body == nil {
		return
	}
	input, ok := ev.inputTerm(in)
	if !ok {
		r.AddFault(pdp.FaultInput, -1, msgExtreme)
		return
	}
	c := call{budget: b}
	out, err := ev.run(qu.body, input, &c)
	if err != nil || strict && len(c.errs) > 0 {
		if !strict {
			c.errs = nil
		}
		ev.faults(err, c.errs, nil, r)
		return
	}
	if b.Stopped() {
		r.AddFault(pdp.FaultDeadline, -1, msgDeadline)
		return
	}
	if out == nil {
		return
	}
	v := out.Value
	if qu.root {
		if v, err = withoutGenerated(v); err != nil {
			r.AddFault(pdp.FaultInternal, -1, "the evaluation failed")
			return
		}
	}
	if r.Defined = writeValue(&r.Out, pdp.Span{}, v); !r.Defined {
		r.Reset(keepResult)
		r.AddFault(pdp.FaultInternal, -1, "the value is no JSON")
	}
}

// withoutGenerated is the value of data without the generated package.
func withoutGenerated(v ast.Value) (ast.Value, error) {
	o, ok := v.(ast.Object)
	if !ok {
		return v, nil
	}
	return o.Map(func(k, v *ast.Term) (*ast.Term, *ast.Term, error) {
		if k.Value.Compare(ast.String(generatedRoot)) == 0 {
			return nil, nil, nil
		}
		return k, v, nil
	})
}

// defines says whether a rule, a package or data lies at the path.
func (ev *evaluator) defines(path []string) bool {
	if len(path) == 0 || path[0] == generatedRoot {
		return false
	}
	if ev.prepared[queryKey(path)] != nil {
		return true
	}
	_, err := ev.store.Read(context.Background(), fixedTxn{}, path)
	return err == nil
}

// documents lists the packages and rules that load prepared, as entrypoints name them.
func (ev *evaluator) documents() []string {
	var out []string
	for _, key := range sortedKeys(ev.prepared) {
		b := []byte(key)
		for i := range b {
			if b[i] == 0 {
				b[i] = '/'
			}
		}
		out = append(out, string(b))
	}
	return slices.Clip(out)
}

// warmFor bounds the first evaluation: a policy that runs away must not keep Load from returning.
const warmFor = time.Second

// warm evaluates once, so that the first request does not pay for what topdown makes at first use.
func (s *Set) warm() {
	var r pdp.Result
	var in pdp.Doc
	root := in.Open(pdp.Span{}, pdp.Object)
	in.End(root, 0)
	var b pdp.Budget
	b.Start(1)
	stop := time.AfterFunc(warmFor, func() { b.Expire(1) })
	defer stop.Stop()
	s.Snapshot.Eval.Match(&in, &b, &r)
	if s.Snapshot.Entrypoint != nil {
		s.Snapshot.Eval.Value(s.Snapshot.Entrypoint, &in, false, &b, &r)
	}
}
