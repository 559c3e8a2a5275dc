package cli_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

func TestConfigPrintsWhatWasSaid(t *testing.T) {
	c := call{
		args: "config --config DIR/t.yaml --set data.deadline=20ms --listen 127.0.0.1:9",
		env:  []string{"THYMUS_LOG_LEVEL=warn", "THYMUS_EVENTS_KAFKA_SASL_PASSWORD=hunter2", "THYMUS_EVENTS_KAFKA_SASL_USERNAME=u"},
		files: map[string]string{
			"t.yaml": "policies:\n  paths: [DIR/p]\nevents: {kafka: {sasl: {mechanism: PLAIN}}}\n", "p/x.json": structured},
	}
	out, errs, code := c.run(t)
	if code != 0 || errs != "" {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, want := range []string{
		"  paths: [DIR/p] # DIR/t.yaml:2\n", "  deadline: 20ms # --set\n", "  listen: 127.0.0.1:9 # --listen\n",
		"  level: warn # THYMUS_LOG_LEVEL\n", "password: '********' # THYMUS_EVENTS_KAFKA_SASL_PASSWORD\n",
		"dir: ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if strings.Contains(out, "hunter2") {
		t.Error("the password is printed")
	}
}

func TestTheLaterFlagWins(t *testing.T) {
	for args, want := range map[string]string{
		"config --listen 127.0.0.1:1 --set data.listen=127.0.0.1:2": "listen: 127.0.0.1:2 # --set\n",
		"config --set data.listen=127.0.0.1:2 --listen 127.0.0.1:1": "listen: 127.0.0.1:1 # --listen\n",
		"config --watch=false":  "watch: false # --watch\n",
		"config --listen=":      "listen: \"\" # --listen\n",
		"config --docs --watch": "# load again what changes\n",
	} {
		if args == "config --listen=" {
			args += " --socket DIR/s"
		}
		if out, errs, code := (call{args: args}).run(t); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d without %q\n%s%s", args, code, want, out, errs)
		}
	}
}

func TestEveryCommandRefusesABadConfiguration(t *testing.T) {
	const want = `thymus: key "data.listne": unknown, did you mean "data.listen"?
thymus: key "data.max_body": got "1XB", expected a size from 1KiB to 1GiB, in bytes or as 64KiB, 1MiB, 1GiB
`
	bad := []string{"--set", "data.listne=1", "--set", "data.max_body=1XB"}
	for _, args := range []string{"", "serve", "config", "check --agent a --action b", "policy validate", "policy list"} {
		if out, errs, code := (call{args: args, argv: bad}).run(t); code != 2 || out != "" || errs != want {
			t.Errorf("%s: exit %d\n%s%s", args, code, out, errs)
		}
	}
}

func TestAMisspeltCommandIsNotTakenForAPolicyPath(t *testing.T) {
	for args, want := range map[string]string{
		"chek":               "thymus: \"chek\" is neither a command nor a file or folder of policies, did you mean \"check\"?\n",
		"--lisen x":          "thymus: --lisen: unknown flag, did you mean --listen?\n",
		"config extra":       "thymus: unknown command \"extra\" for \"thymus config\"\n",
		"serve DIR/none":     "thymus: argument: key \"policies.paths\": DIR/none: does not exist\n",
		"--config DIR/none":  "thymus: --config: DIR/none: no such file or directory\n",
		"--set nothing":      "thymus: invalid argument \"nothing\" for \"--set\" flag: expected key=value\n",
		"config --watch=may": "thymus: --watch: key \"policies.watch\": got \"may\", expected true or false\n",
	} {
		if out, errs, code := (call{args: args}).run(t); code != 2 || out != "" || errs != want {
			t.Errorf("%s: exit %d\n%s%s", args, code, out, errs)
		}
	}
}

func TestVersionSaysWhatItWasBuiltFrom(t *testing.T) {
	out, _, code := call{args: "version"}.run(t)
	if code != 0 || !strings.HasPrefix(out, "thymus ") || !strings.Contains(out, runtime.Version()) || !strings.Contains(out, "opa       v1.") {
		t.Errorf("exit %d: %s", code, out)
	}
	out, _, code = call{args: "version -o json"}.run(t)
	var v struct{ Version, Go, OPA, Platform string }
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 {
		t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	if v.Go != runtime.Version() || v.Version == "" || !strings.HasPrefix(v.OPA, "v1.") || v.Platform != runtime.GOOS+"/"+runtime.GOARCH {
		t.Errorf("got %+v", v)
	}
}

func TestCompletionForEachShell(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out, errs, code := (call{args: "completion " + shell}).run(t); code != 0 || errs != "" || !strings.Contains(out, "thymus") {
			t.Errorf("%s: exit %d with %d bytes: %s", shell, code, len(out), errs)
		}
	}
}

func TestHelpNamesEveryCommand(t *testing.T) {
	out, errs, code := call{args: "--help"}.run(t)
	if code != 0 || errs != "" {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, name := range []string{"check", "completion", "config", "policy", "serve", "version", "--listen", "--set key=value"} {
		if !strings.Contains(out, "  "+name) {
			t.Errorf("%s is not in\n%s", name, out)
		}
	}
}
