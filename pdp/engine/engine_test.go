package engine_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"thymus/pdp"
	"thymus/pdp/engine"
)

// script is an evaluator that does what a test says.
type script struct {
	match func(in *pdp.Doc, b *pdp.Budget, r *pdp.Result)
	value func(q pdp.Query, in *pdp.Doc, strict bool, b *pdp.Budget, r *pdp.Result)
}

func (s *script) Match(in *pdp.Doc, b *pdp.Budget, r *pdp.Result) {
	r.Reset(1 << 10)
	s.match(in, b, r)
}

func (s *script) Value(q pdp.Query, in *pdp.Doc, strict bool, b *pdp.Budget, r *pdp.Result) {
	r.Reset(1 << 10)
	s.value(q, in, strict, b, r)
}

func (s *script) Query(path []string) pdp.Query { return strings.Join(path, "/") }

func permits(_ *pdp.Doc, _ *pdp.Budget, r *pdp.Result) {
	r.Matches = append(r.Matches, pdp.Match{Rule: 0, Policy: 0, Effect: pdp.Allow})
}

func snapshot(revision string, s *script) *pdp.Snapshot {
	return &pdp.Snapshot{
		Revision: revision, Eval: s,
		Policies: []pdp.Policy{{ID: "p", Name: "p", Rules: 1}},
		Rules:    []pdp.Rule{{Policy: "p", ID: "r", Effect: pdp.Allow, Sentence: pdp.Sentence(pdp.Allow, "r", "", "")}},
	}
}

func start(t testing.TB, o engine.Options, s *script) *engine.Engine {
	t.Helper()
	if o.Deadline == 0 {
		o.Deadline = 50 * time.Millisecond
	}
	e := engine.New(o)
	t.Cleanup(e.Close)
	if s != nil {
		e.Activate(snapshot("r1", s))
	}
	return e
}

func begin(t testing.TB, e *engine.Engine, n int) *engine.Call {
	t.Helper()
	c, err := e.Begin(n)
	if err != nil {
		t.Fatal(err)
	}
	c.Req = pdp.Request{Input: &c.Input, SubjectType: "agent", SubjectID: "a", Action: "read"}
	return c
}

func decide(t testing.TB, e *engine.Engine) pdp.Decision {
	t.Helper()
	c := begin(t, e, 1)
	defer c.End()
	d, err := c.Decide()
	if err != nil {
		t.Fatal(err)
	}
	x := *d
	x.Reason, x.Policy, x.Rule = strings.Clone(d.Reason), strings.Clone(d.Policy), strings.Clone(d.Rule)
	return x
}

func TestWithoutPoliciesThereIsNoCall(t *testing.T) {
	e := start(t, engine.Options{}, nil)
	if _, err := e.Begin(1); !errors.Is(err, engine.ErrNoPolicies) {
		t.Fatalf("%v", err)
	}
}

func TestACallReadsOneSnapshot(t *testing.T) {
	s := &script{match: permits}
	e := start(t, engine.Options{}, s)
	c := begin(t, e, 3)
	defer c.End()
	for i := range 3 {
		d, err := c.Decide()
		if err != nil || d.Revision != "r1" {
			t.Fatalf("item %d: %v %s", i, err, d.Revision)
		}
		e.Activate(snapshot("r2", s))
	}
	if d := decide(t, e); d.Revision != "r2" {
		t.Fatalf("the next call reads %s", d.Revision)
	}
}

func TestSnapshotsMayBeSwappedUnderLoad(t *testing.T) {
	revisions := []string{"even", "odd"}
	made := func(i int) *pdp.Snapshot {
		s := snapshot(revisions[i%2], &script{match: permits})
		s.Rules[0].ID = revisions[i%2]
		return s
	}
	e := start(t, engine.Options{}, &script{match: permits})
	e.Activate(made(0))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if d := decide(t, e); d.Revision != d.Rule || !d.Allowed {
					t.Errorf("revision %s decided by the rule of %s", d.Revision, d.Rule)
					return
				}
			}
		})
	}
	for i := range 2000 {
		e.Activate(made(i))
	}
	close(stop)
	wg.Wait()
}

// quarantined is everybody of one name.
type quarantined string

func (q quarantined) Quarantined(_, id string) (string, bool) { return "", id == string(q) }

