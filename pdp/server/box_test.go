package server_test

import "sync"

type correlationBox struct {
	mu sync.Mutex
	s  string
}

func (b *correlationBox) set(s string) {
	b.mu.Lock()
	b.s = s
	b.mu.Unlock()
}

func (b *correlationBox) get() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.s
}
