package extauthz_test

import (
	"encoding/json"
	"testing"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"thymus/pdp/engine"
	"thymus/pdp/extauthz"
	"thymus/rules"
)

// typical is a request of a browser through Envoy.
func typical() *auth.CheckRequest {
	return get("/shop/items/42?page=1&sort=price", "user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "accept-language", "en-GB,en;q=0.5",
		"accept-encoding", "gzip, deflate, br, zstd", "cookie", "session=4f0a1e6d2b7c; theme=dark", "x-request-id",
		"6f1cbd4a-9c5e-4a57-8c2e-0d8f1f3f0b8e", "x-forwarded-for", "10.1.2.3", "x-forwarded-proto", "https")
}

// A CheckRequest from the wire: laid on a tape by hand, and decoded by protobuf, alone and as opa-envoy-plugin goes on from
// there (a Go map by reflection).
//
//	go test -run - -bench Decode -benchmem -count 6 ./pdp/extauthz | benchstat -col /by -
func BenchmarkDecode(b *testing.B) {
	message := wireOf(b, typical())
	b.Run("by=hand", func(b *testing.B) {
		lay := extauthz.Layer(message)
		b.ReportAllocs()
		for b.Loop() {
			if !lay() {
				b.Fatal("it cannot be read")
			}
		}
	})
	b.Run("by=protobuf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var r auth.CheckRequest
			if proto.Unmarshal(message, &r) != nil {
				b.Fatal("it cannot be read")
			}
		}
	})
	b.Run("by=protobuf-to-map", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var r auth.CheckRequest
			if proto.Unmarshal(message, &r) != nil || len(mapOf(r.ProtoReflect())) == 0 {
				b.Fatal("it cannot be read")
			}
		}
	})
}

// From the bytes of a CheckRequest to those of the CheckResponse, without gRPC.
//
//	go test -run - -bench Answer -benchmem -count 6 ./pdp/extauthz | benchstat -col /kind -
func BenchmarkAnswer(b *testing.B) {
	quiet := func(_ *extauthz.Options, e *engine.Options, _ *rules.Options) { e.Recorder, e.Input = nil, false }
	i := newIDP(b)
	withToken := typical()
	withToken.Attributes.Request.Http.Headers["authorization"] = "Bearer " + i.token(map[string]any{"sub": "bob", "role": "reader"})
	body, _ := json.Marshal(map[string]any{"amount": 5000, "items": []any{1, 2, 3}})
	for _, c := range []struct {
		name, rego string
		req        *auth.CheckRequest
		set        []setting
	}{
		{"allow", byAction, typical(), nil},
		{"deny", byAction, get("/secret/x"), nil},
		{"warn", byAction, get("/old/x"), nil},
		{"token", byAction, withToken, []setting{i.believes("jwt")}},
		{"json", "package policies.p\nallow contains \"a\" if input.parsed_body.amount == 5000\n", post("/x", "application/json", string(body)), nil},
		{"entrypoint", "package envoy.authz\nimport rego.v1\nallow if input.attributes.request.http.method == \"GET\"\n", typical(), []setting{entrypoint("envoy/authz/allow")}},
		{"object", byObject, get("/rich"), []setting{entrypoint("envoy/authz/allow")}},
	} {
		r := start(b, c.rego, append(c.set, quiet)...)
		message := wireOf(b, c.req)
		answer := extauthz.Answerer(r.mesh, message)
		b.Run("kind="+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				answer()
			}
		})
	}
}

// What we own allocates nothing: a request that is permitted, denied, warned about, with a token that is known, or judged
// by its body in JSON.
func TestACallIsAnsweredWithoutMemory(t *testing.T) {
	if race {
		t.Skip("pools forget at random under the race detector")
	}
	quiet := func(_ *extauthz.Options, e *engine.Options, _ *rules.Options) { e.Recorder, e.Input = nil, false }
	i := newIDP(t)
	withToken := typical()
	withToken.Attributes.Request.Http.Headers["authorization"] = "Bearer " + i.token(map[string]any{"sub": "bob", "role": "reader"})
	for name, c := range map[string]struct {
		rego string
		req  *auth.CheckRequest
		set  []setting
		most float64
	}{
		"allow": {byAction, typical(), nil, 0},
		"deny":  {byAction, get("/secret/x"), nil, 0},
		"warn":  {byAction, get("/old/x"), nil, 0},
		"token": {byAction, withToken, []setting{i.believes("jwt")}, 0},
		"json":  {"package policies.p\nallow contains \"a\" if input.parsed_body.amount == 5000\n", post("/x", "application/json", `{"amount":5000}`), nil, 0},
		"form":  {"package policies.p\nallow contains \"a\" if input.parsed_body.amount\n", post("/x", "application/x-www-form-urlencoded", `amount=5000&b=%C3%BC`), nil, 0},
	} {
		r := start(t, c.rego, append(c.set, quiet)...)
		answer := extauthz.Answerer(r.mesh, wireOf(t, c.req))
		answer()
		if n := testing.AllocsPerRun(200, answer); n > c.most {
			t.Errorf("%s: %v allocations a call, at most %v expected", name, n, c.most)
		}
	}
}
