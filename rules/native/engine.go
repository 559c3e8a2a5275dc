package native

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown/cache"

	"thymus/pdp"
)

// Options is what Compile needs.
type Options struct {
	// Compiler has compiled all modules without an error. Its rule tree is read, never written. Builtins are taken from
	// OPA's table as Compile finds it, bounds that someone put around them included.
	Compiler *ast.Compiler
	// Data is the base documents, an object; nil is none.
	Data ast.Value
	// Sets are what Match asks, in this order.
	Sets []Set
	// Rows is what each row of the snapshot's rules is as a match.
	Rows []pdp.Match
	// Constants are the elements of effect sets that are rows: an element computed by a rule that equals one of its own
	// set is that row.
	Constants []Constant
	// Hidden names a document at the root of data that no query may see: where the merged sets lie.
	Hidden string
	// Fallback answers what this engine cannot, and anything that ended in an error here. Nil: errors are reported as
	// they are. It is topdown over the same modules.
	Fallback pdp.Evaluator
	// Context makes the context of the builtins that wait for something outside; it ends with the budget, and its function
	// is called when the evaluation is over. Nil: they are not stopped.
	Context func(*pdp.Budget) (context.Context, func())
	// Runtime is what opa.runtime answers; nil is nothing.
	Runtime *ast.Term
	// Queries and Values are caches that builtins of OPA share between evaluations; nil is none.
	Queries cache.InterQueryCache
	Values  cache.InterQueryValueCache
	// Tables, where a Base and pieces are made apart; nil: new ones.
	Tables *Tables
}

// Parts is a Fallback that answers for a part of the policies.
type Parts interface {
	pdp.Evaluator
	// Base is Match without the policies that consist of loose rules.
	Base(in *pdp.Doc, b *pdp.Budget, r *pdp.Result)
	// Rest adds what Match finds for some policies of loose rules, by their numbers in matches.
	Rest(policies []int32, in *pdp.Doc, b *pdp.Budget, r *pdp.Result)
}

// Set is one set of effect rules.
type Set struct {
	Ref ast.Ref // where it lies, say data.policies.a.deny
	// Merged: nothing but Match reads the set, and its elements are numbers of Rows, or arrays of policy row, effect (its
	// number in pdp) and the rule's own value. It is not built: what it holds is reported as it is found.
	Merged bool
	// Policy and Effect are those of every element of a set that is not merged.
	Policy int32
	Effect pdp.Effect
	// When, if given, decides by the input whether the set can hold anything. It may be called by many goroutines.
	When func(*pdp.Doc) bool
}

// Constant is one element that is a row.
type Constant struct {
	Policy int32
	Effect pdp.Effect
	Value  ast.Value
	Row    int32
}

// Report says what Compile did.
type Report struct {
	Rules    int           // compiled, merged ones and those of `else` included
	Groups   int           // names that rules define
	Unable   []Unable      // what stays on topdown
	Analysis time.Duration // the tree and what `with` replaces
	Lowering time.Duration // bodies to closures, and dispatch
}

// Unable is one name, and with it everything that evaluates it, that stays on topdown.
type Unable struct {
	Name  string // say data.policies.a.allow
	Cause string // file:line and what could not be compiled
}

// Engine is a compiled set of modules: a pdp.Evaluator. It is safe for any number of goroutines.
type Engine struct {
	prog     *program
	fallback pdp.Evaluator
	prepared map[string]*query // by segments, each with a zero byte behind it
	pool     sync.Pool
	stats    counters
	aside    atomic.Bool
}

type counters struct{ fellBack, panicked atomic.Uint64 }

// Stats counts since Compile.
type Stats struct {
	FellBack uint64 // evaluations that topdown answered
	Panicked uint64 // of these, the ones that ended in a panic here
	Aside    bool   // StepAside was called
}

// StepAside leaves every evaluation from here on to the fallback. It cannot be undone: a new Compile makes a new engine.
func (e *Engine) StepAside() {
	if e.fallback != nil {
		e.aside.Store(true)
	}
}

// FallbackQuery is the fallback's question for one of this engine's.
func (e *Engine) FallbackQuery(q pdp.Query) pdp.Query {
	if x, ok := q.(*query); ok {
		return x.also
	}
	return nil
}

// Stats may be called at any time.
func (e *Engine) Stats() Stats {
	return Stats{FellBack: e.stats.fellBack.Load(), Panicked: e.stats.panicked.Load(), Aside: e.aside.Load()}
}

// Compile lowers everything the compiler's rule tree holds. What cannot be lowered is reported, and is no error.
func Compile(o Options) (*Engine, *Report, error) {
	b, rep, err := NewBase(o)
	if err != nil {
		return nil, nil, err
	}
	return b.Engine(Whole{Rows: o.Rows, Fallback: o.Fallback}), rep, nil
}

func newEngine(p *program, fallback pdp.Evaluator) *Engine {
	e := &Engine{prog: p, fallback: fallback, prepared: map[string]*query{}}
	e.pool.New = func() any { return newMachine(p) }
	e.prepare(p.root, nil)
	return e
}

