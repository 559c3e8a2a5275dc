package native_test

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"thymus/pdp"
	"thymus/rules/native"
	"thymus/test/harness"
)

// mergedSet is random rules of a merged set, as text, with what their elements stand for.
type mergedSet struct {
	bodies   []string
	elements []string // number of a row, or an array
}

func randomSet(a *author, rows int) mergedSet {
	var s mergedSet
	for range 8 + a.r.Intn(24) {
		a.try(func() {
			a.b.Reset()
			a.dispatchedRule("m", 0)
		})
	}
	for _, r := range strings.Split(a.text, "\nm contains ")[1:] {
		_, body, _ := strings.Cut(r, " if {\n")
		s.bodies = append(s.bodies, body)
		e := fmt.Sprint(a.r.Intn(rows))
		if a.chance(5) {
			e = fmt.Sprintf(`[%d, %d, {"rule": "made", "reason": sprintf("%%v", [%d]), "priority": %d}]`, a.r.Intn(2), 1+a.r.Intn(4), a.r.Intn(3), a.r.Intn(3))
		}
		s.elements = append(s.elements, e)
	}
	return s
}

func (s *mergedSet) module(order []int, extra string) string {
	var b strings.Builder
	b.WriteString("package thymus.match\n")
	for _, i := range order {
		fmt.Fprintf(&b, "m contains %s if {\n%s\n", s.elements[i], strings.TrimRight(s.bodies[i], "\n"))
	}
	return b.String() + extra
}

