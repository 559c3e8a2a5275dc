package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// remotePolicy is a policy as the management plane tells it.
type remotePolicy struct {
	ID       string          `json:"policy_id"`
	Name     string          `json:"name"`
	Version  string          `json:"version"`
	Form     string          `json:"form"`
	Rules    int             `json:"rules_count"`
	Default  *string         `json:"default_effect"`
	Enabled  bool            `json:"enabled"`
	Origin   string          `json:"origin"`
	Revision *uint64         `json:"revision"`
	Updated  *float64        `json:"updated_at"`
	By       *string         `json:"updated_by"`
	Rego     string          `json:"rego"`
	Policy   json.RawMessage `json:"policy"` // of a revision
}

func policyPath(id string) string { return "/v1/policies/" + url.PathEscape(id) }

// listRemote prints the policies of a running sidecar.
func listRemote(ctx context.Context, m *manager, std Stdio, asJSON bool) error {
	items, err := m.pages(ctx, "/v1/policies", nil, 0)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(std.Out, map[string]any{"items": items})
	}
	all, err := readItems[remotePolicy](m, items)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tVERSION\tFORM\tRULES\tDEFAULT\tENABLED\tREVISION\tUPDATED\tBY\tORIGIN")
	for _, p := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%t\t%s\t%s\t%s\t%s\n", line(p.ID), dash(line(p.Name)), dash(line(p.Version)), p.Form,
			p.Rules, optional(p.Default), p.Enabled, revisionOf(&p), moment(p.Updated), optional(p.By), line(p.Origin))
	}
	return w.Flush()
}

func optional(s *string) string {
	if s == nil {
		return "-"
	}
	return dash(line(*s))
}

func revisionOf(p *remotePolicy) string {
	if p.Revision == nil {
		return "-"
	}
	return strconv.FormatUint(*p.Revision, 10)
}

func getCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get ID",
		Short: "Print a policy of a running sidecar: its source, or with -o json all that is known of it",
		Args:  wanted("ID"),
	}
	flags, out := manageFlags(cmd), outputFlag(cmd)
	revision := revisionFlag(cmd, "revision", "as it was at this `revision`")
	stored := cmd.Flags().Bool("stored", false, "one that lies "+storedHelp)
	flags.completeIDs(cmd, std, 1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *stored {
			if *revision > 0 || flags.at != "" {
				return errors.New("--stored goes with neither --revision nor --management")
			}
			cfg, err := flags.source.load(std, nil, false)
			if err != nil {
				return err
			}
			return getStored(cfg, std, args[0], out.json())
		}
		m, err := flags.open(std)
		if err != nil {
			return err
		}
		path := policyPath(args[0])
		if *revision > 0 {
			path += "/revisions/" + strconv.FormatUint(uint64(*revision), 10)
		}
		if out.json() {
			var doc json.RawMessage
			if err := m.get(cmd.Context(), path, &doc); err != nil {
				return err
			}
			return writeJSON(std.Out, doc)
		}
		text, err := m.source(cmd.Context(), path)
		if err != nil {
			return err
		}
		_, err = std.Out.Write(text)
		return err
	}
	return cmd
}

// serverKeys are the members of a policy that are the server's word on it.
func serverKeys() []string {
	return []string{"form", "rules_count", "origin", "read_only", "revision", "digest", "created_at", "updated_at", "updated_by"}
}

// source is what a policy's author wrote: Rego, or JSON by lines.
func (m *manager) source(ctx context.Context, path string) ([]byte, error) {
	body, _, err := m.do(ctx, send{method: http.MethodGet, path: path})
	if err != nil {
		return nil, err
	}
	var p remotePolicy
	if err := m.read(body, &p); err != nil {
		return nil, err
	}
	switch {
	case p.Rego != "":
		return []byte(p.Rego), nil
	case p.Policy != nil:
		body = p.Policy
	}
	return indented(body)
}

// indented is a structured policy by lines, without what the server adds.
func indented(text []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	server := map[string]bool{}
	for _, k := range serverKeys() {
		server[k] = true
	}
	b := []byte{'{'}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return nil, err
		}
		if server[fmt.Sprint(name)] {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, key...), ':'), v...)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, append(b, '}'), "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// tagOf is the entity tag of a revision; empty for 0.
func tagOf(n revision) string {
	if n == 0 {
		return ""
	}
	return `"` + n.String() + `"`
}

func rollbackCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollback ID REVISION",
		Short: "Return a policy of a running sidecar to an earlier revision",
		Args:  wanted("ID", "REVISION"),
	}
	flags, out := manageFlags(cmd), outputFlag(cmd)
	ifRevision := revisionFlag(cmd, "if-revision", "only if the policy is at this `revision` now")
	flags.completeIDs(cmd, std, 1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		n, err := strconv.ParseUint(args[1], 10, 62)
		if err != nil || n == 0 {
			return fmt.Errorf("got the revision %q, expected a number from 1", args[1])
		}
		m, err := flags.open(std)
		if err != nil {
			return err
		}
		body := fmt.Appendf(nil, `{"revision":%d}`, n)
		doc, _, err := m.do(cmd.Context(), send{method: http.MethodPost, path: policyPath(args[0]) + "/rollback", media: "application/json",
			body: body, ifMatch: tagOf(*ifRevision)})
		if err != nil {
			return err
		}
		if out.json() {
			return writeJSON(std.Out, json.RawMessage(doc))
		}
		var p remotePolicy
		if err := m.read(doc, &p); err != nil {
			return err
		}
		_, err = fmt.Fprintf(std.Out, "%s is at revision %s, which is what %d was\n", line(p.ID), revisionOf(&p), n)
		return err
	}
	return cmd
}
