package deployments_test

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"thymus/test/harness"
)

func TestSystemdFindsNothingWrongWithTheUnit(t *testing.T) {
	analyze := need(t, "systemd-analyze")
	unit := filepath.Join(t.TempDir(), "thymus.service")
	write(t, unit, strings.Replace(read(t, "systemd/thymus.service"), "/usr/bin/thymus", binary, 1))
	if out := run(t, analyze, "verify", unit); strings.Contains(out, "thymus.service") {
		t.Error(out)
	}
	// The level is systemd's own, from 0 (nothing is open) to 10.
	run(t, analyze, "security", "--offline=true", "--threshold=20", unit)
}

func TestTheUnitsConfigurationIsTaken(t *testing.T) {
	dir := t.TempDir()
	text := read(t, "systemd/thymus.yaml")
	for _, root := range []string{"/run/thymus", "/etc/thymus"} {
		text = strings.ReplaceAll(text, root, dir+root)
	}
	write(t, dir+"/run/thymus/.keep", "")
	write(t, dir+"/etc/thymus/policies/.keep", "")
	write(t, dir+"/thymus.yaml", text)
	run(t, binary, "config", "--config", dir+"/thymus.yaml")
}

// instructions are a Dockerfile's, one line each, of the stage that begins with from.
func instructions(t *testing.T, from string) map[string][]string {
	t.Helper()
	found, in := map[string][]string{}, false
	for line := range strings.Lines(read(t, "Dockerfile")) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "FROM" {
			in = strings.Contains(rest, from)
		}
		if in && word != "" && !strings.HasPrefix(word, "#") {
			found[word] = append(found[word], rest)
		}
	}
	return found
}

// No engine runs here, so the build stage's commands run by themselves, and the last stage is put together by hand: its
// files, its user, its environment, in a root that is mounted read-only.
func TestTheImageRunsWithoutRootOnAReadOnlyRoot(t *testing.T) {
	build, final := instructions(t, "golang:"), instructions(t, "distroless/static")
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	for _, c := range build["RUN"] {
		if c == "go mod download" {
			continue
		}
		cmd := exec.Command("sh", "-euc", strings.ReplaceAll(c, "/out", out))
		cmd.Dir, cmd.Env = "..", append(os.Environ(), "TARGETOS="+runtime.GOOS, "TARGETARCH="+runtime.GOARCH)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", c, err, text)
		}
	}
	f, err := elf.Open(out + "/thymus")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary needs a loader, which the image has not got")
		}
	}
	if os.Getuid() != 0 {
		harness.Absent(t, "the image", "only root can put a root together")
	}

	root := filepath.Join(dir, "root")
	var user string
	for _, c := range final["COPY"] {
		args := strings.Fields(c)
		to := root + args[len(args)-1]
		run(t, "mkdir", "-p", filepath.Dir(to))
		run(t, "cp", "-a", strings.ReplaceAll(args[len(args)-2], "/out", out), to)
		for _, a := range args {
			if owner, ok := strings.CutPrefix(a, "--chown="); ok {
				run(t, "chown", "-R", owner, to)
			}
		}
	}
	user = final["USER"][0]
	run(t, "mkdir", "-p", root+"/dev/shm", root+"/proc", root+"/volume")
	write(t, root+"/etc/thymus/policies/demo.rego", read(t, "compose/policies/demo.rego"))
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var argv []string
	for _, part := range []string{final["ENTRYPOINT"][0], final["CMD"][0]} {
		var words []string
		if err := json.Unmarshal([]byte(part), &words); err != nil {
			t.Fatal(err)
		}
		argv = append(argv, words...)
	}
	// Ports of the test's own; the image has the defaults.
	argv = append(argv, "--set", "data.listen=127.0.0.1:0", "--set", "management.listen=127.0.0.1:0",
		"--set", "diagnostics.listen=127.0.0.1:0", "--set", "data.socket=/run/thymus/thymus.sock")
	script := `set -eu
mount --bind "$1" "$1"
mkdir -p "$1.state" && cp -a "$1/var/lib/thymus/." "$1.state/" && chown "$2" "$1.state" && chmod 0700 "$1.state"
mkdir -p "$1.run" && chown "$2" "$1.run" && chmod 0770 "$1.run"
mount --bind "$1.state" "$1/var/lib/thymus"
mount --bind "$1.run" "$1/run/thymus"
mount -t tmpfs -o size=64m,mode=1777 tmpfs "$1/dev/shm"
mount -o remount,ro,bind "$1"
root=$1 user=$2; shift 2
exec chroot --userspec="$user" "$root" "$@"`
	cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, "sh", root, user}, argv...)...)
	if err := exec.Command("unshare", "--mount", "true").Run(); err != nil {
		harness.Absent(t, "a mount namespace", err.Error())
	}
	cmd.Env = append(cmd.Env, final["ENV"]...)
	cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"))
	sidecar := harness.Start(t, cmd)
	if status, body := get(t, sidecar.URL("diagnostics")+"/readyz", nil); status != 200 {
		t.Errorf("readyz is %d %s", status, body)
	}
	status := read(t, fmt.Sprintf("/proc/%d/status", sidecar.Pid()))
	if uid, _, _ := strings.Cut(user, ":"); !strings.Contains(status, "Uid:\t"+uid+"\t"+uid) {
		t.Errorf("it does not run as %s:\n%s", user, status)
	}
	if _, err := os.Stat(root + ".state/journal"); err != nil {
		t.Errorf("no journal in the volume: %v", err)
	}
}

