package journal

import (
	"crypto/sha256"
	"hash"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Journal is an open journal. Append belongs to one goroutine at a time; everything else may be called from any.
//
// Two locks: writing is held over an append, which may take as long as the disk does; mu guards what readers, sinks
// and retention look at, and is never held over a write of lines.
type Journal struct {
	o    Options
	lock *os.File

	writing sync.Mutex
	seg     *segment // the one that is written
	last    Side     // as of the last good append
	rolling bool     // a successor was begun and not finished: nothing goes to seg any more
	dirty   bool     // a failed append may have left bytes behind last: cut them before writing
	closed  bool
	hash    hash.Hash
	rec     [sideSize]byte
	head    [sha256.Size]byte

	mu        sync.Mutex
	published Side          // copy of last for readers
	publSeg   uint64        // segment in which published lies
	publIdx   int64         // side records in that segment
	segs      []segmentInfo // all, ascending; the last one is written
	held      int64         // bytes of lines and side files of all
	retired   []*segment    // ended, to be synced and closed by the keeper
	sinks     map[string]*Sink
	stats     Stats
	syncedSeg uint64 // the last side record known to be on the disk
	syncedIdx int64

	next    atomic.Uint64 // Next of published: what readers poll
	waiters atomic.Pointer[[]chan struct{}]

	retaining sync.Mutex
	ended     chan struct{} // a segment has ended: look at retention
	stop      chan struct{}
	done      sync.WaitGroup
	signed    checkpointed
}

// segmentInfo is what retention and readers need to know of a segment.
type segmentInfo struct {
	first, next uint64
	bytes       int64 // lines and side file
	high        int64 // largest event time up to its end
}

// segment is an open segment.
type segment struct {
	first       uint64
	lines, side *os.File
	records     int64 // whole side records
}

func (s *segment) sideEnd() int64 { return s.records * sideSize }

// Stats are a journal's figures.
type Stats struct {
	Segments     int
	Bytes        int64  // lines and side files
	Oldest, Next uint64 // numbers of the oldest event held and of the next one
	Lost         uint64 // numbers whose events a power failure took
	Expired      uint64 // events that retention removed since Open, delivered or not
	SyncErrors   uint64 // failed fsyncs since Open
	SyncError    error  // the last of them
	LastSync     time.Time
}

// Open opens or makes the journal in o.Dir, takes its lock and repairs what a crash left. Repair says what it found;
// it is nil only with an error.
func Open(o Options) (*Journal, *Repair, error) {
	if err := makeDir(o.Dir); err != nil {
		return nil, nil, err
	}
	if err := o.fill(); err != nil {
		return nil, nil, err
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, nil, err
	}
	j := &Journal{
		o: o, lock: lock, hash: sha256.New(), sinks: map[string]*Sink{},
		ended: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	rep, err := j.recover()
	if err == nil {
		for _, name := range o.Sinks {
			if _, err = j.Sink(name); err != nil {
				break
			}
		}
	}
	if err != nil {
		j.closeFiles()
		return nil, nil, err
	}
	j.done.Add(2)
	go j.syncer()
	go j.keeper()
	return j, rep, nil
}

// Last is the last side record: where the ring stands, the number of the next event, head and totals.
func (j *Journal) Last() Side {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.published
}

// Next is the number that the next event will have. It costs one load.
func (j *Journal) Next() uint64 { return j.next.Load() }

// Oldest is the number of the oldest event held; equal to Next where none is.
func (j *Journal) Oldest() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.oldest()
}

func (j *Journal) oldest() uint64 { return j.segs[0].first }

// Stats are the figures as of now.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stats
	s.Segments, s.Bytes = len(j.segs), j.held
	s.Oldest, s.Next, s.Lost = j.oldest(), j.published.Next(), j.published.Lost
	return s
}

// Dir is the journal's directory.
func (j *Journal) Dir() string { return j.o.Dir }

// Close stores the sinks' positions, forces everything to the disk unless Fsync is never, and gives up the lock.
// Readers stay usable until their own Close.
func (j *Journal) Close() error {
	j.writing.Lock()
	if j.closed {
		j.writing.Unlock()
		return nil
	}
	j.closed = true
	j.writing.Unlock()
	close(j.stop)
	j.done.Wait()
	j.mu.Lock()
	sinks := make([]*Sink, 0, len(j.sinks))
	for _, s := range j.sinks {
		sinks = append(sinks, s)
	}
	j.mu.Unlock()
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	for _, s := range sinks {
		keep(s.save(j.o.Fsync != FsyncNever))
	}
	keep(j.syncNow())
	keep(j.checkpoint())
	j.wake()
	j.closeFiles()
	return first
}

func (j *Journal) closeFiles() {
	for _, s := range append(j.retired, j.seg) {
		if s != nil {
			_ = s.lines.Close() // synced or not wanted: nothing is buffered here
			_ = s.side.Close()
		}
	}
	for _, s := range j.sinks {
		_ = s.f.Close()
	}
	_ = j.lock.Close()
}
