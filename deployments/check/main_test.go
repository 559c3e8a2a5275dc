package check_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"sync"
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

// kubernetesSchemas is a copy of schemas whose references point to each other, made once: as published they point to /api.
var kubernetesSchemas = sync.OnceValues(func() (string, error) {
	files, err := os.ReadDir(schemas)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "kubernetes-schemas")
	if err != nil {
		return "", err
	}
	made = dir
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(schemas, f.Name()))
		if err != nil {
			return "", err
		}
		text = bytes.ReplaceAll(text, []byte(`"/api/_definitions.json#`), []byte(`"file://`+dir+`/_definitions.json#`))
		if err := os.WriteFile(filepath.Join(dir, f.Name()), text, 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
})

// made is removed at the end.
var made string

func TestMain(m *testing.M) {
	code := m.Run()
	if made != "" {
		_ = os.RemoveAll(made)
	}
	os.Exit(code)
}
