package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"thymus/pdp/policy"
	"thymus/rules"
)

// Read implements policy.Compiler.
func (p *policies) Read(form policy.Form, text []byte) (id string, kept []byte, err error) {
	if form == policy.Rego {
		id, err = rules.RegoID(text)
		return id, text, compileProblem(err)
	}
	if id, err = rules.StructuredID(text); err != nil { // before the text loses its lines
		return "", nil, compileProblem(err)
	}
	if kept, err = rules.JSON(text); err != nil {
		return "", nil, compileProblem(err)
	}
	var line bytes.Buffer
	if err := json.Compact(&line, kept); err != nil {
		return "", nil, err
	}
	return id, line.Bytes(), nil
}

// Compile implements policy.Compiler.
func (p *policies) Compile(ctx context.Context, sources []policy.Source, fresh bool) (*policy.Set, error) {
	set, err := p.compile(ctx, sources, fresh)
	if fresh {
		p.unread = err != nil
	}
	return set, err
}

func (p *policies) compile(ctx context.Context, sources []policy.Source, fresh bool) (*policy.Set, error) {
	o := ruleOptions(p.cfg)
	files := p.files
	if fresh || files == nil {
		var err error
		if files, err = rules.ReadFiles(o.Paths); err != nil {
			return nil, compileProblem(err)
		}
		files = p.trusted(files)
	}
	o.Files, o.Difference = files, p.differs
	o.Extra = make([]rules.Source, len(sources))
	for i, s := range sources {
		o.Extra[i] = rules.Source{ID: s.ID, Form: rules.Form(s.Form), Text: s.Text, Disabled: s.Disabled, Origin: s.Origin}
	}
	set, err := p.loader.Load(ctx, o)
	if err != nil {
		return nil, compileProblem(err)
	}
	p.files = files
	p.told = p.told.next(set.Policies)
	return &policy.Set{Snapshot: set.Snapshot, Policies: p.told.infos, Loaded: set}, nil
}

// Prepare implements policy.Compiler: rule rows are on record before a decision refers to them.
func (p *policies) Prepare(set *policy.Set) error {
	if p.recording == nil {
		return nil
	}
	return p.recording.Adopt(set.Snapshot)
}

// Activate implements policy.Compiler. Where files were refused they are tried again with what is stored now: a policy that
// is deleted because a file has it must not leave both without effect.
func (p *policies) Activate(set *policy.Set) {
	if p.unread {
		defer p.reload(whyChanged)
	}
	p.stats.Activate(set)
	loaded := set.Loaded.(*rules.Set)
	p.set.Store(loaded)
	p.twins.activate(loaded)
	p.engine.Activate(set.Snapshot)
	if p.activated != nil {
		p.activated(set.Snapshot)
	}
}

// RulesOf implements policy.Compiler.
func (p *policies) RulesOf(form policy.Form, texts []policy.Text) []byte {
	out := make([]rules.Text, len(texts))
	for i, t := range texts {
		out[i] = rules.Text(t)
	}
	return rules.Deciding(rules.Form(form), out)
}

// told is what the store is told of the policies of a set. Of a policy that did not change it is told the same again.
type told struct {
	of    []*rules.PolicyInfo // by id
	infos []*policy.Info      // one each
}

// next is what the store is told of the set after.
func (t told) next(of []*rules.PolicyInfo) told {
	infos := make([]*policy.Info, len(of))
	for i, p := range of {
		for len(t.of) > 0 && t.of[0].ID < p.ID {
			t.of, t.infos = t.of[1:], t.infos[1:]
		}
		if len(t.of) > 0 && t.of[0] == p {
			infos[i] = t.infos[0]
			continue
		}
		texts := make([]policy.Text, len(p.Texts))
		for j, x := range p.Texts {
			texts[j] = policy.Text(x)
		}
		infos[i] = &policy.Info{ID: p.ID, Name: p.Name, Version: p.Version, Description: p.Description, Enabled: p.Enabled,
			Default: p.Default, Rules: p.Rules, Form: policy.Form(p.Form), Origin: p.Origin, Texts: texts}
	}
	return told{of, infos}
}

// compileError is what is wrong with a set, for the log and for the management plane.
type compileError struct {
	found rules.Problems
	told  policy.Problems
}

func (e *compileError) Error() string   { return e.found.Error() }
func (e *compileError) Unwrap() []error { return []error{e.found, e.told} }

func compileProblem(err error) error {
	var found rules.Problems
	if !errors.As(err, &found) {
		return err
	}
	e := &compileError{found: found}
	for _, p := range found {
		e.told = append(e.told, toldProblem(p))
	}
	return e
}

// toldProblem is a problem as the management plane tells it: the place is part of the detail.
func toldProblem(p rules.Problem) policy.Problem {
	detail := p.Detail
	if p.Nearest != "" {
		detail += fmt.Sprintf(" (did you mean %q?)", p.Nearest)
	}
	id, stored := strings.CutPrefix(p.File, "api:")
	if stored && p.Policy == "" {
		p.Policy = id
	}
	switch {
	case p.Line > 0 && (stored || p.File == "" || p.File == "policy"):
		detail = fmt.Sprintf("line %d, column %d: %s", p.Line, max(p.Column, 1), detail)
	case p.File != "" && !stored && p.File != "policy":
		place := p
		place.Policy, place.Rule, place.Field, place.Nearest, place.Detail = "", "", "", "", detail
		detail = place.Error()
	}
	return policy.Problem{Policy: p.Policy, Rule: p.Rule, Field: p.Field, Detail: detail}
}
