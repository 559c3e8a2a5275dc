package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"thymus/bench/load"
	"thymus/bench/workload"
	"thymus/pdp"
	"thymus/pdp/engine"
	"thymus/pdp/wire"
	"thymus/rules"
)

// library is what one decision costs where nothing travels: an engine in a process with its questions.
type library struct {
	Name   string  `json:"name"`
	Input  string  `json:"input"`  // what it is given
	CPU    float64 `json:"cpu_us"` // the whole process', the collector's share with it
	Allocs float64 `json:"allocs"`
	Bytes  float64 `json:"bytes"`
	Wrong  int     `json:"wrong"` // of all questions, once each
	Why    string  `json:"why,omitempty"`
}

// Inputs.
const (
	fromJSON = "JSON"
	fromOwn  = "its own values, made before"
)

// asker answers question i.
type asker func(i int) (bool, error)

// libraries measures every engine that speaks a case's language, one after another.
func (s *settings) libraries(w *workload.Workload, dir string) (ls []library) {
	folder := func(i int, languages ...string) (string, error) {
		at := filepath.Join(dir, fmt.Sprintf("library%d", i))
		if err := os.MkdirAll(at, 0o755); err != nil {
			return "", err
		}
		for _, language := range languages {
			if len(w.Policies[language]) == 0 {
				return "", errNotSaid
			}
			for _, f := range w.Policies[language] {
				if err := os.WriteFile(filepath.Join(at, f.Name), []byte(f.Text), 0o600); err != nil {
					return "", err
				}
			}
		}
		return at, nil
	}
	for i, c := range []struct {
		name, input string
		languages   []string
		open        func(dir string, w *workload.Workload) (asker, func(), error)
	}{
		{"thymus", fromJSON, []string{workload.Thymus}, openThymus},
		{"opa", fromJSON, []string{workload.Rego}, openOPA(false)},
		{"opa", fromOwn, []string{workload.Rego}, openOPA(true)},
		{"cedar-go", fromJSON, []string{workload.Cedar}, openDecider(newCedar, false)},
		{"cedar-go", fromOwn, []string{workload.Cedar}, openDecider(newCedar, true)},
		{"casbin", fromJSON, []string{workload.Casbin, workload.CasbinConf}, openDecider(newCasbin, false)},
		{"casbin", fromOwn, []string{workload.Casbin, workload.CasbinConf}, openDecider(newCasbin, true)},
		{"casbin, its cache of decisions", fromOwn, []string{workload.Casbin, workload.CasbinConf}, openDecider(newCachedCasbin, true)},
	} {
		if w.Size > 10_000 { // Casbin takes half a second a decision
			return nil
		}
		l := library{Name: c.name, Input: c.input}
		at, err := folder(i, c.languages...)
		if err == nil {
			err = l.measure(at, w, c.open)
		}
		if errors.Is(err, errNotSaid) {
			continue
		}
		if err != nil {
			l.Why = err.Error()
		}
		ls = append(ls, l)
		s.tell("%s of %d in process: %-30s from %-27s %9.2f µs  %8.1f allocations  wrong %d %s", w.Name, w.Size, l.Name, l.Input, l.CPU, l.Allocs, l.Wrong, l.Why)
	}
	return ls
}

