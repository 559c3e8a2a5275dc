package native

import (
	"strings"

	"thymus/pdp"
)

// ctl is what a step tells the one that called it.
type ctl uint8

const (
	more   ctl = iota // this solution is done with: try the next
	enough            // whoever asked needs no further solution
	halt              // an error is in machine.err: stop everything
)

// step is one expression of a body together with everything behind it: it calls what follows once for each of its
// solutions. Steps are linked when they are compiled and hold no state; state is in the frame.
type step func(f *frame) ctl

// sink takes the values of an enumeration.
type sink func(f *frame, v val) ctl

// getter computes a term all of whose variables are bound. It returns undefined where the term is; where an error
// stopped it, machine.err says so.
type getter func(f *frame) val

// frame is the registers of one rule being evaluated. Rego knows no recursion, so that rules called nest like a stack.
type frame struct {
	m     *machine
	r     []val
	out   val  // complete rules and functions: the value; sets and objects: the collection
	found bool // the rule being evaluated had a solution
}

// scope is what `with` replaces.
type scope struct {
	input   val
	overlay val         // data as far as it is replaced
	targets *targetList // which paths of data are
	mocks   *mockFrame
	gen     uint64      // what was computed under another number is not valid here
	docs    map[int]val // inside of a with: the documents of groups; outside they are in machine.memo
}

// machine is the state of one evaluation, pooled by its Engine.
type machine struct {
	scope
	prog   *program
	budget *pdp.Budget
	strict bool
	err    *fault
	genTop uint64

	regs   []val
	sp     int
	frames []*frame
	depth  int
	cand   []candidate // stack
	args   []val       // stack of arguments
	path   []val       // stack of keys below data
	withs  []withPair

	memo   []memoEntry // by group
	paths  []memoEntry // by input path
	rows   []uint64    // by row of the snapshot: the generation in which it matched
	turn   uint64      // this evaluation, as rows note it
	made   val         // set of elements that rules computed
	result *pdp.Result

	calls     callTable
	arena     arena
	text      []byte // of texts that the evaluation made; growing leaves the old bytes to the texts that share them
	lowered   []*node
	loweredAt []int32

	piecework

	bridge   bridge
	patterns patterns
	decimals decimals
	strings  map[string]string // of the compiler's machine: see intern
}

type memoEntry struct {
	gen uint64
	v   val
}

func newMachine(p *program) *machine {
	return &machine{
		prog: p,
		regs: make([]val, 512),
		memo: make([]memoEntry, p.groups), paths: make([]memoEntry, p.paths), rows: make([]uint64, p.rows),
	}
}

// start prepares for one evaluation of in.
func (m *machine) start(in *pdp.Doc, strict bool, b *pdp.Budget) {
	m.genTop++
	m.turn = m.genTop
	m.scope = scope{gen: m.genTop}
	if in != nil && len(in.Nodes) > 0 {
		m.input = tapeVal(in, 0)
	}
	m.strict, m.budget = strict, b
	if in != nil && extreme(in) {
		m.fail(&fault{code: pdp.FaultInput, msg: "a number in the input is out of range"})
	}
}

// extreme says whether the tape has a number that arithmetic cannot bear: an exponent of five digits or more, or more
// digits than anyone counts with. OPA panics at some, and works for minutes at others.
func extreme(in *pdp.Doc) bool {
	for i := range in.Nodes {
		if n := &in.Nodes[i]; n.Kind == pdp.Number && n.Val.Len > 6 && extremeNumber(in.Str(n.Val)) {
			return true
		}
	}
	return false
}

func extremeNumber(s string) bool {
	if len(s) > 1000 {
		return true
	}
	i := strings.IndexAny(s, "eE")
	return i >= 0 && len(strings.TrimLeft(s[i+1:], "+-0")) > 4
}

// keepLowered bounds the table of tape nodes that a pooled machine holds on to.
const keepLowered = 1 << 16

// finish forgets the request, whose memory is the caller's again.
func (m *machine) finish() {
	m.arena.reset()
	m.calls.reset()
	for _, i := range m.loweredAt {
		m.lowered[i] = nil
	}
	m.loweredAt = m.loweredAt[:0]
	if cap(m.lowered) > keepLowered {
		m.lowered = nil
	}
	if m.text = m.text[:0]; cap(m.text) > keepLowered {
		m.text = nil
	}
	m.scope = scope{}
	m.made, m.err, m.budget, m.result = val{}, nil, nil, nil
	m.sp, m.depth = 0, 0
	m.cand, m.args, m.path, m.withs = m.cand[:0], m.args[:0], m.path[:0], m.withs[:0]
	m.bridge.reset()
}

// push opens a frame of n registers. They hold what was left there: compiled steps write before they read.
func (m *machine) push(n int) *frame {
	if m.sp+n > len(m.regs) { // frames already open keep the old slice
		m.regs, m.sp = make([]val, 2*len(m.regs)+n), 0
	}
	if m.depth == len(m.frames) {
		m.frames = append(m.frames, &frame{m: m})
	}
	f := m.frames[m.depth]
	m.depth++
	f.r = m.regs[m.sp : m.sp+n : m.sp+n]
	m.sp += n
	f.out, f.found = val{}, false
	return f
}

// release closes the frame that push opened last; regs and sp are what they were before.
func (m *machine) release(regs []val, sp int) {
	m.regs, m.sp = regs, sp
	m.depth--
}

// failed is what a step returns whose term was undefined.
func (m *machine) failed() ctl {
	if m.err != nil {
		return halt
	}
	return more
}

// tick is called wherever an evaluation could run long.
func (m *machine) tick() bool {
	if m.budget.Stopped() {
		if m.err == nil {
			m.err = &fault{code: pdp.FaultDeadline, msg: "the deadline passed"}
		}
		return true
	}
	return false
}

// fault is why an evaluation ended without an answer.
type fault struct {
	code  pdp.FaultCode
	msg   string
	cause error
	rerun bool // not an error of the policy: this engine cannot answer
}

func (m *machine) fail(f *fault) ctl {
	if m.err == nil {
		m.err = f
	}
	return halt
}
