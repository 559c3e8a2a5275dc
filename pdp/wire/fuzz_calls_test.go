package wire_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"thymus/pdp"
	"thymus/pdp/wire"
)

// The oracles below read a body that the scanner accepted with encoding/json, and say what is wrong with it (the field
// at fault; "ok" where nothing is) and which document the policies are to see.

type object = map[string]any

// member checks one member: its type, whether it has to be there and not empty, and its length.
func member[T any](o object, name string, required bool, most int) (v T, has bool, fault bool) {
	x, has := o[name]
	if !has {
		return v, false, required
	}
	v, ok := x.(T)
	if s, is := x.(string); is && ok {
		ok = len(s) <= most && (s != "" || !required)
	}
	return v, has, !ok
}

func orEmpty(o object) object {
	if o == nil {
		return object{}
	}
	return o
}

// nativeOracle returns the faults (any of which may be named) and the document.
func nativeOracle(o object) (faults map[string]bool, doc object) {
	faults = map[string]bool{}
	text := func(name string, required bool, most int) (string, bool) {
		v, has, fault := member[string](o, name, required, most)
		if fault {
			faults[name] = true
		}
		return v, has
	}
	tree := func(name string) object {
		v, _, fault := member[object](o, name, false, 0)
		if fault {
			faults[name] = true
		}
		return orEmpty(v)
	}
	id, _ := text("agent_id", true, 256)
	action, _ := text("action", true, 256)
	properties := object{}
	if role, has := text("agent_role", false, 256); has {
		properties["role"] = role
	}
	resource := object{"type": "", "properties": object{}}
	if r, has := text("resource", false, 4096); has {
		resource["id"] = r
	}
	return faults, object{
		"subject": object{"type": "agent", "id": id, "properties": properties},
		"action":  object{"name": action, "properties": tree("params")}, "resource": resource, "context": tree("environment"),
		"peer": object{"surface": "native", "transport": "tcp"},
	}
}

// authzenOracle does the same for an evaluation with the given defaults.
func authzenOracle(o, top object) (faults map[string]bool, doc object) {
	faults = map[string]bool{}
	entity := func(name string, required ...string) object {
		own, has, fault := member[object](o, name, false, 0)
		if fault {
			faults[name] = true
			return nil
		}
		fallback, hasTop := top[name].(object)
		if !has {
			own, has = fallback, hasTop
		}
		if !has {
			faults[name] = true
			return nil
		}
		out := object{}
		for _, r := range required {
			most := map[string]int{"resource.id": 4096, "resource.type": 1 << 30}[name+"."+r]
			if most == 0 {
				most = 256
			}
			from := own
			if _, there := own[r]; !there {
				from = orEmpty(fallback)
			}
			v, _, fault := member[string](from, r, true, most)
			if fault {
				faults[name+"."+r] = true
			}
			out[r] = v
		}
		p, _, fault := member[object](own, "properties", false, 0)
		if fault {
			faults[name+".properties"] = true
		}
		out["properties"] = orEmpty(p)
		return out
	}
	subject := entity("subject", "type", "id")
	if subject != nil {
		if role, is := subject["properties"].(object)["role"].(string); is && len(role) > 256 {
			faults["subject.properties.role"] = true
		}
	}
	context, has, fault := member[object](o, "context", false, 0)
	if fault {
		faults["context"] = true
	}
	if !has {
		context, _ = top["context"].(object)
	}
	return faults, object{
		"subject": subject, "action": entity("action", "name"), "resource": entity("resource", "type", "id"),
		"context": orEmpty(context), "peer": object{"surface": "authzen", "transport": "tcp"},
	}
}

// agree fails where a decoder's answer and its oracle's differ.
func agree(t *testing.T, p *wire.Problem, prefix string, faults map[string]bool, req *pdp.Request, doc object) {
	t.Helper()
	if p != nil {
		if field, ok := strings.CutPrefix(p.Field, prefix); !ok || !faults[field] || p.Status != 400 {
			t.Fatalf("got %v, want one of %v", p, faults)
		}
		return
	}
	if len(faults) > 0 {
		t.Fatalf("accepted in spite of %v", faults)
	}
	checkTape(t, req.Input)
	checkRequest(t, req)
	if got := value(t, req.Input.AppendJSON(nil, 0)); !reflect.DeepEqual(got, any(doc)) {
		t.Fatalf("got %v, want %v", got, doc)
	}
}

