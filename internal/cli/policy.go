package cli

import (
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"thymus/rules"
)

// policyCommand gathers what there is to do with policies in files.
func policyCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Validate, test, list and convert policies, and manage those of a running sidecar",
		Args: func(cmd *cobra.Command, args []string) error {
			return unknownCommand(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(validateCommand(std), testCommand(std), listCommand(std), convertCommand(std),
		getCommand(std), historyCommand(std), policyStatsCommand(std), applyCommand(std), deleteCommand(std), rollbackCommand(std), diffCommand(std))
	return cmd
}

// unknownCommand refuses what is no command below cmd, with the nearest that is.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%q is no command of %s, did you mean %q?", args[0], cmd.CommandPath(), nearestCommand(cmd, args[0]))
}

func listCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [POLICY_PATH...]",
		Short: "List the policies of the paths, or of a running sidecar, the built-in and the disabled ones too",
	}
	flags := manageFlags(cmd)
	running := cmd.Flags().Bool("running", false, "ask the running sidecar, as does --management")
	stored := cmd.Flags().Bool("stored", false, "those that the management API stored, "+storedHelp)
	out := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *stored {
			if len(args) > 0 || *running || flags.at != "" {
				return errors.New("--stored goes with neither policy paths, --running nor --management")
			}
			cfg, err := flags.source.load(std, nil, false)
			if err != nil {
				return err
			}
			return listStored(cfg, std, out.json())
		}
		if *running || flags.at != "" {
			if len(args) > 0 {
				return errors.New("expected policy paths, or --running or --management")
			}
			m, err := flags.open(std)
			if err != nil {
				return err
			}
			return listRemote(cmd.Context(), m, std, out.json())
		}
		cfg, err := flags.source.load(std, args, false)
		if err != nil {
			return err
		}
		set, err := rules.Load(cmd.Context(), ruleOptions(cfg))
		if err != nil {
			return err
		}
		if out.json() {
			return writeJSON(std.Out, map[string]any{"items": policyItems(set)})
		}
		w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tNAME\tVERSION\tFORM\tRULES\tDEFAULT\tENABLED\tORIGIN")
		for _, p := range policyItems(set) {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", line(p.ID), dash(line(p.Name)), dash(line(p.Version)), p.Form,
				p.Rules, dash(p.Default), strconv.FormatBool(p.Enabled), line(p.Origin))
		}
		return w.Flush()
	}
	return cmd
}

// policyItem is one policy as it is printed.
type policyItem struct {
	ID          string `json:"policy_id"`
	Name        string `json:"name,omitempty"`
	Version     string `json:"version,omitempty"`
	Description string `json:"description,omitempty"`
	Form        string `json:"form"`
	Rules       int    `json:"rules"`
	Default     string `json:"default_effect,omitempty"`
	Enabled     bool   `json:"enabled"`
	Origin      string `json:"origin"`
}

func policyItems(set *rules.Set) []policyItem {
	items := make([]policyItem, 0, len(set.Policies))
	for _, p := range set.Policies {
		items = append(items, policyItem{
			ID: p.ID, Name: p.Name, Version: p.Version, Description: p.Description, Form: string(p.Form),
			Rules: p.Rules, Default: p.Default.String(), Enabled: p.Enabled, Origin: p.Origin,
		})
	}
	return items
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// errNoPolicies is the answer to a command that needs policies and was given none.
var errNoPolicies = errors.New("expected a policy path, or policies.paths in the configuration")
