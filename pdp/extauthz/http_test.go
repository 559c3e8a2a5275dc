package extauthz_test

import (
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"thymus/pdp"
	"thymus/pdp/extauthz"
)

// call asks over HTTP, as pdp/server hands a request over.
func (r *rig) call(method, target string, headers ...string) *fasthttp.RequestCtx {
	ctx := &fasthttp.RequestCtx{}
	ctx.Request.Header.SetMethod(method)
	ctx.Request.Header.SetRequestURI(target)
	ctx.Request.Header.SetHost("shop.example")
	for i := 0; i < len(headers); i += 2 {
		ctx.Request.Header.Add(headers[i], headers[i+1])
	}
	r.mesh.Serve(ctx, &pdp.Peer{})
	return ctx
}

func TestOverHTTPEverythingButAPermitIs403(t *testing.T) {
	r := start(t, byAction, options(func(x *extauthz.Options) { x.Identity = []string{"header:x-user", "address"} }))
	uri, method := "X-Original-Uri", "X-Original-Method"
	furi, fmethod := "X-Forwarded-Uri", "X-Forwarded-Method"
	for _, c := range []struct {
		name, method, target string
		headers              []string
		status               int
	}{
		{"Envoy permits", "GET", "/ext_authz/envoy/shop?x=1", nil, 200},
		{"Envoy denies", "POST", "/ext_authz/envoy/shop", nil, 403},
		{"Envoy's prefix alone has no path", "GET", "/ext_authz/envoy", nil, 403},
		{"another path behind Envoy's name", "GET", "/ext_authz/envoyx/shop", nil, 403},
		{"dots do not leave the prefix", "GET", "/ext_authz/envoy/%2e%2e/%2e%2e/healthz", nil, 403},
		{"nginx permits", "GET", "/ext_authz/nginx", []string{uri, "/shop", method, "GET", "X-Real-Ip", "10.0.0.1"}, 200},
		{"nginx without a URI", "GET", "/ext_authz/nginx", []string{method, "GET"}, 403},
		{"nginx without a method", "GET", "/ext_authz/nginx", []string{uri, "/shop"}, 403},
		{"a second URI", "GET", "/ext_authz/nginx", []string{uri, "/shop", uri, "/shop", method, "GET"}, 403},
		{"a second address", "GET", "/ext_authz/nginx", []string{uri, "/shop", method, "GET", "X-Real-Ip", "1.1.1.1", "X-Real-Ip", "1.1.1.1"}, 403},
		{"an address that is none", "GET", "/ext_authz/nginx", []string{uri, "/shop", method, "GET", "X-Real-Ip", "bob"}, 403},
		{"Traefik permits", "GET", "/ext_authz/forward", []string{furi, "/shop?x=1", fmethod, "GET", "X-Forwarded-Proto", "https",
			"X-Forwarded-Host", "shop.example", "X-Forwarded-For", "9.9.9.9, 10.0.0.1", "X-Forwarded-Port", "443"}, 200},
		{"Traefik denies", "GET", "/ext_authz/forward", []string{furi, "/shop", fmethod, "DELETE"}, 403},
		{"a second method", "GET", "/ext_authz/forward", []string{furi, "/shop", fmethod, "GET", fmethod, "GET"}, 403},
		{"the subject's header twice", "GET", "/ext_authz/envoy/shop", []string{"X-User", "bob", "X-User", "eve"}, 403},
		{"no surface at all", "GET", "/ext_authz/other", nil, 403},
	} {
		if ctx := r.call(c.method, c.target, c.headers...); ctx.Response.StatusCode() != c.status {
			t.Errorf("%s: %d %s", c.name, ctx.Response.StatusCode(), ctx.Response.Body())
		}
	}
}

