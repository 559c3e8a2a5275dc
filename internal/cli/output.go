package cli

import (
	"encoding/json"
	"errors"
	"io"

	"github.com/spf13/cobra"
)

// output is the value of -o.
type output string

// outputFlag gives cmd -o.
func outputFlag(cmd *cobra.Command) *output {
	o := output("table")
	cmd.Flags().VarP(&o, "output", "o", "table or json")
	oneOf(cmd, "output", "table", "json")
	return &o
}

func (o *output) String() string { return string(*o) }
func (o *output) Type() string   { return "format" }
func (o *output) json() bool     { return *o == "json" }
func (o *output) Set(s string) error {
	if s != "table" && s != "json" {
		return errors.New("expected table or json")
	}
	*o = output(s)
	return nil
}

// writeJSON writes v for people and programs: indented, one document, nothing escaped for HTML.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
