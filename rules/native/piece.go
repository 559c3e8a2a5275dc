package native

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
)

// Tables are what programs that share pieces have in common: interned texts, and the numbers of paths of the input. They
// only grow; whoever keeps them starts anew, pieces included, when most of what they hold is gone. One goroutine at a
// time may compile with them.
type Tables struct {
	m     machine
	paths map[string]int
	count int // numbers given to paths
}

// NewTables makes empty tables.
func NewTables() *Tables {
	return &Tables{m: machine{strings: map[string]string{}, arena: arena{alone: true}}, paths: map[string]int{}}
}

// Size is how many texts and paths the tables hold.
func (t *Tables) Size() int { return len(t.m.strings) + len(t.paths) }

// Loose is an effect rule that lies in no module: its row matches where its body holds. The body is as OPA's compiler
// leaves bodies, and looks at the input and at nothing below data.
type Loose struct {
	Set  int   // of Options.Sets, a merged one
	Row  int32 // of its piece, from 0
	Body ast.Body
}

// Piece is loose rules, compiled. It is immutable, and good for any Base that was made with the same tables.
type Piece struct {
	rules []looseRule
	regs  int
}

type looseRule struct {
	set   int
	row   int32
	body  step
	opens opening
}

// Piece compiles rules. An error names what cannot be compiled without OPA's compiler.
func (t *Tables) Piece(rules []Loose) (*Piece, error) {
	c := &compiler{m: &t.m, paths: t.paths, prog: &program{paths: t.count, root: &tnode{}}}
	defer func() { t.count = c.prog.paths }()
	p := &Piece{rules: make([]looseRule, 0, len(rules))}
	for i := range rules {
		r := &ast.Rule{Head: &ast.Head{}, Body: rules[i].Body}
		g := &group{shape: decisions}
		s := c.scope(g)
		s.uses = countUses(r)
		body, err := s.body(r.Body)
		if err != nil {
			return nil, err
		}
		found := foundAll
		if c.cannotFail(r) {
			found = foundOne
		}
		p.rules = append(p.rules, looseRule{rules[i].Set, rules[i].Row, body(found), c.opens(r)})
		p.regs = max(p.regs, s.top.n)
	}
	return p, nil
}

// foundOne is the last step of a loose rule no further solution of which could fail.
func foundOne(f *frame) ctl {
	f.found = true
	return enough
}

// foundAll is that of any other.
func foundAll(f *frame) ctl {
	f.found = true
	return more
}

// piecework is what a machine knows of loose rules that failed.
type piecework struct {
	looseOnly bool    // the base's rules are left out
	blamed    []int32 // policies of loose rules that met an error
	blamedFor *fault  // the first
}

// Base is a set of modules, compiled: what engines have in common that differ in loose rules, in the numbers of rows and
// in what they fall back to. It is immutable.
type Base struct {
	prog   *program
	tables *Tables
}

// NewBase compiles modules. o.Rows, the policies of o.Sets and of o.Constants are the base's own numbers.
func NewBase(o Options) (*Base, *Report, error) {
	c, rep, err := compile(o)
	if err != nil {
		return nil, nil, err
	}
	return &Base{c.prog, c.tables}, rep, nil
}

// Whole is what a Base becomes an Engine with.
type Whole struct {
	// Rows are the matches of all rows: those of the base first, in its order, then those of each piece.
	Rows []pdp.Match
	// Policies are the numbers that the base's policies have in the whole; nil: their own.
	Policies []int32
	Pieces   []*Piece
	// First is, for each piece, where its rows begin in Rows.
	First []int32
	// When decides, for each set, whether it can hold anything; nil is what the base's options say.
	When     []func(*pdp.Doc) bool
	Fallback pdp.Evaluator
}

// Engine makes an engine of the base and loose rules.
func (b *Base) Engine(w Whole) *Engine {
	p := *b.prog
	p.static, p.rows, p.policies, p.paths = w.Rows, len(w.Rows), w.Policies, b.tables.count
	p.sets = slices.Clone(p.sets)
	for i := range p.sets {
		s := &p.sets[i]
		if s.number < len(w.When) && w.When[s.number] != nil {
			s.when = w.When[s.number]
		}
		if s.merged {
			s.group = b.merge(s, &w)
		}
	}
	return newEngine(&p, w.Fallback)
}

// merge makes the group of a merged set with the loose rules that belong to it.
func (b *Base) merge(s *effects, w *Whole) *group {
	g := *s.group
	g.loose = len(g.rules)
	n := 0
	for _, p := range w.Pieces {
		for i := range p.rules {
			if p.rules[i].set == s.number {
				n++
			}
		}
	}
	rules, opens := make([]rule, 0, g.loose+n), make([]opening, 0, g.loose+n)
	rules, opens = append(rules, g.rules...), append(opens, g.opens...)
	g.rows = make([]int32, 0, n)
	for i, p := range w.Pieces {
		for j := range p.rules {
			if r := &p.rules[j]; r.set == s.number {
				rules, opens = append(rules, rule{body: r.body}), append(opens, r.opens)
				g.rows = append(g.rows, w.First[i]+r.row)
			}
		}
		g.regs = max(g.regs, p.regs)
	}
	g.rules, g.opens = rules, nil
	g.index = newDispatch(&b.tables.m, opens)
	return &g
}

// merged evaluates the rules of a merged set that can match. A loose rule that meets an error is nobody else's concern:
// its policy is blamed, and the others go on. looseOnly leaves the base's rules out.
func (m *machine) merged(g *group, f *frame) {
	if m.tick() {
		return
	}
	if g.unable != nil && !m.looseOnly {
		m.fail(&fault{code: pdp.FaultInternal, msg: g.unable.Error(), rerun: true})
		return
	}
	if g.index == nil {
		for i := range g.rules {
			if m.mergedRule(g, f, i, false) == halt {
				return
			}
		}
		return
	}
	at := len(m.cand)
	m.cand = g.index.find(f, m.cand)
	end := len(m.cand)
	inOrder(m.cand[at:end])
	for i := at; i < end; i++ {
		if m.mergedRule(g, f, int(m.cand[i]>>1), m.cand[i]&1 != 0) == halt {
			break
		}
	}
	m.cand = m.cand[:at]
}

// mergedRule evaluates rule i, unless it is known to hold.
func (m *machine) mergedRule(g *group, f *frame, i int, holds bool) ctl {
	if i < g.loose {
		r := &g.rules[i]
		switch {
		case m.looseOnly:
			return more
		case holds && r.row >= 0:
			m.row(r.row)
			return more
		}
		return f.try(r)
	}
	row := g.rows[i-g.loose]
	if holds {
		m.row(int(row))
		return more
	}
	f.found = false
	if g.rules[i].body(f) == halt && !m.blame(row) {
		return halt
	}
	if f.found {
		m.row(int(row))
	}
	return more
}

// blame notes that a loose rule failed, so that the fallback is asked about its policy. The deadline is no fault of its.
func (m *machine) blame(row int32) bool {
	if m.err == nil || m.err.code == pdp.FaultDeadline {
		return false
	}
	if m.blamedFor == nil {
		m.blamedFor = m.err
	}
	if p := m.prog.static[row].Policy; !slices.Contains(m.blamed, p) {
		m.blamed = append(m.blamed, p)
	}
	m.err, m.args = nil, m.args[:0]
	return true
}
