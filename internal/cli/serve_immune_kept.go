package cli

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"thymus/internal/config"
	"thymus/pdp"
	"thymus/pdp/immune"
)

// What is kept of detection for the next start, sealed: an incident that goes on knows its subject by name, as a threat
// and a quarantine need it.
const (
	// windowsFile holds what detection was in the middle of, where the journal's end cannot be looked at again because masks
	// take names from it. What was observed since lies beside it: see seen.
	windowsFile = "detect.windows"
	// pendingFile holds what was found and is not stored: while Redis is away, or because the process ends.
	pendingFile = "detect.pending"
)

// The content of windowsFile, before it is sealed, little endian:
//
//	 0  8    "thymkept"
//	 8  u64  when, Unix nanoseconds
//	16  u64  number of the first file of what was observed since
//	24  u32  length of the state, n
//	28  n    what AppendState wrote
//	 +       what AppendWindows wrote
const (
	keptMagic = "thymkept"
	keptFixed = 28
)

var errKept = errors.New("not what was kept of detection")

// snapshot is detection as it was behind the last record of a batch that the journal has.
type snapshot struct {
	content []byte
	next    uint64 // number of the first file of what is observed from here on
}

// blinded says whether masks take from policy.evaluated what detection looks at: then a start cannot read the journal's
// end again.
func blinded(masks []config.Mask) bool {
	seen := []string{"decision_id", "policy_revision", "agent_id", "subject_type", "agent_role", "action", "resource", "result", "evaluated_at"}
	return slices.ContainsFunc(masks, func(m config.Mask) bool {
		root, _, _ := strings.Cut(m.Path, ".")
		return slices.Contains(seen, root)
	})
}

// capture takes a snapshot. Every record that was observed is journaled, and nobody observes meanwhile.
func (m *immunity) capture() {
	le, l := binary.LittleEndian, m.seen
	b := make([]byte, 0, l.base+l.base/8+4<<10)
	b = le.AppendUint64(append(b, keptMagic...), uint64(time.Now().UnixNano()))
	b = le.AppendUint64(b, l.number+1)
	b = m.watcher.AppendState(append(b, 0, 0, 0, 0))
	le.PutUint32(b[keptFixed-4:], uint32(len(b)-keptFixed))
	b = m.watcher.AppendWindows(b)
	l.turn(len(b))
	l.ready.Store(&snapshot{b, l.number})
}

// keepWindows writes the last snapshot, if it is not yet, and then what is of no use any more behind it goes. What waits
// to be stored is written before it: what was found up to the snapshot is found no more.
func (m *immunity) keepWindows() {
	if m.seen == nil {
		return
	}
	s := m.seen.ready.Load()
	if s == nil {
		return
	}
	m.keepPending()
	if err := writeNew(filepath.Join(m.s.cfg.Dir, windowsFile), string(m.sealer.seal(s.content))); err != nil {
		m.s.log.Warn().Err(err).Msg("what detection is in the middle of cannot be kept")
	} else if err := m.seen.remove(s.next); err != nil {
		m.s.log.Warn().Err(err).Msg("what detection observed earlier cannot be removed")
	}
	m.seen.ready.Store(nil)
}

// recallWindows takes up what an earlier life was in the middle of.
func (m *immunity) recallWindows() {
	from, err := m.readWindows()
	if errors.Is(err, fs.ErrNotExist) {
		m.recall()
		m.dropWindows()
		return
	}
	if err != nil {
		m.s.log.Warn().Err(err).Msg("what detection was in the middle of cannot be read; windows begin anew")
		m.recall()
		m.dropWindows() // whatever it holds: it is of no use
		return
	}
	m.seen.replay(from, m.s.recording.EventLog().Next(), func(rec *pdp.Record) {
		if rec.Time > m.s.stored.quarantine.Released(immune.Subject{Type: rec.SubjectType, ID: rec.SubjectID}) {
			m.seeing.Lock()
			m.watcher.Observe(rec, m.found)
			m.seeing.Unlock()
		}
	})
}

// readWindows loads the last snapshot and gives the number of the first file of what was observed behind it.
func (m *immunity) readWindows() (from uint64, err error) {
	b, err := os.ReadFile(filepath.Join(m.s.cfg.Dir, windowsFile))
	if err == nil {
		b, err = m.sealer.open(b)
	}
	if err != nil {
		return 0, err
	}
	le := binary.LittleEndian
	if len(b) < keptFixed || string(b[:8]) != keptMagic || uint64(len(b)-keptFixed) < uint64(le.Uint32(b[24:])) {
		return 0, errKept
	}
	at, from, n := int64(le.Uint64(b[8:])), le.Uint64(b[16:]), keptFixed+int(le.Uint32(b[24:]))
	if err = m.watcher.LoadState(b[keptFixed:n]); err == nil {
		err = m.watcher.LoadWindows(b[n:])
	}
	if err != nil {
		return 0, err
	}
	const meanwhile = int64(time.Second) // a release that was stored when the snapshot was taken, and not yet known to it
	for _, s := range m.s.stored.quarantine.ReleasedSince(at - meanwhile) {
		m.watcher.Forget(s.Type, s.ID)
	}
	return from, nil
}

// dropWindows removes what is kept, where nothing more will be: no names lie about that nobody needs.
func (m *immunity) dropWindows() {
	err := os.Remove(filepath.Join(m.s.cfg.Dir, windowsFile))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err = errors.Join(err, removeSeen(m.s.cfg.Dir, seenPrefix, math.MaxUint64)); err != nil {
		m.s.log.Warn().Err(err).Msg("what detection was in the middle of cannot be removed")
	}
}

// pending is what was kept last of what waits to be stored.
type pending struct {
	bytes []byte
	pause time.Time // until when it is not kept again: many that wait take long to write
}

// keepPending keeps what was found and is not stored. It belongs to one goroutine.
func (m *immunity) keepPending() {
	b := m.responder.Pending()
	if bytes.Equal(b, m.waiting.bytes) {
		return
	}
	path, begin := filepath.Join(m.s.cfg.Dir, pendingFile), time.Now()
	var err error
	if b == nil {
		if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	} else {
		err = writeNew(path, string(m.pendingSealer.seal(b)))
	}
	now := time.Now()
	m.waiting.pause = now.Add(20 * now.Sub(begin))
	if err != nil {
		m.s.log.Warn().Err(err).Msg("what was found and is not stored cannot be kept")
		return
	}
	m.waiting.bytes = b
}

// recallPending offers again what an earlier life found and could not store.
func (m *immunity) recallPending() {
	b, err := os.ReadFile(filepath.Join(m.s.cfg.Dir, pendingFile))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		b, err = m.pendingSealer.open(b)
	}
	n := 0
	if err == nil {
		m.waiting.bytes = b
		n, err = m.responder.Restore(b, time.Now().Add(-replayAge))
	}
	if err != nil {
		m.s.log.Error().Err(err).Msg("what an earlier life found and could not store cannot be read; it is lost")
		m.waiting.bytes = []byte("?") // nothing that could be kept is equal to it: what lies there goes with the next look
		return
	}
	m.s.log.Info().Int("findings", n).Msg("what an earlier life found and could not store is taken up")
}
