package workload

import (
	"fmt"
	"strings"
)

// verbs is how many actions a role is spoken of.
const verbs = 10

// grant is what one rule says: a role may, or must not, do something.
type grant struct {
	role, action string
	deny         bool
}

// grants are size rules: role 0 with actions 0 to 9, role 1 with the same, and so on. With denials the second half of a
// role's actions is forbidden.
func grants(size int, denials bool) []grant {
	gs := make([]grant, size)
	for i := range gs {
		gs[i] = grant{name("role", i/verbs), name("action", i%verbs), denials && i%verbs >= verbs/2}
	}
	return gs
}

// granted is the oracle: some rule permits, and none forbids.
func granted(gs []grant) func(q *Request) bool {
	permits, forbids := map[[2]string]bool{}, map[[2]string]bool{}
	for _, g := range gs {
		if g.deny {
			forbids[[2]string{g.role, g.action}] = true
		} else {
			permits[[2]string{g.role, g.action}] = true
		}
	}
	return func(q *Request) bool {
		asked := [2]string{q.Role, q.Action}
		return permits[asked] && !forbids[asked]
	}
}

// rbac is one rule for each role and action. Three of ten requests meet no rule: an action that the role has not, a role
// that nobody knows, or no role.
func rbac(size, requests int, seed uint64) *Workload {
	gs, r := grants(size, false), dice(seed, 1)
	allowed := granted(gs)
	w := &Workload{Policies: grantPolicies(gs, false)}
	for range requests {
		g := pick(r, gs)
		q := Request{Subject: name("agent", r.IntN(1000)), Role: g.role, Action: g.action, Resource: name("thing", r.IntN(1000))}
		switch r.IntN(10) {
		case 0:
			q.Action = name("action", verbs+r.IntN(3))
		case 1:
			q.Role = name("stranger", r.IntN(100))
		case 2:
			q.Role = ""
		}
		q.Allow = allowed(&q)
		w.Requests = append(w.Requests, q)
	}
	return w
}

// denials is the adversary's hour: nine of ten requests are denied, half of them by a rule, half because nothing permits
// them, the latter from subjects that each come once.
func denials(size, requests int, seed uint64) *Workload {
	gs, r := grants(size, true), dice(seed, 2)
	w := &Workload{Policies: grantPolicies(gs, true)}
	allowed := granted(gs)
	var may, not []grant
	for _, g := range gs {
		if g.deny {
			not = append(not, g)
		} else {
			may = append(may, g)
		}
	}
	if len(not) == 0 { // a policy too small to forbid anything
		not = []grant{{role: "stranger", action: "action_0", deny: true}}
	}
	for i := range requests {
		q := Request{Subject: name("agent", r.IntN(1000)), Resource: name("thing", r.IntN(1000))}
		switch n := r.IntN(20); {
		case n < 2:
			g := pick(r, may)
			q.Role, q.Action = g.role, g.action
		case n < 11:
			g := pick(r, not)
			q.Role, q.Action = g.role, g.action
		default:
			q.Subject, q.Role, q.Action = fmt.Sprintf("intruder_%d_%d", seed, i), name("stranger", r.IntN(100)), name("action", r.IntN(verbs))
		}
		q.Allow = allowed(&q)
		w.Requests = append(w.Requests, q)
	}
	return w
}

// grantPolicies says the rules in every language.
func grantPolicies(gs []grant, denials bool) map[string][]File {
	var rego, cedar, casbin, cerbos strings.Builder
	var rules []object
	rego.WriteString(regoHead)
	cerbos.WriteString("apiVersion: api.cerbos.dev/v1\nresourcePolicy:\n  version: default\n  resource: resource\n  rules:\n")
	head := "allow"
	if denials {
		head = "permitted"
		rego.WriteString("allow if {\n\tpermitted\n\tnot forbidden\n}\n\ndefault forbidden := false\n\n")
	}
	for i, g := range gs {
		effect, word, eft, cerb, h := "allow", "permit", "allow", "EFFECT_ALLOW", head
		if g.deny {
			effect, word, eft, cerb, h = "deny", "forbid", "deny", "EFFECT_DENY", "forbidden"
		}
		fmt.Fprintf(&rego, "%s if {\n\tinput.subject.properties.role == %q\n\tinput.action.name == %q\n}\n\n", h, g.role, g.action)
		fmt.Fprintf(&cedar, "%s(principal, action == Action::%q, resource) when { principal.role == %q };\n", word, g.action, g.role)
		fmt.Fprintf(&casbin, "p, %s, %s, %s\n", g.role, g.action, eft)
		fmt.Fprintf(&cerbos, "  - actions: [%q]\n    effect: %s\n    roles: [%q]\n", g.action, cerb, g.role)
		rules = append(rules, rule(name("rule", i), effect, condition("agent_role", "==", g.role), condition("action", "==", g.action)))
	}
	effect := casbinAllow
	if denials {
		effect = casbinAllowOverride
	}
	return map[string][]File{
		Rego:       module(rego.String()),
		Thymus:     structured(rules),
		Cedar:      {{"bench.cedar", cedar.String()}},
		Casbin:     {{"policy.csv", casbin.String()}},
		CasbinConf: casbinModel("role, act", "role, act, eft", nil, effect, "r.role == p.role && r.act == p.act"),
		Cerbos:     {{"resource.yaml", cerbos.String()}},
	}
}
