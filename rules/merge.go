package rules

import (
	"slices"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
)

// The merge copies every effect rule of every policy into one generated set, data["thymus.match"].m, so that the cost of
// asking does not grow with the number of policies. An element of m is the number of a row of the snapshot where the
// rule's head is a constant, else [row of the policy, effect, value].
//
// It happens behind the resolution of references, when a rule no longer depends on its module's package and imports, and
// before everything else, so that the copies are compiled like any rule.
//
// Two things keep m's answers the same as the sets' own. A rule that topdown's index excludes is not evaluated, and so
// reports no error: the index must exclude from m what it would exclude from the rule's own set. It does so rule by
// rule, except where a level of its trie knows more than one value for a rule or maps values for others: rules of these
// shapes (see indexShifts) keep their whole set out of the merge, and it is asked by itself. And where an evaluation of m
// met an error, all sets are asked one by one, and what they say counts (see topdown.go).
//
// The rules of structured policies about odd fields go into a set of their own, o, which is asked only when Match has
// seen that a field is odd.
type merge struct {
	rows     []pdp.Rule
	elements map[setKey]*constants // constant elements of a set, to rows
	policies map[string]int32      // policy id to row of Snapshot.Policies
	alone    map[setKey]bool       // sets that stay out of m
	dodges   map[string]bool       // structured policies that have a rule about odd fields
}

// setKey names one effect set.
type setKey struct {
	policy int32
	effect pdp.Effect
}

// constants maps constant elements to rows. OPA's objects compare keys as sets do: 1 and 1.0 are one element.
type constants struct {
	rows map[int][]constant // by the value's hash
}

type constant struct {
	value ast.Value
	row   int32
}

func (cs *constants) find(v ast.Value) (int32, bool) {
	if cs == nil {
		return 0, false
	}
	for _, c := range cs.rows[v.Hash()] {
		if c.value.Compare(v) == 0 {
			return c.row, true
		}
	}
	return 0, false
}

func (cs *constants) put(v ast.Value, row int32) {
	if cs.rows == nil {
		cs.rows = map[int][]constant{}
	}
	cs.rows[v.Hash()] = append(cs.rows[v.Hash()], constant{v, row})
}

// effectRules calls f for each effect rule of each policy.
func effectRules(files []*regoFile, f func(*regoFile, *ast.Rule, pdp.Effect)) {
	for _, file := range files {
		if file.policy == "" {
			continue
		}
		for _, r := range file.module.Rules {
			if e := effectOf(r); e != pdp.None {
				f(file, r, e)
			}
		}
	}
}

// newMerge reads the constant heads of all policies, which are sorted by id, and numbers their rows.
func newMerge(files []*regoFile, policies []pdp.Policy) *merge {
	m := &merge{elements: map[setKey]*constants{}, policies: map[string]int32{}, alone: map[setKey]bool{}}
	for i := range policies {
		m.policies[policies[i].ID] = int32(i)
	}
	type pending struct {
		key   setKey
		value ast.Value
		row   pdp.Rule
	}
	var found []pending
	effectRules(files, func(f *regoFile, r *ast.Rule, e pdp.Effect) {
		key := setKey{m.policies[f.policy], e}
		v := r.Head.Key.Value
		if !ast.IsConstant(v) {
			return
		}
		el, wrong := readElement(v)
		if wrong != "" {
			return
		}
		u := m.elements[key]
		if u == nil {
			u = &constants{}
			m.elements[key] = u
		}
		if _, ok := u.find(v); !ok {
			u.put(v, int32(len(found)))
			found = append(found, pending{key, v, el.row(f.policy, e)})
		}
	})
	order := make([]int, len(found))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if c := pdp.CompareRules(found[a].row, found[b].row); c != 0 {
			return c
		}
		return found[a].value.Compare(found[b].value)
	})
	number := make([]int32, len(found))
	m.rows = make([]pdp.Rule, len(found))
	for i, at := range order {
		m.rows[i], number[at] = found[at].row, int32(i)
	}
	for _, u := range m.elements {
		for _, bucket := range u.rows {
			for i := range bucket {
				bucket[i].row = number[bucket[i].row]
			}
		}
	}
	effectRules(files, func(f *regoFile, r *ast.Rule, e pdp.Effect) {
		if indexShifts(r) {
			m.alone[setKey{m.policies[f.policy], e}] = true
		}
	})
	return m
}

