package journal

import (
	"fmt"
	"path/filepath"
)

// Repair says what Open found and did.
type Repair struct {
	Fresh     bool      // there was no journal
	Segments  int       // after the repair
	Withdrawn int64     // bytes of lines cut because no side record covers them: they were never journaled
	Torn      int64     // bytes of incomplete side records cut
	Dropped   int       // segments removed that a crash had only begun
	Lost      uint64    // events that side records cover and whose lines are gone (power failure); their numbers stay unused
	Skipped   uint64    // numbers left unused because a sink had already delivered events under them
	Adopted   uint64    // lines whose side record was gone, numbered anew; their records are missing from the totals
	Damage    []Problem // what could not be repaired: readers report it as gaps
}

// Clean says whether there was nothing to repair.
func (r *Repair) Clean() bool {
	return r.Withdrawn == 0 && r.Torn == 0 && r.Dropped == 0 && r.Lost == 0 && r.Skipped == 0 && r.Adopted == 0 &&
		len(r.Damage) == 0
}

// String is one line for a log.
func (r *Repair) String() string {
	if r.Fresh {
		return "new journal"
	}
	return fmt.Sprintf("%d segments, %d bytes withdrawn, %d torn, %d segments dropped, %d events lost, %d numbers skipped, "+
		"%d lines adopted, %d damages", r.Segments, r.Withdrawn, r.Torn, r.Dropped, r.Lost, r.Skipped, r.Adopted, len(r.Damage))
}

func (r *Repair) damage(path string, format string, args ...any) {
	r.Damage = append(r.Damage, Problem{File: filepath.Base(path), Why: fmt.Sprintf(format, args...)})
}
