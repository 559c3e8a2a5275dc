package rules_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"thymus/pdp"
	"thymus/rules"
)

// regoTexts are modules that look at structured policies, lie beside and below them, fail, or do none of that.
var regoTexts = []string{
	"package policies.q\n\nallow contains \"plain\" if input.subject.properties.role == \"admin\"\n",
	"package policies.q\n\nimport data.policies.p1\n\nallow contains \"sees p1\" if count(p1.deny) > 0\n",
	"package policies.q\n\ndeny contains \"broken\" if to_number(input.action.name) > 1\n\nwarn contains {\"rule\": x} if x := input.top\n",
	"package policies.q\n\nallow contains \"of the library\" if data.lib.someone\n",
	"package policies.q\n\naudit contains r if some r in data.policies[data.names.one].audit\n", // not known which: recursion, refused
	"package policies.q\n\ndeny contains {\"rule\": \"dynamic\", \"reason\": concat(\" \", [\"saw\", input.action.name])} if input.top\n",
}

// shelf is the sources of a set that changes.
type shelf struct {
	r    source
	list map[string]rules.Source
	n    int
}

var shelfIDs = []string{"p0", "p1", "p2", "p3", "p4", "p4.sub", "p5.x.y", "p-6", "P7"}

// change puts, switches or removes one policy.
func (s *shelf) change() {
	s.n++
	id := pick(s.r, append(slices.Clone(shelfIDs), "q", "q")...)
	was, there := s.list[id]
	switch k := s.r.IntN(10); {
	case there && k < 2:
		delete(s.list, id)
	case there && k < 3:
		was.Disabled = !was.Disabled
		s.list[id] = was
	case id == "q":
		s.list[id] = stored(id, pick(s.r, regoTexts...))
	default:
		var list []oracleRule
		for i := range 1 + s.r.IntN(4) {
			list = append(list, s.r.rule(i))
		}
		s.list[id] = stored(id, jsonText(map[string]any{"policy_id": id, "version": fmt.Sprint(s.n), "rules": list}))
	}
}

