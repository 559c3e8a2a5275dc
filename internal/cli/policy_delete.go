package cli

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

// What became of a policy that was to be deleted.
const (
	deletedOutcome = "deleted"
	absentOutcome  = "absent"
)

// deleted is what became of one.
type deleted struct {
	ID      string `json:"policy_id"`
	Outcome string `json:"outcome"`
	Problem string `json:"problem,omitempty"`
}

func deleteCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete ID...",
		Short: "Remove policies from a running sidecar; their history stays, and rollback brings them back",
		Long: `Remove policies from a running sidecar, each by itself: what is refused does not keep the others. Their history stays, and
rollback brings them back.

With --stored they are taken out of the state directory of a sidecar that does not run: where a stored policy does not
compile with what lies in files, and the start is refused. The next start records the events.`,
		Args: some("ID"),
	}
	flags, out := manageFlags(cmd), outputFlag(cmd)
	ifRevision := revisionFlag(cmd, "if-revision", "only if the policy is at this `revision`")
	absent := cmd.Flags().Bool("ignore-not-found", false, "a policy that is not there is no error")
	stored := cmd.Flags().Bool("stored", false, "those that lie "+storedHelp)
	flags.completeIDs(cmd, std, 1<<10)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *stored {
			if flags.at != "" || *ifRevision > 0 || *absent {
				return errors.New("--stored goes with neither --management, --if-revision nor --ignore-not-found")
			}
			cfg, err := flags.source.load(std, nil, false)
			if err != nil {
				return err
			}
			return deleteStored(cfg, std, args, func(done []deleted) error { return printDeleted(std, done, out.json()) })
		}
		if *ifRevision > 0 && len(args) > 1 {
			return errors.New("--if-revision goes with one ID")
		}
		m, err := flags.open(std)
		if err != nil {
			return err
		}
		done := make([]deleted, 0, len(args))
		failed := false
		for _, id := range args {
			d := deleted{ID: id, Outcome: deletedOutcome}
			_, _, err := m.do(cmd.Context(), send{method: http.MethodDelete, path: policyPath(id), ifMatch: tagOf(*ifRevision)})
			var refused *refusal
			switch {
			case err == nil:
			case !errors.As(err, &refused):
				return errors.Join(printDeleted(std, done, out.json()), err)
			case refused.status == http.StatusNotFound && *absent:
				d.Outcome = absentOutcome
			default:
				d.Outcome, d.Problem, failed = refusedOutcome, refused.Error(), true
			}
			done = append(done, d)
		}
		if err := printDeleted(std, done, out.json()); err != nil {
			return err
		}
		if failed {
			return &exitError{code: exitRefused}
		}
		return nil
	}
	return cmd
}

// printDeleted says what became of each; refusals go to standard error, with the policy that they are about.
func printDeleted(std Stdio, done []deleted, asJSON bool) error {
	if asJSON {
		return writeJSON(std.Out, map[string]any{"items": done})
	}
	for _, d := range done {
		to, what := std.Out, d.Outcome
		if d.Problem != "" {
			to, what = std.Err, d.Problem
		}
		sep := " "
		if d.Problem != "" {
			what, sep = line(what), ": "
			if _, err := fmt.Fprint(to, "thymus: "); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(to, "%s%s%s\n", line(d.ID), sep, what); err != nil {
			return err
		}
	}
	return nil
}
