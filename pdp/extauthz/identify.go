package extauthz

import (
	"strings"

	"thymus/pdp"
)

// identify finds the subject: the first source that yields one. The cause says why the call can only be denied. A call
// of which no source knows anything has a subject without type and id.
func (t *turn) identify(v *view) (s who, cause string) {
	for i := range t.m.sources {
		src := &t.m.sources[i]
		var found bool
		switch src.kind {
		case FromJWT:
			found, cause = t.byToken(v, &s)
		case FromPrincipal:
			found = v.principal.Len > 0
			s.kind, s.id = wordPrincipal, v.principal
		case FromAddress:
			found = v.address.Len > 0
			s.kind, s.id = wordAddress, v.address
		default:
			found, cause = t.byHeader(v, src.header, &s)
		}
		if cause != "" {
			return who{}, cause
		}
		if found {
			break
		}
		s = who{}
	}
	return s, t.role(v, &s)
}

// The spans that name sources.
var (
	wordJWT       = word("jwt")
	wordPrincipal = word("principal")
	wordAddress   = word("address")
	wordHeader    = word("header")
)

func (t *turn) byHeader(v *view, name string, s *who) (found bool, cause string) {
	value, times := v.header(name)
	switch {
	case times > 1:
		return false, "the header that names the subject comes more than once"
	case value == "":
		return false, ""
	case !validText(value):
		return false, "the header that names the subject is no UTF-8"
	}
	s.kind, s.id = wordHeader, t.tape.doc.AddText(value)
	return true, ""
}

// byToken verifies the token, if there is one.
func (t *turn) byToken(v *view, s *who) (found bool, cause string) {
	if t.told.secret && t.m.o.JWTHeader == "authorization" {
		return false, "the header that holds the token holds the data plane's: expected extauthz.jwt.header to name another"
	}
	value, times := v.header(t.m.o.JWTHeader)
	if times > 1 {
		return false, "the header that holds the token comes more than once"
	}
	token, ok := bearer(value)
	if !ok {
		return false, ""
	}
	claims, err := t.m.o.Tokens.Verify(token)
	if err != nil {
		return false, "invalid token: " + err.Error()
	}
	d, err := t.tape.scanClaims(claims, t.scan)
	if err != nil {
		return false, "invalid token: its claims are no JSON object"
	}
	id := text(&d, d.Path("sub"))
	if id.Len == 0 {
		return false, "invalid token: it has no sub"
	}
	s.kind, s.id, s.claims = wordJWT, id, true
	if i := d.Path(t.m.claim...); i >= 0 && d.Nodes[i].Kind == pdp.String {
		s.role, s.hasRole = d.Nodes[i].Val, true
	}
	return true, ""
}

// bearer is the token in a header's value: behind the scheme, or all of it. Another scheme holds no token.
func bearer(v string) (token string, ok bool) {
	v = strings.TrimSpace(v)
	scheme, rest, parted := strings.Cut(v, " ")
	switch {
	case v == "":
		return "", false
	case !parted:
		return v, true
	case lowered(scheme, "bearer"):
		return strings.TrimSpace(rest), true
	}
	return "", false
}

// role takes the role from the operator's header, where there is one.
func (t *turn) role(v *view, s *who) (cause string) {
	if t.m.o.RoleHeader == "" {
		return ""
	}
	value, times := v.header(t.m.o.RoleHeader)
	switch {
	case times > 1:
		return "the header that names the role comes more than once"
	case value == "":
		return ""
	case !validText(value):
		return "the header that names the role is no UTF-8"
	}
	s.role, s.hasRole = t.tape.doc.AddText(value), true
	return ""
}
