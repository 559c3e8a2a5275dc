package load

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// epollWait is epoll_pwait2 (Linux 5.11), whose timeout is in nanoseconds; where there is none, epoll_wait with whole
// milliseconds, rounded down, so that a short wait becomes a poll and nothing is late. A poll does not leave the Go
// scheduler's processor.
func epollWait(ep int, events []unix.EpollEvent, ns int64) (int, error) {
	if ns <= 0 {
		n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		return counted(n, errno)
	}
	ts := unix.NsecToTimespec(ns)
	n, _, errno := syscall.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(ep), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
	if errno == unix.ENOSYS || errno == unix.EPERM { // an older kernel, or a sandbox's list that does not know it
		n, _, errno = syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)),
			uintptr(ns/1e6), 0, 0)
	}
	return counted(n, errno)
}

func counted(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
