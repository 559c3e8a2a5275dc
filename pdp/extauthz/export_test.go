package extauthz

// Canonical is the canonical path of a raw one, for tests.
func Canonical(raw string) (path string, ambiguous, ok bool) {
	var p pathBuffers
	b, ambiguous, ok := p.canonical([]byte(raw))
	return string(b), ambiguous, ok
}

// IsStatus says whether Envoy knows a status, for tests.
func IsStatus(n int) bool { return isStatus(n) }
