package deployments_test

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"thymus/test/harness"
)

// composed is a service of compose.yaml.
type composed struct {
	Command     any
	Environment map[string]string
	Volumes     []any
}

// mounts are the host's files by the container's paths.
func (c composed) mounts() map[string]string {
	m := map[string]string{}
	for _, v := range c.Volumes {
		if s, ok := v.(string); ok {
			if parts := strings.Split(s, ":"); len(parts) > 1 {
				m[parts[1]] = filepath.Join("compose", parts[0])
			}
		}
	}
	return m
}

// The three containers that share a network are run as processes: the commands, the environment and the files are the
// project's, ports and folders the test's. Kafka is not there, and nobody who asks notices.
func TestComposesEnvoyAndThymusWorkTogether(t *testing.T) {
	envoy := need(t, "../.tools/envoy/bin/envoy", "envoy")
	var project struct{ Services map[string]composed }
	if err := yaml.Unmarshal([]byte(read(t, "compose/compose.yaml")), &project); err != nil {
		t.Fatal(err)
	}
	run, err := os.MkdirTemp("", "tc") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	app := harness.FreePort(t)
	ln, err := net.Listen("tcp", "127.0.0.1:"+app)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = r.Header.Write(w) })}
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = s.Close() })

	ingress := harness.FreePort(t)
	here := strings.NewReplacer("/run/thymus", run, "0.0.0.0:8181", "127.0.0.1:0", "0.0.0.0:8383", "127.0.0.1:0", "/ring", run,
		"kafka:9092", "127.0.0.1:"+harness.FreePort(t), "/etc/thymus/policies", project.Services["thymus"].mounts()["/etc/thymus/policies"])
	var words []string
	if err := json.Unmarshal([]byte(instructions(t, "distroless/static")["CMD"][0]), &words); err != nil {
		t.Fatal(err)
	}
	for i := range words {
		words[i] = here.Replace(words[i])
	}
	cmd := exec.Command(binary, append(words, "--set", "management.listen=127.0.0.1:0")...)
	cmd.Env = []string{"HOME=" + run, "THYMUS_DIR=" + run + "/state", "THYMUS_LOG_FORMAT=json"}
	for k, v := range project.Services["thymus"].Environment {
		cmd.Env = append(cmd.Env, k+"="+here.Replace(v))
	}
	sidecar := harness.Start(t, cmd)

	const inside = "/etc/envoy/envoy.yaml"
	text := read(t, project.Services["envoy"].mounts()[inside])
	config := filepath.Join(run, "envoy.yaml")
	write(t, config, strings.NewReplacer("/run/thymus", run, "address: 0.0.0.0, port_value: 10000", "address: 127.0.0.1, port_value: "+ingress,
		"port_value: 9901", "port_value: "+harness.FreePort(t), "port_value: 8080", "port_value: "+app,
		"timeout: 0.25s", "timeout: 10s").Replace(text)) // a machine that stands still for longer is refused, and rightly
	var argv []string
	for _, w := range project.Services["envoy"].Command.([]any) {
		argv = append(argv, strings.ReplaceAll(w.(string), inside, config))
	}
	if argv[0] != "envoy" || argv[len(argv)-1] != config {
		t.Fatalf("the command does not name the file: %q", argv)
	}
	harness.Listen(t, "127.0.0.1:"+ingress, exec.Command(envoy, append(argv[1:], "--disable-hot-restart", "-l", "error")...))
	base := "http://127.0.0.1:" + ingress
	if status, body := get(t, base+"/hello", nil); status != 200 || !strings.Contains(body, "X-Thymus-Effect: allow") {
		t.Errorf("/hello: %d %s", status, body)
	}
	if status, body := get(t, base+"/admin/panel", nil); status != 403 || !strings.Contains(body, "decision_id") {
		t.Errorf("/admin/panel: %d %s", status, body)
	}
	_, metrics := get(t, sidecar.URL("diagnostics")+"/metrics", nil)
	if !strings.Contains(metrics, `thymus_decisions_total{`) || !strings.Contains(metrics, `sink="kafka"`) {
		t.Error(metrics)
	}
}

func TestPrometheusTakesComposesConfiguration(t *testing.T) {
	promtool := need(t, "promtool")
	config := filepath.Join(t.TempDir(), "prometheus.yaml")
	rules, err := filepath.Abs("prometheus/thymus.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, config, strings.ReplaceAll(read(t, "compose/prometheus.yaml"), "/etc/prometheus/thymus.rules.yaml", rules))
	run(t, promtool, "check", "config", config)
}
