package wire_test

import (
	"strings"
	"testing"

	"thymus/pdp"
	"thymus/pdp/wire"
)

const (
	alice  = `"subject":{"type":"user","id":"alice"}`
	read   = `"action":{"name":"read"}`
	record = `"resource":{"type":"record","id":"r1"}`
)

func TestEvaluationAndNativeCallAreOneDocument(t *testing.T) {
	native := `{"agent_id":"a","agent_role":"r","action":"x","params":{"p":1.0},"environment":{"e":[]}}`
	authzen := `{"context":{"e":[]},"action":{"properties":{"p":1.0},"name":"x"},"subject":{"id":"a","type":"agent",` +
		`"properties":{"role":"r"}},"resource":{"type":"t","id":"i","properties":{"o":"w"}}}`
	var a, b pdp.Request
	d := wire.NewDecoder()
	if p := wire.NewDecoder().Native([]byte(native), pdp.SurfaceNative, nil, &a); p != nil {
		t.Fatal(p)
	}
	if p := d.Evaluation([]byte(authzen), nil, &b); p != nil {
		t.Fatal(p)
	}
	checkTape(t, b.Input)
	checkRequest(t, &b)
	want := strings.ReplaceAll(string(a.Input.AppendJSON(nil, 0)), `"native"`, `"authzen"`)
	want = strings.ReplaceAll(want, `"resource":{"type":"","properties":{}}`,
		`"resource":{"type":"t","id":"i","properties":{"o":"w"}}`)
	if got := string(b.Input.AppendJSON(nil, 0)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEvaluationRefusalsNameTheField(t *testing.T) {
	for name, c := range map[string]struct{ body, field, detail string }{
		"no subject":               {`{` + read + `,` + record + `}`, "subject", "missing"},
		"no action":                {`{` + alice + `,` + record + `}`, "action", "missing"},
		"no resource":              {`{` + alice + `,` + read + `}`, "resource", "missing"},
		"a subject without type":   {`{"subject":{"id":"a"},` + read + `,` + record + `}`, "subject.type", "missing"},
		"a subject without id":     {`{"subject":{"type":"a"},` + read + `,` + record + `}`, "subject.id", "missing"},
		"an empty id":              {`{"subject":{"type":"a","id":""},` + read + `,` + record + `}`, "subject.id", "not empty"},
		"an action without name":   {`{` + alice + `,"action":{},` + record + `}`, "action.name", "missing"},
		"a resource without type":  {`{` + alice + `,` + read + `,"resource":{"id":"1"}}`, "resource.type", "missing"},
		"a resource without id":    {`{` + alice + `,` + read + `,"resource":{"type":"1"}}`, "resource.id", "missing"},
		"a string for the subject": {`{"subject":"a",` + read + `,` + record + `}`, "subject", "expected an object, got a string"},
		"a number for the name":    {`{` + alice + `,"action":{"name":123},` + record + `}`, "action.name", "got a number"},
		"null for the context":     {`{` + alice + `,` + read + `,` + record + `,"context":null}`, "context", "got null"},
		"null for properties": {`{"subject":{"type":"a","id":"b","properties":null},` + read + `,` + record + `}`,
			"subject.properties", "got null"},
		"an array for action properties": {`{` + alice + `,"action":{"name":"x","properties":[]},` + record + `}`,
			"action.properties", "got an array"},
		"a number for resource properties": {`{` + alice + `,` + read + `,"resource":{"type":"a","id":"b","properties":1}}`,
			"resource.properties", "got a number"},
		"a long type": {`{"subject":{"type":"` + long(257) + `","id":"b"},` + read + `,` + record + `}`, "subject.type", "256"},
		"a long role": {`{"subject":{"type":"a","id":"b","properties":{"role":"` + long(257) + `"}},` + read + `,` + record + `}`,
			"subject.properties.role", "256"},
		"a long resource": {`{` + alice + `,` + read + `,"resource":{"type":"a","id":"` + long(4097) + `"}}`, "resource.id", "4096"},
		"a duplicate":     {`{` + alice + `,` + read + `,` + record + `,` + read + `}`, "action", "two members"},
	} {
		t.Run(name, func(t *testing.T) {
			var req pdp.Request
			for call, decode := range map[string]func(d *wire.Decoder) *wire.Problem{
				"evaluation":  func(d *wire.Decoder) *wire.Problem { return d.Evaluation([]byte(c.body), nil, &req) },
				"evaluations": func(d *wire.Decoder) *wire.Problem { _, p := d.Evaluations([]byte(c.body), nil, &req); return p },
			} {
				p := decode(wire.NewDecoder())
				if p == nil {
					t.Fatalf("%s: accepted", call)
				}
				if p.Field != c.field || !strings.Contains(p.Detail, c.detail) || p.Status != 400 {
					t.Errorf("%s: got %d, field %q, %q", call, p.Status, p.Field, p.Detail)
				}
			}
		})
	}
}

func TestEvaluationTakesARoleOfAnotherTypeAndUnknownMembers(t *testing.T) {
	body := `{"subject":{"type":"user","id":"alice","x":1,"properties":{"role":["admin"]}},` + read + `,` + record +
		`,"foo":"bar","peer":{"uid":0}}`
	var req pdp.Request
	if p := wire.NewDecoder().Evaluation([]byte(body), nil, &req); p != nil {
		t.Fatal(p)
	}
	if req.HasRole || req.Role != "" {
		t.Errorf("got role %q", req.Role)
	}
	want := `{"subject":{"type":"user","id":"alice","properties":{"role":["admin"]}},"action":{"name":"read","properties":{}},` +
		`"resource":{"type":"record","id":"r1","properties":{}},"context":{},"peer":{"surface":"authzen","transport":"tcp"}}`
	if got := string(req.Input.AppendJSON(nil, 0)); got != want {
		t.Errorf("got %s", got)
	}
}

// The cases of the working group's certification scenario, sections 3.2 and 3.4, and what the specification leaves.
func TestEvaluationsMergeDefaultsIntoItems(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"items that bring a resource": {
			`{` + alice + `,` + read + `,"evaluations":[{` + record + `},{"resource":{"type":"record","id":"r2"}}]}`,
			[]string{"alice read r1 {} {}", "alice read r2 {} {}"},
		},
		"items that bring all": {
			`{"evaluations":[{` + alice + `,` + read + `,` + record + `},{"subject":{"type":"user","id":"bob"},` +
				`"action":{"name":"write"},` + record + `}]}`,
			[]string{"alice read r1 {} {}", "bob write r1 {} {}"},
		},
		"a context that one item replaces as a whole": {
			`{` + alice + `,` + read + `,"context":{"a":1,"b":2},"evaluations":[{` + record + `},{` + record + `,"context":{"c":3}}]}`,
			[]string{`alice read r1 {} {"a":1,"b":2}`, `alice read r1 {} {"c":3}`},
		},
		"a resource that replaces the default's properties": {
			`{` + alice + `,` + read + `,"resource":{"type":"record","id":"r1","properties":{"a":1}},` +
				`"evaluations":[{},{"resource":{"id":"r2"}},{"resource":{"type":"t","id":"r3","properties":{"b":2}}}]}`,
			[]string{`alice read r1 {"a":1} {}`, `alice read r2 {} {}`, `alice read r3 {"b":2} {}`},
		},
		"a required member that the default has": {
			`{` + alice + `,` + read + `,"resource":{"type":"record"},"evaluations":[{"resource":{"id":"r1"}},{}]}`,
			[]string{`alice read r1 {} {}`, `evaluations.1.resource.id: a required member is missing`},
		},
		"an id and a name that the defaults have": {
			`{"subject":{"id":"alice"},"action":{"name":"read","properties":{"x":1}},"resource":{"id":"r1"},` +
				`"evaluations":[{"subject":{"type":"user"},"action":{},"resource":{"type":"t"}}]}`,
			[]string{`alice read r1 {} {}`},
		},
		"items that lack what they need, or are nothing": {
			`{` + alice + `,` + read + `,"evaluations":[{` + record + `},{},null,{"resource":"x"},{"context":null,` + record +
				`},{"action":{"name":""},` + record + `}]}`,
			[]string{"alice read r1 {} {}", "evaluations.1.resource: a required member is missing",
				"evaluations.2: expected an object, got null", "evaluations.3.resource: expected an object, got a string",
				"evaluations.4.context: expected an object, got null",
				"evaluations.5.action.name: expected a string that is not empty"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := wire.NewDecoder()
			var req pdp.Request
			b, p := d.Evaluations([]byte(c.body), nil, &req)
			if p != nil {
				t.Fatal(p)
			}
			var got []string
			for range b.Items {
				if p := d.EvaluationItem(&req); p != nil {
					got = append(got, p.Error())
					continue
				}
				checkTape(t, req.Input)
				checkRequest(t, &req)
				in := req.Input
				line := in.AppendJSON([]byte(req.SubjectID+" "+req.Action+" "+req.Resource+" "), in.Path("resource", "properties"))
				got = append(got, string(in.AppendJSON(append(line, ' '), in.Path("context"))))
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestEvaluationsWithoutItemsAreOneEvaluation(t *testing.T) {
	for _, tail := range []string{``, `,"evaluations":[]`, `,"options":{"evaluations_semantic":"execute_all"}`} {
		d := wire.NewDecoder()
		var req pdp.Request
		b, p := d.Evaluations([]byte(`{`+alice+`,`+read+`,`+record+tail+`}`), nil, &req)
		if p != nil || b.Items != 0 {
			t.Fatalf("%q: got %+v, %v", tail, b, p)
		}
		checkRequest(t, &req)
		if req.SubjectID != "alice" || req.Surface != pdp.SurfaceAuthZEN {
			t.Errorf("%q: got %+v", tail, req)
		}
	}
}

func TestEvaluationsOptions(t *testing.T) {
	for options, want := range map[string]wire.Batch{
		`{}`:                                     {Items: 1},
		`{"another_option":"value"}`:             {Items: 1},
		`{"evaluations_semantic":"execute_all"}`: {Items: 1},
		`{"evaluations_semantic":"deny_on_first_deny","include_context":true}`: {1, wire.DenyOnFirstDeny, true},
		`{"evaluations_semantic":"permit_on_first_permit"}`:                    {1, wire.PermitOnFirstPermit, false},
		`{"include_context":false}`:                                            {Items: 1},
	} {
		var req pdp.Request
		b, p := wire.NewDecoder().Evaluations([]byte(`{"evaluations":[{}],"options":`+options+`}`), nil, &req)
		if p != nil || b != want {
			t.Errorf("%s: got %+v, %v", options, b, p)
		}
	}
	for tail, field := range map[string]string{
		`"options":null`: "options",
		`"options":[]`:   "options",
		`"options":{"evaluations_semantic":"first"}`:       "options.evaluations_semantic",
		`"options":{"evaluations_semantic":""}`:            "options.evaluations_semantic",
		`"options":{"evaluations_semantic":null}`:          "options.evaluations_semantic",
		`"options":{"include_context":"true"}`:             "options.include_context",
		`"options":{"include_context":null}`:               "options.include_context",
		`"evaluations":null`:                               "evaluations",
		`"evaluations":{}`:                                 "evaluations",
		`"evaluations":[` + items(1001) + `]`:              "evaluations",
		`"subject":[],"evaluations":[{}]`:                  "subject",
		`"context":null,"evaluations":[{}]`:                "context",
		`"action":"read","evaluations":[` + items(3) + `]`: "action",
	} {
		var req pdp.Request
		_, p := wire.NewDecoder().Evaluations([]byte(`{`+tail+`}`), nil, &req)
		if p == nil || p.Field != field || p.Status != 400 {
			t.Errorf("%.60s: got %v", tail, p)
		}
	}
}

func items(n int) string { return strings.TrimSuffix(strings.Repeat(`{},`, n), ",") }

func TestSemanticsEndABatch(t *testing.T) {
	for _, c := range []struct {
		s             wire.Semantic
		onDeny, onYes bool
	}{{wire.ExecuteAll, false, false}, {wire.DenyOnFirstDeny, true, false}, {wire.PermitOnFirstPermit, false, true}} {
		if c.s.Ends(false) != c.onDeny || c.s.Ends(true) != c.onYes {
			t.Errorf("%s ends on a deny: %v, on a permit: %v", c.s, c.s.Ends(false), c.s.Ends(true))
		}
	}
}
