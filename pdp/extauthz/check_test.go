package extauthz_test

import (
	"encoding/json"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"thymus/pdp/engine"
	"thymus/pdp/extauthz"
	"thymus/rules"
)

const byAction = `package policies.mesh

allow contains {"rule": "reads"} if input.action.name == "GET"

warn contains {"rule": "old", "reason": "The old API goes away – 100 % soon"} if startswith(input.resource.id, "/old")

deny contains {"rule": "secret", "priority": 10, "reason": "nobody reads secrets"} if startswith(input.resource.id, "/secret")
`

func entrypoint(path string) setting {
	return func(x *extauthz.Options, _ *engine.Options, _ *rules.Options) { x.Entrypoint = path }
}

func options(f func(*extauthz.Options)) setting {
	return func(x *extauthz.Options, _ *engine.Options, _ *rules.Options) { f(x) }
}

func TestAPermitNamesTheDecisionToTheUpstream(t *testing.T) {
	r := start(t, byAction)
	resp := r.check(get("/shop?x=1"))
	if !allowed(resp) {
		t.Fatalf("denied: %v", resp)
	}
	hs := resp.GetOkResponse().GetHeaders()
	if id, _ := header(hs, "x-thymus-decision-id"); len(id) != 36 {
		t.Fatalf("decision id %q", id)
	}
	if e, _ := header(hs, "x-thymus-effect"); e != "allow" {
		t.Fatalf("effect %q", e)
	}
	for _, h := range hs {
		//lint:ignore SA1019 it is what Envoy of every version reads
		if a := h.GetAppend(); a == nil || a.GetValue() {
			t.Fatalf("%s would be appended to what the client sent", h.GetHeader().GetKey())
		}
	}
	gone := map[string]bool{}
	for _, n := range resp.GetOkResponse().GetHeadersToRemove() {
		gone[n] = true
	}
	if !gone["x-thymus-reason"] || !gone["x-thymus-warning"] {
		t.Fatalf("a client's %v would reach the upstream", gone)
	}
	m := resp.GetDynamicMetadata().AsMap()
	if m["effect"] != "allow" || m["policy"] != "mesh" || m["rule"] != "reads" || m["reason"] != "Allowed by rule 'reads'" {
		t.Fatalf("metadata %v", m)
	}
}

func TestAWarningReachesTheUpstreamEncoded(t *testing.T) {
	r := start(t, `package policies.mesh

allow contains "reads" if input.action.name == "GET"

warn contains {"rule": "old", "priority": 1, "reason": "100 % soon – ü"} if startswith(input.resource.id, "/old")
`)
	resp := r.check(get("/old/x", "x-thymus-warning", "forged"))
	w, _ := header(resp.GetOkResponse().GetHeaders(), "x-thymus-warning")
	if want := "100%20%25%20soon%20%E2%80%93%20%C3%BC"; !allowed(resp) || w != want {
		t.Fatalf("%q, want %q", w, want)
	}
	for _, n := range resp.GetOkResponse().GetHeadersToRemove() {
		if n == "x-thymus-warning" {
			t.Fatal("the warning is removed again")
		}
	}
}

func TestADeniedClientIsToldTheDecisionAlone(t *testing.T) {
	for _, expose := range []bool{false, true} {
		r := start(t, byAction, options(func(x *extauthz.Options) { x.ExposeReason = expose }))
		resp := r.check(get("/secret/x"))
		if !denied(resp) || resp.GetDeniedResponse().GetStatus().GetCode() != 403 {
			t.Fatalf("%v", resp)
		}
		if ct, _ := header(resp.GetDeniedResponse().GetHeaders(), "content-type"); ct != "application/problem+json" {
			t.Fatalf("content type %q", ct)
		}
		var p map[string]any
		if err := json.Unmarshal([]byte(resp.GetDeniedResponse().GetBody()), &p); err != nil {
			t.Fatal(err)
		}
		if id, _ := p["decision_id"].(string); len(id) != 36 || p["status"] != 403.0 {
			t.Fatalf("%v", p)
		}
		if (p["detail"] == "nobody reads secrets") != expose {
			t.Fatalf("expose %t: %v", expose, p)
		}
	}
}

