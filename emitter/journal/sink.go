package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Sink is what the journal keeps for one consumer that delivers events elsewhere: how far it got, in each partition,
// and what became of every event. The counters are stored together with the position that they belong to, so that a
// kill takes both back to the same moment: what is then delivered again is counted once.
//
// One goroutine reads the journal and calls Resume, Take and Gap, in the order of the numbers; Ack may come from any.
type Sink struct {
	j    *Journal
	name string
	f    *os.File

	mu      sync.Mutex
	state   sinkState
	resume  map[int32]*again // not nil until reading has passed the position that was loaded
	edge    uint64           // that position
	dirty   bool
	low     uint64 // stored position: every event below is settled, on disk
	disk    slots
	saves   sync.Mutex
	failure error
}

// sinkState is what a sink's file holds. open of all partitions together is rest - start - delivered - refused - expired.
type sinkState struct {
	start      uint64 // number of the first event that is the sink's
	rest       uint64 // all below was taken or expired
	delivered  uint64
	refused    uint64
	expired    uint64
	partitions int32 // how many there were; keys move when it changes
	parts      map[int32]part
}

// part is a partition with unsettled events.
type part struct {
	next uint64 // everything of the partition below is settled
	open uint64 // events taken and not settled
}

// again is a partition that is read for the second time after a start.
type again struct{ next, open uint64 }

// Counters is a sink's account: Journaled = Delivered + Pending + Expired + Refused, always.
type Counters struct{ Journaled, Delivered, Pending, Expired, Refused uint64 }

// Sink registers the sink called name (lower case letters, digits, '_' and '-', at most 64), or returns it. From then on
// retention waits for it. A sink that is new begins with the oldest event held; one whose file is damaged too, and
// then counts what came before as delivered.
func (j *Journal) Sink(name string) (*Sink, error) {
	if !sinkName(name) {
		return nil, &ForeignError{name, "a sink's name is 1 to 64 lower case letters, digits, '_' or '-'"}
	}
	j.retaining.Lock() // no segment goes while the sink takes its place
	defer j.retaining.Unlock()
	j.mu.Lock()
	s, floor := j.sinks[name], j.oldest()
	j.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s = &Sink{j: j, name: name}
	if err := s.load(filepath.Join(j.o.Dir, name+extSink), floor); err != nil {
		return nil, err
	}
	s.low = s.state.low()
	s.restart()
	s.Gap(floor)
	if err := s.save(j.o.Fsync == FsyncAlways); err != nil {
		_ = s.f.Close() // the position was not stored
		return nil, err
	}
	j.mu.Lock()
	j.sinks[name] = s
	j.mu.Unlock()
	return s, nil
}

// restart prepares for reading again from the lowest unsettled event.
func (s *Sink) restart() {
	s.edge, s.resume = s.state.rest, nil
	if len(s.state.parts) > 0 {
		s.resume = map[int32]*again{}
		for p, q := range s.state.parts {
			s.resume[p] = &again{q.next, q.open}
		}
	}
}

// Resume says with which event reading has to begin, given how many partitions there are now. If that has changed,
// keys have moved, and everything from the lowest unsettled event on is delivered and counted again. Call it at the
// start, and later only when nothing taken is unsettled or all of it will be read again.
func (s *Sink) Resume(partitions int32) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.state
	low := t.low()
	if partitions != t.partitions && low < t.rest {
		settled := t.rest - low // numbers at or above low that are settled
		for _, q := range t.parts {
			settled -= q.open
		}
		for _, c := range []*uint64{&t.delivered, &t.refused, &t.expired} {
			n := min(settled, *c)
			*c -= n
			settled -= n
		}
		t.rest, t.parts = low, map[int32]part{}
	}
	t.partitions, s.dirty = partitions, true
	s.restart()
	return low
}

// Take says whether the event with this number, which belongs to the partition, is to be delivered. It is not when the
// partition had settled it before a restart, or when retention has given it up.
func (s *Sink) Take(partition int32, seq uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq < s.edge {
		if a := s.resume[partition]; a != nil && seq >= a.next && a.open > 0 {
			a.open--
			return true
		}
		return false
	}
	s.pass()
	if seq < s.state.rest {
		return false
	}
	s.skip(seq)
	q := s.state.parts[partition]
	if q.open == 0 {
		q.next = seq
	}
	q.open++
	s.state.parts[partition] = q
	s.state.rest = seq + 1
	s.dirty = true
	return true
}

// pass ends reading again: what was unsettled and did not come any more has expired meanwhile.
func (s *Sink) pass() {
	for p, a := range s.resume {
		if a.open == 0 {
			continue
		}
		q := s.state.parts[p]
		q.open -= a.open
		s.state.expired += a.open
		s.dirty = true
		if q.open == 0 {
			delete(s.state.parts, p)
		} else {
			s.state.parts[p] = q
		}
	}
	s.resume, s.edge = nil, 0
}

// skip counts everything from rest to below seq as expired.
func (s *Sink) skip(seq uint64) {
	if seq > s.state.rest {
		s.state.expired += seq - s.state.rest
		s.state.rest = seq
		s.dirty = true
	}
}

// Gap says that no event below seq will come any more that has not been taken. Readers report gaps; retention calls it
// by itself.
func (s *Sink) Gap(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq < s.edge {
		return // settled when reading passes the edge
	}
	if s.edge > 0 {
		s.pass()
	}
	s.skip(seq)
}

// Ack settles the partition's oldest unsettled events: delivered and refused are how many, and all of its events below
// next are settled then. Acknowledging what was not taken is an error and changes nothing.
func (s *Sink) Ack(partition int32, next, delivered, refused uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, n := s.state.parts[partition], delivered+refused
	if n > q.open || next < q.next || next > s.state.rest {
		return fmt.Errorf("sink %s: partition %d: %d events up to %d acknowledged, %d unsettled in %d to %d",
			s.name, partition, n, next, q.open, q.next, s.state.rest)
	}
	s.state.delivered += delivered
	s.state.refused += refused
	q.open -= n
	q.next = next
	if q.open == 0 {
		delete(s.state.parts, partition)
	} else {
		s.state.parts[partition] = q
	}
	s.dirty = true
	return nil
}

// Counters is the account as of now.
func (s *Sink) Counters() Counters {
	s.mu.Lock() // before Next is read: what is taken is journaled
	defer s.mu.Unlock()
	t := &s.state
	c := Counters{Delivered: t.delivered, Expired: t.expired, Refused: t.refused}
	c.Journaled = max(s.j.Next(), t.start) - t.start
	c.Pending = c.Journaled - c.Delivered - c.Expired - c.Refused
	return c
}

// Position is the lowest number that is not settled.
func (s *Sink) Position() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.low()
}

// Name is the sink's name.
func (s *Sink) Name() string { return s.name }

// Err is the last failure to store the position, nil once it could be stored again.
func (s *Sink) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// stored is the position on disk: below it nothing is needed any more.
func (s *Sink) stored() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.low
}

func (t *sinkState) low() uint64 {
	low := t.rest
	for _, q := range t.parts {
		low = min(low, q.next)
	}
	return low
}

func (t *sinkState) sorted() []int32 {
	ps := make([]int32, 0, len(t.parts))
	for p := range t.parts {
		ps = append(ps, p)
	}
	slices.Sort(ps)
	return ps
}

func sinkName(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
