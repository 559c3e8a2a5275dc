package check_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// schemas are Kubernetes' own, strict, from the PyPI package kubernetes-validate, which make test-deployments unpacks.
const schemas = "../../.tools/kubernetes-schemas/kubernetes_validate/kubernetes-json-schema/v1.34.0-local-strict"

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func golden(t *testing.T, path, text string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("%s is not what the chart renders; go test -update writes it (%v)\n%s", path, err, text)
	}
}
