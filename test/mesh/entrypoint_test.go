//go:build unix

package mesh_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"thymus/test/harness"
)

// objects is a policy as one writes it for opa-envoy-plugin. Where no rule matches its value is undefined.
const objects = `package envoy.authz

first := input.parsed_path[0]

allow := true if first == "plain"

allow := false if first == "no"

allow := {
	"allowed": true,
	"headers": {"x-user": "bob", "x-list": ["a", "b"], "x-thymus-effect": "forged", "x-note": "caf\u00e9 100 %"},
	"request_headers_to_remove": ["x-secret", "x-thymus-decision-id"],
	"response_headers_to_add": {"x-client": "told"},
	"query_parameters_to_set": {"set": "1 2", "was": "new"},
	"query_parameters_to_remove": ["gone"],
	"dynamic_metadata": {"team": {"n": 7}},
	"reason_code": "OK-1",
} if first == "rich"

allow := {"allowed": false, "http_status": 302, "headers": {"location": "/login?to=x"}, "body": "go away"} if first == "login"

allow := {"allowed": false, "http_status": 401, "headers": {"www-authenticate": "Bearer realm=\"x\"", "content-type": "text/plain"},
	"body": "who are you?"} if first == "who"

allow := {"allowed": false, "http_status": 503, "body": "later"} if first == "later"

allow := {"allowed": false, "headers": {"content-length": "999", "x-why": "none"}} if first == "bare"

allow := {"allowed": true, "response_headers_to_add": {"set-cookie": ["a=1", "b=2"], "x-client": "told"}} if first == "cookies"

allow := {"allowed": true, "response_headers_to_add": [{"set-cookie": "a=1"}, {"set-cookie": "b=2"}]} if first == "cookieobjects"

allow := {"allowed": false, "headers": {"set-cookie": ["a=1", "b=2"]}} if first == "nocookies"

allow := {"allowed": false, "headers": [{"set-cookie": "a=1"}, {"set-cookie": "b=2"}]} if first == "nocookieobjects"

allow := {"allowed": false, "dynamic_metadata": deep(30)} if first == "deep"

allow := {"allowed": false, "dynamic_metadata": deep(60)} if first == "deeper"

deep(n) := {"a": json.unmarshal(concat("", [concat("", ["{\"a\":" | some _ in numbers.range(1, n)]), "{}", concat("", ["}" | some _ in numbers.range(1, n)])]))}

allow := {"allowed": true, "body": "not for you", "http_status": 404} if first == "permitted"

allow := "allow" if first == "string"

allow := 1 if first == "number"

allow := ["allow"] if first == "array"

allow := null if first == "null"

allow := {"effect": "allow"} if first == "noallowed"

allow := {"allowed": "true"} if first == "stringly"

allow := {"allowed": true, "headers": {"x": 1}} if first == "badheader"

allow := {"allowed": true, "headers": {"bad name": "x"}} if first == "badname"

allow := {"allowed": true, "request_headers_to_remove": "x"} if first == "badremoval"

allow := {"allowed": false, "http_status": 799} if first == "badstatus"

allow := {"allowed": true, "x": 1 / to_number(input.parsed_query.by[0])} if first == "divided"

allow := true if first == "conflict"

allow := false if {
	first == "conflict"
	input.attributes.request.http.method == "GET"
}
`

// wrong are the first segments of paths for which the entrypoint says nothing that is an answer.
var wrong = []string{"undefined", "string", "number", "array", "null", "noallowed", "stringly", "badheader", "badname", "badremoval",
	"badstatus", "divided?by=0", "conflict"}

// passAlong makes Envoy's HTTP service hand on what the entrypoint adds: by gRPC it does so by itself.
var passAlong = []string{
	"patterns: [{prefix: x-thymus-, ignore_case: true}]", `patterns: [{prefix: x-}]
                          allowed_client_headers_on_success:
                            patterns: [{exact: x-client}, {exact: set-cookie}]`,
	`effect: "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:effect)%"`,
	`team: "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:team:n)%"
                          code: "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:reason_code)%"`,
}

func TestAnEntrypointsObjectThroughEnvoy(t *testing.T) {
	s, app := thymus(t, objects, "--set", "extauthz.entrypoint=envoy/authz/allow"), application(t)
	for _, r := range envoys() {
		t.Run(r.name, func(t *testing.T) {
			p := r.start(t, s, app, passAlong...)
			p.passes("GET", "/plain", "")
			told(t, p.stopped("GET", "/no", ""), 403)
			rich(t, p, r.grpc)
			for _, c := range []struct {
				target string
				status int
				header [2]string
				body   string
			}{
				{"/login", 302, [2]string{"Location", "/login?to=x"}, "go away"},
				{"/who", 401, [2]string{"Www-Authenticate", `Bearer realm="x"`}, "who are you?"},
				{"/later", map[bool]int{true: 503, false: 403}[r.grpc], [2]string{}, "later"},
			} {
				got := p.send("GET", c.target, "")
				if got.app != nil || got.status != c.status || got.body != c.body || got.headers.Get(c.header[0]) != c.header[1] {
					t.Errorf("%s: %+v", c.target, got)
				}
			}
			bare := p.stopped("GET", "/bare", "")
			if told(t, bare, 403); bare.headers.Get("X-Why") != "none" {
				t.Errorf("%+v", bare)
			}
			if got := p.send("GET", "/permitted", ""); got.app == nil || got.status != 200 {
				t.Errorf("a permit's body and status are a denial's: %+v", got)
			}
			p.passes("GET", "/divided?by=2", "")
			for _, target := range wrong {
				told(t, p.stopped("GET", "/"+target, ""), 403)
			}
			p.passes("POST", "/conflict", "")
			cookies(t, p)
		})
	}
}

