package native

import (
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
func (c *compiler) decision(s *ruleScope, h *ast.Head, once bool) (step, error) {
	result := more
	if once && ast.IsConstant(h.Key.Value) {
		result = enough
	}
	if n, ok := h.Key.Value.(ast.Number); ok {
		row, ok := n.Int()
		if !ok || row < 0 || row >= len(c.prog.static) {
			return nil, unable(h.Location, "row %v of %d", n, len(c.prog.static))
		}
		return func(f *frame) ctl {
			m := f.m
			f.found = true
			if m.rows[row] != m.turn {
				m.rows[row] = m.turn
				m.result.Matches = append(m.result.Matches, m.prog.static[row])
			}
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
		f.found = true
		if f.m.made.kind == undefined {
			f.m.made = nodeVal(set, f.m.arena.node())
		}
		f.m.made.node().add(f.m, v)
		return result
	}, nil
}

// decide turns the collected elements [policy, effect, value] into matches. It accepts only what is beyond doubt, and
// leaves the judgement of anything else, and its message, to topdown.
func (m *machine) decide() {
	if m.made.kind == undefined {
		return
	}
	for _, e := range m.made.node().e {
		if !m.decideOne(e) {
			m.fail(&fault{code: pdp.FaultShape, msg: "an element of an effect set is no rule", rerun: true})
			return
		}
	}
}

func (m *machine) decideOne(e val) bool {
	if e.kind != array || e.size() != 3 {
		return false
	}
	parts := m.lower(e).e
	if !parts[0].isInt() || parts[1].kind != text {
		return false
	}
	effect, ok := pdp.ParseEffect(parts[1].str())
	if !ok {
		return false
	}
	d := &m.result.Out
	x := pdp.Match{Rule: -1, Policy: int32(parts[0].n), Effect: effect}
	v := parts[2]
	if v.kind == text {
		x.ID = d.AddText(v.str())
		m.result.Matches = append(m.result.Matches, x)
		return v.n > 0
	}
	if v.kind != object {
		return false
	}
	n := m.lower(v)
	named := false
	for i := 0; i < len(n.e); i += 2 {
		k, y := n.e[i], n.e[i+1]
		if k.kind != text {
			return false
		}
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
			ok = y.isInt()
			x.Priority = y.n
		case "guardrail":
			ok = y.kind == boolean
			x.Guardrail = y.n == 1
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	m.result.Matches = append(m.result.Matches, x)
	return named
}

func (m *machine) textSpan(v val) pdp.Span {
	if v.kind != text {
		return pdp.Span{}
	}
	return m.result.Out.AddText(v.str())
}
