package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"thymus/rules"
)

// maxPolicy bounds one policy's text, in bytes.
const maxPolicy = 64 << 20

func convertCommand(std Stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "convert [FILE]",
		Short: "Print a structured policy as the Rego that it is compiled to",
		Long: `Print a structured policy (JSON or YAML, from the file or standard input) as the Rego that it is compiled to: a way to
see what its conditions mean exactly, and to go on in Rego where a list of conditions no longer says enough.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name, in := "standard input", std.In
			if len(args) == 1 && args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				name, in = args[0], f
			} else if terminal(in) {
				return errors.New("expected a file, or a policy on standard input")
			}
			text, err := io.ReadAll(io.LimitReader(in, maxPolicy+1))
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if len(text) > maxPolicy {
				return fmt.Errorf("%s: more than %d bytes", name, maxPolicy)
			}
			rego, err := rules.Convert(text)
			if ps := (rules.Problems)(nil); errors.As(err, &ps) {
				for i := range ps {
					ps[i].File = name
				}
				return ps
			}
			if err != nil {
				return err
			}
			_, err = std.Out.Write(rego)
			return err
		},
	}
}
