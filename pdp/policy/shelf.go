package policy

import (
	"cmp"
	"slices"
	"strings"
)

// shelf is the newest revision of each policy that was ever stored, deleted ones too, by id. It is immutable, so that
// readers, a change on its way and one that is refused each have their own; a change copies two words a policy.
type shelf struct {
	heads []head
	live  int // that are not deleted
}

type head struct {
	id string
	*record
}

func (s *shelf) find(id string) (at int, found bool) {
	return slices.BinarySearchFunc(s.heads, id, func(h head, id string) int { return strings.Compare(h.id, id) })
}

// head is the newest revision of a policy; nil where the store never had it.
func (s *shelf) head(id string) *record {
	if at, found := s.find(id); found {
		return s.heads[at].record
	}
	return nil
}

// with is the shelf with other revisions of some policies, each of one policy; a nil record forgets a policy.
func (s *shelf) with(changes []head) *shelf {
	changes = slices.SortedFunc(slices.Values(changes), func(a, b head) int { return strings.Compare(a.id, b.id) })
	out := &shelf{heads: make([]head, 0, len(s.heads)+len(changes)), live: s.live}
	rest := s.heads
	for _, c := range changes {
		at, found := (&shelf{heads: rest}).find(c.id)
		out.heads = append(out.heads, rest[:at]...)
		if rest = rest[at:]; found {
			out.live -= rest[0].alive()
			rest = rest[1:]
		}
		if c.record != nil {
			out.live += c.alive()
			out.heads = append(out.heads, c)
		}
	}
	out.heads = append(out.heads, rest...)
	return out
}

// sources are the policies that are not deleted, by id.
func (s *shelf) sources() []Source {
	out := make([]Source, 0, s.live)
	for _, h := range s.heads {
		if h.Action != Deleted {
			out = append(out, h.asSource(h.id))
		}
	}
	return out
}

// tooOld are the deleted policies that are too many to keep, those that were deleted first.
func (s *shelf) tooOld() (gone []head) {
	many := len(s.heads) - s.live - maxDeleted
	if many <= 0 {
		return nil
	}
	for _, h := range s.heads {
		if h.Action == Deleted {
			gone = append(gone, h)
		}
	}
	slices.SortStableFunc(gone, func(a, b head) int { return cmp.Compare(a.At, b.At) })
	return gone[:many]
}
