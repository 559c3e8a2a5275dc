package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"thymus/internal/config"
)

// configSource is what the command line says about the configuration.
type configSource struct {
	file string
	set  []config.Assignment // in the order of the command line
}

// configFlags gives cmd --config and --set, and with named the flags that keys have of their own.
func configFlags(cmd *cobra.Command, named bool) *configSource {
	s := &configSource{}
	f := cmd.Flags()
	f.StringVar(&s.file, "config", "", "YAML `file` (also THYMUS_CONFIG)")
	f.Var(&setFlag{s}, "set", "set a key of the configuration, such as data.deadline=20ms; may be repeated")
	if !named {
		return s
	}
	for _, k := range config.Schema() {
		if k.Flag == "" {
			continue
		}
		v := f.VarPF(&keyFlag{source: s, key: k}, k.Flag, "", k.Doc)
		if k.Bool() {
			v.NoOptDefVal = "true"
		}
		v.DefValue = k.Default
	}
	return s
}

// load reads all sources of the configuration. paths are policies named as arguments, which replace those of the other
// sources; exist makes it an error that a file named in a value is missing.
func (s *configSource) load(std Stdio, paths []string, exist bool) (*config.Config, error) {
	set := s.set
	if len(paths) > 0 {
		set = append(set[:len(set):len(set)], config.Assignment{Key: "policies.paths", Values: paths, Flag: "argument"})
	}
	return config.Load(config.Options{File: s.file, Environ: std.Environ, Set: set, UID: std.UID, Exist: exist})
}

// setFlag is --set.
type setFlag struct{ source *configSource }

func (v *setFlag) String() string { return "" }
func (v *setFlag) Type() string   { return "key=value" }
func (v *setFlag) Set(arg string) error {
	a, err := config.Set(arg)
	if err != nil {
		return errors.New("expected key=value") // pflag says the rest
	}
	v.source.set = append(v.source.set, a)
	return nil
}

// keyFlag is a key's own flag.
type keyFlag struct {
	source *configSource
	key    config.Key
}

func (v *keyFlag) String() string { return "" }
func (v *keyFlag) Type() string {
	switch {
	case v.key.Bool():
		return "bool"
	case v.key.List:
		return "list"
	}
	return "value"
}

func (v *keyFlag) Set(text string) error {
	v.source.set = append(v.source.set,
		config.Assignment{Key: v.key.Name, Values: []string{text}, Flag: "--" + v.key.Flag, Text: true})
	return nil
}

// flagError names the nearest flag to one that is not known.
func flagError(cmd *cobra.Command, err error) error {
	unknown := new(pflag.NotExistError)
	if !errors.As(err, &unknown) || len(unknown.GetSpecifiedName()) < 2 {
		return err
	}
	var names []string
	add := func(f *pflag.Flag) { names = append(names, f.Name) }
	cmd.Flags().VisitAll(add)
	name, _, _ := strings.Cut(unknown.GetSpecifiedName(), "=")
	return fmt.Errorf("--%s: unknown flag, did you mean --%s?", name, config.Nearest(name, names))
}
