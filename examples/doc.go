// Package examples holds policy sets to start from, each with its tests: an AI agent's tool calls, Kubernetes-style RBAC
// and the AuthZEN Todo application. It has no code of its own; its tests load every set, run the sets' own tests and hold
// the Todo application against the working group's vectors.
package examples
