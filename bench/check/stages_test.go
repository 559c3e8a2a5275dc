package check_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"thymus/bench/load"
	"thymus/bench/workload"
	"thymus/emitter"
	"thymus/emitter/ring"
	"thymus/pdp"
	"thymus/pdp/engine"
	"thymus/pdp/wire"
	"thymus/rules"
)

// stage is one part of the request path with what it is fed.
type stage struct {
	name     string
	workload string
	size     int
	target   load.Target
	recorded bool // into a ring
}

func stages() []stage {
	return []stage{
		{"rbac of 10, native", "rbac", 10, load.Native, false},
		{"rbac of 100, native", "rbac", 100, load.Native, false},
		{"rbac of 1000, native", "rbac", 1000, load.Native, false},
		{"rbac of 100, AuthZEN", "rbac", 100, load.AuthZEN, false},
		{"rbac of 100, native, recorded", "rbac", 100, load.Native, true},
		{"denials of 100, native", "denials", 100, load.Native, false},
		{"abac of 100, native", "abac", 100, load.Native, false},
		{"rebac of 100, native", "rebac", 100, load.Native, false},
		{"tools of 20, native", "tools", 20, load.Native, false},
		{"proxy of 100, native", "proxy", 100, load.Native, false},
	}
}

// prepare makes the stage ready and gives one round of it: all requests of the workload once, each answer checked. close
// ends what it started.
func (s *stage) prepare(t testing.TB) (round func(), calls int, closing func()) {
	t.Helper()
	w, err := workload.Make(s.workload, s.size, 100, 1)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range w.Policies[workload.Thymus] {
		if err := os.WriteFile(filepath.Join(dir, f.Name), []byte(f.Text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := rules.Load(context.Background(), rules.Options{Paths: []string{dir}, Builtin: true})
	if err != nil {
		t.Fatal(err)
	}
	o := engine.Options{Deadline: time.Minute}
	drain := func() {}
	closing = func() {}
	if s.recorded {
		r, _, err := ring.Open(ring.Options{Size: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		set.Snapshot.Seq = 1
		o.Recorder = emitter.NewRecorder(r)
		drain = func() {
			_, next := r.Poll(1<<30, func(uint64, pdp.Class, []byte) {})
			r.Advance(next)
		}
		closing = func() { r.Close() }
	}
	e := engine.New(o)
	e.Activate(set.Snapshot)
	end := closing
	closing = func() {
		e.Close()
		end()
	}
	bodies := s.bodies(t, w)
	dec := wire.NewDecoder()
	peer := &pdp.Peer{}
	var out []byte
	return func() {
		for i, body := range bodies {
			c, err := e.Begin(1)
			if err != nil {
				t.Fatal(err)
			}
			var p *wire.Problem
			if s.target == load.AuthZEN {
				p = dec.Evaluation(body, peer, &c.Req)
			} else {
				p = dec.Native(body, pdp.SurfaceNative, peer, &c.Req)
			}
			if p != nil {
				t.Fatal(p)
			}
			d, err := c.Decide()
			if err != nil {
				t.Fatal(err)
			}
			if out = wire.AppendResult(out[:0], d); d.Effect.Permits() != w.Requests[i].Allow {
				t.Fatalf("%s: %s, the oracle says otherwise", body, out)
			}
			c.End()
		}
		drain()
	}, len(bodies), closing
}

// bodies are the calls as a server gets them from its HTTP parser.
func (s *stage) bodies(t testing.TB, w *workload.Workload) [][]byte {
	cs, err := (&load.Encoder{Target: s.target, Endpoint: load.Endpoint{Network: "tcp", Address: "localhost"}}).Calls(w.Requests, true)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for _, c := range cs {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(c.Wire)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, body)
	}
	return out
}
