//go:build !linux

package load

// epollable says that there is no epoll here.
func epollable(*Options) bool { return false }

func newWorker(*plan, int, int) (driver, error) { panic("unreachable: epollable says no") }