func TestQuarantineComesFirst(t *testing.T) {
	asked := false
	e := start(t, engine.Options{Quarantine: quarantined("a")}, &script{
		match: func(in *pdp.Doc, b *pdp.Budget, r *pdp.Result) { asked = true; permits(in, b, r) },
		value: func(_ pdp.Query, _ *pdp.Doc, _ bool, _ *pdp.Budget, r *pdp.Result) {
			r.Defined = true
			r.Out.Add(pdp.Span{}, pdp.True, pdp.Span{})
		},
	})
	d := decide(t, e)
	if d.Allowed || d.Effect != pdp.Deny || d.Policy != "immune" || d.Rule != "quarantine" || asked {
		t.Fatalf("%+v, evaluated: %t", d, asked)
	}
	c := begin(t, e, 1)
	defer c.End()
	r, q, err := c.Query([]string{"x"}, false)
	if err != nil || !r.Defined || !q.Quarantined || q.Policy != "immune" {
		t.Fatalf("the Data API answers its value all the same: %v %+v %+v", err, r, q)
	}
}

func TestAFaultFoundBeforeEvaluationDenies(t *testing.T) {
	asked := false
	e := start(t, engine.Options{}, &script{match: func(in *pdp.Doc, b *pdp.Budget, r *pdp.Result) { asked = true; permits(in, b, r) }})
	c := begin(t, e, 1)
	defer c.End()
	c.Req.Fault, c.Req.FaultCode = "the path is ambiguous", pdp.FaultInput
	d, err := c.Decide()
	if err != nil || d.Allowed || d.Reason != "Evaluation error - denied: the path is ambiguous" || asked {
		t.Fatalf("%v %+v", err, d)
	}
}

func TestAnEntrypointsVerdict(t *testing.T) {
	say := func(text string) *script {
		return &script{value: func(q pdp.Query, _ *pdp.Doc, strict bool, _ *pdp.Budget, r *pdp.Result) {
			if q != "authz/allow" || strict {
				panic("another question")
			}
			switch text {
			case "true":
				r.Defined = true
				r.Out.Add(pdp.Span{}, pdp.True, pdp.Span{})
			case "audit":
				r.Defined = true
				r.Out.Add(pdp.Span{}, pdp.String, r.Out.AddText("audit"))
			case "7":
				r.Defined = true
				r.Out.Add(pdp.Span{}, pdp.Number, r.Out.AddText("7"))
			case "fault":
				r.AddFault(pdp.FaultConflict, -1, "two values")
			}
		}}
	}
	for _, c := range []struct {
		name, value string
		allowed     bool
		effect      pdp.Effect
		reason      string
	}{
		{"true permits", "true", true, pdp.Allow, "Entrypoint authz/allow"},
		{"an effect's name is that effect", "audit", true, pdp.Audit, "Entrypoint authz/allow"},
		{"a number denies", "7", false, pdp.Deny, "Entrypoint authz/allow"},
		{"undefined denies", "", false, pdp.Deny, "Entrypoint authz/allow"},
		{"a fault denies", "fault", false, pdp.Deny, "Evaluation error - denied: two values"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := start(t, engine.Options{}, nil)
			s := snapshot("r1", say(c.value))
			s.Entrypoint, s.EntryPath = "authz/allow", "authz/allow"
			e.Activate(s)
			d := decide(t, e)
			if d.Allowed != c.allowed || d.Effect != c.effect || d.Reason != c.reason || d.Matched {
				t.Fatalf("%+v", d)
			}
		})
	}
}

// keeper keeps records, or refuses them.
type keeper struct {
	mu      sync.Mutex
	records []pdp.Record
	classes []pdp.Class
	refuse  bool
}

