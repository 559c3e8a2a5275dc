package policy

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"thymus/pdp"
)

// Bounds of what is counted.
const (
	keptSnapshots = 64   // of which late records still find their rows
	maxMadeRules  = 1024 // rules of one policy that are made by evaluation
)

// Stats counts what policies and their rules did, since the start. What decided, and what warned, comes from the records
// of decisions: the pump feeds it, so that counting costs a request nothing. That a rule matched and another decided is
// not on record; it is counted where it happens, only in decisions with more than one match (outranked.go). Its methods
// may be called from many goroutines at once.
//
// Not counted: matches of rules that are made by evaluation and decide nothing, and who is outranked with a set that has
// been replaced twice meanwhile.
type Stats struct {
	losing atomic.Pointer[lost] // of the active set

	mu        sync.Mutex
	lost      []*lost // oldest first
	decisions uint64
	policies  map[string]*policyCount
	active    []*Info        // of the set that was activated last
	counts    []*policyCount // one each
	now       uint32         // the Seq of that set, and its rows
	nowRows   []rowCount
	snapshots map[uint32]*pastRows
	order     []uint32 // of snapshots, oldest first
}

type policyCount struct {
	enabled     bool
	since       uint64 // decisions when it was enabled last
	evaluations uint64 // while it was enabled before that
	matches     uint64
	outranked   uint64
	last        int64
	rules       map[string]*ruleCount
	block       []rowCount // of its rows; nil where they have to be found
}

type ruleCount struct {
	matches   uint64
	outranked uint64
	last      int64
	made      bool // by evaluation: no row says that it exists
}

// rowCount is where a match of a row counts.
type rowCount struct {
	policy *policyCount
	rule   *ruleCount
}

// NewStats makes counters without policies.
func NewStats() *Stats {
	return &Stats{policies: map[string]*policyCount{}, snapshots: map[uint32]*pastRows{}}
}

// Activate prepares for the records of a set. It is called before the set decides. What did not change since the set
// before is told by its address, and is not looked at again.
func (s *Stats) Activate(set *Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, counts := s.active, s.counts
	s.active, s.counts = set.Policies, make([]*policyCount, len(set.Policies))
	for i, p := range set.Policies {
		for len(was) > 0 && was[0].ID < p.ID {
			delete(s.policies, was[0].ID)
			was, counts = was[1:], counts[1:]
		}
		var c *policyCount
		if len(was) > 0 && was[0].ID == p.ID {
			if c = counts[0]; was[0] != p {
				c.block = nil
			}
			was, counts = was[1:], counts[1:]
		} else {
			c = &policyCount{rules: map[string]*ruleCount{}}
			s.policies[p.ID] = c
		}
		s.counts[i] = c
		if c.enabled && !p.Enabled {
			c.evaluations += s.decisions - c.since
		} else if !c.enabled && p.Enabled {
			c.since = s.decisions
		}
		c.enabled = p.Enabled
	}
	for _, p := range was {
		delete(s.policies, p.ID)
	}
	s.rows(set.Snapshot)
}

// rows finds the counters of a snapshot's rows, and lets go of rules that are no more.
func (s *Stats) rows(snap *pdp.Snapshot) {
	rows := make([]rowCount, 0, len(snap.Rules))
	old := &pastRows{}
	at := 0
	for i, p := range s.active {
		for ; at < len(snap.Rules) && snap.Rules[at].Policy < p.ID; at++ {
			rows = append(rows, rowCount{}) // nobody's
		}
		from := at
		for at < len(snap.Rules) && snap.Rules[at].Policy == p.ID {
			at++
		}
		if from == at {
			continue
		}
		c := s.counts[i]
		if len(c.block) != at-from {
			c.block = c.find(snap.Rules[from:at])
		}
		rows = append(rows, c.block...)
		old.first, old.blocks = append(old.first, int32(from)), append(old.blocks, c.block)
	}
	if snap.Seq == 0 {
		return
	}
	s.now, s.nowRows = snap.Seq, rows
	if _, known := s.snapshots[snap.Seq]; !known {
		s.order = append(s.order, snap.Seq)
	}
	s.snapshots[snap.Seq] = old
	s.lose(snap, rows)
	if len(s.order) > keptSnapshots {
		delete(s.snapshots, s.order[0])
		s.order = slices.Delete(s.order, 0, 1)
	}
}

