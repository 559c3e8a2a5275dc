package native

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"

	"thymus/pdp"
)

// bridge is what the builtins of OPA want to know of an evaluation. It is made when the first of them is called: the
// clock, the seed and the caches are one evaluation's.
type bridge struct {
	ctx   topdown.BuiltinContext
	ready bool
	done  func() // ends the context
	now   int64  // the evaluation's time, once somebody has asked
	out   []val
}

func (b *bridge) reset() {
	if b.done != nil {
		b.done()
	}
	clear(b.out)
	*b = bridge{out: b.out[:0]}
}

// clock is the time of the evaluation, in Unix nanoseconds: the same for all who ask.
func (b *bridge) clock() int64 {
	if b.now == 0 {
		b.now = time.Now().UnixNano()
	}
	return b.now
}

// budgetCancel lets OPA's builtins see the deadline.
type budgetCancel struct{ b *pdp.Budget }

func (c budgetCancel) Cancel()         {}
func (c budgetCancel) Cancelled() bool { return c.b.Stopped() }

func (m *machine) context() *topdown.BuiltinContext {
	b := &m.bridge
	if !b.ready {
		now := strconv.FormatInt(b.clock(), 10)
		ctx := context.Background()
		if m.prog.context != nil {
			ctx, b.done = m.prog.context(m.budget)
		}
		b.ctx = topdown.BuiltinContext{
			Context:                     ctx,
			Metrics:                     metrics.NoOp(),
			Seed:                        rand.Reader,
			Time:                        ast.NumberTerm(json.Number(now)),
			Cancel:                      budgetCancel{m.budget},
			Cache:                       builtins.Cache{},
			Runtime:                     m.prog.runtime,
			Capabilities:                m.prog.capabilities,
			InterQueryBuiltinValueCache: m.prog.values,
			InterQueryBuiltinCache:      m.prog.queries,
		}
		b.ready = true
	}
	return &b.ctx
}

// bridged calls a builtin of OPA with converted values. A relation's results come as an array.
func bridged(decl *ast.Builtin, f topdown.BuiltinFunc) caller {
	void := decl.Decl.Result() == nil
	return func(m *machine, at int) val {
		terms := m.toTerms(m.args[at:])
		m.args = m.args[:at]
		b := &m.bridge
		from := len(b.out)
		called := false
		err := f(*m.context(), terms, func(t *ast.Term) error {
			called = true
			if void {
				return nil
			}
			v, err := m.fromAST(t.Value)
			if err != nil {
				return topdown.Halt{Err: err}
			}
			b.out = append(b.out, v)
			return nil
		})
		out := b.out[from:]
		defer func() { b.out = b.out[:from] }()
		if err != nil {
			return m.builtinError(err)
		}
		if m.tick() { // a builtin may take its time
			return val{}
		}
		switch {
		case decl.Relation:
			n := m.arena.node()
			n.e = append(n.e, out...)
			return nodeVal(array, n)
		case void && called:
			return boolVal(true)
		case len(out) > 0:
			return out[0]
		}
		return val{}
	}
}

// builtinError is undefined, or with strict errors a fault. What a builtin reports as fatal is a fault in any case.
func (m *machine) builtinError(err error) val {
	var h topdown.Halt
	if errors.As(err, &h) {
		f := &fault{code: pdp.FaultInternal, msg: h.Err.Error(), cause: h.Err}
		if topdown.IsCancel(h.Err) {
			f.code, f.msg = pdp.FaultDeadline, "the deadline passed"
		}
		m.fail(f)
		return val{}
	}
	if m.strict {
		m.fail(builtinFault(err))
	}
	return val{}
}
