package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// threatsCommand gathers what there is to do with the threats of a running sidecar.
func threatsCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "threats",
		Short: "List, show and resolve the threats of a running sidecar",
		Args:  func(cmd *cobra.Command, args []string) error { return unknownCommand(cmd, args) },
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(threatsListCommand(std), threatsShowCommand(std), threatsResolveCommand(std))
	return cmd
}

// remoteThreat is a threat as the management plane tells it.
type remoteThreat struct {
	ID          string          `json:"threat_id"`
	Type        string          `json:"type"`
	Source      string          `json:"source"`
	Severity    string          `json:"severity"`
	Status      string          `json:"status"`
	Description string          `json:"description"`
	Metadata    json.RawMessage `json:"metadata"`
	Count       int             `json:"count"`
	Detected    *float64        `json:"detected_at"`
	Updated     *float64        `json:"updated_at"`
	Mitigated   *float64        `json:"mitigated_at"`
	Resolution  string          `json:"resolution"`
}

// completeThreats lets the shell complete ids of threats.
func (m *managementFlags) completeThreats(cmd *cobra.Command, std Stdio) {
	complete(m, cmd, std, 1, "/v1/threats", func(t *remoteThreat) string {
		return line(t.ID) + "\t" + line(t.Severity+" "+t.Status+" "+t.Type+" "+t.Source)
	})
}

func threatsListCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List threats, newest first", Args: cobra.NoArgs}
	flags, out := manageFlags(cmd), outputFlag(cmd)
	status := cmd.Flags().StringSlice("status", nil, "only `these`, such as OPEN,INVESTIGATING")
	severity := cmd.Flags().StringSlice("severity", nil, "only `these`, such as HIGH,CRITICAL")
	oneOf(cmd, "status", "OPEN", "INVESTIGATING", "ESCALATED", "MITIGATED", "RESOLVED", "CLOSED")
	oneOf(cmd, "severity", "LOW", "MEDIUM", "HIGH", "CRITICAL")
	limit := cmd.Flags().Int("limit", 100, "at most this `many`; 0 is all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *limit < 0 {
			return fmt.Errorf("--limit: got %d, expected 0 or more", *limit)
		}
		m, err := flags.open(std)
		if err != nil {
			return err
		}
		q := url.Values{}
		for name, v := range map[string][]string{"status": *status, "severity": *severity} {
			if len(v) > 0 {
				q.Set(name, strings.ToUpper(strings.Join(v, ",")))
			}
		}
		items, err := m.pages(cmd.Context(), "/v1/threats", q, *limit)
		if err != nil {
			return err
		}
		if out.json() {
			return writeJSON(std.Out, map[string]any{"items": items})
		}
		all, err := readItems[remoteThreat](m, items)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tSEVERITY\tSTATUS\tTYPE\tSOURCE\tCOUNT\tDETECTED\tUPDATED")
		for _, t := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", line(t.ID), t.Severity, t.Status, line(t.Type), line(t.Source), t.Count,
				moment(t.Detected), moment(t.Updated))
		}
		return w.Flush()
	}
	return cmd
}

func threatsShowCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "show ID", Short: "Show one threat", Args: wanted("ID")}
	flags, out := manageFlags(cmd), outputFlag(cmd)
	flags.completeThreats(cmd, std)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		m, err := flags.open(std)
		if err != nil {
			return err
		}
		var doc json.RawMessage
		if err := m.get(cmd.Context(), "/v1/threats/"+url.PathEscape(args[0]), &doc); err != nil {
			return err
		}
		return m.printThreat(std, doc, out.json())
	}
	return cmd
}

func threatsResolveCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "resolve ID", Short: "Resolve a threat, or move it on to --status", Args: wanted("ID")}
	flags, out := manageFlags(cmd), outputFlag(cmd)
	flags.completeThreats(cmd, std)
	status := cmd.Flags().String("status", "RESOLVED", "INVESTIGATING, ESCALATED, MITIGATED, RESOLVED or CLOSED")
	oneOf(cmd, "status", "INVESTIGATING", "ESCALATED", "MITIGATED", "RESOLVED", "CLOSED")
	resolution := cmd.Flags().String("resolution", "", "`text` that says what was done")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		m, err := flags.open(std)
		if err != nil {
			return err
		}
		change := map[string]string{"status": strings.ToUpper(*status)}
		if *resolution != "" {
			change["resolution"] = *resolution
		}
		var doc json.RawMessage
		if err := m.post(cmd.Context(), http.MethodPatch, "/v1/threats/"+url.PathEscape(args[0]), change, &doc); err != nil {
			return err
		}
		return m.printThreat(std, doc, out.json())
	}
	return cmd
}

func (m *manager) printThreat(std Stdio, doc json.RawMessage, asJSON bool) error {
	if asJSON {
		return writeJSON(std.Out, doc)
	}
	var t remoteThreat
	if err := m.read(doc, &t); err != nil {
		return err
	}
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	for _, row := range [...][2]string{{"id", t.ID}, {"type", t.Type}, {"source", t.Source}, {"severity", t.Severity}, {"status", t.Status},
		{"count", fmt.Sprint(t.Count)}, {"detected", moment(t.Detected)}, {"updated", moment(t.Updated)}, {"mitigated", moment(t.Mitigated)},
		{"description", t.Description}, {"resolution", t.Resolution}, {"metadata", string(t.Metadata)}} {
		fmt.Fprintf(w, "%s\t%s\n", row[0], dash(line(row[1])))
	}
	return w.Flush()
}
