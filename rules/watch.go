package rules

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How soon a change is reported: quiet after the last write that was seen, or at the latest after busy where writes do
// not end. With the time that loading takes, a change is active within 2 s of its last write.
const (
	quiet       = 100 * time.Millisecond
	busy        = 500 * time.Millisecond
	pollFast    = 500 * time.Millisecond // where the system has no more watches to give
	pollSlow    = 15 * time.Second       // beside watches: network file systems send no events
	eventBuffer = 64
)

// Watch calls onChange after every change to the policies and data that paths name, until ctx ends, which is how it
// returns. Paths may come and go while it runs. onChange is called from the goroutine that Watch was called in, never
// twice at once; changes during a call are reported after it.
//
// Directories are watched with all below them; renames onto a file, new folders and the swap of a symbolic link, as
// Kubernetes updates a volume, count as changes; files that are neither policy nor data do not. Where the system cannot
// watch, Watch looks for itself twice a second.
func Watch(ctx context.Context, paths []string, onChange func()) error {
	fs, err := fsnotify.NewBufferedWatcher(eventBuffer)
	if err != nil {
		fs = nil
	} else {
		defer fs.Close()
	}
	return watch(ctx, paths, onChange, fs)
}

// watch is Watch over a source of events, or without one where fs is nil.
func watch(ctx context.Context, paths []string, onChange func(), fs *fsnotify.Watcher) error {
	w := &watcher{paths: paths, fs: fs, dirs: map[string]bool{}, roots: map[string]bool{}}
	var events chan fsnotify.Event
	var failures chan error
	poll := pollFast
	if fs != nil {
		events, failures = fs.Events, fs.Errors
	}
	w.scan()
	if w.fs != nil && !w.exhausted {
		poll = pollSlow
	}
	seen := fingerprint(paths)
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	debounce := time.NewTimer(time.Hour)
	debounce.Stop()
	var first time.Time // of the changes not yet reported; zero where there are none
	changed := func() {
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		debounce.Reset(max(0, min(quiet, busy-now.Sub(first))))
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-events:
			if w.relevant(e) {
				w.scan()
				changed()
			}
		case <-failures:
			changed() // events were lost: anything may have changed
		case <-ticker.C:
			w.scan()
			if w.exhausted && poll == pollSlow {
				poll = pollFast
				ticker.Reset(poll)
			}
			if fingerprint(paths) != seen {
				changed()
			}
		case <-debounce.C:
			first = time.Time{}
			w.scan()
			seen = fingerprint(paths)
			onChange()
		}
	}
}

type watcher struct {
	paths     []string
	fs        *fsnotify.Watcher
	dirs      map[string]bool // directories being watched
	roots     map[string]bool // files and directories whose parent is watched for their sake, and links' targets
	exhausted bool
}

// scan watches whatever there is to watch now.
func (w *watcher) scan() {
	if w.fs == nil {
		return
	}
	live := map[string]bool{}
	watch := func(dir string) {
		live[dir] = true
		if err := w.fs.Add(dir); err == nil {
			w.dirs[dir] = true
		} else if exhausted(err) {
			w.exhausted = true
		}
	}
	for _, p := range w.paths {
		p = filepath.Clean(p)
		w.roots[p] = true
		watch(filepath.Dir(p))
		eachFile(p, func(name string, dir, plain bool) {
			if plain {
				return // it is watched with its folder
			}
			if dir {
				watch(name)
			}
			if real, err := filepath.EvalSymlinks(name); err == nil && real != name {
				w.roots[real] = true
				watch(filepath.Dir(real))
			}
		})
	}
	for dir := range w.dirs {
		if !live[dir] {
			_ = w.fs.Remove(dir) // gone already, most likely
			delete(w.dirs, dir)
		}
	}
}

// relevant says whether an event may have changed what is loaded.
func (w *watcher) relevant(e fsnotify.Event) bool {
	if e.Op == fsnotify.Chmod {
		return false
	}
	name := filepath.Clean(e.Name)
	base := filepath.Base(name)
	switch {
	case w.roots[name], w.dirs[name], strings.HasPrefix(base, ".."):
		return true
	case strings.HasPrefix(base, "."):
		return false
	case extension(base) != "":
		return w.below(name)
	}
	return w.below(name) && isDir(name)
}

// below says whether name lies where files are loaded from.
func (w *watcher) below(name string) bool {
	for root := range w.roots {
		if name == root || strings.HasPrefix(name, root+string(filepath.Separator)) || root == "." {
			return true
		}
	}
	return false
}
