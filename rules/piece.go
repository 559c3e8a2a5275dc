package rules

import (
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
	"thymus/rules/native"
)

// piece is a structured policy as a Loader keeps it: what it says, without the document it was read from, and, where it
// was compiled by itself, its rules in the native engine's form.
type piece struct {
	kept
	origin   string
	asJSON   bool
	disabled bool // by its source
	info     PolicyInfo
	path     []string   // of its package
	rows     []pdp.Rule // of its enabled rules, in the order of a snapshot; none of a disabled policy
	lines    []int      // of the source, a row each
	looks    *looks
	stray    Problems // fields that no call has
	odd      bool     // only OPA's compiler knows what it makes of it
	loose    *native.Piece
	rules    []native.Loose // until it is compiled
	alone    atomic.Pointer[lazily]
}

func (c *memory) newPiece(k kept, s *structured, origin string, asJSON, disabled bool) *piece {
	if disabled {
		s.enabled = false
	}
	p := &piece{kept: k, origin: origin, asJSON: asJSON, disabled: disabled}
	p.info = PolicyInfo{ID: strings.Clone(s.id), Name: strings.Clone(s.name), Version: strings.Clone(s.version), Description: strings.Clone(s.description),
		Enabled: s.enabled, Default: s.def, Form: FormStructured, Origin: origin, Texts: []Text{{origin, k.text}}}
	p.path, p.stray = packagePath(p.info.ID), s.stray
	var enabled []*structuredRule
	for i := range s.rules {
		if s.rules[i].enabled {
			enabled = append(enabled, &s.rules[i])
		}
	}
	p.info.Rules = len(enabled)
	if !s.enabled {
		return p
	}
	slices.SortFunc(enabled, func(a, b *structuredRule) int { return strings.Compare(a.id, b.id) })
	var see looks
	for i, r := range enabled {
		e := element{id: strings.Clone(r.id), name: strings.Clone(r.name), reason: strings.Clone(r.message), priority: r.priority, guardrail: r.guardrail}
		p.rows, p.lines = append(p.rows, e.row(p.info.ID, r.effect)), append(p.lines, r.line)
		for j := range r.conditions {
			c := &r.conditions[j]
			p.odd = p.odd || !c.value.plain() || slices.ContainsFunc(c.path, func(s string) bool { return !plainText(s) })
			see.reads = append(see.reads, c.path[0])
			if r.effect == pdp.Deny && !c.negated() {
				see.guards = append(see.guards, newGuard(c.path, c.class()))
			}
		}
		p.rules = append(p.rules, r.loose(int32(i))...)
	}
	p.looks = c.intern(&see)
	return p
}

// looks is where a policy looks: the members of the input that it reads, and the guards of its deny rules. Policies that
// look at the same have the same one, so that a set asks once for all of them.
type looks struct {
	reads  []string
	guards []guard
	turn   uint64 // of the last set that asked
}

// intern is the one of all that are equal.
func (c *memory) intern(l *looks) *looks {
	slices.Sort(l.reads)
	l.reads = slices.Compact(l.reads)
	slices.SortFunc(l.guards, func(a, b guard) int { return strings.Compare(a.key, b.key) })
	l.guards = slices.CompactFunc(l.guards, func(a, b guard) bool { return a.key == b.key })
	key := ""
	for _, r := range l.reads {
		key += strconv.Quote(r)
	}
	for i := range l.guards {
		key += "," + l.guards[i].key
	}
	same := c.looks[key]
	if same == nil {
		same = &looks{}
		for _, r := range l.reads { // nothing of the document's memory is kept
			same.reads = append(same.reads, strings.Clone(r))
		}
		for i := range l.guards {
			same.guards = append(same.guards, l.guards[i].clone())
		}
		c.looks[key] = same
	}
	return same
}

// The merged sets, by their place in the native engine's options.
const (
	setMerged = iota
	setDodged
)

// loose are the rules that the native engine makes of one: those of its bodies, and for a deny rule the one about odd
// fields. It matches as soon as one of its conditions meets an oddity and each of the others holds or meets one, too;
// where none does, it is what the bodies are.
func (r *structuredRule) loose(row int32) []native.Loose {
	var out []native.Loose
	w := &lowering{}
	bodies := r.bodies(func(c *condition, n int) [][]expr {
		if in, long := c.longNotIn(); long {
			x := in.ways(n)[0][0]
			x.not = true
			return [][]expr{{x}}
		}
		return c.ways(n)
	}, func(_ *condition, ways [][]expr) expr { return expr{any: ways} })
	for _, b := range bodies {
		out = append(out, native.Loose{Set: setMerged, Row: row, Body: w.body(nil, b)})
	}
	if n := r.dodgeable(); r.effect == pdp.Deny && n > 0 {
		out = append(out, native.Loose{Set: setDodged, Row: row, Body: r.looseDodge(n > 1)})
	}
	return out
}

func (r *structuredRule) looseDodge(several bool) ast.Body {
	w := &lowering{}
	var odd, plain [][]expr
	var body ast.Body
	for i := range r.conditions {
		c := &r.conditions[i]
		if !c.negated() {
			odd = append(odd, (&oddity{path: c.path, class: c.class()}).bodies()...)
		}
	}
	body = w.either(body, odd)
	for i := range r.conditions {
		c := &r.conditions[i]
		switch in, long := c.longNotIn(); {
		case long:
			x := in.ways(i)[0][0]
			x.not = true
			plain = append(plain, []expr{x})
		case c.negated():
			plain = append(plain, c.ways(i)[0])
		case several:
			body = w.either(body, append(c.ways(i), (&oddity{path: c.path, class: c.class()}).bodies()...))
		}
	}
	for _, es := range plain {
		body = w.body(body, es)
	}
	return body
}

// compile makes the piece's rules the native engine's, once; false where only OPA's compiler can.
func (p *piece) compile(t *native.Tables) bool {
	if p.odd || p.loose != nil || len(p.rows) == 0 {
		p.rules = nil
		return !p.odd
	}
	if p.rules == nil { // it was compiled with others before
		c := memory{looks: map[string]*looks{}}
		p.rules = c.newPiece(p.kept, p.structured(), p.origin, p.asJSON, p.disabled).rules
	}
	loose, err := t.Piece(p.rules)
	p.loose, p.odd, p.rules = loose, err != nil, nil
	return !p.odd
}

// structured reads the policy again.
func (p *piece) structured() *structured {
	var l loader
	doc, ok := l.parse(p.origin, p.asJSON, p.text)
	if !ok {
		return nil // it was read before
	}
	s, _ := readStructured(p.origin, doc, &l.problems)
	return s
}

// plain says whether OPA's parser surely reads the literal as it was read here.
func (n *node) plain() bool {
	switch n.kind {
	case pdp.Number:
		i := strings.IndexAny(n.text, "eE")
		return len(n.text) <= 24 && (i < 0 || len(n.text)-i <= 4)
	case pdp.String:
		return plainText(n.text)
	}
	for i := range n.members {
		if !plainText(n.members[i].key) || !n.members[i].value.plain() {
			return false
		}
	}
	return !slices.ContainsFunc(n.items, func(it *node) bool { return !it.plain() })
}

// plainText says whether a text holds nothing that scanners of text are particular about.
func plainText(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' || r == 0x7f || r == 0xfeff || r == 0xfffd })
}
