package cli

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"thymus/internal/config"
)

// windowsFile holds what detection was in the middle of, where the journal's end cannot be looked at again. It lies there
// sealed: an incident that goes on knows its subject by name, as a threat and a quarantine need it, and this file is made
// only where masks take names from what is written.
const windowsFile = "detect.windows"

// windows are what was kept last, before it was sealed.
type windows struct {
	bytes    []byte
	revision string
}

// blinded says whether masks take from policy.evaluated what detection looks at: then a start cannot read the journal's
// end again.
func blinded(masks []config.Mask) bool {
	seen := []string{"policy_revision", "agent_id", "subject_type", "agent_role", "action", "resource", "result", "evaluated_at"}
	return slices.ContainsFunc(masks, func(m config.Mask) bool {
		root, _, _ := strings.Cut(m.Path, ".")
		return slices.Contains(seen, root)
	})
}

// keepWindows keeps what detection is in the middle of, about once a second. It belongs to one goroutine.
func (m *immunity) keepWindows() {
	b := make([]byte, 0, len(m.kept.bytes)+4<<10)
	m.seeing.Lock()
	b, revision := m.watcher.AppendWindows(b), m.watcher.Revision()
	m.seeing.Unlock()
	if bytes.Equal(b, m.kept.bytes) {
		return
	}
	if revision != m.kept.revision {
		m.memorise() // windows are good with a state of the same revision
	}
	if err := writeNew(filepath.Join(m.s.cfg.Dir, windowsFile), string(m.sealer.seal(b))); err != nil {
		m.s.log.Warn().Err(err).Msg("what detection is in the middle of cannot be kept")
		return
	}
	m.kept = windows{b, revision}
}

// recallWindows takes up what an earlier life was in the middle of.
func (m *immunity) recallWindows() {
	path := filepath.Join(m.s.cfg.Dir, windowsFile)
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(path)
	}
	if err == nil {
		b, err = m.sealer.open(b)
	}
	if err == nil {
		err = m.watcher.LoadWindows(b)
	}
	if err != nil {
		m.s.log.Warn().Err(err).Msg("what detection was in the middle of cannot be read; windows begin anew")
		m.dropWindows() // whatever it holds: it is of no use
		return
	}
	for _, s := range m.s.stored.quarantine.ReleasedSince(st.ModTime().UnixNano()) {
		m.watcher.Forget(s.Type, s.ID) // a kill came between the release and what is kept
	}
}

// dropWindows removes what is kept, where nothing more will be: no names lie about that nobody needs.
func (m *immunity) dropWindows() {
	if err := os.Remove(filepath.Join(m.s.cfg.Dir, windowsFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.s.log.Warn().Err(err).Msg("what detection was in the middle of cannot be removed")
	}
}
