package serve_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thymus/test/harness"
)

// authority signs certificates and gives them as PEM.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t, cert, key}
}

func (a *authority) issue(cn, spiffe string) (cert, key string) {
	a.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: cn}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if spiffe != "" {
		u, err := url.Parse(spiffe)
		if err != nil {
			a.t.Fatal(err)
		}
		tmpl.URIs = []*url.URL{u}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &k.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	kb, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kb}))
}

func TestTLSNamesThePeerAndRotates(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	ca := newAuthority(t)
	rotate := func(cn string) {
		c, k := ca.issue(cn, "")
		harness.Write(t, file("cert"), c)
		harness.Write(t, file("key"), k)
	}
	rotate("one")
	harness.Write(t, file("ca"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})))
	harness.Write(t, file("p/peer.rego"), "package policies.peer\n\nallow contains \"known_agent\" if input.peer.principal == \"spiffe://prod/agent\"\n")
	p := start(t, "--set", "data.tls.cert="+file("cert"), "--set", "data.tls.key="+file("key"), "--set", "data.tls.client_ca="+file("ca"), file("p"))
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	as := func(cn, spiffe string) *tls.Config {
		c, k := ca.issue(cn, spiffe)
		pair, err := tls.X509KeyPair([]byte(c), []byte(k))
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: []tls.Certificate{pair}}
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
	harness.Eventually(t, 5*time.Second, "the second certificate is shown", func() bool {
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
