package policy

import (
	"slices"
	"sync/atomic"

	"thymus/internal/metrics"
	"thymus/pdp"
)

// lost counts the matches that decided nothing, by row of one snapshot. Decisions add to it, each in its own lane; the
// statistics fold it into the rules' counts when somebody asks.
type lost struct {
	seq    uint32
	times  *metrics.Counters
	last   []atomic.Int64 // Unix nanoseconds, to lostGrain
	folded []uint64       // of times, in the counts already; Stats.mu guards it
	rows   []rowCount
	warns  []bool // rows whose match is on record as the decision's warning: it counts as a match there
}

const (
	keptLost  = 2   // sets: the active one, and the one before, with which calls may be under way
	lostGrain = 1e6 // nanoseconds
)

// Outranked counts the rules that matched and did not decide, of a decision with more than one match. decided is the row
// that did. It is called by decisions: it takes no lock where the set is the active one, and never allocates.
func (s *Stats) Outranked(l metrics.Lane, snap *pdp.Snapshot, r *pdp.Result, decided int32, at int64) {
	o := s.losing.Load()
	if o == nil || o.seq != snap.Seq {
		if o = s.lostOf(snap.Seq); o == nil {
			return
		}
	}
	before := int32(-1)
	for i := range r.Matches {
		row := r.Matches[i].Rule
		if row < 0 || row == decided || row == before || int(row) >= len(o.rows) {
			continue
		}
		before = row
		o.times.Add(l, int(row), 1)
		if t := &o.last[row]; t.Load() < at-lostGrain {
			t.Store(at)
		}
	}
}

// lostOf finds the counts of a set that is not the active one any more.
func (s *Stats) lostOf(seq uint32) *lost {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.lost {
		if o.seq == seq {
			return o
		}
	}
	return nil
}

// lose begins to count for a set's rows. Stats.mu is held.
func (s *Stats) lose(snap *pdp.Snapshot, rows []rowCount) {
	s.fold()
	o := &lost{seq: snap.Seq, times: metrics.NewCounters(len(rows)), last: make([]atomic.Int64, len(rows)), folded: make([]uint64, len(rows)),
		rows: rows, warns: make([]bool, len(rows))}
	for i := range snap.Rules {
		o.warns[i] = snap.Rules[i].Effect == pdp.Warn && snap.Rules[i].Reason != ""
	}
	s.lost = append(slices.DeleteFunc(s.lost, func(x *lost) bool { return x.seq == snap.Seq }), o)
	if n := len(s.lost) - keptLost; n > 0 {
		s.lost = slices.Delete(s.lost, 0, n)
	}
	s.losing.Store(o)
}

// fold moves what was counted since the last time into the rules' counts. Stats.mu is held.
func (s *Stats) fold() {
	for _, o := range s.lost {
		for i := range o.rows {
			n := o.times.Sum(i)
			more := n - o.folded[i]
			if more == 0 || o.rows[i].policy == nil {
				continue
			}
			o.folded[i] = n
			c := o.rows[i]
			c.rule.outranked += more
			c.policy.outranked += more
			at := o.last[i].Load()
			c.rule.last, c.policy.last = max(c.rule.last, at), max(c.policy.last, at)
			if !o.warns[i] {
				c.rule.matches += more
				c.policy.matches += more
			}
		}
	}
}
