package rules_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"thymus/pdp"
	"thymus/rules"
	"thymus/test/harness"
)

// costly is a policy whose pattern costs more than one call may, for a text of 60,000 characters.
const costly = `{"policy_id":"costly","rules":[{"rule_id":"a","effect":"deny","conditions":[{"field":"resource","operator":"matches","value":"(ab?c?d?){200}z"}]},
{"rule_id":"b","effect":"allow","conditions":[{"field":"action","operator":"==","value":"read"}]}]}`

func costlyInput() string {
	return `{"action":{"name":"read"},"resource":{"id":"` + strings.Repeat("abcd", 15000) + `"},"subject":{"properties":{"role":"role1"}}}`
}

// TestAFaultOfOnePolicyIsTheSameByBothEngines lets a policy that lies apart fail, alone and together with Rego: topdown is
// asked about that policy only, and what the decision says is what topdown over everything says.
func TestAFaultOfOnePolicyIsTheSameByBothEngines(t *testing.T) {
	broken := stored("zz", "package policies.zz\n\nallow contains \"x\" if to_number(input.action.name) > 1\n")
	above := stored("aa", "package policies.aa\n\nallow contains \"x\" if to_number(input.action.name) > 1\n")
	for name, extra := range map[string][]rules.Source{"alone": nil, "with Rego behind": {broken}, "with Rego before": {above}} {
		t.Run(name, func(t *testing.T) {
			o := rules.Options{Builtin: true, Extra: append([]rules.Source{stored("costly", costly), stored("other", small("other", 1))}, extra...)}
			fast, slow := bothEngines(t, o)
			for range 2 {
				got, r := decide(t, fast, costlyInput())
				want, _ := decide(t, slow, costlyInput())
				if got.Fault != pdp.FaultBuiltin || got.Reason != want.Reason || got.Fault != want.Fault {
					t.Errorf("got  %s\nwant %s", got.Reason, want.Reason)
				}
				var places []string
				for _, f := range r.Faults {
					places = append(places, fast.Snapshot.Policies[f.Policy].ID)
				}
				if len(places) != 1+len(extra) {
					t.Errorf("faults of %v", places)
				}
			}
			if s := fast.Engine.Stats(); s.FellBack != 2 || s.Panicked != 0 {
				t.Errorf("%+v", s)
			}
			if got, _ := decide(t, fast, strings.Replace(costlyInput(), "abcdabcd", "", 14990)); got.Fault != pdp.NoFault && len(extra) == 0 {
				t.Errorf("a short text: %+v", got)
			}
		})
	}
}

// TestWhatIsCompiledWhenItIsNeededKeepsTheDeadline asks for a document of a large policy that lies apart, in less time
// than it takes to compile: the call ends with the deadline, and the compilation goes on for the next.
func TestWhatIsCompiledWhenItIsNeededKeepsTheDeadline(t *testing.T) {
	o := rules.Options{Extra: []rules.Source{stored("bench", structuredRules("deny", ">", 3000))}}
	set, err := rules.Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	q := set.Snapshot.Eval.Query([]string{"policies", "bench", "deny"})
	var b pdp.Budget
	var r pdp.Result
	b.Start(1)
	b.Expire(1)
	set.Snapshot.Eval.Value(q, tape(t, benchInput), false, &b, &r)
	if len(r.Faults) != 1 || r.Faults[0].Code != pdp.FaultDeadline {
		t.Fatalf("faults %v, defined %v", faultTexts(&r), r.Defined)
	}
	set.Snapshot.Eval.Value(q, tape(t, benchInput), false, nil, &r)
	if !r.Defined || len(r.Faults) > 0 {
		t.Fatalf("then: faults %v", faultTexts(&r))
	}
	at := harness.CPUTime(t)
	set.Snapshot.Eval.Value(q, tape(t, benchInput), false, nil, &r)
	if took := harness.CPUTime(t) - at; !r.Defined || took > time.Second {
		t.Errorf("again: %v of CPU", took)
	}
}

// TestManyAskForWhatLiesApartAtOnce evaluates, reads documents and loads at the same time: run with -race.
func TestManyAskForWhatLiesApartAtOnce(t *testing.T) {
	o := rules.Options{Builtin: true, Extra: []rules.Source{stored("costly", costly)}}
	for i := range 40 {
		id := fmt.Sprintf("p%02d", i)
		o.Extra = append(o.Extra, stored(id, small(id, i)))
	}
	ld := rules.NewLoader()
	set, err := ld.Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	in, long := tape(t, benchInput), tape(t, costlyInput())
	var done sync.WaitGroup
	for k := range 4 {
		done.Go(func() {
			var r pdp.Result
			for i := range 60 {
				set.Snapshot.Eval.Match(in, nil, &r)
				set.Snapshot.Eval.Match(long, nil, &r)
				path := []string{"policies", fmt.Sprintf("p%02d", (i+k)%40)}
				if i == 30 {
					path = path[:1]
				}
				if set.Snapshot.Eval.Value(set.Snapshot.Eval.Query(path), in, true, nil, &r); !r.Defined {
					t.Errorf("%v is undefined: %v", path, faultTexts(&r))
				}
			}
		})
	}
	for i := range 20 {
		o.Extra[1+i] = stored(o.Extra[1+i].ID, small(o.Extra[1+i].ID, 100+i))
		if _, err := ld.Load(t.Context(), o); err != nil {
			t.Error(err)
		}
	}
	done.Wait()
}

