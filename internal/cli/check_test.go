package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestCheckDecidesHere(t *testing.T) {
	files := map[string]string{"p/spend.json": structured, "p/peer.rego": `package policies.peer
deny contains {"rule": "not_the_command_line", "guardrail": true} if input.peer.surface != "cli"
deny contains {"rule": "number", "guardrail": true} if not is_number(input.action.properties.exact)
deny contains {"rule": "text", "guardrail": true} if input.action.properties.text != "12"
allow contains {"rule": "exact", "priority": 50} if format_int(input.action.properties.exact, 10) == "12345678901234567890"
`}
	flags := func(args ...string) call {
		return call{args: "check -o json", argv: append(args, "DIR/p/spend.json"), files: files}
	}
	cases := []struct {
		name string
		call
		code   int
		effect string
		rule   string
		reason string
	}{
		{"no rule matches and the policy's default permits", flags("--agent", "a", "--action", "pay"), 0, "allow", "",
			"No matching rules - applied default effect: allow"},
		{"a number in a parameter is a number", flags("--agent", "a", "--action", "pay", "--param", "amount=5000"), 1, "deny", "cap",
			"Denied by rule 'Cap'"},
		{"a text that looks like a number is dodging, and does not get past a deny", flags("--agent", "a", "--action", "pay", "--param", `amount="50"`),
			1, "deny", "cap", "Denied by rule 'Cap'"},
		{"a warning permits", flags("--agent", "a", "--action", "pay", "--param", "amount=500"), 0, "warn", "big", "large amount"},
		{"the environment counts", flags("--agent", "a", "--action", "pay", "--env", "booked=true"), 0, "audit", "book",
			"Allowed with audit requirement by rule 'book'"},
		{"a built-in policy by role", flags("--agent", "a", "--role", "admin", "--action", "pay", "--param", "amount=5000"), 0, "allow",
			"admin_allow_all", "Allowed by rule 'Admin Allow All'"},
		{"built-in policies can be off", flags("--agent", "a", "--role", "admin", "--action", "x", "--set", "policies.builtin=false"), 0, "allow", "",
			"No matching rules - applied default effect: allow"},
		{"a native call on standard input", call{args: "check -o json DIR/p/spend.json", files: files,
			stdin: `{"agent_id":"a","action":"pay","params":{"amount":5000}}`}, 1, "deny", "cap", "Denied by rule 'Cap'"},
		{"a canonical input on standard input, whose peer is not the caller's to write", call{args: "check -o json DIR/p/peer.rego", files: files,
			stdin: `{"subject":{"id":"a"},"action":{"name":"x","properties":{"exact":12345678901234567890,"text":"12"}},"peer":{"surface":"native"}}`},
			0, "allow", "exact", "Allowed by rule 'exact'"},
		{"policies from the configuration", call{args: "check -o json --agent a --action pay --param amount=5000", files: files,
			env: []string{"THYMUS_POLICIES_PATHS=p/spend.json"}}, 1, "deny", "cap", "Denied by rule 'Cap'"},
		{"an entrypoint decides alone", call{args: "check -o json --agent a --action x --set policies.entrypoint=top/ok DIR/p", files: map[string]string{
			"p/top.rego": "package top\nok := {\"allowed\": true, \"reason\": \"because\"}\n"}}, 0, "allow", "", "because"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := c.run(t)
			if errs != "" {
				t.Errorf("standard error has %s", errs)
			}
			var got struct {
				Allowed     bool
				Effect      string
				MatchedRule *string `json:"matched_rule"`
				Reason      string
				Warnings    []string
				DecisionID  string `json:"decision_id"`
			}
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("%v in %s", err, out)
			}
			rule := ""
			if got.MatchedRule != nil {
				rule = *got.MatchedRule
			}
			if code != c.code || got.Allowed != (c.code == 0) || got.Effect != c.effect || rule != c.rule || got.Reason != c.reason {
				t.Errorf("exit %d with %s", code, out)
			}
			if len(got.DecisionID) != 36 || got.Warnings == nil {
				t.Errorf("the shape is not the native call's: %s", out)
			}
		})
	}
}