func FuzzNative(f *testing.F) {
	for _, s := range append(scanSeeds, native150, `{"agent_id":"","action":1}`, `{"agent_id":"a","action":"b","params":null}`,
		`{"agent_id":"a\u0062","action":"b","agent_role":"","resource":"","x":{"peer":1},"environment":{"a":[{}]}}`) {
		f.Add([]byte(s))
	}
	d := wire.NewDecoder()
	f.Fuzz(func(t *testing.T, body []byte) {
		var req pdp.Request
		p := d.Native(body, pdp.SurfaceNative, nil, &req)
		if !acceptable(body, pdp.MaxDepth) {
			if p == nil || p.Kind != wire.KindMalformed {
				t.Fatalf("%q: got %v", body, p)
			}
			return
		}
		o, ok := value(t, body).(object)
		faults, doc := nativeOracle(o)
		if !ok {
			faults = map[string]bool{"": true}
		}
		agree(t, p, "", faults, &req, doc)
	})
}

func FuzzNativeBatch(f *testing.F) {
	for _, s := range append(scanSeeds, native1, `{"evaluations":[]}`, `{"evaluations":[1,{},{"agent_id":"a","action":"b"}]}`) {
		f.Add([]byte(s))
	}
	d := wire.NewDecoder()
	f.Fuzz(func(t *testing.T, body []byte) {
		n, p := d.NativeBatch(body, pdp.SurfaceNative, nil)
		if !acceptable(body, pdp.MaxDepth) {
			if p == nil {
				t.Fatalf("%q was accepted", body)
			}
			return
		}
		o, _ := value(t, body).(object)
		list, _ := o["evaluations"].([]any)
		if good := len(list) >= 1 && len(list) <= wire.MaxBatch; (p == nil) != good || good && n != len(list) {
			t.Fatalf("%q: got %d, %v", body, n, p)
		}
		for i := range n {
			var req pdp.Request
			p := d.NativeItem(&req)
			prefix := wherePrefix(i)
			if o, ok := list[i].(object); ok {
				faults, doc := nativeOracle(o)
				agree(t, p, prefix+".", faults, &req, doc)
			} else if p == nil || p.Field != prefix {
				t.Fatalf("%q: item %d: got %v", body, i, p)
			}
		}
	})
}

func wherePrefix(i int) string {
	b, _ := json.Marshal(i)
	return "evaluations." + string(b)
}

func FuzzEvaluation(f *testing.F) {
	for _, s := range append(scanSeeds, authzen200, `{`+alice+`,`+read+`,`+record+`,"context":{"a":1}}`, `{"subject":{}}`) {
		f.Add([]byte(s))
	}
	d := wire.NewDecoder()
	f.Fuzz(func(t *testing.T, body []byte) {
		var req pdp.Request
		p := d.Evaluation(body, nil, &req)
		if !acceptable(body, pdp.MaxDepth) {
			if p == nil || p.Kind != wire.KindMalformed {
				t.Fatalf("%q: got %v", body, p)
			}
			return
		}
		o, ok := value(t, body).(object)
		faults, doc := authzenOracle(o, object{})
		if !ok {
			faults = map[string]bool{"": true}
		}
		agree(t, p, "", faults, &req, doc)
	})
}

