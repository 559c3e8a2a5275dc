package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Version is what this binary was built from.
type Version struct {
	Version  string `json:"version"`            // the module's; "(devel)" where it was built from a working tree
	Revision string `json:"revision,omitempty"` // the commit; empty where the build did not look
	Time     string `json:"time,omitempty"`     // the commit's
	Modified bool   `json:"modified,omitempty"` // the working tree differed from the commit
	Go       string `json:"go"`
	OPA      string `json:"opa"`
	Platform string `json:"platform"`
}

// BuildVersion reads it from the binary itself.
func BuildVersion() Version {
	v := Version{Version: "(unknown)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	for _, d := range info.Deps {
		if d.Path == "github.com/open-policy-agent/opa" {
			v.OPA = d.Version
		}
	}
	return v
}

func versionCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print what this binary was built from",
		Args:  cobra.NoArgs,
	}
	out := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		v := BuildVersion()
		if out.json() {
			return writeJSON(std.Out, v)
		}
		fmt.Fprintln(std.Out, "thymus", v.Version)
		if v.Revision != "" {
			changed := ""
			if v.Modified {
				changed = ", modified"
			}
			fmt.Fprintf(std.Out, "revision  %s (%s%s)\n", v.Revision, v.Time, changed)
		}
		fmt.Fprintf(std.Out, "go        %s\nopa       %s\nplatform  %s\n", v.Go, v.OPA, v.Platform)
		return nil
	}
	return cmd
}
