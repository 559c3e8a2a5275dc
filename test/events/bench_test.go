package events_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"thymus/emitter"
	"thymus/emitter/journal"
	"thymus/emitter/ring"
	"thymus/internal/health"
	"thymus/pdp"
	"thymus/pdp/engine"
	"thymus/pdp/server"
	"thymus/pdp/wire"
	"thymus/rules"
)

// recorded is an engine with 100 role rules, its decisions recorded or not; with quick a rule that is found at once.
func recorded(b *testing.B, events, quick bool) *engine.Engine {
	b.Helper()
	var text bytes.Buffer
	text.WriteString(`{"policy_id":"roles","rules":[`)
	for i := range 100 {
		action := fmt.Sprintf("action_%d", i)
		if i == 99 {
			action = "read"
		}
		fmt.Fprintf(&text, `{"rule_id":"r%d","effect":"allow","conditions":[{"field":"agent_role","operator":"==","value":"operator"},`+
			`{"field":"action","operator":"==","value":%q}]},`, i, action)
	}
	text.Truncate(text.Len() - 1)
	text.WriteString("]}")
	dir := b.TempDir()
	policy := filepath.Join(dir, "roles.json")
	if err := os.WriteFile(policy, text.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	set, err := rules.Load(context.Background(), rules.Options{Paths: []string{policy}, Builtin: true})
	if err != nil {
		b.Fatal(err)
	}
	snap := *set.Snapshot
	if quick {
		snap.Eval, snap.Entrypoint = oneRow{}, nil
	}
	o := engine.Options{Deadline: time.Second}
	if events {
		o.Recorder = record(b, dir, &snap)
	}
	e := engine.New(o)
	b.Cleanup(e.Close)
	e.Activate(&snap)
	return e
}

// record opens a ring on tmpfs and a journal on disk, with the pump between them running.
func record(b *testing.B, dir string, snap *pdp.Snapshot) *emitter.Recorder {
	b.Helper()
	revs, _, err := emitter.OpenRevisions(filepath.Join(dir, "revisions"))
	if err == nil {
		err = revs.Persist(snap)
	}
	if err != nil {
		b.Fatal(err)
	}
	folder, _ := ring.DefaultPath(dir)
	name, err := ring.FileName(dir)
	if err != nil {
		b.Fatal(err)
	}
	r, _, err := ring.Open(ring.Options{Path: folder, Name: name, Size: 32 << 20})
	if err != nil {
		b.Fatal(err)
	}
	j, _, err := journal.Open(journal.Options{Dir: filepath.Join(dir, "journal"), RetainSize: 512 << 20})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := emitter.Recover(r, j); err != nil {
		b.Fatal(err)
	}
	p := emitter.NewPump(emitter.PumpOptions{Ring: r, Journal: j, Instance: "bench", Rows: revs})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		for c, n := range r.Shed() {
			if n > 0 {
				b.Logf("%d of class %v were shed: faster than the pump can follow on these cores", n, pdp.Class(c))
			}
		}
		j.Close()
		r.Close()
		os.Remove(filepath.Join(folder, name))
	})
	return emitter.NewRecorder(r)
}

// oneRow is an evaluator that costs next to nothing.
type oneRow struct{ pdp.Evaluator }

func (oneRow) Match(_ *pdp.Doc, _ *pdp.Budget, r *pdp.Result) {
	r.Reset(64 << 10)
	r.Matches = append(r.Matches, pdp.Match{Rule: 3, Effect: pdp.Allow})
}

const question = `{"agent_id":"ops_agent","agent_role":"operator","action":"read","resource":"production_cluster","environment":{"region":"eu"}}`

// A decision in process with events on and off, pump and journal working beside it on the same cores. Halves alternate
// every 100 ms, so that whatever else the machine does falls on both. ratio is throughput with events to without.
//
//	go test -run - -bench DecisionRecorded -benchtime 10s -count 5 ./test/events
func BenchmarkDecisionRecorded(b *testing.B) {
	for _, quick := range []bool{false, true} {
		b.Run(map[bool]string{false: "topdown", true: "free"}[quick], func(b *testing.B) {
			halves := [2]*engine.Engine{recorded(b, false, quick), recorded(b, true, quick)}
			var spent [2]time.Duration
			var made [2]int
			dec, peer := wire.NewDecoder(), &pdp.Peer{}
			var out []byte
			turn, begun := 0, time.Now()
			for b.Loop() {
				c, err := halves[turn].Begin(1)
				if err != nil {
					b.Fatal(err)
				}
				if p := dec.Native([]byte(question), pdp.SurfaceNative, peer, &c.Req); p != nil {
					b.Fatal(p)
				}
				d, err := c.Decide()
				if err != nil || !d.Allowed {
					b.Fatal(err, d)
				}
				out = wire.AppendResult(out[:0], d)
				c.End()
				made[turn]++
				if made[turn]%64 == 0 {
					if d := time.Since(begun); d > 100*time.Millisecond {
						spent[turn] += d
						turn, begun = 1-turn, time.Now()
					}
				}
			}
			report(b, spent, made)
		})
	}
}

// The same over HTTP on loopback: 16 connections, client and server on the same cores.
//
//	go test -run - -bench HTTPRecorded -benchtime 10s -count 5 ./test/events
func BenchmarkHTTPRecorded(b *testing.B) {
	for _, quick := range []bool{false, true} {
		b.Run(map[bool]string{false: "topdown", true: "free"}[quick], func(b *testing.B) {
			var urls [2]string
			for i, events := range []bool{false, true} {
				s, err := server.New(server.Options{Engine: recorded(b, events, quick), Health: health.New(), Log: quiet{}})
				if err != nil {
					b.Fatal(err)
				}
				a, err := s.Listen("127.0.0.1:0", nil)
				if err != nil {
					b.Fatal(err)
				}
				s.Serve()
				b.Cleanup(func() { s.Close() })
				urls[i] = "http://" + a.String() + "/v1/evaluate"
			}
			client := &fasthttp.Client{MaxConnsPerHost: 64, NoDefaultUserAgentHeader: true}
			var spent [2]time.Duration
			var made [2]int
			b.ResetTimer()
			for turn := 0; spent[0]+spent[1] < b.Elapsed() || made[0]+made[1] < b.N; turn = 1 - turn {
				begun := time.Now()
				made[turn] += ask(b, client, urls[turn], 200*time.Millisecond)
				spent[turn] += time.Since(begun)
				if made[0]+made[1] >= b.N && turn == 1 {
					break
				}
			}
			report(b, spent, made)
		})
	}
}

func ask(b *testing.B, client *fasthttp.Client, url string, d time.Duration) (n int) {
	end := time.Now().Add(d)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			req.SetRequestURI(url)
			req.Header.SetMethod("POST")
			req.Header.SetContentType("application/json")
			req.SetBodyString(question)
			mine := 0
			for time.Now().Before(end) {
				if err := client.Do(req, res); err != nil || res.StatusCode() != 200 {
					b.Error(err, res.StatusCode())
					break
				}
				mine++
			}
			mu.Lock()
			n += mine
			mu.Unlock()
		})
	}
	wg.Wait()
	return n
}

func report(b *testing.B, spent [2]time.Duration, made [2]int) {
	off, on := float64(made[0])/spent[0].Seconds(), float64(made[1])/spent[1].Seconds()
	b.ReportMetric(off, "off/s")
	b.ReportMetric(on, "on/s")
	b.ReportMetric(on/off, "ratio")
}

type quiet struct{}

func (quiet) Warn(string, error) {}
