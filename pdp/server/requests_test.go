package server_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"thymus/internal/guard"
	"thymus/internal/health"
	"thymus/pdp"
	"thymus/pdp/engine"
	"thymus/pdp/server"
)

func itoa(n int) string { return strconv.Itoa(n) }

const good = `{"agent_id":"a","action":"read"}`

// post is a request with a body and the headers given, each on a line.
func post(target, headers, body string) string {
	if headers != "" {
		headers += "\n"
	}
	return "POST " + target + " HTTP/1.1\nHost: x\n" + headers + "Content-Length: " + itoa(len(body)) + "\n\n" + body
}

func TestEveryRefusalIsAnsweredInItsSurfacesShape(t *testing.T) {
	p := start(t, func(o *server.Options, _ *engine.Options) {
		o.MaxBody, o.MaxHeader = 4096, 2048
		o.OPAPaths = []string{"allow", "pub/**", "strict", "conflict"}
	}, nil)
	const problem, opa = "application/problem+json", "application/json"
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		name, request string
		status        int
		kind, has     string
	}{
		{"malformed JSON", post("/v1/evaluate", "Content-Type: application/json", `{"agent_id":`), 400, problem, `"type":"/problems/malformed-json"`},
		{"an empty body", post("/v1/evaluate", "", ``), 400, problem, `the body is empty`},
		{"a wrong type", post("/v1/evaluate", "", `{"agent_id":1,"action":"read"}`), 400, problem, `"field":"agent_id"`},
		{"a missing field", post("/v1/evaluate", "", `{"agent_id":"a"}`), 400, problem, `"field":"action"`},
		{"an empty field", post("/v1/evaluate", "", `{"agent_id":"","action":"read"}`), 400, problem, `"field":"agent_id"`},
		{"null for an optional member", post("/v1/evaluate", "", `{"agent_id":"a","action":"read","resource":null}`), 400, problem, `"field":"resource"`},
		{"duplicate keys", post("/v1/evaluate", "", `{"agent_id":"a","agent_id":"b","action":"read"}`), 400, problem, `agent_id`},
		{"a depth of 65", post("/v1/evaluate", "", `{"agent_id":"a","action":"read","params":{"x":`+strings.Repeat("[", 63)+strings.Repeat("]", 63)+`}}`), 400, problem, `deeper than 64`},
		{"invalid UTF-8", post("/v1/evaluate", "", "{\"agent_id\":\"\xff\",\"action\":\"read\"}"), 400, problem, `"status":400`},
		{"a name of 257 bytes", post("/v1/evaluate", "", `{"agent_id":"`+strings.Repeat("a", 257)+`","action":"read"}`), 400, problem, `"field":"agent_id"`},
		{"a form", post("/v1/evaluate", "Content-Type: application/x-www-form-urlencoded", good), 400, problem, `application/json`},
		{"JSON in Latin-1", post("/v1/evaluate", "Content-Type: application/json; charset=latin1", good), 400, problem, `application/json`},
		{"an empty batch", post("/v1/evaluate/batch", "", `{"evaluations":[]}`), 400, problem, `"field":"evaluations"`},
		{"an unknown semantic", post("/access/v1/evaluations", "", `{"options":{"evaluations_semantic":"any"},"evaluations":[{}]}`), 400, problem, `evaluations_semantic`},
		{"an AuthZEN call without a subject", post("/access/v1/evaluation", "", `{"action":{"name":"read"},"resource":{"type":"t","id":"i"}}`), 400, problem, `"field":"subject"`},
		{"an unknown path", "GET /v2/evaluate HTTP/1.1\nHost: x\n\n", 404, problem, `"status":404`},
		{"a trailing slash", post("/v1/evaluate/", "", good), 404, problem, `"status":404`},
		{"an encoded path", post("/v1/%65valuate", "", good), 404, problem, `"status":404`},
		{"a path with dots", post("/v1/../v1/evaluate", "", good), 404, problem, `"status":404`},
		{"a double slash", post("//v1/evaluate", "", good), 404, problem, `"status":404`},
		{"the asterisk", "OPTIONS * HTTP/1.1\nHost: x\n\n", 404, problem, `"status":404`},
		{"an authority", "CONNECT x:1 HTTP/1.1\nHost: x\n\n", 404, problem, `"status":404`},
		{"another method", "GET /v1/evaluate HTTP/1.1\nHost: x\n\n", 405, problem, `expected one of POST`},
		{"another method on health", "POST /healthz HTTP/1.1\nHost: x\nContent-Length: 0\n\n", 405, problem, `GET, HEAD`},
		{"a body over the limit", post("/v1/evaluate", "", long), 413, problem, `at most 4096 bytes`},
		{"a chunked body over the limit", "POST /v1/evaluate HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n1388\r\n" + long + "\r\n0\r\n\r\n", 413, problem, `at most 4096 bytes`},
		{"headers over the limit", "GET /healthz HTTP/1.1\nHost: x\nX-Long: " + strings.Repeat("x", 2100) + "\n\n", 431, problem, `at most 2048 bytes`},
		{"many headers over the limit", "GET /healthz HTTP/1.1\nHost: x\n" + strings.Repeat("X-A: 0123456789\n", 130) + "\n", 431, problem, `at most 2048 bytes`},
		{"a target over the limit", "GET /" + strings.Repeat("x", 2100) + " HTTP/1.1\nHost: x\n\n", 431, problem, `at most 2048 bytes`},
		{"no host", "GET /healthz HTTP/1.1\n\n", 400, problem, `RFC 9112`},
		{"two hosts", "GET /healthz HTTP/1.1\nHost: x\nHost: y\n\n", 400, problem, `RFC 9112`},
		{"no version", "GET /healthz\nHost: x\n\n", 400, problem, `RFC 9112`},
		{"two lengths", "POST /v1/evaluate HTTP/1.1\nHost: x\nContent-Length: 32\nContent-Length: 32\n\n" + good, 400, problem, `RFC 9112`},
		{"a negative length", "POST /v1/evaluate HTTP/1.1\nHost: x\nContent-Length: -1\n\n", 400, problem, `RFC 9112`},
		{"length and chunks", "POST /v1/evaluate HTTP/1.1\nHost: x\nContent-Length: 5\nTransfer-Encoding: chunked\n\n0\r\n\r\n", 400, problem, `both content-length and transfer-encoding`},
		{"chunks in HTTP/1.0", "POST /v1/evaluate HTTP/1.0\nHost: x\nTransfer-Encoding: chunked\n\n0\r\n\r\n", 400, problem, `RFC 9112`},
		{"another transfer encoding", "POST /v1/evaluate HTTP/1.1\nHost: x\nTransfer-Encoding: gzip, chunked\n\n0\r\n\r\n", 400, problem, `RFC 9112`},
		{"a space before the colon", "GET /healthz HTTP/1.1\nHost : x\n\n", 400, problem, `RFC 9112`},
		{"a broken chunk", "POST /v1/evaluate HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\nzz\r\n", 400, problem, `RFC 9112`},

		{"data: malformed input", post("/v1/data/allow", "", `{"input":`), 400, opa, `"code": "invalid_parameter"`},
		{"data: malformed parameter", "GET /v1/data/allow?input={ HTTP/1.1\nHost: x\n\n", 400, opa, `"code": "invalid_parameter"`},
		{"data: badly encoded parameter", "GET /v1/data/allow?input=%zz HTTP/1.1\nHost: x\n\n", 400, opa, `"code": "invalid_parameter"`},
		{"data: outside of what may be read", "GET /v1/data/secret HTTP/1.1\nHost: x\n\n", 403, opa, `"code": "forbidden"`},
		{"data: the root, a parent of what may be read", "GET /v1/data HTTP/1.1\nHost: x\n\n", 403, opa, `"code": "forbidden"`},
		{"data: a parent of what may be read", "GET /v1/data/pub HTTP/1.1\nHost: x\n\n", 403, opa, `"code": "forbidden"`},
		{"data: an encoded slash is no separator", "GET /v1/data/pub%2fx HTTP/1.1\nHost: x\n\n", 403, opa, `"code": "forbidden"`},
		{"data: a trailing slash", "GET /v1/data/allow/ HTTP/1.1\nHost: x\n\n", 404, opa, `"code": "resource_not_found"`},
		{"data: a badly encoded path", "GET /v1/data/allow/%zz HTTP/1.1\nHost: x\n\n", 400, opa, `"code": "invalid_parameter"`},
		{"data: a badly encoded parameter name", "GET /v1/data/allow?%zz=1 HTTP/1.1\nHost: x\n\n", 400, opa, `"code": "invalid_parameter"`},
		{"data: another method", "PUT /v1/data/allow HTTP/1.1\nHost: x\nContent-Length: 0\n\n", 405, opa, `"code": "method_not_allowed"`},
		{"data: not gzip", post("/v1/data/allow", "Content-Encoding: gzip", `{"input":{}}`), 400, opa, `"code": "invalid_parameter"`},
		{"data: a conflict", post("/v1/data/conflict", "", `{"input":{}}`), 500, opa, `"eval_conflict_error"`},
		{"data: a builtin's error, strict", post("/v1/data/strict?strict-builtin-errors", "", `{"input":{}}`), 500, opa, `"eval_builtin_error"`},
		{"data: a body over the limit", post("/v1/data/allow", "", long), 413, opa, `"code": "invalid_parameter"`},
		{"data: headers over the limit", "GET /v1/data/allow HTTP/1.1\nHost: x\nX-Long: " + strings.Repeat("x", 2100) + "\n\n", 431, opa, `at most 2048 bytes`},
		{"a proxy's call with a body over the limit is a denial", post("/ext_authz/envoy/x", "", long), 403, problem, `"status":403`},
		{"a proxy's malformed call too", "POST /ext_authz/envoy/x HTTP/1.1\nHost: x\nContent-Length: -1\n\n", 403, problem, `"status":403`},
		{"only its oversized headers are not", "GET /ext_authz/envoy/x HTTP/1.1\nHost: x\nX-Long: " + strings.Repeat("x", 2100) + "\n\n", 431, problem, `at most 2048 bytes`},
		{"no path", "GET /v1/dataset HTTP/1.1\nHost: x\n\n", 404, problem, `"status":404`},
	} {
		t.Run(c.name, func(t *testing.T) {
			method, _, _ := strings.Cut(c.request, " ")
			a := p.dial(t).send(c.request).answer(method)
			if a.StatusCode != c.status || a.Header.Get("Content-Type") != c.kind || !strings.Contains(a.body, c.has) {
				t.Fatalf("got %d %s %s\nwant %d %s with %s", a.StatusCode, a.Header.Get("Content-Type"), a.body, c.status, c.kind, c.has)
			}
			if !json.Valid([]byte(a.body)) {
				t.Fatalf("no JSON: %s", a.body)
			}
			if c.status == 405 && a.Header.Get("Allow") == "" {
				t.Fatal("405 without Allow")
			}
			if a.Header.Get("Server") != "" {
				t.Fatalf("the server names itself: %s", a.Header.Get("Server"))
			}
		})
	}
}

