package extauthz

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strconv"
	"strings"

	"thymus/pdp"
	"thymus/pdp/wire"
)

// errBody is a body that says it is what it is not, errCut one that a policy would judge and did not get whole.
var (
	errBody = errors.New("the request's body cannot be read as its content-type says")
	errCut  = errors.New("the proxy shows the request's body cut or not at all, and no policy looks at truncated_body")
)

// body is what parsed_body and truncated_body show, by the rules of opa-envoy-plugin: JSON, forms and multipart forms are
// read; a body of another kind, an empty one and one that the proxy cut are null.
type body struct {
	text      []byte
	kind      bodyKind
	boundary  string
	truncated bool
	lost      bool // it would have been read, had it come whole
}

type bodyKind uint8

const (
	bodyNone bodyKind = iota
	bodyJSON
	bodyForm
	bodyParts
)

// readBody says how the body of a request is read.
func readBody(v *view) (b body, err error) {
	partial, _ := v.header(headerPartial)
	b.truncated = partial == "true"
	ct, times := v.header("content-type")
	if times > 1 {
		return b, errBody
	}
	switch {
	case strings.Contains(ct, "application/json"):
		b.kind = bodyJSON
	case strings.Contains(ct, "application/grpc"):
		return b, nil // only with the service's descriptors, which nobody gave us
	case strings.Contains(ct, "application/x-www-form-urlencoded"):
		b.kind = bodyForm
	case strings.Contains(ct, "multipart/form-data"):
		b.kind = bodyParts
	default:
		return b, nil
	}
	if b.truncated {
		return body{truncated: true, lost: true}, nil
	}
	if b.text = v.bodyText(); len(b.text) == 0 {
		return body{}, nil
	}
	if length, times := v.header("content-length"); times > 0 {
		n, err := strconv.ParseInt(length, 10, 64)
		if err != nil {
			return b, errBody
		}
		if n > int64(len(b.text)) {
			return body{truncated: true, lost: true}, nil
		}
	}
	if b.kind == bodyParts {
		_, params, err := mime.ParseMediaType(ct)
		if err != nil {
			return b, errBody
		}
		if b.boundary = params["boundary"]; b.boundary == "" {
			return body{}, nil
		}
	}
	return b, nil
}

// lay adds parsed_body and truncated_body to the object that is open.
func (b *body) lay(t *tape, scan *wire.Scanner) error {
	d := &t.doc
	switch b.kind {
	case bodyNone:
		d.Add(keyParsedBody, pdp.Null, pdp.Span{})
	case bodyJSON:
		if err := t.json(keyParsedBody, b.text, scan); err != nil {
			return err
		}
	case bodyForm:
		at := d.Open(keyParsedBody, pdp.Object)
		n, ok := t.form(string(b.text))
		if d.End(at, n); !ok {
			return errBody
		}
	case bodyParts:
		if err := b.parts(t, scan); err != nil {
			return err
		}
	}
	truncated := pdp.False
	if b.truncated {
		truncated = pdp.True
	}
	d.Add(keyTruncated, truncated, pdp.Span{})
	return nil
}

// json grafts a JSON text under key.
func (t *tape) json(key pdp.Span, text []byte, scan *wire.Scanner) error {
	// The scanner replaces nodes and appends to the text: it gets the text, and nodes of its own.
	part := pdp.Doc{Text: t.doc.Text, Nodes: t.scanned[:0]}
	p := scan.Scan(text, wire.Mode{Depth: wire.MaxDataDepth}, &part)
	t.doc.Text, t.scanned = part.Text, part.Nodes
	if p != nil {
		return errBody
	}
	t.graft(key, part.Nodes)
	return nil
}

// graft lays nodes whose text is the tape's under key.
func (t *tape) graft(key pdp.Span, nodes []pdp.Node) {
	at := int32(len(t.doc.Nodes))
	t.doc.Nodes = append(t.doc.Nodes, nodes...)
	for i := at; i < int32(len(t.doc.Nodes)); i++ {
		t.doc.Nodes[i].Next += at
	}
	t.doc.Nodes[at].Key = key
}

// maxParts bounds the parts of a form.
const maxParts = 10000

// headerEnd marks a part of ours behind the form: nobody sees it if the form has its closing boundary. mime/multipart takes
// one that ends within a part's header for whole.
const headerEnd = "X-Thymus-End"

// behind is a part of ours and the closing boundary. Its lines end as those of the form do, which its first one says.
func (b *body) behind() string {
	nl, dash := "\r\n", "--"+b.boundary
	if _, rest, ok := bytes.Cut(b.text, []byte(dash)); ok && bytes.HasPrefix(bytes.TrimLeft(rest, " \t"), []byte{'\n'}) {
		nl = "\n"
	}
	return nl + dash + nl + headerEnd + ": 1" + nl + nl + nl + dash + "--" + nl
}

// parts lays a multipart form: an array of values a name, JSON parts as what they hold.
func (b *body) parts(t *tape, scan *wire.Scanner) error {
	type part struct {
		text []byte
		json bool
	}
	var names []string
	values := map[string][]part{}
	r := multipart.NewReader(io.MultiReader(bytes.NewReader(b.text), strings.NewReader(b.behind())), b.boundary)
	for n := 0; ; n++ {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || n == maxParts || p.Header.Get(headerEnd) != "" {
			return errBody
		}
		name := p.FormName()
		if name == "" {
			continue
		}
		text, err := io.ReadAll(p)
		if err != nil || !validText(name) {
			return errBody
		}
		if values[name] == nil {
			names = append(names, name)
		}
		values[name] = append(values[name], part{text, strings.Contains(p.Header.Get("Content-Type"), "application/json")})
	}
	d := &t.doc
	at := d.Open(keyParsedBody, pdp.Object)
	for _, name := range names {
		list := d.Open(d.AddText(name), pdp.Array)
		for _, p := range values[name] {
			if p.json {
				if err := t.json(pdp.Span{}, p.text, scan); err != nil {
					return err
				}
				continue
			}
			d.Add(pdp.Span{}, pdp.String, d.AddText(strings.ToValidUTF8(string(p.text), "\ufffd")))
		}
		d.End(list, len(values[name]))
	}
	d.End(at, len(names))
	return nil
}
