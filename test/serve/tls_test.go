package serve_test

import (
	"crypto/tls"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thymus/test/harness"
)

func TestTLSNamesThePeerAndRotates(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	ca := harness.NewAuthority(t, "authority")
	rotate := func(cn string) {
		c, k := ca.IssuePEM(harness.Subject{CN: cn, DNS: "localhost"})
		harness.Write(t, file("cert"), c)
		harness.Write(t, file("key"), k)
	}
	rotate("one")
	harness.Write(t, file("ca"), ca.PEM())
	harness.Write(t, file("p/peer.rego"), "package policies.peer\n\nallow contains \"known_agent\" if input.peer.principal == \"spiffe://prod/agent\"\n")
	p := start(t, "--set", "data.tls.cert="+file("cert"), "--set", "data.tls.key="+file("key"), "--set", "data.tls.client_ca="+file("ca"), file("p"))
	pool := ca.Pool()
	as := func(cn, spiffe string) *tls.Config {
		return &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: []tls.Certificate{ca.Issue(harness.Subject{CN: cn, DNS: "localhost", URI: spiffe})}}
	}
	at := "https://" + p.Addr("data")
	ask := func(c *tls.Config) string { return p.do(tlsClient(t, c), "POST", at+"/v1/evaluate", probe).Body }
	if got := ask(as("x", "spiffe://prod/agent")); !strings.Contains(got, `"matched_rule":"known_agent"`) {
		t.Fatal(got)
	}
	if got := ask(as("spiffe://prod/agent", "")); !strings.Contains(got, `"allowed":false`) {
		t.Fatal(got)
	}
	if _, err := harness.Ask(tlsClient(t, &tls.Config{RootCAs: pool, ServerName: "localhost"}), "GET", at+"/healthz", ""); err == nil {
		t.Fatal("a client without a certificate was answered")
	}
	if a := p.do(tlsClient(t, as("x", "")), "GET", at+"/.well-known/authzen-configuration", ""); !strings.Contains(a.Body, `"policy_decision_point":"`+at+`"`) {
		t.Fatal(a.Body)
	}
	rotate("two")
	harness.Eventually(t, 30*time.Second, "the second certificate is shown", func() bool {
		c, err := tls.Dial("tcp", p.Addr("data"), as("x", ""))
		if err != nil {
			return false
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName == "two"
	})
	if got := ask(as("x", "spiffe://prod/agent")); !strings.Contains(got, `"matched_rule":"known_agent"`) {
		t.Fatal(got)
	}
}

func TestOffLoopbackATokenOrTLSIsEnoughAndInsecureToo(t *testing.T) {
	dir := t.TempDir()
	harness.Write(t, filepath.Join(dir, "token"), "secret")
	for _, args := range [][]string{
		{"--set", "data.listen=0.0.0.0:0", "--set", "data.token_file=" + filepath.Join(dir, "token")},
		{"--set", "data.listen=0.0.0.0:0", "--set", "data.insecure=true"},
	} {
		p := start(t, args...)
		if !strings.HasPrefix(p.Addr("data"), "0.0.0.0:") && !strings.HasPrefix(p.Addr("data"), "[::]:") {
			t.Fatal(p.Addr("data"))
		}
	}
}
