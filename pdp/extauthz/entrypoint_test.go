package extauthz_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"

	etype "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"thymus/pdp"
	"thymus/pdp/engine"
	"thymus/pdp/extauthz"
	"thymus/rules"
)

const byObject = `package envoy.authz

default allow := false

allow := true if input.parsed_path[0] == "plain"

allow := {"allowed": true, "headers": {"x-user": "bob", "x-list": ["a", "b"], "x-thymus-effect": "forged", "x-note": "caf\u00e9"},
	"request_headers_to_remove": ["x-secret"], "response_headers_to_add": {"x-client": "1"},
	"query_parameters_to_set": {"q": "1"}, "query_parameters_to_remove": ["z"],
	"dynamic_metadata": {"team": {"n": 1}}, "reason_code": "OK-1"} if input.parsed_path[0] == "rich"

allow := {"allowed": false, "http_status": 302, "headers": {"location": "/login"}, "body": "go away"} if input.parsed_path[0] == "login"

allow := {"allowed": false, "http_status": 799} if input.parsed_path[0] == "status"

allow := {"allowed": true, "headers": {"x": 1}} if input.parsed_path[0] == "badheader"

allow := {"effect": "allow"} if input.parsed_path[0] == "noallowed"

allow := "allow" if input.parsed_path[0] == "string"
`

func TestAnEntrypointAnswersAsWithOpaEnvoyPlugin(t *testing.T) {
	r := start(t, byObject, entrypoint("envoy/authz/allow"))
	if !allowed(r.check(get("/plain"))) {
		t.Fatal("true is a permit")
	}
	rich := r.check(get("/rich"))
	ok := rich.GetOkResponse()
	if !allowed(rich) {
		t.Fatalf("%v", rich)
	}
	if v, _ := header(ok.GetHeaders(), "x-user"); v != "bob" {
		t.Errorf("x-user %q", v)
	}
	if v, _ := header(ok.GetHeaders(), "x-note"); v != "caf%C3%A9" {
		t.Errorf("x-note %q", v)
	}
	if v, _ := header(ok.GetHeaders(), "x-thymus-effect"); v != "allow" {
		t.Errorf("a policy wrote our header: %q", v)
	}
	if v, _ := header(ok.GetResponseHeadersToAdd(), "x-client"); v != "1" {
		t.Errorf("x-client %q", v)
	}
	if !strings.Contains(strings.Join(ok.GetHeadersToRemove(), ","), "x-secret") ||
		len(ok.GetQueryParametersToSet()) != 1 || len(ok.GetQueryParametersToRemove()) != 1 {
		t.Errorf("%v", ok)
	}
	if m := rich.GetDynamicMetadata().AsMap(); at(m, "team", "n") != 1.0 || len(m["decision_id"].(string)) != 36 || m["reason_code"] != "OK-1" {
		t.Errorf("metadata %v", m)
	}
	login := r.check(get("/login")).GetDeniedResponse()
	if v, _ := header(login.GetHeaders(), "location"); v != "/login" || login.GetBody() != "go away" || login.GetStatus().GetCode() != 302 {
		t.Errorf("%v", login)
	}
	for _, path := range []string{"/status", "/badheader", "/noallowed", "/string", "/else"} {
		if d := r.check(get(path)); !denied(d) || d.GetDeniedResponse().GetStatus().GetCode() != 403 {
			t.Errorf("%s: %v", path, d)
		}
	}
}

