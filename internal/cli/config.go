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
comment: default, file and line, variable or flag. Secrets are masked.`,
		Args: cobra.NoArgs,
	}
	flags := configFlags(cmd, true)
	docs := cmd.Flags().Bool("docs", false, "say above each key what it is for and what it may be")
	cmd.RunE = func(*cobra.Command, []string) error {
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
