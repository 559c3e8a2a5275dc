// Package token verifies JSON Web Tokens (RFC 7519) against a set of public keys (RFC 7517) in a file or at an https URL.
//
// Invariants: the algorithms are the operator's, never the token's choice; a key verifies only what its type and its own
// `alg` allow; keys that are secret, too short or not for signatures are left out; a token is believed only if its
// signature, issuer, audience and times are right. Nothing of the network happens while somebody waits for a verdict:
// keys are fetched ahead, and once more, soon, when a token names one that is not known.
package token
