package extauthz

// Canonical is the canonical path of a raw one, for tests.
func Canonical(raw string) (path string, ambiguous, ok bool) {
	var p pathBuffers
	b, ambiguous, ok := p.canonical([]byte(raw))
	return string(b), ambiguous, ok
}

// IsStatus says whether Envoy knows a status, for tests.
func IsStatus(n int) bool { return isStatus(n) }

// Fields are the names of a message's fields by number, for tests.
func Fields(name string) map[uint32]string {
	var find func(m *message) *message
	find = func(m *message) *message {
		if m == nil || m.name == name {
			return m
		}
		for i := range m.fields {
			if f := find(m.fields[i].msg); f != nil {
				return f
			}
		}
		return nil
	}
	out := map[uint32]string{}
	if m := find(checkRequest); m != nil {
		for _, f := range m.fields {
			out[f.num] = f.name
		}
	}
	return out
}
