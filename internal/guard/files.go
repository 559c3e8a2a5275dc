package guard

import (
	"os"
	"sync"
	"time"
)

// Files notices when files change, by looking at them: name resolution included, so that the symlink swap of a
// Kubernetes volume counts, and on every file system. One goroutine looks for all.
type Files struct {
	every  time.Duration
	report func(path string, err error)

	mu    sync.Mutex
	sets  []*fileSet
	done  chan struct{}
	ended chan struct{}
}

type fileSet struct {
	paths []string
	load  func() error
	seen  []stamp
}

// stamp is what changes when a file does.
type stamp struct {
	info os.FileInfo // nil where there is no file
}

func stampOf(path string) stamp {
	fi, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{fi}
}

func (s stamp) same(o stamp) bool {
	if s.info == nil || o.info == nil {
		return s.info == nil && o.info == nil
	}
	return s.info.ModTime().Equal(o.info.ModTime()) && s.info.Size() == o.info.Size() && os.SameFile(s.info, o.info)
}

// WatchFiles starts looking at the given interval. report, which may be nil, is told of every load: a nil error is a
// success. Close ends it.
func WatchFiles(every time.Duration, report func(path string, err error)) *Files {
	f := &Files{every: every, report: report, done: make(chan struct{}), ended: make(chan struct{})}
	go f.run()
	return f
}

// Add calls load, and from then on again whenever one of the files changes. The first error is Add's; later ones are
// reported, and whatever load had set before stands.
func (f *Files) Add(load func() error, paths ...string) error {
	s := &fileSet{paths: paths, load: load, seen: make([]stamp, len(paths))}
	s.look() // before reading: what is written after it is seen as a change
	if err := load(); err != nil {
		return err
	}
	f.mu.Lock()
	f.sets = append(f.sets, s)
	f.mu.Unlock()
	return nil
}

// Close stops looking.
func (f *Files) Close() {
	close(f.done)
	<-f.ended
}

func (f *Files) run() {
	defer close(f.ended)
	t := time.NewTicker(f.every)
	defer t.Stop()
	for {
		select {
		case <-f.done:
			return
		case <-t.C:
			f.pass()
		}
	}
}

func (f *Files) pass() {
	f.mu.Lock()
	sets := f.sets
	f.mu.Unlock()
	for _, s := range sets {
		if !s.look() {
			continue
		}
		err := s.load()
		if f.report != nil {
			f.report(s.paths[0], err)
		}
	}
}

// look says whether any file is another than the last time.
func (s *fileSet) look() (changed bool) {
	for i, p := range s.paths {
		now := stampOf(p)
		if !now.same(s.seen[i]) {
			s.seen[i], changed = now, true
		}
	}
	return changed
}
