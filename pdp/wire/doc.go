// Package wire turns bytes into the vocabulary of pdp and back: the native call, AuthZEN's Authorization API 1.0, OPA's
// Data API and RFC 9457 problems. It knows JSON and the shapes; HTTP, routes and sockets are pdp/server's.
//
// A body is copied once, behind a fixed prefix that holds every key and constant of the canonical input, and read by one
// strict scanner (Scanner) into a flat tape; strings are unescaped in place, so that the tape's text is never copied
// again. What the call's shape demands is then checked on that tape, and the canonical input of CONTRACT 1 is laid out
// from its nodes. The same question asked natively and in AuthZEN's terms gives the same document.
//
// Invariants:
//   - peer is written here and never by a caller: no member of a body reaches it.
//   - What a Decoder hands out (the Request's strings and Input, a *Problem) is lent until the Decoder's next call.
//   - After warm-up, decoding what is well formed and encoding a decision allocate nothing.
//   - Every refusal names what was expected and, where a member is at fault, its dotted path.
//
// The scanner reads RFC 8259 exactly: a byte order mark, trailing content, invalid UTF-8, escaped lone surrogates and
// equal keys in one object are refused, and depth is bounded. Numbers keep their text; one longer than MaxNumber bytes
// or with an exponent beyond ±MaxExponent is refused, because arithmetic on it could burn any amount of time and memory
// later, in a policy. The Data API reads as OPA does, with encoding/json: of equal keys the last counts, and what is no
// Unicode becomes U+FFFD.
//
// An input whose caller names no resource has "resource":{"type":"","properties":{}}: `input.resource.id` is undefined
// then, and `input.resource.properties` is the empty object, as everywhere.
package wire
