//go:build unix

package mesh_test

import (
	"os"
	"testing"
)

// road is a way in which a proxy asks Thymus, with the configuration that is shipped for it.
type road struct {
	name  string
	grpc  bool
	start func(t testing.TB, s *sidecar, app string, more ...string) proxy
}

// envoys are the ways in which Envoy asks; more are replacements in the configuration, old and new in turn.
func envoys() []road {
	by := func(config string, also ...string) func(testing.TB, *sidecar, string, ...string) proxy {
		return func(t testing.TB, s *sidecar, app string, more ...string) proxy {
			return envoy(t, config, s, app, append(more, also...)...)
		}
	}
	return []road{
		{"Envoy, gRPC over TCP", true, by("grpc-tcp.yaml")},
		{"Envoy, gRPC over a Unix socket", true, by("grpc.yaml")},
		{"Envoy, HTTP", false, by("http.yaml")},
	}
}

// others are the proxies that show Thymus no body.
func others() []road {
	return []road{
		{"nginx", false, func(t testing.TB, s *sidecar, app string, _ ...string) proxy { return nginx(t, s, app) }},
		{"Caddy", false, func(t testing.TB, s *sidecar, app string, _ ...string) proxy { return caddy(t, s, app) }},
	}
}

// slow says whether there is time for the long form of a test.
func slow() bool { return os.Getenv("THYMUS_SLOW") == "1" }
