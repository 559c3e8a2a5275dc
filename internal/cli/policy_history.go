package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// remoteRevision is one entry of a policy's history as the management plane tells it.
type remoteRevision struct {
	Revision uint64   `json:"revision"`
	Action   string   `json:"action"`
	From     uint64   `json:"from"`
	Updated  *float64 `json:"updated_at"`
	By       *string  `json:"updated_by"`
	Form     string   `json:"form"`
	Version  string   `json:"version"`
	Enabled  bool     `json:"enabled"`
	Rules    int      `json:"rules_count"`
	Digest   string   `json:"digest"`
}

func historyCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history ID",
		Short: "List the revisions of a policy of a running sidecar, newest first; of a deleted one too",
		Args:  wanted("ID"),
	}
	flags, out := manageFlags(cmd), outputFlag(cmd)
	limit := cmd.Flags().Int("limit", 0, "at most this `many`; 0 is all")
	flags.completeIDs(cmd, std, 1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *limit < 0 {
			return fmt.Errorf("--limit: got %d, expected 0 or more", *limit)
		}
		m, err := flags.open(std)
		if err != nil {
			return err
		}
		items, err := m.pages(cmd.Context(), policyPath(args[0])+"/revisions", nil, *limit)
		if err != nil {
			return err
		}
		if out.json() {
			return writeJSON(std.Out, map[string]any{"items": items})
		}
		all, err := readItems[remoteRevision](m, items)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "REVISION\tACTION\tVERSION\tFORM\tRULES\tENABLED\tUPDATED\tBY\tDIGEST")
		for _, r := range all {
			action := r.Action
			if r.From > 0 {
				action += " to " + strconv.FormatUint(r.From, 10)
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%t\t%s\t%s\t%s\n", r.Revision, line(action), dash(line(r.Version)), dash(r.Form), r.Rules, r.Enabled,
				moment(r.Updated), optional(r.By), dash(r.Digest[:min(len(r.Digest), 12)]))
		}
		return w.Flush()
	}
	return cmd
}

// remoteStats is what a policy did, as the management plane tells it.
type remoteStats struct {
	Evaluations uint64       `json:"evaluations"`
	Matches     uint64       `json:"matches"`
	Outranked   uint64       `json:"outranked"`
	Last        *float64     `json:"last_match"`
	Rules       []remoteRule `json:"rules"`
}

type remoteRule struct {
	ID        string   `json:"rule_id"`
	Matches   uint64   `json:"matches"`
	Outranked uint64   `json:"outranked"`
	Last      *float64 `json:"last_match"`
}

func policyStatsCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stats [ID]",
		Short: "Say what the policies of a running sidecar did since its start: all together, or one and each of its rules",
		Args:  cobra.MaximumNArgs(1),
	}
	flags, out := manageFlags(cmd), outputFlag(cmd)
	flags.completeIDs(cmd, std, 1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		m, err := flags.open(std)
		if err != nil {
			return err
		}
		path := "/v1/policies/stats"
		if len(args) > 0 {
			path = policyPath(args[0]) + "/stats"
		}
		var doc json.RawMessage
		if err := m.get(cmd.Context(), path, &doc); err != nil {
			return err
		}
		if out.json() {
			return writeJSON(std.Out, doc)
		}
		w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
		if len(args) == 0 {
			var all map[string]uint64
			if err := m.read(doc, &all); err != nil {
				return err
			}
			for _, name := range []string{"total_policies", "active_policies", "total_rules", "total_evaluations", "total_allows", "total_denies",
				"total_warnings", "total_audits"} {
				fmt.Fprintf(w, "%s\t%d\n", name, all[name])
			}
			return w.Flush()
		}
		var s remoteStats
		if err := m.read(doc, &s); err != nil {
			return err
		}
		fmt.Fprintf(w, "evaluations\t%d\nmatches\t%d\noutranked\t%d\nlast match\t%s\n\nRULE\tMATCHES\tOUTRANKED\tLAST MATCH\n", s.Evaluations, s.Matches, s.Outranked, moment(s.Last))
		for _, r := range s.Rules {
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", cmp.Or(line(r.ID), "-"), r.Matches, r.Outranked, moment(r.Last))
		}
		return w.Flush()
	}
	return cmd
}