// everything is a request with all that Envoy can say.
func everything() *auth.CheckRequest {
	str := func(m map[string]any) *structpb.Struct { s, _ := structpb.NewStruct(m); return s }
	r := post("/a/b%20c//d?x=1&x=2&y=%C3%BC", "application/json; charset=utf-8", `{"amount":5000,"list":[1,{"a":null}]}`)
	a := r.Attributes
	a.Source.Principal, a.Source.Service, a.Source.Labels = "spiffe://cluster/ns/shop/sa/web", "web", map[string]string{"app": "web"}
	a.Source.Certificate = "-----BEGIN%20CERTIFICATE-----"
	a.Destination = &auth.AttributeContext_Peer{Address: &core.Address{Address: &core.Address_Pipe{Pipe: &core.Pipe{Path: "/run/x.sock", Mode: 7}}}}
	a.Request.Time = &timestamppb.Timestamp{Seconds: 1700000000, Nanos: 5}
	a.ContextExtensions = map[string]string{"virtual_host": "v"}
	a.TlsSession = &auth.AttributeContext_TLSSession{Sni: "shop.example"}
	a.MetadataContext = &core.Metadata{FilterMetadata: map[string]*structpb.Struct{
		"envoy.filters.http.jwt_authn": str(map[string]any{"n": 1.5, "i": 3.0, "s": "x", "b": true, "f": false, "z": nil,
			"l": []any{1.0, "two", []any{}}, "o": map[string]any{"deep": map[string]any{}}}),
	}}
	return r
}

func TestTheInputIsOpaEnvoysAndTheCanonicalOne(t *testing.T) {
	r := start(t, `package policies.mesh

allow contains "body" if input.parsed_body.amount == 5000
`)
	req := everything()
	in := r.input(req)
	for _, c := range []struct {
		path []string
		want any
	}{
		{[]string{"subject", "type"}, "principal"},
		{[]string{"subject", "id"}, "spiffe://cluster/ns/shop/sa/web"},
		{[]string{"action", "name"}, "POST"},
		{[]string{"resource", "type"}, "http"},
		{[]string{"resource", "id"}, "/a/b%20c/d"},
		{[]string{"context", "host"}, "shop.example"},
		{[]string{"context", "scheme"}, "https"},
		{[]string{"context", "raw_path"}, "/a/b%20c//d"},
		{[]string{"context", "canonical_path"}, "/a/b%20c/d"},
		{[]string{"context", "path_differs"}, true},
		{[]string{"peer", "surface"}, "grpc"},
		{[]string{"peer", "transport"}, "tcp"},
		{[]string{"version", "ext_authz"}, "v3"},
		{[]string{"version", "encoding"}, "protojson"},
		{[]string{"source_principal"}, "spiffe://cluster/ns/shop/sa/web"},
		{[]string{"truncated_body"}, false},
		{[]string{"parsed_body", "amount"}, 5000.0},
		{[]string{"attributes", "source", "address", "socketAddress", "portValue"}, 40000.0},
		{[]string{"attributes", "source", "labels", "app"}, "web"},
		{[]string{"attributes", "destination", "address", "pipe", "path"}, "/run/x.sock"},
		{[]string{"attributes", "destination", "address", "pipe", "mode"}, 7.0},
		{[]string{"attributes", "request", "time", "seconds"}, 1700000000.0},
		{[]string{"attributes", "request", "time", "nanos"}, 5.0},
		{[]string{"attributes", "request", "http", "headers", ":path"}, "/a/b%20c//d?x=1&x=2&y=%C3%BC"},
		{[]string{"attributes", "contextExtensions", "virtual_host"}, "v"},
		{[]string{"attributes", "tlsSession", "sni"}, "shop.example"},
		{[]string{"attributes", "metadataContext", "filterMetadata", "envoy.filters.http.jwt_authn", "n"}, 1.5},
		{[]string{"attributes", "metadataContext", "filterMetadata", "envoy.filters.http.jwt_authn", "i"}, 3.0},
		{[]string{"attributes", "metadataContext", "filterMetadata", "envoy.filters.http.jwt_authn", "f"}, false},
	} {
		if got := at(in, c.path...); got != c.want {
			t.Errorf("%v is %v, want %v", c.path, got, c.want)
		}
	}
	b, _ := json.Marshal([]any{in["parsed_path"], in["parsed_query"], at(in, "parsed_body", "list"),
		at(in, "attributes", "metadataContext", "filterMetadata", "envoy.filters.http.jwt_authn", "l")})
	if want := `[["a","b c","","d"],{"x":["1","2"],"y":["ü"]},[1,{"a":null}],[1,"two",[]]]`; string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}
