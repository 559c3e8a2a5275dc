package threat

import "slices"

// MaxThreats is how many threats a registry keeps. Beyond it the oldest final ones go first, then the oldest; the
// journal has what was said about them.
const MaxThreats = 100_000

// evictAtOnce is how many go when one is too many, so that looking for them costs little a threat.
const evictAtOnce = 1000

// shelf is a registry in memory. Whoever has it guards it.
type shelf struct {
	ids       []string // sorted, which is by time: ids are version 7 UUIDs
	all       map[string]Threat
	incidents map[string]string // the newest threat of each incident
}

func newShelf() *shelf {
	return &shelf{all: map[string]Threat{}, incidents: map[string]string{}}
}

func (s *shelf) put(t *Threat) {
	if _, known := s.all[t.ID]; !known {
		i, _ := slices.BinarySearch(s.ids, t.ID)
		s.ids = slices.Insert(s.ids, i, t.ID)
	}
	s.all[t.ID] = *t
	if t.Incident != "" && s.incidents[t.Incident] <= t.ID {
		s.incidents[t.Incident] = t.ID
	}
}

// remove takes threats out; ids are sorted.
func (s *shelf) remove(ids ...string) {
	if len(ids) == 0 {
		return
	}
	for _, id := range ids {
		if t := s.all[id]; t.Incident != "" && s.incidents[t.Incident] == id {
			delete(s.incidents, t.Incident)
		}
		delete(s.all, id)
	}
	s.ids = slices.DeleteFunc(s.ids, func(id string) bool {
		_, kept := s.all[id]
		return !kept
	})
}

// surplus are the threats that have to go before another fits into limit: some more than one, sorted by id.
func (s *shelf) surplus(limit int) (ids []string) {
	if len(s.ids) < limit {
		return nil
	}
	want := min(max(limit/100, 1), evictAtOnce) + len(s.ids) - limit
	for _, id := range s.ids {
		if s.all[id].Status.Final() {
			if ids = append(ids, id); len(ids) == want {
				return ids
			}
		}
	}
	if need := 1 + len(s.ids) - limit; len(ids) < need { // no more than has to: these are not dealt with
		for _, id := range s.ids {
			if !s.all[id].Status.Final() {
				if ids = append(ids, id); len(ids) == need {
					break
				}
			}
		}
		slices.Sort(ids)
	}
	return ids
}

// of is the newest threat of an incident; nil where there is none.
func (s *shelf) of(incident string) *Threat {
	t, ok := s.all[s.incidents[incident]]
	if !ok || incident == "" {
		return nil
	}
	return &t
}

// page walks backwards from before after.
func (s *shelf) page(f Filter, after string, limit int) (items []Threat, next string) {
	i := len(s.ids)
	if after != "" {
		i, _ = slices.BinarySearch(s.ids, after)
	}
	for i--; i >= 0; i-- {
		t := s.all[s.ids[i]]
		if !f.takes(&t) {
			continue
		}
		if len(items) == limit {
			return items, items[limit-1].ID
		}
		items = append(items, t)
	}
	return items, ""
}

func (s *shelf) stats() Stats {
	out := newStats()
	for _, t := range s.all {
		out.add(&t)
	}
	return out
}
