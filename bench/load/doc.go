// Package load asks a policy decision point questions at a pace of its own and tells how it was answered. It knows five
// dialects (Thymus' native call, AuthZEN, OPA's Data API, ext_authz over HTTP and over gRPC), TCP, TLS and Unix sockets,
// and no decision point by name.
//
// Open loop: arrivals follow a schedule that the server cannot slow down, and a latency counts from the moment at which
// the call should have begun. A server that stalls therefore shows in every call that should have begun meanwhile, also
// in those that no connection was free for. Closed loop: each connection asks again as soon as it was answered; that
// measures throughput, and says little about latency, because a stalled server is not asked.
//
// Invariants: every answer is read and its decision compared with the expected one. After a run
//
//	asked = sent + unsent
//	sent  = ok + wrong + errors
//
// and what was never answered counts in the latencies with the time it had waited by then, never as if it had not been
// asked. Asking allocates nothing. What the generator itself was late is reported beside, so that its own slowness is not
// taken for the server's.
//
// Left to others: what to ask and what is right (bench/workload), rivals and reports about them (bench/compare).
package load
