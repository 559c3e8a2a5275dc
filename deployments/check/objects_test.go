package check_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	composeloader "github.com/compose-spec/compose-go/v2/loader"
	composetypes "github.com/compose-spec/compose-go/v2/types"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/yannh/kubeconform/pkg/validator"
	"google.golang.org/protobuf/encoding/protojson"
	mesh "istio.io/api/mesh/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

// validate holds objects against their schemas: Kubernetes' and Istio's by kubeconform, the Prometheus operator's by its
// own types. It fails where not one object was looked at.
func validate(t *testing.T, name, objects string) {
	t.Helper()
	byType := map[string]bool{"PodMonitor": true, "PrometheusRule": true}
	v := kubeconform(t, "PodMonitor", "PrometheusRule")
	valid := 0
	for _, r := range v.Validate(name, io.NopCloser(strings.NewReader(objects))) {
		sig, err := r.Resource.Signature()
		if err != nil && r.Status != validator.Empty {
			t.Errorf("%s: %v", name, err)
			continue
		}
		switch {
		case r.Status == validator.Valid:
			valid++
		case r.Status == validator.Empty:
		case r.Status == validator.Skipped && byType[sig.Kind]:
			var into any = &monitoringv1.PodMonitor{}
			if sig.Kind == "PrometheusRule" {
				into = &monitoringv1.PrometheusRule{}
			}
			if err := yaml.UnmarshalStrict(r.Resource.Bytes, into); err != nil {
				t.Errorf("%s %s: %v", sig.Kind, sig.Name, err)
			}
			valid++
		default:
			t.Errorf("%s %s: %v %v", sig.Kind, sig.Name, r.Err, r.ValidationErrors)
		}
	}
	if valid == 0 {
		t.Errorf("%s: not one object was validated", name)
	}
}