// answers is what Match finds, independent of order; rows are named by name.
func answers(e *native.Engine, in *pdp.Doc, name func(int32) string) string {
	var r pdp.Result
	e.Match(in, &pdp.Budget{}, &r)
	if len(r.Faults) > 0 {
		return "fault " + r.Faults[0].Code.String()
	}
	var out []string
	for _, m := range r.Matches {
		if m.Rule >= 0 {
			out = append(out, fmt.Sprint("row ", name(m.Rule)))
			continue
		}
		out = append(out, fmt.Sprintf("made %d %v %d %s %s", m.Policy, m.Effect, m.Priority, r.Out.Str(m.ID), r.Out.Str(m.Reason)))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// TestWhatMustNotMatterDoesNot shuffles rules, numbers rows otherwise, and adds rules that cannot match.
func TestWhatMustNotMatterDoesNot(t *testing.T) {
	const rows = 9
	matched, faults := 0, 0
	for seed := int64(1); seed <= 60; seed++ {
		a := &author{r: rand.New(rand.NewSource(seed)), text: "package t\n"}
		s := randomSet(a, rows)
		plain := make([]pdp.Match, rows)
		for i := range plain {
			plain[i] = pdp.Match{Rule: int32(i), Effect: pdp.Allow}
		}
		order := make([]int, len(s.bodies))
		for i := range order {
			order[i] = i
		}
		identity := func(i int32) string { return fmt.Sprint(i) }
		first, _ := mustCompile(t, map[string]string{"m.rego": s.module(order, "")}, native.Options{Sets: merged, Rows: plain})

		shuffled := a.r.Perm(len(order))
		second, _ := mustCompile(t, map[string]string{"m.rego": s.module(shuffled, "")}, native.Options{Sets: merged, Rows: plain})

		number := a.r.Perm(rows)
		renamed := mergedSet{bodies: s.bodies}
		for _, e := range s.elements {
			var n int
			if _, err := fmt.Sscanf(e, "%d", &n); err == nil {
				e = fmt.Sprint(number[n])
			}
			renamed.elements = append(renamed.elements, e)
		}
		third, _ := mustCompile(t, map[string]string{"m.rego": renamed.module(order, "")}, native.Options{Sets: merged, Rows: plain})
		back := func(i int32) string { return fmt.Sprint(slices.Index(number, int(i))) }

		unreachable := "m contains 0 if { input.a == \"nobody says this\"; input.e == 1 }\nm contains 1 if { input.a == 1; input.a == 2 }\n" +
			"m contains 2 if { input.never.there == 1 }\nm contains [0, 4, \"never\"] if { false }\n"
		fourth, _ := mustCompile(t, map[string]string{"m.rego": s.module(order, unreachable)}, native.Options{Sets: merged, Rows: plain})

		for range 12 {
			js := a.input()
			in := parse(t, js)
			want := answers(first, in, identity)
			if strings.HasPrefix(want, "fault") {
				faults++
			} else if want != "" {
				matched++
			}
			for i, got := range []string{answers(second, in, identity), answers(third, in, back), answers(fourth, in, identity)} {
				if got != want {
					t.Fatalf("seed %d, %s, input %s\nbefore %s\nafter  %s\n%s", seed, []string{"shuffled", "renumbered", "extended"}[i], js, want, got, s.module(order, ""))
				}
			}
		}
	}
	if matched < 100 {
		t.Errorf("only %d of the inputs matched anything, %d faults", matched, faults)
	}
}

func TestEqualElementsCountOnce(t *testing.T) {
	mod := `package thymus.match
m contains 0 if input.a
m contains 0 if input.b
m contains [0, 4, "made"] if input.a
m contains [0, 4, x] if { input.b; x := lower("MADE") }
m contains [0, 4, "other"] if input.b
m contains [0, 1, {"rule": "r", "extra": x}] if x := input.b
m contains [0, 2, "constant"] if input.b
`
	rows := []pdp.Match{{Rule: 0, Effect: pdp.Allow}, {Rule: 1, Effect: pdp.Warn}}
	e, _ := mustCompile(t, map[string]string{"m.rego": mod}, native.Options{Sets: merged, Rows: rows,
		Constants: []native.Constant{{Policy: 0, Effect: pdp.Warn, Value: ast.String("constant"), Row: 1}}})
	got := answers(e, parse(t, `{"a":1,"b":2}`), func(i int32) string { return fmt.Sprint(i) })
	if want := "made 0 allow 0 r ; made 0 deny 0 made ; made 0 deny 0 other ; row 0; row 1"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestElementsThatAreNoRulesAreFaults(t *testing.T) {
	for _, v := range []string{`1`, `""`, `{}`, `{"rule": ""}`, `{"rule": 1}`, `{"rule": "r", "name": 1}`, `{"rule": "r", "priority": "high"}`,
		`{"rule": "r", "priority": 1.5}`, `{"rule": "r", "guardrail": 1}`, `{"rule": "r", "reason": null}`, `["r"]`} {
		mod := "package thymus.match\nm contains [0, 4, x] if { input; x := " + v + " }\n"
		e, _ := mustCompile(t, map[string]string{"m.rego": mod}, native.Options{Sets: merged})
		if got := answers(e, parse(t, `{}`), nil); got != "fault shape" {
			t.Errorf("%s: %s", v, got)
		}
	}
}

// slow is a policy that would run for years.
const slow = `package thymus.match
m contains 0 if { some a in input.l; some b in input.l; some c in input.l; some d in input.l; some e in input.l; some f in input.l; a + b + c + d + e + f == -1 }
m contains 0 if { every a in input.l { count([b | some b in input.l; some c in input.l; some d in input.l; some e in input.l; b + c + d + e == a * -1]) == 0 } }
`

func TestTheDeadlineEndsAnEvaluation(t *testing.T) {
	e, _ := mustCompile(t, map[string]string{"m.rego": slow}, native.Options{Sets: merged, Rows: make([]pdp.Match, 1)})
	in := parse(t, `{"l":[`+ints(500)+`]}`)
	var b pdp.Budget
	b.Start(1)
	stop := time.AfterFunc(50*time.Millisecond, func() { b.Expire(1) })
	defer stop.Stop()
	over, still := harness.Moving(2 * time.Second)
	defer still()
	var r pdp.Result
	e.Match(in, &b, &r)
	if len(r.Faults) != 1 || r.Faults[0].Code != pdp.FaultDeadline || len(r.Matches) != 0 {
		t.Errorf("faults %v, matches %v", r.Faults, r.Matches)
	}
	select {
	case <-over:
		t.Error("took 2 s and more")
	default:
	}
	b.End()
	b.Start(2)
	e.Match(parse(t, `{"l":[]}`), &b, &r)
	if len(r.Faults) != 0 || len(r.Matches) != 1 {
		t.Errorf("after it: faults %v, matches %v", r.Faults, r.Matches)
	}
}

// TestManyAtOnce evaluates on one engine from several goroutines, with inputs whose memory is overwritten after the call.
func TestManyAtOnce(t *testing.T) {
	mod, rows := rbac(50)
	mod += `m contains [0, 4, {"rule": "dyn", "reason": r}] if { r := sprintf("%s is not %s", [input.subject.id, input.action.name]); input.context.risk > 2 }
`
	e, _ := mustCompile(t, map[string]string{"m.rego": mod}, native.Options{Sets: merged, Rows: rows})
	table, _ := mustCompile(t, map[string]string{"p.rego": tablePolicy}, native.Options{Data: tableData()})
	q := table.Query([]string{"pdp", "decision"})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			var r pdp.Result
			for i := range 300 {
				k := (g*7 + i) % 50
				in := parse(t, rbacInput(k))
				e.Match(in, &pdp.Budget{}, &r)
				clear(in.Text)
				if len(r.Matches) != 2 || len(r.Faults) != 0 {
					t.Errorf("matches %v, faults %v", r.Matches, r.Faults)
					return
				}
				for _, m := range r.Matches {
					if m.Rule >= 0 && m.Rule != int32(k) || m.Rule < 0 && r.Out.Str(m.Reason) != fmt.Sprintf("ops_agent is not act%d", k%7) {
						t.Errorf("asked for %d: %v, %s", k, m, r.Out.Text)
						return
					}
				}
				table.Value(q, parse(t, tableInput), false, &pdp.Budget{}, &r)
				if got := string(r.Out.AppendJSON(nil, 0)); got != `{"allow":true,"reasons":[],"roles":12}` {
					t.Errorf("table: %s", got)
					return
				}
			}
		})
	}
	wg.Wait()
}
