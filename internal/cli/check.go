package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// checkFlags are what one decision is asked with.
type checkFlags struct {
	agent, role, action, resource string
	params, env                   []string
	server, tokenFile, ca         string
	explain                       bool
	output                        *output
	config                        *configSource
}

// asked are the flags that make up the question.
func asked(cmd *cobra.Command) bool {
	for _, name := range []string{"agent", "role", "action", "resource", "param", "env"} {
		if cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

func checkCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [POLICY_PATH...]",
		Short: "Ask for one decision: exit 0 permit, 1 deny, 2 error",
		Long: `Ask for one decision, by flags or by JSON on standard input: a native call ({"agent_id": ..., "action": ...}) or a
canonical input ({"subject": ..., "action": ..., "resource": ...}).

It is evaluated here, from the policies of the paths or of the configuration, or with --server by a running sidecar.
Values of --param and --env that are JSON are taken as such, others as text: amount=5000 is a number, amount='"5000"'
text.

With --explain it says what decided, which rules match and which outrank them, and of the others what stands in their way:
of a structured policy the conditions that do not hold, with what was found, of Rego the line that is not true.`,
		Example: `  thymus check --agent ops_agent --role operator --action deploy_application policies/
  echo '{"agent_id":"a","action":"read_data"}' | thymus check --server http://127.0.0.1:8181 -o json`,
	}
	c := &checkFlags{config: configFlags(cmd, false)}
	f := cmd.Flags()
	f.StringVar(&c.agent, "agent", "", "`id` of the agent")
	f.StringVar(&c.role, "role", "", "its `role`")
	f.StringVar(&c.action, "action", "", "`name` of the action")
	f.StringVar(&c.resource, "resource", "", "`id` of the resource")
	f.StringArrayVar(&c.params, "param", nil, "`key=value` of the action's parameters; may be repeated")
	f.StringArrayVar(&c.env, "env", nil, "`key=value` of the environment; may be repeated")
	f.StringVar(&c.server, "server", "", "`URL` of a running sidecar: http://HOST:PORT, https://... or unix:///PATH")
	f.StringVar(&c.tokenFile, "token-file", "", "`file` with the bearer token for --server")
	f.StringVar(&c.ca, "ca", "", "`file` with certificates in PEM that sign the server's")
	f.BoolVar(&c.explain, "explain", false, "say which rules match, which decides, and why the others do not")
	c.output = outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q, err := c.question(cmd, std)
		if err != nil {
			return err
		}
		a, err := c.ask(cmd.Context(), std, q, args)
		if err != nil {
			return err
		}
		if err := a.print(std, c.output.json()); err != nil {
			return err
		}
		if !a.Allowed {
			return &exitError{code: exitNo}
		}
		return nil
	}
	return cmd
}

func (c *checkFlags) ask(ctx context.Context, std Stdio, q question, args []string) (*answer, error) {
	if c.server != "" {
		if len(args) > 0 {
			return nil, fmt.Errorf("--server decides by its own policies, expected no policy path, got %s", args[0])
		}
		if c.explain {
			return nil, errors.New("--explain goes without --server: a sidecar answers with its decision alone")
		}
		return c.remote(ctx, q)
	}
	if c.tokenFile != "" || c.ca != "" {
		return nil, fmt.Errorf("--token-file and --ca go with --server")
	}
	cfg, err := c.config.load(std, args, false)
	if err != nil {
		return nil, err
	}
	return evaluate(ctx, cfg, q, std, c.explain)
}

// answer is a decision in the shape of the native call.
type answer struct {
	Allowed        bool     `json:"allowed"`
	Effect         string   `json:"effect"`
	MatchedPolicy  *string  `json:"matched_policy"`
	MatchedRule    *string  `json:"matched_rule"`
	Reason         string   `json:"reason"`
	Warnings       []string `json:"warnings"`
	RequiresAudit  bool     `json:"requires_audit"`
	DecisionID     string   `json:"decision_id"`
	PolicyRevision string   `json:"policy_revision,omitempty"`

	Explanation *explanation `json:"explanation,omitempty"`
}

// print writes the answer for a person or a program.
func (a *answer) print(std Stdio, asJSON bool) error {
	if asJSON {
		return writeJSON(std.Out, a)
	}
	verdict, shade := "deny", "31"
	if a.Allowed {
		verdict, shade = "permit", "32"
	}
	if std.colour(std.Out) {
		verdict = "\x1b[1;" + shade + "m" + verdict + "\x1b[0m"
	}
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, line(value)) }
	fmt.Fprintf(w, "decision\t%s\n", verdict)
	row("effect", a.Effect)
	row("reason", a.Reason)
	if a.MatchedPolicy != nil && a.MatchedRule != nil {
		row("policy", *a.MatchedPolicy)
		row("rule", *a.MatchedRule)
	}
	for _, text := range a.Warnings {
		row("warning", text)
	}
	if a.RequiresAudit {
		row("audit", "required")
	}
	if a.PolicyRevision != "" {
		row("revision", a.PolicyRevision)
	}
	if err := w.Flush(); err != nil || a.Explanation == nil {
		return err
	}
	return a.Explanation.print(std)
}

// line is text as it can stand on one line of a terminal: control characters, which could move the cursor or hide what
// stands there, are replaced.
func line(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '\ufffd'
		}
		return r
	}, text)
}

// readAnswer reads a native answer.
func readAnswer(body []byte) (*answer, error) {
	var a struct {
		Is *bool `json:"allowed"`
		answer
	}
	if err := json.Unmarshal(body, &a); err != nil || a.Is == nil {
		return nil, errors.New("the answer is no decision")
	}
	a.Allowed = *a.Is
	return &a.answer, nil
}
