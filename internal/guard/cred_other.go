//go:build !linux && !darwin

package guard

import (
	"errors"
	"net"
)

// PeerCred is not known on this system.
func PeerCred(*net.UnixConn) (Cred, error) {
	return Cred{}, errors.New("peer credentials: not available on this system")
}

// ownerOnly does nothing: here a socket has no mode before it is bound.
func ownerOnly(uintptr) {}
