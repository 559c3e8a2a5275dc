package cli

import (
	"github.com/spf13/cobra"
)

// configCommand prints the effective configuration.
func configCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the whole effective configuration, and where each value comes from",
		Long: `Print the whole effective configuration as YAML that can be loaded again. Each value has its origin in a
comment: default, file and line, variable or flag. Secrets are masked.

With --from-opa nothing of that is read: the configuration file of OPA or opa-envoy-plugin is, and the configuration that
answers alike is printed, with what could not be taken over.`,
		Args: cobra.NoArgs,
	}
	flags := configFlags(cmd, true)
	docs := cmd.Flags().Bool("docs", false, "say above each key what it is for and what it may be")
	opa := cmd.Flags().String("from-opa", "", "print what a configuration `file` of OPA or opa-envoy-plugin becomes here")
	for _, other := range [...]string{"config", "set", "docs"} {
		cmd.MarkFlagsMutuallyExclusive("from-opa", other)
	}
	cmd.RunE = func(*cobra.Command, []string) error {
		if *opa != "" {
			return fromOPA(*opa, std)
		}
		cfg, err := flags.load(std, nil, true)
		if err != nil {
			return err
		}
		text, err := cfg.Document(*docs)
		if err != nil {
			return err
		}
		_, err = std.Out.Write(text)
		return err
	}
	return cmd
}
