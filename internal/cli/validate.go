package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"thymus/internal/config"
	"thymus/rules"
)

func validateCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate [POLICY_PATH...]",
		Short: "Say everything that is wrong with policies: exit 0 sound, 1 not, 2 error",
		Long: `Load policies as a sidecar does, and say everything that is wrong with them, each problem with its place. A set with
problems stops a start and is not taken by a reload.

Warnings are about what loads but is hardly meant, such as a warn or audit rule that outranks a deny. With --strict they
count as problems.`,
	}
	source := configFlags(cmd, false)
	strict := cmd.Flags().Bool("strict", false, "warnings count as problems")
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := source.load(std, args, false)
		if err != nil {
			return err
		}
		if len(cfg.Policies.Paths) == 0 {
			return errNoPolicies
		}
		v, err := validate(cmd, cfg)
		if err != nil {
			return err
		}
		v.Valid = len(v.Problems) == 0 && (!*strict || len(v.Warnings) == 0)
		if err := v.print(std, out.json()); err != nil {
			return err
		}
		if !v.Valid {
			return &exitError{code: exitNo}
		}
		return nil
	}
	return cmd
}

// validation is what is known of a set of policies.
type validation struct {
	Valid    bool      `json:"valid"`
	Revision string    `json:"policy_revision,omitempty"`
	Policies int       `json:"policies"`
	Rules    int       `json:"rules"`
	Problems []problem `json:"problems"`
	Warnings []problem `json:"warnings"`
}

// problem is one thing that is wrong, with its place.
type problem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Policy  string `json:"policy,omitempty"`
	Rule    string `json:"rule,omitempty"`
	Field   string `json:"field,omitempty"`
	Detail  string `json:"detail"`
	Nearest string `json:"nearest,omitempty"`

	text string
}

func problems(ps []rules.Problem) []problem {
	out := make([]problem, 0, len(ps))
	for _, p := range ps {
		out = append(out, problem{
			File: p.File, Line: p.Line, Column: p.Column, Policy: p.Policy, Rule: p.Rule, Field: p.Field,
			Detail: p.Detail, Nearest: p.Nearest, text: p.Error(),
		})
	}
	return out
}

// validate loads a set. What is wrong with it is its result; an error is about the attempt.
func validate(cmd *cobra.Command, cfg *config.Config) (*validation, error) {
	set, err := rules.Load(cmd.Context(), ruleOptions(cfg))
	v := &validation{Problems: []problem{}, Warnings: []problem{}}
	if found := (rules.Problems)(nil); errors.As(err, &found) {
		v.Problems = problems(found)
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	warned := set.Warnings()
	if path := cfg.ExtAuthz.Entrypoint; path != "" {
		w := rules.Problem{Field: "extauthz.entrypoint", Detail: set.Undecided(path)}
		if !set.Defines(path) {
			w.Detail = fmt.Sprintf("no rule and no data at %q: every call of a proxy is denied", path)
		}
		if w.Detail != "" {
			warned = append(warned, w)
		}
	}
	if w := nothingDecides(cfg, set); w != nil {
		warned = append(warned, *w)
	}
	v.Revision, v.Warnings = set.Snapshot.Revision, problems(warned)
	for _, p := range set.Policies {
		if p.Enabled {
			v.Policies++
			v.Rules += p.Rules
		}
	}
	return v, nil
}

// nothingDecides is the warning that a set holds rules for OPA's Data API alone: whoever asks otherwise is denied, but for
// what the built-in policies allow.
func nothingDecides(cfg *config.Config, set *rules.Set) *rules.Problem {
	if cfg.Policies.Entrypoint != "" || cfg.ExtAuthz.Entrypoint != "" {
		return nil
	}
	for _, p := range set.Policies {
		if p.Enabled && !strings.HasPrefix(p.Origin, "builtin") {
			return nil
		}
	}
	libraries := set.Libraries()
	if len(libraries) == 0 {
		return nil
	}
	return &rules.Problem{Field: "policies.entrypoint", Detail: "is not set, and no policy lies in a package below policies: the rules of " +
		strings.Join(libraries, ", ") + " answer the Data API alone, and decide nothing"}
}

func (v *validation) print(std Stdio, asJSON bool) error {
	if asJSON {
		return writeJSON(std.Out, v)
	}
	for _, p := range v.Problems {
		fmt.Fprintln(std.Out, "problem:", line(p.text))
	}
	for _, p := range v.Warnings {
		fmt.Fprintln(std.Out, "warning:", line(p.text))
	}
	if len(v.Problems) > 0 {
		_, err := fmt.Fprintln(std.Out, count(len(v.Problems), "problem"))
		return err
	}
	_, err := fmt.Fprintf(std.Out, "%s, %s, %s, revision %s\n",
		count(v.Policies, "policy"), count(v.Rules, "rule"), count(len(v.Warnings), "warning"), v.Revision)
	return err
}

// count is a number with its noun.
func count(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case noun == "policy":
		return fmt.Sprintf("%d policies", n)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
