package workload

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// edges lead from something to what it lies in or belongs to.
type edges map[string][]string

// reach is what can be reached, the start included.
func (e edges) reach(from string) map[string]bool {
	seen := map[string]bool{from: true}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, to := range e[queue[0]] {
			if !seen[to] {
				seen[to] = true
				queue = append(queue, to)
			}
		}
	}
	return seen
}

const rebacRego = regoHead + `allow if {
	input.action.name == "view"
	some place in graph.reachable(data.graph.inside, {input.resource.id})
	some group in data.graph.viewers[place]
	group in graph.reachable(data.graph.member, {input.subject.id})
}
`

// rebac is a graph: size documents in a tree of folders, subjects in groups in groups, and groups that may view a folder
// and so all below it. The answer is a walk up both sides.
func rebac(size, requests int, seed uint64) *Workload {
	r := dice(seed, 4)
	folders, groups, agents := max(size/10, 4), max(size/20, 4), max(size/4, 8)
	inside, member, viewers := edges{}, edges{}, edges{}
	for i := range folders {
		inside[name("folder", i)] = nil
		if i > 0 {
			inside[name("folder", i)] = []string{name("folder", i/3)}
		}
	}
	for i := range size {
		inside[name("document", i)] = []string{name("folder", r.IntN(folders))}
	}
	for i := range groups {
		member[name("group", i)] = nil
		if i > 0 {
			member[name("group", i)] = []string{name("group", r.IntN(i))}
		}
	}
	for i := range agents {
		a, b := r.IntN(groups), r.IntN(groups)
		member[name("agent", i)] = []string{name("group", a)}
		if a != b {
			member[name("agent", i)] = append(member[name("agent", i)], name("group", b))
		}
	}
	for range max(folders/2, 2) {
		f, g := name("folder", 1+r.IntN(folders-1)), name("group", 1+r.IntN(groups-1))
		if !slices.Contains(viewers[f], g) {
			viewers[f] = append(viewers[f], g)
		}
	}
	w := &Workload{Policies: rebacPolicies(inside, member, viewers)}
	for range requests {
		q := Request{Subject: name("agent", r.IntN(agents)), Action: "view", Resource: name("document", r.IntN(size))}
		switch r.IntN(20) {
		case 0:
			q.Action = "delete"
		case 1:
			q.Subject = name("stranger", r.IntN(100))
		}
		member := member.reach(q.Subject)
		for place := range inside.reach(q.Resource) {
			for _, g := range viewers[place] {
				q.Allow = q.Allow || q.Action == "view" && member[g]
			}
		}
		w.Requests = append(w.Requests, q)
	}
	return w
}

func rebacPolicies(inside, member, viewers edges) map[string][]File {
	full := func(e edges) edges { // graph.reachable wants a list for every node
		out := edges{}
		for k, v := range e {
			out[k] = append([]string{}, v...)
		}
		return out
	}
	graph := File{"graph.json", string(marshal(object{"graph": object{"inside": full(inside), "member": full(member), "viewers": full(viewers)}}))}
	var cedar, casbin strings.Builder
	for _, f := range slices.Sorted(maps.Keys(viewers)) {
		for _, g := range viewers[f] {
			fmt.Fprintf(&cedar, "permit(principal in Agent::%q, action == Action::\"view\", resource in Resource::%q);\n", g, f)
			fmt.Fprintf(&casbin, "p, %s, %s, view\n", g, f)
		}
	}
	var entities []object
	for _, part := range []struct {
		kind, relation string
		e              edges
	}{{"Agent", "g", member}, {"Resource", "g2", inside}} {
		for _, id := range slices.Sorted(maps.Keys(part.e)) {
			parents := []object{}
			for _, to := range part.e[id] {
				parents = append(parents, object{"type": part.kind, "id": to})
				fmt.Fprintf(&casbin, "%s, %s, %s\n", part.relation, id, to)
			}
			entities = append(entities, object{"uid": object{"type": part.kind, "id": id}, "attrs": object{}, "parents": parents})
		}
	}
	return map[string][]File{
		Rego:       module(rebacRego, graph),
		Thymus:     module(asThymus(rebacRego), graph),
		Cedar:      {{"bench.cedar", cedar.String()}, {"entities.json", string(marshal(entities))}},
		Casbin:     {{"policy.csv", casbin.String()}},
		CasbinConf: casbinModel("sub, obj, act", "sub, obj, act", []string{"g", "g2"}, casbinAllow, "g(r.sub, p.sub) && g2(r.obj, p.obj) && r.act == p.act"),
	}
}

// cedarEntities appends entities of a kind with attributes, sorted by id.
func cedarEntities(dst []object, kind string, attrs object) []object {
	for _, id := range slices.Sorted(maps.Keys(attrs)) {
		dst = append(dst, object{"uid": object{"type": kind, "id": id}, "attrs": attrs[id], "parents": []object{}})
	}
	return dst
}
