package load

import (
	"net"

	"golang.org/x/sys/unix"
)

// sockaddr resolves the endpoint for a socket of one's own.
func (e Endpoint) sockaddr() (domain int, at unix.Sockaddr, err error) {
	if e.Network == "unix" {
		return unix.AF_UNIX, &unix.SockaddrUnix{Name: e.Address}, nil
	}
	a, err := net.ResolveTCPAddr("tcp", e.Address)
	if err != nil {
		return 0, nil, err
	}
	if ip := a.IP.To4(); ip != nil || len(a.IP) == 0 {
		in := &unix.SockaddrInet4{Port: a.Port}
		if copy(in.Addr[:], ip); len(ip) == 0 {
			in.Addr = [4]byte{127, 0, 0, 1}
		}
		return unix.AF_INET, in, nil
	}
	in := &unix.SockaddrInet6{Port: a.Port}
	copy(in.Addr[:], a.IP.To16())
	if a.Zone != "" {
		if i, err := net.InterfaceByName(a.Zone); err == nil {
			in.ZoneId = uint32(i.Index)
		}
	}
	return unix.AF_INET6, in, nil
}
