package admin_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"thymus/test/harness"
)

// tool is where make test-api installs schemathesis.
const tool = "../../.tools/schemathesis/bin/schemathesis"

// TestSchemathesis lets schemathesis (PyPI) look for requests whose answers are not those of the OpenAPI document. What
// no schema can say is in schemathesis.toml. One check is left out: ignored_auth guesses tokens, which answers 429 after
// ten of them.
func TestSchemathesis(t *testing.T) {
	st, err := filepath.Abs(tool)
	if err == nil {
		_, err = os.Stat(st)
	}
	if err != nil {
		harness.Absent(t, "schemathesis", err.Error()+"; make test-api installs it")
	}
	config, err := filepath.Abs("schemathesis.toml")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir())
	cmd := exec.CommandContext(t.Context(), st, "--config-file", config, "run", s.management+"/openapi.json", "-u", s.management,
		"-H", "Authorization: Bearer "+s.token, "--exclude-path", "/v1/events/stream", "--phases", "examples,coverage,fuzzing",
		"-n", "25", "--seed", "1", "--checks", "all", "--exclude-checks", "ignored_auth", "--continue-on-failure",
		"--suppress-health-check", "too_slow", "--request-timeout", "60") // how fast the machine is, is not what is asked
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
