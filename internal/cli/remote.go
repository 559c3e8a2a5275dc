package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// maxAnswer bounds what is read of a server's answer, in bytes, and askFor how long it may take.
const (
	maxAnswer = 16 << 20
	askFor    = 10 * time.Second
)

// remote asks a running sidecar: the native call, or AuthZEN's for a canonical input.
func (c *checkFlags) remote(ctx context.Context, q question) (*answer, error) {
	s, err := newSidecar(c.server, c.tokenFile, c.ca)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	if !q.canonical {
		body, err := s.post(ctx, "/v1/evaluate", q.body)
		if err != nil {
			return nil, err
		}
		a, err := readAnswer(body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		return a, nil
	}
	body, err := s.post(ctx, "/access/v1/evaluation", q.body)
	if err != nil {
		return nil, err
	}
	var d struct {
		Decision *bool   `json:"decision"`
		Context  *answer `json:"context"`
	}
	if err := json.Unmarshal(body, &d); err != nil || d.Decision == nil {
		return nil, fmt.Errorf("%s: the answer is no AuthZEN decision", c.server)
	}
	if d.Context == nil {
		d.Context = &answer{}
	}
	d.Context.Allowed = *d.Decision
	return d.Context, nil
}

// remoteSidecar is a running one that is asked over HTTP.
type remoteSidecar struct {
	client *http.Client
	base   string // URL without a path
	name   string // as it was given, for messages
	token  string
}

// newSidecar reads what --server, --token-file and --ca say.
func newSidecar(at, tokenFile, ca string) (*remoteSidecar, error) {
	u, err := url.Parse(at)
	expected := fmt.Errorf("--server: got %q, expected http://HOST:PORT, https://HOST:PORT or unix:///PATH", at)
	if err != nil {
		return nil, expected
	}
	transport := &http.Transport{Proxy: nil, DisableCompression: true} // a sidecar is asked directly
	s := &remoteSidecar{client: &http.Client{Transport: transport, CheckRedirect: noRedirect}, name: at}
	switch {
	case u.Scheme == "unix" && u.Host == "" && u.Path != "":
		s.base = "http://unix"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", u.Path)
		}
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && strings.Trim(u.Path, "/") == "" && u.RawQuery == "":
		s.base = u.Scheme + "://" + u.Host
	default:
		return nil, expected
	}
	if tokenFile != "" {
		if s.token, err = readToken(tokenFile); err != nil {
			return nil, err
		}
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca: %s: holds no certificate in PEM", ca)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return s, nil
}

// noRedirect takes a redirection as the answer: a token follows none.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// readToken is the first token of a file.
func readToken(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if first = strings.TrimSpace(first); first == "" || strings.ContainsFunc(first, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("--token-file: %s: expected a token on its first line", path)
	}
	return first, nil
}

// post sends JSON and returns the body of a 200. Whatever else comes back is an error with what the server said.
func (s *remoteSidecar) post(ctx context.Context, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	res, err := s.client.Do(req)
	if err != nil {
		if e := new(url.Error); errors.As(err, &e) {
			err = e.Err
		}
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	if res.StatusCode == http.StatusOK {
		return answer, nil
	}
	var p struct{ Title, Detail, Field string }
	said := ""
	if json.Unmarshal(answer, &p) == nil && p.Detail != "" {
		if said = ": " + p.Detail; p.Field != "" {
			said = ": " + p.Field + said
		}
	}
	return nil, fmt.Errorf("%s: %s%s", s.name, res.Status, line(said))
}