// kubeconform knows Kubernetes' and Istio's kinds, and leaves those alone that it is told to.
func kubeconform(t *testing.T, skip ...string) validator.Validator {
	t.Helper()
	dir, err := kubernetesSchemas()
	if err != nil {
		why := "Kubernetes' schemas are not here (make test-deployments fetches them): " + err.Error()
		if os.Getenv("REQUIRE_REAL") == "1" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	kinds := map[string]struct{}{}
	for _, k := range skip {
		kinds[k] = struct{}{}
	}
	const file = "/{{ .ResourceKind }}{{ .KindSuffix }}.json"
	v, err := validator.New([]string{dir + file, istioSchemas(t) + file},
		validator.Opts{Strict: true, KubernetesVersion: "1.34.0", SkipKinds: kinds})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// module is the folder of a module's source.
func module(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// istioSchemas writes the schemas in Istio's CRDs where kubeconform looks, refusing fields that they do not know, as the
// API server's strict validation does.
func istioSchemas(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	crds := read(t, filepath.Join(module(t, "istio.io/api"), "kubernetes", "customresourcedefinitions.gen.yaml"))
	for doc := range strings.SplitSeq(crds, "\n---\n") {
		var crd struct {
			Spec struct {
				Group    string
				Names    struct{ Kind string }
				Versions []struct {
					Name   string
					Schema struct{ OpenAPIV3Schema map[string]any }
				}
			}
		}
		if err := yaml.Unmarshal([]byte(doc), &crd); err != nil {
			t.Fatal(err)
		}
		group, _, _ := strings.Cut(crd.Spec.Group, ".")
		for _, v := range crd.Spec.Versions {
			schema := v.Schema.OpenAPIV3Schema
			closed(schema)
			top, _ := schema["properties"].(map[string]any)
			for _, k := range []string{"apiVersion", "kind", "metadata"} {
				top[k] = map[string]any{}
			}
			text, err := json.Marshal(schema)
			if err != nil {
				t.Fatal(err)
			}
			name := strings.ToLower(crd.Spec.Names.Kind) + "-" + group + "-" + v.Name + ".json"
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// closed refuses properties that a schema does not name.
func closed(s map[string]any) {
	if _, ok := s["properties"]; ok && s["additionalProperties"] == nil && s["x-kubernetes-preserve-unknown-fields"] != true {
		s["additionalProperties"] = false
	}
	for k, v := range s {
		if k == "oneOf" || k == "anyOf" || k == "allOf" || k == "not" {
			continue // these repeat parts of the whole
		}
		below(v)
	}
}

func below(v any) {
	switch v := v.(type) {
	case map[string]any:
		closed(v)
	case []any:
		for _, e := range v {
			below(e)
		}
	}
}

func TestManifestsFollowTheirSchemas(t *testing.T) {
	for _, f := range []string{"../kubernetes/sidecar.yaml", "../kubernetes/envoy-config.yaml", "../kubernetes/monitoring.yaml", "../istio/provider.yaml"} {
		t.Run(f, func(t *testing.T) { validate(t, f, read(t, f)) })
	}
}

func TestValidationFindsWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct{ file, from, to string }{
		"an unknown field of a container":  {"../kubernetes/sidecar.yaml", "periodSeconds: 1", "periodSecond: 1"},
		"a number where a text is":         {"../kubernetes/sidecar.yaml", "replicas: 2", "replicas: two"},
		"an unknown field of Istio's":      {"../istio/provider.yaml", "provider: {name: thymus}", "provider: {nam: thymus}"},
		"an action that Istio has not got": {"../istio/provider.yaml", "action: CUSTOM", "action: ASK"},
	} {
		t.Run(name, func(t *testing.T) {
			text := read(t, c.file)
			if !strings.Contains(text, c.from) {
				t.Fatalf("%s has no %s", c.file, c.from)
			}
			v, found := kubeconform(t), false
			for _, r := range v.Validate(name, io.NopCloser(strings.NewReader(strings.Replace(text, c.from, c.to, 1)))) {
				found = found || r.Status == validator.Invalid
			}
			if !found {
				t.Error("it is taken for valid")
			}
		})
	}
}

func TestMeshConfigurationIsIstios(t *testing.T) {
	text, err := yaml.YAMLToJSON([]byte(read(t, "../istio/meshconfig.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	m := &mesh.MeshConfig{}
	if err := protojson.Unmarshal(text, m); err != nil { // refuses names that it does not know
		t.Fatal(err)
	}
	p := m.ExtensionProviders[0].GetEnvoyExtAuthzGrpc()
	if p == nil || p.FailOpen || p.Port != 9191 {
		t.Errorf("got %v, want a provider that fails closed", p)
	}
	if err := protojson.Unmarshal([]byte(`{"extensionProvider": []}`), m); err == nil {
		t.Error("a misspelt name is taken")
	}
}

// A patch lacks what a whole Deployment must have, so it is held against the type and not the schema.
func TestThePatchForTheMeshIsPartOfADeployment(t *testing.T) {
	d := &appsv1.Deployment{}
	if err := yaml.UnmarshalStrict([]byte(read(t, "../istio/pod.patch.yaml")), d); err != nil {
		t.Fatal(err)
	}
	pod := d.Spec.Template.Spec
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
	}
	c := pod.InitContainers[0]
	if len(pod.InitContainers) != 1 || c.RestartPolicy == nil || *c.RestartPolicy != "Always" {
		t.Error("it is no native sidecar")
	}
	for _, m := range c.VolumeMounts {
		if !volumes[m.Name] {
			t.Errorf("%s is mounted and is no volume", m.Name)
		}
	}
}

func TestComposeProjectIsComposes(t *testing.T) {
	dir, err := filepath.Abs("../compose")
	if err != nil {
		t.Fatal(err)
	}
	p, err := composeloader.LoadWithContext(context.Background(), composetypes.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []composetypes.ConfigFile{{Filename: filepath.Join(dir, "compose.yaml")}},
		Environment: map[string]string{},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range p.Services {
		for _, v := range s.Volumes {
			if v.Type != "bind" {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s mounts %v", name, err)
			}
		}
	}
	if len(p.Services) < 6 {
		t.Errorf("only %d services", len(p.Services))
	}
}
