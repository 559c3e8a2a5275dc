package policy

import "bytes"

// Actor is who asks for a change.
type Actor struct {
	Name        string // of the token
	Correlation string // X-Request-ID; empty without one
}

// Draft is a policy as somebody wants it to be.
type Draft struct {
	ID       string // what the text is said to be; empty where nothing is said
	Form     Form
	Text     []byte
	Disabled bool
}

// Condition says whether a change may be made to what there is now; p is nil where there is nothing. A false makes the
// change fail with ErrStale. A nil Condition is always true. It must not change anything: it may be asked twice.
type Condition func(p *Policy) bool

func (c Condition) holds(p *Policy) bool { return c == nil || c(p) }

// Create stores a new policy under the id that its text names.
func (s *Store) Create(who Actor, d Draft) (Policy, error) {
	id, err := s.read(&d)
	if err != nil {
		return Policy{}, err
	}
	o := s.submit(id, who, func(cur *Policy, head *record) (*record, error) {
		switch {
		case cur != nil && cur.ReadOnly:
			return nil, &ReadOnlyError{id, cur.Origin}
		case cur != nil:
			return nil, ErrExists
		}
		return d.record(Created), nil
	})
	return o.policy, o.err
}

// Put stores a policy under an id, whether there is one or not; made says that there was none. What is the same already
// is no change.
func (s *Store) Put(who Actor, id string, d Draft, c Condition) (p Policy, made bool, err error) {
	return s.Edit(who, id, c, func(*Policy) (Draft, error) { return d, nil }, true)
}

// Edit stores what edit makes of a policy. Where there is none it fails with ErrNotFound, or with make calls edit with
// nil. edit may be called more than once and changes nothing.
func (s *Store) Edit(who Actor, id string, c Condition, edit func(cur *Policy) (Draft, error), make bool) (p Policy, made bool, err error) {
	if detail := CheckID(id); detail != "" {
		return Policy{}, false, &FieldError{"", "policy_id", detail}
	}
	o := s.submit(id, who, func(cur *Policy, head *record) (*record, error) {
		switch {
		case cur == nil && !make:
			return nil, ErrNotFound
		case cur != nil && cur.ReadOnly:
			return nil, &ReadOnlyError{id, cur.Origin}
		case !c.holds(cur):
			return nil, ErrStale
		}
		d, err := edit(cur)
		if err != nil {
			return nil, err
		}
		named, err := s.read(&d)
		if err != nil {
			return nil, err
		}
		if named != id {
			return nil, &FieldError{id, "policy_id", "the text is of the policy " + named}
		}
		if cur == nil {
			return d.record(Created), nil
		}
		r := d.record(Updated)
		if r.Digest == head.Digest {
			return nil, nil
		}
		return r, nil
	})
	return o.policy, o.made, o.err
}

// Delete removes a policy. Its history stays.
func (s *Store) Delete(who Actor, id string, c Condition) error {
	return s.submit(id, who, func(cur *Policy, head *record) (*record, error) {
		switch {
		case cur == nil:
			return nil, ErrNotFound
		case cur.ReadOnly:
			return nil, &ReadOnlyError{id, cur.Origin}
		case !c.holds(cur):
			return nil, ErrStale
		}
		return &record{Action: Deleted, Name: head.Name, Version: head.Version}, nil
	}).err
}

// Rollback returns to an earlier revision, of a deleted policy too. That is a new revision, also where nothing differs.
func (s *Store) Rollback(who Actor, id string, revision uint64, c Condition) (Policy, error) {
	o := s.submit(id, who, func(cur *Policy, head *record) (*record, error) {
		switch {
		case cur != nil && cur.ReadOnly:
			return nil, &ReadOnlyError{id, cur.Origin}
		case !c.holds(cur):
			return nil, ErrStale
		}
		r, err := s.revision(id, revision)
		switch {
		case err != nil:
			return nil, err
		case r.Action == Deleted:
			return nil, ErrDeletion
		}
		r.Action, r.From = RolledBack, revision
		return r, nil
	})
	return o.policy, o.err
}

// read checks a draft's text by itself and gives it the form in which it is kept.
func (s *Store) read(d *Draft) (id string, err error) {
	if len(d.Text) > MaxText {
		return "", ErrTooLarge
	}
	id, kept, err := s.compiler.Read(d.Form, d.Text)
	if err != nil {
		return "", err
	}
	if detail := CheckID(id); detail != "" {
		return "", &FieldError{"", "policy_id", detail}
	}
	if d.ID != "" && d.ID != id {
		return "", &FieldError{d.ID, "policy_id", "the text is of the policy " + id}
	}
	d.Text = bytes.Clone(kept)
	return id, nil
}

func (d *Draft) record(a Action) *record {
	return &record{Action: a, Form: d.Form, Disabled: d.Disabled, Text: string(d.Text),
		Digest: digest(d.Form, d.Disabled, Text{Text: d.Text})}
}
