// Package deployments_test holds what lies beside it against what reads it: the running sidecar, the proxies, promtool,
// systemd-analyze. deployments/check, a module of its own, holds the rest against published schemas. README.md says which is
// which.
package deployments_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what is generated from observability.yaml and envoy/grpc.yaml")

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "thymus-deployments")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "thymus")
	build := exec.Command("go", "build", "-o", binary, "thymus")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	code := 1
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
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
	absent(t, "none of "+strings.Join(candidates, ", ")+" is here")
	return ""
}

func absent(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("REQUIRE_REAL") == "1" {
		t.Fatal(why + ", and REQUIRE_REAL=1")
	}
	t.Skip(why)
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

// start runs a command until the test ends, and gives its ready line.
func start(t *testing.T, cmd *exec.Cmd) map[string]any {
	t.Helper()
	ready := make(chan map[string]any, 1)
	log := &lines{ready: ready}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Error("it does not end")
		}
	})
	select {
	case line := <-ready:
		return line
	case err := <-done:
		done <- err
		t.Fatalf("ended before it was ready: %v\n%s", err, log.text())
	case <-time.After(30 * time.Second):
		t.Fatalf("not ready after 30 s\n%s", log.text())
	}
	return nil
}

// lines is a log that tells of the ready line. exec.Cmd writes to it from one goroutine; text is read after the end.
type lines struct {
	all   bytes.Buffer
	rest  []byte
	ready chan<- map[string]any
}

func (l *lines) Write(p []byte) (int, error) {
	l.all.Write(p)
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.rest = rest
		m := map[string]any{}
		if json.Unmarshal(line, &m) == nil && m["message"] == "ready" && l.ready != nil {
			l.ready <- m
			l.ready = nil
		}
	}
}

func (l *lines) text() string { return l.all.String() }
