package journal

import (
	"errors"
	"time"
)

const (
	saveEvery   = 100 * time.Millisecond // how often a sink's position is stored
	retainEvery = time.Minute
	signEvery   = time.Second
)

// syncer forces what was appended to the disk, apart from the appends so that they never wait for it, and signs
// checkpoints.
func (j *Journal) syncer() {
	defer j.done.Done()
	every := signEvery
	if j.o.Fsync > 0 {
		every = time.Duration(j.o.Fsync)
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-t.C:
			if j.o.Fsync > 0 {
				_ = j.syncNow() // counted, and tried again at the next tick
			} else {
				j.closeRetired()
			}
			_ = j.checkpoint() // tried again at the next tick; verify says how far signatures reach
		}
	}
}

// keeper stores the sinks' positions and applies retention.
func (j *Journal) keeper() {
	defer j.done.Done()
	save := time.NewTicker(saveEvery)
	defer save.Stop()
	age := time.NewTicker(retainEvery)
	defer age.Stop()
	lastSync := time.Now()
	for {
		select {
		case <-j.stop:
			return
		case <-j.ended:
			j.Retain()
		case <-age.C:
			j.Retain()
		case <-save.C:
			sync := j.o.Fsync == FsyncAlways
			if j.o.Fsync > 0 && time.Since(lastSync) >= time.Duration(j.o.Fsync) {
				sync, lastSync = true, time.Now()
			}
			for _, s := range j.allSinks() {
				_ = s.save(sync) // counted in the sink, and tried again at the next tick
			}
		}
	}
}

func (j *Journal) allSinks() []*Sink {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]*Sink, 0, len(j.sinks))
	for _, s := range j.sinks {
		out = append(out, s)
	}
	return out
}

// takeRetired is the segments that have ended since the last call, and the one that is written.
func (j *Journal) takeRetired() (ended []*segment, cur *segment, dirty bool) {
	j.writing.Lock()
	cur = j.seg
	j.writing.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	ended, j.retired = j.retired, nil
	dirty = j.publSeg != j.syncedSeg || j.publIdx != j.syncedIdx || len(ended) > 0
	return ended, cur, dirty
}

// syncNow forces lines before side records, old segments before new ones, so that a power failure leaves a prefix
// where the disk keeps the order.
func (j *Journal) syncNow() error {
	if j.o.Fsync == FsyncNever {
		j.closeRetired()
		return nil
	}
	j.mu.Lock()
	seg, idx := j.publSeg, j.publIdx // what is there now will be synced; what comes meanwhile may be
	j.mu.Unlock()
	ended, cur, dirty := j.takeRetired()
	if !dirty {
		return nil
	}
	var err error
	for i, s := range append(ended, cur) {
		if serr := errors.Join(s.lines.Sync(), s.side.Sync()); serr != nil {
			err = &WriteError{"sync", s.lines.Name(), serr}
			j.mu.Lock() // those not synced are tried again
			j.retired = append(ended[min(i, len(ended)):len(ended):len(ended)], j.retired...)
			ended = ended[:min(i, len(ended))]
			j.mu.Unlock()
			break
		}
	}
	if err == nil && len(ended) > 0 {
		err = syncDir(j.o.Dir)
	}
	for _, s := range ended {
		s.close()
	}
	j.noteSync(err)
	if err == nil {
		j.mu.Lock()
		j.syncedSeg, j.syncedIdx = seg, idx
		j.mu.Unlock()
	}
	return err
}

func (j *Journal) closeRetired() {
	ended, _, _ := j.takeRetired()
	for _, s := range ended {
		s.close()
	}
}

func (j *Journal) noteSync(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.stats.SyncErrors++
		j.stats.SyncError = err
		return
	}
	j.stats.LastSync = time.Now()
}
