//go:build unix

package mesh_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"thymus/test/harness"
)

// caddy starts Caddy with the shipped Caddyfile.
func caddy(t testing.TB, s *sidecar, app string) proxy {
	t.Helper()
	bin := program(t, "caddy", "caddy")
	listen, dir := harness.FreePort(t), t.TempDir()
	file := filepath.Join(dir, "Caddyfile")
	harness.Write(t, file, "{\n\tadmin off\n\tauto_https off\n}\n"+shipped(t, "caddy/Caddyfile",
		":10000", "http://127.0.0.1:"+listen+", http://shop.example:"+listen, "127.0.0.1:8181", "127.0.0.1:"+s.data,
		"127.0.0.1:8080", "127.0.0.1:"+app, "250ms", "5s"))
	cmd := exec.Command(bin, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	return front(t, listen, cmd)
}

func TestCaddyAsks(t *testing.T) {
	s := thymus(t, exam)
	sit(t, caddy(t, s, application(t)), s, 502)
}