// An answer that Envoy cannot read is to it what no answer is, and where it is told to, it lets those pass.
func TestADenialWithDeepMetadataIsOneThatEnvoyReads(t *testing.T) {
	s, app := thymus(t, objects, "--set", "extauthz.entrypoint=envoy/authz/allow"), application(t)
	p := envoys()[0].start(t, s, app, "failure_mode_allow: false", "failure_mode_allow: true")
	for _, target := range []string{"/deep", "/deeper"} {
		told(t, p.stopped("GET", target, ""), 403)
	}
}

// told holds what a denied client is told where the policy has nothing to say: the decision's name.
func told(t *testing.T, r *reply, status int) {
	t.Helper()
	if r.status != status || !strings.Contains(r.body, `"decision_id":"`) || r.headers.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v %s", r.status, r.headers, r.body)
	}
}

// cookies holds that what an entrypoint says to the client stands beside what the application says, every value of it.
func cookies(t *testing.T, p proxy) {
	t.Helper()
	for target, want := range map[string][]string{
		"/cookies": {"app=1", "a=1", "b=2"}, "/cookieobjects": {"app=1", "a=1", "b=2"},
		"/nocookies": {"a=1", "b=2"}, "/nocookieobjects": {"a=1", "b=2"},
	} {
		if got := p.send("GET", target, "").headers.Values("Set-Cookie"); !slices.Equal(got, want) {
			t.Errorf("%s: the client got %q, want %q", target, got, want)
		}
	}
}

// rich holds what a permit changes in the request and in the answer.
func rich(t *testing.T, p proxy, grpc bool) {
	t.Helper()
	r := p.send("GET", "/rich?was=old&gone=1&gone=2&stays=a", "", "X-Secret", "s", "X-User", "eve", "X-List", "z", "X-Thymus-Effect", "forged")
	if r.app == nil {
		t.Fatalf("%+v", r)
	}
	h := r.app.Headers
	if v := h.Values("X-User"); !slices.Equal(v, []string{"bob"}) {
		t.Errorf("x-user %q", v)
	}
	if v := strings.Join(h.Values("X-List"), ","); !strings.HasSuffix(v, "a,b") {
		t.Errorf("x-list %q", v)
	}
	if v := h.Get("X-Note"); v != "caf%C3%A9 100 %" {
		t.Errorf("x-note %q", v)
	}
	if v := h.Values("X-Secret"); len(v) > 0 {
		t.Errorf("x-secret %q", v)
	}
	if v := h.Values("X-Thymus-Effect"); !slices.Equal(v, []string{"allow"}) {
		t.Errorf("x-thymus-effect %q", v)
	}
	if v := h.Get("X-Thymus-Decision-Id"); len(v) != 36 {
		t.Errorf("x-thymus-decision-id %q", v)
	}
	if v := r.headers.Values("X-Client"); !slices.Equal(v, []string{"told"}) {
		t.Errorf("x-client %q", v)
	}
	if !grpc { // Envoy changes queries and takes metadata by gRPC alone
		return
	}
	_, query, _ := strings.Cut(r.app.Target, "?")
	got := strings.Split(query, "&")
	slices.Sort(got)
	if want := []string{"set=1%202", "stays=a", "was=new"}; !slices.Equal(got, want) {
		t.Errorf("the query is %q", query)
	}
	id := h.Get("X-Thymus-Decision-Id")
	harness.Eventually(t, 20*time.Second, "the access log has the decision's metadata", func() bool {
		for line := range strings.Lines(p.life.Log()) {
			if strings.Contains(line, id) {
				return strings.Contains(line, `"team":7`) && strings.Contains(line, `"code":"OK-1"`)
			}
		}
		return false
	})
}

// nginx passes a status of 401 or 403 and drops the body; Caddy passes what it gets.
func TestAnEntrypointsAnswerThroughTheOthers(t *testing.T) {
	s, app := thymus(t, objects, "--set", "extauthz.entrypoint=envoy/authz/allow"), application(t)
	for _, r := range others() {
		t.Run(r.name, func(t *testing.T) {
			p := r.start(t, s, app)
			got := p.passes("GET", "/rich", "", "X-Thymus-Effect", "forged", "X-Thymus-Warning", "forged")
			if v := got.Headers.Values("X-Thymus-Effect"); !slices.Equal(v, []string{"allow"}) {
				t.Errorf("x-thymus-effect %q", v)
			}
			if v := got.Headers.Values("X-Thymus-Warning"); len(v) > 0 && v[0] != "" {
				t.Errorf("x-thymus-warning %q", v)
			}
			p.passes("GET", "/plain", "")
			told(t, p.stopped("GET", "/no", ""), 403)
			if got := p.stopped("GET", "/who", ""); got.status != 401 || got.headers.Get("Www-Authenticate") != `Bearer realm="x"` ||
				r.name == "Caddy" && got.body != "who are you?" {
				t.Errorf("%+v", got)
			}
			login, want := p.send("GET", "/login", ""), map[string]int{"nginx": 500, "Caddy": 302}[r.name]
			if login.app != nil || login.status != want || want == 302 && login.headers.Get("Location") != "/login?to=x" {
				t.Errorf("%+v", login)
			}
			for _, target := range wrong {
				told(t, p.stopped("GET", "/"+target, ""), 403)
			}
		})
	}
}
