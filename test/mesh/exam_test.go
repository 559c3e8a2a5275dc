//go:build unix

package mesh_test

import (
	"encoding/json"
	"testing"
	"time"

	"thymus/test/harness"
)

// exam is the policy that every proxy is examined with. Its addresses and schemes are what a client would forge.
const exam = `package policies.mesh

special if startswith(input.resource.id, "/trusted")

special if startswith(input.resource.id, "/tls")

allow contains "reads" if {
	input.action.name == "GET"
	not special
}

allow contains "trusted" if {
	startswith(input.resource.id, "/trusted")
	input.subject.id == "6.6.6.6"
}

allow contains "tls" if {
	startswith(input.resource.id, "/tls")
	input.context.scheme == "https"
}

warn contains {"rule": "old", "priority": 1, "reason": "The old API – 100 % gone soon"} if startswith(input.resource.id, "/old")

deny contains {"rule": "secret", "priority": 10, "reason": "nobody reads secrets"} if startswith(input.resource.id, "/secret")
`

// sit is the exam that every proxy has to pass: what is told to whom, what is believed, and what happens when Thymus is
// gone, when a client is told the status of that name.
func sit(t *testing.T, p proxy, s *sidecar, gone int) {
	t.Run("a permit reaches the application, with the decision's name", func(t *testing.T) {
		p.t = t
		got := p.passes("GET", "/shop?x=1&y=%2e", "")
		if got.Method != "GET" || got.Target != "/shop?x=1&y=%2e" {
			t.Fatalf("the application got %s %s", got.Method, got.Target)
		}
		if len(got.Headers.Get("X-Thymus-Decision-Id")) != 36 || got.Headers.Get("X-Thymus-Effect") != "allow" {
			t.Fatalf("%v", got.Headers)
		}
	})
	t.Run("a denial does not, and names the decision alone", func(t *testing.T) {
		p.t = t
		r := p.stopped("GET", "/secret/x", "")
		var told map[string]any
		if err := json.Unmarshal([]byte(r.body), &told); err != nil || r.status != 403 {
			t.Fatalf("%d %s: %v", r.status, r.body, err)
		}
		if id, _ := told["decision_id"].(string); len(id) != 36 || told["detail"] != nil {
			t.Fatalf("%s", r.body)
		}
		p.stopped("POST", "/shop", "x=1")
	})
	t.Run("a warning reaches the application, encoded", func(t *testing.T) {
		p.t = t
		got := p.passes("GET", "/old/x", "", "X-Thymus-Warning", "forged", "X-Thymus-Effect", "allow")
		w := got.Headers.Values("X-Thymus-Warning")
		if len(w) != 1 || w[0] != "The%20old%20API%20%E2%80%93%20100%20%25%20gone%20soon" {
			t.Fatalf("%q", w)
		}
		if e := got.Headers.Values("X-Thymus-Effect"); len(e) != 1 || e[0] != "warn" {
			t.Fatalf("%q", e)
		}
	})
	t.Run("what a client forges is not believed", func(t *testing.T) {
		p.t = t
		for _, name := range []string{"X-Thymus-Decision-Id", "X-Thymus-Effect", "X-Thymus-Warning", "X-Thymus-Reason"} {
			got := p.passes("GET", "/shop", "", name, "forged")
			for _, v := range got.Headers.Values(name) {
				if v == "forged" {
					t.Errorf("the application got a client's %s", name)
				}
			}
		}
		for _, name := range []string{"X_Thymus_Effect", "X-Thymus_Effect", "x_thymus-effect"} { // what CGI, WSGI and PHP fold into ours
			r := p.send("GET", "/shop", "", name, "forged")
			if r.app == nil {
				continue // refused is as good
			}
			for n, v := range r.app.Headers {
				if v[0] == "forged" {
					t.Errorf("the application got a client's %s", n)
				}
			}
		}
		for _, h := range [][]string{
			{"X-Original-URI", "/shop"}, {"X-Original-Url", "/shop"}, {"X-Forwarded-Uri", "/shop"}, {"X-Forwarded-Path", "/shop"},
			{"X-Envoy-Original-Path", "/shop"}, {"X-Rewrite-Url", "/shop"},
		} {
			p.stopped("GET", "/secret/x", "", h...)
		}
		for _, h := range [][]string{
			{"X-Original-Method", "GET"}, {"X-Forwarded-Method", "GET"}, {"X-Http-Method-Override", "GET"},
		} {
			p.stopped("POST", "/shop", "x=1", h...)
		}
		for _, h := range [][]string{
			{"X-Real-IP", "6.6.6.6"}, {"X-Forwarded-For", "6.6.6.6"}, {"X-Forwarded-For", "6.6.6.6, 6.6.6.6"},
			{"X-Envoy-External-Address", "6.6.6.6"}, {"X-Forwarded-Client-Cert", "URI=spiffe://x/6.6.6.6"}, {"Forwarded", "for=6.6.6.6"},
		} {
			p.stopped("GET", "/trusted", "", h...)
		}
		p.stopped("GET", "/tls", "", "X-Forwarded-Proto", "https")
		p.stopped("GET", "/tls", "", "X-Forwarded-Scheme", "https")
	})
	t.Run("a client cannot have the answer taken away before it reaches the application", func(t *testing.T) {
		p.t = t
		for _, nominated := range []string{"X-Thymus-Effect, X-Thymus-Warning, X-Thymus-Decision-Id", "close, x-thymus-effect,x-thymus-warning , x-thymus-decision-id"} {
			got := p.passes("GET", "/old/x", "", "Connection", nominated)
			if h := got.Headers; h.Get("X-Thymus-Effect") != "warn" || h.Get("X-Thymus-Warning") == "" || h.Get("X-Thymus-Decision-Id") == "" {
				t.Errorf("Connection: %s: the application got %v", nominated, h)
			}
		}
	})
	t.Run("no path goes around a rule", func(t *testing.T) {
		p.t = t
		for _, target := range []string{
			"//secret/x", "/./secret/x", "/shop/../secret/x", "/shop/%2e%2e/secret/x", "/%73ecret/x", "/shop%2f..%2fsecret/x",
			"/shop/..%2fsecret/x", "/shop/..%5csecret/x", "/secret%2fx", "/shop//../../secret/x",
		} {
			r := p.send("GET", target, "")
			if r.app != nil {
				t.Errorf("%s was let through as %s", target, r.app.Target)
			}
		}
	})
	t.Run("without Thymus nothing passes, and with it again it does", func(t *testing.T) {
		p.t = t
		s.life.Kill()
		for range 5 {
			if r := p.stopped("GET", "/shop", ""); r.status != gone {
				t.Errorf("a client is told %d, want %d", r.status, gone)
			}
		}
		s.t = t
		s.start()
		t.Cleanup(func() {}) // the sidecar's end is the last of this test
		harness.Eventually(t, 20*time.Second, "nothing passes after Thymus came back", func() bool {
			r, err := send(p.addr, "GET", "/shop", "")
			return err == nil && r.app != nil
		})
		p.stopped("GET", "/secret/x", "")
	})
}
