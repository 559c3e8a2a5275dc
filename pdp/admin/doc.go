// Package admin is the management plane and the diagnostics listener: what operators and their tools ask. It speaks
// HTTP/1.1 by net/http, because nothing here is on the path of a decision.
//
// Invariants: everything but health and metrics asks for the token, which is compared in constant time; who guesses is
// slowed down, who knows it never is. Routes match the raw target. Every error that a handler gives is RFC 9457.
//
// Routes are added by file: each has a method that mounts what it answers, called from Server.mount.
package admin