func TestWhatIsAnswered(t *testing.T) {
	p := start(t, nil, nil)
	for _, c := range []struct {
		name, request string
		status        int
		has           string
	}{
		{"a permit", post("/v1/evaluate", "Content-Type: application/json", good), 200, `{"allowed":true,"effect":"allow","matched_policy":"p","matched_rule":"r"`},
		{"a deny is 200", post("/v1/evaluate", "Content-Type: application/json; charset=UTF-8", `{"agent_id":"a","action":"no"}`), 200, `{"allowed":false,"effect":"deny","matched_policy":null,"matched_rule":null,"reason":"No matching rules - applied default effect: deny"`},
		{"a query does not change the path", post("/v1/evaluate?x=1", "", good), 200, `"allowed":true`},
		{"an absolute target counts by its path", post("http://other.example/v1/evaluate", "", good), 200, `"allowed":true`},
		{"a +json type", post("/v1/evaluate", "Content-Type: application/vnd.x+json", good), 200, `"allowed":true`},
		{"chunks", "POST /v1/evaluate HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n20\r\n" + good + "\r\n0\r\n\r\n", 200, `"allowed":true`},
		{"a deadline", post("/v1/evaluate", "", `{"agent_id":"a","action":"loop"}`), 200, `"reason":"Evaluation error - denied: the deadline has passed"`},
		{"a batch keeps order and length", post("/v1/evaluate/batch", "", `{"evaluations":[`+good+`,{"action":"read"},{"agent_id":"b","action":"no"}]}`), 200, `"field":"evaluations.1.agent_id"`},
		{"AuthZEN", post("/access/v1/evaluation", "", `{"subject":{"type":"user","id":"a"},"action":{"name":"read"},"resource":{"type":"t","id":"i"}}`), 200, `{"decision":true,"context":{"effect":"allow"`},
		{"AuthZEN's batch", post("/access/v1/evaluations", "", `{"subject":{"type":"user","id":"a"},"resource":{"type":"t","id":"i"},"evaluations":[{"action":{"name":"read"}},{"action":{"name":"no"}}]}`), 200, `{"evaluations":[{"decision":true},{"decision":false}]}`},
		{"AuthZEN's batch ends at the first deny", post("/access/v1/evaluations", "", `{"options":{"evaluations_semantic":"deny_on_first_deny"},"subject":{"type":"user","id":"a"},"resource":{"type":"t","id":"i"},"evaluations":[{"action":{"name":"no"}},{"action":{"name":"read"}}]}`), 200, `{"evaluations":[{"decision":false}]}`},
		{"AuthZEN's batch without items is one evaluation", post("/access/v1/evaluations", "", `{"subject":{"type":"user","id":"a"},"action":{"name":"read"},"resource":{"type":"t","id":"i"}}`), 200, `{"decision":true,"context":`},
		{"AuthZEN's metadata", "GET /.well-known/authzen-configuration HTTP/1.1\nHost: x\n\n", 200, `"policy_decision_point":"http://pdp.example"`},
		{"a document", "GET /v1/data/allow HTTP/1.1\nHost: x\n\n", 200, `{"result":true,"decision_id":"`},
		{"the root document", "GET /v1/data HTTP/1.1\nHost: x\n\n", 200, `{"result":"root"`},
		{"an undefined document", "GET /v1/data/undefined HTTP/1.1\nHost: x\n\n", 200, `{"decision_id":"`},
		{"a document by its encoded path", "GET /v1/data/a%2Fb/%63 HTTP/1.1\nHost: x\n\n", 200, `{"result":"a/b/c"`},
		{"a document with an encoded parameter name", "GET /v1/data/input?%69nput=%7B%22a%22%3A+2%7D HTTP/1.1\nHost: x\n\n", 200, `{"result":{"a":2}`},
		{"a document with an input", post("/v1/data/input", "Content-Type: text/plain", `{"input":{"n":12345678901234567890}}`), 200, `{"result":{"n":12345678901234567890}`},
		{"a document with an input parameter", "GET /v1/data/input?input=%7B%22a%22%3A+1%7D HTTP/1.1\nHost: x\n\n", 200, `{"result":{"a":1}`},
		{"a pretty document", post("/v1/data/allow?pretty=true", "", `{"input":1}`), 200, "{\n  \"result\": true"},
		{"a builtin's error is undefined", post("/v1/data/strict", "", `{"input":{}}`), 200, `{"decision_id":"`},
		{"life", "GET /healthz HTTP/1.1\nHost: x\n\n", 200, `{"status":"ok"}`},
		{"life by its alias", "GET /health HTTP/1.1\nHost: x\n\n", 200, `{"status":"ok"}`},
		{"readiness", "GET /readyz HTTP/1.1\nHost: x\n\n", 200, `{"status":"ready"`},
		{"a body on GET is read and left alone", "GET /healthz HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello", 200, `{"status":"ok"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := p.dial(t)
			for range 2 { // the connection stays usable
				a := w.send(c.request).answer("GET")
				if a.StatusCode != c.status || !strings.Contains(a.body, c.has) {
					t.Fatalf("got %d %s\nwant %d with %s", a.StatusCode, a.body, c.status, c.has)
				}
			}
		})
	}
}

func TestNothingBelowExtAuthzReachesAnotherHandler(t *testing.T) {
	p := start(t, func(o *server.Options, _ *engine.Options) { o.MaxHeader = 2048 }, nil)
	for _, target := range []string{
		"/ext_authz/envoy/%2e%2e/%2e%2e/healthz", "/ext_authz/envoy/../../healthz", "/ext_authz/../healthz",
		"/ext_authz//../healthz", "/ext_authz/envoy/..%2f..%2fhealthz", `/ext_authz/envoy/..\..\healthz`, "/ext_authz/",
		"http://x/ext_authz/envoy/../../healthz", "/ext_authz/envoy?/healthz", "/ext_authz/..;/healthz",
		"/ext_authz/envoy/%252e%252e/healthz", "/ext_authz/nginx", "/ext_authz/envoy/v1/evaluate", "/ext_authz/envoy/#/healthz",
	} {
		for _, method := range []string{"GET", "POST", "HEAD", "OPTIONS", "PURGE"} {
			t.Run(method+" "+target, func(t *testing.T) {
				a := p.dial(t).send(method + " " + target + " HTTP/1.1\nHost: x\nContent-Length: 0\n\n").answer(method)
				if a.StatusCode != http.StatusForbidden {
					t.Fatalf("got %d %s", a.StatusCode, a.body)
				}
			})
		}
	}
	for _, target := range []string{"/%65xt_authz/envoy/x", "//ext_authz/envoy/x", "/./ext_authz/x", "/healthz/../ext_authz/x", "/ext_authz"} {
		t.Run("not "+target, func(t *testing.T) {
			a := p.dial(t).send("GET " + target + " HTTP/1.1\nHost: x\n\n").answer("GET")
			if a.StatusCode != http.StatusNotFound {
				t.Fatalf("got %d %s", a.StatusCode, a.body)
			}
		})
	}
}

func TestTheHeaderLimitCountsTheWholeBlock(t *testing.T) {
	const limit = 4096
	p := start(t, func(o *server.Options, _ *engine.Options) { o.MaxHeader = limit }, nil)
	block := func(total int) string {
		const head = "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Pad: "
		return head + strings.Repeat("p", total-len(head)-len("\r\n\r\n")) + "\r\n\r\n"
	}
	for total, want := range map[int]int{limit: 200, limit + 1: 431} {
		w := p.dial(t)
		if _, err := w.Write([]byte(block(total))); err != nil {
			t.Fatal(err)
		}
		if a := w.answer("GET"); a.StatusCode != want {
			t.Fatalf("%d bytes: got %d, want %d", total, a.StatusCode, want)
		}
	}
}

func TestHeadAnswersAsGet(t *testing.T) {
	p := start(t, nil, nil)
	for _, target := range []string{"/healthz", "/readyz", "/v1/data/allow", "/.well-known/authzen-configuration"} {
		w := p.dial(t)
		get := w.send("GET " + target + " HTTP/1.1\nHost: x\n\n").answer("GET")
		head := w.send("HEAD " + target + " HTTP/1.1\nHost: x\n\n").answer("HEAD")
		if head.StatusCode != get.StatusCode || head.body != "" || head.ContentLength != int64(len(get.body)) {
			t.Errorf("%s: HEAD %d with %d bytes, GET %d with %d", target, head.StatusCode, head.ContentLength, get.StatusCode, len(get.body))
		}
	}
}

func TestRequestIDs(t *testing.T) {
	var rec recorder
	p := start(t, func(_ *server.Options, o *engine.Options) { o.Recorder = &rec }, nil)
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, c := range []struct{ name, header, echoed, correlation string }{
		{"an id is echoed and recorded", "X-Request-ID: abc-1", "abc-1", "abc-1"},
		{"256 bytes count", "X-Request-ID: " + strings.Repeat("i", 256), strings.Repeat("i", 256), strings.Repeat("i", 256)},
		{"257 bytes do not", "X-Request-ID: " + strings.Repeat("i", 257), "", ""},
		{"beyond ASCII does not", "X-Request-ID: caf\xc3\xa9", "", ""},
		{"the trace counts without an id", "traceparent: 00-" + trace + "-00f067aa0ba902b7-01", "", trace},
		{"the id counts before the trace", "X-Request-ID: abc\ntraceparent: 00-" + trace + "-00f067aa0ba902b7-01", "abc", "abc"},
		{"a later version counts", "traceparent: 42-" + trace + "-00f067aa0ba902b7-01-more", "", trace},
		{"version ff does not", "traceparent: ff-" + trace + "-00f067aa0ba902b7-01", "", ""},
		{"a trace of zeros does not", "traceparent: 00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", "", ""},
		{"capitals do not", "traceparent: 00-" + strings.ToUpper(trace) + "-00f067aa0ba902b7-01", "", ""},
		{"something longer does not", "traceparent: 00-" + trace + "-00f067aa0ba902b7-01-x", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := p.dial(t).send(post("/v1/evaluate", c.header, good)).answer("POST")
			if got := a.Header.Get("X-Request-ID"); a.StatusCode != 200 || got != c.echoed {
				t.Fatalf("%d, echoed %q, want %q", a.StatusCode, got, c.echoed)
			}
			if got := rec.last(); got != c.correlation {
				t.Fatalf("recorded %q, want %q", got, c.correlation)
			}
		})
	}
}

func TestTheTokenIsAskedForAndReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	token, err := guard.OpenToken(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, func(o *server.Options, _ *engine.Options) { o.Token = token }, nil)
	for _, c := range []struct {
		name, target, header string
		status               int
	}{
		{"no token", "/v1/evaluate", "", 401},
		{"a wrong one", "/v1/evaluate", "Authorization: Bearer second", 401},
		{"a prefix of it", "/v1/evaluate", "Authorization: Bearer firs", 401},
		{"another scheme", "/v1/evaluate", "Authorization: Basic first", 401},
		{"the right one", "/v1/evaluate", "Authorization: Bearer first", 200},
		{"the scheme in capitals", "/v1/evaluate", "Authorization: BEARER first", 200},
		{"an unknown path tells nothing", "/nowhere", "", 401},
		{"an unknown path with it", "/nowhere", "Authorization: Bearer first", 404},
		{"a proxy's call is a denial", "/ext_authz/envoy/", "", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := p.dial(t).send(post(c.target, c.header, good)).answer("POST")
			if a.StatusCode != c.status {
				t.Fatalf("got %d %s, want %d", a.StatusCode, a.body, c.status)
			}
			if c.status == 401 && a.Header.Get("WWW-Authenticate") != "Bearer" {
				t.Fatal("401 without a challenge")
			}
		})
	}
	t.Run("the Data API refuses in its own shape", func(t *testing.T) {
		a := p.dial(t).send("GET /v1/data/allow HTTP/1.1\nHost: x\n\n").answer("GET")
		if a.StatusCode != 401 || !strings.Contains(a.body, `"code": "unauthorized"`) {
			t.Fatalf("got %d %s", a.StatusCode, a.body)
		}
	})
	for _, target := range []string{"/healthz", "/health", "/readyz"} {
		if a := p.dial(t).send("GET " + target + " HTTP/1.1\nHost: x\n\n").answer("GET"); a.StatusCode != 200 {
			t.Errorf("%s asks for a token: %d", target, a.StatusCode)
		}
		w := p.dial(t).send(post(target, "Expect: 100-continue", good))
		if a := w.answer("POST"); a.StatusCode != 100 {
			t.Errorf("%s asks for a token before the body: %d", target, a.StatusCode)
		} else if a = w.answer("POST"); a.StatusCode != 405 {
			t.Errorf("%s: got %d behind the body", target, a.StatusCode)
		}
	}
}

func TestStrictRefusesWhatItCannotRecord(t *testing.T) {
	p := start(t, func(_ *server.Options, o *engine.Options) { o.Recorder, o.Strict = full{}, true }, nil)
	for _, c := range []struct{ name, request, has string }{
		{"a permit", post("/v1/evaluate", "", good), `"/problems/record-not-kept"`},
		{"a deny too", post("/v1/evaluate", "", `{"agent_id":"a","action":"no"}`), `"/problems/record-not-kept"`},
		{"a batch as a whole", post("/v1/evaluate/batch", "", `{"evaluations":[{"action":"read"},`+good+`]}`), `"/problems/record-not-kept"`},
		{"AuthZEN", post("/access/v1/evaluation", "", `{"subject":{"type":"user","id":"a"},"action":{"name":"read"},"resource":{"type":"t","id":"i"}}`), `"/problems/record-not-kept"`},
		{"the Data API in its own shape", post("/v1/data/allow", "", `{"input":{}}`), `"code": "internal_error"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := p.dial(t).send(c.request).answer("POST")
			if a.StatusCode != 503 || !strings.Contains(a.body, c.has) || strings.Contains(a.body, "results") {
				t.Fatalf("got %d %s", a.StatusCode, a.body)
			}
		})
	}
	if a := p.dial(t).send("GET /readyz HTTP/1.1\nHost: x\n\n").answer("GET"); a.StatusCode != 200 {
		t.Fatalf("readiness is %d", a.StatusCode)
	}
}

