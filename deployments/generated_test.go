package deployments_test

import (
	"strings"
	"testing"
)

// The pod's Envoy has the file that is beside it, and no copy that somebody has to remember.
func TestThePodsEnvoyHasTheFileBesideIt(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Written by go test ./deployments -update from envoy/grpc.yaml.
apiVersion: v1
kind: ConfigMap
metadata:
  name: envoy-config
  labels: {app.kubernetes.io/name: app}
data:
  envoy.yaml: |
`)
	for line := range strings.Lines(read(t, "envoy/grpc.yaml")) {
		if line != "\n" {
			line = "    " + line
		}
		b.WriteString(line)
	}
	golden(t, "kubernetes/envoy-config.yaml", b.String())
}
