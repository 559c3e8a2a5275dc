package workload

import (
	"fmt"
	"strings"
)

// proxyRoles is how many roles proxy's services are shared among.
const proxyRoles = 5

// service is one rule of proxy: a role may use a method on all below a path.
type service struct {
	role, method, prefix string
}

// proxy is what stands behind a proxy: size rules that let a role use a method below a path, and one that keeps all away
// from /internal/.
func proxy(size, requests int, seed uint64) *Workload {
	r := dice(seed, 6)
	methods := []string{"GET", "POST", "PUT", "DELETE"}
	ss := make([]service, size)
	for i := range ss {
		ss[i] = service{name("role", i%proxyRoles), methods[i%len(methods)], fmt.Sprintf("/api/v1/service_%d/", i/2)}
	}
	allowed := func(q *Request) bool {
		permitted := false
		for _, s := range ss {
			permitted = permitted || q.Role == s.role && q.Action == s.method && strings.HasPrefix(q.Resource, s.prefix)
		}
		return permitted && !strings.HasPrefix(q.Resource, "/internal/")
	}
	w := &Workload{Policies: proxyPolicies(ss)}
	for range requests {
		s := pick(r, ss)
		q := Request{Subject: name("agent", r.IntN(1000)), Role: s.role, Action: s.method, Type: "http",
			Resource: fmt.Sprintf("%sitems/%d/parts/%d", s.prefix, r.IntN(10_000), r.IntN(100))}
		switch r.IntN(10) {
		case 0:
			q.Action = pick(r, methods)
		case 1:
			q.Resource = fmt.Sprintf("/internal/metrics/%d", r.IntN(100))
		case 2:
			q.Role = name("role", r.IntN(proxyRoles+2))
		}
		q.Allow = allowed(&q)
		w.Requests = append(w.Requests, q)
	}
	return w
}

func proxyPolicies(ss []service) map[string][]File {
	var rego, cedar, casbin strings.Builder
	rego.WriteString(regoHead)
	rego.WriteString("allow if {\n\tpermitted\n\tnot startswith(input.resource.id, \"/internal/\")\n}\n\n")
	cedar.WriteString("forbid(principal, action, resource) when { resource.path like \"/internal/*\" };\n")
	casbin.WriteString("p, *, /internal/*, *, deny\n")
	rules := []object{rule("internal", "deny", condition("resource", "starts_with", "/internal/"))}
	rules[0]["guardrail"] = true
	for i, s := range ss {
		fmt.Fprintf(&rego, "permitted if {\n\tinput.subject.properties.role == %q\n\tinput.action.name == %q\n\tstartswith(input.resource.id, %q)\n}\n\n", s.role, s.method, s.prefix)
		fmt.Fprintf(&cedar, "permit(principal, action == Action::%q, resource) when { principal.role == %q && resource.path like \"%s*\" };\n", s.method, s.role, s.prefix)
		fmt.Fprintf(&casbin, "p, %s, %s*, %s, allow\n", s.role, s.prefix, s.method)
		rules = append(rules, rule(name("service", i), "allow", condition("agent_role", "==", s.role), condition("action", "==", s.method),
			condition("resource", "starts_with", s.prefix)))
	}
	return map[string][]File{
		Rego:   module(rego.String()),
		Thymus: structured(rules),
		Cedar:  {{"bench.cedar", cedar.String()}},
		Casbin: {{"policy.csv", casbin.String()}},
		CasbinConf: casbinModel("role, obj, act", "role, obj, act, eft", nil, casbinAllowOverride,
			`(p.role == "*" || r.role == p.role) && (p.act == "*" || r.act == p.act) && keyMatch(r.obj, p.obj)`),
	}
}
