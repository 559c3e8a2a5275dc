package emitter_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"testing"

	"thymus/emitter"
	"thymus/pdp"
)

func removeForTest(t testing.TB, path string) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
}

func TestParseHead(t *testing.T) {
	line := func(payload string) string {
		return `{"id":"evt_policy_1_2","type":"a.b","source":"policy_engine","target":null,"timestamp":1735424567.890123,"payload":` + payload +
			`,"meta":{"correlation_id":"agent_id","version":"1.0"}}`
	}
	for _, c := range []struct{ name, payload, key, agent string }{
		{"agent_id is the key", `{"decision_id":"d","agent_id":"a","policy_id":"p"}`, "a", "a"},
		{"agent_id is the key wherever it stands", `{"threat_id":"t","policy_id":"p","x":{"y":[1]},"agent_id":"a"}`, "a", "a"},
		{"else threat_id", `{"policy_id":"p","threat_id":"t","metadata":{"agent_id":"a"}}`, "t", ""},
		{"else policy_id", `{"policy_id":"p"}`, "p", ""},
		{"else the source", `{}`, "policy_engine", ""},
		{"an empty agent_id is none", `{"agent_id":""}`, "policy_engine", ""},
		{"null is none", `{"agent_id":null,"policy_id":"p"}`, "p", ""},
		{"escapes are read", `{"agent_id":"a\"\u00e9\\"}`, `a"é\`, `a"é\`},
		{"a brace in a string is none", `{"x":"},{\"agent_id\":\"no\"","policy_id":"p"}`, "p", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h emitter.Head
			if !emitter.ParseHead([]byte(line(c.payload)), &h) {
				t.Fatal("not taken for a line")
			}
			ns, ok := h.Nanoseconds()
			if string(h.ID) != "evt_policy_1_2" || string(h.Type) != "a.b" || string(h.Source) != "policy_engine" ||
				string(h.Key) != c.key || string(h.Agent) != c.agent || !ok || ns != 1735424567890123000 {
				t.Errorf("%+v, %d", h, ns)
			}
		})
	}
	var h emitter.Head
	for _, bad := range []string{"", "{", "[]", `{"id":"a"}`, line(`[1]`), line(`{"agent_id":`), line(`{`)} {
		if emitter.ParseHead([]byte(bad), &h) {
			t.Errorf("taken for a line: %s", bad)
		}
	}
}

// sameHead says that the short way, where it goes through, ends where the long one does.
func sameHead(t *testing.T, line []byte) (quick bool) {
	t.Helper()
	var short, long emitter.Head
	if quick = emitter.QuickForTest(line, &short); quick && (!emitter.ScanForTest(line, &long) || !reflect.DeepEqual(short, long)) {
		t.Fatalf("%s\nthe short way: %+v\nthe long one:  %+v", line, short, long)
	}
	return quick
}

func TestHeadIsReadTheSameByTheShortWayAndTheLong(t *testing.T) {
	s, revs := persisted(t)
	var lines []byte
	for _, change := range []func(*pdp.Record){
		func(*pdp.Record) {},
		func(r *pdp.Record) { r.Row, r.Effect, r.Flags = 1, pdp.Deny, r.Flags&^pdp.FlagAllowed },
		func(r *pdp.Record) { r.SubjectID, r.Flags, r.Correlation = "spiffe://é/ü", pdp.FlagAllowed, "" },
	} {
		r := base(s)
		change(&r)
		lines, _ = emitter.NewEncoder(revs.RowsForTest, nil).Decision(lines, &r, emitter.NewOrigin("h", 1), 64)
	}
	for line := range bytes.Lines(lines) {
		if !sameHead(t, line) {
			t.Errorf("went the long way: %s", line)
		}
		taken := 0
		for i := range line[:400] {
			for _, c := range []byte("\"\\ ,:{}x0.\n") {
				m := slices.Clone(line)
				m[i] = c
				sameHead(t, m)
				if sameHead(t, slices.Insert(slices.Clone(line), i, c)) {
					taken++
				}
			}
			sameHead(t, slices.Delete(slices.Clone(line), i, i+1))
			sameHead(t, line[:i])
		}
		if taken == 0 {
			t.Error("no damaged line went the short way: nothing was compared")
		}
	}
	r := base(s)
	for _, id := range []string{"", `a"b`, `a\b`, "a\nb"} {
		r.SubjectID = id
		line, _ := emitter.NewEncoder(revs.RowsForTest, nil).Decision(nil, &r, emitter.NewOrigin("h", 1), 64)
		if sameHead(t, line) {
			t.Errorf("went the short way: %s", line)
		}
	}
}

func TestHeadInACopyOutlivesTheLine(t *testing.T) {
	for _, agent := range []string{`ops_agent`, `a\"\u00e9`, ``} {
		text := []byte(`{"id":"evt_policy_1_2","type":"a.b","source":"policy_engine","target":null,"timestamp":1735424567.890123,"payload":{` +
			`"decision_id":"d","policy_revision":"r","surface":"native","agent_id":"` + agent + `"},"meta":{}}` + "\nthe next line")
		line := text[:bytes.IndexByte(text, '\n')]
		var h, want emitter.Head
		if !emitter.ParseHead(line, &h) || !emitter.ParseHead(slices.Clone(line), &want) {
			t.Fatalf("no line: %s", line)
		}
		copied := append(make([]byte, 0, 4096), line...)
		got := h.In(line, copied)
		for i := range text {
			text[i] = '#'
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v\nwant %+v", got, want)
		}
		if &got.ID[0] != &copied[7] {
			t.Error("the id does not lie in the copy")
		}
	}
}

// FuzzParseHead: whatever comes in, no panic, and of a valid line what encoding/json reads.
func FuzzParseHead(f *testing.F) {
	f.Add([]byte(`{"id":"i","type":"t","source":"s","timestamp":1.5,"payload":{"agent_id":"a"}}`))
	f.Add([]byte(`{"payload":{"agent_id":"a"},"id":"i"}`))
	f.Add([]byte(`{"id":"i","type":"t","source":"s","target":null,"timestamp":1.5,"payload":{"decision_id":"d","policy_revision":"r","surface":"native","agent_id":"a"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		sameHead(t, b)
		var h emitter.Head
		if !emitter.ParseHead(b, &h) || !json.Valid(b) {
			return
		}
		var want struct {
			ID      string
			Payload map[string]json.RawMessage
		}
		if json.Unmarshal(b, &want) != nil {
			return
		}
		if len(h.Agent) > 0 {
			if _, there := want.Payload["agent_id"]; !there {
				t.Errorf("agent %q of %s", h.Agent, b)
			}
		}
	})
}
