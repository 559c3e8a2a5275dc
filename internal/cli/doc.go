// Package cli is the command line: it reads arguments and configuration, wires the rooms together and turns what comes
// of it into output and an exit code. It is the only package that sees all others.
//
// Invariants: what a command was asked for goes to standard output, everything else to standard error, one line a
// message, each beginning with "thymus: "; nothing but the server logs. Exit codes are 0 for done (and permit), 1 for a
// clear no (deny, a failed test), 2 for a call or configuration that was refused; nothing is printed twice and no panic
// or usage text stands in for an error. A command is a file.
package cli