// measure opens an engine, compares answers with the oracle's, and asks for a while.
func (l *library) measure(dir string, w *workload.Workload, open func(string, *workload.Workload) (asker, func(), error)) error {
	ask, done, err := open(dir, w)
	if err != nil {
		return err
	}
	defer done()
	checked := min(len(w.Requests), 1000)
	for i, began := 0, time.Now(); i < checked && time.Since(began) < 2*time.Second; i++ {
		got, err := ask(i)
		if err != nil {
			return err
		}
		if got != w.Requests[i].Allow {
			l.Wrong++
		}
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	spent, began, n := selfTime(), time.Now(), 0
	for ; n < 10 || time.Since(began) < 300*time.Millisecond; n++ {
		if _, err := ask(n % len(w.Requests)); err != nil {
			return err
		}
	}
	spent = selfTime() - spent
	runtime.ReadMemStats(&after)
	l.CPU, l.Allocs, l.Bytes = spent*1e6/float64(n), float64(after.Mallocs-before.Mallocs)/float64(n), float64(after.TotalAlloc-before.TotalAlloc)/float64(n)
	return nil
}

// bodies are the questions as a server finds them in a request.
func bodies(target load.Target, w *workload.Workload) ([][]byte, error) {
	cs, err := (&load.Encoder{Target: target, Endpoint: load.Endpoint{Network: "tcp", Address: "localhost"}}).Calls(w.Requests, true)
	if err != nil {
		return nil, err
	}
	out := make([][]byte, len(cs))
	for i, c := range cs {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(c.Wire)))
		if err == nil {
			out[i], err = io.ReadAll(r.Body)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// openThymus is the path from a call's bytes to the answer's, nothing recorded.
func openThymus(dir string, w *workload.Workload) (asker, func(), error) {
	set, err := rules.Load(context.Background(), rules.Options{Paths: []string{dir}, Builtin: true})
	if err != nil {
		return nil, nil, err
	}
	calls, err := bodies(load.Native, w)
	if err != nil {
		return nil, nil, err
	}
	e := engine.New(engine.Options{Deadline: time.Minute})
	e.Activate(set.Snapshot)
	dec, peer := wire.NewDecoder(), &pdp.Peer{}
	var out []byte
	return func(i int) (bool, error) {
		c, err := e.Begin(1)
		if err != nil {
			return false, err
		}
		defer c.End()
		if p := dec.Native(calls[i], pdp.SurfaceNative, peer, &c.Req); p != nil {
			return false, errors.New("the call was refused")
		}
		d, err := c.Decide()
		if err != nil {
			return false, err
		}
		out = wire.AppendResult(out[:0], d)
		return d.Effect.Permits(), nil
	}, func() { e.Close() }, nil
}

// openOPA is a prepared query, asked with parsed values or with JSON.
func openOPA(parsed bool) func(string, *workload.Workload) (asker, func(), error) {
	return func(dir string, w *workload.Workload) (asker, func(), error) {
		ctx := context.Background()
		q, err := rego.New(rego.Query("data.bench.allow"), rego.Load([]string{dir}, nil)).PrepareForEval(ctx)
		if err != nil {
			return nil, nil, err
		}
		calls, err := bodies(load.OPA, w)
		if err != nil {
			return nil, nil, err
		}
		inputs := make([]ast.Value, len(calls))
		read := func(i int) (ast.Value, error) {
			var c struct{ Input any }
			d := json.NewDecoder(bytes.NewReader(calls[i]))
			d.UseNumber()
			if err := d.Decode(&c); err != nil {
				return nil, err
			}
			return ast.InterfaceToValue(c.Input)
		}
		if parsed {
			for i := range calls {
				if inputs[i], err = read(i); err != nil {
					return nil, nil, err
				}
			}
		}
		return func(i int) (bool, error) {
			in := inputs[i]
			if in == nil {
				var err error
				if in, err = read(i); err != nil {
					return false, err
				}
			}
			rs, err := q.Eval(ctx, rego.EvalParsedInput(in))
			return rs.Allowed(), err
		}, func() {}, nil
	}
}

// openDecider is one of the libraries that our small servers hold.
func openDecider(open func(string) (decider, error), parsed bool) func(string, *workload.Workload) (asker, func(), error) {
	return func(dir string, w *workload.Workload) (asker, func(), error) {
		d, err := open(dir)
		if err != nil {
			return nil, nil, err
		}
		calls, err := bodies(load.Native, w)
		if err != nil {
			return nil, nil, err
		}
		prepare := func(i int) (func() (bool, error), error) {
			var c call
			if err := json.Unmarshal(calls[i], &c); err != nil {
				return nil, err
			}
			return d(&c)
		}
		ready := make([]func() (bool, error), len(calls))
		if parsed {
			for i := range calls {
				if ready[i], err = prepare(i); err != nil {
					return nil, nil, err
				}
			}
		}
		return func(i int) (bool, error) {
			decide := ready[i]
			if decide == nil {
				var err error
				if decide, err = prepare(i); err != nil {
					return false, err
				}
			}
			return decide()
		}, func() {}, nil
	}
}
