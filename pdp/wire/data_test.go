package wire_test

import (
	"errors"
	"strings"
	"testing"

	"thymus/pdp"
	"thymus/pdp/wire"
)

var subjectID = []string{"subject", "id"}

func TestDataReadsInputAsOPADoes(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"an object":                         {`{"input":{"a":[1,{"b":2}]}}`, `{"a":[1,{"b":2}]}`},
		"a scalar":                          {`{"x":[1,2],"input":"s","y":{}}`, `"s"`},
		"false":                             {`{"input":false}`, `false`},
		"a number kept exactly":             {`{"input":12345678901234567890}`, `12345678901234567890`},
		"no input":                          {`{"x":1}`, ``},
		"a null input":                      {`{"input":null}`, ``},
		"null":                              {`null`, ``},
		"an empty body":                     {``, ``},
		"white space":                       {" \n", ``},
		"the last of two inputs":            {`{"input":{"a":1},"input":{"b":2}}`, `{"b":2}`},
		"a null that comes last":            {`{"input":1,"input":null}`, ``},
		"a name in another case":            {`{"Input":1}`, `1`},
		"the last of names in either case":  {`{"input":1,"INPUT":2}`, `2`},
		"the last of duplicates inside":     {`{"input":{"a":1,"b":2,"a":3}}`, `{"b":2,"a":3}`},
		"what is no Unicode":                {"{\"input\":\"a\xff\\ud800\"}", "\"a\ufffd\ufffd\""},
		"deeper than the other surfaces":    {`{"input":` + nest(900) + `}`, nest(900)},
		"a name that only begins like this": {`{"inputs":1,"in":2}`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			req := pdp.Request{Correlation: "kept", Action: "stale", HasRole: true}
			if e := wire.NewDecoder().Data(nil, []byte(c.body), subjectID, &req); e != nil {
				t.Fatal(e)
			}
			checkTape(t, req.Input)
			got := ""
			if len(req.Input.Nodes) > 0 {
				got = string(req.Input.AppendJSON(nil, 0))
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if req.Surface != pdp.SurfaceOPA || req.Action != "" || req.HasRole || req.Correlation != "kept" {
				t.Errorf("got %+v", req)
			}
		})
	}
}

func TestDataRefusalsAreOPAs(t *testing.T) {
	const malformed = "body contains malformed input document: "
	for name, c := range map[string]struct{ body, want string }{
		"a syntax error":         {`{"input":`, malformed + "offset 9"},
		"an array":               {`[]`, malformed + "expected an object, got an array"},
		"a string":               {`"input"`, malformed + "expected an object"},
		"content behind":         {`{} {}`, malformed + "offset 3"},
		"without bound in depth": {`{"input":` + nest(1000) + `}`, "deeper than 1000"},
		"an exploding number":    {`{"input":1e999999999}`, "exponent"},
	} {
		t.Run(name, func(t *testing.T) {
			var req pdp.Request
			e := wire.NewDecoder().Data([]byte("text/plain"), []byte(c.body), nil, &req)
			if e == nil || !strings.Contains(e.Message, c.want) {
				t.Errorf("got %v", e)
			}
		})
	}
}

func TestDataParamKeepsNull(t *testing.T) {
	d := wire.NewDecoder()
	var req pdp.Request
	if e := d.DataParam([]byte(`null`), subjectID, &req); e != nil || string(req.Input.AppendJSON(nil, 0)) != `null` {
		t.Errorf("got %v, %+v", e, req)
	}
	if e := d.DataParam([]byte(`{"subject":{"id":"a","type":"u"}}`), subjectID, &req); e != nil || req.SubjectID != "a" ||
		req.SubjectType != "u" {
		t.Errorf("got %v, %+v", e, req)
	}
	if e := d.DataParam([]byte(``), subjectID, &req); e == nil ||
		!strings.HasPrefix(e.Message, "parameter contains malformed input document: ") {
		t.Errorf("got %v", e)
	}
	d.NoInput(&req)
	if len(req.Input.Nodes) != 0 || req.SubjectID != "" {
		t.Errorf("got %+v", req)
	}
}

func TestDataFindsTheSubjectWhereTheOperatorSays(t *testing.T) {
	body := []byte(`{"input":{"user":{"name":"bob"},"subject":{"type":7,"id":"alice"},"n":1}}`)
	for _, c := range []struct {
		path []string
		want string
	}{{subjectID, "alice"}, {[]string{"user", "name"}, "bob"}, {[]string{"n"}, ""}, {[]string{"x", "y"}, ""}, {nil, ""}} {
		var req pdp.Request
		if e := wire.NewDecoder().Data(nil, body, c.path, &req); e != nil || req.SubjectID != c.want || req.SubjectType != "" {
			t.Errorf("%v: got %v, %q, %q", c.path, e, req.SubjectID, req.SubjectType)
		}
	}
}

func TestDataHandsYAMLToItsHook(t *testing.T) {
	d := wire.NewDecoder()
	d.YAML = func(b []byte) ([]byte, error) {
		if string(b) != "input: 1" {
			return nil, errors.New("line 1: no")
		}
		return []byte(`{"input":1}`), nil
	}
	var req pdp.Request
	if e := d.Data([]byte("application/x-yaml"), []byte("input: 1"), nil, &req); e != nil || len(req.Input.Nodes) != 1 {
		t.Errorf("got %v, %+v", e, req.Input)
	}
	if e := d.Data([]byte("text/yaml"), []byte("{"), nil, &req); e == nil || !strings.Contains(e.Message, "line 1: no") {
		t.Errorf("got %v", e)
	}
	if e := d.Data([]byte("application/json"), []byte("input: 1"), nil, &req); e == nil {
		t.Error("YAML was taken as JSON")
	}
}
