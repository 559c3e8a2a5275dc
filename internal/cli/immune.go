package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// immuneCommand gathers what there is to do with the immune system of a running sidecar.
func immuneCommand(std Stdio) *cobra.Command {
	group := func(use, short string, below ...*cobra.Command) *cobra.Command {
		cmd := &cobra.Command{Use: use, Short: short,
			Args: func(cmd *cobra.Command, args []string) error { return unknownCommand(cmd, args) },
			RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
		cmd.AddCommand(below...)
		return cmd
	}
	return group("immune", "Ask a running sidecar for its health, and quarantine subjects",
		immuneHealthCommand(std),
		group("quarantine", "Quarantine and release subjects, and list those that are",
			quarantineAddCommand(std), quarantineRemoveCommand(std), quarantineListCommand(std)))
}

func immuneHealthCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "health", Short: "Say what the immune events of the last minutes add up to: exit 0 no active issue, 1 some, 2 error",
		Args: cobra.NoArgs}
	flags, out := manageFlags(cmd), outputFlag(cmd)
	minutes := cmd.Flags().Int("minutes", 60, "the `window`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		m, err := flags.open(std)
		if err != nil {
			return err
		}
		var doc json.RawMessage
		if err := m.get(cmd.Context(), "/v1/immune/health?minutes="+strconv.Itoa(*minutes), &doc); err != nil {
			return err
		}
		var h struct {
			Active   int `json:"active_issues"`
			Critical int `json:"critical_issues"`
			Last     []struct {
				ID        int64    `json:"event_id"`
				Severity  string   `json:"severity"`
				Type      string   `json:"type"`
				Message   string   `json:"message"`
				AgentID   string   `json:"agent_id"`
				Published *float64 `json:"published_at"`
			} `json:"last_events"`
		}
		if err := m.read(doc, &h); err != nil {
			return err
		}
		if out.json() {
			err = writeJSON(std.Out, doc)
		} else {
			fmt.Fprintf(std.Out, "%s in the last %s, %d of them critical\n", count(h.Active, "active issue"), count(*minutes, "minute"), h.Critical)
			w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
			if len(h.Last) > 0 {
				fmt.Fprintln(w, "ID\tSEVERITY\tTYPE\tAGENT\tPUBLISHED\tMESSAGE")
			}
			for _, e := range h.Last {
				fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", e.ID, e.Severity, e.Type, dash(line(e.AgentID)), moment(e.Published), line(e.Message))
			}
			err = w.Flush()
		}
		if err == nil && h.Active > 0 {
			err = &exitError{code: exitNo}
		}
		return err
	}
	return cmd
}

// remoteQuarantine is a quarantined subject as the management plane tells it.
type remoteQuarantine struct {
	Type    string   `json:"type"`
	AgentID string   `json:"agent_id"`
	Reason  string   `json:"reason"`
	Since   *float64 `json:"since"`
	Until   *float64 `json:"until"`
	By      string   `json:"by"`
}

func quarantinePath(id, typ string) string {
	return "/v1/immune/quarantine/" + url.PathEscape(id) + "?" + url.Values{"type": {typ}}.Encode()
}

func quarantineAddCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "add ID", Short: "Deny every call of a subject", Args: wanted("ID")}
	flags, out := manageFlags(cmd), outputFlag(cmd)
	typ := cmd.Flags().String("type", "agent", "the subject's `type`")
	reason := cmd.Flags().String("reason", "", "`text` that becomes the decisions' reason")
	ttl := cmd.Flags().Duration("ttl", 0, "how `long`; default until it is removed")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *ttl != 0 && *ttl < time.Second {
			return errors.New("--ttl: expected at least 1s")
		}
		m, err := flags.open(std)
		if err != nil {
			return err
		}
		body := map[string]any{}
		if *reason != "" {
			body["reason"] = *reason
		}
		if *ttl > 0 {
			body["ttl_seconds"] = int64(*ttl / time.Second)
		}
		var doc json.RawMessage
		if err := m.post(cmd.Context(), http.MethodPut, quarantinePath(args[0], *typ), body, &doc); err != nil {
			return err
		}
		if out.json() {
			return writeJSON(std.Out, doc)
		}
		var q remoteQuarantine
		if err := m.read(doc, &q); err != nil {
			return err
		}
		until := "until it is removed"
		if q.Until != nil {
			until = "until " + moment(q.Until)
		}
		_, err = fmt.Fprintf(std.Out, "%s %s is quarantined %s\n", line(q.Type), line(q.AgentID), until)
		return err
	}
	return cmd
}

func quarantineRemoveCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "remove ID", Short: "Release a subject", Args: wanted("ID")}
	flags, out := manageFlags(cmd), outputFlag(cmd)
	complete(flags, cmd, std, 1, "/v1/immune/quarantine", func(q *remoteQuarantine) string { return line(q.AgentID) + "\t" + line(q.Type+" "+q.Reason) })
	typ := cmd.Flags().String("type", "agent", "the subject's `type`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		m, err := flags.open(std)
		if err != nil {
			return err
		}
		if _, _, err := m.do(cmd.Context(), send{method: http.MethodDelete, path: quarantinePath(args[0], *typ)}); err != nil {
			return err
		}
		if out.json() {
			return writeJSON(std.Out, map[string]string{"type": *typ, "agent_id": args[0], "outcome": "released"})
		}
		_, err = fmt.Fprintf(std.Out, "%s %s is released\n", line(*typ), line(args[0]))
		return err
	}
	return cmd
}

func quarantineListCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List who is quarantined", Args: cobra.NoArgs}
	flags, out := manageFlags(cmd), outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		m, err := flags.open(std)
		if err != nil {
			return err
		}
		items, err := m.pages(cmd.Context(), "/v1/immune/quarantine", nil, 0)
		if err != nil {
			return err
		}
		if out.json() {
			return writeJSON(std.Out, map[string]any{"items": items})
		}
		all, err := readItems[remoteQuarantine](m, items)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "TYPE\tID\tSINCE\tUNTIL\tBY\tREASON")
		for _, q := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", dash(line(q.Type)), line(q.AgentID), moment(q.Since), moment(q.Until), line(q.By), dash(line(q.Reason)))
		}
		return w.Flush()
	}
	return cmd
}
