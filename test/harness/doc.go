// Package harness runs the program for tests that want it as it is: built once for a test binary, started with a
// configuration of the test's own, ready when it says so, its log kept and shown where a test fails, and gone when the test
// ends, however that ends.
//
// Invariants: no process outlives its test; nothing waits for ever; nothing here knows what a test asks of the program.
// What is particular to one folder of tests (its state, its keys, its questions) stays there.
//
// Beside the program stands what several rooms' tests need around it: other programs that listen (Listen), a Redis that
// can be killed, certificates, a free port, a wait for a condition, a second attempt for a test of times that ran while
// the machine stood still (Steady), a clock that stands still with it (Moving), a measure of work (CPUTime), and one
// answer to a real component that is absent.
package harness
