package emitter_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/rego"
	"go.yaml.in/yaml/v3"

	"thymus/emitter"
	"thymus/pdp"
)

func readDoc(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// schema holds events against docs/events.schema.json, with OPA's validator.
type schema struct {
	t     *testing.T
	types []string
	query rego.PreparedEvalQuery
}

func newSchema(t *testing.T) *schema {
	t.Helper()
	raw := readDoc(t, "events.schema.json")
	var doc struct {
		Definitions map[string]any
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	s := &schema{t: t}
	for typ := range doc.Definitions {
		s.types = append(s.types, typ)
	}
	slices.Sort(s.types)
	var err error
	s.query, err = rego.New(rego.Query("json.match_schema(input, "+string(raw)+")"), rego.StrictBuiltinErrors(true)).PrepareForEval(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// errors are what is wrong with an event; none for a valid one.
func (s *schema) errors(line []byte) string {
	s.t.Helper()
	var in any
	if err := json.Unmarshal(line, &in); err != nil {
		return err.Error()
	}
	rs, err := s.query.Eval(s.t.Context(), rego.EvalInput(in))
	if err != nil {
		s.t.Fatal(err)
	}
	res := rs[0].Expressions[0].Value.([]any)
	if res[0] == true {
		return ""
	}
	return fmt.Sprint(res[1])
}

// examples are the JSON blocks of docs/events.md by the type of their event.
func examples(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, m := range regexp.MustCompile("(?s)```json\n(.*?)\n```").FindAllSubmatch(readDoc(t, "events.md"), -1) {
		var e struct{ Type string }
		if err := json.Unmarshal(m[1], &e); err != nil {
			t.Fatalf("%v: %s", err, m[1])
		}
		var c bytes.Buffer
		if err := json.Compact(&c, m[1]); err != nil {
			t.Fatal(err)
		}
		out[e.Type] = c.String()
	}
	return out
}

// emitted is one decision of each kind, as the encoder writes it.
func emitted(t *testing.T) map[string]string {
	t.Helper()
	s, revs := persisted(t)
	r := base(s)
	r.Row, r.Effect, r.Flags = 1, pdp.Deny, r.Flags&^pdp.FlagAllowed|pdp.FlagAudit
	r.SubjectID, r.Role, r.Action = "guest_agent", "guest", "delete"
	w := base(s)
	w.Row, w.Effect, w.Warnings = 2, pdp.Warn, []pdp.Warning{{Row: 2}}
	e := emitter.NewEncoder(revs.RowsForTest, nil)
	b, _ := e.Decision(nil, &r, emitter.NewOrigin("host-1", 7), 4096)
	b, _ = e.Decision(b, &w, emitter.NewOrigin("host-1", 7), 4352)
	out := map[string]string{}
	for line := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n") {
		var e struct{ Type string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if out[e.Type] == "" {
			out[e.Type] = line
		}
	}
	return out
}

// Every type has an example in docs/events.md that the schema takes, and those of decisions are what is emitted, to
// the byte.
func TestDocumentedExamplesAreWhatIsEmitted(t *testing.T) {
	s, docs := newSchema(t), examples(t)
	for _, typ := range s.types {
		if docs[typ] == "" {
			t.Errorf("%s has no example", typ)
			continue
		}
		if e := s.errors([]byte(docs[typ])); e != "" {
			t.Errorf("%s: %s", typ, e)
		}
	}
	if len(docs) != len(s.types) {
		t.Errorf("%d examples of %d types", len(docs), len(s.types))
	}
	lines := emitted(t)
	for _, typ := range []string{emitter.TypeEvaluated, emitter.TypeDenied, emitter.TypeWarning, emitter.TypeAudit} {
		if lines[typ] == "" || docs[typ] != lines[typ] {
			t.Errorf("%s: documented\n%s\nemitted\n%s", typ, docs[typ], lines[typ])
		}
	}
}

// Whatever a decision may be, its events are what the schema says; and the schema refuses what it must.
func TestEmittedEventsMatchTheSchema(t *testing.T) {
	s := newSchema(t)
	snap, revs := persisted(t)
	e := emitter.NewEncoder(revs.RowsForTest, nil)
	n := 0
	for surface := range pdp.Surface(pdp.Surfaces) {
		for row := int32(-1); row < 5; row++ {
			for _, flags := range []pdp.Flags{0, pdp.FlagAllowed, pdp.FlagAudit, pdp.FlagAllowed | pdp.FlagAudit} {
				for _, more := range []pdp.Flags{0, pdp.FlagMatched | pdp.FlagRole | pdp.FlagResource, pdp.FlagInput} {
					r := base(snap)
					r.Surface, r.Row, r.Flags = surface, row, flags|more
					r.Effect = pdp.Deny
					if flags.Has(pdp.FlagAllowed) {
						r.Effect, r.Warnings = pdp.Warn, []pdp.Warning{{Row: 2}, {Row: -1, Text: "w"}}
					} else if row < 0 && flags == 0 && surface == pdp.SurfaceOPA {
						r.Effect = pdp.None
					}
					r.Cut, r.Input = pdp.Field(row+1)<<3, []byte(`{"a":[1]}`)
					b, _ := e.Decision(nil, &r, emitter.NewOrigin("h", 1), uint64(n)*64)
					for line := range bytes.SplitSeq(bytes.TrimSpace(b), []byte("\n")) {
						if why := s.errors(line); why != "" {
							t.Fatalf("%s\n%s", why, line)
						}
						n++
					}
				}
			}
		}
	}
	if n < 300 {
		t.Errorf("only %d events were held against the schema", n)
	}
	good := examples(t)[emitter.TypeDenied]
	for what, broken := range map[string]string{
		"a type that is none":       strings.Replace(good, "policy.denied", "policy.refused", 1),
		"a payload of another type": strings.Replace(good, "policy.denied", "policy.audit_required", 1),
		"a member too many":         strings.Replace(good, `"denied_at":`, `"x":1,"denied_at":`, 1),
		"a member missing":          strings.Replace(good, `"surface":"native",`, "", 1),
		"a number for a string":     strings.Replace(good, `"action":"delete"`, `"action":1`, 1),
		"an id of another kind":     strings.Replace(good, "evt_policy", "evt_threat", 1),
	} {
		if broken == good || s.errors([]byte(broken)) == "" {
			t.Errorf("%s: the schema takes it", what)
		}
	}
}

// docs/asyncapi.yaml names the same types, and every reference in it leads somewhere.
func TestAsyncAPIKnowsTheSameTypes(t *testing.T) {
	s := newSchema(t)
	var doc, events map[string]any
	if err := yaml.Unmarshal(readDoc(t, "asyncapi.yaml"), &doc); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(readDoc(t, "events.schema.json"), &events); err != nil {
		t.Fatal(err)
	}
	walk := func(root map[string]any, path string) any {
		var v any = root
		for step := range strings.SplitSeq(path, "/") {
			m, ok := v.(map[string]any)
			if !ok {
				return nil
			}
			v = m[step]
		}
		return v
	}
	var types []string
	for typ := range walk(doc, "channels/events/messages").(map[string]any) {
		types = append(types, typ)
	}
	slices.Sort(types)
	if !slices.Equal(types, s.types) {
		t.Errorf("types %v, want %v", types, s.types)
	}
	refs := 0
	var visit func(v any)
	visit = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				visit(x)
			}
		case map[string]any:
			for k, x := range v {
				if ref, ok := x.(string); ok && k == "$ref" {
					refs++
					file, path, _ := strings.Cut(ref, "#/")
					root := doc
					if file == "./events.schema.json" {
						root = events
					} else if file != "" {
						t.Errorf("reference %s", ref)
					}
					if path != "" && walk(root, path) == nil {
						t.Errorf("reference %s leads nowhere", ref)
					}
				}
				visit(x)
			}
		}
	}
	visit(doc)
	if refs < 3*len(types) {
		t.Errorf("only %d references", refs)
	}
	want := []string{"ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "content-type"}
	var got []string
	for _, h := range walk(doc, "components/messageTraits/event/headers/required").([]any) {
		got = append(got, h.(string))
	}
	if !slices.Equal(got, want) {
		t.Errorf("headers %v, want %v", got, want)
	}
}
