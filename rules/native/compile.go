package native

import (
	"errors"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

var errExternal = errors.New("rules come from an external source")

// compiler turns the modules of one OPA compiler into a program. It lives during Compile; OPA's types stop here and at
// the builtins that stay OPA's.
type compiler struct {
	opa     *ast.Compiler
	m       *machine // owns the constants
	tables  *Tables  // whose machine it is
	prog    *program
	rules   map[*group][]*ast.Rule
	paths   map[string]int // input path to its place in machine.paths
	targets [][]val        // paths of data that some `with` replaces
	mocked  map[string]bool
}

// unable is why a rule stays on topdown.
func unable(loc *ast.Location, format string, args ...any) error {
	if loc != nil {
		return fmt.Errorf("%s:%d: %s", loc.File, loc.Row, fmt.Sprintf(format, args...))
	}
	return fmt.Errorf(format, args...)
}

// group makes the group of rules and queues it for body compilation.
func (c *compiler) group(rules []*ast.Rule) *group {
	g := &group{id: len(c.prog.all)}
	c.prog.all = append(c.prog.all, g)
	c.rules[g] = rules
	head := rules[0].Head
	prefix := rules[0].Ref().GroundPrefix()
	for _, r := range rules { // the group's place is its shortest name
		if p := r.Ref().GroundPrefix(); len(p) < len(prefix) {
			prefix = p
		}
	}
	ground := !slices.ContainsFunc(rules, func(r *ast.Rule) bool { return !r.Head.Reference.IsGround() })
	g.name, g.path = prefix.String(), len(prefix)
	switch {
	case len(head.Args) > 0:
		g.shape, g.arity = function, len(head.Args)
	case !ground:
		g.shape = nested
	case head.RuleKind() == ast.MultiValue:
		g.shape = partial
	}
	return g
}

// collect finds what `with` replaces anywhere, because only there must a reference look twice.
func (c *compiler) collect() error {
	for _, mod := range c.opa.Modules {
		var err error
		ast.WalkWiths(mod, func(w *ast.With) bool {
			ref, ok := w.Target.Value.(ast.Ref)
			if !ok {
				err = unable(w.Location, "with target %v", w.Target)
				return true
			}
			if c.isFunction(ref) || !ref.HasPrefix(ast.DefaultRootRef) && !ref.HasPrefix(ast.InputRootRef) {
				c.mocked[ref.String()] = true
				return false
			}
			if ref.HasPrefix(ast.DefaultRootRef) {
				path := make([]val, 0, len(ref)-1)
				for _, t := range ref[1:] {
					v, e := c.m.constant(t.Value)
					if e != nil {
						err = unable(w.Location, "with target %v", w.Target)
						return true
					}
					path = append(path, v)
				}
				c.targets = append(c.targets, path)
			}
			return false
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) isFunction(ref ast.Ref) bool {
	for _, r := range c.opa.GetRulesExact(ref) {
		return len(r.Head.Args) > 0
	}
	return false
}

// bodies compiles the rules of every group.
func (c *compiler) bodies() {
	for _, g := range c.prog.all {
		if err := c.compileGroup(g, c.rules[g]); err != nil {
			g.unable = err
		}
	}
}

// spread tells every group that evaluates one which stays on topdown, so that a request does not find out half way. The
// merged set is left out: most of its rules do not reach that one.
func (c *compiler) spread() {
	for again := true; again; {
		again = false
		for _, g := range c.prog.all {
			if g.unable != nil || g.shape == decisions {
				continue
			}
			for _, x := range g.calls {
				if x.unable != nil {
					g.unable, again = fmt.Errorf("evaluates %s: %w", x.name, x.unable), true
					break
				}
			}
		}
	}
	for _, g := range c.prog.all {
		g.calls = nil
	}
}

func (c *compiler) compileGroup(g *group, rules []*ast.Rule) error {
	g.early = g.shape <= function && g.shape != partial && g.shape != nested && sameConstant(rules)
	g.costly = g.shape == function && c.costly(rules)
	opens := make([]opening, 0, len(rules))
	for _, r := range rules {
		if r.Default {
			last, err := c.rule(g, r)
			if err != nil {
				return err
			}
			g.deflt = last
			continue
		}
		var lr rule
		body, err := c.rule(g, r)
		if err != nil {
			if g.shape != decisions {
				return err
			}
			body = leave(err)
		}
		lr.body, lr.row = body, -1
		if g.shape == decisions && err == nil {
			lr.row = c.rowOf(r.Head)
		}
		for e := r.Else; e != nil; e = e.Else {
			alt, err := c.rule(g, e)
			if err != nil {
				return err
			}
			lr.alts = append(lr.alts, alt)
		}
		g.rules = append(g.rules, lr)
		opens = append(opens, c.opens(r))
	}
	if g.shape == decisions {
		g.loose, g.opens = len(g.rules), opens
		return nil
	}
	g.index = newDispatch(c.m, opens)
	return nil
}

// sameConstant says whether all rules have the same constant value.
func sameConstant(rules []*ast.Rule) bool {
	var first ast.Value
	for _, r := range rules {
		if r.Default {
			continue
		}
		for ; r != nil; r = r.Else {
			if r.Head.DocKind() != ast.CompleteDoc || r.Head.Value == nil || !ast.IsConstant(r.Head.Value.Value) {
				return false
			}
			if first != nil && first.Compare(r.Head.Value.Value) != 0 {
				return false
			}
			first = r.Head.Value.Value
		}
	}
	return first != nil
}

// vars is what the compiler knows at one point of a body: which register holds which variable, and which of them are
// bound there. Registers are never shared, so that a closure may keep its own in the frame of its rule.
type vars struct {
	c     *compiler
	g     *group
	slot  map[ast.Var]int
	bound map[ast.Var]bool
	top   *registers
	hint  *join              // for the reference that is about to be compiled
	uses  map[ast.Var]int    // in the rule; nil: not known
	read  map[ast.Var]getter // variables without a register: see alias
}

type registers struct{ n int }

func (c *compiler) scope(g *group) *vars {
	return &vars{c: c, g: g, slot: map[ast.Var]int{}, bound: map[ast.Var]bool{}, top: &registers{}, read: map[ast.Var]getter{}}
}

// inner is a closure's view: what it binds does not bind outside.
func (v *vars) inner() *vars {
	b := make(map[ast.Var]bool, len(v.bound))
	for k := range v.bound {
		b[k] = true
	}
	return &vars{c: v.c, g: v.g, slot: v.slot, bound: b, top: v.top, uses: v.uses, read: v.read}
}

func (v *vars) temp() int {
	v.top.n++
	return v.top.n - 1
}

func (v *vars) bind(x ast.Var) int {
	v.bound[x] = true
	if s, ok := v.slot[x]; ok {
		return s
	}
	s := v.temp()
	v.slot[x] = s
	return s
}

// rule compiles one rule: arguments, body, head.
func (c *compiler) rule(g *group, r *ast.Rule) (step, error) {
	s := c.scope(g)
	s.top.n, s.uses = g.arity, countUses(r)
	var args []builder
	for i, a := range r.Head.Args {
		b, err := s.argument(i, a)
		if err != nil {
			return nil, err
		}
		if b != nil {
			args = append(args, b)
		}
	}
	body, err := s.body(r.Body)
	if err != nil {
		return nil, err
	}
	last, err := c.head(s, g, r)
	if err != nil {
		return nil, err
	}
	st := body(last)
	for _, b := range slices.Backward(args) {
		st = b(st)
	}
	g.regs = max(g.regs, s.top.n)
	return c.guarded(r, st), nil
}

// argument binds or tests register i.
func (v *vars) argument(i int, a *ast.Term) (builder, error) {
	if x, ok := a.Value.(ast.Var); ok && !v.bound[x] {
		if _, taken := v.slot[x]; !taken {
			v.slot[x], v.bound[x] = i, true
			return nil, nil
		}
	}
	match, err := v.pattern(a)
	if err != nil {
		return nil, err
	}
	return func(next step) step {
		return func(f *frame) ctl {
			if !match(f, f.r[i]) {
				return f.m.failed()
			}
			return next(f)
		}
	}, nil
}

// head is the last step of a rule.
func (c *compiler) head(s *vars, g *group, r *ast.Rule) (step, error) {
	h := r.Head
	once := c.cannotFail(r)
	if g.shape == decisions {
		return c.decision(s, h, once)
	}
	if g.shape == partial {
		key, err := s.term(h.Key)
		if err != nil {
			return nil, err
		}
		return include(key, once && ast.IsConstant(h.Key.Value)), nil
	}
	if g.shape == nested {
		var keys []getter
		for _, t := range r.Ref()[g.path:] {
			k, err := s.term(t)
			if err != nil {
				return nil, err
			}
			keys = append(keys, k)
		}
		if len(keys) == 0 {
			return nil, unable(h.Location, "%v has rules with and without variables in their names", r.Ref())
		}
		multi := h.RuleKind() == ast.MultiValue
		t := h.Value
		if multi {
			t = h.Key
		}
		value, err := s.term(t)
		if err != nil {
			return nil, err
		}
		return place(g, keys, value, multi), nil
	}
	value, err := s.term(h.Value)
	if err != nil {
		return nil, err
	}
	return conclude(g, value, once && ast.IsConstant(h.Value.Value)), nil
}