func compile(o Options) (c *compiler, rep *Report, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("compile natively: %v", r)
		}
	}()
	if o.Compiler == nil || o.Compiler.RuleTree == nil {
		return nil, nil, errors.New("compile natively: no compiled modules")
	}
	if o.Tables == nil {
		o.Tables = NewTables()
	}
	start := time.Now()
	c = &compiler{
		tables: o.Tables,
		opa:    o.Compiler, m: &o.Tables.m, rules: map[*group][]*ast.Rule{},
		paths: o.Tables.paths, mocked: map[string]bool{},
		prog: &program{
			paths:  o.Tables.count,
			static: o.Rows, rows: len(o.Rows), runtime: o.Runtime, capabilities: o.Compiler.Capabilities(),
			values: o.Values, queries: o.Queries, hidden: o.Hidden, context: o.Context,
		},
	}
	defer func() { o.Tables.count = max(o.Tables.count, c.prog.paths) }() // whatever became of the rest
	data := o.Data
	if data == nil {
		data = ast.NewObject()
	}
	if c.prog.data, err = c.m.constant(data); err != nil {
		return nil, nil, fmt.Errorf("base documents: %w", err)
	}
	if err = c.collect(); err != nil {
		return nil, nil, err
	}
	c.prog.root = &tnode{byStr: map[string]*tnode{}}
	if t := o.Compiler.RuleTree.Child(ast.DefaultRootDocument.Value); t != nil {
		if c.prog.root, err = c.tree(t); err != nil {
			return nil, nil, err
		}
	}
	if err = c.sets(o); err != nil {
		return nil, nil, err
	}
	if t := c.prog.root.byStr[o.Hidden]; t != nil {
		t.hide = true
	}
	rep = &Report{Groups: len(c.prog.all), Analysis: time.Since(start)}
	start = time.Now()
	c.bodies()
	c.prog.groups = len(c.prog.all)
	c.spread()
	for _, g := range c.prog.all {
		rep.Rules += len(g.rules)
		if g.unable != nil {
			rep.Unable = append(rep.Unable, Unable{Name: g.name, Cause: g.unable.Error()})
		}
	}
	rep.Lowering = time.Since(start)
	return c, rep, nil
}

// resultKeep is up to how much memory a result keeps from one evaluation to the next.
const resultKeep = 1 << 20

// Match implements pdp.Evaluator.
func (e *Engine) Match(in *pdp.Doc, b *pdp.Budget, r *pdp.Result) {
	if e.aside.Load() {
		e.fallback.Match(in, b, r)
		return
	}
	r.Reset(resultKeep)
	if w := e.match(in, b, r, false); w.fault != nil || w.blamed != nil {
		e.amend(w, in, b, r)
	}
}

// failure is what went wrong in an evaluation.
type failure struct {
	fault    *fault // of the base, or of everything
	panicked bool
	blamed   []int32 // policies of loose rules
	cause    *fault  // theirs
}

func (e *Engine) match(in *pdp.Doc, b *pdp.Budget, r *pdp.Result, looseOnly bool) (w failure) {
	m := e.pool.Get().(*machine)
	defer e.leave(m, &w)
	m.start(in, true, b)
	if m.err != nil {
		w.fault = m.err
		return w
	}
	m.result, m.looseOnly = r, looseOnly
	for i := range e.prog.sets {
		s := &e.prog.sets[i]
		if looseOnly && !s.merged || s.when != nil && !s.when(in) {
			continue
		}
		m.decide(s)
		if m.err != nil {
			break
		}
	}
	m.tick()
	w.fault, w.blamed, w.cause = m.err, m.blamed, m.blamedFor
	return w
}

// leave ends an evaluation. A panic here is a fault of this engine: topdown answers, and the machine, in what state it
// may be, is not used again.
func (e *Engine) leave(m *machine, w *failure) {
	if p := recover(); p != nil {
		e.stats.panicked.Add(1)
		m.bridge.reset()
		*w = failure{fault: &fault{code: pdp.FaultInternal, msg: fmt.Sprintf("panic: %v", p), rerun: true}, panicked: true}
		return
	}
	m.piecework = piecework{}
	m.finish()
	e.pool.Put(m)
}

// amend lets topdown answer for what went wrong: of a base, whose rules may depend on each other, for all of it; of loose
// rules for their policies. What is known of the others stays.
func (e *Engine) amend(w failure, in *pdp.Doc, b *pdp.Budget, r *pdp.Result) {
	f := cmp.Or(w.fault, w.cause)
	parts, ok := e.fallback.(Parts)
	if !ok || w.panicked || f.code == pdp.FaultDeadline || f.code == pdp.FaultInput {
		e.answer(f, r, func() { e.fallback.Match(in, b, r) })
		return
	}
	if w.fault != nil {
		parts.Base(in, b, r)
		if w = e.match(in, b, r, true); w.fault != nil {
			e.answer(w.fault, r, func() { parts.Match(in, b, r) })
			return
		}
	}
	e.stats.fellBack.Add(1)
	if w.blamed != nil {
		r.Matches = slices.DeleteFunc(r.Matches, func(m pdp.Match) bool { return slices.Contains(w.blamed, m.Policy) })
		parts.Rest(w.blamed, in, b, r)
	}
}

// answer reports a fault, or lets topdown answer: its verdict counts. A deadline that has passed has passed there too, and
// an input that cannot be read here cannot be read there: topdown, which may have to be compiled first, is not asked.
func (e *Engine) answer(f *fault, r *pdp.Result, again func()) {
	if e.fallback != nil && f.code != pdp.FaultDeadline && f.code != pdp.FaultInput {
		e.stats.fellBack.Add(1)
		again()
		return
	}
	r.Reset(resultKeep)
	r.AddFault(f.code, -1, f.msg)
}
