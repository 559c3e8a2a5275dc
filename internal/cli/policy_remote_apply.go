package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"thymus/rules"
)

const (
	applyAtOnce = 512     // changes under way: those that wait share a compilation
	maxApplied  = 1 << 20 // bytes of one policy
)

func applyCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "apply FILE...",
		Short: "Store policies in a running sidecar: exit 0 all taken, 1 some refused, 2 error",
		Long: `Store each policy (.json, .yaml, .yml, .rego; a folder stands for those in it, - for standard input) in a running
sidecar, in place of the one of its id or as a new one. What is the same already is not changed. Each is taken or refused
by itself.`,
		Args: some("FILE"),
	}
	flags, out := manageFlags(cmd), outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		drafts, err := readDrafts(std, args)
		if err != nil {
			return err
		}
		m, err := flags.open(std)
		if err != nil {
			return err
		}
		done, err := m.applyAll(cmd.Context(), drafts)
		if err != nil {
			return err
		}
		refused := false
		for _, a := range done {
			refused = refused || a.Outcome == refusedOutcome
		}
		if err := printApplied(std, done, out.json()); err != nil {
			return err
		}
		if refused {
			return &exitError{code: exitNo}
		}
		return nil
	}
	return cmd
}

// draftFile is one policy on its way to a sidecar.
type draftFile struct {
	name, id, media string
	text            []byte
	problem         error // why it need not be sent
}

func readDrafts(std Stdio, args []string) (out []draftFile, err error) {
	for _, arg := range args {
		if arg == "-" {
			text, err := io.ReadAll(io.LimitReader(std.In, maxApplied+1))
			if err != nil {
				return nil, err
			}
			d, err := newDraft("standard input", mediaOf(text), text)
			if err != nil {
				return nil, err
			}
			out = append(out, d)
			continue
		}
		err := filepath.WalkDir(arg, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			media := mediaOfFile(path)
			if media == "" {
				if path == arg {
					return fmt.Errorf("%s: expected a name that ends in .json, .yaml, .yml or .rego", path)
				}
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			d, err := newDraft(path, media, text)
			if err == nil {
				out = append(out, d)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		return nil, errors.New("there is no policy in what was named")
	}
	return out, nil
}

func mediaOfFile(path string) string {
	switch filepath.Ext(path) {
	case ".json":
		return "application/json"
	case ".yaml", ".yml":
		return "application/yaml"
	case ".rego":
		if !strings.HasSuffix(path, "_test.rego") {
			return "text/plain"
		}
	}
	return ""
}

// mediaOf guesses the form of a policy without a name.
func mediaOf(text []byte) string {
	for l := range strings.Lines(string(text)) {
		l = strings.TrimSpace(l)
		switch {
		case l == "" || strings.HasPrefix(l, "#"):
		case strings.HasPrefix(l, "package "):
			return "text/plain"
		case strings.HasPrefix(l, "{"):
			return "application/json"
		default:
			return "application/yaml"
		}
	}
	return "application/yaml"
}

func newDraft(name, media string, text []byte) (d draftFile, err error) {
	d = draftFile{name: name, media: media, text: text}
	if len(text) > maxApplied {
		return d, fmt.Errorf("%s: expected at most %d bytes", name, maxApplied)
	}
	if media == "text/plain" {
		d.id, err = rules.RegoID(text)
	} else {
		d.id, err = rules.StructuredID(text)
	}
	if ps := (rules.Problems)(nil); errors.As(err, &ps) {
		for i := range ps {
			ps[i].File = ""
			d.id = ps[i].Policy
		}
		d.problem, err = ps, nil
	}
	return d, err
}

// What became of a policy that was applied.
const (
	createdOutcome   = "created"
	updatedOutcome   = "updated"
	unchangedOutcome = "unchanged"
	refusedOutcome   = "refused"
)

// applied is what became of one.
type applied struct {
	ID       string  `json:"policy_id"`
	File     string  `json:"file"`
	Outcome  string  `json:"outcome"`
	Revision *uint64 `json:"revision"`
	Problem  string  `json:"problem,omitempty"`
}

// applyAll stores policies. Its error ends the attempt; a policy that is refused is told as such.
func (m *manager) applyAll(ctx context.Context, drafts []draftFile) ([]applied, error) {
	out, errs := make([]applied, len(drafts)), make([]error, len(drafts))
	turns := make(chan struct{}, applyAtOnce)
	var done sync.WaitGroup
	for i := range drafts {
		turns <- struct{}{}
		done.Go(func() {
			defer func() { <-turns }()
			out[i], errs[i] = m.apply(ctx, &drafts[i])
		})
	}
	done.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (m *manager) apply(ctx context.Context, d *draftFile) (applied, error) {
	a := applied{ID: d.id, File: d.name, Outcome: updatedOutcome}
	if d.problem != nil {
		a.Outcome, a.Problem = refusedOutcome, d.problem.Error()
		return a, nil
	}
	var refused *refusal
	_, before, err := m.do(ctx, send{method: http.MethodGet, path: policyPath(d.id)})
	if errors.As(err, &refused) && refused.status == http.StatusNotFound {
		a.Outcome = createdOutcome
	} else if err != nil {
		return a, err
	}
	body, after, err := m.do(ctx, send{method: http.MethodPut, path: policyPath(d.id), media: d.media, body: d.text})
	if errors.As(err, &refused) && !refused.ofCaller() {
		a.Outcome, a.Problem = refusedOutcome, refused.Error()
		return a, nil
	}
	if err != nil {
		return a, err
	}
	if a.Outcome == updatedOutcome && before.Get("ETag") == after.Get("ETag") {
		a.Outcome = unchangedOutcome
	}
	var p remotePolicy
	err = m.read(body, &p)
	a.Revision = p.Revision
	return a, err
}

func printApplied(std Stdio, all []applied, asJSON bool) error {
	if asJSON {
		return writeJSON(std.Out, map[string]any{"items": all})
	}
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tOUTCOME\tREVISION\tFILE")
	for _, a := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", dash(line(a.ID)), a.Outcome, revisionOf(&remotePolicy{Revision: a.Revision}), line(a.File))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, a := range all {
		for l := range strings.SplitSeq(a.Problem, "\n") {
			if l != "" {
				fmt.Fprintf(std.Err, "thymus: %s: %s\n", line(a.File), l)
			}
		}
	}
	return nil
}
