//go:build unix

package mesh_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// caddy starts Caddy with the shipped Caddyfile.
func caddy(t testing.TB, s *sidecar, app string) proxy {
	t.Helper()
	bin := program(t, "caddy", "caddy")
	text, err := os.ReadFile(filepath.Join(root(t), "deployments", "caddy", "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	listen, dir := port(t), t.TempDir()
	conf := "{\n\tadmin off\n\tauto_https off\n}\n" + strings.NewReplacer(":10000", "http://127.0.0.1:"+listen+", http://shop.example:"+listen,
		"127.0.0.1:8181", "127.0.0.1:"+s.data, "127.0.0.1:8080", "127.0.0.1:"+app, "250ms", "5s").Replace(string(text))
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	c := run(t, "127.0.0.1:"+listen, cmd)
	return proxy{t, "127.0.0.1:" + listen, c}
}

func TestCaddyAsks(t *testing.T) {
	s := thymus(t, exam)
	sit(t, caddy(t, s, application(t)), s, 502)
}
