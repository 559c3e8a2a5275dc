package check_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"sigs.k8s.io/yaml"
)

const ours = "../helm/thymus"

func load(t *testing.T, dir string) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func values(t *testing.T, text string) map[string]any {
	t.Helper()
	v := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// render is helm template, but for the notes: all documents in the order of their files' names.
func render(c *chart.Chart, v map[string]any) (string, error) {
	caps := chartutil.DefaultCapabilities.Copy()
	caps.KubeVersion = chartutil.KubeVersion{Version: "v1.34.0", Major: "1", Minor: "34"}
	if err := chartutil.ProcessDependencies(c, v); err != nil {
		return "", err
	}
	rv, err := chartutil.ToRenderValues(c, v, chartutil.ReleaseOptions{Name: "thymus", Namespace: "thymus", Revision: 1, IsInstall: true}, caps)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(c, rv)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if text := strings.TrimSpace(files[name]); text != "" && !strings.HasSuffix(name, "NOTES.txt") {
			b.WriteString("---\n# Source: " + name + "\n" + strings.TrimPrefix(text, "---\n") + "\n")
		}
	}
	return b.String(), nil
}

func TestTheChartRendersWhatIsKept(t *testing.T) {
	files, err := filepath.Glob("testdata/values/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files with values, %v", len(files), err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".yaml")
		t.Run(name, func(t *testing.T) {
			out, err := render(load(t, ours), values(t, read(t, f)))
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/golden/"+name+".yaml", out)
			validate(t, name, out)
			starts(t, out)
		})
	}
}

func TestAnotherChartTakesTheSidecarIn(t *testing.T) {
	parent := load(t, "testdata/parent")
	parent.AddDependency(load(t, ours))
	out, err := render(parent, values(t, read(t, "testdata/parent/values.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/golden/parent.yaml", out)
	validate(t, "parent", out)
}

func TestHelmLintHasNothingToSay(t *testing.T) {
	for _, m := range lint.All(ours, map[string]any{"data": map[string]any{"insecure": true}}, "thymus", true).Messages {
		if m.Severity > support.InfoSev {
			t.Errorf("%s: %v", m.Path, m.Err)
		}
	}
}

func TestValuesThatCannotWorkAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ values, want string }{
		"nobody was told who may ask":   {"{}", "set data.tls.secretName, data.token.secretName, or data.insecure"},
		"Envoy with a token alone":      {"data: {token: {secretName: s}}", "extauthz knows no token"},
		"a socket for other pods":       {"data: {insecure: true}\nextauthz: {socket: /s}", "extauthz.socket is for mode sidecar"},
		"SASL without a password":       {"data: {insecure: true}\nevents: {kafka: {sasl: {mechanism: PLAIN}}}", "without events.kafka.sasl.secretName"},
		"a key that is none":            {"data: {insecure: true}\nreplicas: 3", "replicas"},
		"a key that is none, deep":      {"data: {insecur: true}", "insecur"},
		"a mode that is none":           {"mode: both", "mode"},
		"a broker without a port":       {"data: {insecure: true}\nevents: {kafka: {brokers: [kafka]}}", "brokers"},
		"a policy file of another kind": {"data: {insecure: true}\npolicies: {files: {a.txt: x}}", "a.txt"},
		"a digest that is none":         {"data: {insecure: true}\nimage: {digest: latest}", "digest"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := render(load(t, ours), values(t, c.values)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

// Every value has a default and a line on what it is for, and the schema knows it.
func TestEveryValueIsDocumented(t *testing.T) {
	schema := values(t, read(t, ours+"/values.schema.json"))
	var walk func(path string, v map[string]any, s map[string]any)
	walk = func(path string, v map[string]any, s map[string]any) {
		props, _ := s["properties"].(map[string]any)
		for k := range props {
			if _, ok := v[k]; !ok && k != "global" {
				t.Errorf("values.yaml has no %s%s, which the schema knows", path, k)
			}
		}
		for k, child := range v {
			p, ok := props[k].(map[string]any)
			if !ok {
				t.Errorf("the schema has no %s%s", path, k)
				continue
			}
			if below, isMap := child.(map[string]any); isMap && p["properties"] != nil {
				walk(path+k+".", below, p)
			}
		}
	}
	walk("", values(t, read(t, ours+"/values.yaml")), schema)
}

// starts gives the rendered thymus.yaml to thymus itself, with the paths of the pod where they can be here.
func starts(t *testing.T, rendered string) {
	t.Helper()
	_, text, ok := strings.Cut(rendered, "  thymus.yaml: |\n")
	if !ok {
		t.Fatal("there is no thymus.yaml")
	}
	text, _, _ = strings.Cut(text, "\n---\n")
	dir := t.TempDir()
	for _, f := range []string{"etc/thymus/policies/.keep", "run/thymus/.keep", "run/thymus-ring/.keep", "etc/thymus/tls/tls.crt", "etc/thymus/tls/tls.key",
		"etc/thymus/tls/ca.crt", "etc/thymus/token/token", "etc/thymus/management/token", "etc/thymus/kafka/password"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, f)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		for _, root := range []string{"/etc/thymus", "/run/thymus", "/var/lib"} {
			line = strings.ReplaceAll(line, " "+root, " "+dir+root)
		}
		b.WriteString(strings.TrimPrefix(line, "    "))
	}
	file := filepath.Join(dir, "thymus.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "run", ".", "config", "--config", file)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("thymus refuses the configuration: %v\n%s\n%s", err, out, b.String())
	}
}
