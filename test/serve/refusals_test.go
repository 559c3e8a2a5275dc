package serve_test

import (
	"path/filepath"
	"strings"
	"testing"

	"thymus/test/harness"
)

// request is one in full, with the length of its body.
func request(method, target, headers, body string) string {
	if headers != "" {
		headers += "\r\n"
	}
	return method + " " + target + " HTTP/1.1\r\nHost: x\r\n" + headers + "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body
}

// Every 4xx of the contract, over the binary as it is shipped: status, media type, and what the answer names.
func TestEvery4xx(t *testing.T) {
	dir := t.TempDir()
	harness.Write(t, filepath.Join(dir, "token"), "t0ken")
	p := start(t, "--set", "data.token_file="+filepath.Join(dir, "token"), "--set", "data.max_body=64KiB", "--set", "data.max_header=8KiB",
		"--set", "data.opa.paths=policies/**")
	const (
		auth    = "Authorization: Bearer t0ken"
		json    = auth + "\r\nContent-Type: application/json"
		problem = "application/problem+json"
	)
	deep := strings.Repeat("[", 63) + strings.Repeat("]", 63)
	many := strings.TrimSuffix(strings.Repeat(admin+",", 1001), ",")
	for _, x := range []struct {
		name, request string
		status        int
		kind, has     string
	}{
		{"400 malformed JSON", request("POST", "/v1/evaluate", json, `{"agent_id":"a",}`), 400, problem, "malformed-json"},
		{"400 a wrong type", request("POST", "/v1/evaluate", json, `{"agent_id":7,"action":"x"}`), 400, problem, `"field":"agent_id"`},
		{"400 a missing field", request("POST", "/v1/evaluate", json, `{"agent_id":"a"}`), 400, problem, `"field":"action"`},
		{"400 an empty field", request("POST", "/v1/evaluate", json, `{"agent_id":"a","action":""}`), 400, problem, `"field":"action"`},
		{"400 another content type", request("POST", "/v1/evaluate", auth+"\r\nContent-Type: text/plain", admin), 400, problem, "application/json"},
		{"400 duplicate keys", request("POST", "/v1/evaluate", json, `{"agent_id":"a","action":"x","params":{"k":1,"k":2}}`), 400, problem, `"field":"params.k"`},
		{"400 null for an optional member", request("POST", "/v1/evaluate", json, `{"agent_id":"a","action":"x","params":null}`), 400, problem, `"field":"params"`},
		{"400 a depth of 65", request("POST", "/v1/evaluate", json, `{"agent_id":"a","action":"x","params":{"d":`+deep+`}}`), 400, problem, "deeper than 64"},
		{"200 a depth of 64", request("POST", "/v1/evaluate", json, `{"agent_id":"a","action":"x","params":{"d":`+deep[1:len(deep)-1]+`}}`), 200, "application/json", `"allowed":false`},
		{"400 invalid UTF-8", request("POST", "/v1/evaluate", json, "{\"agent_id\":\"\xc3\x28\",\"action\":\"x\"}"), 400, problem, `"status":400`},
		{"400 a name beyond 256 bytes", request("POST", "/v1/evaluate", json, `{"agent_id":"a","action":"`+strings.Repeat("x", 257)+`"}`), 400, problem, `"field":"action"`},
		{"400 a resource beyond 4 KiB", request("POST", "/v1/evaluate", json, `{"agent_id":"a","action":"x","resource":"`+strings.Repeat("x", 4097)+`"}`), 400, problem, `"field":"resource"`},
		{"400 a batch of none", request("POST", "/v1/evaluate/batch", json, `{"evaluations":[]}`), 400, problem, `"field":"evaluations"`},
		{"400 a batch of 1,001", request("POST", "/v1/evaluate/batch", json, `{"evaluations":[`+many+`]}`), 400, problem, `"field":"evaluations"`},
		{"400 a nested field of AuthZEN", request("POST", "/access/v1/evaluation", json, `{"subject":{"type":"user"},"action":{"name":"x"},"resource":{"type":"t","id":"i"}}`), 400, problem, `"field":"subject.id"`},
		{"400 an unknown semantic", request("POST", "/access/v1/evaluations", json, `{"options":{"evaluations_semantic":"x"},"evaluations":[{}]}`), 400, problem, `"field":"options.evaluations_semantic"`},
		{"401 no token", request("POST", "/v1/evaluate", "", admin), 401, problem, `"status":401`},
		{"401 a wrong token", request("POST", "/v1/evaluate", "Authorization: Bearer t0keN", admin), 401, problem, `"status":401`},
		{"401 on the Data API", request("POST", "/v1/data/x", "", `{}`), 401, "application/json", `"code": "unauthorized"`},
		{"200 health asks for none", request("GET", "/healthz", "", ""), 200, "application/json", `"ok"`},
		{"200 readiness neither", request("GET", "/readyz", "", ""), 200, "application/json", `"ready"`},
		{"403 outside of data.opa.paths", request("GET", "/v1/data/system", auth, ""), 403, "application/json", `"code": "forbidden"`},
		{"403 a parent of what may be read", request("GET", "/v1/data/policies", auth, ""), 403, "application/json", `"code": "forbidden"`},
		{"404 an unknown path", request("GET", "/v1/nothing", auth, ""), 404, problem, `"status":404`},
		{"404 a trailing slash", request("POST", "/v1/evaluate/", json, admin), 404, problem, `"status":404`},
		{"405 another method", request("PUT", "/v1/evaluate", json, admin), 405, problem, "POST"},
		{"405 on the Data API", request("DELETE", "/v1/data/policies/x", auth, ""), 405, "application/json", "GET, HEAD, POST"},
		{"413 a body over the limit", request("POST", "/v1/evaluate", json, strings.Repeat(" ", 64<<10)+admin), 413, problem, "at most 65536 bytes"},
		{"431 headers over the limit", request("GET", "/healthz", "X-Long: "+strings.Repeat("x", 8<<10), ""), 431, problem, "at most 8192 bytes"},
		{"400 on the Data API, in OPA's shape", request("POST", "/v1/data/policies/x", auth, `{"input":`), 400, "application/json", `"code": "invalid_parameter"`},
		{"400 no HTTP", "nonsense\r\n\r\n", 400, problem, `"status":400`},
		{"an absolute target counts by its path", request("POST", "http://elsewhere/v1/evaluate", json, admin), 200, "application/json", `"allowed":true`},
	} {
		t.Run(x.name, func(t *testing.T) {
			a, err := raw(t, p.Addr("data"), x.request)
			if err != nil {
				t.Fatal(err)
			}
			if a.Status != x.status || a.Header.Get("Content-Type") != x.kind || !strings.Contains(a.Body, x.has) {
				t.Fatalf("got %d %s %s\nwant %d %s with %s", a.Status, a.Header.Get("Content-Type"), a.Body, x.status, x.kind, x.has)
			}
			if a.Status == 405 && a.Header.Get("Allow") == "" {
				t.Fatal("405 without Allow")
			}
			t.Logf("%d %s", a.Status, strings.TrimSpace(a.Body))
		})
	}
}

func TestTargetsBelowExtAuthzArePermittedByNothing(t *testing.T) {
	p := start(t)
	for _, target := range []string{
		"/ext_authz/envoy/%2e%2e/%2e%2e/healthz", "/ext_authz/envoy/../../healthz", "/ext_authz/../healthz",
		"/ext_authz/%2e%2e/healthz", "/ext_authz/..%2fhealthz", "/ext_authz/envoy/..;/..;/healthz", `/ext_authz/envoy\..\..\healthz`,
		"/ext_authz//healthz", "/ext_authz/./../healthz", "http://x/ext_authz/../healthz", "/ext_authz/nginx/../../readyz",
		"/ext_authz/forward?/../../healthz", "/ext_authz/envoy/v1/data",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS"} {
			a, err := raw(t, p.Addr("data"), request(method, target, "", ""))
			if err != nil {
				t.Fatal(err)
			}
			if a.Status != 403 {
				t.Errorf("%s %s: %d %s", method, target, a.Status, a.Body)
			}
		}
	}
}
