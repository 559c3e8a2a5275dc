package policy

import (
	"context"
	"slices"
	"strings"

	"thymus/pdp"
)

// Compiler knows what policies mean. Read and RulesOf may be called at any time; the other methods are called one at a
// time.
type Compiler interface {
	// Read checks a text by itself: the id that it names, and the text as it is to be kept (structured: one line of
	// JSON, whatever it was before). Its error is Problems.
	Read(form Form, text []byte) (id string, kept []byte, err error)
	// Compile makes a set of the stored sources, the built-in policies and the files: as they were at the last
	// successful call with fresh, or as they are now. Its error is Problems where the set is at fault.
	Compile(ctx context.Context, sources []Source, fresh bool) (*Set, error)
	// Prepare does what must be done before a set can decide and may fail.
	Prepare(*Set) error
	// Activate makes a prepared set the one that decides.
	Activate(*Set)
	// RulesOf is the part of a policy's texts that decides, for comparison.
	RulesOf(form Form, texts []Text) []byte
}

// Set is one compiled set. It is immutable.
type Set struct {
	Snapshot *pdp.Snapshot
	Policies []*Info // by id, disabled ones too; the same one in two sets has the same rows in both
	Loaded   any     // the compiler's own
}

// view is what readers see: the active set, and of it what is stored. It is immutable.
type view struct {
	set *Set
	*shelf
}

func (s *Set) find(id string) (at int, found bool) {
	return slices.BinarySearchFunc(s.Policies, id, func(p *Info, id string) int { return strings.Compare(p.ID, id) })
}

// info finds a policy of the set; nil where there is none.
func (s *Set) info(id string) *Info {
	if at, found := s.find(id); found {
		return s.Policies[at]
	}
	return nil
}

// policy is one policy as callers see it; nil where there is none.
func (v *view) policy(id string) *Policy {
	i := v.set.info(id)
	if i == nil {
		return nil
	}
	p := v.describe(i)
	return &p
}

func (v *view) describe(i *Info) Policy {
	p := Policy{Info: *i, ReadOnly: true}
	h := v.head(i.ID)
	if h == nil || h.Action == Deleted || i.Origin != origin(i.ID) {
		p.Digest = digest(i.Form, false, i.Texts...)
		return p
	}
	p.ReadOnly, p.Revision, p.Digest, p.Disabled = false, h.Revision, h.Digest, h.Disabled
	p.CreatedAt, p.UpdatedAt, p.UpdatedBy = seconds(h.Made), seconds(h.At), h.Actor
	return p
}
