package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"thymus/internal/config"
)

// newRoot makes the command tree. Without a command thymus serves.
func newRoot(std Stdio) *cobra.Command {
	root := serveCommand(std, "thymus [POLICY_PATH...]")
	root.Short = "Thymus decides: a policy decision point that runs beside agents and services"
	root.Long = root.Short + `.

Without a command it serves: policies from the paths given here or in the configuration, decisions on
http://127.0.0.1:8181, management on http://127.0.0.1:8282. All that can be set is printed by
'thymus config --docs'.`
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(flagError)
	root.SetIn(std.In)
	root.SetOut(std.Out)
	root.SetErr(std.Err)
	root.AddCommand(
		serveCommand(std, "serve [POLICY_PATH...]"),
		configCommand(std),
		checkCommand(std),
		policyCommand(std),
		threatsCommand(std),
		immuneCommand(std),
		eventsCommand(std),
		benchCommand(std),
		detectCommand(std),
		versionCommand(std),
	)
	root.Args = func(cmd *cobra.Command, args []string) error { return paths(root, args) }
	return root
}

// paths refuses an argument that is neither file nor folder: where thymus serves without a command, it is likely a
// misspelt one.
func paths(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if _, err := os.Stat(args[0]); err == nil || !os.IsNotExist(err) {
		return nil
	}
	return fmt.Errorf("%q is neither a command nor a file or folder of policies, did you mean %q?",
		args[0], nearestCommand(root, args[0]))
}

// nearestCommand is the command below cmd that is likeliest meant by name.
func nearestCommand(cmd *cobra.Command, name string) string {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return config.Nearest(name, names)
}

// serveCommand is the server, under its own name and under none.
func serveCommand(std Stdio, use string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: "Answer decisions until told to stop",
		Args:  cobra.ArbitraryArgs,
	}
	flags := configFlags(cmd, true)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := flags.load(std, args, true)
		if err != nil {
			return err
		}
		return runServe(cmd.Context(), cfg, args, std)
	}
	return cmd
}
