package emitter_test

import (
	"encoding/json"
	"os"
	"testing"

	"thymus/emitter"
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

// FuzzParseHead: whatever comes in, no panic, and of a valid line what encoding/json reads.
func FuzzParseHead(f *testing.F) {
	f.Add([]byte(`{"id":"i","type":"t","source":"s","timestamp":1.5,"payload":{"agent_id":"a"}}`))
	f.Add([]byte(`{"payload":{"agent_id":"a"},"id":"i"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
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
