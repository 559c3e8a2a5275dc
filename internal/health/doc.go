// Package health says whether the process lives and whether it is ready, and why not: one account that every listener
// answers from.
//
// What is checked is given by who wires the process; the answers are JSON and say nothing that a caller without a token
// may not know.
package health
