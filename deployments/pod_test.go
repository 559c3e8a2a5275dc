package deployments_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"thymus/test/harness"
)

// configMaps are the data of the ConfigMaps in a manifest, by name.
func configMaps(t *testing.T, file string) map[string]map[string]string {
	t.Helper()
	found := map[string]map[string]string{}
	for dec := yaml.NewDecoder(strings.NewReader(read(t, file))); ; {
		var o struct {
			Kind     string
			Metadata struct{ Name string }
			Data     map[string]string
		}
		if err := dec.Decode(&o); err == io.EOF {
			return found
		} else if err != nil && !strings.Contains(err.Error(), "cannot unmarshal") {
			t.Fatal(err)
		}
		if o.Kind == "ConfigMap" {
			found[o.Metadata.Name] = o.Data
		}
	}
}

// mount writes a ConfigMap as the kubelet does: files are links into ..data, which is a link to a folder with the time in
// its name, and a change is one rename of that link.
func mount(t *testing.T, dir, version string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		write(t, dir+"/.."+version+"/"+name, text)
		if _, err := os.Lstat(dir + "/" + name); err != nil {
			if err := os.Symlink("..data/"+name, dir+"/"+name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Symlink(".."+version, dir+"/..data_tmp"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+"/..data_tmp", dir+"/..data"); err != nil {
		t.Fatal(err)
	}
}

// The pod's own configuration and policies, with its paths below a folder of the test, and ports of its own.
func TestThePodsThymusStartsAndSeesAConfigMapChange(t *testing.T) {
	maps := configMaps(t, "kubernetes/sidecar.yaml")
	config, policies := maps["thymus-config"]["thymus.yaml"], maps["thymus-policies"]
	if config == "" || len(policies) != 1 {
		t.Fatalf("the manifest has %d policies and the configuration %q", len(policies), config)
	}
	dir := t.TempDir()
	for _, root := range []string{"/var/lib/thymus", "/run/thymus", "/etc/thymus/policies"} {
		config = strings.ReplaceAll(config, root, dir+root)
		if err := os.MkdirAll(dir+root, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(dir+"/run/thymus-ring", 0o777); err != nil {
		t.Fatal(err)
	}
	mount(t, dir+"/etc/thymus/policies", "2026_01", policies)
	write(t, dir+"/thymus.yaml", config)
	cmd := exec.Command(binary, "serve", "--config", dir+"/thymus.yaml", "--set", "data.listen=127.0.0.1:0", "--set", "management.listen=127.0.0.1:0",
		"--set", "diagnostics.listen=127.0.0.1:0")
	cmd.Env = []string{"HOME=" + dir, "THYMUS_INSTANCE=app-0"}
	sidecar := harness.Start(t, cmd)
	if sidecar.Ready["instance"] != "app-0" {
		t.Errorf("the instance is %v", sidecar.Ready["instance"])
	}
	if fi, err := os.Stat(dir + "/run/thymus/extauthz.sock"); err != nil || fi.Mode()&os.ModeSocket == 0 || fi.Mode().Perm() != 0o660 {
		t.Errorf("Envoy finds no socket that its group may use: %v, %v", fi, err)
	}
	ask := func() string {
		a, err := harness.Ask(http.DefaultClient, "POST", sidecar.URL("data")+"/v1/evaluate", `{"agent_id":"a","action":"GET","resource":"/admin/x"}`)
		if err != nil {
			t.Fatal(err)
		}
		return a.Body
	}
	if a := ask(); !strings.Contains(a, `"allowed":false`) || !strings.Contains(a, `"matched_rule":"admin"`) {
		t.Errorf("got %s", a)
	}
	changed := map[string]string{}
	for name, text := range policies {
		changed[name] = strings.ReplaceAll(text, "/admin/", "/other/")
	}
	mount(t, dir+"/etc/thymus/policies", "2026_02", changed)
	harness.Eventually(t, 30*time.Second, "the change is seen", func() bool { return strings.Contains(ask(), `"allowed":true`) })
}

func TestTheDemoPoliciesDoWhatTheySay(t *testing.T) {
	run(t, binary, "policy", "validate", "compose/policies")
	for action, want := range map[string]int{"GET /hello": 0, "GET /admin/panel": 1, "POST /hello": 1, "POST /upload": 0} {
		method, path, _ := strings.Cut(action, " ")
		cmd := exec.Command(binary, "check", "--agent", "a", "--action", method, "--resource", path, "compose/policies")
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("%s: exit %d, want %d\n%s", action, got, want, out)
		}
	}
}
