package native

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
)

// leave is the body of a merged rule that could not be compiled: where its tests hold, topdown must answer.
func leave(err error) step {
	return func(f *frame) ctl {
		return f.m.fail(&fault{code: pdp.FaultInternal, msg: err.Error(), rerun: true})
	}
}

// decision is the last step of a merged rule. The number of a row is noted and reported at once; whatever else the head
// makes is collected, because a set has equal elements once.
func (c *compiler) decision(s *vars, h *ast.Head, once bool) (step, error) {
	result := more
	if once && ast.IsConstant(h.Key.Value) {
		result = enough
	}
	if n, ok := h.Key.Value.(ast.Number); ok {
		row := c.rowOf(h)
		if row < 0 { // say of a rule that never holds
			return leave(unable(h.Location, "row %v of %d", n, len(c.prog.static))), nil
		}
		return func(f *frame) ctl {
			f.found = true
			f.m.row(row)
			return result
		}, nil
	}
	key, err := s.term(h.Key)
	if err != nil {
		return nil, err
	}
	return func(f *frame) ctl {
		v := key(f)
		if v.kind == undefined {
			return f.m.failed()
		}
		if v.kind != array || v.size() != 3 {
			return f.m.fail(&fault{code: pdp.FaultShape, msg: "an element of a merged set is no row and no array of three"})
		}
		f.found = true
		if f.m.made.kind == undefined {
			f.m.made = nodeVal(set, f.m.arena.node())
		}
		f.m.made.node().add(f.m, v) // an array of three: see Set.Merged
		return result
	}, nil
}

// rowOf is the row that a head names; -1 where it names none that there is.
func (c *compiler) rowOf(h *ast.Head) int {
	if n, ok := h.Key.Value.(ast.Number); ok {
		if row, ok := n.Int(); ok && row >= 0 && row < len(c.prog.static) {
			return row
		}
	}
	return -1
}

// effects is one set that Match asks.
type effects struct {
	group *group
	effectKey
	merged bool
	number int // of Options.Sets
	when   func(*pdp.Doc) bool
}

type effectKey struct {
	policy int32
	effect pdp.Effect
}

// sets finds the groups that Match asks, and what of theirs is constant.
func (c *compiler) sets(o Options) error {
	for i, s := range o.Sets {
		g, err := c.find(s.Ref)
		if err != nil {
			return err
		}
		if g == nil {
			continue // no rule, no effect
		}
		if s.Merged {
			if g.shape != partial {
				return fmt.Errorf("%v is no set", s.Ref)
			}
			g.shape = decisions
		}
		c.prog.sets = append(c.prog.sets, effects{group: g, effectKey: effectKey{s.Policy, s.Effect}, merged: s.Merged, number: i, when: s.When})
	}
	c.prog.constants = map[effectKey]*node{}
	for _, k := range o.Constants {
		v, err := c.m.constant(k.Value)
		if err != nil {
			return err
		}
		key := effectKey{k.Policy, k.Effect}
		n := c.prog.constants[key]
		if n == nil {
			n = &node{}
			c.prog.constants[key] = n
		}
		n.put(c.m, v, intVal(int64(k.Row)))
	}
	for _, n := range c.prog.constants {
		n.freeze(c.m, object)
	}
	return nil
}

func (c *compiler) find(ref ast.Ref) (*group, error) {
	t := c.prog.root
	for _, k := range ref[1:] {
		v, err := c.m.constant(k.Value)
		if err != nil {
			return nil, err
		}
		if t = t.child(c.m, v); t == nil {
			return nil, nil
		}
	}
	return t.group, nil
}

// decide asks one set.
func (m *machine) decide(s *effects) {
	if !s.merged {
		v := m.document(s.group)
		if v.kind != set {
			return
		}
		for _, e := range v.node().e {
			m.element(s.effectKey, e)
		}
		return
	}
	regs, sp := m.regs, m.sp
	m.merged(s.group, m.push(s.group.regs))
	m.release(regs, sp)
	if m.err != nil || m.made.kind == undefined {
		return
	}
	for _, e := range m.made.node().e {
		parts := m.lower(e).e
		m.element(effectKey{int32(parts[0].n), pdp.Effect(parts[1].n)}, parts[2])
	}
	m.made = val{}
}

// element reports one value of an effect set. It accepts only what is beyond doubt, and leaves the judgement of anything
// else, and its message, to topdown.
func (m *machine) element(key effectKey, v val) {
	if n := m.prog.constants[key]; n != nil {
		if i := n.find(m, object, v); i >= 0 {
			m.row(int(n.e[i+1].n))
			return
		}
	}
	x := pdp.Match{Rule: -1, Policy: m.prog.policy(key.policy), Effect: key.effect}
	ok := v.kind == text && v.n > 0
	if v.kind == text {
		x.ID = m.textSpan(v)
	} else if v.kind == object {
		ok = m.members(&x, m.lower(v))
	}
	if !ok {
		m.fail(&fault{code: pdp.FaultShape, msg: "an element of an effect set is no rule"})
		return
	}
	m.result.Matches = append(m.result.Matches, x)
}

// members reads a rule object; those that rules do not have are the author's own.
func (m *machine) members(x *pdp.Match, n *node) bool {
	named := false
	for i := 0; i < len(n.e); i += 2 {
		k, y := n.e[i], n.e[i+1]
		if k.kind != text {
			continue
		}
		ok := true
		switch k.str() {
		case "rule":
			named = y.kind == text && y.n > 0
			ok = named
			x.ID = m.textSpan(y)
		case "name":
			ok = y.kind == text
			x.Name = m.textSpan(y)
		case "reason":
			ok = y.kind == text
			x.Reason = m.textSpan(y)
		case "priority":
			ok = y.isInt() // 1.0 and 1e3 are integers too, but rare enough to ask topdown
			x.Priority = y.n
		case "guardrail":
			ok = y.kind == boolean
			x.Guardrail = y.n == 1
		}
		if !ok {
			return false
		}
	}
	return named
}

func (m *machine) textSpan(v val) pdp.Span {
	if v.kind != text {
		return pdp.Span{}
	}
	return m.result.Out.AddText(v.str())
}

// row reports the match of a row, once an evaluation.
func (m *machine) row(row int) {
	if m.rows[row] != m.turn {
		m.rows[row] = m.turn
		m.result.Matches = append(m.result.Matches, m.prog.static[row])
	}
}