func TestCheckForPeople(t *testing.T) {
	out, errs, code := call{
		args:  "check --agent a --action pay --param amount=500 --env booked=true DIR/p.json",
		files: map[string]string{"p.json": structured},
	}.run(t)
	want := `decision  permit
effect    audit
reason    Allowed with audit requirement by rule 'book'
policy    spend
rule      book
warning   large amount
audit     required
revision  `
	if code != 0 || errs != "" || !strings.HasPrefix(out, want) {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	if strings.Contains(out, "\x1b") {
		t.Error("colours without a terminal")
	}
}

func TestCheckWarnsOfAnEntrypointForProxiesThatNamesNothing(t *testing.T) {
	for entry, want := range map[string]string{
		"envoy/authz/allow": `thymus: warning: key "extauthz.entrypoint": no rule and no data at "envoy/authz/allow": every call of a proxy is denied` + "\n",
		"policies/spend": `thymus: warning: key "extauthz.entrypoint": policies/spend holds sets of rules; expected a boolean, an effect, or ` +
			"an object with allowed or effect: every call is denied\n",
		"policies/peer/yes": "",
	} {
		_, errs, code := call{
			args:  "check --agent a --action pay --param amount=500 --env booked=true DIR/p.json DIR/peer.rego",
			files: map[string]string{"p.json": structured, "peer.rego": "package policies.peer\n\nyes if input.x\n"}, env: []string{"THYMUS_EXTAUTHZ_ENTRYPOINT=" + entry},
		}.run(t)
		if code != 0 || errs != want {
			t.Errorf("%s: exit %d\n%s", entry, code, errs)
		}
	}
}

func TestAReasonCannotMoveTheCursor(t *testing.T) {
	out, _, code := call{args: "check --agent a --action x DIR/p.json", files: map[string]string{
		"p.json": `{"policy_id":"p","rules":[{"rule_id":"r","effect":"deny","message":"no\u001b[2Kdecision permit\nfaked"}]}`}}.run(t)
	if code != 1 || strings.Contains(out, "\x1b") || strings.Contains(out, "\nfaked") {
		t.Errorf("exit %d: %q", code, out)
	}
}

func TestCheckRefuses(t *testing.T) {
	cases := []struct {
		name string
		call
		want string
	}{
		{"half a question", call{args: "check --agent a"}, "thymus: expected --agent and --action, each with a value\n"},
		{"no question", call{args: "check"}, "thymus: standard input is empty, expected --agent and --action, or a JSON document there\n"},
		{"what is no JSON", call{args: "check", stdin: "{"}, "thymus: standard input: "},
		{"a key twice", call{args: "check", stdin: `{"agent_id":"a","agent_id":"b"}`}, "thymus: standard input: "},
		{"a native call without an action", call{args: "check", stdin: `{"agent_id":"a"}`}, "thymus: action: "},
		{"a canonical input without an action", call{args: "check", stdin: `{"subject":{"id":"a"}}`},
			"thymus: standard input: action.name: expected a text that is not empty\n"},
		{"a canonical input of another shape", call{args: "check", stdin: `{"subject":"a"}`},
			"thymus: standard input: subject: expected an object\n"},
		{"a parameter without a value", call{args: "check --agent a --action b --param x"}, "thymus: --param: got \"x\", expected key=value\n"},
		{"a parameter twice", call{args: "check --agent a --action b --env x=1 --env x=2"}, "thymus: --env: \"x\" is given twice\n"},
		{"a path that is not there", call{args: "check --agent a --action b DIR/none"}, "thymus: DIR/none: "},
		{"a broken policy", call{args: "check --agent a --action b DIR/b.json", files: map[string]string{"b.json": badPolicy}}, "thymus: DIR/b.json:1:"},
		{"a policy path for a server", call{args: "check --agent a --action b --server http://h:1 p"},
			"thymus: --server decides by its own policies, expected no policy path, got p\n"},
		{"a token for nobody", call{args: "check --agent a --action b --token-file t"}, "thymus: --token-file and --ca go with --server\n"},
		{"an unknown output", call{args: "check --agent a --action b -o yaml"},
			"thymus: invalid argument \"yaml\" for \"-o, --output\" flag: expected table or json\n"},
		{"an unknown variable", call{args: "check --agent a --action b", env: []string{"THYMUS_POLICES_PATHS=x"}},
			"thymus: THYMUS_POLICES_PATHS: unknown, did you mean THYMUS_POLICIES_PATHS?\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := c.run(t)
			if code != 2 || out != "" {
				t.Errorf("exit %d with %q", code, out)
			}
			whole := strings.HasSuffix(c.want, "\n")
			if whole && errs != c.want || !whole && !strings.HasPrefix(errs, c.want) {
				t.Errorf("got  %swant %s", errs, c.want)
			}
			for line := range strings.Lines(errs) {
				if !strings.HasPrefix(line, "thymus: ") {
					t.Errorf("a line without its prefix: %q", line)
				}
			}
		})
	}
}
