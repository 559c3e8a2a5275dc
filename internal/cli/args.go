package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// wanted takes exactly the arguments that it names.
func wanted(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		for i, name := range names {
			if i >= len(args) || args[i] == "" {
				return fmt.Errorf("%s is missing; expected %s", name, strings.Join(names, " "))
			}
		}
		if len(args) > len(names) {
			return fmt.Errorf("got %q besides %s", args[len(names)], strings.Join(names, " "))
		}
		return nil
	}
}

// some takes one argument or more, none of them empty.
func some(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		for _, a := range args {
			if a == "" {
				return fmt.Errorf("got an empty %s", name)
			}
		}
		if len(args) == 0 {
			return fmt.Errorf("%s is missing; expected one or more", name)
		}
		return nil
	}
}

// revision is a policy's revision as a flag; 0 where it is not given.
type revision uint64

func (r *revision) Type() string { return "revision" }
func (r revision) String() string {
	if r == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(r), 10)
}

func (r *revision) Set(text string) error {
	n, err := strconv.ParseUint(text, 10, 62)
	if err != nil || n == 0 {
		return fmt.Errorf("expected a number from 1")
	}
	*r = revision(n)
	return nil
}

func revisionFlag(cmd *cobra.Command, name, usage string) *revision {
	r := new(revision)
	cmd.Flags().Var(r, name, usage)
	return r
}

// completeFor is how long a completion may keep a shell waiting.
const completeFor = 2 * time.Second

// completeIDs lets the shell complete the first arguments of cmd by the ids of a running sidecar's policies; most is how
// many arguments are ids.
func (m *managementFlags) completeIDs(cmd *cobra.Command, std Stdio, most int) {
	complete(m, cmd, std, most, "/v1/policies", func(p *remotePolicy) string { return line(p.ID) + "\t" + line(p.Name) })
}

// complete lets the shell complete arguments by the items of a list of the management plane; word is an item's, with a
// tab before its description.
func complete[T any](m *managementFlags, cmd *cobra.Command, std Stdio, most int, path string, word func(*T) string) {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		parent := cmd.Context()
		if parent == nil {
			parent = context.Background()
		}
		ctx, cancel := context.WithTimeout(parent, completeFor)
		defer cancel()
		s, err := m.open(std)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		raw, err := s.pages(ctx, path, nil, 1000)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		items, err := readItems[T](s, raw)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		words := make([]string, 0, len(items))
		for i := range items {
			words = append(words, word(&items[i]))
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// oneOf lets the shell complete a flag's value.
func oneOf(cmd *cobra.Command, flag string, words ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
}
