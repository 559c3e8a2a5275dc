package native

import (
	"strconv"
	"strings"

	"thymus/pdp"
)

// query is a path below data.
type query struct {
	path []val
	text string
	also pdp.Query // the same for the fallback
}

// Path is what the query asks for, its segments parted by slashes.
func (q *query) Path() string { return q.text }

// Query implements pdp.Evaluator. The paths of packages and rules were prepared by Compile; no other is remembered.
func (e *Engine) Query(path []string) pdp.Query {
	var space [128]byte
	key := space[:0]
	for _, s := range path {
		key = append(append(key, s...), 0)
	}
	if q := e.prepared[string(key)]; q != nil {
		return q
	}
	return e.query(path)
}

// query reads segments as OPA's server does: a decimal integer is a number, empty ones do not count.
func (e *Engine) query(path []string) *query {
	q := &query{path: make([]val, 0, len(path)), text: strings.Join(path, "/")}
	for _, s := range path {
		if s == "" {
			continue
		}
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			q.path = append(q.path, intVal(n))
		} else {
			q.path = append(q.path, strVal(s))
		}
	}
	if e.fallback != nil {
		q.also = e.fallback.Query(path)
	}
	return q
}

func (e *Engine) prepare(t *tnode, path []string) {
	key := strings.Join(append(path, ""), "\x00")
	e.prepared[key] = e.query(path)
	for _, kid := range t.kids {
		if kid.key.kind == text {
			e.prepare(kid, append(path[:len(path):len(path)], kid.key.str()))
		}
	}
}

// Value implements pdp.Evaluator.
func (e *Engine) Value(q pdp.Query, in *pdp.Doc, strict bool, b *pdp.Budget, r *pdp.Result) {
	r.Reset(resultKeep)
	x, ok := q.(*query)
	if !ok {
		r.AddFault(pdp.FaultInternal, -1, "a query of another engine")
		return
	}
	if e.aside.Load() {
		e.fallback.Value(x.also, in, strict, b, r)
		return
	}
	if w := e.value(x, in, strict, b, r); w.fault != nil {
		e.answer(w.fault, r, func() { e.fallback.Value(x.also, in, strict, b, r) })
	}
}

func (e *Engine) value(q *query, in *pdp.Doc, strict bool, b *pdp.Budget, r *pdp.Result) (w failure) {
	m := e.pool.Get().(*machine)
	defer e.leave(m, &w)
	m.start(in, strict, b)
	if m.err != nil || m.tick() {
		w.fault = m.err
		return w
	}
	if v := m.ask(q.path); v.kind != undefined && !m.tick() && m.err == nil {
		r.Defined = true
		m.emit(&r.Out, pdp.Span{}, v)
	}
	w.fault = m.err
	return w
}

// ask reads the document at a path below data.
func (m *machine) ask(path []val) val {
	t := m.prog.root
	if h := m.prog.hidden; h != "" && len(path) > 0 && path[0].kind == text && path[0].str() == h {
		return val{}
	}
	for i, k := range path {
		t = t.child(m, k)
		if t != nil && t.group != nil {
			v := m.document(t.group)
			for _, k := range path[i+1:] {
				if v.kind == undefined {
					break
				}
				v = m.get(v, k)
			}
			return v
		}
	}
	return m.extent(t, path)
}
