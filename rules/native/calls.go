package native

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// callTable remembers what functions answered in one evaluation, so that functions that call functions cost what topdown
// takes for them, and not a power of it. Entries of evaluations past count as free.
type callTable struct {
	slots []callEntry // open addressing, a power of two long
	used  int         // of this evaluation
	args  []val       // of all entries
}

type callEntry struct {
	gen  uint64
	hash uint64
	g    *group
	at   int32 // arguments: args[at : at+g.arity]
	v    val
}

const firstCalls = 64

// recall is the answer to a call made before in this scope; where there is none, hash is what remember wants.
func (m *machine) recall(g *group, args []val) (v val, hash uint64, ok bool) {
	hash = mix(uint64(g.id) + m.gen<<20)
	for _, a := range args {
		hash = mix(hash*31 + m.hash(a))
	}
	t := &m.calls
	if len(t.slots) == 0 {
		return val{}, hash, false
	}
	mask := uint64(len(t.slots) - 1)
probe:
	for i := hash & mask; ; i = (i + 1) & mask {
		e := &t.slots[i]
		if e.gen < m.turn {
			return val{}, hash, false
		}
		if e.hash != hash || e.gen != m.gen || e.g != g {
			continue
		}
		for k, a := range args {
			if !m.equal(t.args[int(e.at)+k], a) {
				continue probe
			}
		}
		return e.v, hash, true
	}
}

func (m *machine) remember(g *group, hash uint64, args []val, v val) {
	t := &m.calls
	if 2*(t.used+1) > len(t.slots) {
		m.growCalls()
	}
	e := callEntry{gen: m.gen, hash: hash, g: g, at: int32(len(t.args)), v: v}
	t.args = append(t.args, args...)
	t.put(e, m.turn)
}

func (t *callTable) put(e callEntry, turn uint64) {
	mask := uint64(len(t.slots) - 1)
	i := e.hash & mask
	for t.slots[i].gen >= turn {
		i = (i + 1) & mask
	}
	t.slots[i] = e
	t.used++
}

func (m *machine) growCalls() {
	t := &m.calls
	old := t.slots
	t.slots, t.used = make([]callEntry, max(firstCalls, 2*len(old))), 0
	for i := range old {
		if old[i].gen >= m.turn {
			t.put(old[i], m.turn)
		}
	}
}

// remembered is a call of a builtin that costs more than finding what it answered to equal arguments.
func remembered(call caller, arity int) caller {
	key := &group{id: -1} // beside those of functions
	return func(m *machine, at int) val {
		v, hash, ok := m.recall(key, m.args[at:])
		if ok {
			m.args = m.args[:at]
			return v
		}
		v = call(m, at)
		if m.err == nil && v.kind != undefined {
			m.remember(key, hash, m.args[at:at+arity], v) // taken off the stack, and still there
		}
		return v
	}
}

// keepCalls bounds what a pooled machine keeps.
const keepCalls = 1 << 12

func (t *callTable) reset() {
	clear(t.args)
	t.args, t.used = t.args[:0], 0
	if len(t.slots) > keepCalls {
		*t = callTable{}
	}
}

// costly says whether a function is worth remembering: its bodies enumerate, collect, or evaluate other rules.
func (c *compiler) costly(rules []*ast.Rule) bool {
	yes := false
	for _, r := range rules {
		for ; r != nil; r = r.Else {
			vis := ast.NewGenericVisitor(func(x any) bool {
				switch x := x.(type) {
				case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension, *ast.Every:
					yes = true
				case ast.Ref:
					if c.virtual(x) {
						yes = true
					}
					for _, t := range x[1:] {
						if _, ok := t.Value.(ast.Var); ok {
							yes = true
						}
					}
				}
				return yes
			})
			vis.Walk(r.Body)
		}
	}
	return yes
}
