//go:build unix

package mesh_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// byMethod reads and shakes hands; WebSocket below /ws alone.
const byMethod = `package policies.clients

allow contains "reads" if {
	input.action.name in {"GET", "HEAD", "OPTIONS"}
	not startswith(input.resource.id, "/ws")
}

allow contains "socket" if {
	input.action.name == "GET"
	input.resource.id == "/ws/open"
	input.attributes.request.http.headers.upgrade == "websocket"
}

allow contains "host" if {
	input.action.name == "PUT"
	input.context.host == "forged.example"
}

deny contains "secret" if startswith(input.resource.id, "/secret")
`

func everybody() []road { return append(envoys(), others()...) }

func TestClientsOfManyKinds(t *testing.T) {
	s, app := thymus(t, byMethod), application(t)
	for _, r := range everybody() {
		t.Run(r.name, func(t *testing.T) {
			p := r.start(t, s, app)
			isEnvoy := strings.HasPrefix(r.name, "Envoy")
			t.Run("HEAD and OPTIONS", func(t *testing.T) {
				p.t = t
				p.passes("HEAD", "/x", "")
				p.passes("OPTIONS", "/x", "")
				if got := p.stopped("HEAD", "/secret/x", ""); got.status != 403 || got.body != "" {
					t.Errorf("%+v", got)
				}
				p.stopped("OPTIONS", "/secret/x", "")
				p.stopped("TRACE", "/x", "")
				p.stopped("BREW", "/x", "")
			})
			t.Run("CONNECT", func(t *testing.T) {
				p.t = t
				got, err := sendRaw(p.addr, "CONNECT", "CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\n\r\n")
				if err == nil && (got.status < 400 || isEnvoy && got.status != 404) {
					t.Errorf("%+v", got)
				}
			})
			t.Run("HTTP/1.0", func(t *testing.T) {
				for target, passes := range map[string]bool{"/x": !isEnvoy, "/secret/x": false} { // Envoy speaks it only if told to
					got, err := sendRaw(p.addr, "GET", "GET "+target+" HTTP/1.0\r\nHost: shop.example\r\n\r\n")
					if err != nil || (got.app != nil) != passes || !passes && got.status < 400 {
						t.Errorf("%s: %v %+v", target, err, got)
					}
				}
			})
			t.Run("what is not HTTP", func(t *testing.T) {
				for _, text := range []string{
					"GET /x HTTP/1.1\r\n\r\n", "GET  /secret/x HTTP/1.1\r\nHost: a\r\n\r\n",
					"GET /secret/x\r\n\r\n", "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
					"GET http://shop.example/secret/x HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n",
					"GET /secret/x HTTP/1.1\r\nHost: shop.example\r\nConnection: close, x-original-uri, x-original-method, x-forwarded-uri, x-forwarded-method\r\n\r\n",
				} {
					if got, err := sendRaw(p.addr, "GET", text); err == nil && (got.app != nil || got.status < 400) {
						t.Errorf("%q: %+v", text, got)
					}
				}
			})
			t.Run("a forged host", func(t *testing.T) {
				p.t = t
				for _, name := range []string{"X-Forwarded-Host", "X-Original-Host", "X-Host", "X-Forwarded-Server", "X-Http-Host-Override"} {
					p.stopped("PUT", "/x", "", name, "forged.example")
				}
				p.stopped("PUT", "/x", "", "Forwarded", "host=forged.example")
				got, err := sendRaw(p.addr, "PUT", "PUT /x HTTP/1.1\r\nHost: forged.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				if err != nil || got.app == nil && r.name != "Caddy" { // its site answers for shop.example alone
					t.Errorf("the client's own host is not seen: %v %+v", err, got)
				}
			})
		})
	}
}

func TestHTTP2ClientsOfEnvoy(t *testing.T) {
	s, app := thymus(t, byMethod), application(t)
	for _, r := range envoys() {
		t.Run(r.name, func(t *testing.T) {
			p := r.start(t, s, app)
			tr := &http.Transport{Protocols: &http.Protocols{}}
			tr.Protocols.SetUnencryptedHTTP2(true)
			defer tr.CloseIdleConnections()
			c := &http.Client{Transport: tr, Timeout: 10 * time.Second}
			for target, want := range map[string]int{"/x?y=1": 200, "/secret/x": 403, "//secret/x": 403, "/x/%2e%2e/secret": 403} {
				req, err := http.NewRequest("GET", "http://"+p.addr+target, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("X-Thymus-Effect", "forged")
				resp, err := c.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != want || resp.ProtoMajor != 2 {
					t.Errorf("%s: %d %s %v", target, resp.StatusCode, resp.Proto, err)
				}
				if want == 200 {
					var got seen
					if err := json.Unmarshal(text, &got); err != nil || got.Target != target || got.Headers.Get("X-Thymus-Effect") != "allow" {
						t.Errorf("%+v %v", got, err)
					}
				} else if !strings.Contains(string(text), "decision_id") {
					t.Errorf("%s: %s", target, text)
				}
			}
		})
	}
}

// A WebSocket is one request: it is let through or not, and then belongs to the two ends. nginx' block forwards no upgrade.
func TestWebSocketsAreAskedAboutOnce(t *testing.T) {
	s, app := thymus(t, byMethod), application(t)
	for _, r := range everybody() {
		if r.name == "nginx" {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			p := r.start(t, s, app, "stat_prefix: ingress", "stat_prefix: ingress\n                upgrade_configs: [{upgrade_type: websocket}]")
			if status, _ := upgrade(t, p.addr, "/ws/closed"); status != 403 {
				t.Errorf("a denied handshake is %d", status)
			}
			status, said := upgrade(t, p.addr, "/ws/open")
			if status != 101 || said != "hello" {
				t.Errorf("a permitted handshake is %d, and the application says %q", status, said)
			}
		})
	}
}

// upgrade asks for a WebSocket and sends a word, which comes back.
func upgrade(t *testing.T, addr, target string) (status int, said string) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", target)
	from := bufio.NewReader(nc)
	resp, err := http.ReadResponse(from, &http.Request{Method: "GET"})
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return resp.StatusCode, ""
	}
	fmt.Fprint(nc, "hello")
	b := make([]byte, 5)
	if _, err := io.ReadFull(from, b); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
