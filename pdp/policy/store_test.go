package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"thymus/pdp"
	"thymus/pdp/policy"
)

func TestAChangeIsARevisionAnEventAndActive(t *testing.T) {
	b := open(t, &compiler{})
	p, err := b.Create(who, structured("p", `"name":"Pee","rules":["a"]`))
	if err != nil || p.Revision != 1 || p.UpdatedBy != "ci" || p.ReadOnly || p.Digest == "" {
		t.Fatalf("%v %+v", err, p)
	}
	if len(b.r.got) != 1 || b.r.got[0].Correlation != "req-1" || b.r.got[0].Key != "p" || b.r.got[0].Source != pdp.SourcePolicy {
		t.Fatalf("%+v", b.r.got)
	}
	p, made, err := b.Put(who, "p", structured("p", `"name":"Pee","default_effect":"deny","rules":["a","b"],"enabled":false`), nil)
	if err != nil || made || p.Revision != 2 || p.Enabled {
		t.Fatalf("%v %t %+v", err, made, p)
	}
	if err := b.Delete(who, "p", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get("p"); !errors.Is(err, policy.ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	if p, err = b.Rollback(who, "p", 1, nil); err != nil || p.Revision != 4 || p.Name != "Pee" || p.Rules != 1 {
		t.Fatalf("%v %+v", err, p)
	}
	want := []string{
		`policy.created {"policy_id":"p","name":"Pee","version":"","rules_count":1,"enabled":true}`,
		`policy.updated {"policy_id":"p","changes":{"enabled":{"old":true,"new":false},"default_effect":{"old":null,"new":"deny"},"rules":{"old_count":1,"new_count":2}}}`,
		`policy.deleted {"policy_id":"p","name":"Pee"}`,
		`policy.created {"policy_id":"p","name":"Pee","version":"","rules_count":1,"enabled":true}`,
	}
	if got := b.r.told(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	items, next, err := b.Revisions("p", 0, 3)
	if err != nil || next != 2 || len(items) != 3 || items[0].Action != policy.RolledBack || items[0].From != 1 || items[1].Action != policy.Deleted {
		t.Fatalf("%v %d %+v", err, next, items)
	}
	if items, next, err = b.Revisions("p", next, 3); err != nil || next != 0 || len(items) != 1 || items[0].Revision != 1 {
		t.Fatalf("%v %d %+v", err, next, items)
	}
}

func TestWhatIsStoredDecidesAfterARestart(t *testing.T) {
	b := open(t, &compiler{})
	for i := range 5 {
		if _, _, err := b.Put(who, fmt.Sprintf("p%d", i), structured(fmt.Sprintf("p%d", i), `"rules":["r"]`), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Delete(who, "p3", nil); err != nil {
		t.Fatal(err)
	}
	before := b.Active().Snapshot.Revision
	b.r.told()
	b.again(t)
	if got := b.Active().Snapshot.Revision; got != before || b.c.active.Snapshot.Revision != before {
		t.Fatalf("active\n%s\nwas\n%s", got, before)
	}
	for _, e := range b.r.told() {
		if !strings.Contains(e, `"p`) {
			t.Errorf("a start told %s", e)
		}
	}
	if p, err := b.Create(who, structured("p3", `"rules":[]`)); err != nil || p.Revision != 3 {
		t.Fatalf("revisions do not count on behind a deletion: %v %+v", err, p)
	}
}

func TestRefusalsChangeNothing(t *testing.T) {
	file := policy.Info{ID: "f", Enabled: true, Form: policy.Structured, Origin: "dir/f.json", Texts: []policy.Text{{Origin: "dir/f.json", Text: []byte(`{}`)}}}
	b := open(t, &compiler{files: []policy.Info{file}})
	if _, err := b.Create(who, structured("p", `"rules":["a"]`)); err != nil {
		t.Fatal(err)
	}
	b.r.told()
	active := b.Active()
	never := func(*policy.Policy) bool { return false }
	first := func(_ policy.Policy, err error) error { return err }
	put := func(_ policy.Policy, _ bool, err error) error { return err }
	var readOnly *policy.ReadOnlyError
	var field *policy.FieldError
	var problems policy.Problems
	for _, x := range []struct {
		name string
		err  error
		is   error
		as   any
		says string
	}{
		{"an id that exists", first(b.Create(who, structured("p", ""))), policy.ErrExists, nil, ""},
		{"an id of a file", first(b.Create(who, structured("f", ""))), nil, &readOnly, "dir/f.json"},
		{"replacing a file's policy", put(b.Put(who, "f", structured("f", ""), nil)), nil, &readOnly, "dir/f.json"},
		{"deleting a file's policy", b.Delete(who, "f", nil), nil, &readOnly, ""},
		{"deleting nothing", b.Delete(who, "x", nil), policy.ErrNotFound, nil, ""},
		{"a stale condition", put(b.Put(who, "p", structured("p", `"rules":["z"]`), never)), policy.ErrStale, nil, ""},
		{"a stale delete", b.Delete(who, "p", never), policy.ErrStale, nil, ""},
		{"what does not compile", put(b.Put(who, "p", structured("p", `"broken":"why"`), nil)), nil, &problems, "why"},
		{"what cannot be read", put(b.Put(who, "p", policy.Draft{Form: policy.Structured, Text: []byte("{")}, nil)), nil, &problems, ""},
		{"another policy's text", put(b.Put(who, "p", structured("q", ""), nil)), nil, &field, "policy q"},
		{"an id that is none", first(b.Create(who, structured("a/b", ""))), nil, &field, "letters"},
		{"the id of another resource", first(b.Create(who, structured("stats", ""))), nil, &field, "stats"},
		{"an empty part", first(b.Create(who, structured("a..b", ""))), nil, &field, "dots"},
		{"a revision that never was", first(b.Rollback(who, "p", 9, nil)), policy.ErrNoRevision, nil, ""},
		{"a policy that never was", first(b.Rollback(who, "x", 1, nil)), policy.ErrNotFound, nil, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			if x.is != nil && !errors.Is(x.err, x.is) || x.as != nil && !errors.As(x.err, x.as) || x.err == nil || !strings.Contains(x.err.Error(), x.says) {
				t.Fatalf("got %v", x.err)
			}
		})
	}
	if got := b.r.told(); len(got) != 0 || b.Active() != active {
		t.Fatalf("something changed: %v", got)
	}
	if err := b.Delete(who, "p", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Rollback(who, "p", 2, nil); !errors.Is(err, policy.ErrDeletion) {
		t.Fatalf("got %v", err)
	}
}

func TestAFullRingRefusesAChangeAndLeavesNoTrace(t *testing.T) {
	b := open(t, &compiler{})
	b.r.room = 0
	_, err := b.Create(who, structured("p", ""))
	wantErr(t, err, pdp.ErrNoRoom)
	if _, err := b.Get("p"); !errors.Is(err, policy.ErrNotFound) || len(b.c.history) != 1 {
		t.Fatalf("%v, active %d times", err, len(b.c.history))
	}
	b.r.room = 10
	b.again(t)
	if _, err := b.Get("p"); !errors.Is(err, policy.ErrNotFound) {
		t.Fatalf("the refused change is stored: %v", err)
	}
}

func TestASetThatCannotBePreparedIsNotStored(t *testing.T) {
	b := open(t, &compiler{})
	b.c.prepare = errors.New("disk")
	_, err := b.Create(who, structured("p", ""))
	wantErr(t, err, b.c.prepare)
	b.again(t)
	if _, err := b.Get("p"); !errors.Is(err, policy.ErrNotFound) {
		t.Fatal("it is stored")
	}
}

func TestTheSameAgainIsNoChange(t *testing.T) {
	b := open(t, &compiler{})
	for range 3 {
		if p, _, err := b.Put(who, "p", structured("p", `"rules":["a"]`), nil); err != nil || p.Revision != 1 {
			t.Fatalf("%v %+v", err, p)
		}
	}
	if got := b.r.told(); len(got) != 1 {
		t.Fatalf("told %v", got)
	}
}

func TestAReloadTellsWhatFilesChanged(t *testing.T) {
	file := func(id, text string) policy.Info {
		return policy.Info{ID: id, Enabled: true, Rules: 1, Form: policy.Structured, Origin: id + ".json", Texts: []policy.Text{{Origin: id + ".json", Text: []byte(text)}}}
	}
	b := open(t, &compiler{files: []policy.Info{file("a", `{"rules":["1"]}`), file("b", `{"rules":["1"]}`), file("c", `{"rules":["1"]}`)}})
	if got := b.r.told(); len(got) != 0 {
		t.Fatalf("a start told %v", got)
	}
	if _, changed, err := b.Reload(t.Context()); err != nil || changed {
		t.Fatalf("%t %v", changed, err)
	}
	b.c.files = []policy.Info{file("a", `{"rules":["1"] }`), file("b", `{"rules":["2"]}`), file("d", `{"rules":["1"]}`)}
	b.r.room = 0
	if _, changed, err := b.Reload(t.Context()); err != nil || !changed {
		t.Fatalf("%t %v", changed, err)
	}
	if _, err := b.Get("d"); err != nil {
		t.Fatal("a full ring keeps files from deciding")
	}
	b.r.room = 10
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`policy.updated {"policy_id":"b","changes":{"rules":{"old_count":1,"new_count":1}}}`,
		`policy.deleted {"policy_id":"c","name":"c"}`,
		`policy.created {"policy_id":"d","name":"d","version":"","rules_count":1,"enabled":true}`,
	}
	if got := b.r.told(); !slices.Equal(got, want) {
		t.Fatalf("got\n%s", strings.Join(got, "\n"))
	}
	if err := b.Flush(); err != nil || len(b.r.told()) != 0 {
		t.Fatalf("said again, or %v", err)
	}
}

func TestChangesThatWaitShareACompilationAndFailByThemselves(t *testing.T) {
	b := open(t, &compiler{})
	b.c.delay = make(chan struct{})
	const n = 64
	errs := make([]error, n)
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() {
			more := `"rules":["r"]`
			if i%16 == 7 {
				more = `"broken":"no"`
			}
			_, errs[i] = b.Create(who, structured(fmt.Sprintf("p%02d", i), more))
		})
	}
	close(b.c.delay) // by now some wait, or will
	done.Wait()
	for i, err := range errs {
		var p policy.Problems
		if bad := i%16 == 7; bad != (err != nil) || bad && (!errors.As(err, &p) || len(p) != 1 || p[0].Policy != fmt.Sprintf("p%02d", i)) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if items, _ := b.List("", 1000); len(items) != n-4 {
		t.Fatalf("%d policies", len(items))
	}
	if got := b.r.told(); len(got) != n-4 {
		t.Fatalf("%d events", len(got))
	}
}

func TestAModuleThatIsNoPolicyIsRefusedAndTakesNobodyWithIt(t *testing.T) {
	b := open(t, &compiler{})
	rego := func(id, more string) policy.Draft {
		return policy.Draft{Form: policy.Rego, Text: []byte("package policies." + id + "\n" + more)}
	}
	var refused policy.Problems
	if _, err := b.Create(who, rego("lib", "library")); !errors.As(err, &refused) || refused[0].Policy != "lib" {
		t.Fatalf("got %v", err)
	}
	if _, err := b.Create(who, rego("p", "")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Put(who, "p", rego("p", "library"), nil); !errors.As(err, &refused) {
		t.Fatalf("a policy became a library: %v", err)
	}
	b.c.delay = make(chan struct{})
	var errs [16]error
	var done sync.WaitGroup
	for i := range errs {
		done.Go(func() {
			_, errs[i] = b.Create(who, rego(fmt.Sprintf("q%02d", i), []string{"", "library"}[i%2]))
		})
	}
	close(b.c.delay) // by now some wait, or will
	done.Wait()
	for i, err := range errs {
		if bad := i%2 == 1; bad != errors.As(err, &refused) || !bad && err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	if items, _ := b.List("", 1000); len(items) != 9 || len(b.r.told()) != 9 {
		t.Fatalf("%d policies", len(items))
	}
}

func TestTheHalvesOfABatchSeeEachOther(t *testing.T) {
	b := open(t, &compiler{})
	if _, err := b.Create(who, structured("base", "")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(who, structured("user", `"needs":"base"`)); err != nil {
		t.Fatal(err)
	}
	var p policy.Problems
	if err := b.Delete(who, "base", nil); !errors.As(err, &p) || p[0].Policy != "user" {
		t.Fatalf("what another policy needs was deleted: %v", err)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	b := open(t, &compiler{})
	for i := range 120 {
		if _, _, err := b.Put(who, "p", structured("p", fmt.Sprintf(`"rules":["%d"]`, i)), nil); err != nil {
			t.Fatal(err)
		}
	}
	items, _, err := b.Revisions("p", 0, 1000)
	if err != nil || len(items) != 100 || items[0].Revision != 120 || items[99].Revision != 21 {
		t.Fatalf("%v, %d kept", err, len(items))
	}
	_, err = b.Rollback(who, "p", 20, nil)
	wantErr(t, err, policy.ErrNoRevision)
}

func TestListPages(t *testing.T) {
	b := open(t, &compiler{})
	for i := range 7 {
		if _, err := b.Create(who, structured(fmt.Sprintf("p%d", i), "")); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for next := ""; ; {
		items, more := b.List(next, 3)
		for _, p := range items {
			got = append(got, p.ID)
		}
		if next = more; next == "" {
			break
		}
	}
	if strings.Join(got, " ") != "p0 p1 p2 p3 p4 p5 p6" {
		t.Fatalf("got %v", got)
	}
}
