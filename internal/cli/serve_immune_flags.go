package cli

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"thymus/pdp"
)

// Events do not say everything that detection looks at (CONTRACT 6). Where they say the rest, and a start reads the
// journal's end again, this is noted for the decisions that have it, so that they are read as they were: that a path
// differs, and that a decision was one of a dry run, for which nobody is quarantined.
const noted = pdp.FlagPathDiffers | pdp.FlagDryRun

// flagFiles is how many files of seenLeast bytes there may be: what they hold is no less than replayEvents decisions.
const flagFiles = 8

// note notes what an event of the record will not say, on the pump's goroutine.
func (m *immunity) note(rec *pdp.Record) {
	l := m.flags
	if rec.Flags&noted == 0 {
		return
	}
	if len(l.plain) == 0 && l.size > 0 && (l.size >= seenLeast || time.Since(l.at) >= keepEvery) {
		l.turn(0)
		m.forgetFlags()
	}
	l.add(&pdp.Record{Time: rec.Time, ID: rec.ID, Flags: rec.Flags & noted}, nil)
}

// forgetFlags removes what a start does not look at any more.
func (m *immunity) forgetFlags() {
	l, err := m.flags, error(nil)
	if l.number >= flagFiles {
		err = l.remove(l.number - flagFiles + 1)
	}
	for _, n := range seenFiles(l.dir, l.prefix) {
		name := filepath.Join(l.dir, l.prefix+strconv.FormatUint(n, 10))
		if st, e := os.Stat(name); n < l.number && e == nil && time.Since(st.ModTime()) > replayAge {
			if e := os.Remove(name); !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
	}
	if err != nil {
		m.s.log.Warn().Err(err).Msg("what was noted of earlier decisions cannot be removed")
	}
}

// recallFlags is what events of the last decisions do not say, by decision.
func (m *immunity) recallFlags(since int64) map[[16]byte]pdp.Flags {
	all := map[[16]byte]pdp.Flags{}
	m.flags.replay(0, math.MaxUint64, func(rec *pdp.Record) {
		if rec.Time >= since {
			all[rec.ID] = rec.Flags
		}
	})
	m.flags.turn(0)
	m.forgetFlags()
	return all
}
