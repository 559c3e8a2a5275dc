package workload_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/rego"

	"thymus/bench/workload"
	"thymus/pdp"
	"thymus/pdp/engine"
	"thymus/pdp/wire"
	"thymus/rules"
)

// each runs f for every workload at a small size.
func each(t *testing.T, f func(t *testing.T, w *workload.Workload)) {
	names, _ := workload.Names()
	if len(names) < 6 {
		t.Fatalf("only %v", names)
	}
	for _, n := range names {
		for _, size := range []int{1, 25} {
			w, err := workload.Make(n, size, 300, 7)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(fmt.Sprintf("%s of %d", n, size), func(t *testing.T) { f(t, w) })
		}
	}
}

// write puts a policy's files into a folder.
func write(t *testing.T, fs []workload.File) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range fs {
		if err := os.WriteFile(filepath.Join(dir, f.Name), []byte(f.Text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

type object = map[string]any

func raw(m json.RawMessage) any {
	if m == nil {
		return object{}
	}
	return m
}

func TestThymusAnswersAsTheOracle(t *testing.T) {
	each(t, func(t *testing.T, w *workload.Workload) {
		set, err := rules.Load(context.Background(), rules.Options{Paths: []string{write(t, w.Policies[workload.Thymus])}})
		if err != nil {
			t.Fatal(err)
		}
		e := engine.New(engine.Options{Deadline: time.Minute})
		defer e.Close()
		e.Activate(set.Snapshot)
		for i, r := range w.Requests {
			o := object{"agent_id": r.Subject, "action": r.Action, "resource": r.Resource, "params": raw(r.Params), "environment": raw(r.Context)}
			if r.Role != "" {
				o["agent_role"] = r.Role
			}
			body, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			c, err := e.Begin(1)
			if err != nil {
				t.Fatal(err)
			}
			if p := wire.NewDecoder().Native(body, pdp.SurfaceNative, nil, &c.Req); p != nil {
				t.Fatal(p)
			}
			d, err := c.Decide()
			if err != nil {
				t.Fatal(err)
			}
			if d.Effect.Permits() != r.Allow || strings.HasPrefix(d.Reason, "Evaluation error") {
				t.Fatalf("request %d, %s: got %s (%s), the oracle says %v", i, body, d.Effect, d.Reason, r.Allow)
			}
			c.End()
		}
	})
}

func TestOPAAnswersAsTheOracle(t *testing.T) {
	each(t, func(t *testing.T, w *workload.Workload) {
		q, err := rego.New(rego.Query("data.bench.allow"), rego.Load([]string{write(t, w.Policies[workload.Rego])}, nil)).PrepareForEval(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range w.Requests {
			properties := object{}
			if r.Role != "" {
				properties["role"] = r.Role
			}
			text, err := json.Marshal(object{"subject": object{"type": "agent", "id": r.Subject, "properties": properties},
				"action": object{"name": r.Action, "properties": raw(r.Params)}, "resource": object{"type": r.Type, "id": r.Resource}, "context": raw(r.Context)})
			if err != nil {
				t.Fatal(err)
			}
			var input any
			if err := json.Unmarshal(text, &input); err != nil {
				t.Fatal(err)
			}
			rs, err := q.Eval(context.Background(), rego.EvalInput(input))
			if err != nil || len(rs) != 1 {
				t.Fatalf("request %d: %v %v", i, rs, err)
			}
			if rs[0].Expressions[0].Value != r.Allow {
				t.Fatalf("request %d, %s: got %v, the oracle says %v", i, text, rs[0].Expressions[0].Value, r.Allow)
			}
		}
	})
}

func TestBothAnswersOccur(t *testing.T) {
	for n, bounds := range map[string][2]float64{"abac": {0.1, 0.6}, "denials": {0.05, 0.15}, "proxy": {0.5, 0.95}, "rbac": {0.6, 0.8},
		"rebac": {0.02, 0.9}, "tools": {0.3, 0.8}} {
		w, err := workload.Make(n, 100, 4096, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.Allowed(); got < bounds[0] || got > bounds[1] {
			t.Errorf("%s: %.2f are allowed, expected %.2f to %.2f", n, got, bounds[0], bounds[1])
		}
	}
}

func TestEqualSeedsMakeEqualWorkloads(t *testing.T) {
	each(t, func(t *testing.T, w *workload.Workload) {
		again, err := workload.Make(w.Name, w.Size, len(w.Requests), w.Seed)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(w, again) {
			t.Error("the same seed made another workload")
		}
		other, err := workload.Make(w.Name, w.Size, len(w.Requests), w.Seed+1)
		if err != nil {
			t.Fatal(err)
		}
		if reflect.DeepEqual(w.Requests, other.Requests) {
			t.Error("another seed made the same requests")
		}
	})
}

func TestTheLargestCanBeMade(t *testing.T) {
	for n, size := range map[string]int{"rbac": 100_000, "denials": 10_000, "proxy": 1000, "abac": 10_000, "rebac": 10_000, "tools": 100} {
		w, err := workload.Make(n, size, 100, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(w.Requests) != 100 || len(w.Policies[workload.Rego]) == 0 || len(w.Policies[workload.Thymus]) == 0 || len(w.Policies[workload.Cedar]) == 0 {
			t.Errorf("%s of %d is not whole", n, size)
		}
	}
}

func TestWhatCannotBeMadeIsRefused(t *testing.T) {
	for _, c := range []struct {
		name           string
		size, requests int
		want           string
	}{{"acl", 1, 1, "workload"}, {"rbac", 0, 1, "size"}, {"rbac", 1_000_000, 1, "size"}, {"rbac", 1, 0, "requests"}} {
		if _, err := workload.Make(c.name, c.size, c.requests, 1); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%+v: got %v, expected an error about %s", c, err, c.want)
		}
	}
}
