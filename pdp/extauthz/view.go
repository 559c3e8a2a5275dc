package extauthz

import (
	"encoding/base64"

	"thymus/pdp"
)

// view is what the rest of the package looks at in a CheckRequest that lies on a tape.
type view struct {
	doc     *pdp.Doc
	http    int32 // attributes.request.http; -1 where there is none
	headers int32 // its headers, -1 where there are none
	raw     int32 // headerMap.headers, where the proxy shows headers as they came (encode_raw_headers)

	method, path, host, scheme pdp.Span
	principal                  pdp.Span // of the source
	address                    pdp.Span // of the source; empty where it has no IP address
	body                       pdp.Span
	bodyEncoded                bool // the body is in base64
}

// str is the text of a span. It stays good when the tape's text grows.
func (v *view) str(s pdp.Span) string { return v.doc.Str(s) }

// look finds them. It walks each object once.
func look(d *pdp.Doc) view {
	v := view{doc: d, http: -1, headers: -1, raw: -1}
	attributes := d.Path("attributes")
	if source := d.Member(attributes, "source"); source >= 0 {
		v.principal = text(d, d.Member(source, "principal"))
		v.address = text(d, d.Member(d.Member(d.Member(source, "address"), "socketAddress"), "address"))
	}
	v.http = d.Member(d.Member(attributes, "request"), "http")
	if v.http < 0 {
		return v
	}
	for c := v.http + 1; c < d.Nodes[v.http].Next; c = d.Nodes[c].Next {
		n := &d.Nodes[c]
		switch d.Str(n.Key) {
		case "method":
			v.method = n.Val
		case "path":
			v.path = n.Val
		case "host":
			v.host = n.Val
		case "scheme":
			v.scheme = n.Val
		case "body":
			v.body = n.Val
		case "rawBody":
			if v.body.Len == 0 {
				v.body, v.bodyEncoded = n.Val, true
			}
		case "headers":
			v.headers = c
		case "headerMap":
			v.raw = d.Member(c, "headers")
		}
	}
	return v
}

// text is the span of the String at index i; empty where there is none.
func text(d *pdp.Doc, i int32) pdp.Span {
	if i < 0 || d.Nodes[i].Kind != pdp.String {
		return pdp.Span{}
	}
	return d.Nodes[i].Val
}

// header is the value of the header with a name in lower case, and how often it comes. With encode_raw_headers the
// proxy shows each time; otherwise it has joined them, and times is 1 at most.
func (v *view) header(name string) (value string, times int) {
	d := v.doc
	if v.headers >= 0 && v.raw < 0 {
		end := d.Nodes[v.headers].Next
		for c := v.headers + 1; c < end; c++ { // strings only: each is one node
			if k := d.Nodes[c].Key; int(k.Len) == len(name) && lowered(d.Str(k), name) {
				value, times = d.Str(d.Nodes[c].Val), times+1
			}
		}
	}
	if v.raw >= 0 {
		end := d.Nodes[v.raw].Next
		for c := v.raw + 1; c < end; c = d.Nodes[c].Next {
			if k, _ := d.StringAt(d.Member(c, "key")); len(k) == len(name) && lowered(k, name) {
				value, times = rawValue(d, c), times+1
			}
		}
	}
	return value, times
}

// rawValue is what a HeaderValue holds.
func rawValue(d *pdp.Doc, i int32) string {
	if s, ok := d.StringAt(d.Member(i, "value")); ok {
		return s
	}
	s, _ := d.StringAt(d.Member(i, "rawValue"))
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "" // our own encoding
	}
	return string(b)
}

// bodyText is the body as bytes.
func (v *view) bodyText() []byte {
	b := v.doc.Text[v.body.Off : v.body.Off+v.body.Len]
	if !v.bodyEncoded {
		return b
	}
	out, err := base64.StdEncoding.AppendDecode(nil, b)
	if err != nil {
		return nil // our own encoding
	}
	return out
}
