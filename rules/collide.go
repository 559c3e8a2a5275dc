package rules

import (
	"fmt"
	"slices"
	"strings"
)

// What OPA says where the name of a rule is the path of another package too: once of the package, once of the rule.
const (
	packageConflict = "rego_type_error: package "
	conflictsRule   = " conflicts with rule "
	ruleConflict    = "rego_type_error: rule "
	conflictsWith   = " conflicts with:\n"
)

// collisions says of policies whose ids exclude each other, such as a and a.allow, in place of the compiler's words: one
// problem for a pair, which names both. below are the files of the second of each pair, without which the rest can be
// compiled. policyOf is the policy of each file.
func collisions(ps Problems, policyOf map[string]string) (out Problems, below []string) {
	for _, p := range ps {
		head, list, ok := strings.Cut(p.Detail, conflictsWith)
		if !ok || !strings.HasPrefix(head, ruleConflict) {
			out = append(out, p)
			continue
		}
		name := head[strings.LastIndexAny(head, ".[")+1:]
		for l := range strings.SplitSeq(list, "\n") {
			at := l[strings.LastIndex(l, " at ")+len(" at "):]
			file := at[:max(strings.LastIndexByte(at, ':'), 0)]
			q := p
			q.Field = "policy_id"
			q.Detail = fmt.Sprintf("the policies %q and %q (%s) exclude each other: the package of the second is where the first has its rules %s; choose another id",
				policyOf[p.File], policyOf[file], file, strings.Trim(name, `"]`))
			if policyOf[p.File] == "" || policyOf[file] == "" { // a library
				q.Field, q.Detail = "", strings.TrimPrefix(head, "rego_type_error: ")+" conflicts with"+strings.TrimPrefix(l, " ")
			}
			below = append(below, file)
			if !slices.Contains(out, q) {
				out = append(out, q)
			}
		}
	}
	if len(below) > 0 {
		out = slices.DeleteFunc(out, func(p Problem) bool {
			return strings.HasPrefix(p.Detail, packageConflict) && strings.Contains(p.Detail, conflictsRule)
		})
	}
	return out, below
}