func FuzzEvaluations(f *testing.F) {
	for _, s := range append(scanSeeds, batch2, `{"evaluations":[{}]}`, `{`+alice+`,`+read+`,`+record+`,"evaluations":[]}`,
		`{`+alice+`,`+read+`,"resource":{"type":"t"},"evaluations":[{"resource":{"id":"i"}},{"context":1}],"options":{"include_context":true}}`,
		`{"options":{"evaluations_semantic":"deny_on_first_deny"},"evaluations":[null]}`) {
		f.Add([]byte(s))
	}
	d := wire.NewDecoder()
	f.Fuzz(func(t *testing.T, body []byte) {
		var req pdp.Request
		b, p := d.Evaluations(body, nil, &req)
		o, ok := object(nil), false
		if acceptable(body, pdp.MaxDepth) {
			o, ok = value(t, body).(object)
		}
		if !ok {
			if p == nil {
				t.Fatalf("%q was accepted", body)
			}
			return
		}
		faults := map[string]bool{}
		for _, name := range []string{"subject", "action", "resource", "context", "options"} {
			if _, _, fault := member[object](o, name, false, 0); fault {
				faults[name] = true
			}
		}
		options, _ := o["options"].(object)
		if s, has := options["evaluations_semantic"]; has && s != "execute_all" && s != "deny_on_first_deny" && s != "permit_on_first_permit" {
			faults["options.evaluations_semantic"] = true
		}
		context, _, fault := member[bool](options, "include_context", false, 0)
		if fault {
			faults["options.include_context"] = true
		}
		list, _, fault := member[[]any](o, "evaluations", false, 0)
		if fault || len(list) > wire.MaxBatch {
			faults["evaluations"] = true
		}
		if len(list) == 0 {
			more, doc := authzenOracle(o, object{})
			for k := range more {
				faults[k] = true
			}
			agree(t, p, "", faults, &req, doc)
			return
		}
		if (p != nil) != (len(faults) > 0) || p != nil && !faults[p.Field] {
			t.Fatalf("%q: got %v, want %v", body, p, faults)
		}
		if p != nil {
			return
		}
		if b.Items != len(list) || b.Context != context {
			t.Fatalf("%q: got %+v", body, b)
		}
		for i := range b.Items {
			p := d.EvaluationItem(&req)
			prefix := wherePrefix(i)
			if item, ok := list[i].(object); ok {
				faults, doc := authzenOracle(item, o)
				agree(t, p, prefix+".", faults, &req, doc)
			} else if p == nil || p.Field != prefix {
				t.Fatalf("%q: item %d: got %v", body, i, p)
			}
		}
	})
}

// The struct OPA's server decodes into (v1/server/types), and its reading of it.
func FuzzData(f *testing.F) {
	for _, s := range append(scanSeeds, data1, `{"input":null}`, `{"INPUT":1,"input":{"a":1,"a":2}}`, `{"input":1,"Input":null}`,
		"{\"input\":\"\xff\"}", `{"input":{"subject":{"id":"x","type":"y"}}}`) {
		f.Add([]byte(s))
	}
	d := wire.NewDecoder()
	f.Fuzz(func(t *testing.T, body []byte) {
		var req pdp.Request
		e := d.Data(nil, body, subjectID, &req)
		var want struct {
			Input *json.RawMessage `json:"input"`
		}
		empty := len(strings.Trim(string(body), " \t\r\n")) == 0
		ok := empty || json.Valid(body) && bounded(body, wire.MaxDataDepth, false) && json.Unmarshal(body, &want) == nil
		if (e == nil) != ok {
			t.Fatalf("%q: accepted is to be %v, got %v", body, ok, e)
		}
		if e != nil {
			return
		}
		checkTape(t, req.Input)
		if want.Input == nil {
			if len(req.Input.Nodes) != 0 {
				t.Fatalf("%q: got %s for no input", body, req.Input.AppendJSON(nil, 0))
			}
			return
		}
		in := value(t, *want.Input)
		if len(req.Input.Nodes) == 0 {
			if in != nil {
				t.Fatalf("%q: got no input", body)
			}
			return
		}
		if got := value(t, req.Input.AppendJSON(nil, 0)); !reflect.DeepEqual(got, in) {
			t.Fatalf("%q: got %v, want %v", body, got, in)
		}
		id := ""
		if o, ok := in.(object); ok {
			if s, ok := o["subject"].(object); ok {
				id, _ = s["id"].(string)
			}
		}
		if req.SubjectID != id {
			t.Fatalf("%q: got subject %q", body, req.SubjectID)
		}
	})
}
