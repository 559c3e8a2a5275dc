package examples_test

import (
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	"thymus/pdp"
	"thymus/pdp/engine"
	"thymus/pdp/wire"
	"thymus/rules"
)

func TestEachSetPassesItsOwnTests(t *testing.T) {
	for _, dir := range []string{"todo", "agent-tools", "kubernetes-rbac"} {
		t.Run(dir, func(t *testing.T) {
			r, err := rules.Test(context.Background(), []string{dir}, rules.TestOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, res := range r.Tests {
				if res.Outcome != rules.Passed {
					t.Errorf("%+v", res)
				}
			}
			if n := r.Count(rules.Passed); n < 6 {
				t.Errorf("%d tests passed, at least 6 expected", n)
			}
		})
	}
}

// decider loads a set and answers AuthZEN bodies as the data plane does.
func decider(t *testing.T, dir string) *engine.Engine {
	t.Helper()
	set, err := rules.Load(context.Background(), rules.Options{Paths: []string{dir}, Builtin: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range set.Warnings() {
		t.Errorf("warning: %v", w)
	}
	e := engine.New(engine.Options{Deadline: time.Minute}) // however busy the machine is
	e.Activate(set.Snapshot)
	t.Cleanup(e.Close)
	return e
}

func TestTheTodoApplicationPassesTheWorkingGroupsVectors(t *testing.T) {
	b, err := os.ReadFile("todo/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Evaluation []struct {
			Request  json.RawMessage
			Expected bool
		}
		Evaluations []struct {
			Request  json.RawMessage
			Expected []struct{ Decision bool }
		}
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Evaluation) != 40 || len(v.Evaluations) != 3 {
		t.Fatalf("%d single and %d batch vectors, 40 and 3 expected", len(v.Evaluation), len(v.Evaluations))
	}
	e := decider(t, "todo")
	dec := wire.NewDecoder()
	defer dec.Release()
	for i, c := range v.Evaluation {
		call, err := e.Begin(1)
		if err != nil {
			t.Fatal(err)
		}
		if p := dec.Evaluation(c.Request, &pdp.Peer{}, &call.Req); p != nil {
			t.Fatalf("vector %d: %v", i, p)
		}
		if d, _ := call.Decide(); d.Allowed != c.Expected {
			t.Errorf("vector %d: %v, %v expected: %s", i, d.Allowed, c.Expected, c.Request)
		}
		call.End()
	}
	for i, c := range v.Evaluations {
		call, err := e.Begin(len(c.Expected))
		if err != nil {
			t.Fatal(err)
		}
		batch, p := dec.Evaluations(c.Request, &pdp.Peer{}, &call.Req)
		if p != nil || batch.Items != len(c.Expected) {
			t.Fatalf("batch %d: %+v %v", i, batch, p)
		}
		for j, want := range c.Expected {
			if p := dec.EvaluationItem(&call.Req); p != nil {
				t.Fatalf("batch %d item %d: %v", i, j, p)
			}
			if d, _ := call.Decide(); d.Allowed != want.Decision {
				t.Errorf("batch %d item %d: %v, %v expected", i, j, d.Allowed, want.Decision)
			}
		}
		call.End()
	}
}
