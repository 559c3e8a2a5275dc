package workload

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Request is one question and its right answer. Its parts are those of AuthZEN and of Thymus' canonical input.
type Request struct {
	Subject  string          // id of an agent
	Role     string          // empty: it has none
	Action   string          // of a proxied request its method
	Type     string          // of the resource; empty where it has none
	Resource string          // of a proxied request its path
	Params   json.RawMessage // an object of the action's parameters; nil: none
	Context  json.RawMessage // an object; nil: none
	Allow    bool            // what the oracle says
}

// Languages in which policies are given.
const (
	Rego       = "rego"       // any Rego v1 engine's: package bench, rule allow; entry data.bench.allow
	Thymus     = "thymus"     // Thymus' own forms, in one policy called bench
	Cedar      = "cedar"      // policies; entities are made of the request by the server that asks
	Casbin     = "casbin"     // policy lines of the model beside it
	CasbinConf = "casbinconf" // the model
	Cerbos     = "cerbos"     // resource policies in YAML
)

// File is one file of a policy.
type File struct {
	Name string // with the extension by which engines know it
	Text string
}

// Workload is one policy with its questions.
type Workload struct {
	Name     string
	Size     int // rules, rows or edges, as the workload counts
	Seed     uint64
	Policies map[string][]File // by language; absent where it cannot be said
	Requests []Request
}

// Allowed is the share of requests that the oracle permits.
func (w *Workload) Allowed() float64 {
	n := 0
	for _, r := range w.Requests {
		if r.Allow {
			n++
		}
	}
	return float64(n) / float64(max(len(w.Requests), 1))
}

// maker makes a workload.
type maker struct {
	name  string
	about string
	most  int // the largest size
	make  func(size, requests int, seed uint64) *Workload
}

// makers are all workloads, by name.
func makers() []maker {
	return []maker{
		{"abac", "departments, clearances and hours from tables in data", 10_000, abac},
		{"denials", "roles and actions, nine of ten requests denied, many of them strangers", 10_000, denials},
		{"proxy", "methods and paths of a web service behind a proxy", 1000, proxy},
		{"rbac", "one rule for each role and action", 100_000, rbac},
		{"rebac", "documents in folders in folders, groups in groups: a walk over a graph", 10_000, rebac},
		{"tools", "tool calls of agents with large parameters, bounded by amount and by network", 100, tools},
	}
}

// Names are those of all workloads, with a line on each.
func Names() (names []string, about map[string]string) {
	about = map[string]string{}
	for _, m := range makers() {
		names = append(names, m.name)
		about[m.name] = m.about
	}
	return names, about
}

// MaxRequests bounds a workload's questions.
const MaxRequests = 1 << 20

// Make makes a workload by name.
func Make(name string, size, requests int, seed uint64) (*Workload, error) {
	names, _ := Names()
	i := slices.Index(names, name)
	switch {
	case i < 0:
		return nil, fmt.Errorf("workload: got %q, expected one of %v", name, names)
	case size < 1 || size > makers()[i].most:
		return nil, fmt.Errorf("size: got %d, expected 1 to %d for %s", size, makers()[i].most, name)
	case requests < 1 || requests > MaxRequests:
		return nil, fmt.Errorf("requests: got %d, expected 1 to %d", requests, MaxRequests)
	}
	w := makers()[i].make(size, requests, seed)
	w.Name, w.Size, w.Seed = name, size, seed
	return w, nil
}
