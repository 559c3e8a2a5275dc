package guard

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// PeerCred asks the kernel who connected (SO_PEERCRED, unix(7)).
func PeerCred(c *net.UnixConn) (cred Cred, err error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return cred, fmt.Errorf("peer credentials: %w", err)
	}
	var u *unix.Ucred
	var serr error
	err = rc.Control(func(fd uintptr) { u, serr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil {
		return cred, fmt.Errorf("peer credentials: %w", err)
	}
	if serr != nil {
		return cred, fmt.Errorf("peer credentials: %w", serr)
	}
	return Cred{UID: u.Uid, GID: u.Gid, PID: u.Pid}, nil
}

// ownerOnly gives a socket the mode that its file is bound with.
func ownerOnly(fd uintptr) { _ = unix.Fchmod(int(fd), 0o600) } // the mode is set again on the file, and checked there