func (s *shelf) options() rules.Options {
	o := rules.Options{Builtin: true}
	for _, id := range sorted(s.list) {
		o.Extra = append(o.Extra, s.list[id])
	}
	s.r.Shuffle(len(o.Extra), func(i, j int) { o.Extra[i], o.Extra[j] = o.Extra[j], o.Extra[i] })
	return o
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// TestASetThatChangedOftenIsTheSetLoadedFromNothing changes one policy at a time and compares what a Loader makes of it
// with the whole loaded by itself, and with topdown over everything compiled in one: rows, warnings, decisions with
// their reasons, faults included, and documents.
func TestASetThatChangedOftenIsTheSetLoadedFromNothing(t *testing.T) {
	r := source{rand.New(rand.NewPCG(7, 11))}
	s := &shelf{r: r, list: map[string]rules.Source{}}
	files := dir(t, map[string]string{"lib.rego": "package lib\n\nsomeone if data.policies.p2.warn[_]\n", "names.json": `{"names":{"one":"p3"}}`})
	ld := rules.NewLoader()
	loaded, refused, fellBack, faults := 0, 0, uint64(0), 0
	for n := range 200 {
		s.change()
		o := s.options()
		o.Paths = []string{files}
		got, err := ld.Load(t.Context(), o)
		fresh, wantErr := rules.Load(t.Context(), o)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("change %d: got %v\nwant %v", n, err, wantErr)
		}
		o.Engine = rules.EngineTopdown
		if err != nil {
			if _, topErr := rules.Load(t.Context(), o); fmt.Sprint(topErr) != fmt.Sprint(err) {
				t.Fatalf("change %d: got %v\nby topdown %v", n, err, topErr)
			}
			refused++
			delete(s.list, "q")
			continue
		}
		loaded++
		sets := []*rules.Set{fresh}
		if n%4 == 0 {
			top, err := rules.Load(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			sets = append(sets, top)
		}
		for _, want := range sets {
			sameSets(t, n, got, want)
			for range 12 {
				text := jsonText(r.input())
				a, ra := decide(t, got, text)
				b, _ := decide(t, want, text)
				if a.Effect != b.Effect || a.Reason != b.Reason || a.Fault != b.Fault || a.Policy != b.Policy || a.Rule != b.Rule || a.Row != b.Row ||
					a.Audit != b.Audit || !slices.Equal(a.Warnings, b.Warnings) || !slices.Equal(a.WarnRows, b.WarnRows) {
					t.Fatalf("change %d, input %s:\ngot  %+v\nwant %+v\nsources %s", n, text, a, b, texts(o))
				}
				if len(ra.Faults) > 0 {
					faults++
				}
			}
		}
		if n%10 == 0 {
			sameDocuments(t, n, got, sets[len(sets)-1], jsonText(r.input()))
		}
		fellBack += got.Engine.Stats().FellBack
	}
	t.Logf("%d loaded, %d refused, %d decisions failed, %d fell back: %+v", loaded, refused, faults, fellBack, ld.Stats())
	if loaded < 120 || refused == 0 || faults == 0 || fellBack == 0 {
		t.Error("too little happened to say anything")
	}
	if c := ld.Stats(); c.Worlds > uint64(loaded*3/4) || c.Policies > 200 {
		t.Errorf("too much was compiled again: %+v", c)
	}
}

func infos(set *rules.Set) (out []rules.PolicyInfo) {
	for _, p := range set.Policies {
		out = append(out, *p)
	}
	return out
}

func texts(o rules.Options) string {
	var all []string
	for _, s := range o.Extra {
		all = append(all, string(s.Text))
	}
	return strings.Join(all, "\n")
}

func sameSets(t *testing.T, n int, got, want *rules.Set) {
	t.Helper()
	if got.Snapshot.Revision != want.Snapshot.Revision || got.Snapshot.Default != want.Snapshot.Default {
		t.Fatalf("change %d: revision %s, %v, want %s, %v", n, got.Snapshot.Revision, got.Snapshot.Default, want.Snapshot.Revision, want.Snapshot.Default)
	}
	for _, x := range [][2]any{{got.Snapshot.Rules, want.Snapshot.Rules}, {got.Snapshot.Policies, want.Snapshot.Policies},
		{infos(got), infos(want)}, {got.Warnings(), want.Warnings()}} {
		if fmt.Sprintf("%+v", x[0]) != fmt.Sprintf("%+v", x[1]) {
			t.Fatalf("change %d:\ngot  %+v\nwant %+v", n, x[0], x[1])
		}
	}
	if !slices.IsSortedFunc(got.Snapshot.Rules, pdp.CompareRules) {
		t.Fatalf("change %d: rows are not in order", n)
	}
}

// sameDocuments compares documents, those of packages and of all that lies below data included.
func sameDocuments(t *testing.T, n int, got, want *rules.Set, input string) {
	t.Helper()
	paths := [][]string{nil, {"policies"}, {"policies", "p5"}, {"policies", "p5", "x"}, {"policies", "", "p1"}, {"policies", "q", "allow"}, {"names"},
		{"policies", "p1", "deny", "0"}, {"policies", "0"}, {"nowhere"}, {"policies", "p4.sub"}, {"lib", "someone"}}
	for _, id := range shelfIDs {
		at := append([]string{"policies"}, strings.Split(id, ".")...)
		paths = append(paths, at, append(slices.Clone(at), "deny"), append(slices.Clone(at), "odd"))
	}
	for _, path := range paths {
		for _, strict := range []bool{false, true} {
			if a, b := documentText(t, got, path, strict, input), documentText(t, want, path, strict, input); a != b {
				t.Fatalf("change %d, data.%s, strict %v with %s:\ngot  %s\nwant %s", n, strings.Join(path, "."), strict, input, a, b)
			}
		}
		if a, b := got.Defines(strings.Join(path, "/")), want.Defines(strings.Join(path, "/")); a != b {
			t.Fatalf("change %d: data.%s is defined: %v, want %v", n, strings.Join(path, "."), a, b)
		}
	}
}

func documentText(t *testing.T, set *rules.Set, path []string, strict bool, input string) string {
	t.Helper()
	var r pdp.Result
	set.Snapshot.Eval.Value(set.Snapshot.Eval.Query(path), tape(t, input), strict, nil, &r)
	text := rules.ResultText(true, &r)
	for _, f := range r.Faults {
		text += fmt.Sprintf(" %d %v %s", f.Policy, f.Code, r.Out.Str(f.Msg))
	}
	return text
}

func TestWhatDidNotChangeIsNotCompiledAgain(t *testing.T) {
	o := rules.Options{Builtin: true}
	for i := range 50 {
		id := fmt.Sprintf("p%02d", i)
		o.Extra = append(o.Extra, stored(id, small(id, i)))
	}
	o.Extra = append(o.Extra, stored("seen", small("seen", 1)), stored("q", "package policies.q\n\nallow contains \"r\" if count(data.policies.seen.deny) == 3\n"))
	ld := rules.NewLoader()
	var before rules.LoaderStats
	for _, c := range []struct {
		name   string
		change func()
		want   rules.LoaderStats
	}{
		{"everything is new", func() {}, rules.LoaderStats{Sets: 1, Policies: 52, Modules: 2, Worlds: 1}},
		{"nothing is new", func() {}, rules.LoaderStats{Sets: 1}},
		{"one policy", func() { o.Extra[7] = stored("p07", small("p07", 99)) }, rules.LoaderStats{Sets: 1, Policies: 1}},
		{"one is gone", func() { o.Extra = slices.Delete(o.Extra, 3, 4) }, rules.LoaderStats{Sets: 1}},
		{"another order", func() { slices.Reverse(o.Extra) }, rules.LoaderStats{Sets: 1}},
		{"one is switched off", func() { o.Extra[20].Disabled = true }, rules.LoaderStats{Sets: 1, Policies: 1}},
		{"one that Rego looks at", func() { o.Extra[1] = stored("seen", small("seen", 2)) }, rules.LoaderStats{Sets: 1, Policies: 1, Worlds: 1}},
		{"Rego", func() { o.Extra[0] = stored("q", "package policies.q\n\nallow contains \"r\" if input.x\n") }, rules.LoaderStats{Sets: 1, Modules: 1, Worlds: 1}},
	} {
		c.change()
		if _, err := ld.Load(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		now := ld.Stats()
		got := rules.LoaderStats{Sets: now.Sets - before.Sets, Policies: now.Policies - before.Policies, Modules: now.Modules - before.Modules, Worlds: now.Worlds - before.Worlds}
		if before = now; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
