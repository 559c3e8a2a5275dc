// Command compare measures decision points beside each other: Thymus, OPA, Cedar and Casbin behind small servers of ours,
// and echoes that decide nothing, as floors. It is a module of its own so that the product carries none of the rivals.
//
// Invariants: all are asked the same questions by the same generator (bench/load), in turns, A B C A B C, so that what
// else the machine does falls on all alike; every answer is compared with the oracle's, and who answers wrongly is
// reported as that; what could not be started is reported with its reason, not left out; the report holds only figures of
// the run that wrote it, with what is needed to run it again.
//
// Left to others: the questions and policies (bench/workload), the drawing (bench/plot).
package main