func (k *keeper) Record(c pdp.Class, r *pdp.Record) bool {
	if k.refuse {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	x := *r
	x.Input, x.Reason, x.Action = bytes.Clone(r.Input), strings.Clone(r.Reason), strings.Clone(r.Action)
	k.records, k.classes = append(k.records, x), append(k.classes, c)
	return true
}

func TestEveryDecisionLeavesOneRecord(t *testing.T) {
	k := &keeper{}
	e := start(t, engine.Options{Recorder: k, Input: true}, &script{match: permits})
	c := begin(t, e, 1)
	c.Input.Add(pdp.Span{}, pdp.True, pdp.Span{})
	d, err := c.Decide()
	if err != nil {
		t.Fatal(err)
	}
	id := d.ID
	c.End()
	if len(k.records) != 1 {
		t.Fatalf("%d records", len(k.records))
	}
	r := k.records[0]
	if r.ID != id || r.Action != "read" || !r.Flags.Has(pdp.FlagAllowed|pdp.FlagMatched|pdp.FlagInput) || string(r.Input) != "true" ||
		k.classes[0] != pdp.ClassAllow || time.Since(time.Unix(0, r.Time)) > time.Minute || r.Eval < 0 {
		t.Fatalf("%+v", r)
	}
	if got := int64(r.ID[0])<<40 | int64(r.ID[1])<<32 | int64(r.ID[2])<<24 | int64(r.ID[3])<<16 | int64(r.ID[4])<<8 | int64(r.ID[5]); got != r.Time/1e6 {
		t.Fatalf("the id's milliseconds are %d, the record's %d", got, r.Time/1e6)
	}
}

func TestAnInputThatIsTooLongIsLeftOutAndSaid(t *testing.T) {
	k := &keeper{}
	e := start(t, engine.Options{Recorder: k, Input: true}, &script{match: permits})
	c := begin(t, e, 1)
	c.Input.Add(pdp.Span{}, pdp.String, c.Input.AddText(strings.Repeat("\x01", pdp.MaxInput/4)))
	if _, err := c.Decide(); err != nil {
		t.Fatal(err)
	}
	c.End()
	if r := k.records[0]; r.Input != nil || r.Flags.Has(pdp.FlagInput) || r.Cut&pdp.CutInput == 0 {
		t.Fatalf("%d bytes, cut %b", len(r.Input), r.Cut)
	}
}

func TestOnlyAStrictEngineMindsARefusedRecord(t *testing.T) {
	for _, strict := range []bool{false, true} {
		e := start(t, engine.Options{Recorder: &keeper{refuse: true}, Strict: strict}, &script{match: permits})
		c := begin(t, e, 1)
		_, err := c.Decide()
		c.End()
		if strict != errors.Is(err, engine.ErrNotRecorded) {
			t.Fatalf("strict %t: %v", strict, err)
		}
	}
}

func TestDecisionsAreCounted(t *testing.T) {
	e := start(t, engine.Options{}, &script{match: permits})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 250 {
				decide(t, e)
			}
		})
	}
	wg.Wait()
	if n := e.Stats().Decisions(pdp.SurfaceNative, pdp.Allow); n != 1000 {
		t.Fatalf("%d counted", n)
	}
	if h := e.Stats().Evaluation(); h.Count != 1000 {
		t.Fatalf("%d evaluations timed", h.Count)
	}
}

func TestIDsAreVersion7AndDiffer(t *testing.T) {
	e := start(t, engine.Options{}, &script{match: permits})
	seen := map[[16]byte]bool{}
	for range 2000 {
		id := decide(t, e).ID
		if seen[id] || id[6]>>4 != 7 || id[8]>>6 != 2 {
			t.Fatalf("%x", id)
		}
		seen[id] = true
	}
}

// counts counts records and keeps none.
type counts struct{ n atomic.Uint64 }

func (c *counts) Record(pdp.Class, *pdp.Record) bool { c.n.Add(1); return true }

func TestADecisionAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	e := start(t, engine.Options{Recorder: &counts{}, Quarantine: quarantined("b"), Input: true}, &script{match: permits})
	one := func() {
		c, err := e.Begin(1)
		if err != nil {
			t.Fatal(err)
		}
		c.Req = pdp.Request{Input: &c.Input, SubjectType: "agent", SubjectID: "a", Action: "read"}
		c.Input.Add(pdp.Span{}, pdp.True, pdp.Span{})
		if d, err := c.Decide(); err != nil || !d.Allowed {
			t.Fatal(err)
		}
		c.End()
	}
	for range 100 {
		one()
	}
	if n := testing.AllocsPerRun(1000, one); n > 0 {
		t.Fatalf("%v allocations a decision", n)
	}
}

// A decision with an evaluator that costs nothing: what the engine itself adds.
//
//	go test -run - -bench Decide -count 10 ./pdp/engine | benchstat -
func BenchmarkDecide(b *testing.B) {
	e := start(b, engine.Options{Recorder: &counts{}}, &script{match: permits})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c, err := e.Begin(1)
			if err != nil {
				b.Fatal(err)
			}
			c.Req = pdp.Request{Input: &c.Input, SubjectID: "a", Action: "read"}
			if _, err := c.Decide(); err != nil {
				b.Fatal(err)
			}
			c.End()
		}
	})
}
