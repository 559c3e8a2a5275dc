//go:build unix

package mesh_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"
)

// bodies permits by what a body holds; each path names what it has to be.
const bodies = `package policies.bodies

allow contains "json" if {
	input.resource.id == "/json"
	input.parsed_body.user.name == "bob"
	input.truncated_body == false
}

allow contains "form" if {
	input.resource.id == "/form"
	input.parsed_body.user == ["bob"]
}

allow contains "parts" if {
	input.resource.id == "/parts"
	input.parsed_body.user == ["bob"]
	input.parsed_body.doc[0].n == 1
}

allow contains "cut" if {
	input.resource.id == "/cut"
	input.truncated_body == true
	input.parsed_body == null
}

allow contains "none" if {
	input.resource.id == "/none"
	input.parsed_body == null
	input.truncated_body == false
}

allow contains "writes" if input.resource.id == "/amount"

deny contains "too much" if input.parsed_body.amount > 100
`

const (
	asJSON = "application/json"
	asForm = "application/x-www-form-urlencoded"
	asPart = "multipart/form-data; boundary=xx"
	form   = "--xx\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nbob\r\n" +
		"--xx\r\nContent-Disposition: form-data; name=\"doc\"; filename=\"d.json\"\r\nContent-Type: application/json\r\n\r\n{\"n\":1}\r\n"
)

// shownBodies are bodies as a proxy shows them that shows bodies. The configurations show 64 KiB.
func shownBodies() []struct {
	name, target, kind, body string
	headers                  []string
	passes                   bool
} {
	bob := `{"user":{"name":"bob"}}`
	long := `{"user":{"name":"bob"},"pad":"` + strings.Repeat("x", 70_000) + `"}`
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = w.Write([]byte(bob))
	_ = w.Close()
	return []struct {
		name, target, kind, body string
		headers                  []string
		passes                   bool
	}{
		{"JSON", "/json", asJSON, bob, nil, true},
		{"JSON with a charset", "/json", asJSON + "; charset=utf-8", bob, nil, true},
		{"JSON of somebody else", "/json", asJSON, `{"user":{"name":"eve"}}`, nil, false},
		{"JSON that ends early", "/json", asJSON, `{"user":{"name":"bob"}`, nil, false},
		{"JSON and something behind it", "/json", asJSON, bob + bob, nil, false},
		{"JSON that is no UTF-8", "/json", asJSON, "{\"user\":{\"name\":\"bob\"},\"x\":\"\xff\"}", nil, false},
		{"JSON that says it is text", "/json", "text/plain", bob, nil, false},
		{"JSON that is compressed", "/json", asJSON, z.String(), []string{"Content-Encoding", "gzip"}, false},
		{"JSON that says it is compressed, and is not", "/json", asJSON, bob, []string{"Content-Encoding", "gzip"}, true},
		{"JSON that is cut", "/json", asJSON, long, nil, false},
		{"a cut body, said to be cut", "/cut", asJSON, long, nil, true},
		{"a whole body that the client says is cut", "/cut", asJSON, bob, []string{"X-Envoy-Auth-Partial-Body", "true"}, false},
		{"a whole body that the client says is cut, read all the same", "/json", asJSON, bob, []string{"X-Envoy-Auth-Partial-Body", "true"}, true},
		{"a cut body that the client says is whole", "/none", asJSON, long, []string{"X-Envoy-Auth-Partial-Body", "false"}, false},
		{"a form", "/form", asForm, "user=bob&x=1", nil, true},
		{"a form of two users", "/form", asForm, "user=bob&user=eve", nil, false},
		{"a form that is none", "/form", asForm, "user=bob&x=%zz", nil, false},
		{"a multipart form", "/parts", asPart, form + "--xx--\r\n", nil, true},
		{"a multipart form that ends early", "/parts", asPart, form[:len(form)-6], nil, false},
		{"a multipart form without its boundary", "/parts", "multipart/form-data", form + "--xx--\r\n", nil, false},
		{"text", "/none", "text/plain", "hello", nil, true},
		{"an amount", "/amount", asJSON, `{"amount":100}`, nil, true},
		{"an amount that a rule denies", "/amount", asJSON, `{"amount":101}`, nil, false},
		{"an amount that a rule denies, said to be cut", "/amount", asJSON, `{"amount":101}`, []string{"X-Envoy-Auth-Partial-Body", "true"}, false},
		{"an amount that a rule denies, of a length that is no number", "/amount", asJSON, `{"amount":101}`, []string{"Content-Length", "x"}, false},
	}
}

// holdBody sends one body, and looks at what reaches the application.
func holdBody(p proxy, target, kind, body string, headers []string, passes bool) {
	p.t.Helper()
	headers = append([]string{"Content-Type", kind}, headers...)
	if !passes {
		p.stopped("POST", target, body, headers...)
		return
	}
	if got := p.passes("POST", target, body, headers...); got.Body != body {
		p.t.Errorf("the application got %d bytes of %d", len(got.Body), len(body))
	}
}

