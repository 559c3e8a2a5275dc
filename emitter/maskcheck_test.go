package emitter_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"testing"

	"thymus/emitter"
)

func hmacForTest(key []byte, s string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return `"hmac:` + hex.EncodeToString(h.Sum(nil)[:16]) + `"`
}

// checkMasked compares the mask "agent_id", "x.pin", "x.y=hash" with the same done to what encoding/json reads.
func checkMasked(t *testing.T, m *emitter.Mask, in []byte) {
	if !json.Valid(in) {
		m.Append(nil, in) // must not panic or hang
		return
	}
	out := m.Append(nil, in)
	var want, got any
	d := json.NewDecoder(bytes.NewReader(in))
	d.UseNumber()
	if d.Decode(&want) != nil {
		return
	}
	d = json.NewDecoder(bytes.NewReader(out))
	d.UseNumber()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("%v: %s from %s", err, out, in)
	}
	top, ok := want.(map[string]any)
	if !ok {
		if string(out) != "{}" {
			t.Fatalf("%s from %s", out, in)
		}
		return
	}
	g := got.(map[string]any)
	if _, there := g["agent_id"]; there {
		t.Fatalf("agent_id is still there: %s", out)
	}
	for k := range g {
		if _, there := top[k]; !there {
			t.Fatalf("member %q was made up: %s from %s", k, out, in)
		}
	}
	for k, v := range top {
		switch k {
		case "agent_id", "source", "x", "metadata", "meta", "input":
			continue
		}
		if !reflect.DeepEqual(v, g[k]) {
			t.Fatalf("member %q changed: %s from %s", k, out, in)
		}
	}
	if x, ok := g["x"].(map[string]any); ok {
		if _, there := x["pin"]; there {
			t.Fatalf("x.pin is still there: %s", out)
		}
	}
}
