package cli

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"thymus/bench/load"
	"thymus/bench/workload"
)

// calls are what is asked: a workload, a body, or one plain question.
func (b *benchFlags) calls(o load.Options, in io.Reader) ([]load.Call, error) {
	h, err := b.header()
	if err != nil {
		return nil, err
	}
	e := &load.Encoder{Target: o.Target, Endpoint: o.Endpoint, Path: b.path, Header: h}
	want, ok := map[string]load.Verdict{"any": load.Unknown, "permit": load.Permit, "deny": load.Deny}[b.expect]
	switch {
	case !ok:
		return nil, fmt.Errorf("--expect: got %q, expected permit, deny or any", b.expect)
	case b.workload != "" && b.body != "":
		return nil, errors.New("--workload and --body: expected one of them")
	case b.workload != "" && want != load.Unknown:
		return nil, errors.New("--expect goes with --body: a workload knows what is right")
	case b.body != "":
		return b.bodies(e, want, in)
	}
	rs := []workload.Request{{Subject: "bench", Role: "admin", Action: "GET", Type: "resource", Resource: "/bench"}}
	if b.workload != "" {
		w, err := workload.Make(b.workload, b.size, b.requests, b.seed)
		if err != nil {
			return nil, fmt.Errorf("--workload: %w", err)
		}
		rs = w.Requests
	}
	cs, err := e.Calls(rs, b.workload != "")
	if err != nil {
		return nil, fmt.Errorf("--workload: %w", err)
	}
	for i := range cs {
		if b.workload == "" {
			cs[i].Want = want
		}
	}
	return cs, nil
}

// bodies are the calls of --body: one, or one a line of a file or of standard input.
func (b *benchFlags) bodies(e *load.Encoder, want load.Verdict, in io.Reader) ([]load.Call, error) {
	text := []byte(b.body)
	lines := [][]byte{text}
	if path, ok := strings.CutPrefix(b.body, "@"); ok {
		var err error
		if path == "-" {
			text, err = io.ReadAll(io.LimitReader(in, maxQuestion))
		} else {
			text, err = os.ReadFile(path)
		}
		if err != nil {
			return nil, fmt.Errorf("--body: %w", err)
		}
		lines = bytes.Split(text, []byte("\n"))
	}
	var cs []load.Call
	for _, line := range lines {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		c, err := e.Body(line)
		if err != nil {
			return nil, fmt.Errorf("--body: %w", err)
		}
		c.Want = want
		cs = append(cs, c)
	}
	if len(cs) == 0 {
		return nil, fmt.Errorf("--body: %s: holds no call", b.body)
	}
	return cs, nil
}

// secure is how an https server is reached; nil for others.
func (b *benchFlags) secure(e load.Endpoint) (*tls.Config, error) {
	if !e.Secure {
		if b.ca != "" {
			return nil, errors.New("--ca goes with https")
		}
		return nil, nil
	}
	host, _, err := net.SplitHostPort(e.Address)
	if err != nil {
		return nil, fmt.Errorf("--url: %w", err)
	}
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if b.ca == "" {
		return c, nil
	}
	pem, err := os.ReadFile(b.ca)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca: %s: holds no certificate in PEM", b.ca)
	}
	return c, nil
}

// writePolicy writes the files that a sidecar needs to answer the workload.
func (b *benchFlags) writePolicy(dir string, std Stdio) error {
	if b.workload == "" {
		return errors.New("--write-policy: expected --workload")
	}
	w, err := workload.Make(b.workload, b.size, b.requests, b.seed)
	if err != nil {
		return fmt.Errorf("--workload: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("--write-policy: %w", err)
	}
	for _, f := range w.Policies[workload.Thymus] {
		path := filepath.Join(dir, f.Name)
		if err := os.WriteFile(path, []byte(f.Text), 0o644); err != nil {
			return fmt.Errorf("--write-policy: %w", err)
		}
		fmt.Fprintln(std.Out, path)
	}
	return nil
}
