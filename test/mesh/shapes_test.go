//go:build unix

package mesh_test

import (
	"context"
	"testing"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
)

// Neither Traefik nor Istio runs here. These are requests of the shape that their documentation says they send
// (Traefik 3, ForwardAuth: the original request's headers and X-Forwarded-Method, -Proto, -Host, -Uri, -For, by GET;
// Istio, external authorization: Envoy's CheckRequest with SPIFFE principals, or its HTTP service with a path prefix).
const byShape = `package policies.shapes

allow contains "traefik" if {
	input.peer.surface == "http"
	input.subject == {"type": "address", "id": "10.1.2.3", "properties": {}}
	input.action.name == "GET"
	input.resource.id == "/shop/items"
	input.context.host == "shop.example"
	input.context.scheme == "https"
	input.parsed_query.page == ["1"]
	input.attributes.request.http.headers["user-agent"] == "curl/8.5.0"
}

allow contains "socket" if {
	input.context.scheme == "wss"
	input.resource.id == "/ws"
}

allow contains "istio" if {
	input.peer.surface == "grpc"
	input.subject == {"type": "principal", "id": "spiffe://cluster.local/ns/foo/sa/sleep", "properties": {}}
	input.source_principal == "spiffe://cluster.local/ns/foo/sa/sleep"
	input.attributes.destination.principal == "spiffe://cluster.local/ns/foo/sa/httpbin"
	input.parsed_path == ["headers"]
	input.context.host == "httpbin.foo:8000"
}

allow contains "istio by http" if {
	input.peer.surface == "http"
	input.resource.id == "/headers"
	input.attributes.request.http.headers["x-ext-authz"] == "allow"
}

deny contains "secret" if startswith(input.resource.id, "/secret")
`

