package workload

// The working hours of abac, from its first hour up to, not including, its last.
const (
	opens  = 8
	closes = 18
)

// profile is a row of abac's tables: of a subject its clearance, of a resource its level.
type profile struct {
	department string
	level      int
}

const abacRego = regoHead + `allow if {
	s := data.tables.subjects[input.subject.id]
	r := data.tables.resources[input.resource.id]
	s.department == r.department
	s.clearance >= r.level
	timely
}

timely if input.action.name == "read"

timely if {
	input.context.hour >= 8
	input.context.hour < 18
}
`

const abacCedar = `permit(principal, action, resource) when {
  principal.department == resource.department &&
  principal.clearance >= resource.level &&
  (action == Action::"read" || (context.hour >= 8 && context.hour < 18))
};
`

// abac has tables of subjects and resources in data, size rows of each: whoever is of the resource's department and
// cleared for its level may read it at any hour and do the rest in working hours. Who is in no table may nothing.
func abac(size, requests int, seed uint64) *Workload {
	r := dice(seed, 3)
	departments := []string{"finance", "health", "law", "research", "sales"}
	subjects, resources := map[string]profile{}, map[string]profile{}
	for i := range size {
		subjects[name("agent", i)] = profile{pick(r, departments), r.IntN(5)}
		resources[name("file", i)] = profile{pick(r, departments), r.IntN(5)}
	}
	allowed := func(q *Request, hour int) bool {
		s, known := subjects[q.Subject]
		o, there := resources[q.Resource]
		return known && there && s.department == o.department && s.level >= o.level && (q.Action == "read" || hour >= opens && hour < closes)
	}
	w := &Workload{Policies: abacPolicies(subjects, resources)}
	for range requests {
		hour := r.IntN(24)
		q := Request{Subject: name("agent", r.IntN(size)), Action: pick(r, []string{"read", "write", "share"}),
			Resource: name("file", r.IntN(size)), Context: marshal(object{"hour": hour})}
		switch s := subjects[q.Subject]; r.IntN(10) {
		case 0:
			q.Subject = name("stranger", r.IntN(100))
		case 1, 2, 3, 4, 5: // chance alone would rarely find the right department
			for range 20 {
				if resources[q.Resource].department == s.department {
					break
				}
				q.Resource = name("file", r.IntN(size))
			}
		}
		q.Allow = allowed(&q, hour)
		w.Requests = append(w.Requests, q)
	}
	return w
}

func abacPolicies(subjects, resources map[string]profile) map[string][]File {
	s, o := object{}, object{}
	for id, p := range subjects {
		s[id] = object{"department": p.department, "clearance": p.level}
	}
	for id, p := range resources {
		o[id] = object{"department": p.department, "level": p.level}
	}
	tables := File{"tables.json", string(marshal(object{"tables": object{"subjects": s, "resources": o}}))}
	entities := cedarEntities(nil, "Agent", s)
	entities = cedarEntities(entities, "Resource", o)
	return map[string][]File{
		Rego:   module(abacRego, tables),
		Thymus: module(asThymus(abacRego), tables),
		Cedar:  {{"bench.cedar", abacCedar}, {"entities.json", string(marshal(entities))}},
	}
}
