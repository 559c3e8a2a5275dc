package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "serve-") {
		main() // this program is the echo and the stand-in for the plugin
		return
	}
	os.Exit(m.Run())
}

// Everybody is asked, and run fails on the first answer that is not the oracle's.
func TestAllAnswerAsTheOracle(t *testing.T) {
	thymus := filepath.Join(t.TempDir(), "thymus")
	build := exec.Command("go", "build", "-o", thymus, ".")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var out strings.Builder
	s := settings{thymus: thymus, rules: 30, rounds: 1, connections: 4, duration: 300 * time.Millisecond, rate: 200}
	if err := s.run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"echo", "thymus, own policy", "thymus, plugin's policy", "thymus, topdown", "OPA as the plugin"} {
		if !strings.Contains(out.String(), "| "+name+" | ") {
			t.Errorf("%s is not in the table\n%s", name, out.String())
		}
	}
	if err := (&settings{thymus: "/bin/false", rules: 3, rounds: 1, connections: 1, duration: time.Millisecond}).run(t.Context(), &out); err == nil {
		t.Error("a server that does not start is not missed")
	}
}
