package rules

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"thymus/pdp"
)

// maxFaults bounds how many faults one evaluation reports: one denies.
const maxFaults = 64

// faults adds what went wrong: an error that ended the evaluation, and the errors of builtins that did not. No message
// holds anything of the input, so errors' own texts are not used.
func (ev *evaluator) faults(err error, builtins []topdown.Error, set *setKey, r *pdp.Result) {
	if err != nil {
		var te *topdown.Error
		if !errors.As(err, &te) {
			r.AddFault(pdp.FaultInternal, ev.policyOf(nil, set), "the evaluation failed")
		} else {
			ev.fault(te, set, r)
		}
	}
	type at struct {
		file     string
		row, col int
	}
	seen := map[at]bool{}
	for i := range builtins {
		if len(r.Faults) >= maxFaults {
			return
		}
		if l := builtins[i].Location; l != nil {
			if key := (at{l.File, l.Row, l.Col}); seen[key] {
				continue
			} else {
				seen[key] = true
			}
		}
		ev.fault(&builtins[i], set, r)
	}
}

func (ev *evaluator) fault(e *topdown.Error, set *setKey, r *pdp.Result) {
	code, text := pdp.FaultInternal, "the evaluation failed"
	switch e.Code {
	case topdown.CancelErr:
		r.AddFault(pdp.FaultDeadline, -1, msgDeadline)
		return
	case topdown.BuiltinErr, topdown.TypeErr:
		code, text = pdp.FaultBuiltin, "a builtin failed"
		if name, _, ok := strings.Cut(e.Message, ": "); ok && ast.BuiltinMap[name] != nil {
			text = "builtin " + name + " failed"
		}
	case topdown.ConflictErr:
		code, text = pdp.FaultConflict, "rules conflict: two values where there must be one"
	case topdown.WithMergeErr:
		code, text = pdp.FaultConflict, "a with modifier conflicts with data"
	}
	if where := ev.place(e.Location); where != "" {
		text += " at " + where
	}
	policy := ev.policyOf(e.Location, set)
	if policy >= 0 {
		text += " in " + packageOf(ev.policies[policy].ID)
	}
	r.AddFault(code, policy, text)
}

// place is a location as the author knows it: in a structured policy the line of the rule.
func (ev *evaluator) place(l *ast.Location) string {
	if l == nil || l.File == "" {
		return ""
	}
	row := l.Row
	if m := ev.lines[l.File]; row > 0 && row <= len(m) {
		row = m[row-1]
	}
	return placeName(l.File) + ":" + strconv.Itoa(row)
}

// placeName is a file as the reasons of decisions call it. Callers read those, and where on the host the files lie is
// none of their business: of a path that leaves the working folder only the last element is told.
func placeName(file string) string {
	if filepath.IsAbs(file) || file == ".." || strings.HasPrefix(file, "../") {
		return filepath.Base(file)
	}
	return file
}

// policyOf is the policy that a fault belongs to: the one asked, else the one whose file it is in.
func (ev *evaluator) policyOf(l *ast.Location, set *setKey) int32 {
	if set != nil {
		return set.policy
	}
	if l != nil {
		if p, ok := ev.policyIn[l.File]; ok {
			return p
		}
	}
	return -1
}