func TestOverHTTPTheInputIsWhatEnvoyWouldSend(t *testing.T) {
	r := start(t, byAction)
	r.call("GET", "/ext_authz/forward", "X-Forwarded-Uri", "/shop?x=1", "X-Forwarded-Method", "PUT", "X-Forwarded-Proto", "https",
		"X-Forwarded-Host", "shop.example", "X-Forwarded-For", "9.9.9.9, 10.0.0.1", "X-Many", "a", "X-Many", "b")
	in := r.recorded()
	for _, c := range []struct {
		path []string
		want any
	}{
		{[]string{"subject", "type"}, "address"}, {[]string{"subject", "id"}, "10.0.0.1"}, {[]string{"action", "name"}, "PUT"},
		{[]string{"resource", "id"}, "/shop"}, {[]string{"context", "scheme"}, "https"}, {[]string{"context", "host"}, "shop.example"},
		{[]string{"peer", "surface"}, "http"}, {[]string{"attributes", "request", "http", "method"}, "PUT"},
		{[]string{"attributes", "request", "http", "headers", "x-many"}, "a,b"},
		{[]string{"attributes", "request", "http", "headers", ":path"}, "/shop?x=1"},
		{[]string{"attributes", "request", "http", "headers", "x-forwarded-uri"}, nil},
		{[]string{"attributes", "source", "address", "socketAddress", "address"}, "10.0.0.1"},
	} {
		if got := at(in, c.path...); got != c.want {
			t.Errorf("%v is %v, want %v", c.path, got, c.want)
		}
	}
}

func TestOverHTTPAStatusOutsideOfDenialsIs403(t *testing.T) {
	r := start(t, `package e
allow := {"allowed": false, "http_status": to_number(input.parsed_path[0]), "body": "no"}
`, entrypoint("e/allow"))
	for target, want := range map[string]int{"401": 401, "302": 302, "404": 404, "200": 403, "503": 403} {
		if got := r.call("GET", "/ext_authz/envoy/"+target).Response.StatusCode(); got != want {
			t.Errorf("%s is sent as %d", target, got)
		}
	}
	r = start(t, `package e
allow := {"allowed": false, "http_status": 503}
`, entrypoint("e/allow"))
	if got := string(r.call("GET", "/ext_authz/envoy/x").Response.Body()); !strings.Contains(got, `"title":"Forbidden","status":403`) {
		t.Errorf("the body says another status than the one that is sent: %s", got)
	}
}

func TestOverHTTPADeniedClientGetsEveryHeaderOfTheEntrypoint(t *testing.T) {
	for _, headers := range []string{
		`{"set-cookie": ["a=1", "b=2"], "www-authenticate": ["Basic", "Bearer"]}`,
		`[{"set-cookie": "a=1", "www-authenticate": "Basic"}, {"set-cookie": "b=2", "www-authenticate": "Bearer"}]`,
	} {
		r := start(t, `package e
allow := {"allowed": false, "http_status": 401, "headers": `+headers+`}
`, entrypoint("e/allow"))
		got := r.call("GET", "/ext_authz/forward", "X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/x").Response.Header.String()
		for _, want := range []string{"Set-Cookie: a=1\r\n", "Set-Cookie: b=2\r\n", "Www-Authenticate: Basic,Bearer\r\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in %s", headers, want, got)
			}
		}
	}
}

// Whatever comes in place of a CheckRequest is answered, and never by a permit.
func FuzzMessage(f *testing.F) {
	r := start(f, "package policies.p\ndeny contains \"all\"\n")
	f.Add([]byte{}, "/x")
	f.Add([]byte("\x0a\x08\x22\x06\x12\x04\x12\x02GE"), "/%2e%2e")
	f.Fuzz(func(t *testing.T, message []byte, path string) {
		if permit, ok := extauthz.Ask(r.mesh, message); permit || !ok {
			t.Fatalf("%x was permitted, or its answer cannot be read", message)
		}
		if s := r.call("GET", "/ext_authz/envoy"+path).Response.StatusCode(); s != 403 {
			t.Fatalf("%q: %d", path, s)
		}
	})
}