// Envoy adds to what the application answers only what says append, and to a denial only what does not.
func TestWhatIsSaidToTheClientIsSaidWithEveryValue(t *testing.T) {
	r := start(t, `package e
said := {"x-list": ["a", "b"], "x-one": "1"}
allow := {"allowed": true, "response_headers_to_add": said} if input.parsed_path[0] == "yes"
allow := {"allowed": false, "headers": said} if input.parsed_path[0] == "no"
`, entrypoint("e/allow"))
	for _, c := range []struct {
		path    string
		headers []*core.HeaderValueOption
		adds    bool
	}{
		{"/yes", r.check(get("/yes")).GetOkResponse().GetResponseHeadersToAdd(), true},
		{"/no", r.check(get("/no")).GetDeniedResponse().GetHeaders(), false},
	} {
		var values []string
		for _, h := range c.headers {
			if strings.HasPrefix(h.GetHeader().GetKey(), "x-") {
				values = append(values, h.GetHeader().GetValue())
			}
			//lint:ignore SA1019 it is what Envoy of every version reads
			if a := h.GetAppend(); a == nil || a.GetValue() != c.adds {
				t.Errorf("%s: %s says append %v", c.path, h.GetHeader().GetKey(), a)
			}
		}
		if slices.Sort(values); !slices.Equal(values, []string{"1", "a", "b"}) {
			t.Errorf("%s: %q", c.path, values)
		}
	}
}

// What Envoy cannot read is an error to it, and it may be told to let those pass.
func TestWhateverAPolicySaysTheAnswerIsOneThatEnvoyReads(t *testing.T) {
	const torn = "torn := base64.decode(\"YfRi\")\n" // three bytes that are no UTF-8
	for name, value := range map[string]string{
		"a body":                `{"allowed": false, "body": torn}`,
		"a reason":              `{"allowed": false, "reason": torn}`,
		"a reason's code":       `{"allowed": false, "reason_code": torn}`,
		"metadata":              `{"allowed": false, "dynamic_metadata": {"a": [torn]}}`,
		"a name in metadata":    `{"allowed": false, "dynamic_metadata": {torn: "a"}}`,
		"a header":              `{"allowed": false, "headers": {"x-a": torn}}`,
		"a permit's header":     `{"allowed": true, "headers": {"x-a": torn}}`,
		"a parameter":           `{"allowed": true, "query_parameters_to_set": {torn: torn}}`,
		"a parameter to remove": `{"allowed": true, "query_parameters_to_remove": [torn]}`,
	} {
		r := start(t, "package e\n"+torn+"allow := "+value+"\n", entrypoint("e/allow"))
		if got := r.check(get("/x")); allowed(got) != strings.Contains(value, "true") || !allowed(got) && !denied(got) {
			t.Errorf("%s: %v", name, got)
		}
	}
	r := start(t, "package policies.p\n"+torn+"deny contains {\"rule\": torn, \"name\": torn, \"reason\": torn} if true\n", func(o *extauthz.Options, _ *engine.Options, _ *rules.Options) {
		o.ExposeReason = true
	})
	if got := r.check(get("/x")); !denied(got) {
		t.Errorf("a rule: %v", got)
	}
}

func TestMetadataIsNoDeeperThanEnvoyReads(t *testing.T) {
	for levels, refused := range map[int]bool{32: false, 33: true, 3000: true} {
		r := start(t, "package e\nallow := {\"allowed\": true, \"dynamic_metadata\": json.unmarshal(input.attributes.request.http.headers.deep)}\n",
			entrypoint("e/allow"))
		deep := strings.Repeat(`{"a":`, levels-1) + "{}" + strings.Repeat("}", levels-1)
		if got := r.check(get("/x", "deep", deep)); denied(got) != refused || !denied(got) && !allowed(got) {
			t.Errorf("%d levels: %v", levels, got)
		}
	}
}

func TestAnEntrypointDecidesAboutAmbiguousPathsItself(t *testing.T) {
	r := start(t, "package envoy.authz\nallow := true\n", entrypoint("envoy/authz/allow"))
	if !allowed(r.check(get("/a//../b"))) {
		t.Fatal("denied")
	}
	if r := start(t, byAction); !denied(r.check(get("/a//../b"))) {
		t.Fatal("the combination let an ambiguous path pass")
	}
}

func TestEnvoysStatusesAreKnown(t *testing.T) {
	for n := range 1000 {
		_, known := etype.StatusCode_name[int32(n)]
		if got := extauthz.IsStatus(n); n > 0 && got != known {
			t.Errorf("%d: %t, Envoy %t", n, got, known)
		}
	}
}

