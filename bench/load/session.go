package load

// session is one connection's side of a protocol. It belongs to whoever drives the connection, and holds what the
// protocol must remember between calls. One call is under way at a time.
type session interface {
	// open is what a new connection must say first; the session forgets what an earlier one said.
	open() []byte
	// ask gives the bytes of a call, lent until the next ask, and not to be written to.
	ask(c *Call) []byte
	// read takes what has arrived and says how much of it is done with. What it wants to be sent is appended to reply.
	// An error means that the connection cannot be used any more.
	read(in, reply []byte) (n int, a answer, out []byte, err error)
}

// answer is what read found.
type answer struct {
	done    bool // the call under way is answered
	fault   fault
	verdict Verdict
	last    bool // the connection ends after this answer
}

// fault is why a call that was sent has no decision.
type fault uint8

// The faults.
const (
	noFault        fault = iota
	faultTransport       // the connection broke, or spoke no sense
	faultTimeout         // no answer in time
	faultStatus          // an answer that says it is an error
	faultMalformed       // an answer without a decision
	faults
)

var faultNames = [faults]string{"", "transport", "timeout", "status", "malformed"}

// broken is why a connection cannot be used any more.
type broken string

func (b broken) Error() string { return string(b) }

// maxAnswer bounds what is kept of an answer that is not complete yet, in bytes.
const maxAnswer = 16 << 20
