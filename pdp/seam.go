package pdp

import "sync/atomic"

// Evaluator is a compiled set of rules: the seam between the engine and whatever evaluates Rego. It is immutable and
// may be called from any number of goroutines at once; everything mutable is in the arguments, which belong to the
// caller.
type Evaluator interface {
	// Match finds all effect rules that match in, unordered, each element of a partial set once. Any Fault denies, and
	// then the matches count for nothing.
	Match(in *Doc, b *Budget, r *Result)
	// Value evaluates one document into r.Out; r.Defined is false where it is undefined. in without nodes is an
	// undefined input. With strict, errors of builtins are faults; without, they leave the expression undefined, as in
	// OPA. A conflict and the deadline are faults in either case.
	Value(q Query, in *Doc, strict bool, b *Budget, r *Result)
	// Query finds or prepares the question for a path below data, one element a segment, percent-decoded by the caller.
	// It is safe on the request path: what it remembers beyond what the load prepared is bounded. It is never nil, and
	// a path that nothing defines is a question whose answer is undefined.
	Query(path []string) Query
}

// Query is a question an Evaluator has prepared. It is opaque, and good only for the Evaluator that made it.
type Query any

// Match is one matching rule.
type Match struct {
	Rule             int32 // row of Snapshot.Rules; -1: the policy made the value, and what follows says all
	Policy           int32 // row of Snapshot.Policies, also where Rule is a row
	Effect           Effect
	Guardrail        bool
	Priority         int64
	ID, Name, Reason Span // into Result.Out.Text where Rule is -1
}

// FaultCode is the kind of an evaluation error, the label of its metric.
type FaultCode uint8

// The kinds of evaluation errors.
const (
	NoFault       FaultCode = iota
	FaultBuiltin            // a builtin's error
	FaultConflict           // two values for one complete rule, function or object key
	FaultShape              // an element of an effect set that is no rule
	FaultDeadline           // the call's deadline
	FaultInput              // the input could not be read where a policy looks at it
	FaultInternal           // anything else
	faultCodes
)

var faultNames = [faultCodes]string{"", "builtin", "conflict", "shape", "deadline", "input", "internal"}

// String is the fault's name in metrics and events.
func (f FaultCode) String() string {
	if f < faultCodes {
		return faultNames[f]
	}
	return faultNames[FaultInternal]
}

// Fault is an evaluation error. Msg says the cause, in Result.Out.Text: one line, no more than the policy's author
// needs, and nothing of the input.
type Fault struct {
	Policy int32 // row of Snapshot.Policies, -1 where it is not known
	Code   FaultCode
	Msg    Span
}

// Result is where an evaluation leaves what it found. The caller owns and pools it; an Evaluator resets it first.
type Result struct {
	Matches []Match
	Faults  []Fault
	Out     Doc
	Defined bool
}

// Reset empties the result and keeps its memory up to the bound of Doc.Reset.
func (r *Result) Reset(keep int) {
	r.Matches, r.Faults, r.Defined = r.Matches[:0], r.Faults[:0], false
	r.Out.Reset(keep)
}

// AddFault notes a fault with its cause.
func (r *Result) AddFault(code FaultCode, policy int32, msg string) {
	r.Faults = append(r.Faults, Fault{Policy: policy, Code: code, Msg: r.Out.AddText(msg)})
}

// Budget is the time one call may spend evaluating; a batch shares one. The caller starts and ends it, a sweeper
// expires it, the evaluator asks. One word holds all: 0 at rest, a monotonic deadline in nanoseconds while running, -1
// once expired. Expire compares and swaps against the deadline it saw, so that a sweeper that comes late can never
// stop the next call on the same budget.
type Budget struct{ state atomic.Int64 }

// Start begins a call that must end by deadline, in nanoseconds of any monotonic clock that the sweeper shares; it is
// larger than 0.
func (b *Budget) Start(deadline int64) { b.state.Store(deadline) }

// End puts the budget to rest.
func (b *Budget) End() { b.state.Store(0) }

// Stopped says whether the call has spent its time. It costs one load.
func (b *Budget) Stopped() bool { return b != nil && b.state.Load() < 0 }

// Deadline is the running call's; false at rest and once expired.
func (b *Budget) Deadline() (int64, bool) {
	d := b.state.Load()
	return d, d > 0
}

// Expire stops the call whose deadline was seen, and no other.
func (b *Budget) Expire(seen int64) bool { return b.state.CompareAndSwap(seen, -1) }

// Rule is one row of a snapshot: an effect rule whose head is constant, so that all it says is known at load.
type Rule struct {
	Policy    string // policy id
	ID        string // rule id
	Name      string // empty where the rule has none
	Reason    string // the rule's own reason, empty where it has none
	Sentence  string // the decision's reason where this rule decides: Reason, or the sentence for its effect and name
	Effect    Effect
	Guardrail bool
	Priority  int64
}

// Policy is one enabled policy of a snapshot.
type Policy struct {
	ID      string
	Name    string // the id where the policy has none
	Version string
	Default Effect // None where the policy names none
	Rules   int    // its enabled effect rules
}

// Snapshot is one active set of policies, immutable. Rows of Rules are sorted by (Policy, ID, Name, Reason, Effect,
// Priority), rows of Policies by ID: comparing rows compares names.
type Snapshot struct {
	Revision   string // digest of the content
	Seq        uint32 // number under which the rows of this snapshot are on record; 0 where no record is kept
	Policies   []Policy
	Rules      []Rule
	Default    Effect // strictest default of an enabled policy; None where none names one
	Entrypoint Query  // nil: the combination decides
	EntryPath  string // the entrypoint as configured, for reasons
	Eval       Evaluator
}

// StrictestDefault is the default of a set of policies: the strictest that any of them names, else None.
func StrictestDefault(ps []Policy) Effect {
	d := None
	for i := range ps {
		d = max(d, ps[i].Default)
	}
	return d
}
