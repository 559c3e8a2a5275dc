// Package server is the data plane: it takes HTTP/1.1 from TCP and Unix sockets, has pdp/wire read the call, pdp/engine
// decide it, and writes the answer.
//
// Invariants:
//   - Routes match the raw request target, before any normalisation. What begins with /ext_authz/ reaches the Mesh and
//     nothing else, and is never answered with a status of the 500s.
//   - Every error of HTTP is answered in the shape of its surface: RFC 9457, on /v1/data OPA's. None repeats what the
//     caller sent but for the name of the member at fault.
//   - Between two requests nothing is shared but counters in lanes. A request takes no lock, makes no system call but its
//     socket's, allocates nothing of ours and logs nothing.
//   - A connection that is slow, silent or one too many costs others nothing: deadlines are words that one goroutine
//     looks at, and at the limit the connection that was idle longest makes place.
//
// What a decision is, how rules are evaluated and where records go is left to others.
package server
