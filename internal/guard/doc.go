// Package guard is what stands before a listener: the bearer token in a file, certificates in files, and the Unix socket
// with the kernel's word on who calls.
//
// Invariants: a secret is compared in constant time and appears in no error; a file that changes is read again without a
// restart, and one that can no longer be read, or holds nothing of use, leaves the last good content standing. A socket
// that answers is never replaced, and nothing but a socket ever is.
//
// Who must present what is for the planes to say.
package guard
