package wire

import (
	"strings"

	"thymus/pdp"
)

// lenient is how OPA's surface reads: as encoding/json does, but for depth, huge numbers and what stands behind the
// value, which are refused.
var lenient = Mode{Depth: MaxDataDepth, Lenient: true}

// DataError is an error of the Data API's request, in OPA's terms; its status is 400 and its code
// CodeInvalidParameter. See AppendDataError.
type DataError struct {
	Message string
}

// Error is the message.
func (e *DataError) Error() string { return e.Message }

// Data reads the body of POST /v1/data/PATH and fills req with its input: undefined where the body is empty or null, or
// has no `input`, or a null one, as in OPA. Like OPA it takes any content type, one with `yaml` in it as YAML, and a
// member's name in any case.
//
// req.Action is left empty, for the caller to set to the path. subject is the path below the input that names the
// subject ("subject", "id" for input.subject.id); where there is no string, SubjectID is empty.
func (d *Decoder) Data(contentType, body []byte, subject []string, req *pdp.Request) *DataError {
	const place = "body contains malformed input document: "
	if d.YAML != nil && containsYAML(contentType) && len(body) > 0 {
		j, err := d.YAML(body)
		if err != nil {
			return &DataError{place + err.Error()}
		}
		body = j
	}
	if blank(body) {
		d.undefined(req)
		return nil
	}
	if p := d.begin(body, lenient); p != nil {
		return &DataError{place + p.Error()}
	}
	switch root := &d.raw.Nodes[0]; root.Kind {
	case pdp.Object:
	case pdp.Null:
		d.undefined(req)
		return nil
	default:
		return &DataError{place + "expected an object, got " + kindName(root.Kind)}
	}
	input := int32(-1)
	for c := int32(1); c < d.raw.Nodes[0].Next; c = d.raw.Nodes[c].Next {
		if strings.EqualFold(d.raw.Str(d.raw.Nodes[c].Key), "input") {
			input = c
		}
	}
	if input < 0 || d.raw.Nodes[input].Kind == pdp.Null {
		d.undefined(req)
		return nil
	}
	d.input(input, subject, req)
	return nil
}

// DataParam reads the parameter `input` of GET /v1/data/PATH?input=JSON, percent-decoded, and fills req as Data does;
// a null input is null here, as in OPA. Without the parameter, call NoInput.
func (d *Decoder) DataParam(param []byte, subject []string, req *pdp.Request) *DataError {
	if p := d.begin(param, lenient); p != nil {
		return &DataError{"parameter contains malformed input document: " + p.Error()}
	}
	d.input(0, subject, req)
	return nil
}

// NoInput fills req for a Data API call without an input.
func (d *Decoder) NoInput(req *pdp.Request) { d.undefined(req) }

func (d *Decoder) undefined(req *pdp.Request) {
	d.doc.Nodes, d.doc.Text = d.doc.Nodes[:0], nil
	d.opa(req)
}

func (d *Decoder) opa(req *pdp.Request) {
	c := req.Correlation
	*req = pdp.Request{Surface: pdp.SurfaceOPA, Input: &d.doc, Correlation: c}
}

// input makes the subtree at node i of the raw tape the call's input.
func (d *Decoder) input(i int32, subject []string, req *pdp.Request) {
	d.doc.Nodes = graft(d.doc.Nodes[:0], d.raw.Nodes, i, pdp.Span{})
	d.doc.Text = d.raw.Text
	d.opa(req)
	if len(subject) > 0 {
		req.SubjectID, _ = d.doc.StringAt(d.doc.Path(subject...))
	}
	req.SubjectType, _ = d.doc.StringAt(d.doc.Path("subject", "type"))
}

func blank(b []byte) bool {
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return false
		}
	}
	return true
}

func containsYAML(contentType []byte) bool {
	for i := 0; i+4 <= len(contentType); i++ {
		if string(contentType[i:i+4]) == "yaml" {
			return true
		}
	}
	return false
}