func TestWhateverIsWrongIsADenial(t *testing.T) {
	r := start(t, `package policies.p
allow contains "all"
deny contains "never" if input.parsed_body.x == "never"
`, options(func(x *extauthz.Options) { x.MaxBody = 64 << 10 }))
	big := post("/x", "text/plain", strings.Repeat("x", 8<<20))
	twice := get("/x")
	for _, c := range []struct {
		name string
		req  *auth.CheckRequest
	}{
		{"no attributes", &auth.CheckRequest{}},
		{"no HTTP request", &auth.CheckRequest{Attributes: &auth.AttributeContext{}}},
		{"no method", func() *auth.CheckRequest { r := get("/x"); r.Attributes.Request.Http.Method = ""; return r }()},
		{"a message beyond the limit", big},
		{"a path that is none", get("x")},
		{"an escape that is none", get("/%zz")},
		{"a query that cannot be read", get("/x?a=%zz")},
		{"a semicolon in the query", get("/x?a=1;b=2")},
		{"JSON that is none", post("/x", "application/json", `{"x":`)},
		{"a form that is none", post("/x", "application/x-www-form-urlencoded", `x=%zz`)},
		{"a multipart form that ends early", post("/x", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx")},
		{"a body that is compressed", post("/x", "application/json", "\x1f\x0b\x08")},
	} {
		if d := r.check(c.req); !denied(d) {
			t.Errorf("%s: %v", c.name, d)
		}
	}
	if !allowed(r.check(twice)) {
		t.Error("nothing wrong is denied too")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if d, err := r.client.Check(ctx, get("/x"), grpc.UseCompressor(gzip.Name)); err != nil || !allowed(d) {
		t.Errorf("a compressed call: %v %v", d, err)
	}
}

func TestABodyThatNobodyLooksAtIsNotRead(t *testing.T) {
	r := start(t, byAction)
	req := get("/x", "content-type", "application/json")
	req.Attributes.Request.Http.Body = "{"
	if !allowed(r.check(req)) {
		t.Fatal("denied for a body that no policy reads")
	}
}

func TestStrictLossDeniesAndADryRunPermits(t *testing.T) {
	strict := func(_ *extauthz.Options, e *engine.Options, _ *rules.Options) {
		e.Strict, e.Recorder = true, &recorder{refuse: true}
	}
	if r := start(t, byAction, strict); !denied(r.check(get("/x"))) {
		t.Error("permitted without a record")
	}
	r := start(t, byAction, options(func(x *extauthz.Options) { x.DryRun = true }))
	resp := r.check(get("/secret/x"))
	rec := <-r.rec.ch
	if e, _ := header(resp.GetOkResponse().GetHeaders(), "x-thymus-effect"); !allowed(resp) || e != "deny" {
		t.Errorf("%v", resp)
	}
	if rec.Flags.Has(pdp.FlagAllowed) || !rec.Flags.Has(pdp.FlagDryRun) {
		t.Errorf("recorded %b", rec.Flags)
	}
}

func TestHeadersNameSubjectAndRoleOnce(t *testing.T) {
	r := start(t, byAction, options(func(x *extauthz.Options) {
		x.Identity, x.RoleHeader = []string{"header:X-User", "address"}, "x-role"
	}))
	in := r.input(get("/x", "x-user", "bob", "x-role", "admin"))
	if at(in, "subject", "type") != "header" || at(in, "subject", "id") != "bob" || at(in, "subject", "properties", "role") != "admin" {
		t.Errorf("%v", in["subject"])
	}
	if in := r.input(get("/x")); at(in, "subject", "type") != "address" || at(in, "subject", "id") != "10.1.2.3" {
		t.Errorf("%v", in["subject"])
	}
}

func TestHealthAndDrain(t *testing.T) {
	r := start(t, byAction)
	h := grpc_health_v1.NewHealthClient(r.conn)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ask := func() grpc_health_v1.HealthCheckResponse_ServingStatus {
		resp, err := h.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetStatus()
	}
	if ask() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Fatal("not serving")
	}
	r.mesh.NotServing()
	if ask() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Fatal("still serving")
	}
	if !allowed(r.check(get("/x"))) {
		t.Fatal("decisions go on while readiness fails")
	}
	if err := r.mesh.Drain(ctx); err != nil {
		t.Fatal(err)
	}
}
