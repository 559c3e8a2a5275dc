// Package policy keeps the policies of the management API: every change is a revision with its time, actor and digest,
// and what is stored is what decides.
//
// Invariants: a change is compiled together with the whole set (files and built-ins included), then stored together
// with its event, then made active, in this order and under the lock that reloads of files take too. So the active set
// is always the stored one, whatever is killed when; a change that does not compile leaves no trace; and an event exists
// if and only if its change is stored. Changes that wait for the lock share one compilation and one transaction.
// Policies that lie in files are seen here and cannot be changed.
//
// How policies are compiled and made active is left to a Compiler, who may change what to the management plane, and the
// disk to a pdp.Store.
package policy