func TestTraefiksRequests(t *testing.T) {
	s := thymus(t, byShape)
	forward := func(method, proto, host, uri, from string, more ...string) []string {
		return append([]string{"User-Agent", "curl/8.5.0", "Accept", "*/*", "Accept-Encoding", "gzip", "X-Forwarded-Method", method,
			"X-Forwarded-Proto", proto, "X-Forwarded-Host", host, "X-Forwarded-Uri", uri, "X-Forwarded-For", from,
			"X-Forwarded-Port", "443", "X-Forwarded-Server", "traefik-7c9f", "X-Real-Ip", from}, more...)
	}
	for _, c := range []struct {
		name    string
		headers []string
		permit  bool
	}{
		{"a read", forward("GET", "https", "shop.example", "/shop/items?page=1", "10.1.2.3"), true},
		{"behind a proxy that Traefik trusts", forward("GET", "https", "shop.example", "/shop/items?page=1", "9.9.9.9, 10.1.2.3"), true},
		{"another client", forward("GET", "https", "shop.example", "/shop/items?page=1", "10.1.2.4"), false},
		{"a client that names another before itself", forward("GET", "https", "shop.example", "/shop/items?page=1", "10.1.2.3, 10.1.2.4"), false},
		{"another method", forward("POST", "https", "shop.example", "/shop/items?page=1", "10.1.2.3"), false},
		{"without TLS", forward("GET", "http", "shop.example", "/shop/items?page=1", "10.1.2.3"), false},
		{"another host", forward("GET", "https", "other.example", "/shop/items?page=1", "10.1.2.3"), false},
		{"a path that is the same", forward("GET", "https", "shop.example", "/shop/./items?page=1", "10.1.2.3"), true},
		{"a path that gets out", forward("GET", "https", "shop.example", "/shop/items/../../secret?page=1", "10.1.2.3"), false},
		{"a WebSocket", forward("GET", "wss", "shop.example", "/ws", "10.1.2.3"), true},
		{"a method that the client adds", forward("GET", "https", "shop.example", "/shop/items?page=1", "10.1.2.3", "X-Forwarded-Method", "GET"), false},
		{"a URI that the client adds", forward("GET", "https", "shop.example", "/secret", "10.1.2.3", "X-Forwarded-Uri", "/shop/items?page=1"), false},
		{"names of nginx that the client adds", forward("GET", "https", "shop.example", "/secret", "10.1.2.3", "X-Original-Uri", "/shop/items?page=1"), false},
		{"no headers of Traefik's", []string{"User-Agent", "curl/8.5.0"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := send("127.0.0.1:"+s.data, "GET", "/ext_authz/forward", "", c.headers...)
			if err != nil {
				t.Fatal(err)
			}
			if want := map[bool]int{true: 200, false: 403}[c.permit]; got.status != want || got.headers.Get("X-Thymus-Decision-Id") == "" && c.permit {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}

// istio is a CheckRequest as Istio's task about external authorization shows it.
const istio = `{"attributes": {
	"source": {"address": {"socketAddress": {"address": "10.44.3.28", "portValue": 52838}}, "principal": "PRINCIPAL"},
	"destination": {"address": {"socketAddress": {"address": "10.44.3.30", "portValue": 80}}, "principal": "spiffe://cluster.local/ns/foo/sa/httpbin"},
	"request": {"time": "2026-01-01T10:00:00.123456Z", "http": {"id": "5092331577170853", "method": "GET", "headers": {
		":authority": "httpbin.foo:8000", ":method": "GET", ":path": "/headers", ":scheme": "http", "accept": "*/*", "user-agent": "curl/8.5.0",
		"x-b3-sampled": "1", "x-b3-spanid": "377ba0cdc2334270", "x-b3-traceid": "635187cb20d92f62377ba0cdc2334270",
		"x-envoy-attempt-count": "1", "x-ext-authz": "allow", "x-forwarded-proto": "http", "x-request-id": "dd43f6e2-3f4b-4d3c-9b2c-0a2c9f1a0f6b",
		"x-forwarded-client-cert": "By=spiffe://cluster.local/ns/foo/sa/httpbin;Hash=HASH;Subject=\"\";URI=spiffe://cluster.local/ns/foo/sa/admin"},
		"path": "PATH", "host": "httpbin.foo:8000", "scheme": "http", "protocol": "HTTP/1.1"}},
	"metadataContext": {}, "routeMetadataContext": {}}}`

func TestIstiosRequests(t *testing.T) {
	s := thymus(t, byShape)
	cc, err := grpc.NewClient("127.0.0.1:"+s.mesh, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	for _, c := range []struct {
		name, principal, path string
		code                  int32
	}{
		{"a workload that may", "spiffe://cluster.local/ns/foo/sa/sleep", "/headers", 0},
		{"another workload", "spiffe://cluster.local/ns/foo/sa/other", "/headers", 7},
		{"none, whatever the client's certificate header says", "", "/headers", 7},
		{"another path", "spiffe://cluster.local/ns/foo/sa/sleep", "/secret", 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := &auth.CheckRequest{}
			if err := protojson.Unmarshal([]byte(istio), req); err != nil {
				t.Fatal(err)
			}
			a := req.GetAttributes()
			a.Source.Principal, a.Request.Http.Path = c.principal, c.path
			a.Request.Http.Headers[":path"] = c.path
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			resp, err := auth.NewAuthorizationClient(cc).Check(ctx, req)
			if err != nil || resp.GetStatus().GetCode() != c.code {
				t.Errorf("%v %v", resp, err)
			}
		})
	}
	// envoyExtAuthzHttp: pathPrefix, and of the headers what includeRequestHeadersInCheck names.
	for _, c := range []struct {
		target string
		header string
		status int
	}{
		{"/ext_authz/envoy/headers", "allow", 200},
		{"/ext_authz/envoy/headers?x=1", "allow", 200},
		{"/ext_authz/envoy/headers", "deny", 403},
		{"/ext_authz/envoy/secret", "allow", 403},
		{"/ext_authz/envoy", "allow", 403},
	} {
		got, err := send("127.0.0.1:"+s.data, "GET", c.target, "", "X-Ext-Authz", c.header, "X-Envoy-Internal", "true", "X-Forwarded-For", "10.44.3.28",
			"X-Envoy-Expected-Rq-Timeout-Ms", "250", "Content-Length", "0")
		if err != nil || got.status != c.status {
			t.Errorf("%s %s: %v %+v", c.target, c.header, err, got)
		}
	}
}
