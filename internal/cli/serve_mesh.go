package cli

import (
	"context"
	"crypto/tls"

	"thymus/internal/guard"
	"thymus/pdp/extauthz"
	"thymus/pdp/extauthz/token"
)

// The listeners of the mesh by the names under which their addresses are told.
const (
	planeMesh       = "extauthz"
	planeMeshSocket = "extauthz_socket"
)

// openMesh makes what answers proxies: over HTTP on the data plane whenever that is open, over gRPC where a listener is
// configured.
func (s *sidecar) openMesh(ctx context.Context) (err error) {
	c := &s.cfg.ExtAuthz
	o := extauthz.Options{
		Engine: s.engine, Log: planeLog{s.log, planeMesh}, Entrypoint: c.Entrypoint, Identity: c.Identity,
		RoleHeader: c.RoleHeader, JWTHeader: c.JWT.Header, RoleClaim: c.JWT.RoleClaim, ExposeReason: c.ExposeReason,
		DryRun: c.DryRun, MaxBody: int(c.MaxBody), MaxConnections: s.cfg.Data.MaxConnections,
		Guarded: s.cfg.Data.TokenFile != "",
	}
	if c.JWT.JWKS != "" {
		s.keys, err = token.Open(ctx, token.Options{
			JWKS: c.JWT.JWKS, Issuer: c.JWT.Issuer, Audience: c.JWT.Audience, Algorithms: c.JWT.Algorithms,
			Leeway: c.JWT.Leeway, Eternal: !c.JWT.RequireExp, Refresh: c.JWT.Refresh, MaxAge: c.JWT.MaxAge,
			Files: s.files, Report: s.keysFetched(),
		})
		if err != nil {
			return key("extauthz.jwt.jwks", err)
		}
		o.Tokens = s.keys
	}
	if s.mesh, err = extauthz.New(o); err != nil {
		return key("extauthz.identity", err)
	}
	if !c.Listen.Off() {
		secure, err := s.meshTLS()
		if err != nil {
			return key("data.tls", err)
		}
		a, err := s.mesh.Listen(string(c.Listen), secure)
		if err != nil {
			return key("extauthz.listen", err)
		}
		s.addresses[planeMesh] = a.String()
	}
	if c.Socket != "" {
		d := &s.cfg.Data
		if err := s.mesh.ListenUnix(extauthz.UnixOptions{Path: c.Socket, Mode: d.SocketMode, UIDs: d.PeerUIDs}); err != nil {
			return key("extauthz.socket", err)
		}
		s.addresses[planeMeshSocket] = c.Socket
	}
	return nil
}

// keysFetched tells the operator of fetches of keys that went wrong, of the first that goes well again, and of keys that
// change. It is called by one goroutine at a time.
func (s *sidecar) keysFetched() func(changed bool, err error) {
	failed := false
	c := &s.cfg.ExtAuthz.JWT
	return func(changed bool, err error) {
		switch {
		case err != nil:
			s.log.Error().Str("plane", planeMesh).Err(err).Dur("max_age_ms", c.MaxAge).
				Msg("keys of tokens not fetched, the last ones count until their max_age; without any, tokens are denied")
		case changed || failed:
			s.log.Info().Str("plane", planeMesh).Str("jwks", c.JWKS).Bool("changed", changed).Msg("keys of tokens fetched")
		}
		failed = err != nil
	}
}

// meshTLS is the data plane's certificate for HTTP/2.
func (s *sidecar) meshTLS() (*tls.Config, error) {
	c := s.cfg.Data.TLS
	if c.Cert == "" {
		return nil, nil
	}
	t, err := guard.OpenTLS(c.Cert, c.Key, c.ClientCA, s.files, "h2")
	if err != nil {
		return nil, err
	}
	return t.Config(), nil
}

func (s *sidecar) closeMesh() {
	if s.mesh != nil {
		s.mesh.Close()
	}
	if s.keys != nil {
		s.keys.Close()
	}
}
