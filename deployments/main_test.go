// Package deployments_test holds what lies beside it against what reads it: the running sidecar, the proxies, promtool,
// systemd-analyze. deployments/check, a module of its own, holds the rest against published schemas. README.md says which is
// which.
package deployments_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"thymus/test/harness"
)

var update = flag.Bool("update", false, "write what is generated from observability.yaml and envoy/grpc.yaml")

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	if err := os.Setenv("CGO_ENABLED", "0"); err != nil { // as it is shipped
		panic(err)
	}
	harness.Main(m, &binary)
}

// need gives the path of a real program. Without it the test is skipped, or fails where REQUIRE_REAL says so.
func need(t *testing.T, candidates ...string) string {
	t.Helper()
	for _, c := range candidates {
		if p, err := exec.LookPath(c); err == nil {
			if abs, err := filepath.Abs(p); err == nil {
				return abs
			}
		}
	}
	harness.Absent(t, strings.Join(candidates, " or "), "not in PATH")
	return ""
}

// run gives what a program writes, and fails the test where it fails.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// golden holds text against the file, or writes it there with -update.
func golden(t *testing.T, path, text string) {
	t.Helper()
	if *update {
		write(t, path, text)
		return
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != text {
		t.Errorf("%s is not what its source says; go test ./deployments -update writes it (%v)", path, err)
	}
}
