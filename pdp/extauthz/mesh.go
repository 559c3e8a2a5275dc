package extauthz

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"thymus/internal/metrics"
	"thymus/pdp"
	"thymus/pdp/engine"
	"thymus/pdp/wire"
)

// Mesh answers proxies. All methods may be called from many goroutines at once, those of its gRPC listeners aside.
type Mesh struct {
	o        Options
	sources  []identity
	believed []string // headers that say who asks
	segs     []string // of the entrypoint
	claim    []string // path of the claim that is the role
	entry    atomic.Pointer[entry]
	turns    sync.Pool
	lanes    metrics.Dealer
	took     [pdp.Surfaces]*metrics.Histogram
	panics   atomic.Uint64
	refused  atomic.Uint64
	stalled  atomic.Uint64

	server grpcServer
}

// entry is what the active snapshot says about our two questions.
type entry struct {
	snap   *pdp.Snapshot
	query  pdp.Query // nil: no entrypoint of ours
	bodies bool      // a policy looks at parsed_body
	blind  bool      // and none at truncated_body
}

// New makes a Mesh that listens nowhere yet.
func New(o Options) (*Mesh, error) {
	o = o.withDefaults()
	m := &Mesh{o: o}
	var err error
	if m.sources, err = o.sources(); err != nil {
		return nil, err
	}
	for _, src := range m.sources {
		switch src.kind {
		case "header":
			m.believed = append(m.believed, src.header)
		case FromJWT:
			m.believed = append(m.believed, o.JWTHeader)
		}
	}
	if o.RoleHeader != "" {
		m.believed = append(m.believed, o.RoleHeader)
	}
	m.claim = strings.Split(o.RoleClaim, ".")
	if o.Entrypoint != "" {
		m.segs = strings.Split(o.Entrypoint, "/")
	}
	m.took[pdp.SurfaceGRPC], m.took[pdp.SurfaceHTTP] = metrics.NewHistogram(), metrics.NewHistogram()
	m.turns.New = func() any {
		t := &turn{m: m, scan: wire.NewScanner(), lane: m.lanes.Lane()}
		t.reader = t.read
		return t
	}
	m.open()
	return m, nil
}

// MaxBody is how much of a body is read: what is beyond Options.MaxBody is denied.
func (m *Mesh) MaxBody() int { return m.o.MaxBody + Slack }

// Requests is how long calls on a surface took, from the last byte read to the answer being ready to send.
func (m *Mesh) Requests(f pdp.Surface) (metrics.Snapshot, bool) {
	h := m.took[f]
	if h == nil {
		return metrics.Snapshot{}, false
	}
	return h.Snapshot(), true
}

// Counts are the other counters, since the start.
type Counts struct {
	Panics  uint64 // calls that ended in one; each was denied
	Refused uint64 // gRPC connections beyond the limit, or of a uid that may not
	Stalled uint64 // gRPC connections that were ended because a call of theirs did not go on arriving
}

// Counts are the other counters.
func (m *Mesh) Counts() Counts { return Counts{m.panics.Load(), m.refused.Load(), m.stalled.Load()} }

// ask is the entrypoint of ours in a snapshot, found once a snapshot.
func (m *Mesh) ask(s *pdp.Snapshot) *entry {
	if e := m.entry.Load(); e != nil && e.snap == s {
		return e
	}
	e := &entry{snap: s, bodies: true}
	if m.segs != nil {
		e.query = s.Eval.Query(m.segs)
	}
	if r, ok := s.Eval.(InputReader); ok {
		parsed, cut := r.ReadsInput("parsed_body"), r.ReadsInput("truncated_body")
		e.bodies, e.blind = parsed || cut, parsed && !cut
	}
	m.entry.Store(e)
	return e
}

// turn is what one call borrows. It belongs to one goroutine at a time.
type turn struct {
	m      *Mesh
	lane   metrics.Lane
	start  time.Time
	tape   tape
	scan   *wire.Scanner
	paths  pathBuffers
	call   *engine.Call
	reader engine.Reader

	size    int     // bytes of the message that are kept
	cut     bool    // there was more of it
	cause   string  // why there is none
	head    [5]byte // in front of a message
	packed  []byte  // a compressed message
	answer  answer
	object  object // what the entrypoint said
	out     []byte // the answer, encoded
	reason  []byte // of an entrypoint's decision
	warned  []byte // the warnings as a header's value
	id      []byte // the decision's, as text
	headers []byte // of a denial, encoded
	frame   []byte // a CheckRequest that was made from an HTTP request; later the body of a denial
	told    original
}

func (m *Mesh) turn() *turn { return m.turns.Get().(*turn) }

// keep is how many bytes of a pooled buffer outlive a call.
const keep = 64 << 10

// end gives the decision back: nothing that it lent may be used afterwards.
func (t *turn) end(f pdp.Surface) {
	if t.call != nil {
		t.call.End()
		t.call = nil
	}
	t.m.took[f].Observe(t.lane, time.Since(t.start))
	t.answer, t.object = answer{}, object{}
	clear(t.told.fields)
	t.told = original{fields: t.told.fields[:0], names: t.told.names[:0]}
}

// release gives the turn back.
func (t *turn) release() {
	if cap(t.tape.doc.Text) > keep || cap(t.tape.doc.Nodes) > keep/8 || cap(t.tape.scanned) > keep/8 || cap(t.tape.claims) > keep/8 ||
		cap(t.frame) > keep || cap(t.out) > keep || cap(t.paths.want) > keep ||
		cap(t.packed) > keep || cap(t.headers) > keep || cap(t.reason) > keep || t.size > keep {
		t.tape, t.scan, t.frame, t.out, t.paths, t.packed, t.headers, t.reason = tape{}, wire.NewScanner(), nil, nil, pathBuffers{}, nil, nil, nil
	}
	t.m.turns.Put(t)
}
