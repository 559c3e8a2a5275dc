package journal

import (
	"os"
)

// Retain applies the limits on size and age now. The journal does so by itself after each segment, each minute, and
// in Append where Strict bounds it.
//
// Whole segments go, the oldest first, and never the one that is written. A segment whose events every sink has settled
// goes when it is too old or when the size limit is passed; delivery is in order, so that those are the oldest. One that
// holds undelivered events goes only when the size limit forces it, which each sink counts as expired, and never with
// Strict.
func (j *Journal) Retain() { j.retain(0) }

// retain makes room for n bytes more.
func (j *Journal) retain(n int64) {
	j.retaining.Lock()
	defer j.retaining.Unlock()
	for {
		sinks := j.allSinks()
		j.mu.Lock()
		if len(j.segs) < 2 {
			j.mu.Unlock()
			return
		}
		s := j.segs[0]
		over := j.held+n > j.o.RetainSize
		j.mu.Unlock()
		old := j.o.RetainAge > 0 && s.high < j.o.Now().Add(-j.o.RetainAge).UnixNano()
		settled := true
		for _, k := range sinks {
			settled = settled && k.stored() >= s.next
		}
		if !over && !(old && settled) || !settled && j.o.Strict {
			return
		}
		j.drop(s, sinks)
	}
}

// drop removes the oldest segment. The sinks count first: a number below Oldest is never taken by one. If the process
// ends between the two, the segment is still there, and the sinks' files say what they said before.
func (j *Journal) drop(s segmentInfo, sinks []*Sink) {
	for _, k := range sinks {
		k.Gap(s.next)
	}
	j.mu.Lock()
	j.segs = j.segs[1:]
	j.held -= s.bytes
	j.stats.Expired += s.next - s.first
	j.mu.Unlock()
	// The side file goes last: lines without it would be foreign. What cannot be removed now goes at the next start,
	// whose retention sees it again.
	for _, ext := range []string{extLines, extSign, extSide} {
		_ = os.Remove(fileName(j.o.Dir, s.first, ext))
	}
}

// room makes sure that n bytes more may be held. Only Strict can refuse; otherwise the keeper makes room behind us,
// one segment late at most.
func (j *Journal) room(n int64) error {
	if !j.o.Strict {
		return nil
	}
	if j.tooMuch(n) {
		j.retain(n)
		if j.tooMuch(n) {
			return &LimitError{Held: j.heldNow(), Limit: j.o.RetainSize}
		}
	}
	return nil
}

func (j *Journal) tooMuch(n int64) bool { return j.heldNow()+n > j.o.RetainSize }

func (j *Journal) heldNow() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.held
}