// module is the empty generated module, which the stage fills.
func (m *merge) module() *ast.Module {
	loc := ast.NewLocation([]byte("package"), "", 1, 1)
	never := func(set string) *ast.Rule {
		return &ast.Rule{Location: loc, Head: &ast.Head{Name: ast.Var(set), Reference: ast.Ref{ast.VarTerm(set)}, Key: number(-1), Location: loc},
			Body: ast.NewBody(&ast.Expr{Terms: ast.NewTerm(ast.Boolean(false)), Location: loc})}
	}
	mod := &ast.Module{Package: &ast.Package{Path: ast.Ref{ast.DefaultRootDocument.Copy(), ast.StringTerm(generatedRoot)}, Location: loc}}
	mod.SetRegoVersion(ast.RegoV1)
	mod.Rules = []*ast.Rule{never("m"), never("o")}
	for _, r := range mod.Rules {
		r.Module = mod
	}
	return mod
}

// stage is the compiler stage that copies the rules. policyOf names the policy of a module by its name.
func (m *merge) stage(policyOf map[string]string) ast.CompilerStage {
	return func(c *ast.Compiler) *ast.Error {
		into := c.Modules[generatedRoot]
		for _, name := range sortedKeys(c.Modules) {
			policy, ok := policyOf[name]
			if !ok {
				continue
			}
			for _, r := range c.Modules[name].Rules {
				e := effectOf(r)
				if e == pdp.None {
					continue
				}
				key := setKey{m.policies[policy], e}
				if m.alone[key] {
					continue
				}
				cp := r.Copy()
				cp.Annotations = nil
				set := "m"
				if m.dodges[policy] && isDodge(r) {
					set = "o"
				}
				cp.Head = &ast.Head{Name: ast.Var(set), Reference: ast.Ref{ast.VarTerm(set)}, Location: r.Head.Location, Key: m.element(key, cp.Head.Key)}
				cp.Module = into
				into.Rules = append(into.Rules, cp)
			}
		}
		return nil
	}
}

// isDodge says whether a rule of a generated module is the one about odd fields: its head alone is no constant.
func isDodge(r *ast.Rule) bool { _, ok := r.Head.Key.Value.(ast.Var); return ok }

// number is a term of its own: the compiler writes to the terms it is given, so that OPA's interned ones, which all
// evaluations share, must not be among them.
func number(n int) *ast.Term { return ast.NewTerm(ast.Number(strconv.Itoa(n))) }

func (m *merge) element(key setKey, head *ast.Term) *ast.Term {
	if row, ok := m.elements[key].find(head.Value); ok && ast.IsConstant(head.Value) {
		t := number(int(row))
		t.Location = head.Location
		return t
	}
	t := ast.ArrayTerm(number(int(key.policy)), number(int(key.effect)), head)
	t.Location = head.Location
	return t
}

// indexShifts says whether a rule is of a shape whose exclusion by topdown's index may depend on the other rules of its
// set: more than one prefix, suffix or composite value for one reference, composite values beside a glob's segments, or
// alternatives within the body. It errs towards yes.
func indexShifts(r *ast.Rule) bool {
	affixes := 0
	for _, e := range r.Body {
		switch e.Terms.(type) {
		case *ast.LogicalAnd, *ast.LogicalOr:
			return true
		}
		if e.Negated || len(e.With) > 0 || !e.IsCall() {
			continue
		}
		switch e.Operator().String() {
		case ast.AnyPrefixMatch.Name, ast.AnySuffixMatch.Name:
			return true
		case ast.StartsWith.Name, ast.EndsWith.Name:
			affixes++
		case ast.Equality.Name, ast.Equal.Name, ast.Assign.Name, ast.Member.Name:
			for _, o := range e.Operands() {
				if holdsComposite(o.Value, e.Operator().String() == ast.Member.Name) {
					return true
				}
			}
		}
	}
	return affixes > 1
}

// holdsComposite says whether a literal operand is a composite value, or for a membership holds one.
func holdsComposite(v ast.Value, member bool) bool {
	composite := func(t *ast.Term) bool {
		switch t.Value.(type) {
		case *ast.Array, ast.Object, ast.Set:
			return true
		}
		return false
	}
	if !member {
		_, array := v.(*ast.Array)
		return array
	}
	switch v := v.(type) {
	case *ast.Array:
		found := false
		v.Foreach(func(t *ast.Term) { found = found || composite(t) })
		return found
	case ast.Set:
		found := false
		v.Foreach(func(t *ast.Term) { found = found || composite(t) })
		return found
	case ast.Object:
		found := false
		v.Foreach(func(_, t *ast.Term) { found = found || composite(t) })
		return found
	}
	return false
}
