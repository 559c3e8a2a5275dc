package cli

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"thymus/internal/config"
	"thymus/internal/guard"
	"thymus/pdp/admin"
	dataplane "thymus/pdp/server"
	"thymus/rules"
)

// The planes by the names under which their addresses are told.
const (
	planeData        = "data"
	planeSocket      = "socket"
	planeManagement  = "management"
	planeDiagnostics = "diagnostics"
)

func planes() [4]string { return [4]string{planeData, planeSocket, planeManagement, planeDiagnostics} }

// openPlanes opens every listener that is configured. Nobody is let in yet.
func (s *sidecar) openPlanes() error {
	if err := s.openData(); err != nil {
		return err
	}
	if err := s.openManagement(); err != nil {
		return err
	}
	if s.cfg.Diagnostics.Listen.Off() {
		return nil
	}
	s.diagnostics = admin.New(admin.Options{
		Health: s.health, Metrics: s.metrics.Handler(), Log: planeLog{s.log, planeDiagnostics}, Diagnostics: true,
	})
	a, err := s.diagnostics.Listen(string(s.cfg.Diagnostics.Listen), nil)
	if err != nil {
		return key("diagnostics.listen", err)
	}
	s.addresses[planeDiagnostics] = a.String()
	return nil
}

func (s *sidecar) openData() (err error) {
	c := &s.cfg.Data
	o := dataplane.Options{
		Engine: s.engine, Health: s.health, Log: planeLog{s.log, planeData},
		MaxBody: int(c.MaxBody), MaxHeader: int(c.MaxHeader), MaxConnections: c.MaxConnections,
		PublicURL: strings.TrimRight(c.PublicURL, "/"), OPAPaths: append([]string{}, c.OPA.Paths...),
		OPASubject: strings.Split(strings.TrimPrefix(c.OPA.Subject, "input."), "."), YAML: yamlInput,
	}
	if c.TokenFile != "" {
		if o.Token, err = guard.OpenToken(c.TokenFile, s.files); err != nil {
			return key("data.token_file", err)
		}
	}
	secure, err := openTLS(c.TLS, s.files)
	if err != nil {
		return key("data.tls", err)
	}
	if s.data, err = dataplane.New(o); err != nil {
		return key("data.opa.paths", err)
	}
	if !c.Listen.Off() {
		a, err := s.data.Listen(string(c.Listen), secure)
		if err != nil {
			return key("data.listen", err)
		}
		s.addresses[planeData] = a.String()
	}
	if c.Socket != "" {
		if err := s.data.ListenUnix(dataplane.UnixOptions{Path: c.Socket, Mode: c.SocketMode, UIDs: c.PeerUIDs}); err != nil {
			return key("data.socket", err)
		}
		s.addresses[planeSocket] = c.Socket
	}
	if o.PublicURL == "" {
		s.data.SetPublicURL(publicURL(c.Listen, s.addresses[planeData], secure != nil))
	}
	return nil
}

// yamlInput reads a body of the Data API that says it is YAML.
func yamlInput(body []byte) ([]byte, error) {
	if b := bytes.TrimLeft(body, " \t\r\n"); len(b) > 0 && b[0] == '{' { // also YAML's flow style, which is no JSON
		body = append([]byte("---\n"), body...)
	}
	j, err := rules.JSON(body)
	var ps rules.Problems
	if errors.As(err, &ps) && len(ps) > 0 {
		return nil, errors.New(ps[0].Detail)
	}
	return j, err
}

// publicURL is how callers on this machine reach a listener: under the configured name, at the port it got.
func publicURL(listen config.Address, got string, secure bool) string {
	if got == "" {
		return "http://localhost"
	}
	host, port, err := net.SplitHostPort(string(listen))
	if _, p, e := net.SplitHostPort(got); err == nil && e == nil {
		port = p
	}
	if n, _ := strconv.Atoi(port); secure && n == 443 || !secure && n == 80 {
		u := config.Address(net.JoinHostPort(host, port)).URL(secure)
		return strings.TrimSuffix(u, ":"+port)
	}
	return config.Address(net.JoinHostPort(host, port)).URL(secure)
}

func openTLS(c config.TLS, files *guard.Files) (*tls.Config, error) {
	if c.Cert == "" {
		return nil, nil
	}
	t, err := guard.OpenTLS(c.Cert, c.Key, c.ClientCA, files, "http/1.1")
	if err != nil {
		return nil, err
	}
	return t.Config(), nil
}

func (s *sidecar) openManagement() error {
	c := &s.cfg.Management
	if c.Listen.Off() {
		return nil
	}
	token, err := s.managementToken()
	if err != nil {
		return key("management.token_file", err)
	}
	secure, err := openTLS(c.TLS, s.files)
	if err != nil {
		return key("management.tls", err)
	}
	s.management = admin.New(admin.Options{
		Health: s.health, Metrics: s.metrics.Handler(), Log: planeLog{s.log, planeManagement},
		Token: token, Info: s.info,
	})
	a, err := s.management.Listen(string(c.Listen), secure)
	if err != nil {
		return key("management.listen", err)
	}
	s.addresses[planeManagement] = a.String()
	return nil
}

// managementToken is the configured one, else the one in the state directory, which the first start makes.
func (s *sidecar) managementToken() (*guard.Token, error) {
	kept := filepath.Join(s.cfg.Dir, "management.token")
	if path := s.cfg.Management.TokenFile; path != "" && path != kept {
		return guard.OpenToken(path, s.files)
	}
	return guard.EnsureToken(kept, s.files)
}

// info is what GET /v1/info says.
func (s *sidecar) info() admin.Info {
	snap := s.engine.Active()
	i := admin.Info{
		Version: s.version.Version, Revision: s.version.Revision, Instance: s.instance,
		Started: s.started.UTC(), Uptime: time.Since(s.started).Seconds(),
		PolicyRevision: snap.Revision, Policies: len(snap.Policies), Rules: s.policies.rules(),
		Engine: "topdown (OPA " + s.version.OPA + ")", Listeners: s.addresses, Sinks: []admin.Sink{},
	}
	if s.recording != nil {
		i.Sinks = s.recording.Sinks()
	}
	return i
}
