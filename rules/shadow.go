package rules

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"thymus/pdp"
)

// Difference is a request that the engines answered differently, with all that is needed to ask both again.
type Difference struct {
	Time     time.Time         `json:"time"`
	Revision string            `json:"policy_revision"`
	Path     string            `json:"path"` // of the document below data; empty: the effects of all policies
	Strict   bool              `json:"strict_builtin_errors"`
	Input    json.RawMessage   `json:"input,omitempty"`
	Native   string            `json:"native"`
	Topdown  string            `json:"topdown"`
	Policies map[string]string `json:"policies"` // by origin
}

// WriteTo writes the difference as a JSON file into a folder and returns its path. The file holds the request's input.
func (d *Difference) WriteTo(folder string) (string, error) {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return "", err
	}
	name := filepath.Join(folder, fmt.Sprintf("difference-%d.json", d.Time.UnixNano()))
	return name, os.WriteFile(name, append(text, '\n'), 0o600)
}

// shadow compares a sample of requests off their path: the native answer that was given, with topdown's. One comparison
// runs at a time; what would have to wait is left out.
type shadow struct {
	set    *Set
	d      *dual
	rate   float64
	aside  bool
	report func(Difference)
	busy   atomic.Bool

	asked, unsteady, different atomic.Uint64
}

func newShadow(s *Set, d *dual, o *Options) *shadow {
	return &shadow{set: s, d: d, rate: min(o.ShadowRate, 1), aside: o.OnDifference == OnDifferenceTopdown, report: o.Difference}
}

// What happens when the engines differ, besides that it is reported.
const (
	OnDifferenceReport  = "report"  // nothing
	OnDifferenceTopdown = "topdown" // topdown answers from then on, until the next reload
)

// shadowBudget bounds one comparison.
const shadowBudget = 2 * time.Second

// offer takes a request into the sample, or not. in and r are lent: what is kept is copied.
func (s *shadow) offer(q pdp.Query, in *pdp.Doc, strict bool, r *pdp.Result) {
	if rand.Float64() >= s.rate || !s.busy.CompareAndSwap(false, true) {
		return
	}
	for i := range r.Faults {
		if r.Faults[i].Code == pdp.FaultDeadline {
			s.busy.Store(false)
			return
		}
	}
	doc := &pdp.Doc{Nodes: slices.Clone(in.Nodes), Text: slices.Clone(in.Text)}
	got := resultText(q != nil, r)
	go func() {
		defer s.busy.Store(false)
		s.compare(q, doc, strict, got)
	}()
}

// compare asks topdown twice: a policy that looks at the clock or at random numbers may answer otherwise each time, and
// that is no difference. One that looks at the clock in minutes is asked natively once more, too.
func (s *shadow) compare(q pdp.Query, in *pdp.Doc, strict bool, got string) {
	s.asked.Add(1)
	want, ok := s.ask(true, q, in, strict)
	if !ok || want == got {
		return
	}
	second, ok := s.ask(false, q, in, strict)
	third, ok2 := s.ask(true, q, in, strict)
	if !ok || !ok2 || third != want || second != got {
		s.unsteady.Add(1)
		return
	}
	s.different.Add(1)
	if s.aside {
		s.d.native.StepAside()
	}
	if s.report == nil {
		return
	}
	d := Difference{Time: time.Now(), Revision: s.set.Snapshot.Revision, Strict: strict, Native: got, Topdown: want, Policies: map[string]string{}}
	if p, ok := q.(interface{ Path() string }); ok {
		d.Path = p.Path()
	}
	if len(in.Nodes) > 0 {
		d.Input = in.AppendJSON(nil, 0)
	}
	for _, p := range s.set.Policies {
		for _, t := range p.Texts {
			d.Policies[t.Origin] = string(t.Text)
		}
	}
	s.report(d)
}

// ask evaluates without the shadow. False: the time was up, and there is nothing to compare.
func (s *shadow) ask(topdown bool, q pdp.Query, in *pdp.Doc, strict bool) (string, bool) {
	var b pdp.Budget
	b.Start(1)
	stop := time.AfterFunc(shadowBudget, func() { b.Expire(1) })
	defer stop.Stop()
	var r pdp.Result
	d := s.d
	e, apart := q.(*elsewhere)
	switch {
	case q == nil && topdown:
		d.parts.Match(in, &b, &r)
	case q == nil:
		d.native.Match(in, &b, &r)
	case apart:
		d.valueElsewhere(e, topdown, in, strict, &b, &r)
	case topdown:
		d.parts.Value(d.native.FallbackQuery(q), in, strict, &b, &r)
	default:
		d.native.Value(q, in, strict, &b, &r)
	}
	return resultText(q != nil, &r), !b.Stopped()
}

// resultText is all of a result that a decision or an answer could depend on, as text.
func resultText(value bool, r *pdp.Result) string {
	if len(r.Faults) > 0 {
		return "fault"
	}
	if value {
		if !r.Defined {
			return "undefined"
		}
		return string(r.Out.AppendJSON(nil, 0))
	}
	lines := make([]string, len(r.Matches))
	for i, m := range r.Matches {
		lines[i] = fmt.Sprintf("%d %d %v %v %d %q %q %q", m.Rule, m.Policy, m.Effect, m.Guardrail, m.Priority, r.Out.Str(m.ID), r.Out.Str(m.Name), r.Out.Str(m.Reason))
	}
	slices.SortFunc(lines, cmp.Compare[string])
	return strings.Join(lines, "\n")
}
