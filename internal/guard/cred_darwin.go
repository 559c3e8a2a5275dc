package guard

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// PeerCred asks the kernel who connected (LOCAL_PEERCRED and LOCAL_PEERPID, unix(4)).
func PeerCred(c *net.UnixConn) (cred Cred, err error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return cred, fmt.Errorf("peer credentials: %w", err)
	}
	var serr error
	err = rc.Control(func(fd uintptr) {
		var x *unix.Xucred
		if x, serr = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED); serr != nil {
			return
		}
		if x.Ngroups < 1 {
			serr = errors.New("no group")
			return
		}
		var pid int
		if pid, serr = unix.GetsockoptInt(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERPID); serr == nil {
			cred = Cred{UID: x.Uid, GID: x.Groups[0], PID: int32(pid)}
		}
	})
	if err = errors.Join(err, serr); err != nil {
		return Cred{}, fmt.Errorf("peer credentials: %w", err)
	}
	return cred, nil
}

// ownerOnly does nothing: here a socket has no mode before it is bound.
func ownerOnly(uintptr) {}
