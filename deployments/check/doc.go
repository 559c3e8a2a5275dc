// Package check holds what deployments/ says to Kubernetes, Istio, the Prometheus operator and Docker Compose against what
// these published of themselves: the chart is rendered by Helm's own engine, objects are validated by kubeconform with
// Kubernetes' strict schemas and Istio's CRDs, mesh configuration and compose project by their own parsers. It is a module
// of its own, so that none of that is a dependency of Thymus. `make test-deployments` runs it.
package check
