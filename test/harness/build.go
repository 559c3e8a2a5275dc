package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Main builds the program, tells where it is, runs the tests, and ends the test binary. It is all of a TestMain.
func Main(m *testing.M, binary *string) { os.Exit(run(m, binary)) }

func run(m *testing.M, binary *string) int {
	dir, err := os.MkdirTemp("", "thymus-test-")
	if err == nil {
		defer os.RemoveAll(dir)
		*binary, err = Build(dir, "thymus")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Build builds the program into a folder under a name; args are those of go build.
func Build(dir, name string, args ...string) (path string, err error) {
	path = filepath.Join(dir, name)
	cmd := exec.Command("go", append(append([]string{"build", "-o", path}, args...), "thymus")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}
