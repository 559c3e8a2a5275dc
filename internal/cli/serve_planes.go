package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"thymus/internal/config"
	"thymus/internal/guard"
	"thymus/pdp"
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

func planes() [6]string {
	return [6]string{planeData, planeSocket, planeMesh, planeMeshSocket, planeManagement, planeDiagnostics}
}

// openPlanes opens every listener that is configured. Nobody is let in yet.
func (s *sidecar) openPlanes(ctx context.Context) error {
	if err := s.openMesh(ctx); err != nil {
		return err
	}
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
		Health: s.health, Metrics: s.metrics.Handler(), Log: planeLog{s.log, planeDiagnostics}, Diagnostics: true, Pprof: s.cfg.Diagnostics.Pprof,
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
		Engine: s.engine, Health: s.health, Log: planeLog{s.log, planeData}, Mesh: s.mesh,
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
	tokens, err := s.managementTokens()
	if err != nil {
		return key("management.token_file", err)
	}
	secure, err := openTLS(c.TLS, s.files)
	if err != nil {
		return key("management.tls", err)
	}
	o := admin.Options{
		Health: s.health, Metrics: s.metrics.Handler(), Log: planeLog{s.log, planeManagement},
		Tokens: tokens, Info: s.info,
		Policies: s.policies.store, PolicyStats: s.policies.stats, Decisions: s.decisions,
	}
	s.serveStored(&o)
	s.management = admin.New(o)
	a, err := s.management.Listen(string(c.Listen), secure)
	if err != nil {
		return key("management.listen", err)
	}
	s.addresses[planeManagement] = a.String()
	return nil
}

// managementTokens are the configured ones, else those in the state directory, of which the first start makes one.
func (s *sidecar) managementTokens() (*admin.Tokens, error) {
	kept := filepath.Join(s.cfg.Dir, "management.token")
	path := s.cfg.Management.TokenFile
	if path == "" || path == kept {
		path = kept
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if _, err := guard.EnsureToken(path, nil); err != nil {
				return nil, err
			}
		}
	}
	return admin.OpenTokens(path, s.files)
}

// decisions are the engine's counts by effect.
func (s *sidecar) decisions() (d admin.Decisions) {
	st := s.engine.Stats()
	for f := range pdp.Surface(pdp.Surfaces) {
		d.Allows += st.Decisions(f, pdp.Allow)
		d.Denies += st.Decisions(f, pdp.Deny)
		d.Warnings += st.Decisions(f, pdp.Warn)
		d.Audits += st.Decisions(f, pdp.Audit)
		d.Total += st.Decisions(f, pdp.None)
	}
	d.Total += d.Allows + d.Denies + d.Warnings + d.Audits
	return d
}

// info is what GET /v1/info says.
func (s *sidecar) info() admin.Info {
	snap := s.engine.Active()
	i := admin.Info{
		Version: s.version.Version, Revision: s.version.Revision, Instance: s.instance,
		Started: s.started.UTC(), Uptime: time.Since(s.started).Seconds(),
		PolicyRevision: snap.Revision, Policies: len(snap.Policies), Rules: s.policies.rules(),
		Engine: s.policies.engineName(s.version.OPA), Listeners: s.addresses, Sinks: []admin.Sink{},
	}
	if s.recording != nil {
		i.Sinks = s.recording.Sinks()
	}
	return i
}
