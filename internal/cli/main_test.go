package cli_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"thymus/test/harness"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { harness.Main(m, &binary) }

// call is one run of the program, in a folder of its own with an environment of its own.
type call struct {
	args  string // parted by spaces; quoting is not known
	argv  []string
	stdin string
	env   []string
	files map[string]string
}

// run gives standard output, standard error and the exit code. DIR in arguments and files is the folder; in what comes
// back the folder is DIR again.
func (c call) run(t *testing.T) (stdout, stderr string, code int) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range c.files {
		harness.Write(t, filepath.Join(dir, name), strings.ReplaceAll(text, "DIR", dir))
	}
	argv := append(strings.Fields(c.args), c.argv...)
	for i := range argv {
		argv[i] = strings.ReplaceAll(argv[i], "DIR", dir)
	}
	cmd := exec.CommandContext(t.Context(), binary, argv...)
	cmd.Dir = dir
	cmd.Env = append([]string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}, c.env...)
	cmd.Stdin = strings.NewReader(c.stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	code = harness.ExitCode(t, cmd.Run())
	hide := strings.NewReplacer(dir, "DIR")
	return hide.Replace(out.String()), hide.Replace(errs.String()), code
}

const (
	structured = `{"policy_id":"spend","name":"Spending","version":"2.0.0","default_effect":"allow","rules":[
  {"rule_id":"cap","name":"Cap","effect":"deny","priority":5,"conditions":[{"field":"params.amount","operator":">","value":1000}]},
  {"rule_id":"big","effect":"warn","message":"large amount","conditions":[{"field":"params.amount","operator":">","value":100}]},
  {"rule_id":"book","effect":"audit","conditions":[{"field":"environment.booked","operator":"==","value":true}]}]}`
	badPolicy = `{"policy_id":"bad","rules":[{"rule_id":"r","effect":"alow"}]}`
)