// find finds the counters of a policy's rows, and lets go of rules that are no more.
func (c *policyCount) find(rows []pdp.Rule) []rowCount {
	out := make([]rowCount, len(rows))
	rules := make(map[string]*ruleCount, len(rows))
	for i := range rows {
		r := rules[rows[i].ID]
		if r == nil {
			if r = c.rules[rows[i].ID]; r == nil {
				r = &ruleCount{}
			}
			rules[rows[i].ID] = r
		}
		out[i] = rowCount{c, r}
	}
	for id, r := range c.rules {
		if r.made && rules[id] == nil {
			rules[id] = r
		}
	}
	c.rules = rules
	return out
}

// pastRows are the counters of the rows of a set that does not decide any more: those of each policy, which sets that
// have the policy in common share.
type pastRows struct {
	first  []int32 // row, of each block
	blocks [][]rowCount
}

// row is where a row counts; nothing where there is no such row.
func (p *pastRows) row(row int32) (c rowCount) {
	at, found := slices.BinarySearch(p.first, row)
	if !found {
		at--
	}
	if at < 0 || int(row-p.first[at]) >= len(p.blocks[at]) {
		return c
	}
	return p.blocks[at][row-p.first[at]]
}

// Observe counts one decision. The record is lent for the call.
func (s *Stats) Observe(rec *pdp.Record) {
	if rec.Surface == pdp.SurfaceOPA || rec.Flags.Has(pdp.FlagQuarantined) {
		return // no policy was asked, or one document of the caller's choice
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decisions++
	if rec.Row >= 0 {
		s.match(rec.Seq, rec.Row, rec.Time)
	} else if rec.Flags.Has(pdp.FlagMatched) {
		s.named(rec.Policy, rec.Rule, rec.Time)
	}
	for i, w := range rec.Warnings {
		again := w.Row == rec.Row
		for _, before := range rec.Warnings[:i] {
			again = again || before.Row == w.Row
		}
		if w.Row >= 0 && !again {
			s.match(rec.Seq, w.Row, rec.Time)
		}
	}
}

func (s *Stats) match(seq uint32, row int32, at int64) {
	var c rowCount
	if seq != s.now {
		if p := s.snapshots[seq]; p != nil {
			c = p.row(row)
		}
	} else if int(row) < len(s.nowRows) {
		c = s.nowRows[row]
	}
	if c.policy != nil {
		c.count(at)
	}
}

// named counts for a rule whose head is no constant, or whose rows are not on record.
func (s *Stats) named(policy, rule string, at int64) {
	p := s.policies[policy]
	if p == nil {
		return
	}
	c := p.rules[rule]
	if c == nil {
		if len(p.rules) >= maxMadeRules {
			return
		}
		c = &ruleCount{made: true}
		p.rules[strings.Clone(rule)] = c
	}
	rowCount{p, c}.count(at)
}

func (c rowCount) count(at int64) {
	c.policy.matches++
	c.policy.last = max(c.policy.last, at)
	c.rule.matches++
	c.rule.last = max(c.rule.last, at)
}

// RuleStats is what one rule did. Times are Unix seconds.
type RuleStats struct {
	RuleID    string   `json:"rule_id"`
	Matches   uint64   `json:"matches"`
	Outranked uint64   `json:"outranked"` // of the matches: another rule decided
	LastMatch *float64 `json:"last_match"`
}

// PolicyStats is what one policy did since the start. Times are Unix seconds.
type PolicyStats struct {
	PolicyID    string      `json:"policy_id"`
	Evaluations uint64      `json:"evaluations"` // decisions made while it was enabled
	Matches     uint64      `json:"matches"`     // of its rules
	Outranked   uint64      `json:"outranked"`   // of these: another rule decided
	LastMatch   *float64    `json:"last_match"`
	Rules       []RuleStats `json:"rules"`
}

// Of is what a policy did; false where there is none.
func (s *Stats) Of(id string) (PolicyStats, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.policies[id]
	if c == nil {
		return PolicyStats{}, false
	}
	s.fold()
	out := PolicyStats{PolicyID: id, Evaluations: c.evaluations, Matches: c.matches, Outranked: c.outranked, LastMatch: moment(c.last), Rules: []RuleStats{}}
	if c.enabled {
		out.Evaluations += s.decisions - c.since
	}
	for id, r := range c.rules {
		out.Rules = append(out.Rules, RuleStats{id, r.matches, r.outranked, moment(r.last)})
	}
	slices.SortFunc(out.Rules, func(a, b RuleStats) int { return strings.Compare(a.RuleID, b.RuleID) })
	return out, true
}

func moment(ns int64) *float64 {
	if ns == 0 {
		return nil
	}
	t := seconds(ns)
	return &t
}
