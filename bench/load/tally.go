package load

import (
	"github.com/HdrHistogram/hdrhistogram-go"
)

// Bounds of what is recorded, in nanoseconds: a microsecond's thousandth to an hour, with three significant digits.
const (
	least   = 1
	longest = int64(3600e9)
	digits  = 3
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(least, longest, digits) }

// record adds a duration in nanoseconds, cut to the histogram's bounds.
func record(h *hdrhistogram.Histogram, ns int64) {
	_ = h.RecordValue(min(max(ns, least), longest)) // it refuses what is out of bounds, and nothing is
}

// tally is what one worker counts. It belongs to the worker until it has ended.
type tally struct {
	asked, sent, ok, wrong, unsent uint64
	faults                         [faults]uint64
	connectFailures, reconnects    uint64

	latency *hdrhistogram.Histogram // from the intended begin
	service *hdrhistogram.Histogram // from the write, of answered calls
	late    *hdrhistogram.Histogram // intended begin to write, where a connection was free
	turn    *hdrhistogram.Histogram // turns of the event loop: how long an answer may have lain unread
}

func newTally() *tally {
	return &tally{latency: newHistogram(), service: newHistogram(), late: newHistogram(), turn: newHistogram()}
}

// add takes in another worker's.
func (t *tally) add(o *tally) {
	t.asked += o.asked
	t.sent += o.sent
	t.ok += o.ok
	t.wrong += o.wrong
	t.unsent += o.unsent
	t.connectFailures += o.connectFailures
	t.reconnects += o.reconnects
	for i := range t.faults {
		t.faults[i] += o.faults[i]
	}
	t.latency.Merge(o.latency)
	t.service.Merge(o.service)
	t.late.Merge(o.late)
	t.turn.Merge(o.turn)
}

// errors are all calls that were sent and got no decision.
func (t *tally) errors() (n uint64) {
	for _, f := range t.faults {
		n += f
	}
	return n
}

// count takes in the answer to a call that wanted a verdict.
func (t *tally) count(a answer, want Verdict, latency, service int64) {
	switch {
	case a.fault == noFault && (want == Unknown || a.verdict == want):
		t.ok++
	case a.fault == noFault:
		t.wrong++
	default:
		t.faults[a.fault]++
		if a.fault != faultTimeout { // refusals are quick: they would make a server look better than it is
			return
		}
	}
	record(t.latency, latency)
	if a.fault == noFault {
		record(t.service, service)
	}
}
