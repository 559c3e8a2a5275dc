// Package extauthz answers proxies: Envoy over gRPC (envoy.service.auth.v3.Authorization), and over HTTP Envoy, nginx
// (auth_request), Caddy (forward_auth) and Traefik (ForwardAuth).
//
// Every surface ends in the same bytes: a CheckRequest in protobuf's wire format. What comes over HTTP is written as the
// CheckRequest that Envoy would have sent for the original request, so that one decoder, one canonical input and one
// policy serve all of them. The decoder walks the message once, by tables (schema.go), and lays spans of it on a tape:
// strings are copied once, with the message.
//
// Invariants:
//   - It fails closed. A permit is said only for a decision that permits, or in a dry run; everything else is a denial
//     in the proxy's own words: a denied CheckResponse with the gRPC status OK, or 403. Never a gRPC error, never a 5xx,
//     because proxies may be told to let those pass.
//   - Only documented headers are believed, each at most once. peer is written here, from the connection.
//   - A body is parsed only where a policy looks at it.
//   - What a call borrows (tape, decision, buffers) is given back when its answer has been copied out.
//
// Sockets of the HTTP surfaces, their limits and tokens are pdp/server's; how a token is verified is package token's.
package extauthz
