package extauthz_test

import (
	"testing"

	"github.com/valyala/fasthttp"

	"thymus/pdp"
	"thymus/pdp/extauthz"
)

// A body that came cut, or not at all, against sets that look at parsed_body and maybe at truncated_body.
func TestARuleAboutABodyIsNotSilentAboutACutOne(t *testing.T) {
	const (
		blind = "package policies.p\nallow contains \"all\"\ndeny contains \"x\" if input.parsed_body.amount > 100\n"
		sees  = blind + "deny contains \"cut\" if input.truncated_body\n"
		entry = "package e\nallow if not over\nover if input.parsed_body.amount > 100\n"
		looks = "package e\nallow if {\n\tnot over\n\tinput.truncated_body in {true, false}\n}\nover if input.parsed_body.amount > 100\n"
	)
	const json = "application/json"
	forward := []string{"X-Forwarded-Uri", "/x", "X-Forwarded-Method", "POST"}
	nginx := []string{"X-Original-Uri", "/x", "X-Original-Method", "POST"}
	for _, c := range []struct {
		name, policy, entrypoint string
		target, kind, body       string
		headers                  []string
		permit                   bool
	}{
		{"Envoy, whole", blind, "", "/ext_authz/envoy/x", json, `{"amount":1}`, nil, true},
		{"Envoy, cut", blind, "", "/ext_authz/envoy/x", json, `{"amo`, []string{"X-Envoy-Auth-Partial-Body", "true"}, false},
		{"Envoy, cut by its length", blind, "", "/ext_authz/envoy/x", json, `{"amo`, []string{"Content-Length", "100"}, false},
		{"Envoy, cut, and nobody would have read it", blind, "", "/ext_authz/envoy/x", "text/plain", "am", []string{"X-Envoy-Auth-Partial-Body", "true"}, true},
		{"Envoy, cut, and a policy looks at that", sees, "", "/ext_authz/envoy/x", json, `{"amo`, []string{"X-Envoy-Auth-Partial-Body", "true"}, false},
		{"Envoy, cut, and an entrypoint decides for itself", entry, "e/allow", "/ext_authz/envoy/x", json, `{"amo`, []string{"X-Envoy-Auth-Partial-Body", "true"}, true},
		{"nginx, a body may have been", blind, "", "/ext_authz/nginx", json, "", nginx, false},
		{"nginx, no body", blind, "", "/ext_authz/nginx", "", "", nginx, true},
		{"nginx, an entrypoint that would be silent", entry, "e/allow", "/ext_authz/nginx", json, "", nginx, false},
		{"nginx, an entrypoint that looks", looks, "e/allow", "/ext_authz/nginx", json, "", nginx, true},
		{"nginx, a client's word about its body", sees, "", "/ext_authz/nginx", json, "", append([]string{"X-Envoy-Auth-Partial-Body", "false"}, nginx...), false},
		{"nginx, a client's word about no body", sees, "", "/ext_authz/nginx", "", "", append([]string{"X-Envoy-Auth-Partial-Body", "true"}, nginx...), true},
		{"Traefik, a body may have been", blind, "", "/ext_authz/forward", json, "", forward, false},
		{"Traefik with forwardBody", blind, "", "/ext_authz/forward", json, `{"amount":1}`, forward, true},
		{"Traefik with forwardBody, too much", blind, "", "/ext_authz/forward", json, `{"amount":101}`, forward, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, c.policy, options(func(o *extauthz.Options) { o.Entrypoint = c.entrypoint }))
			headers := c.headers
			if c.kind != "" {
				headers = append([]string{"Content-Type", c.kind}, headers...)
			}
			if got := r.callBody(c.target, c.body, headers...); (got == 200) != c.permit {
				t.Errorf("%d", got)
			}
		})
	}
}

// callBody asks over HTTP with a body, and returns the status.
func (r *rig) callBody(target, body string, headers ...string) int {
	ctx := &fasthttp.RequestCtx{}
	ctx.Request.Header.SetMethod("POST")
	ctx.Request.Header.SetRequestURI(target)
	ctx.Request.Header.SetHost("shop.example")
	ctx.Request.SetBodyString(body)
	for i := 0; i < len(headers); i += 2 {
		ctx.Request.Header.Add(headers[i], headers[i+1])
	}
	r.mesh.Serve(ctx, &pdp.Peer{})
	return ctx.Response.StatusCode()
}
