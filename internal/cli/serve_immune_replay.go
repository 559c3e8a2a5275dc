package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"thymus/emitter"
	"thymus/emitter/journal"
	"thymus/pdp"
	"thymus/pdp/detect"
	"thymus/pdp/immune"
)

// Bounds of what a start reads again.
const (
	replayAge    = 10 * time.Minute
	replayEvents = 400_000
	replayTime   = 2 * time.Second
)

// replay shows the detectors the journal's end, so that a restart neither forgets what was going on nor loses what a
// kill kept from being found. What was found before is found again under the same incident, and does nothing twice. What
// the ring holds of an earlier life comes behind it, by the pump.
func (m *immunity) replay() {
	s, begin := m.s, time.Now()
	flags := m.recallFlags(begin.Add(-replayAge).UnixNano())
	r, err := s.recording.ReadJournal(begin.Add(-replayAge), replayEvents)
	if err != nil {
		s.log.Warn().Err(err).Msg("the journal's end is not read again: detection begins without a past")
		return
	}
	defer r.Close()
	var c journal.Chunk
	var h emitter.Head
	var rec pdp.Record
	n := 0
	for time.Since(begin) < replayTime {
		ok, err := r.Next(&c)
		if err != nil {
			s.log.Warn().Err(err).Msg("the journal's end is not read again: detection begins without a past")
		}
		if err != nil || !ok {
			break
		}
		for _, line := range c.All {
			if !emitter.ParseHead(line, &h) || string(h.Type) != emitter.TypeEvaluated {
				continue
			}
			if is, err := detect.ReadEvaluated(line, &rec); err != nil || !is || rec.Time < begin.Add(-replayAge).UnixNano() {
				continue
			}
			if rec.Time <= s.stored.quarantine.Released(immune.Subject{Type: rec.SubjectType, ID: rec.SubjectID}) {
				continue // its windows were cleared
			}
			rec.Flags |= flags[rec.ID]
			m.seeing.Lock()
			m.watcher.Observe(&rec, m.found)
			m.seeing.Unlock()
			n++
		}
	}
	s.log.Debug().Int("decisions", n).Dur("took_ms", time.Since(begin)).Msg("the journal's end read again")
}

// detectStateFile holds what the detectors learnt of subjects; without it they learn anew.
const detectStateFile = "detect.state"

// recall takes up what an earlier life learnt.
func (m *immunity) recall() {
	b, err := os.ReadFile(filepath.Join(m.s.cfg.Dir, detectStateFile))
	if err == nil {
		err = m.watcher.LoadState(b)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.s.log.Warn().Err(err).Msg("what the detectors had learnt cannot be read; they learn anew")
	}
}

// memorise keeps what the detectors learnt.
func (m *immunity) memorise() {
	m.seeing.Lock()
	b := m.watcher.AppendState(nil)
	m.seeing.Unlock()
	if err := writeNew(filepath.Join(m.s.cfg.Dir, detectStateFile), string(b)); err != nil {
		m.s.log.Warn().Err(err).Msg("what the detectors learnt cannot be kept")
	}
}

// ReadJournal reads from a time on, but no more than the last events.
func (e *events) ReadJournal(from time.Time, most uint64) (*journal.Reader, error) {
	r := e.journal.Reader(0)
	if err := r.SeekTime(from.UnixNano()); err != nil {
		return nil, err
	}
	if next := e.journal.Next(); next > most && r.Seq() < next-most {
		_ = r.Close() // another is opened
		r = e.journal.Reader(next - most)
	}
	return r, nil
}

// Pressure is how full the ring is, and what it refused.
func (e *events) Pressure() detect.Reading {
	p := detect.Reading{Ring: 100 * float64(e.ring.Backlog()) / float64(e.ring.Capacity())}
	for _, n := range e.ring.Shed() {
		p.Shed += n
	}
	return p
}

// Refuse counts a record that is left out on purpose.
func (e *events) Refuse(c pdp.Class) { e.ring.Refuse(c) }

// JournalDir is where the journal lies.
func (e *events) JournalDir() string { return e.journal.Dir() }
