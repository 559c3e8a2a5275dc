package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"thymus/rules"
)

func diffCommand(std Stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff ID [REVISION [REVISION]]",
		Short: "Show how revisions of a policy differ: exit 0 the same, 1 different, 2 error",
		Long: `Show how a policy of a running sidecar differs from the revision before, from the one that is named, or how two
revisions differ; with --file how it differs from what a file would make of it.`,
		Args: cobra.RangeArgs(1, 3),
	}
	flags, out := manageFlags(cmd), outputFlag(cmd)
	flags.completeIDs(cmd, std, 1)
	file := cmd.Flags().String("file", "", "a `file` in place of a revision")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		m, err := flags.open(std)
		if err != nil {
			return err
		}
		old, now, err := m.sides(cmd.Context(), args, *file)
		if err != nil {
			return err
		}
		var text strings.Builder
		differs, err := printDiff(&text, old, now)
		if err == nil && out.json() {
			err = writeJSON(std.Out, map[string]any{"policy_id": args[0], "old": old.name, "new": now.name, "differs": differs, "diff": text.String()})
		} else if err == nil {
			_, err = io.WriteString(std.Out, text.String())
		}
		if err == nil && differs {
			err = &exitError{code: exitNo}
		}
		return err
	}
	return cmd
}

// side is one of two texts that are compared.
type side struct {
	name string
	text []byte
}

func (m *manager) sides(ctx context.Context, args []string, file string) (old, now side, err error) {
	id := args[0]
	if file != "" {
		if len(args) > 1 {
			return old, now, errors.New("--file stands in place of a revision; expected no other")
		}
		drafts, err := readDrafts(Stdio{In: strings.NewReader("")}, []string{file})
		if err != nil {
			return old, now, err
		}
		if now = (side{file, drafts[0].text}); drafts[0].problem != nil {
			return old, now, drafts[0].problem
		}
		if drafts[0].media != "text/plain" {
			if now.text, err = rules.JSON(now.text); err == nil {
				now.text, err = indented(now.text)
			}
		}
		if err != nil {
			return old, now, err
		}
		old.name = id
		old.text, err = m.source(ctx, policyPath(id))
		return old, now, err
	}
	revisions := args[1:]
	if len(revisions) == 0 {
		var p remotePolicy
		if err := m.get(ctx, policyPath(id), &p); err != nil {
			return old, now, err
		}
		if p.Revision == nil || *p.Revision == 1 {
			return old, now, fmt.Errorf("%s has no revision before this one", id)
		}
		revisions = []string{strconv.FormatUint(*p.Revision-1, 10)}
	}
	if old, err = m.revision(ctx, id, revisions[0]); err != nil {
		return old, now, err
	}
	if len(revisions) == 2 {
		now, err = m.revision(ctx, id, revisions[1])
		return old, now, err
	}
	now.name = id
	now.text, err = m.source(ctx, policyPath(id))
	return old, now, err
}

func (m *manager) revision(ctx context.Context, id, n string) (side, error) {
	if _, err := strconv.ParseUint(n, 10, 62); err != nil {
		return side{}, fmt.Errorf("got the revision %q, expected a number from 1", n)
	}
	text, err := m.source(ctx, policyPath(id)+"/revisions/"+n)
	return side{id + " revision " + n, text}, err
}

// diffContext is how many lines are shown around a difference.
const diffContext = 3

// printDiff prints a unified diff and says whether there is anything in it.
func printDiff(w io.Writer, old, now side) (bool, error) {
	if bytes.Equal(old.text, now.text) {
		return false, nil
	}
	edits := diffLines(splitLines(old.text), splitLines(now.text))
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", old.name, now.name)
	for i := 0; i < len(edits); {
		if edits[i].mark == ' ' {
			i++
			continue
		}
		from, to := max(0, i-diffContext), i
		for quiet := 0; to < len(edits) && quiet <= 2*diffContext; to++ {
			if quiet++; edits[to].mark != ' ' {
				quiet = 0
			}
		}
		for to > i && edits[to-1].mark == ' ' {
			to--
		}
		end := min(len(edits), to+diffContext)
		hunk(&out, edits, from, end)
		i = end
	}
	_, err := io.WriteString(w, out.String())
	return true, err
}

func hunk(out *strings.Builder, edits []edit, from, end int) {
	a, b := 1, 1
	for _, e := range edits[:from] {
		a, b = a+e.old(), b+e.now()
	}
	olds, news := 0, 0
	for _, e := range edits[from:end] {
		olds, news = olds+e.old(), news+e.now()
	}
	fmt.Fprintf(out, "@@ -%d,%d +%d,%d @@\n", a, olds, b, news)
	for _, e := range edits[from:end] {
		out.WriteString(string(e.mark) + e.text + "\n")
	}
}

func splitLines(text []byte) []string {
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// edit is one line of a diff: kept (space), gone (-) or new (+).
type edit struct {
	mark byte
	text string
}

func (e edit) old() int {
	if e.mark == '+' {
		return 0
	}
	return 1
}

func (e edit) now() int {
	if e.mark == '-' {
		return 0
	}
	return 1
}

// maxTable bounds the table that diffLines makes, in cells; larger texts are shown as replaced whole.
const maxTable = 16 << 20

// diffLines finds the fewest lines to take out and put in, by the longest common subsequence.
func diffLines(a, b []string) (out []edit) {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		out = append(out, edit{' ', a[0]})
		a, b = a[1:], b[1:]
	}
	tail := 0
	for tail < len(a) && tail < len(b) && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	kept := a[len(a)-tail:]
	a, b = a[:len(a)-tail], b[:len(b)-tail]
	common := make([][]int32, len(a)+1)
	if (len(a)+1)*(len(b)+1) <= maxTable {
		for i := range common {
			common[i] = make([]int32, len(b)+1)
		}
		for i := len(a) - 1; i >= 0; i-- {
			for j := len(b) - 1; j >= 0; j-- {
				if common[i][j] = max(common[i+1][j], common[i][j+1]); a[i] == b[j] {
					common[i][j] = common[i+1][j+1] + 1
				}
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && common[i] != nil && a[i] == b[j]:
			out = append(out, edit{' ', a[i]})
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || common[i] == nil || common[i+1][j] >= common[i][j+1]):
			out = append(out, edit{'-', a[i]})
			i++
		default:
			out = append(out, edit{'+', b[j]})
			j++
		}
	}
	for _, l := range kept {
		out = append(out, edit{' ', l})
	}
	return out
}
