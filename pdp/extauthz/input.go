package extauthz

import (
	"strconv"

	"thymus/pdp"
	"thymus/pdp/wire"
)

// The spans of fixed that inputs are laid out with, computed once and never written again.
var (
	keySubject     = word("subject")
	keyType        = word("type")
	keyID          = word("id")
	keyProperties  = word("properties")
	keyRole        = word("role")
	keyAction      = word("action")
	keyName        = word("name")
	keyResource    = word("resource")
	keyContext     = word("context")
	keyHost        = word("host")
	keyScheme      = word("scheme")
	keyRawPath     = word("raw_path")
	keyCanonical   = word("canonical_path")
	keyPathDiffers = word("path_differs")
	keyPeer        = word("peer")
	keySurface     = word("surface")
	keyTransport   = word("transport")
	keyPrincipal   = word("principal")
	keyCred        = [...]pdp.Span{word("uid"), word("gid"), word("pid")}
	keyParsedPath  = word("parsed_path")
	keyParsedQuery = word("parsed_query")
	keyParsedBody  = word("parsed_body")
	keyTruncated   = word("truncated_body")
	keySource      = word("source_principal")
	keyVersion     = word("version")
	keyExtAuthz    = word("ext_authz")
	keyEncoding    = word("encoding")
	textV3         = word("v3")
	textProtojson  = word("protojson")
	textHTTP       = word("http")
	textGRPC       = word("grpc")
	textTCP        = word("tcp")
	textUnix       = word("unix")
)

// inputMembers is how many members the canonical input begins with; those of opa-envoy-plugin come on top.
const inputMembers = 5

// who is the subject of a call.
type who struct {
	kind, id pdp.Span
	role     pdp.Span
	hasRole  bool
	claims   bool // a token speaks: tape.claims are its claims
}

// input is what a canonical input is laid out from.
type input struct {
	who
	raw       pdp.Span // path as it came, without the query
	canonical []byte
	differs   bool // the two are not the same
	surface   pdp.Surface
	peer      *pdp.Peer

	clean pdp.Span // out: the canonical path
}

// canonicalInput adds to the object at index 0, which holds attributes, the members of CONTRACT 1.
func (t *tape) canonicalInput(v *view, in *input) {
	d := &t.doc
	in.clean = in.raw
	if in.differs {
		off := len(d.Text)
		d.Text = append(d.Text, in.canonical...)
		in.clean = span(off, len(d.Text))
	}
	at := d.Open(keySubject, pdp.Object)
	d.Add(keyType, pdp.String, in.kind)
	d.Add(keyID, pdp.String, in.id)
	t.properties(in)
	d.End(at, 3)

	at = d.Open(keyAction, pdp.Object)
	d.Add(keyName, pdp.String, v.method)
	d.End(d.Open(keyProperties, pdp.Object), 0)
	d.End(at, 2)

	at = d.Open(keyResource, pdp.Object)
	d.Add(keyType, pdp.String, textHTTP)
	d.Add(keyID, pdp.String, in.clean)
	d.End(d.Open(keyProperties, pdp.Object), 0)
	d.End(at, 3)

	at = d.Open(keyContext, pdp.Object)
	d.Add(keyHost, pdp.String, v.host)
	d.Add(keyScheme, pdp.String, v.scheme)
	d.Add(keyRawPath, pdp.String, in.raw)
	d.Add(keyCanonical, pdp.String, in.clean)
	kind := pdp.False
	if in.differs {
		kind = pdp.True
	}
	d.Add(keyPathDiffers, kind, pdp.Span{})
	d.End(at, 5)

	t.peer(in.surface, in.peer)
}

// properties lays the subject's: the token's claims, and the role.
func (t *tape) properties(s *input) {
	d := &t.doc
	at := int32(len(d.Nodes))
	if s.claims {
		t.graft(keyProperties, t.claims)
	} else {
		d.End(d.Open(keyProperties, pdp.Object), 0)
	}
	if !s.hasRole {
		return
	}
	if i := d.Member(at, "role"); i >= 0 { // it gives way to the one that the operator named
		t.drop(i)
		d.Nodes[at].Val.Len--
	}
	d.Add(keyRole, pdp.String, s.role)
	d.End(at, int(d.Nodes[at].Val.Len)+1)
}

// scanClaims reads claims, a JSON object, which properties then lays. The document that it returns shares their nodes and
// the tape's text as it is now.
func (t *tape) scanClaims(claims []byte, scan *wire.Scanner) (d pdp.Doc, err error) {
	d = pdp.Doc{Text: t.doc.Text, Nodes: t.claims[:0]}
	p := scan.Scan(claims, wire.Mode{Depth: pdp.MaxDepth}, &d)
	t.doc.Text, t.claims = d.Text, d.Nodes
	if p != nil || d.Nodes[0].Kind != pdp.Object {
		return d, errBody
	}
	return d, nil
}

// drop takes a member and all below it off the tape. Whoever is open above it is closed later.
func (t *tape) drop(i int32) {
	ns := t.doc.Nodes
	n := ns[i].Next - i
	ns = append(ns[:i], ns[i+n:]...)
	for j := i; j < int32(len(ns)); j++ {
		ns[j].Next -= n
	}
	t.doc.Nodes = ns
}

// peer lays what Thymus itself knows of the connection.
func (t *tape) peer(surface pdp.Surface, p *pdp.Peer) {
	d := &t.doc
	at, n := d.Open(keyPeer, pdp.Object), 2
	name, transport := textHTTP, textTCP
	if surface == pdp.SurfaceGRPC {
		name = textGRPC
	}
	if p.Unix {
		transport = textUnix
	}
	d.Add(keySurface, pdp.String, name)
	d.Add(keyTransport, pdp.String, transport)
	if p.HasCred {
		for i, v := range [...]int64{int64(p.UID), int64(p.GID), int64(p.PID)} {
			off := len(d.Text)
			d.Text = strconv.AppendInt(d.Text, v, 10)
			d.Add(keyCred[i], pdp.Number, span(off, len(d.Text)))
			n++
		}
	}
	if p.Principal != "" {
		off := len(d.Text)
		d.Text = appendUTF8(d.Text, p.Principal)
		d.Add(keyPrincipal, pdp.String, span(off, len(d.Text)))
		n++
	}
	d.End(at, n)
}

// envoyInput adds what opa-envoy-plugin shows beside the attributes, the body aside. It fails where path or query cannot
// be read.
func (t *tape) envoyInput(v *view, path, query pdp.Span) (n int, cause string) {
	d := &t.doc
	if !t.parsedPath(keyParsedPath, d.Str(path)) {
		return 0, "the path cannot be read"
	}
	if !t.parsedQuery(keyParsedQuery, d.Str(query)) {
		return 0, "the query cannot be read"
	}
	n = 3
	if v.principal.Len > 0 {
		d.Add(keySource, pdp.String, v.principal)
		n++
	}
	at := d.Open(keyVersion, pdp.Object)
	d.Add(keyExtAuthz, pdp.String, textV3)
	d.Add(keyEncoding, pdp.String, textProtojson)
	d.End(at, 2)
	return n, ""
}