// TestTheShadowComparesWhatLiesApartWithEverythingInOne has topdown, over all policies compiled in one, answer what the
// native engine answered of pieces: numbers of rows and policies are the same.
func TestTheShadowComparesWhatLiesApartWithEverythingInOne(t *testing.T) {
	r := source{rand.New(rand.NewPCG(3, 9))}
	s := &shelf{r: r, list: map[string]rules.Source{"q": stored("q", regoTexts[5])}}
	for range 30 {
		s.change()
	}
	s.list["q"] = stored("q", regoTexts[5])
	o := s.options()
	o.ShadowRate, o.OnDifference = 1, rules.OnDifferenceTopdown
	o.Difference = func(d rules.Difference) { t.Errorf("%s: native %s, topdown %s", d.Input, d.Native, d.Topdown) }
	synctest.Test(t, func(t *testing.T) {
		set, err := rules.Load(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		matched := 0
		for range 40 {
			in := tape(t, jsonText(r.input()))
			if matches(set, in) != "" {
				matched++
			}
			synctest.Wait()
			var res pdp.Result
			set.Snapshot.Eval.Value(set.Snapshot.Eval.Query([]string{"policies", "p1"}), in, false, nil, &res)
			synctest.Wait()
		}
		if st := set.Engine.Stats(); st.Shadowed < 60 || st.Different > 0 || st.Unsteady > 0 || matched < 10 {
			t.Errorf("%d matched, %+v", matched, st)
		}
	})
}

// TestAnInputThatCannotBeReadCompilesNothing sends a number that no engine counts with: whoever can ask for a decision
// could otherwise have everything compiled in one for each set.
func TestAnInputThatCannotBeReadCompilesNothing(t *testing.T) {
	o := rules.Options{Builtin: true, Extra: []rules.Source{stored("costly", costly), stored("other", small("other", 1))}}
	ld := rules.NewLoader()
	set, err := ld.Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	o.Engine = rules.EngineTopdown
	top, err := rules.Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	const input = `{"action":{"name":"read","properties":{"n":1e99999}}}`
	got, r := decide(t, set, input)
	want, _ := decide(t, top, input)
	if got.Fault != pdp.FaultInput || got.Reason != want.Reason || len(r.Faults) != 1 {
		t.Errorf("got %s, want %s", got.Reason, want.Reason)
	}
	if n := ld.Stats().Wholes; n > 0 {
		t.Errorf("%d sets were compiled in one", n)
	}
}

// TestASetWhoseForerunnerWasAskedForInOneIsCompiledBeforeARequestWaits asks one set for a document of all policies. The
// next is then compiled in one by itself, and answers a call that has no time left to wait; the one behind it, since
// nobody asked the one before, is not.
func TestASetWhoseForerunnerWasAskedForInOneIsCompiledBeforeARequestWaits(t *testing.T) {
	o := rules.Options{}
	for i := range 50 {
		id := fmt.Sprintf("p%03d", i)
		o.Extra = append(o.Extra, stored(id, small(id, i)))
	}
	ld := rules.NewLoader()
	load := func(n int) *rules.Set {
		o.Extra[0] = stored("p000", small("p000", 1000+n))
		set, err := ld.Load(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	ask := func(set *rules.Set, b *pdp.Budget) (string, *pdp.Result) {
		var r pdp.Result
		set.Snapshot.Eval.Value(set.Snapshot.Eval.Query([]string{"policies"}), tape(t, benchInput), false, b, &r)
		return string(r.Out.AppendJSON(nil, 0)), &r
	}
	first := load(0)
	if got, r := ask(first, nil); !r.Defined || ld.Stats().Wholes != 1 {
		t.Fatal(got, faultTexts(r), ld.Stats())
	}
	second := load(1)
	for start := time.Now(); !rules.CompiledInOne(second); time.Sleep(time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatal("the second set is not compiled in one")
		}
	}
	third := load(2)
	if rules.CompilesInOne(third) || ld.Stats().Wholes != 2 {
		t.Errorf("a third was begun, of whose forerunner nobody asked: %+v", ld.Stats())
	}
	got, r := ask(second, nil)
	if want, _ := ask(load(1), nil); !r.Defined || got != want {
		t.Errorf("%s, %v, want %s", got, faultTexts(r), want)
	}
	runtime.KeepAlive(first)
}

// TestSetsThatWereReplacedAreNotCompiledInOne asks each of many sets for a document that only everything in one answers,
// and gives up at once: what is compiled is the first, perhaps one that came meanwhile, and the last.
func TestSetsThatWereReplacedAreNotCompiledInOne(t *testing.T) {
	o := rules.Options{}
	for i := range 200 {
		id := fmt.Sprintf("p%03d", i)
		o.Extra = append(o.Extra, stored(id, small(id, i)))
	}
	ld := rules.NewLoader()
	var expired pdp.Budget
	expired.Start(1)
	expired.Expire(1)
	var r pdp.Result
	for i := range 12 {
		o.Extra[0] = stored("p000", small("p000", 1000+i))
		set, err := ld.Load(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		budget := &expired
		if i == 11 {
			budget = nil
		}
		set.Snapshot.Eval.Value(set.Snapshot.Eval.Query([]string{"policies"}), tape(t, benchInput), false, budget, &r)
		set = nil
		runtime.GC()
	}
	if !r.Defined || len(r.Faults) > 0 {
		t.Errorf("of the last: %v", faultTexts(&r))
	}
	if n := ld.Stats().Wholes; n < 1 || n > 8 {
		t.Errorf("%d sets were compiled in one", n)
	}
}
