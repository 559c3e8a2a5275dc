package sink

import (
	"context"
	"sync"
)

// window bounds the bytes that a shipper holds.
type window struct {
	mu    sync.Mutex
	free  int
	freed chan struct{} // closed when something is given back
}

func newWindow(n int) *window { return &window{free: n, freed: make(chan struct{})} }

// take waits until n bytes are free. A message larger than the whole window passes when the window is empty.
func (w *window) take(ctx context.Context, n, size int) error {
	for {
		w.mu.Lock()
		if w.free >= n || w.free == size {
			w.free -= n
			w.mu.Unlock()
			return nil
		}
		freed := w.freed
		w.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *window) give(n int) {
	w.mu.Lock()
	w.free += n
	close(w.freed)
	w.freed = make(chan struct{})
	w.mu.Unlock()
}

// empty waits until all is given back.
func (w *window) empty(ctx context.Context, size int) error {
	for {
		w.mu.Lock()
		if w.free == size {
			w.mu.Unlock()
			return nil
		}
		freed := w.freed
		w.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
