package rules

import (
	"thymus/pdp"
)

// Options say what a Set is made of.
type Options struct {
	// Paths are files and directories, as the operator wrote them. A directory is read recursively.
	Paths []string
	// Files, where it is not nil, is what lies at Paths, read before.
	Files *Files
	// Builtin adds the built-in policies.
	Builtin bool
	// Entrypoint names the rule that decides alone: a path below data, such as envoy/authz/allow. Empty: the
	// combination decides.
	Entrypoint string
	// AllowBuiltins lists those of http.send, net.lookup_ip_addr and opa.runtime that policies may call.
	AllowBuiltins []string
	// Extra are policies that lie in no file, such as those of the management API.
	Extra []Source
	// Engine is what evaluates; empty is EngineNative.
	Engine Engine
	// ShadowRate is the share of evaluations, 0 to 1, that both engines answer, off the path of the request; 0 is none.
	ShadowRate float64
	// OnDifference says what else happens when they differ: OnDifferenceReport, which is the default, or
	// OnDifferenceTopdown.
	OnDifference string
	// Difference is told each; nil is nobody. It is called off the path of the request, one call at a time for a set.
	Difference func(Difference)
}

// Form is how a policy is written.
type Form string

// The forms of a policy.
const (
	FormStructured Form = "structured"
	FormRego       Form = "rego"
)

// Source is a policy that lies in no file.
type Source struct {
	ID       string // must be the id that the text itself names
	Form     Form
	Text     []byte // structured: JSON or YAML; Rego: the module's source
	Disabled bool   // overrides what the text says: the policy is listed and not compiled
	Origin   string // where it lies, as problems name it, such as "store:payments"
}

// PolicyInfo is what is known of one policy, enabled or not.
type PolicyInfo struct {
	ID          string
	Name        string // empty where it has none
	Version     string
	Description string
	Enabled     bool
	Default     pdp.Effect // None where it names none
	Rules       int        // its enabled effect rules
	Form        Form
	Origin      string // file as the operator named it, "builtin", or the Source's Origin
	// Texts are what it was made of, as it was read: one of a structured policy, one a module of a policy in Rego.
	Texts []Text
}

// Text is one of a policy's sources.
type Text struct {
	Origin string
	Text   []byte // never changed
}

// Set is a compiled set of policies. It is immutable.
type Set struct {
	Snapshot *pdp.Snapshot
	Policies []*PolicyInfo // by id, disabled ones too; one that did not change is the one of the set before
	Engine   EngineInfo    // what evaluates it

	world   *world
	apart   []*piece
	structs []*piece // apart or not, enabled or not
	entry   string   // Options.Entrypoint
}

// Warnings are what loads but cannot be meant, by place. They are worked out anew by each call, at a cost in proportion to
// the number of rules: a change of one policy need not pay for that.
func (s *Set) Warnings() []Problem {
	out := s.world.warnings(s.apart, s.Policies)
	for _, p := range s.structs {
		if p.info.Enabled {
			out = append(out, p.stray...)
		}
	}
	if s.entry != "" {
		if why := s.Undecided(s.entry); why != "" {
			out.add(Problem{Field: "policies.entrypoint", Detail: why})
		}
	}
	return out.sorted()
}

// Defines says whether a rule, a package or data lies at a path below data, such as envoy/authz/allow.
func (s *Set) Defines(path string) bool {
	return s.Snapshot.Eval.(interface{ defines([]string) bool }).defines(splitEntrypoint(path))
}
