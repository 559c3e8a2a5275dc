package emitter_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"thymus/emitter"
	"thymus/pdp"
)

func TestMask(t *testing.T) {
	key := make([]byte, 32)
	for _, c := range []struct {
		name, paths, in, want string
	}{
		{"a removed member", "agent_role", `{"agent_id":"a","agent_role":"r","action":"x"}`, `{"agent_id":"a","action":"x"}`},
		{"the only member", "a", `{"a":1}`, `{}`},
		{"the first of several", "a", `{"a":1,"b":2}`, `{"b":2}`},
		{"the last of several", "b", `{"a":1,"b":2}`, `{"a":1}`},
		{"a hashed string", "action=hash", `{"action":"x"}`, `{"action":"HASH(x)"}`},
		{"a hashed string with escapes is hashed unescaped", "action=hash", `{"action":"\u0078"}`, `{"action":"HASH(x)"}`},
		{"a hashed number is hashed as it stands", "n=hash", `{"n":1.50}`, `{"n":"HASH(1.50)"}`},
		{"a hashed object is hashed as it stands", "o=hash", `{"o":{"a":[1]}}`, `{"o":"HASH({"a":[1]})"}`},
		{"null stays null", "resource=hash", `{"resource":null}`, `{"resource":null}`},
		{"a nested path", "input.context.ip", `{"input":{"context":{"ip":"1","host":"h"}}}`, `{"input":{"context":{"host":"h"}}}`},
		{"into each element of an array", "items.pin", `{"items":[{"pin":1,"a":2},{"pin":3}]}`, `{"items":[{"a":2},{}]}`},
		{"a path that is not there", "x.y.z", `{"x":{"y":1}}`, `{"x":{"y":1}}`},
		{"a name written with escapes", "agent_role", `{"agent\u005frole":"r"}`, `{}`},
		{"removing wins over hashing", "a=hash a", `{"a":1}`, `{}`},
		{"copies by meaning", "agent_id=hash", `{"agent_id":"bob","input":{"subject":{"id":"bob","type":"agent"}}}`,
			`{"agent_id":"HASH(bob)","input":{"subject":{"id":"HASH(bob)","type":"agent"}}}`},
		{"a threat's source and metadata", "agent_id=hash", `{"threat_id":"t","source":"bob","metadata":{"agent_id":"bob","n":1}}`,
			`{"threat_id":"t","source":"HASH(bob)","metadata":{"agent_id":"HASH(bob)","n":1}}`},
		{"copies by equality, however deep", "agent_id", `{"agent_id":"bob","input":{"x":[{"by":"bob"},"bob","bobby"]},"reason":"bob"}`,
			`{"input":{"x":[{},"bobby"]},"reason":"bob"}`},
		{"the result's copy", "reason", `{"result":{"allowed":true,"reason":"r"},"reason":"r"}`, `{"result":{"allowed":true}}`},
		{"whatever cannot be read is not let through", "a", `{"a":1,`, `{}`},
		{"whatever is no object is not let through", "a", `["a"]`, `{}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := emitter.NewMask(strings.Fields(c.paths), key)
			if err != nil {
				t.Fatal(err)
			}
			want := regexp.MustCompile(`"HASH\((.*?)\)"`).ReplaceAllStringFunc(c.want, func(s string) string {
				return hmacForTest(key, s[len(`"HASH(`):len(s)-len(`)"`)])
			})
			for range 2 { // the mask is used again
				if got := string(m.Append([]byte("x"), []byte(c.in))); got != "x"+want {
					t.Errorf("got  %s\nwant x%s", got, want)
				}
			}
		})
	}
}

func TestMaskRefused(t *testing.T) {
	for _, c := range []struct{ paths, want string }{
		{"a..b", `mask "a..b": an empty step, member names parted by dots expected`},
		{"", `mask "": an empty step, member names parted by dots expected`},
		{"a=sha1", `mask "a=sha1": "sha1" is no way to mask, "hash" or nothing expected`},
		{"a.*", `mask "a.*": step "*" is no plain member name`},
		{"payload.agent_id", `mask "payload.agent_id": paths begin inside the payload, leave "payload." out`},
		{"ok|a=|.b", "mask \"a=\": \"\" is no way to mask, \"hash\" or nothing expected\n" +
			"mask \".b\": an empty step, member names parted by dots expected"},
	} {
		_, err := emitter.NewMask(strings.Split(c.paths, "|"), nil)
		var me *emitter.MaskError
		if err == nil || err.Error() != c.want || !errors.As(err, &me) {
			t.Errorf("%q: %v, want %s", c.paths, err, c.want)
		}
	}
	if m, err := emitter.NewMask(nil, nil); m != nil || err != nil {
		t.Error("no paths are no mask")
	}
}

func TestMaskKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mask.key")
	a, err := emitter.MaskKey(path)
	if err != nil || len(a) != 32 {
		t.Fatal(a, err)
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	if b, err := emitter.MaskKey(path); err != nil || string(a) != string(b) {
		t.Error("a second start has another key", err)
	}
	os.Chmod(path, 0o644)
	if _, err := emitter.MaskKey(path); err == nil || !strings.Contains(err.Error(), "mode 0644") {
		t.Error("a key that others can read is taken:", err)
	}
	os.Chmod(path, 0o600)
	os.WriteFile(path, []byte("short"), 0o600)
	if _, err := emitter.MaskKey(path); err == nil || !strings.Contains(err.Error(), "64 hexadecimal digits") {
		t.Error("a broken key is taken:", err)
	}
}

// What is masked is nowhere in what a decision leaves.
func TestMaskedDecisionLeaksNothing(t *testing.T) {
	s, revs := persisted(t)
	m, err := emitter.NewMask([]string{"agent_id", "resource=hash", "agent_role"}, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	e := emitter.NewEncoder(revs.RowsForTest, m)
	r := base(s)
	r.SubjectID, r.Resource, r.Role = "secret-agent", "secret-place", "secret-role"
	r.Row, r.Effect = 2, pdp.Warn
	r.Warnings = []pdp.Warning{{Row: 2}}
	r.Flags |= pdp.FlagInput | pdp.FlagAudit
	r.Input = []byte(`{"subject":{"type":"agent","id":"secret-agent","properties":{"role":"secret-role"}},` +
		`"resource":{"id":"secret-place"},"context":{"who":"secret-agent","where":["secret-place"]}}`)
	b, n := e.Decision(nil, &r, emitter.NewOrigin("h", 1), 0)
	if n != 3 || strings.Contains(string(b), "secret") {
		t.Errorf("%d events: %s", n, b)
	}
}

// FuzzMask: whatever JSON comes in, JSON comes out, and no member with a removed name.
func FuzzMask(f *testing.F) {
	for _, s := range []string{`{"agent_id":"a","x":{"y":[1,{"pin":"\\\""}]}}`, `{"a":{"agent_id":["{"]}}`, `{}`, `{"x":{"pin":1,"pin":2}}`} {
		f.Add([]byte(s))
	}
	m, err := emitter.NewMask([]string{"agent_id", "x.pin", "x.y=hash"}, make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) { checkMasked(t, m, in) })
}
