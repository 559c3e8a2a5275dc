//go:build unix

package mesh_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"thymus/test/harness"
)

// nginx starts nginx with the shipped server block.
func nginx(t testing.TB, s *sidecar, app string) proxy {
	t.Helper()
	bin := program(t, "nginx", "nginx-light")
	listen, dir := harness.FreePort(t), t.TempDir()
	block := shipped(t, "nginx/thymus.conf", "listen 10000", "listen 127.0.0.1:"+listen, "127.0.0.1:8181", "127.0.0.1:"+s.data,
		"127.0.0.1:8080", "127.0.0.1:"+app, "250ms", "5s")
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n"
	}
	conf := fmt.Sprintf("%sdaemon off; worker_processes 1; pid %[2]s/pid; error_log stderr warn;\nevents {}\nhttp {\naccess_log off;\n"+
		"client_body_temp_path %[2]s/b; proxy_temp_path %[2]s/p; fastcgi_temp_path %[2]s/f; uwsgi_temp_path %[2]s/u; scgi_temp_path %[2]s/s;\n%[3]s\n}\n",
		user, dir, block)
	file := filepath.Join(dir, "nginx.conf")
	harness.Write(t, file, conf)
	return front(t, listen, exec.Command(bin, "-c", file, "-p", dir, "-e", "stderr"))
}

func TestNginxAsks(t *testing.T) {
	s := thymus(t, exam)
	sit(t, nginx(t, s, application(t)), s, 500)
}