func TestEnvoyShowsBodies(t *testing.T) {
	s, app := thymus(t, bodies), application(t)
	for _, r := range append(envoys(), road{"Envoy, gRPC, bodies as text", true, func(t testing.TB, s *sidecar, app string, more ...string) proxy {
		return envoy(t, "grpc.yaml", s, app, append(more, ", pack_as_bytes: true", "")...)
	}}) {
		t.Run(r.name, func(t *testing.T) {
			p := r.start(t, s, app)
			for _, c := range shownBodies() {
				if r.name == "Envoy, gRPC, bodies as text" && strings.Contains(c.body, "\xff") {
					continue // Envoy itself makes it UTF-8
				}
				t.Run(c.name, func(t *testing.T) {
					p.t = t
					holdBody(p, c.target, c.kind, c.body, c.headers, c.passes)
				})
			}
			p.t = t
			p.passes("GET", "/none", "")
			for _, c := range []struct {
				name   string
				passes bool
			}{{"bob", true}, {"eve", false}} {
				body := `{"user":{"name":"` + c.name + `"}}`
				got, err := sendRaw(p.addr, "POST", "POST /json HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"+
					"Transfer-Encoding: chunked\r\n\r\n"+fmt.Sprintf("5\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", body[:5], len(body)-5, body[5:]))
				if err != nil || (got.app != nil) != c.passes {
					t.Errorf("%s in chunks: %v %+v", c.name, err, got)
				}
			}
		})
	}
}

// Where Envoy is told not to cut, it answers by itself what is longer than it shows; what is longer than Thymus reads is
// a denial of Thymus'.
func TestBodiesBeyondTheLimitsAreStopped(t *testing.T) {
	s, app := thymus(t, bodies, "--set", "extauthz.max_body=1MiB"), application(t)
	for _, r := range envoys() {
		t.Run(r.name, func(t *testing.T) {
			p := r.start(t, s, app, "allow_partial_message: true", "allow_partial_message: false")
			if got := p.stopped("POST", "/none", strings.Repeat("x", 70_000), "Content-Type", "text/plain"); got.status != 413 {
				t.Errorf("Envoy's own limit is %d", got.status)
			}
			p = r.start(t, s, app, "max_request_bytes: 65536", "max_request_bytes: 8388608",
				"- name: ingress\n", "- name: ingress\n      per_connection_buffer_limit_bytes: 16777216\n")
			if got := p.stopped("POST", "/none", strings.Repeat("x", 2<<20), "Content-Type", "text/plain"); got.status != 403 ||
				!strings.Contains(got.body, "decision_id") {
				t.Errorf("Thymus' limit is %d %s", got.status, got.body)
			}
			p.passes("POST", "/none", strings.Repeat("x", 1<<19), "Content-Type", "text/plain")
		})
	}
}

// byAmount has a rule about bodies, and none about those that are cut.
const byAmount = `package policies.amounts

allow contains "writes" if input.action.name in {"GET", "POST"}

deny contains "too much" if input.parsed_body.amount > 100
`

// A rule that denies by a body must not fall silent because nobody shows the body, or all of it.
func TestARuleAboutBodiesDeniesWhatItIsNotShown(t *testing.T) {
	s, app := thymus(t, byAmount), application(t)
	for _, r := range append(envoys(), others()...) {
		t.Run(r.name, func(t *testing.T) {
			p := r.start(t, s, app)
			p.passes("GET", "/x", "")
			p.passes("POST", "/x", "")
			p.passes("POST", "/x", "hello", "Content-Type", "text/plain")
			for _, body := range []string{`{"amount":101}`, `{"amount":101,"pad":"` + strings.Repeat("x", 70_000) + `"}`} {
				for _, said := range []string{"", "true", "false"} {
					p.stopped("POST", "/x", body, "Content-Type", asJSON, "X-Envoy-Auth-Partial-Body", said)
				}
			}
			got := p.send("POST", "/x", `{"amount":1}`, "Content-Type", asJSON)
			if shown := strings.HasPrefix(r.name, "Envoy"); (got.app != nil) != shown {
				t.Errorf("shown %t, and the answer is %+v", shown, got)
			}
		})
	}
}

// Where a policy looks at truncated_body, a body that a proxy never shows is one that was cut.
func TestABodyThatAProxyNeverShowsWasCut(t *testing.T) {
	s, app := thymus(t, bodies), application(t)
	for _, r := range others() {
		t.Run(r.name, func(t *testing.T) {
			p := r.start(t, s, app)
			p.passes("POST", "/cut", "{}", "Content-Type", asJSON)
			p.passes("POST", "/cut", "{}", "Content-Type", asJSON, "X-Envoy-Auth-Partial-Body", "false")
			p.passes("POST", "/cut", "hello", "Content-Type", "text/plain")
			p.passes("GET", "/none", "", "X-Envoy-Auth-Partial-Body", "true")
			p.stopped("POST", "/none", "{}", "Content-Type", asJSON)
			p.stopped("POST", "/json", `{"user":{"name":"bob"}}`, "Content-Type", asJSON)
			p.stopped("GET", "/cut", "", "X-Envoy-Auth-Partial-Body", "true")
		})
	}
}