// A Service called thymus puts these into the environment of every pod of its namespace.
func TestTheVariablesOfAServiceCalledThymusDoNotStopTheStart(t *testing.T) {
	dir := t.TempDir()
	injected := []string{
		"THYMUS_SERVICE_HOST=10.0.0.1", "THYMUS_SERVICE_PORT=8383", "THYMUS_SERVICE_PORT_DIAGNOSTICS=8383", "THYMUS_PORT=tcp://10.0.0.1:8383",
		"THYMUS_PORT_8383_TCP=tcp://10.0.0.1:8383", "THYMUS_PORT_8383_TCP_PROTO=tcp", "THYMUS_PORT_8383_TCP_PORT=8383", "THYMUS_PORT_8383_TCP_ADDR=10.0.0.1",
	}
	for _, f := range []string{"kubernetes/sidecar.yaml", "helm/thymus/templates/statefulset.yaml", "istio/pod.patch.yaml"} {
		if !strings.Contains(read(t, f), "enableServiceLinks: false") {
			t.Errorf("%s lets Kubernetes put in the variables of services called thymus-something", f)
		}
	}
	if !strings.Contains(read(t, "kubernetes/sidecar.yaml"), "kind: Service\nmetadata:\n  name: thymus\n") {
		t.Error("there is no Service called thymus beside the pod")
	}
	cmd := exec.Command(binary, "serve", "--set", "data.listen=127.0.0.1:0", "--set", "management.listen=127.0.0.1:0",
		"--set", "events.ring.path="+dir, "--set", "events.ring.size=1MiB", "compose/policies")
	cmd.Env = append(injected, "HOME="+dir, "THYMUS_DIR="+dir+"/state", "THYMUS_LOG_FORMAT=json")
	if status, body := get(t, harness.Start(t, cmd).URL("data")+"/readyz", nil); status != 200 {
		t.Errorf("readyz is %d %s", status, body)
	}
	cmd = exec.Command(binary, "config")
	cmd.Env = []string{"HOME=" + dir, "THYMUS_METRICS_PORT=tcp://10.0.0.1:1"}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "enableServiceLinks") {
		t.Errorf("those of a service called thymus-metrics are %v\n%s", err, out)
	}
}
