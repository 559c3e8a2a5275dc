package policy

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of the store; compare with errors.Is.
var (
	ErrNotFound   = errors.New("no such policy")
	ErrNoRevision = errors.New("no such revision") // never made, or too old to be kept
	ErrExists     = errors.New("a policy of this id exists")
	ErrStale      = errors.New("the policy was changed meanwhile")
	ErrDeletion   = errors.New("the revision is a deletion, there is nothing to return to")
	ErrFull       = fmt.Errorf("more than %d policies cannot be stored", maxPolicies)
	ErrTooLarge   = fmt.Errorf("expected a policy whose text is at most %d bytes", MaxText)
	ErrClosed     = errors.New("the process is ending")
)

// ReadOnlyError is the refusal to change what the API does not own.
type ReadOnlyError struct{ ID, Origin string }

func (e *ReadOnlyError) Error() string {
	if strings.HasPrefix(e.Origin, "builtin") {
		return fmt.Sprintf("the policy %s is built in; policies.builtin switches it off", e.ID)
	}
	return fmt.Sprintf("the policy %s comes from the file %s; change it there", e.ID, e.Origin)
}

// FieldError is a draft that cannot be taken, and which field is at fault.
type FieldError struct{ Policy, Field, Detail string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Detail }

// Problem is one reason why a set does not compile.
type Problem struct {
	Policy string `json:"policy"`
	Rule   string `json:"rule"`
	Field  string `json:"field"`
	Detail string `json:"detail"` // with the place, where there is one
}

// Problems is everything that is wrong with a set.
type Problems []Problem

func (ps Problems) Error() string {
	var b strings.Builder
	for i, p := range ps {
		if i > 0 {
			b.WriteByte('\n')
		}
		for _, part := range [...][2]string{{"policy ", p.Policy}, {"rule ", p.Rule}, {"", p.Field}} {
			if part[1] != "" {
				b.WriteString(part[0] + part[1] + ": ")
			}
		}
		b.WriteString(p.Detail)
	}
	return b.String()
}
