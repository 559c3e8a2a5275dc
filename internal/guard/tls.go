package guard

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync/atomic"
)

// TLS is a server's certificate, and the authorities whose clients it admits, kept in files. Its methods may be called
// from many goroutines at once.
type TLS struct {
	cert, key, ca string
	protos        []string
	now           atomic.Pointer[tls.Config]
}

// OpenTLS reads the PEM files of a certificate chain, its private key and, if ca is not empty, the authorities that must
// have signed a client's certificate. files, which may be nil, reads all of them again when one changes.
func OpenTLS(cert, key, ca string, files *Files, protos ...string) (*TLS, error) {
	t := &TLS{cert: cert, key: key, ca: ca, protos: protos}
	if files == nil {
		return t, t.load()
	}
	paths := []string{cert, key}
	if ca != "" {
		paths = append(paths, ca)
	}
	return t, files.Add(t.load, paths...)
}

func (t *TLS) load() error {
	pair, err := tls.LoadX509KeyPair(t.cert, t.key)
	if err != nil {
		return fmt.Errorf("tls certificate %s, key %s: %w", t.cert, t.key, err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: t.protos}
	if t.ca != "" {
		b, err := os.ReadFile(t.ca)
		if err != nil {
			return fmt.Errorf("tls client authorities: %w", err)
		}
		c.ClientCAs = x509.NewCertPool()
		if !c.ClientCAs.AppendCertsFromPEM(b) {
			return fmt.Errorf("tls client authorities %s: no certificate in PEM", t.ca)
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	t.now.Store(c)
	return nil
}

// Config is a configuration whose every handshake uses the files as they were read last. A session made under an
// earlier one is not resumed, so that a client whose authority was withdrawn has to show a certificate again.
func (t *TLS) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         t.protos,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.now.Load(), nil },
	}
}

// Principal names the owner of a verified client certificate: its SPIFFE id, else its first DNS name, else its common
// name. It is empty where no certificate was verified or the certificate carries none of these.
func Principal(s tls.ConnectionState) string {
	if len(s.VerifiedChains) == 0 || len(s.VerifiedChains[0]) == 0 {
		return ""
	}
	leaf := s.VerifiedChains[0][0]
	for _, u := range leaf.URIs {
		if u.Scheme == "spiffe" {
			return u.String()
		}
	}
	if len(leaf.DNSNames) > 0 {
		return leaf.DNSNames[0]
	}
	return leaf.Subject.CommonName
}