func TestReadinessSaysWhy(t *testing.T) {
	reason := "the ring is closed"
	p := start(t, func(o *server.Options, _ *engine.Options) {
		o.Health = health.New(health.Check{Name: "events", Fail: func() string { return reason }})
	}, nil)
	ask := func() answer { return p.dial(t).send("GET /readyz HTTP/1.1\nHost: x\n\n").answer("GET") }
	if a := ask(); a.StatusCode != 503 || !strings.Contains(a.body, `"events":"the ring is closed"`) {
		t.Fatalf("got %d %s", a.StatusCode, a.body)
	}
	reason = ""
	if a := ask(); a.StatusCode != 200 {
		t.Fatalf("got %d %s", a.StatusCode, a.body)
	}
	p.health.Drain()
	if a := ask(); a.StatusCode != 503 || !strings.Contains(a.body, `"draining":"the process is going away"`) {
		t.Fatalf("got %d %s", a.StatusCode, a.body)
	}
	if a := p.dial(t).send(evaluate("read")).answer("POST"); a.StatusCode != 200 {
		t.Fatalf("decisions stop while draining: %d", a.StatusCode)
	}
}

func TestAPanicIsAnsweredAndSaid(t *testing.T) {
	p := start(t, nil, nil)
	a := p.dial(t).send(evaluate("panic")).answer("POST")
	if a.StatusCode != 500 || strings.Contains(a.body, "bug") || !a.Close {
		t.Fatalf("got %d %s", a.StatusCode, a.body)
	}
	if !strings.Contains(p.log.all(), "an evaluator's bug") || p.Counts().Panics != 1 {
		t.Fatalf("said %q", p.log.all())
	}
	if a := p.dial(t).send(evaluate("read")).answer("POST"); a.StatusCode != 200 {
		t.Fatalf("the next request gets %d", a.StatusCode)
	}
}

// recorder keeps the correlation of the last record.
type recorder struct{ ch correlationBox }

func (r *recorder) Record(_ pdp.Class, rec *pdp.Record) bool {
	r.ch.set(strings.Clone(rec.Correlation))
	return true
}

func (r *recorder) last() string { return r.ch.get() }

// full keeps nothing.
type full struct{}

func (full) Record(pdp.Class, *pdp.Record) bool { return false }
