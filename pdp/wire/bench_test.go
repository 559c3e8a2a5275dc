package wire_test

import (
	"testing"

	"thymus/pdp"
	"thymus/pdp/wire"
)

// What is measured here is compared with:
//
//	go test ./pdp/wire -run '^$' -bench . -benchmem -count 10 > new.txt && benchstat old.txt new.txt

const (
	native150 = `{"agent_id":"ops_agent","agent_role":"operator","action":"deploy_application","resource":"production_cluster",` +
		`"environment":{"tls":true},"params":{}}`
	authzen200 = `{"subject":{"type":"user","id":"CiRmZDA2MTRkMy1jMzlhLTQ3ODEtYjdi"},"action":{"name":"can_update_todo"},` +
		`"resource":{"type":"todo","id":"7240d0db","properties":{"ownerID":"rick@the-citadel.com"}}}`
	native1 = `{"evaluations":[` + native150 + `,` + native150 + `]}`
	batch2  = `{` + alice + `,` + read + `,"evaluations":[{` + record + `},{` + record + `,"context":{"a":1}}]}`
	data1   = `{"input":{"user":"alice","roles":["a","b"],"method":"GET"}}`
)

func result() *pdp.Decision {
	return &pdp.Decision{Allowed: true, Effect: pdp.Allow, Matched: true, Policy: "production_safety", Rule: "operator_deploys",
		Reason: "Allowed by rule 'Operators Deploy'", Revision: "0123456789abcdef0123456789abcdef"}
}

func operations() map[string]func(t testing.TB) {
	d := wire.NewDecoder()
	var req pdp.Request
	unix := &pdp.Peer{Unix: true, HasCred: true, UID: 1000, GID: 1000, PID: 4242, Principal: "spiffe://x"}
	buf := make([]byte, 0, 4096)
	dec := result()
	var (
		native, single       = []byte(native150), []byte(authzen200)
		two, defaults, input = []byte(native1), []byte(batch2), []byte(data1)
	)
	must := func(t testing.TB, p *wire.Problem) {
		if p != nil {
			t.Fatal(p)
		}
	}
	return map[string]func(t testing.TB){
		"DecodeNative":     func(t testing.TB) { must(t, d.Native(native, pdp.SurfaceNative, nil, &req)) },
		"DecodeNativeUnix": func(t testing.TB) { must(t, d.Native(native, pdp.SurfaceNative, unix, &req)) },
		"DecodeAuthZEN":    func(t testing.TB) { must(t, d.Evaluation(single, nil, &req)) },
		"DecodeNativeBatch2": func(t testing.TB) {
			n, p := d.NativeBatch(two, pdp.SurfaceNative, nil)
			must(t, p)
			for range n {
				must(t, d.NativeItem(&req))
			}
		},
		"DecodeAuthZENBatch2": func(t testing.TB) {
			b, p := d.Evaluations(defaults, nil, &req)
			must(t, p)
			for range b.Items {
				must(t, d.EvaluationItem(&req))
			}
		},
		"DecodeData": func(t testing.TB) {
			if e := d.Data(nil, input, subjectID, &req); e != nil {
				t.Fatal(e)
			}
		},
		"EncodeNative":  func(testing.TB) { buf = wire.AppendResult(buf[:0], dec) },
		"EncodeAuthZEN": func(testing.TB) { buf = wire.AppendDecision(buf[:0], dec, true) },
	}
}

func TestNothingIsAllocatedAfterWarmUp(t *testing.T) {
	for name, op := range operations() {
		if n := testing.AllocsPerRun(200, func() { op(t) }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// go test ./pdp/wire -run '^$' -bench Wire -benchmem -count 10 | benchstat -
func BenchmarkWire(b *testing.B) {
	ops := operations()
	for _, name := range []string{"DecodeNative", "DecodeNativeUnix", "DecodeAuthZEN", "DecodeNativeBatch2",
		"DecodeAuthZENBatch2", "DecodeData", "EncodeNative", "EncodeAuthZEN"} {
		op := ops[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				op(b)
			}
		})
	}
}
