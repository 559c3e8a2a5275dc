package cli

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"thymus/emitter/journal"
)

func verifyCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove that the journal is what was written: every checksum, number and digest",
		Long: `Prove that the journal is what was written: checksums, numbers, offsets and the chain of digests over all
batches and segments, up to the last side record. It may run beside the server. Exit code 0 if nothing is wrong, 1 if
something is, with the file and line of each problem.`,
		Args: cobra.NoArgs,
	}
	source, out := journalFlags(cmd), outputFlag(cmd)
	var public string
	cmd.Flags().StringVar(&public, "public-key", "", "PEM `file` with the Ed25519 key that checkpoints must be signed with")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, _, err := source.load(std)
		if err != nil {
			return err
		}
		var pub ed25519.PublicKey
		if public != "" {
			if pub, err = readPublicKey(public); err != nil {
				return fmt.Errorf("--public-key: %w", err)
			}
		}
		p := newProgress(std)
		rep, err := journal.Verify(dir, pub, func(done, total int64) { p.say("verified %s of %s", byteSize(done), byteSize(total)) })
		p.end()
		if err != nil {
			return err
		}
		return printReport(std, out, rep)
	}
	return cmd
}

func printReport(std Stdio, out *output, rep *journal.Report) error {
	if out.json() {
		if err := writeJSON(std.Out, reportDocument(rep)); err != nil {
			return err
		}
	} else {
		for _, p := range rep.Problems {
			fmt.Fprintln(std.Out, p)
		}
		verdict := "ok"
		if !rep.OK() {
			verdict = fmt.Sprintf("%d problems", len(rep.Problems))
		}
		fmt.Fprintf(std.Out, "%s: %d events (%d to %d) in %d segments, %d batches, head %s\n", verdict, rep.Events, rep.First,
			max(rep.Next, 1)-1, rep.Segments, rep.Batches, rep.Head)
		if rep.Unproven > 0 {
			fmt.Fprintf(std.Out, "%d events lie in lines whose side file was gone: nothing proves them\n", rep.Unproven)
		}
		if rep.Lost > 0 {
			fmt.Fprintf(std.Out, "%d events were lost with the system's last failure, and their numbers are not used\n", rep.Lost)
		}
	}
	if !rep.OK() {
		return &exitError{code: exitNo}
	}
	return nil
}

func reportDocument(rep *journal.Report) map[string]any {
	problems := []map[string]any{}
	for _, p := range rep.Problems {
		problems = append(problems, map[string]any{"file": p.File, "line": p.Line, "to": p.To, "why": p.Why})
	}
	return map[string]any{"ok": rep.OK(), "segments": rep.Segments, "batches": rep.Batches, "events": rep.Events, "first": rep.First,
		"next": rep.Next, "lost": rep.Lost, "unproven": rep.Unproven, "signed": rep.Signed, "head": rep.Head, "problems": problems}
}

func readPublicKey(path string) (ed25519.PublicKey, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New(path + ": no PEM block")
	}
	k, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	pub, ok := k.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New(path + ": no Ed25519 key")
	}
	return pub, nil
}
