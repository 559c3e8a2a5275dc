package server_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thymus/pdp"
	"thymus/pdp/engine"
	"thymus/pdp/server"
	"thymus/pdp/wire"
	"thymus/rules"
)

// roleRules is a structured policy of n rules, each of which asks for a role and an action; the call matches the last.
func roleRules(tb testing.TB, n int) *pdp.Snapshot {
	tb.Helper()
	var b strings.Builder
	b.WriteString(`{"policy_id":"roles","rules":[`)
	for i := range n {
		action := fmt.Sprintf("action_%d", i)
		if i == n-1 {
			action = "read"
		}
		fmt.Fprintf(&b, `{"rule_id":"r%d","effect":"allow","conditions":[{"field":"agent_role","operator":"==","value":"operator"},{"field":"action","operator":"==","value":"%s"}]},`, i, action)
	}
	text := strings.TrimSuffix(b.String(), ",") + "]}"
	file := filepath.Join(tb.TempDir(), "roles.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	set, err := rules.Load(context.Background(), rules.Options{Paths: []string{file}, Builtin: true})
	if err != nil {
		tb.Fatal(err)
	}
	return set.Snapshot
}

// The whole decision in process, from the bytes of the request to those of the answer, and its parts.
//
//	go test -run - -bench Decision -count 10 ./pdp/server | benchstat -
func BenchmarkDecision(b *testing.B) {
	body := []byte(call)
	b.Run("decode", func(b *testing.B) {
		dec, peer := wire.NewDecoder(), &pdp.Peer{}
		var req pdp.Request
		b.ReportAllocs()
		for b.Loop() {
			if p := dec.Native(body, pdp.SurfaceNative, peer, &req); p != nil {
				b.Fatal(p)
			}
		}
	})
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			e := engine.New(engine.Options{Deadline: time.Second})
			defer e.Close()
			e.Activate(roleRules(b, n))
			dec, peer := wire.NewDecoder(), &pdp.Peer{}
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				c, err := e.Begin(1)
				if err != nil {
					b.Fatal(err)
				}
				if p := dec.Native(body, pdp.SurfaceNative, peer, &c.Req); p != nil {
					b.Fatal(p)
				}
				d, err := c.Decide()
				if err != nil || !d.Allowed {
					b.Fatalf("%v %+v", err, d)
				}
				out = wire.AppendResult(out[:0], d)
				c.End()
			}
		})
	}
}

// BenchmarkLoopback's measure with 100 real rules.
//
//	go test -run - -bench LoopbackRules -count 10 ./pdp/server | benchstat -
func BenchmarkLoopbackRules(b *testing.B) {
	p := start(b, func(_ *server.Options, o *engine.Options) { o.Deadline = time.Second }, nil)
	p.engine.Activate(roleRules(b, 100))
	againstEcho(b, p)
}
