package guard_test

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thymus/internal/guard"
	"thymus/test/harness"
)

// serveTLS accepts, shakes hands, and says "ok".
func serveTLS(t *testing.T, g *guard.TLS) string {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", g.Config())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = io.WriteString(c, "ok")
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return ln.Addr().String()
}

// meet connects and gives the common name that the server shows.
func meet(addr string, c *tls.Config) (string, error) {
	c.ServerName = "localhost"
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", addr, c)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if b, err := io.ReadAll(conn); err != nil || string(b) != "ok" {
		return "", err
	}
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestCertificatesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key, ca := filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "ca")
	servers, ours, theirs := harness.NewAuthority(t, "servers"), harness.NewAuthority(t, "ours"), harness.NewAuthority(t, "theirs")
	write := func(cn string) {
		c, k := servers.IssuePEM(harness.Subject{CN: cn, DNS: "localhost"})
		put(t, cert, c)
		put(t, key, k) // between the two the pair does not fit
	}
	write("one")
	put(t, ca, ours.PEM())
	files := guard.WatchFiles(5*time.Millisecond, nil)
	defer files.Close()
	g, err := guard.OpenTLS(cert, key, ca, files)
	if err != nil {
		t.Fatal(err)
	}
	addr := serveTLS(t, g)
	pool := servers.Pool()
	client := func(a *harness.Authority) *tls.Config {
		return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{a.Issue(harness.Subject{CN: "client", DNS: "localhost"})}, ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	}
	known := client(ours)
	if cn, err := meet(addr, known); err != nil || cn != "one" {
		t.Fatalf("%q %v", cn, err)
	}
	if cn, err := meet(addr, client(theirs)); err == nil && cn != "" {
		t.Fatal("a client of another authority was let in")
	}
	if cn, err := meet(addr, &tls.Config{RootCAs: pool}); err == nil && cn != "" {
		t.Fatal("a client without a certificate was let in")
	}
	if _, err := meet(addr, &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11, Certificates: known.Certificates}); err == nil {
		t.Fatal("TLS 1.1 was spoken")
	}

	write("two")
	eventually(t, "the second certificate is shown", func() bool {
		cn, err := meet(addr, client(ours))
		return err == nil && cn == "two"
	})
	put(t, cert, "garbage")
	time.Sleep(50 * time.Millisecond) // several looks at the file; what is asserted holds at any time
	if cn, err := meet(addr, client(ours)); err != nil || cn != "two" {
		t.Fatalf("a broken file changed the certificate: %q %v", cn, err)
	}
	write("three")
	put(t, ca, theirs.PEM())
	eventually(t, "the other authority's client is let in", func() bool {
		cn, err := meet(addr, client(theirs))
		return err == nil && cn == "three"
	})
	if cn, err := meet(addr, known); err == nil && cn != "" {
		t.Fatal("a client whose authority was withdrawn resumed its session")
	}
}

func TestBrokenFilesAreNamed(t *testing.T) {
	dir := t.TempDir()
	a := harness.NewAuthority(t, "a")
	c, k := a.IssuePEM(harness.Subject{CN: "one", DNS: "localhost"})
	_, other := a.IssuePEM(harness.Subject{CN: "two", DNS: "localhost"})
	cert, key, ca := filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "ca")
	for _, x := range []struct{ name, cert, key, ca, want string }{
		{"a key of another certificate", c, other, "", "private key does not match"},
		{"no certificate", "x", k, "", "failed to find any PEM data"},
		{"no authority", c, k, "x", "no certificate in PEM"},
	} {
		put(t, cert, x.cert)
		put(t, key, x.key)
		path := ""
		if x.ca != "" {
			put(t, ca, x.ca)
			path = ca
		}
		if _, err := guard.OpenTLS(cert, key, path, nil); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v", x.name, err)
		}
	}
	if _, err := guard.OpenTLS(cert+".no", key, "", nil); err == nil || !os.IsNotExist(err) && !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
}
