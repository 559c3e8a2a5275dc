package workload

import (
	"fmt"
	"net/netip"
	"strings"
)

const (
	toolRole    = "operator"
	toolNetwork = "10.0.0.0/8"
	toolTaboo   = "rm -rf"
)

// tools are calls of an agent's tools with parameters of some kilobytes. Each tool has a limit on an amount; every call
// must go to an address of one network; a command with a taboo in it is denied whatever else holds.
func tools(size, requests int, seed uint64) *Workload {
	r := dice(seed, 5)
	limits := make([]int, size)
	for i := range limits {
		limits[i] = 100 * (1 + r.IntN(100))
	}
	network := netip.MustParsePrefix(toolNetwork)
	w := &Workload{Policies: toolPolicies(limits)}
	for range requests {
		i := r.IntN(size)
		amount := r.IntN(limits[i] * 5 / 4)
		address := fmt.Sprintf("10.%d.%d.%d", r.IntN(256), r.IntN(256), 1+r.IntN(254))
		command := fmt.Sprintf("sync --from /srv/%d --to /srv/%d", r.IntN(1000), r.IntN(1000))
		q := Request{Subject: name("agent", r.IntN(1000)), Role: toolRole, Action: name("tool", i), Resource: name("host", r.IntN(100))}
		switch r.IntN(12) {
		case 0:
			address = fmt.Sprintf("192.168.%d.%d", r.IntN(256), 1+r.IntN(254))
		case 1:
			command += " && " + toolTaboo + " /srv/tmp"
		case 2:
			q.Role = "visitor"
		case 3:
			q.Action = name("unknown", i)
		}
		steps := make([]object, 8+r.IntN(24))
		for j := range steps {
			steps[j] = object{"id": j, "name": name("step", r.IntN(100)), "dry": r.IntN(2) == 0, "note": strings.Repeat("\"data\" ", 1+r.IntN(8))}
		}
		q.Params = marshal(object{"amount": amount, "address": address, "command": command, "steps": steps,
			"labels": []string{"nightly", "eu", name("team", r.IntN(10))}})
		q.Allow = q.Role == toolRole && q.Action == name("tool", i) && amount <= limits[i] &&
			network.Contains(netip.MustParseAddr(address)) && !strings.Contains(command, toolTaboo)
		w.Requests = append(w.Requests, q)
	}
	return w
}

func toolPolicies(limits []int) map[string][]File {
	var rego, cedar strings.Builder
	rego.WriteString(regoHead)
	fmt.Fprintf(&rego, "allow if {\n\tpermitted\n\tnot taboo\n}\n\ntaboo if contains(input.action.properties.command, %q)\n\n", toolTaboo)
	fmt.Fprintf(&cedar, "forbid(principal, action, resource) when { context.params.command like \"*%s*\" };\n", toolTaboo)
	rules := []object{rule("taboo", "deny", condition("params.command", "contains", toolTaboo))}
	rules[0]["guardrail"] = true
	for i, limit := range limits {
		fmt.Fprintf(&rego, `permitted if {
	input.subject.properties.role == %q
	input.action.name == %q
	input.action.properties.amount <= %d
	net.cidr_contains(%q, input.action.properties.address)
}

`, toolRole, name("tool", i), limit, toolNetwork)
		fmt.Fprintf(&cedar, "permit(principal, action == Action::%q, resource) when { principal.role == %q && context.params.amount <= %d && ip(context.params.address).isInRange(ip(%q)) };\n",
			name("tool", i), toolRole, limit, toolNetwork)
		rules = append(rules, rule(name("tool", i), "allow", condition("agent_role", "==", toolRole), condition("action", "==", name("tool", i)),
			condition("params.amount", "<=", limit), condition("params.address", "cidr", toolNetwork)))
	}
	return map[string][]File{
		Rego:   module(rego.String()),
		Thymus: structured(rules),
		Cedar:  {{"bench.cedar", cedar.String()}},
	}
}
