package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"thymus/internal/config"
	"thymus/internal/state"
	"thymus/pdp"
	"thymus/pdp/policy"
	"thymus/rules"
)

// storedHelp is what --stored says of itself.
const storedHelp = "in the state directory of a sidecar that does not run (dir), for a start that is refused"

// offline takes every event as owed: the next start records it.
type offline struct{}

// Publish implements state.Publisher.
func (offline) Publish(pdp.Class, *pdp.Event) bool { return false }

// Room implements state.Publisher.
func (offline) Room(pdp.Class) bool { return true }

// withStored opens the state of a sidecar that does not run.
func withStored(cfg *config.Config, f func(pdp.Store) error) (err error) {
	path := filepath.Join(cfg.Dir, stateFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--stored: %s holds no state; dir says where a sidecar's is", cfg.Dir)
	}
	lock, err := lockDir(cfg.Dir)
	if errors.Is(err, errDirInUse) {
		return fmt.Errorf("--stored: %s: a sidecar is running on it; ask that one, by --management", cfg.Dir)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	st, err := state.Open(path, offline{}, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	return f(st)
}

// keptItem is a stored policy as it is printed.
type keptItem struct {
	ID string `json:"policy_id"`
	policy.Revision
}

func listStored(cfg *config.Config, std Stdio, asJSON bool) error {
	return withStored(cfg, func(s pdp.Store) error {
		all, err := policy.Stored(s)
		if err != nil {
			return err
		}
		items := make([]keptItem, 0, len(all))
		for _, k := range all {
			items = append(items, keptItem(k))
		}
		if asJSON {
			return writeJSON(std.Out, map[string]any{"items": items})
		}
		w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tNAME\tVERSION\tFORM\tRULES\tENABLED\tREVISION\tUPDATED\tBY")
		for _, k := range items {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%t\t%d\t%s\t%s\n", line(k.ID), dash(line(k.Name)), dash(line(k.Version)), k.Form, k.Rules, k.Enabled,
				k.Revision.Revision, moment(&k.At), dash(line(k.Actor)))
		}
		return w.Flush()
	})
}

func getStored(cfg *config.Config, std Stdio, id string, asJSON bool) error {
	return withStored(cfg, func(s pdp.Store) error {
		all, err := policy.Stored(s)
		if err != nil {
			return err
		}
		for _, k := range all {
			switch {
			case k.ID != id:
				continue
			case asJSON:
				doc := map[string]any{"policy_id": k.ID, "form": k.Form, "revision": k.Revision.Revision, "text": string(k.Text)}
				return writeJSON(std.Out, doc)
			case k.Form == policy.Rego:
				_, err = std.Out.Write(k.Text)
				return err
			}
			text, err := indented(k.Text)
			if err == nil {
				_, err = std.Out.Write(text)
			}
			return err
		}
		return fmt.Errorf("%s: %w", id, policy.ErrNotFound)
	})
}

func deleteStored(cfg *config.Config, std Stdio, ids []string, out func([]deleted) error) error {
	return withStored(cfg, func(s pdp.Store) error {
		if err := policy.Drop(s, time.Now(), policy.Actor{Name: "offline"}, ids...); err != nil {
			return err
		}
		done := make([]deleted, len(ids))
		for i, id := range ids {
			done[i] = deleted{ID: id, Outcome: deletedOutcome}
		}
		return out(done)
	})
}

// storedHint adds to a refused start what can be done about a stored policy.
func storedHint(err error) error {
	var ps rules.Problems
	if !errors.As(err, &ps) {
		return err
	}
	for _, p := range ps {
		for _, text := range [...]string{p.File, p.Detail} {
			_, rest, ok := strings.Cut(text, "api:")
			if ok && (p.File != text || strings.HasPrefix(text, "api:")) {
				id, _, _ := strings.Cut(rest, " ")
				id = strings.TrimRight(id, ";:,.)")
				return fmt.Errorf("%w\napi: names what the management API stored; 'thymus policy get %s --stored' prints such a policy, 'thymus policy delete %s --stored' takes it out",
					err, id, id)
			}
		}
	}
	return err
}
